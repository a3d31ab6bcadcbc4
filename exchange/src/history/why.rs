//! The reason for an invocation's provider: the whole decision on each of its leases, recomputed by replay.
//!
//! Owns the way back to the market as it stood at a match. A lease keeps the winner, the runner-up and the sequence of
//! the decision; the engine's own quote gives the other offers.

use std::path::Path;

use merit_engine::{
    AtDeadline, Bid, Candidate, Command, Engine, Event, Lease, MeritOrder, Qualifier, Refused, Resting,
};
use merit_terms::{LeaseId, MarketId, Money, ProviderId, Time};

use super::{HistoryError, oldest, replay_to};
use crate::codec::{self, kind};
use crate::replay::{self, ReplayError};
use crate::snapshot;
use merit_journal::storage::{Directory, Storage};
use merit_journal::{self as journal, Enough, VisitError};

/// A decision that cannot be explained.
#[derive(Debug, thiserror::Error)]
pub enum WhyError {
    #[error(transparent)]
    History(#[from] HistoryError),
    #[error(
        "no lease of invocation {0} is in the journal; an id is RUN-SEQUENCE, as in the answer's Merit-Invocation-Id"
    )]
    NoLease(LeaseId),
    #[error("the deferred bid {0} has not been matched")]
    Unmatched(LeaseId),
    #[error("the command at sequence {0} matched nothing; a trade tells the sequence of its match")]
    NoMatch(u64),
}

/// A match, and its market.
#[derive(Debug)]
pub struct Decision {
    pub lease: Lease,
    /// The kind of the command that made the match.
    pub command: &'static str,
    pub account: String,
    pub function: String,
    pub winner: Named<()>,
    pub runner_up: Option<(String, Money)>,
    /// The offers that could have served it, cheapest first.
    pub offers: Vec<Named<Candidate>>,
    pub refused: Vec<Named<Refused>>,
    /// True if the first of the offers is the winner, as it should be. It may differ where resting bids were matched in
    /// the same command, or expired.
    pub agrees: bool,
}

/// A value with the names of its provider and market.
#[derive(Debug)]
pub struct Named<T> {
    pub provider: String,
    pub market: String,
    pub what: T,
}

/// Explains every match of an invocation, in order. Refuses if the journal no longer reaches back to the first.
pub fn why(data_dir: &Path, invocation: LeaseId) -> Result<Vec<Decision>, WhyError> {
    let storage = Directory::existing(data_dir);
    let Found { leases, resting } = find(&storage, invocation)?;
    if leases.is_empty() {
        return Err(if resting { WhyError::Unmatched(invocation) } else { WhyError::NoLease(invocation) });
    }
    leases.into_iter().map(|lease| Ok(explain(data_dir, &storage, lease)?)).collect()
}

/// Explains the match that the command at `sequence` made.
pub fn why_at(data_dir: &Path, sequence: u64) -> Result<Decision, WhyError> {
    let engine = replay_to(data_dir, sequence)?.engine;
    let lease = engine.open_leases().find(|lease| lease.id.sequence == sequence).cloned();
    let lease = lease.ok_or(WhyError::NoMatch(sequence))?;
    Ok(explain(data_dir, &Directory::existing(data_dir), lease)?)
}

/// The traces of an invocation in the journal.
#[derive(Default)]
struct Found {
    leases: Vec<Lease>,
    resting: bool,
}

/// Looks for the leases of an invocation from its own sequence on, until it is paid or expired.
fn find<S: Storage>(storage: &S, invocation: LeaseId) -> Result<Found, HistoryError> {
    let before = invocation.sequence.saturating_sub(1);
    let mut engine = match snapshot::newest(storage, before)?.loaded {
        Some(loaded) => loaded.engine,
        None => oldest(storage)?,
    };
    if engine.sequence() > before {
        return Err(HistoryError::TooOld { place: storage.to_string(), asked: before, oldest: engine.sequence() });
    }
    let mut found = Found::default();
    let mut over_at = Time::default();
    let mut events = Vec::new();
    journal::read_span(storage, engine.sequence(), u64::MAX, |sequence, record| {
        let at = replay::step(&mut engine, sequence, record, &mut events).map_err(Box::<ReplayError>::from)?.at;
        let mut is_over = sequence >= invocation.sequence && at > over_at && !found.resting;
        for event in events.drain(..) {
            match event {
                Event::Granted(lease) if lease.invocation == invocation => {
                    (over_at, is_over) = (lease.settle_by.max(over_at), false);
                    found.leases.push(*lease);
                }
                Event::BidRested(resting) if resting.id == invocation => (found.resting, is_over) = (true, false),
                Event::BidGone { resting, .. } if resting.id == invocation => found.resting = false,
                Event::Settled { lease, .. } if lease.invocation == invocation => is_over = true,
                _ => {}
            }
        }
        if is_over { Err(Enough.into()) } else { Ok::<(), VisitError>(()) }
    })?;
    Ok(found)
}

