//! The state as it is saved: what cannot be computed from the rest. Loading builds the rest anew.

use merit_terms::Time;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::Engine;
use crate::demand::Bids;
use crate::demand::brokers::Brokers;
use crate::dues::Dues;
use crate::leases::open::Leases;
use crate::market::Registry;
use crate::market::keys::Keys;
use crate::money::{Calendar, Ledger};
use crate::supply::Shelf;

/// Borrowed, to save.
#[derive(Serialize)]
#[serde(rename = "Engine")]
struct Saving<'a> {
    run: u32,
    rules: u32,
    sequence: u64,
    last_at: Time,
    calendar: Calendar,
    fee_basis_points: u32,
    ledger: &'a Ledger,
    registry: &'a Registry,
    shelf: &'a Shelf,
    leases: &'a Leases,
    bids: &'a Bids,
    brokers: &'a Brokers,
    keys: &'a Keys,
    dues: &'a Dues,
}

/// Owned, as it was saved.
#[derive(Deserialize)]
#[serde(rename = "Engine")]
struct Saved {
    run: u32,
    rules: u32,
    sequence: u64,
    last_at: Time,
    calendar: Calendar,
    fee_basis_points: u32,
    ledger: Ledger,
    registry: Registry,
    shelf: Shelf,
    leases: Leases,
    bids: Bids,
    brokers: Brokers,
    keys: Keys,
    dues: Dues,
}

impl Serialize for Engine {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Saving {
            run: self.run,
            rules: self.rules,
            sequence: self.sequence,
            last_at: self.last_at,
            calendar: self.calendar,
            fee_basis_points: self.fee_basis_points,
            ledger: &self.ledger,
            registry: &self.registry,
            shelf: &self.shelf,
            leases: &self.leases,
            bids: &self.bids,
            brokers: &self.brokers,
            keys: &self.keys,
            dues: &self.dues,
        }
        .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Engine {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Engine, D::Error> {
        let saved = Saved::deserialize(deserializer)?;
        let mut engine = Engine {
            run: saved.run,
            rules: saved.rules,
            sequence: saved.sequence,
            last_at: saved.last_at,
            calendar: saved.calendar,
            fee_basis_points: saved.fee_basis_points,
            ledger: saved.ledger,
            registry: saved.registry,
            shelf: saved.shelf,
            leases: saved.leases,
            bids: saved.bids,
            brokers: saved.brokers,
            keys: saved.keys,
            dues: saved.dues,
        };
        engine.ledger.rebuild();
        engine.registry.rebuild();
        engine.shelf.rebuild(&engine.registry);
        engine.leases.rebuild();
        engine.bids.rebuild();
        engine.keys.rebuild();
        engine.shelf.watched = !engine.bids.resting.is_empty();
        Ok(engine)
    }
}
