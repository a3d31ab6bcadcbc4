//! The broker's one stream with the exchange, as a pure machine: `(now, input) -> actions`.
//!
//! Owns the numbers of its asks, what waits for an answer, the session and its resumption: what was not answered when a
//! stream ended is asked again over the next one. Never touches a stream or a clock; `now` is the time since it began. `W`
//! is who waits for an answer.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use merit_proto::v1;
use merit_proto::v1::broker_message::Message as Said;
use merit_proto::v1::brokerage_message::Message as Heard;
use merit_proto::v1::refused::Asked;
use merit_terms::LeaseId;
use tonic::Status;

/// How long the exchange may take to answer a bid.
const GRANT_WITHIN: Duration = Duration::from_secs(10);
/// How long it is asked again to settle, or to take a lease back.
const SETTLE_WITHIN: Duration = Duration::from_secs(15);
/// How long calls wait for a stream; then they are refused until there is one.
const STREAM_WITHIN: Duration = Duration::from_secs(1);
/// How long the welcome of a new stream may take.
const WELCOME_WITHIN: Duration = Duration::from_secs(10);
const BACKOFF_MIN: Duration = Duration::from_millis(20);
const BACKOFF_MAX: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(crate) enum Input<W> {
    /// A lease is asked for; the machine numbers the bid.
    Acquire(Box<v1::Acquire>, W),
    Settle(v1::Settle, W),
    /// The same, of a lease that the exchange forgot.
    SettleForgotten(v1::LeaseProof, v1::Settle, W),
    Release(LeaseId, v1::NotSent),
    Heard(Heard),
    /// The stream has ended, or could not be opened.
    Ended(Status),
    /// Time has passed.
    Due,
}

#[derive(Debug, PartialEq)]
pub(crate) enum Action<W> {
    /// Opens a stream whose first message is the hello.
    Open(v1::BrokerHello),
    Say(Box<Said>),
    Answer(W, Answer),
    /// Lets go of the stream.
    Close,
}

/// What was asked is answered.
#[derive(Debug, PartialEq)]
pub(crate) enum Answer {
    Granted(Box<v1::Grant>),
    Settled {
        cost: u64,
        billed_ms: u64,
    },
    Refused(v1::Refusal),
    /// The exchange did not answer in time.
    Unavailable,
}

pub(crate) struct Machine<W> {
    state: State,
    session: Option<u64>,
    /// Since when there is no stream.
    lost_at: Option<Duration>,
    /// Streams in a row that were never welcomed.
    failures: u32,
    last_number: u64,
    bids: BTreeMap<u64, Pending<v1::Acquire, W>>,
    settles: BTreeMap<LeaseId, Pending<Said, W>>,
    releases: BTreeMap<LeaseId, GivenBack>,
    /// Bids that nobody waits for any more, and that may yet be granted.
    abandoned: BTreeSet<u64>,
    until: BTreeSet<(Duration, Key)>,
}

enum State {
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
    why: v1::NotSent,
    until: Duration,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Bid(u64),
    Settle(LeaseId),
    Release(LeaseId),
}

impl<W> Machine<W> {
    /// A machine that opens a stream at once.
    pub(crate) fn new() -> Machine<W> {
        Machine {
            state: State::Waiting { until: Duration::ZERO },
            session: None,
            lost_at: Some(Duration::ZERO),
            failures: 0,
            last_number: 0,
            bids: BTreeMap::new(),
            settles: BTreeMap::new(),
            releases: BTreeMap::new(),
            abandoned: BTreeSet::new(),
            until: BTreeSet::new(),
        }
    }

    /// When [`Input::Due`] is to come, at the latest.
    pub(crate) fn due(&self) -> Option<Duration> {
        let state = match self.state {
            State::Waiting { until } | State::Opening { until, .. } => Some(until),
            State::On => None,
        };
        let patience = self.lost_at.filter(|_| !self.bids.is_empty()).map(|lost| lost + STREAM_WITHIN);
        let asked = self.until.first().map(|(until, _)| *until);
        [state, patience, asked].into_iter().flatten().min()
    }

