//! The digest: a sum of one hash per entity over a canonical encoding of what it means.
//!
//! Slots, and what can be computed from the rest, are left out. Same commands, same digest; two states
//! with one digest decide alike.

use xxhash_rust::xxh3::xxh3_128;

use crate::Engine;
use crate::command::{Adapter, AtDeadline, Audience, Bid, BrokerRequest, FunctionSettings, ProviderKind, Qualifier};
use crate::demand::{Side, Sweep};
use crate::event::{LeaseState, Resting};
use crate::leases::open::OpenLease;
use crate::market::keys::Key;
use crate::market::{Function, Provider, Revision};
use crate::money::Spending;
use crate::supply::health::BackOff;
use crate::supply::{Offer, Seller};
use merit_terms::{Budget, LeaseId, Limits, Money, Period, Price, Tariff, Time, Usage};

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

    fn money(self, amount: Money) -> Entity {
        self.int(amount.picodollars())
    }

    fn time(self, time: Time) -> Entity {
        self.int(time.micros())
    }

    fn lease_id(self, id: LeaseId) -> Entity {
        self.int(id.run).int(id.sequence)
    }

    fn texts<'a>(self, texts: impl ExactSizeIterator<Item = (&'a String, &'a String)>) -> Entity {
        self.each(texts, |entity, (name, value)| entity.text(name).text(value))
    }

    fn limits(self, limits: &Limits) -> Entity {
        self.option(limits.max_cost.map(Money::picodollars))
            .option(limits.max_price.map(Price::picodollars))
            .option(limits.max_latency_ms)
            .each(limits.only.iter(), |entity, name| entity.text(name.as_str()))
            .each(limits.ignore.iter(), |entity, name| entity.text(name.as_str()))
            .each(limits.markets.iter(), |entity, pattern| entity.text(pattern.as_str()))
            .each(limits.labels.iter(), |entity, (name, value)| entity.text(name).text(value))
    }

    fn budgets(self, budgets: &[Budget]) -> Entity {
        self.each(budgets.iter(), |entity, budget| entity.int(budget.period == Period::Day).money(budget.amount))
    }

    fn usage(self, usage: Option<&Usage>) -> Entity {
        match usage {
            None => self.int(0),
            Some(u) => self.int(1).int(u.wall_us).int(u.cpu_us).int(u.cold_us).int(u.egress_bytes),
        }
    }

    fn request(self, request: Option<BrokerRequest>) -> Entity {
        match request {
            None => self.int(0),
            Some(request) => self.int(1).int(request.session).int(request.number),
        }
    }

    fn bid(self, bid: &Bid) -> Entity {
        let entity = self.int(bid.account.number()).int(bid.function.number()).int(bid.answer_limit_bytes);
        let entity = match &bid.qualifier {
            Qualifier::Live => entity.int(0),
            Qualifier::Revision(number) => entity.int(1).int(*number),
            Qualifier::Alias(alias) => entity.int(2).text(alias.as_str()),
        };
        entity.limits(&bid.limits).request(bid.request)
    }

    fn resting(self, resting: &Resting) -> Entity {
        self.lease_id(resting.id)
            .int(resting.revision)
            .bid(&resting.deferred.bid)
            .time(resting.deferred.deadline)
            .int(resting.deferred.then == AtDeadline::Market)
            .int(resting.limit.picodollars())
            .money(resting.hold)
            .time(resting.rested_at)
            .each(resting.markets.iter(), |entity, market| entity.int(market.number()))
    }

    fn back_off(self, back_off: &BackOff) -> Entity {
        let entity = self.int(back_off.failures).time(back_off.failed_at).time(back_off.until);
        match back_off.trial {
            None => entity.int(0),
            Some(lease) => entity.int(1).lease_id(lease),
        }
    }

    fn sweep(self, sweep: &Sweep) -> Entity {
        let (after, floor, again) = sweep.parts();
        self.option(after.map(|(limit, _)| limit.picodollars()))
            .option(after.map(|(_, bid)| bid))
            .int(floor.picodollars())
            .option(again.map(Price::picodollars))
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
            .chain(
                self.registry
                    .providers
                    .iter()
                    .zip(&self.shelf.sellers)
                    .map(|(provider, seller)| self.provider_hash(provider, seller)),
            )
            .chain(self.registry.functions.iter().flat_map(|function| self.function_hashes(function)))
            .chain(self.shelf.offers.iter().flatten().map(|offer| self.offer_hash(offer)))
            .chain(self.leases.open.values().map(|open| self.lease_hash(open)))
            .chain(self.bids.resting.values().map(|resting| Entity::new(8).resting(resting).hash()))
            .chain(self.keys().map(key_hash));
        hashes.fold(self.whole_hash(), u128::wrapping_add)
    }

    fn whole_hash(&self) -> u128 {
        let whole = Entity::new(0)
            .int(self.run)
            .int(self.sequence)
            .time(self.last_at)
            .int(self.fee_basis_points)
            .int(self.shelf.last_offer());
        let (mut of_markets, mut of_accounts) = (Vec::new(), Vec::new());
        for (side, sweep) in self.bids.sweeps() {
            match side {
                Side::Market(market) => of_markets.push((market, sweep)),
                Side::Account(account) => of_accounts.push((account, sweep)),
            }
        }
        let whole = whole
            .int(self.rules)
            .each(self.leases.runs.iter(), |entity, (run, began)| entity.int(*run).int(*began))
            .each(self.leases.late.iter(), |entity, (lease, until)| entity.lease_id(*lease).time(*until))
            .each(self.brokers.0.iter(), |entity, (session, online)| entity.int(*session).int(*online))
            .each(of_markets.into_iter(), |entity, (market, sweep)| entity.int(market.number()).sweep(sweep))
            .each(of_accounts.into_iter(), |entity, (account, sweep)| entity.int(account.number()).sweep(sweep))
            .each(self.bids.eager(), |entity, bid| entity.int(bid))
            .option(self.bids.next_look().map(Time::micros));
        whole.hash()
    }

    fn accounts_hashes(&self) -> impl Iterator<Item = u128> {
        self.ledger.accounts.iter().map(|account| {
            let held = i128::try_from(account.held).unwrap_or(i128::MAX);
            let entity = Entity::new(1).text(&account.name).int(account.balance.picodollars()).int(held);
            let limits = &account.limits;
            self.spending_of(entity, &account.spending)
                .int(account.frozen)
                .money(limits.credit_limit)
                .option(limits.rate_per_second)
                .option(limits.exposure.map(Money::picodollars))
                .option(limits.max_concurrency)
                .budgets(&limits.budgets)
                .hash()
        })
    }

    fn spending_of(&self, entity: Entity, spending: &Spending) -> Entity {
        [Period::Day, Period::Month].into_iter().fold(entity, |entity, period| {
            let (spent, held) = spending.of(period, &self.calendar);
            entity.int(i128::try_from(spent).unwrap_or(i128::MAX)).int(i128::try_from(held).unwrap_or(i128::MAX))
        })
    }

    fn market_hashes(&self) -> impl Iterator<Item = u128> {
        self.registry.markets.iter().map(|market| {
            let spot = market.spot_price.map(|price| price.picodollars());
            let entity = Entity::new(2).text(market.name.as_str()).option(spot).int(market.trades);
            let (low, high) = (market.terms.bands.map(|bands| bands.0), market.terms.bands.map(|bands| bands.1));
            entity
                .text(market.terms.state.as_str())
                .option(low.map(Price::picodollars))
                .option(high.map(Price::picodollars))
                .int(market.terms.self_dealing)
                .hash()
        })
    }

    fn provider_hash(&self, provider: &Provider, seller: &Seller) -> u128 {
        let entity = Entity::new(3)
            .text(provider.name.as_str())
            .int(provider.account.number())
            .int(provider.kind == ProviderKind::Market)
            .texts(provider.labels.iter())
            .int(provider.session)
            .int(provider.online)
            .text(&provider.endpoint)
            .int(provider.last_quote)
            .int(provider.general_ratio.raw())
            .each(seller.pools.iter(), |entity, slot| {
                let pool = &self.shelf.pools[*slot as usize];
                entity.int(pool.size.memory_mb).int(pool.size.slots).int(pool.leased_mb).int(pool.leases)
            });
        let (limits, health) = (&provider.limits, &provider.health);
        let entity = entity
            .each(provider.quotas.iter(), |entity, allowance| {
                let (requests, energy_mb_ms) = allowance.used(&self.calendar);
                let quota = &allowance.quota;
                let entity = entity.text(quota.name.as_str()).option(quota.requests).option(quota.energy_mb_ms);
                entity
                    .text(quota.renews.map_or("", Period::as_str))
                    .int(requests)
                    .int(energy_mb_ms)
                    .int(allowance.generation())
            })
            .option(limits.offers)
            .option(limits.quotes_per_second)
            .option(limits.exposure.map(Money::picodollars))
            .each(provider.killed.iter(), |entity, reason| entity.text(reason))
            .each(provider.protection.iter(), |entity, p| entity.int(p.leases).int(p.within_ms))
            .each(provider.leased_at.iter(), |entity, at| entity.time(*at))
            .int(provider.quoted.0)
            .int(provider.quoted.1)
            .each(health.whole.iter(), |entity, back_off| entity.back_off(back_off))
            .each(health.revisions.iter(), |entity, ((function, revision), back_off)| {
                entity.int(function.number()).int(*revision).back_off(back_off)
            })
            .each(health.users.iter(), |entity, user| match user {
                None => entity.int(0),
                Some((account, at)) => entity.int(1).int(account.number()).time(*at),
            });
        called(entity, provider).hash()
    }

    fn function_hashes<'a>(&'a self, function: &'a Function) -> impl Iterator<Item = u128> + 'a {
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
            .texts(settings.labels.iter())
            .limits(&settings.limits);
        let entity = audience(entity, settings);
        let entity = self
            .spending_of(entity.budgets(&settings.budgets), &function.spending)
            .each(function.canaries.iter(), |entity, (alias, canary)| {
                entity.text(alias.as_str()).int(canary.revision).int(canary.weight)
            })
            .option(settings.public_per_second);
        let revisions = function.revisions.iter().enumerate();
        let revisions = revisions.map(move |(number, revision)| self.revision_hash(function, number as u64, revision));
        std::iter::once(entity.hash()).chain(revisions)
    }

    fn revision_hash(&self, function: &Function, number: u64, revision: &Revision) -> u128 {
        let code = &revision.code;
        let mut pairs: Vec<_> = revision.durations.oldest_first().collect();
        pairs.sort_unstable_by_key(|pair| pair.provider);
        let entity = Entity::new(5)
            .int(function.account.number())
            .text(function.name.as_str())
            .int(number)
            .int(code.memory_mb)
            .int(code.timeout_ms)
            .texts(code.environment.iter())
            .each(code.deployments.iter(), |entity, (name, target)| entity.text(name.as_str()).text(target))
            .each(code.module.as_ref().map_or(&[][..], |digest| digest).iter(), |entity, byte| entity.int(*byte))
            .each(pairs.iter(), |entity, pair| {
                entity.int(pair.provider).int(pair.seen).int(pair.wall.raw()).int(pair.cpu.raw())
            })
            .each(revision.probes.iter(), |entity, (provider, count)| entity.int(provider.number()).int(*count));
        let ages: Vec<_> = revision.durations.oldest_first().collect();
        entity.each(ages.iter(), |entity, pair| entity.int(pair.provider).int(pair.cold_us).int(pair.touched_s)).hash()
    }

    fn offer_hash(&self, offer: &Offer) -> u128 {
        let pool = &self.shelf.pools[offer.pool as usize];
        let entity = Entity::new(6)
            .int(offer.id.0)
            .int(pool.provider.number())
            .int(pool.index)
            .int(offer.market.number())
            .int(offer.rung)
            .int(offer.capacity_mb)
            .tariff(&offer.tariff)
            .int(offer.vcpus_milli)
            .int(offer.memory_min_mb)
            .int(offer.memory_max_mb)
            .int(offer.longest_ms)
            .int(offer.enforces_timeout)
            .int(offer.leased_mb)
            .int(offer.leases)
            .int(offer.place)
            .int(offer.retired);
        let entity = entity.option(offer.quota).option(offer.expires.map(Time::micros));
        let entity = entity.each(offer.audience().iter(), |entity, account| entity.int(account.number()));
        match &offer.extras {
            None => entity.hash(),
            Some(extras) => entity.texts(extras.labels.iter()).hash(),
        }
    }

    fn lease_hash(&self, open: &OpenLease) -> u128 {
        let lease = &open.lease;
        let state = match lease.state {
            LeaseState::Running => 0,
            LeaseState::Overdue => 1,
            LeaseState::Unknown => 2,
            LeaseState::Offered => 3,
        };
        let entity = Entity::new(7)
            .lease_id(lease.id)
            .lease_id(lease.invocation)
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
            .money(lease.quoted_cost)
            .money(lease.hold)
            .time(lease.capacity_until)
            .time(lease.settle_by)
            .int(state)
            .int(lease.on_prior);
        entity
            .money(lease.worst_cost)
            .time(lease.matched_at)
            .usage(lease.claim.as_ref())
            .request(lease.request)
            .int(open.slot.is_some())
            .each(open.reserve.iter(), |entity, reserve| {
                let (quota, generation, since, energy_mb_ms) = reserve.parts();
                entity.int(quota).int(generation).time(since).int(energy_mb_ms)
            })
            .each(open.resting.iter(), |entity, resting| entity.resting(resting))
            .hash()
    }
}

fn key_hash(key: &Key) -> u128 {
    Entity::new(9)
        .int(key.id.0)
        .text(key.role.as_str())
        .int(key.account.number())
        .int(key.version)
        .time(key.created_at)
        .option(key.expires.map(Time::micros))
        .int(key.revoked)
        .option(key.previous_until.map(Time::micros))
        .hash()
}

/// Writes how a provider is called.
fn called(entity: Entity, provider: &Provider) -> Entity {
    entity.int(provider.adapter == Adapter::Http).int(provider.endpoint_trusted)
}

fn audience(entity: Entity, settings: &FunctionSettings) -> Entity {
    match &settings.audience {
        Audience::Own => entity.int(0),
        Audience::Any => entity.int(1),
        Audience::Listed(names) => entity.int(2).each(names.iter(), |entity, name| entity.text(name.as_str())),
    }
}
