//! The broker's stream with the exchange as a pure machine: `(now, input) -> actions`.
//!
//! Owns the numbers of bids, the requests that wait for an answer, the session and its resumption: a request without an
//! answer is repeated over the next stream. Never touches a stream or a clock; `now` is the time since the machine was
//! made. `W` is the handle of a waiting task.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use merit_proto::v1;
use merit_proto::v1::broker_message::Message as Asked;
use merit_proto::v1::brokerage_message::Message as Told;
use merit_proto::v1::refused::Asked as About;
use merit_terms::{LeaseId, RefusalCode};
use tonic::Status;

use super::lease::{Grant, NotSent, Paid, Proof, grant_from_proto};

/// Timeout of a bid.
const GRANT_WITHIN: Duration = Duration::from_secs(10);
/// Timeout of a settlement or a release, with its repeats.
const SETTLE_WITHIN: Duration = Duration::from_secs(15);
/// Time that bids wait for a lost stream; later bids are refused at once until there is one.
const STREAM_WITHIN: Duration = Duration::from_secs(1);
/// Timeout of the welcome on a new stream.
const WELCOME_WITHIN: Duration = Duration::from_secs(10);
/// Back-off between streams, doubling from the least to the most.
const BACKOFF_MIN: Duration = Duration::from_millis(20);
const BACKOFF_MAX: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(crate) enum StreamInput<W> {
    /// A bid; the machine numbers it.
    Acquire(Box<v1::Acquire>, W),
    Settle(LeaseId, v1::Settle, W),
    /// A settlement by proof, of a lease that a crash lost.
    SettleForgotten(Proof, LeaseId, v1::Settle, W),
    Release(LeaseId, NotSent),
    Heard(Told),
    /// The stream ended, or could not be opened.
    Ended(Status),
    /// Time has passed.
    Due,
}

#[derive(Debug, PartialEq)]
pub(crate) enum StreamAction<W> {
    /// Open a stream with this hello as its first message.
    Open(v1::BrokerHello),
    Say(Box<Asked>),
    Answer(W, LeaseReply),
    /// Drop the stream, for this reason.
    Close(String),
}

/// The answer to a bid or a settlement.
#[derive(Debug, PartialEq)]
pub(crate) enum LeaseReply {
    Granted(Arc<Grant>),
    Settled(Paid),
    Refused {
        code: RefusalCode,
        message: String,
        /// Time after which another try may succeed, if it is known.
        retry_after: Option<Duration>,
    },
    /// The exchange did not answer in time.
    Unavailable,
}

pub(crate) struct Machine<W> {
    state: StreamState,
    session: Option<u64>,
    /// Time at which the stream was lost.
    lost_at: Option<Duration>,
    /// Streams in a row that were never welcomed.
    failures: u32,
    last_number: u64,
    bids: BTreeMap<u64, Pending<v1::Acquire, W>>,
    settles: BTreeMap<LeaseId, Pending<Asked, W>>,
    releases: BTreeMap<LeaseId, GivenBack>,
    /// Bids that nobody waits for any more, and that the exchange may still grant.
    abandoned: BTreeSet<u64>,
    until: BTreeSet<(Duration, Deadline)>,
    /// The key of chains of calls, as the exchange last told it.
    via_key: Option<[u8; 32]>,
}

enum StreamState {
    Waiting { until: Duration },
    Opening { until: Duration, resumes: bool },
    On,
}

struct Pending<T, W> {
    asked: T,
    waiting: W,
    until: Duration,
}

struct GivenBack {
    why: NotSent,
    until: Duration,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Deadline {
    Bid(u64),
    Settle(LeaseId),
    Release(LeaseId),
}

impl<W> Machine<W> {
    /// Makes a machine that opens a stream at once.
    pub(crate) fn new() -> Machine<W> {
        Machine {
            state: StreamState::Waiting { until: Duration::ZERO },
            session: None,
            lost_at: Some(Duration::ZERO),
            failures: 0,
            last_number: 0,
            bids: BTreeMap::new(),
            settles: BTreeMap::new(),
            releases: BTreeMap::new(),
            abandoned: BTreeSet::new(),
            until: BTreeSet::new(),
            via_key: None,
        }
    }

    /// Returns the time by which [`StreamInput::Due`] must come.
    pub(crate) fn due(&self) -> Option<Duration> {
        let state = match self.state {
            StreamState::Waiting { until } | StreamState::Opening { until, .. } => Some(until),
            StreamState::On => None,
        };
        let patience = self.lost_at.filter(|_| !self.bids.is_empty()).map(|lost| lost + STREAM_WITHIN);
        let asked = self.until.first().map(|(until, _)| *until);
        [state, patience, asked].into_iter().flatten().min()
    }