    pub(crate) fn step(&mut self, now: Duration, input: Input<W>) -> Vec<Action<W>> {
        match input {
            Input::Acquire(_, waiting) if self.is_given_up(now) => vec![Action::Answer(waiting, Answer::Unavailable)],
            Input::Acquire(acquire, waiting) => self.acquire(now, *acquire, waiting),
            Input::Settle(settle, waiting) => self.settle(now, settle.lease, Said::Settle(settle), waiting),
            Input::SettleForgotten(proof, settle, waiting) => {
                let forgotten = v1::SettleForgotten { proof: Some(proof), settle: Some(settle) };
                self.settle(now, settle.lease, Said::SettleForgotten(forgotten), waiting)
            }
            Input::Release(lease, why) => self.release(now, lease, why),
            Input::Heard(heard) => self.heard(now, heard),
            Input::Ended(status) => self.ended(now, &status),
            Input::Due => self.pass(now),
        }
    }

    /// Whether there was no stream for so long that calls do not wait for one.
    fn is_given_up(&self, now: Duration) -> bool {
        self.lost_at.is_some_and(|lost| now >= lost + STREAM_WITHIN)
    }

    pub(crate) fn is_on(&self) -> bool {
        matches!(self.state, State::On)
    }

    fn say(&self, said: Said) -> Vec<Action<W>> {
        if self.is_on() { vec![Action::Say(Box::new(said))] } else { Vec::new() }
    }

    fn acquire(&mut self, now: Duration, mut asked: v1::Acquire, waiting: W) -> Vec<Action<W>> {
        self.last_number += 1;
        asked.number = self.last_number;
        let until = now + GRANT_WITHIN;
        let actions = self.say(Said::Acquire(asked.clone()));
        self.until.insert((until, Key::Bid(asked.number)));
        self.bids.insert(asked.number, Pending { asked, waiting, until });
        actions
    }

    fn settle(&mut self, now: Duration, lease: Option<v1::LeaseId>, asked: Said, waiting: W) -> Vec<Action<W>> {
        let lease = lease.unwrap_or_default().into();
        let until = now + SETTLE_WITHIN;
        let actions = self.say(asked.clone());
        self.until.insert((until, Key::Settle(lease)));
        self.settles.insert(lease, Pending { asked, waiting, until });
        actions
    }

    fn release(&mut self, now: Duration, lease: LeaseId, why: v1::NotSent) -> Vec<Action<W>> {
        self.released(lease);
        let until = now + SETTLE_WITHIN;
        self.until.insert((until, Key::Release(lease)));
        self.releases.insert(lease, GivenBack { why, until });
        self.say(release(lease, why))
    }

    fn heard(&mut self, now: Duration, heard: Heard) -> Vec<Action<W>> {
        match heard {
            Heard::Welcome(welcome) => self.welcomed(now, welcome),
            Heard::Granted(v1::Granted { number, grant: Some(grant) }) => self.granted(now, number, grant),
            Heard::Settled(v1::Settled { lease: Some(lease), cost, billed_ms }) => {
                self.settled(lease.into(), Answer::Settled { cost, billed_ms })
            }
            Heard::Released(v1::Released { lease: Some(lease) }) => {
                self.released(lease.into());
                Vec::new()
            }
            Heard::Refused(v1::Refused { asked: Some(asked), refusal }) => {
                self.refused(asked, refusal.unwrap_or_default())
            }
            // Of deferred bids, which this broker does not make, or of a newer exchange.
            _ => Vec::new(),
        }
    }

    fn granted(&mut self, now: Duration, number: u64, grant: v1::Grant) -> Vec<Action<W>> {
        if let Some(bid) = self.answered(number) {
            return vec![Action::Answer(bid.waiting, Answer::Granted(Box::new(grant)))];
        }
        match grant.lease {
            Some(lease) if self.abandoned.remove(&number) => self.release(now, lease.into(), v1::NotSent::Withdrawn),
            _ => Vec::new(),
        }
    }

    fn refused(&mut self, asked: Asked, refusal: v1::Refusal) -> Vec<Action<W>> {
        match asked {
            Asked::Number(number) => {
                self.abandoned.remove(&number);
                let answer = |bid: Pending<_, W>| Action::Answer(bid.waiting, Answer::Refused(refusal));
                self.answered(number).map(answer).into_iter().collect()
            }
            Asked::Settle(lease) => self.settled(lease.into(), Answer::Refused(refusal)),
            Asked::Release(lease) => {
                self.released(lease.into());
                Vec::new()
            }
            Asked::TakeUp(_) | Asked::CancelBid(_) => Vec::new(),
        }
    }

