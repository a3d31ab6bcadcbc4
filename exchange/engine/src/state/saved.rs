//! The state as it is saved: its fields, without what is computed from them. Loading computes that anew.
//!
//! Everything saved is in a defined order: equal states that came about alike give equal bytes.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::Engine;

impl Serialize for Engine {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Engine::serialize(self, serializer)
    }
}

impl<'de> Deserialize<'de> for Engine {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Engine, D::Error> {
        let mut engine = Engine::deserialize(deserializer)?;
        engine.ledger.rebuild();
        engine.registry.rebuild();
        let providers = engine.registry.providers().iter().map(|provider| (provider.kind, provider.general_ratio()));
        engine.shelf.rebuild(engine.registry.markets().len(), providers);
        engine.leases.rebuild();
        for open in engine.leases.all() {
            if let Some(slot) = open.slot {
                engine.shelf.enter_lease(slot, open.lease.account);
            }
        }
        engine.bids.rebuild();
        engine.keys.rebuild();
        engine.shelf.set_watched(!engine.bids.is_empty());
        Ok(engine)
    }
}
