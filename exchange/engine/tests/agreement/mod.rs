//! Whether the engine and its twin see the same market, and whether the events told of all of it.

use std::collections::BTreeMap;

use merit_engine::{Applied, Bid, Candidate, Engine, Event, Lease, OfferChange};
use merit_terms::{AccountId, FunctionId, OfferId, Reason, Refusal};

use crate::naive::{Ranked, Twin};

/// The twin does not repeat the engine's sentences, only which field or rung is wrong.
pub(crate) fn without_messages(mut applied: Applied) -> Applied {
    match &mut applied.reply {
        Err(Refusal::Invalid { message, .. }) => message.clear(),
        Err(Refusal::Rungs { rungs }) => rungs.iter_mut().for_each(|(_, message)| message.clear()),
        _ => {}
    }
    applied
}

/// What a reader of the events knows: the books, and what each account has.
#[derive(Default)]
pub(crate) struct Told {
    offers: BTreeMap<OfferId, OfferChange>,
    balances: BTreeMap<AccountId, i128>,
}

impl Told {
    pub(crate) fn hear(&mut self, events: &[Event]) {
        for event in events {
            match event {
                Event::Offer(offer) if offer.capacity_mb == 0 => {
                    self.offers.remove(&offer.offer);
                }
                Event::Offer(offer) => {
                    self.offers.insert(offer.offer, *offer);
                }
                Event::Moved { from, to, amount } => {
                    *self.balances.entry(*from).or_default() -= i128::from(amount.picodollars());
                    *self.balances.entry(*to).or_default() += i128::from(amount.picodollars());
                }
                _ => {}
            }
        }
    }
}

pub(crate) fn compare(engine: &Engine, twin: &Twin, told: &Told) {
    assert_eq!((engine.run(), engine.sequence(), engine.last_at()), (twin.run, twin.sequence, twin.last_at));
    assert_eq!((engine.fee_basis_points(), engine.next_due()), (twin.fee_basis_points, twin.next_due()));
    assert_eq!(engine.accounts().len(), twin.accounts.len());
    for ((id, account), twins) in engine.accounts().zip(&twin.accounts) {
        let balance = account.balance.picodollars();
        assert_eq!((&account.name, balance, account.held), (&twins.name, twins.balance, twin.held(id)));
        assert_eq!(balance, told.balances.get(&id).copied().unwrap_or(0), "{id:?} by the events");
    }
    assert_eq!(engine.markets().count(), twin.markets.len());
    let mut live = Vec::new();
    for ((id, market), twins) in engine.markets().zip(&twin.markets) {
        let of_twin = (&twins.name, twins.spot_price, twins.trades);
        assert_eq!((&market.name, market.spot_price, market.trades), of_twin);
        assert_eq!(engine.book(id), twin.book(id), "{id:?}");
        live.extend(engine.book(id));
    }
    live.sort_by_key(|offer| offer.offer);
    assert_eq!(told.offers.values().copied().collect::<Vec<_>>(), live, "the books by the events");
    let twins: Vec<&Lease> = twin.leases.iter().map(|open| &open.lease).collect();
    assert_eq!(engine.open_leases().collect::<Vec<_>>(), twins);
    compare_registry(engine, twin);
}

fn compare_registry(engine: &Engine, twin: &Twin) {
    assert_eq!(engine.providers().count(), twin.providers.len());
    for ((id, provider), twins) in engine.providers().zip(&twin.providers) {
        assert_eq!((&provider.name, provider.account, provider.kind), (&twins.name, twins.account, twins.kind));
        let state = (provider.session, provider.online, &provider.endpoint, &provider.labels);
        assert_eq!(state, (twins.session, twins.online, &twins.endpoint, &twins.labels), "{id:?}");
    }
    for (twins, number) in twin.functions.iter().zip(0..) {
        let id = FunctionId::new(number);
        let function = engine.function(id).expect("the twin knows it");
        assert_eq!((function.account, &function.name, function.deleted), (twins.account, &twins.name, twins.deleted));
        assert_eq!((function.live, &function.aliases), (twins.live, &twins.aliases), "{id:?}");
        assert_eq!((function.running, &function.settings), (twin.running(id), &twins.settings), "{id:?}");
        let codes = function.revisions.iter().map(|revision| &revision.code);
        assert!(codes.eq(twins.revisions.iter().map(|revision| &revision.code)), "{id:?}");
    }
    assert!(engine.function(FunctionId::new(twin.functions.len() as u32)).is_none());
}

/// The same merit order, and each refusal for a reason that the twin finds too: room before funds, both last.
pub(crate) fn compare_quotes(engine: &Engine, twin: &Twin, bid: &Bid) {
    let (quote, decision) = match (engine.quote(bid), twin.decide(bid)) {
        (Ok(quote), Ok(decision)) => (quote, decision),
        (quote, decision) => {
            assert_eq!(quote.err().map(|refusal| refusal.code()), decision.err().map(|refusal| refusal.code()));
            return;
        }
    };
    assert_eq!(quote.revision, decision.revision);
    assert_eq!(quote.offers.iter().map(ranked).collect::<Vec<_>>(), decision.ranked, "{bid:?}");
    let twins: BTreeMap<OfferId, Vec<Reason>> = decision.refused.into_iter().collect();
    assert_eq!(quote.refused.len(), twins.len(), "{bid:?}");
    for refused in &quote.refused {
        let (reason, reasons) = (&refused.reason, &twins[&refused.offer]);
        let urgency = |reason: &Reason| (reason.is_funds(), reason.is_room());
        assert!(reasons.contains(reason), "{reason:?} is not among {reasons:?} for {bid:?}");
        assert!(reasons.iter().all(|other| urgency(reason) <= urgency(other)), "{reason:?} of {reasons:?}");
    }
}

fn ranked(candidate: &Candidate) -> Ranked {
    Ranked {
        offer: candidate.offer,
        provider: candidate.provider,
        market: candidate.market,
        price: candidate.price,
        tariff: candidate.tariff,
        wall_us: candidate.wall_us,
        billed_ms: candidate.billed_ms,
        cost: candidate.cost,
        worst_cost: candidate.worst_cost,
        timeout_ms: candidate.timeout_ms,
        on_prior: candidate.on_prior,
    }
}
