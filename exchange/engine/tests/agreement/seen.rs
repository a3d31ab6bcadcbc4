//! Coverage of the random commands: a run that never grants or never expires a lease would prove nothing.

use std::collections::BTreeMap;

use merit_engine::{
    Applied, BidEnding, Command, CorrectionKind, Ending, Engine, Event, Lease, LeaseState, MeritOrder, ProviderKind,
    Quote, Reply, Why,
};
use merit_terms::{LeaseId, Money, Name, NoOffer, Period, ProviderId, Refusal, Time};

use super::is_unknown;
use crate::naive::Twin;

#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) counts: BTreeMap<&'static str, u64>,
    /// Quotas that were drawn on, and whether they were used up.
    used: BTreeMap<(ProviderId, Name, Option<Period>), bool>,
}

/// Codes of replies, refusals and reasons in quotes, and names of paths, each of which a full run must reach.
const REQUIRED: [&str; 117] = [
    // Replies and refusals.
    "done",
    "named",
    "session",
    "broker session",
    "granted",
    "resting",
    "settled",
    "key",
    "not_found",
    "already_exists",
    "invalid",
    "wrong rungs",
    "not_in_session",
    "stale_quote",
    "max_concurrency",
    "insufficient_funds",
    "budget_exceeded",
    "no_capacity",
    "no_supply",
    "no_eligible_provider",
    "closed",
    "forgotten",
    "account_frozen",
    "provider_killed",
    "market_closed",
    "over_limit",
    "payout beyond funds",
    "unknown_rules",
    // Reasons.
    "market",
    "region",
    "no_deployment",
    "not_allowed",
    "excluded",
    "already_tried",
    "missing_label",
    "memory_range",
    "too_long",
    "max_price",
    "max_latency",
    "max_cost",
    "cannot_cut_timeout",
    "probing",
    "no_room",
    "no_slot",
    "account_share",
    "no_funds",
    "no_budget",
    "quota_exhausted",
    "closed market",
    "outside_bands",
    "barred",
    "target_not_allowed",
    "self_dealing",
    "exposure",
    "backing_off",
    "on_trial",
    "warming",
    // Paths.
    "timeout cut",
    "cold start predicted",
    "served by an own provider",
    "served another's own account",
    "served after a logout",
    "private trade on the market",
    "refused in private",
    "forgotten in private",
    "served late",
    "overdue",
    "over 64 due",
    "pool oversold",
    "clock back",
    "offer changed",
    "offer expired",
    "offer kept",
    "bid matched at once",
    "bid matched by a sweep",
    "bid matched at its deadline",
    "bid expired",
    "bid cancelled",
    "not taken up",
    "taken up",
    "64 bids examined",
    "woken by the end of a pause",
    "woken by the end of a trial",
    "woken by a provider that is well",
    "woken by a revision that is ready",
    "woken by the end of shares",
    "woken by a new day",
    "woken by exposure",
    "woken by concurrency",
    "woken by limits of an account",
    "woken by limits of a provider",
    "woken by a function",
    "woken by labels",
    "woken by targets",
    "woken by money",
    "woken by a logon",
    "quota used up",
    "quota renewed",
    "provider out",
    "provider back",
    "revision back",
    "claim paid",
    "claim paid out of the pot",
    "claim waited",
    "pot shared",
    "forgotten paid",
    "loss paid",
    "request repeated",
    "bid repeated",
    "leases resumed",
    "bids resumed",
    "protected",
    "own pot",
    "refunded",
    "key rotated",
    "key revoked",
    "key expired",
];

impl Seen {
    pub(crate) fn see(&mut self, what: &'static str) {
        *self.counts.entry(what).or_default() += 1;
    }

    fn see_if(&mut self, is_seen: bool, what: &'static str) {
        if is_seen {
            self.see(what);
        }
    }

    pub(crate) fn check(&self) {
        let missing: Vec<_> = REQUIRED.iter().filter(|what| !self.counts.contains_key(*what)).collect();
        assert!(missing.is_empty(), "never seen: {missing:?}");
    }

    pub(crate) fn note_quote(&mut self, quote: &MeritOrder) {
        for refused in &quote.refused {
            self.see(match refused.reason.code() {
                "no_capacity" => "no_room",
                "insufficient_funds" => "no_funds",
                "budget_exceeded" => "no_budget",
                "market_closed" => "closed market",
                code => code,
            });
            self.see_if(!refused.visible, "refused in private");
        }
        self.see_if(quote.offers.iter().any(|offer| offer.cold_us > 0), "cold start predicted");
    }