    fn answered(&mut self, number: u64) -> Option<Pending<v1::Acquire, W>> {
        let bid = self.bids.remove(&number)?;
        self.until.remove(&(bid.until, Key::Bid(number)));
        Some(bid)
    }

    fn settled(&mut self, lease: LeaseId, answer: Answer) -> Vec<Action<W>> {
        let Some(settle) = self.settles.remove(&lease) else { return Vec::new() };
        self.until.remove(&(settle.until, Key::Settle(lease)));
        vec![Action::Answer(settle.waiting, answer)]
    }

    fn released(&mut self, lease: LeaseId) {
        if let Some(given_back) = self.releases.remove(&lease) {
            self.until.remove(&(given_back.until, Key::Release(lease)));
        }
    }

    /// Goes on where the stream before ended: what it leased meanwhile is taken, all else asked again.
    fn welcomed(&mut self, now: Duration, welcome: v1::BrokerWelcome) -> Vec<Action<W>> {
        if self.session.replace(welcome.session) != Some(welcome.session) {
            self.abandoned.clear();
        }
        let mut actions: Vec<Action<W>> = Vec::new();
        // What is given back of it is said below, with the other releases.
        for grant in welcome.leases {
            actions.extend(self.granted(now, grant.request, grant));
        }
        // What was not granted by now and is not asked again is not answered any more.
        self.abandoned.clear();
        (self.state, self.lost_at, self.failures) = (State::On, None, 0);
        let releases = self.releases.iter().map(|(lease, given_back)| release(*lease, given_back.why));
        let settles = self.settles.values().map(|settle| settle.asked.clone());
        let bids = self.bids.values().map(|bid| Said::Acquire(bid.asked.clone()));
        let again = releases.chain(settles).chain(bids);
        actions.extend(again.map(|said| Action::Say(Box::new(said))));
        actions
    }

    fn ended(&mut self, now: Duration, status: &Status) -> Vec<Action<W>> {
        match self.state {
            State::Waiting { .. } => return Vec::new(),
            // The exchange does not know the session any more: it answered for nothing.
            State::Opening { resumes: true, .. } if merit_proto::code_of(status) == Some("not_found") => {
                self.session = None;
                self.state = State::Waiting { until: now };
                return vec![Action::Close];
            }
            State::Opening { .. } => {}
            State::On => self.lost_at = Some(now),
        }
        let pause = (BACKOFF_MIN * (1 << self.failures.min(16))).min(BACKOFF_MAX);
        self.failures += 1;
        self.state = State::Waiting { until: now + pause };
        vec![Action::Close]
    }

    fn pass(&mut self, now: Duration) -> Vec<Action<W>> {
        let mut actions = Vec::new();
        match self.state {
            State::Waiting { until } if until <= now => {
                self.state = State::Opening { until: now + WELCOME_WITHIN, resumes: self.session.is_some() };
                actions.push(Action::Open(v1::BrokerHello { resumes: self.session }));
            }
            State::Opening { until, .. } if until <= now => {
                actions.extend(self.ended(now, &Status::deadline_exceeded("no welcome")));
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
                Key::Bid(number) => actions.extend(self.give_up(number)),
                Key::Settle(lease) => actions.extend(self.settled(lease, Answer::Unavailable)),
                // Its deadline does the same.
                Key::Release(lease) => drop(self.releases.remove(&lease)),
            }
        }
        actions
    }

    /// Nobody waits for the bid any longer; if it is granted all the same, the lease is given back.
    fn give_up(&mut self, number: u64) -> Option<Action<W>> {
        let bid = self.answered(number)?;
        if self.session.is_some() {
            self.abandoned.insert(number);
        }
        Some(Action::Answer(bid.waiting, Answer::Unavailable))
    }
}

fn release(lease: LeaseId, why: v1::NotSent) -> Said {
    Said::Release(v1::Release { lease: Some(lease.into()), why: why.into() })
}

#[cfg(test)]
mod tests;
