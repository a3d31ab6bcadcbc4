//! Compares the market that the engine shows with the twin's, and the events with both.

mod awake;
mod copies;
mod facts;
mod invariants;
mod same;
mod seen;
mod told;

use std::collections::BTreeMap;

use merit_engine::{Applied, Bid, Candidate, Engine, Lease, LeaseState, MeritOrder, Resting, SpendingOf, Viewer};
use merit_terms::{FunctionId, LeaseId, OfferId, Period, ProviderId, Reason, Refusal};

pub(crate) use awake::Awake;
pub(crate) use copies::Copies;
pub(crate) use facts::same_facts;
pub(crate) use invariants::Invariants;
pub(crate) use same::{same, same_items};
pub(crate) use seen::Seen;
pub(crate) use told::Told;

use crate::naive::{Ranked, Spender, Twin, lacks};

/// Clears the messages of refusals: the twin names only the field or rung that is wrong.
pub(crate) fn without_messages(mut applied: Applied) -> Applied {
    match &mut applied.reply {
        Err(Refusal::Rungs { rungs }) => rungs.iter_mut().for_each(|(_, message)| message.clear()),
        Err(
            Refusal::Invalid { message: text, .. }
            | Refusal::Frozen { account: text }
            | Refusal::InsufficientFunds { available: text },
        ) => text.clear(),
        _ => {}
    }
    applied
}

pub(crate) fn compare(engine: &Engine, twin: &Twin, told: &Told) {
    assert_eq!((engine.run(), engine.sequence(), engine.last_at()), (twin.run, twin.sequence, twin.last_at));
    assert_eq!((engine.rules(), engine.fee_basis_points()), (twin.rules, twin.fee_basis_points));
    assert_eq!(engine.master_key_check(), twin.master_key_check);
    // A time in the past is due now.
    let due = |at: Option<merit_terms::Time>| at.map(|at| at.max(twin.last_at));
    assert_eq!(due(engine.next_due()), due(twin.next_due()), "next due");
    compare_money(engine, twin);
    compare_markets(engine, twin);
    let leases: Vec<&Lease> = twin.leases.iter().map(|open| &open.lease).collect();
    same_items("open leases", engine.open_leases(), leases);
    let mut resting: Vec<&Resting> = twin.resting.iter().map(|rested| &rested.resting).collect();
    resting.sort_by_key(|bid| bid.id);
    same_items("resting bids", engine.resting(), resting);
    let mut brokers: Vec<(u64, bool)> = twin.brokers.iter().map(|broker| (broker.session, broker.online)).collect();
    brokers.sort_unstable();
    same_items("brokers", engine.brokers(), brokers);
    same_items("keys", engine.keys(), twin.keys.iter());
    compare_providers(engine, twin);
    compare_functions(engine, twin);
    told.compare(engine);
}

fn compare_money(engine: &Engine, twin: &Twin) {
    assert_eq!(engine.accounts().len(), twin.accounts.len());
    for ((id, account), twins) in engine.accounts().zip(&twin.accounts) {
        let balance = account.balance.picodollars();
        assert_eq!((&account.name, balance, account.held), (&twins.name, twins.balance, twin.held(id)));
        assert_eq!((account.frozen, &account.limits), (twins.frozen, &twins.limits), "{id:?}");
        for period in [Period::Day, Period::Month] {
            let spending = engine.spending(SpendingOf::Account(id), period);
            assert_eq!(spending, twin.spending(Spender::Account(id), period, twin.last_at), "{id:?} {period:?}");
        }
    }
}

fn compare_markets(engine: &Engine, twin: &Twin) {
    let live = || twin.markets.iter().filter(|market| !market.deleted);
    assert_eq!(engine.markets().count(), live().count());
    for ((id, market), twins) in engine.markets().zip(live()) {
        let of_twin = (&twins.name, twins.last_price, twins.trades, twins.terms);
        assert_eq!((&market.name, market.last_price, market.trades, market.terms), of_twin);
        same_items(&format!("the book of {id:?}"), engine.book(id), twin.book(id));
    }
}

fn compare_providers(engine: &Engine, twin: &Twin) {
    assert_eq!(engine.providers().count(), twin.providers.len());
    for ((id, provider), twins) in engine.providers().zip(&twin.providers) {
        assert_eq!((&provider.name, provider.account, provider.kind), (&twins.name, twins.account, twins.kind));
        let state = (provider.session, provider.online, &provider.endpoint, &provider.labels);
        assert_eq!(state, (twins.session, twins.online, &twins.endpoint, &twins.labels), "{id:?}");
        let called = (provider.adapter, provider.endpoint_trusted, &provider.targets);
        assert_eq!(called, (twins.adapter, twins.endpoint_trusted, &twins.targets), "{id:?}");
        assert_eq!((&provider.killed, provider.exposure), (&twins.killed, twin.exposure(id)), "{id:?}");
        same_items(&format!("quotas of {id:?}"), engine.quotas(id), twin.quotas(id, twin.last_at));
        same_items(&format!("health of {id:?}"), health(engine, id), health_of(twin, id));
    }
}