    /// Counts the codes and paths of a command. `twin` has not applied it yet.
    pub(crate) fn note(
        &mut self,
        engine: &Engine,
        twin: &Twin,
        command: &Command,
        applied: &Applied,
        events: &[Event],
    ) {
        self.see(answer(applied));
        for event in events {
            self.note_event(engine, twin, command, applied, event);
        }
        let was_granted = events.iter().any(|event| matches!(event, Event::Granted(_)));
        match (command, &applied.reply) {
            (Command::Acquire(_), Ok(Reply::Granted(_))) => self.see_if(!was_granted, "request repeated"),
            (Command::Defer(_), Ok(Reply::Granted(_))) if was_granted => self.see("bid matched at once"),
            (Command::Defer(_), Ok(Reply::Granted(_) | Reply::Resting(_))) => {
                let has_rested = events.iter().any(|event| matches!(event, Event::BidRested(_)));
                self.see_if(!has_rested, "bid repeated");
            }
            (Command::Quote(quote), Ok(_)) => self.note_quoted(twin, quote, events),
            (Command::TakeUp { lease }, Ok(_)) => {
                let offered = |id: LeaseId| {
                    twin.leases.iter().any(|open| open.lease.id == id && open.lease.state == LeaseState::Offered)
                };
                self.see_if(offered(*lease), "taken up");
            }
            (Command::Settle(settle), Ok(Reply::Settled(_))) => {
                let is_late = |id: LeaseId| twin.leases.iter().any(|open| open.lease.id == id && !open.has_capacity);
                self.see_if(is_late(settle.lease), "served late");
            }
            (Command::SettleForgotten(_), Ok(Reply::Settled(_))) => self.see("forgotten paid"),
            (Command::BrokerLogon { .. }, Ok(Reply::Broker(session))) => {
                self.see_if(!session.leases.is_empty(), "leases resumed");
                self.see_if(!session.bids.is_empty(), "bids resumed");
            }
            (Command::Correct(correction), Ok(_)) => {
                self.see_if(correction.kind == CorrectionKind::Refund, "refunded");
            }
            (Command::RotateKey { .. }, Ok(_)) => self.see("key rotated"),
            (Command::RevokeKey { .. }, Ok(_)) => self.see("key revoked"),
            _ => {}
        }
        let expires = |at: Option<Time>| at.is_some_and(|at| at <= applied.at);
        self.see_if(twin.offers.iter().any(|offer| expires(offer.rung.expires)), "offer expired");
        self.see_if(twin.keys.iter().any(|key| expires(key.expires)), "key expired");
    }

    fn note_quoted(&mut self, twin: &Twin, quote: &Quote, events: &[Event]) {
        for stood in &twin.offers {
            if (stood.provider, stood.market) != (quote.provider, quote.market) {
                continue;
            }
            let is_shown = |event: &Event| matches!(event, Event::Offer(shown) if shown.offer == stood.id);
            let is_gone = |event: &Event| matches!(event, Event::OfferGone { offer, .. } if *offer == stood.id);
            let changed = events.iter().any(is_shown);
            self.see_if(changed, "offer changed");
            self.see_if(!changed && !events.iter().any(is_gone), "offer kept");
        }
    }

