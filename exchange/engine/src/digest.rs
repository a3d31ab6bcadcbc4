//! The digest: a sum of one hash per entity over a canonical encoding of what it means.
//!
//! Slots, and what can be computed from the rest, are left out. Same commands, same digest; two states
//! with one digest decide alike.

use xxhash_rust::xxh3::xxh3_128;

use crate::Engine;
use crate::book::Offer;
use crate::command::{Audience, ProviderKind};
use crate::event::{Lease, LeaseState};
use merit_terms::Tariff;

/// Collects one entity's canonical bytes: a tag, then little-endian fields, texts with their length.
struct Entity(Vec<u8>);

impl Entity {
    fn new(tag: u8) -> Entity {
        Entity(vec![tag])
    }

    fn int(mut self, value: impl Into<i128>) -> Entity {
        self.0.extend(value.into().to_le_bytes());
        self
    }

    fn text(self, text: &str) -> Entity {
        let mut entity = self.int(text.len() as u64);
        entity.0.extend(text.as_bytes());
        entity
    }

    fn option(self, value: Option<impl Into<i128>>) -> Entity {
        match value {
            None => self.int(0),
            Some(value) => self.int(1).int(value),
        }
    }

    fn each<T>(self, items: impl ExactSizeIterator<Item = T>, write: impl Fn(Entity, T) -> Entity) -> Entity {
        let entity = self.int(items.len() as u64);
        items.fold(entity, write)
    }

    fn tariff(self, t: &Tariff) -> Entity {
        [t.per_request, t.per_gb_second, t.per_cpu_ms, t.per_gb_egress]
            .into_iter()
            .fold(self, |entity, rate| entity.int(rate.picodollars()))
            .int(t.increment_ms)
            .int(t.minimum_ms)
            .int(t.memory_step_mb)
            .int(t.bills_cold_start)
    }

    fn hash(self) -> u128 {
        xxh3_128(&self.0)
    }
}

impl Engine {
    /// The digest of the whole state; its cost is linear in the state.
    pub fn digest(&self) -> u128 {
        let hashes = self
            .accounts_hashes()
            .chain(self.market_hashes())
            .chain(self.provider_hashes())
            .chain(self.function_hashes())
            .chain(self.shelf.offers.iter().flatten().map(|offer| self.offer_hash(offer)))
            .chain(self.leases.open.values().map(|open| lease_hash(&open.lease)));
        let whole =
            Entity::new(0).int(self.run).int(self.sequence).int(self.last_at.micros()).int(self.fee_basis_points);
        let whole = whole.int(self.shelf.last_offer());
        hashes.fold(whole.hash(), u128::wrapping_add)
    }

    fn accounts_hashes(&self) -> impl Iterator<Item = u128> {
        self.ledger.accounts.iter().map(|account| {
            let held = i128::try_from(account.held).unwrap_or(i128::MAX);
            Entity::new(1).text(&account.name).int(account.balance.picodollars()).int(held).hash()
        })
    }

    fn market_hashes(&self) -> impl Iterator<Item = u128> {
        self.registry.markets.iter().map(|market| {
            let spot = market.spot_price.map(|price| price.picodollars());
            Entity::new(2).text(market.name.as_str()).option(spot).int(market.trades).hash()
        })
    }

    fn provider_hashes(&self) -> impl Iterator<Item = u128> {
        self.registry.providers.iter().map(|provider| {
            Entity::new(3)
                .text(provider.name.as_str())
                .int(provider.account.number())
                .int(provider.kind == ProviderKind::Market)
                .each(provider.labels.iter(), |entity, (name, value)| entity.text(name).text(value))
                .int(provider.session)
                .int(provider.online)
                .text(&provider.endpoint)
                .int(provider.last_quote)
                .int(provider.general_ratio.raw())
                .each(provider.pools.iter(), |entity, slot| {
                    let pool = &self.shelf.pools[*slot as usize];
                    entity.int(pool.size.memory_mb).int(pool.size.slots).int(pool.leased_mb).int(pool.leases)
                })
                .hash()
        })
    }