type Health = Vec<(Option<(FunctionId, u32)>, u32, merit_terms::Time, Option<LeaseId>)>;

/// Returns the health of a provider. A trial counts while it is open.
fn health(engine: &Engine, id: ProviderId) -> Health {
    let is_open = |id: &LeaseId| engine.open_leases().any(|lease| lease.id == *id);
    let views = engine.health(id).into_iter();
    views.map(|back| (back.revision, back.failures, back.until, back.trial.filter(is_open))).collect()
}

fn health_of(twin: &Twin, id: ProviderId) -> Health {
    let is_open = |id: &LeaseId| twin.leases.iter().any(|open| open.lease.id == *id);
    let backs = twin.backs.iter().filter(|back| back.provider == id && back.is_behind());
    let mut health: Health =
        backs.map(|back| (back.revision, back.failures, back.until, back.trial.filter(is_open))).collect();
    health.sort();
    health
}

fn compare_functions(engine: &Engine, twin: &Twin) {
    for (twins, number) in twin.functions.iter().zip(0..) {
        let id = FunctionId::new(number);
        let function = engine.function(id).expect("the twin knows it");
        assert_eq!((function.account, &function.name, function.deleted), (twins.account, &twins.name, twins.deleted));
        let aliases = (function.live, &function.aliases, &function.canaries);
        assert_eq!(aliases, (twins.live, &twins.aliases, &twins.canaries), "{id:?}");
        assert_eq!((function.running, &function.settings), (twin.running(id), &twins.settings), "{id:?}");
        let codes = function.revisions.iter().map(|revision| &revision.code);
        assert!(codes.eq(twins.revisions.iter().map(|revision| &revision.code)), "{id:?}");
        for period in [Period::Day, Period::Month] {
            let spending = engine.spending(SpendingOf::Function(id), period);
            assert_eq!(spending, twin.spending(Spender::Function(id), period, twin.last_at), "{id:?} {period:?}");
        }
    }
    assert!(engine.function(FunctionId::new(twin.functions.len() as u32)).is_none());
}

/// Checks that both give the same merit order, and refuse the same offers: each for a reason that the twin finds, too,
/// and of the class of the nearest miss, visible to the same accounts. Returns the engine's quote, or none if the bid
/// is refused or its account frozen.
pub(crate) fn compare_quotes(engine: &Engine, twin: &Twin, bid: &Bid) -> Option<MeritOrder> {
    if engine.account(bid.account).is_ok_and(|account| account.frozen) {
        return None;
    }
    let (quote, decision) = match (engine.quote(bid), twin.decide(twin.last_at, bid, None)) {
        (Ok(quote), Ok(decision)) => (quote, decision),
        (quote, decision) => {
            assert_eq!(quote.err().map(|refusal| refusal.code()), decision.err().map(|refusal| refusal.code()));
            return None;
        }
    };
    assert_eq!(quote.revision, decision.revision);
    same_items(&format!("the merit order for {bid:?}"), quote.offers.iter().map(ranked), decision.ranked);
    let twins: BTreeMap<OfferId, Vec<Reason>> = decision.refused.into_iter().collect();
    assert_eq!(quote.refused.len(), twins.len(), "{bid:?}");
    for refused in &quote.refused {
        let (reason, reasons) = (&refused.reason, &twins[&refused.offer]);
        assert!(reasons.contains(reason), "{reason:?} is not among {reasons:?} for {bid:?}");
        assert_eq!(reason.class(), lacks(reasons), "{reason:?} of {reasons:?} for {bid:?}");
        let offer = twin.offers.iter().find(|offer| offer.id == refused.offer).unwrap();
        assert_eq!(refused.visible, twin.is_seen_by(offer, bid.account), "{refused:?} for {bid:?}");
    }
    let sees = |candidate: &Candidate| engine.sees_provider(Viewer::Account(bid.account), candidate.provider);
    assert!(quote.offers.iter().all(sees), "whoever may buy of a provider sees it: {bid:?}");
    Some(quote)
}

fn ranked(candidate: &Candidate) -> Ranked {
    Ranked {
        offer: candidate.offer,
        provider: candidate.provider,
        market: candidate.market,
        price: candidate.price,
        tariff: candidate.tariff,
        wall_us: candidate.wall_us,
        cold_us: candidate.cold_us,
        billed_ms: candidate.billed_ms,
        cost: candidate.cost,
        cost_of_answer: candidate.cost_of_answer,
        success_percent: candidate.success_percent,
        worst_cost: candidate.worst_cost,
        timeout_ms: candidate.timeout_ms,
        source: candidate.source,
    }
}

/// Returns whether the lease waits for a claim.
pub(crate) fn is_unknown(lease: &Lease) -> bool {
    lease.state == LeaseState::Unknown
}