    pub(crate) fn step(&mut self, now: Duration, input: StreamInput<W>) -> Vec<StreamAction<W>> {
        match input {
            StreamInput::Acquire(_, waiting) if self.is_given_up(now) => {
                vec![StreamAction::Answer(waiting, LeaseReply::Unavailable)]
            }
            StreamInput::Acquire(acquire, waiting) => self.acquire(now, *acquire, waiting),
            StreamInput::Settle(lease, settle, waiting) => self.settle(now, lease, Asked::Settle(settle), waiting),
            StreamInput::SettleForgotten(proof, lease, settle, waiting) => {
                let forgotten = v1::SettleForgotten { proof: Some(proof.into_message()), settle: Some(settle) };
                self.settle(now, lease, Asked::SettleForgotten(forgotten), waiting)
            }
            StreamInput::Release(lease, why) => self.release(now, lease, why),
            StreamInput::Heard(heard) => self.heard(now, heard),
            StreamInput::Ended(status) => self.ended(now, &status),
            StreamInput::Due => self.pass(now),
        }
    }

    /// Returns true if the stream is lost for so long that bids do not wait for the next one.
    fn is_given_up(&self, now: Duration) -> bool {
        self.lost_at.is_some_and(|lost| now >= lost + STREAM_WITHIN)
    }

    pub(crate) fn via_key(&self) -> Option<[u8; 32]> {
        self.via_key
    }

    pub(crate) fn is_on(&self) -> bool {
        matches!(self.state, StreamState::On)
    }

    fn say(&self, said: Asked) -> Vec<StreamAction<W>> {
        if self.is_on() { vec![StreamAction::Say(Box::new(said))] } else { Vec::new() }
    }

    fn acquire(&mut self, now: Duration, mut asked: v1::Acquire, waiting: W) -> Vec<StreamAction<W>> {
        self.last_number += 1;
        asked.number = self.last_number;
        let until = now + GRANT_WITHIN;
        let actions = self.say(Asked::Acquire(asked.clone()));
        self.until.insert((until, Deadline::Bid(asked.number)));
        self.bids.insert(asked.number, Pending { asked, waiting, until });
        actions
    }

    fn settle(&mut self, now: Duration, lease: LeaseId, asked: Asked, waiting: W) -> Vec<StreamAction<W>> {
        let until = now + SETTLE_WITHIN;
        let actions = self.say(asked.clone());
        self.until.insert((until, Deadline::Settle(lease)));
        self.settles.insert(lease, Pending { asked, waiting, until });
        actions
    }

    fn release(&mut self, now: Duration, lease: LeaseId, why: NotSent) -> Vec<StreamAction<W>> {
        self.released(lease);
        let until = now + SETTLE_WITHIN;
        self.until.insert((until, Deadline::Release(lease)));
        self.releases.insert(lease, GivenBack { why, until });
        self.say(release(lease, why))
    }

    fn heard(&mut self, now: Duration, heard: Told) -> Vec<StreamAction<W>> {
        match heard {
            Told::Welcome(welcome) => self.welcomed(now, welcome),
            Told::Granted(v1::Granted { number, grant: Some(grant) }) => self.granted(now, number, grant),
            Told::Settled(v1::Settled { lease: Some(lease), cost, billed_ms }) => {
                self.settled(lease.into(), LeaseReply::Settled(Paid { cost, billed_ms }))
            }
            Told::Released(v1::Released { lease: Some(lease) }) => {
                self.released(lease.into());
                Vec::new()
            }
            Told::Refused(v1::Refused { asked: Some(asked), refusal }) => {
                self.refused(asked, refusal.unwrap_or_default())
            }
            // About deferred bids, which this broker does not make.
            _ => Vec::new(),
        }
    }

    fn granted(&mut self, now: Duration, number: u64, grant: v1::Grant) -> Vec<StreamAction<W>> {
        let Some(grant) = grant_from_proto(grant) else {
            let answer = |bid: Pending<_, W>| StreamAction::Answer(bid.waiting, LeaseReply::Unavailable);
            return self.answered(number).map(answer).into_iter().collect();
        };
        if let Some(bid) = self.answered(number) {
            return vec![StreamAction::Answer(bid.waiting, LeaseReply::Granted(grant))];
        }
        if self.abandoned.remove(&number) {
            return self.release(now, grant.lease, NotSent::Withdrawn);
        }
        Vec::new()
    }

    fn refused(&mut self, asked: About, refusal: v1::Refusal) -> Vec<StreamAction<W>> {
        let v1::Refusal { code, message, retry_after_ms } = refusal;
        let retry_after = (retry_after_ms > 0).then_some(Duration::from_millis(retry_after_ms));
        let refusal = LeaseReply::Refused { code: merit_proto::read_code(&code), message, retry_after };
        match asked {
            About::Number(number) => {
                self.abandoned.remove(&number);
                let answer = |bid: Pending<_, W>| StreamAction::Answer(bid.waiting, refusal);
                self.answered(number).map(answer).into_iter().collect()
            }
            About::Settle(lease) => self.settled(lease.into(), refusal),
            About::Release(lease) => {
                self.released(lease.into());
                Vec::new()
            }
            About::TakeUp(_) | About::CancelBid(_) => Vec::new(),
        }
    }