    fn note_event(&mut self, engine: &Engine, twin: &Twin, command: &Command, applied: &Applied, event: &Event) {
        match event {
            Event::Granted(lease) => {
                let provider = engine.provider(lease.provider).unwrap();
                let is_own = provider.kind == ProviderKind::Own;
                self.see_if(is_own, "served by an own provider");
                self.see_if(is_own && provider.account != lease.account, "served another's own account");
                self.see_if(!provider.online, "served after a logout");
                let code = &engine.function(lease.function).unwrap().revision(lease.revision).unwrap().code;
                self.see_if(lease.timeout_ms < code.timeout_ms, "timeout cut");
                let call = |lease: &Lease| (lease.account, lease.function, lease.invocation);
                let same = |open: &&crate::naive::OpenLease| call(&open.lease) == call(lease);
                let shares = twin
                    .leases
                    .iter()
                    .filter(same)
                    .any(|open| is_unknown(&open.lease) && open.lease.hold > Money::ZERO);
                self.see_if(shares && !is_own, "pot shared");
                self.see_if(shares && is_own, "own pot");
            }
            Event::Settled { lease, settlement, .. } => {
                let by_broker = matches!(command, Command::Settle(settle) if settle.lease == lease.id)
                    || matches!(command, Command::SettleForgotten(_));
                self.see_if(!by_broker, "claim paid");
                let is_market = engine.provider(lease.provider).unwrap().kind == ProviderKind::Market;
                self.see_if(lease.private && is_market, "private trade on the market");
                let is_forgotten = matches!(command, Command::SettleForgotten(_));
                self.see_if(lease.private && is_forgotten, "forgotten in private");
                let held = twin.leases.iter().find(|open| open.lease.id == lease.id).map(|open| open.lease.hold);
                self.see_if(!by_broker && held.is_some_and(|held| held < settlement.cost), "claim paid out of the pot");
            }
            Event::Ended { how: Ending::NotTakenUp, .. } => self.see("not taken up"),
            Event::Offered(_) => self.see("bid matched by a sweep"),
            Event::BidGone { resting, how: BidEnding::Matched } => {
                self.see_if(resting.deferred.deadline <= applied.at, "bid matched at its deadline");
            }
            Event::BidGone { how: BidEnding::Expired, .. } => self.see("bid expired"),
            Event::BidGone { how: BidEnding::Cancelled, .. } => self.see("bid cancelled"),
            Event::Health { revision: None, until, .. } if *until > Time::default() => self.see("provider out"),
            Event::Health { revision: None, .. } => self.see("provider back"),
            Event::Health { revision: Some(_), until, .. } => self.see_if(*until == Time::default(), "revision back"),
            Event::Moved { why: Why::Loss { .. }, amount, .. } => self.see_if(*amount > Money::ZERO, "loss paid"),
            Event::Protected { .. } => self.see("protected"),
            _ => {}
        }
    }

    /// Counts the states of the market after a command.
    pub(crate) fn note_state(&mut self, engine: &Engine, applied: &Applied, twin: &Twin) {
        twin.woken.iter().for_each(|why| self.see(why));
        self.see_if(twin.has_dues(applied.at), "over 64 due");
        let was_matched = twin.events.iter().any(|event| matches!(event, Event::Granted(_)));
        self.see_if(twin.has_pending() && !was_matched, "64 bids examined");
        let overdue = engine.open_leases().any(|lease| lease.state == LeaseState::Overdue);
        self.see_if(overdue, "overdue");
        let waits = |lease: &&Lease| lease.settle_by > lease.capacity_until.after_millis(600_000);
        self.see_if(engine.open_leases().any(|lease| waits(&lease)), "claim waited");
        for (id, _) in engine.providers() {
            self.see_if(engine.pools(id).iter().any(|pool| pool.leased_mb > pool.size.memory_mb), "pool oversold");
            for view in engine.quotas(id) {
                let key = (id, view.quota.name.clone(), view.quota.renews);
                let is_full = view.quota.requests == Some(view.used_requests);
                let was_full = self.used.insert(key, is_full && view.used_requests > 0).unwrap_or(false);
                self.see_if(is_full && view.used_requests > 0, "quota used up");
                self.see_if(was_full && view.used_requests == 0 && view.quota.renews.is_some(), "quota renewed");
            }
        }
    }
}

fn answer(applied: &Applied) -> &'static str {
    match &applied.reply {
        Ok(Reply::Done) => "done",
        Ok(Reply::Account(_) | Reply::Market(_) | Reply::Provider(_) | Reply::Function { .. }) => "named",
        Ok(Reply::Session(_)) => "session",
        Ok(Reply::Broker(_)) => "broker session",
        Ok(Reply::Granted(_)) => "granted",
        Ok(Reply::Resting(_)) => "resting",
        Ok(Reply::Settled(_)) => "settled",
        Ok(Reply::Key(_)) => "key",
        Err(Refusal::Rungs { .. }) => "wrong rungs",
        Err(Refusal::InsufficientFunds { .. }) => "payout beyond funds",
        Err(Refusal::NoOffer { class: NoOffer::Funds, .. }) => "insufficient_funds",
        Err(refusal) => refusal.code().as_str(),
    }
}