    fn function_hashes(&self) -> impl Iterator<Item = u128> {
        self.registry.functions.iter().flat_map(|function| {
            let settings = &function.settings;
            let entity = Entity::new(4)
                .int(function.account.number())
                .text(function.name.as_str())
                .int(function.deleted)
                .int(function.running)
                .option(function.live)
                .each(function.aliases.iter(), |entity, (alias, revision)| entity.text(alias.as_str()).int(*revision))
                .int(settings.idempotent)
                .option(settings.max_concurrency)
                .each(settings.markets.iter(), |entity, pattern| entity.text(pattern.as_str()))
                .each(settings.labels.iter(), |entity, (name, value)| entity.text(name).text(value))
                .option(settings.limits.max_cost.map(|cost| cost.picodollars()))
                .option(settings.limits.max_price.map(|price| price.picodollars()))
                .option(settings.limits.max_latency_ms)
                .each(settings.limits.only.iter(), |entity, name| entity.text(name.as_str()))
                .each(settings.limits.ignore.iter(), |entity, name| entity.text(name.as_str()))
                .each(settings.limits.markets.iter(), |entity, pattern| entity.text(pattern.as_str()))
                .each(settings.limits.labels.iter(), |entity, (name, value)| entity.text(name).text(value));
            let entity = match &settings.audience {
                Audience::Own => entity.int(0),
                Audience::Any => entity.int(1),
                Audience::Listed(names) => entity.int(2).each(names.iter(), |entity, name| entity.text(name.as_str())),
            };
            let revisions = function.revisions.iter().enumerate().map(move |(number, revision)| {
                let code = &revision.code;
                Entity::new(5)
                    .int(function.account.number())
                    .text(function.name.as_str())
                    .int(number as u64)
                    .int(code.memory_mb)
                    .int(code.timeout_ms)
                    .each(code.environment.iter(), |entity, (name, value)| entity.text(name).text(value))
                    .each(code.deployments.iter(), |entity, (name, target)| entity.text(name.as_str()).text(target))
                    .each(code.module.as_ref().map_or(&[][..], |digest| digest).iter(), |entity, byte| {
                        entity.int(*byte)
                    })
                    .each(revision.estimates.iter(), |entity, (provider, estimate)| {
                        let entity = entity.int(provider.number()).int(estimate.seen);
                        entity.int(estimate.wall.raw()).int(estimate.cpu.raw())
                    })
                    .each(revision.probes.iter(), |entity, (provider, count)| entity.int(provider.number()).int(*count))
                    .hash()
            });
            std::iter::once(entity.hash()).chain(revisions)
        })
    }

    fn offer_hash(&self, offer: &Offer) -> u128 {
        let pool = &self.shelf.pools[offer.pool as usize];
        let rung = &offer.rung;
        Entity::new(6)
            .int(offer.id.0)
            .int(pool.provider.number())
            .int(pool.index)
            .int(offer.market.number())
            .int(rung.id)
            .int(rung.capacity_mb)
            .tariff(&rung.tariff)
            .int(rung.vcpus_milli)
            .int(rung.memory_min_mb)
            .int(rung.memory_max_mb)
            .int(rung.longest_ms)
            .int(rung.enforces_timeout)
            .int(offer.leased_mb)
            .int(offer.leases)
            .int(offer.place)
            .int(offer.retired)
            .hash()
    }
}

fn lease_hash(lease: &Lease) -> u128 {
    let state = match lease.state {
        LeaseState::Running => 0,
        LeaseState::Overdue => 1,
        LeaseState::Unknown => 2,
        LeaseState::Offered => 3,
    };
    Entity::new(7)
        .int(lease.id.run)
        .int(lease.id.sequence)
        .int(lease.invocation.run)
        .int(lease.invocation.sequence)
        .int(lease.attempt)
        .int(lease.account.number())
        .int(lease.function.number())
        .int(lease.revision)
        .int(lease.provider.number())
        .int(lease.market.number())
        .int(lease.offer.0)
        .tariff(&lease.tariff)
        .int(lease.vcpus_milli)
        .int(lease.memory_mb)
        .int(lease.timeout_ms)
        .int(lease.quoted_cost.picodollars())
        .int(lease.hold.picodollars())
        .int(lease.capacity_until.micros())
        .int(lease.settle_by.micros())
        .int(state)
        .int(lease.on_prior)
        .hash()
}