fn explain<S: Storage>(data_dir: &Path, storage: &S, lease: Lease) -> Result<Decision, HistoryError> {
    let sequence = lease.id.sequence;
    let before = replay_to(data_dir, sequence - 1)?.engine;
    let mut decided = None;
    journal::read_span(storage, sequence - 1, sequence, |_, record| {
        decided = Some(codec::decode(record).map_err(ReplayError::from)?);
        Ok(())
    })?;
    let Some((at, command)) = decided else {
        let (place, last) = (storage.to_string(), sequence - 1);
        return Err(HistoryError::TooNew { place, asked: sequence, last, damage: None });
    };
    let (market, order) = decision(before, at, &command, &lease);
    Ok(describe(&market, &command, lease, order))
}

/// Recomputes the market at the match, and the merit order in it.
fn decision(before: Engine, at: Time, command: &Command, lease: &Lease) -> (Engine, MeritOrder) {
    let wins = |order: &MeritOrder| order.offers.first().is_some_and(|first| first.offer == lease.offer);
    let (bid, then) = match command {
        Command::Acquire(bid) => ((**bid).clone(), let_time_pass(before.clone(), at)),
        Command::Defer(deferred) => (deferred.bid.clone(), let_time_pass(before.clone(), at)),
        _ => match before.resting().find(|resting| resting.id == lease.invocation) {
            Some(resting) => (bid_of(resting, at), without(before.clone(), &resting.clone(), at, command)),
            // It came back to the book in the same command.
            None => (bid_as_leased(lease), let_time_pass(before.clone(), at)),
        },
    };
    let order = quote(&then, &bid);
    if wins(&order) {
        return (then, order);
    }
    let earlier = quote(&before, &bid);
    if wins(&earlier) { (before, earlier) } else { (then, order) }
}

fn quote(engine: &Engine, bid: &Bid) -> MeritOrder {
    let nothing = |_| MeritOrder { revision: 0, offers: Vec::new(), refused: Vec::new() };
    engine.quote(bid).unwrap_or_else(nothing)
}

/// Runs the work that is due by `at`, as the engine does before a command of that time. Sets the present fee again.
fn let_time_pass(mut engine: Engine, at: Time) -> Engine {
    let basis_points = engine.fee_basis_points();
    engine.apply(at, &Command::SetFee { basis_points }, &mut Vec::new());
    engine
}

/// Applies the command that let a resting bid match, without a match: the bid is cancelled first, with its hold, and
/// the brokers of all others are lost.
fn without(mut engine: Engine, resting: &Resting, at: Time, command: &Command) -> Engine {
    let mut events = Vec::new();
    let last_at = engine.last_at();
    for (session, _) in engine.brokers() {
        engine.apply(last_at, &Command::BrokerLost { session }, &mut events);
    }
    let account = resting.deferred.bid.account;
    engine.apply(last_at, &Command::CancelBid { account, bid: resting.id }, &mut events);
    engine.apply(at, command, &mut events);
    engine
}

/// Makes the bid that a resting bid is matched as.
fn bid_of(resting: &Resting, at: Time) -> Bid {
    let mut bid = resting.deferred.bid.clone();
    bid.qualifier = Qualifier::Revision(resting.revision);
    bid.limits.max_cost = Some(resting.hold);
    if resting.deferred.then == AtDeadline::Market && resting.deferred.deadline <= at {
        bid.limits.max_price = None;
    }
    bid
}

/// Makes a bid from the fields that its lease still has.
fn bid_as_leased(lease: &Lease) -> Bid {
    Bid {
        account: lease.account,
        function: lease.function,
        qualifier: Qualifier::Revision(lease.revision),
        answer_limit_bytes: 0,
        limits: merit_terms::Limits::default(),
        tried: Vec::new(),
        invocation: None,
        request: lease.request,
    }
}

fn describe(market: &Engine, command: &Command, lease: Lease, order: MeritOrder) -> Decision {
    let provider = |id: ProviderId| market.provider(id).map_or_else(String::new, |found| found.name.to_string());
    let named = |id: MarketId| market.market(id).map_or_else(String::new, |found| found.name.to_string());
    let offers: Vec<Named<Candidate>> = order
        .offers
        .into_iter()
        .map(|what| Named { provider: provider(what.provider), market: named(what.market), what })
        .collect();
    let refused = order
        .refused
        .into_iter()
        .map(|what| Named { provider: provider(what.provider), market: named(what.market), what })
        .collect();
    Decision {
        command: kind(command),
        account: market.account(lease.account).map_or_else(|_| String::new(), |account| account.name.clone()),
        function: market.function(lease.function).map_or_else(String::new, |function| function.name.to_string()),
        winner: Named { provider: provider(lease.provider), market: named(lease.market), what: () },
        runner_up: lease.runner_up.map(|(id, cost)| (provider(id), cost)),
        agrees: offers.first().is_some_and(|first| first.what.offer == lease.offer),
        offers,
        refused,
        lease,
    }
}