    fn answered(&mut self, number: u64) -> Option<Pending<v1::Acquire, W>> {
        let bid = self.bids.remove(&number)?;
        self.until.remove(&(bid.until, Deadline::Bid(number)));
        Some(bid)
    }

    fn settled(&mut self, lease: LeaseId, answer: LeaseReply) -> Vec<StreamAction<W>> {
        let Some(settle) = self.settles.remove(&lease) else { return Vec::new() };
        self.until.remove(&(settle.until, Deadline::Settle(lease)));
        vec![StreamAction::Answer(settle.waiting, answer)]
    }

    fn released(&mut self, lease: LeaseId) {
        if let Some(given_back) = self.releases.remove(&lease) {
            self.until.remove(&(given_back.until, Deadline::Release(lease)));
        }
    }

    /// Resumes a session: takes the leases that were granted meanwhile, and repeats every other request.
    fn welcomed(&mut self, now: Duration, welcome: v1::BrokerWelcome) -> Vec<StreamAction<W>> {
        if self.session.replace(welcome.session) != Some(welcome.session) {
            self.abandoned.clear();
        }
        self.via_key = welcome.via_key.try_into().ok();
        let mut actions: Vec<StreamAction<W>> = Vec::new();
        // A lease that is given back here is released below, with the others.
        for grant in welcome.leases {
            actions.extend(self.granted(now, grant.request, grant));
        }
        // A bid that is neither granted by now nor repeated is not answered any more.
        self.abandoned.clear();
        (self.state, self.lost_at, self.failures) = (StreamState::On, None, 0);
        let releases = self.releases.iter().map(|(lease, given_back)| release(*lease, given_back.why));
        let settles = self.settles.values().map(|settle| settle.asked.clone());
        let bids = self.bids.values().map(|bid| Asked::Acquire(bid.asked.clone()));
        let again = releases.chain(settles).chain(bids);
        actions.extend(again.map(|said| StreamAction::Say(Box::new(said))));
        actions
    }

    fn ended(&mut self, now: Duration, status: &Status) -> Vec<StreamAction<W>> {
        match self.state {
            StreamState::Waiting { .. } => return Vec::new(),
            // The exchange no longer knows the session, which has no leases then.
            StreamState::Opening { resumes: true, .. }
                if merit_proto::code_of(status) == Some(RefusalCode::NotFound) =>
            {
                self.session = None;
                self.state = StreamState::Waiting { until: now };
                return vec![StreamAction::Close(status.message().to_owned())];
            }
            StreamState::Opening { .. } => {}
            StreamState::On => self.lost_at = Some(now),
        }
        let pause = (BACKOFF_MIN * (1 << self.failures.min(16))).min(BACKOFF_MAX);
        self.failures += 1;
        self.state = StreamState::Waiting { until: now + pause };
        vec![StreamAction::Close(status.message().to_owned())]
    }

    fn pass(&mut self, now: Duration) -> Vec<StreamAction<W>> {
        let mut actions = Vec::new();
        match self.state {
            StreamState::Waiting { until } if until <= now => {
                self.state = StreamState::Opening { until: now + WELCOME_WITHIN, resumes: self.session.is_some() };
                actions.push(StreamAction::Open(v1::BrokerHello { resumes: self.session }));
            }
            StreamState::Opening { until, .. } if until <= now => {
                actions.extend(
                    self.ended(now, &Status::deadline_exceeded("it takes the stream, and does not answer on it")),
                );
            }
            _ => {}
        }
        if self.is_given_up(now) {
            for number in self.bids.keys().copied().collect::<Vec<_>>() {
                actions.extend(self.give_up(number));
            }
        }
        while let Some((until, key)) = self.until.first().copied()
            && until <= now
        {
            self.until.remove(&(until, key));
            match key {
                Deadline::Bid(number) => actions.extend(self.give_up(number)),
                Deadline::Settle(lease) => actions.extend(self.settled(lease, LeaseReply::Unavailable)),
                // The deadline of the lease frees it.
                Deadline::Release(lease) => drop(self.releases.remove(&lease)),
            }
        }
        actions
    }

    /// Answers a bid as unavailable. If it is granted later, the lease is given back.
    fn give_up(&mut self, number: u64) -> Option<StreamAction<W>> {
        let bid = self.answered(number)?;
        if self.session.is_some() {
            self.abandoned.insert(number);
        }
        Some(StreamAction::Answer(bid.waiting, LeaseReply::Unavailable))
    }
}

fn release(lease: LeaseId, why: NotSent) -> Asked {
    let retry_after_s = match why {
        NotSent::Warming { retry_after_s } => retry_after_s,
        _ => 0,
    };
    Asked::Release(v1::Release { lease: Some(lease.into()), why: v1::NotSent::from(why).into(), retry_after_s })
}

#[cfg(test)]
#[path = "../../../tests/unit/exchange/leases/machine.rs"]
mod tests;
