//! The digest: a sum of one hash per entity over its canonical encoding.
//!
//! An entity is encoded by its saved fields, so that a new field is in snapshot and digest at once; handles, and values
//! that are computed from the rest, are left out. Same commands, same digest; two states with one digest decide alike.

use serde::Serialize;
use xxhash_rust::xxh3::xxh3_128;

use super::canonical;
use crate::Engine;
use crate::supply::pools::Pool;

/// The kinds of entities, which tell equal encodings of different kinds apart.
#[derive(Clone, Copy)]
enum Entity {
    Whole,
    Account,
    Market,
    Provider,
    Function,
    Offer,
    Lease,
    Resting,
    Key,
}

impl Engine {
    /// Returns the digest of the whole state; its cost is linear in the state.
    pub fn digest(&self) -> u128 {
        let mut digest = Digest::default();
        let whole = (
            (self.run, self.rules, self.master_key_check),
            self.sequence,
            self.last_at,
            self.fee_basis_points,
            self.shelf.last_offer(),
        );
        digest.add(Entity::Whole, &(whole, self.leases.history(), &self.brokers, self.bids.examinations()));
        self.ledger.accounts().iter().for_each(|account| digest.add(Entity::Account, account));
        self.registry.markets().iter().for_each(|market| digest.add(Entity::Market, market));
        for (provider, seller) in self.registry.providers().iter().zip(self.shelf.sellers()) {
            let pools: Vec<&Pool> = seller.pools(&self.shelf).collect();
            digest.add(Entity::Provider, &(provider, pools, seller.quotas(), seller.health()));
        }
        self.registry.functions().iter().for_each(|function| digest.add(Entity::Function, function));
        for offer in self.shelf.offers() {
            digest.add(Entity::Offer, &(offer, self.shelf.pool_of(offer).index()));
        }
        self.leases.all().for_each(|open| digest.add(Entity::Lease, open));
        self.bids.all().for_each(|resting| digest.add(Entity::Resting, resting));
        self.keys.all().for_each(|key| digest.add(Entity::Key, key));
        digest.sum
    }
}

/// The sum of the hashes so far, and the buffer of one encoding.
#[derive(Default)]
struct Digest {
    sum: u128,
    buffer: Vec<u8>,
}

impl Digest {
    fn add(&mut self, kind: Entity, entity: &impl Serialize) {
        self.buffer.clear();
        self.buffer.push(kind as u8);
        canonical::write(entity, &mut self.buffer);
        self.sum = self.sum.wrapping_add(xxh3_128(&self.buffer));
    }
}
