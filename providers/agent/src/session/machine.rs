//! What a session does next: `(now, input) -> actions`. Owns heartbeats, deadlines, backoff, quote numbers, expiries and claims;
//! never touches a stream, reads a clock or logs. `now` is the time since the machine began, and never goes back.

use std::collections::BTreeSet;
use std::time::Duration;

use merit_proto::v1;
use merit_proto::v1::exchange_message::Message as Heard;
use merit_proto::v1::provider_message::Message as Said;
use merit_terms::{Balance, LeaseId, MarketName, Money};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg32;
use tonic::{Code, Status};

use super::unpaid::Unpaid;
use super::{Credentials, Ran, RefusedLadder, SessionError, Standing};

/// How long a welcome may take.
const WELCOME_WITHIN: Duration = Duration::from_secs(10);
/// Heartbeats of the exchange that may be missed, as it allows its providers.
const MISSED_HEARTBEATS_MAX: u32 = 3;
/// Against an exchange that asks for a heartbeat so often that nothing else is done.
const HEARTBEAT_MIN: Duration = Duration::from_millis(10);
const BACKOFF_MIN: Duration = Duration::from_millis(100);
const BACKOFF_MAX: Duration = Duration::from_secs(5);
/// When a refused ladder is quoted again: its market may exist by then.
const REQUOTE_AFTER: Duration = Duration::from_secs(30);
/// When the ladders are quoted again that the exchange pulled because they were leased too fast.
const PROTECTED_FOR: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(crate) enum Input {
    /// The time of [`Machine::due`] has come.
    Due,
    /// A message of the exchange, and its number in what concerns the provider; 0 if it has none.
    Heard(u64, Heard),
    Ran(Ran),
    /// The stream has ended, or could not be opened.
    Ended(Status),
    Stop,
}

#[derive(Debug, PartialEq)]
pub(crate) enum Action {
    /// Opens a stream whose first message is the logon.
    Open(v1::Logon),
    Say(Said),
    /// Tokens are verified by these from now on.
    Trust(Credentials),
    /// Lets go of the stream.
    Close,
    /// Ends the session for good: the last action.
    End(Result<(), SessionError>),
}

pub(crate) struct Machine {
    logon: v1::Logon,
    ladders: Vec<Ladder>,
    /// How long an offer stands after it was quoted, if it expires.
    expire_after: Option<Duration>,
    jitter: Pcg32,
    state: State,
    was_on: bool,
    /// Streams in a row that did not last.
    failures: u32,
    last_number: u64,
    /// The number of the last message that concerned the provider.
    last_heard: Option<u64>,
    unpaid: Unpaid,
    granted: u64,
    settled: u64,
    claimed: u64,
    revenue: Balance,
}

enum State {
    Waiting { until: Duration },
    LoggingOn { until: Duration },
    On(On),
    Over,
}

struct On {
    session: u32,
    heartbeat: Duration,
    since: Duration,
    beat_at: Duration,
    silent_at: Duration,
    clock: ExchangeClock,
}

/// What the exchange's clock said, in microseconds since 1970, and when that was heard.
#[derive(Clone, Copy)]
struct ExchangeClock {
    said: u64,
    heard: Duration,
}

struct Ladder {
    market: MarketName,
    rungs: Vec<v1::Rung>,
    /// Of the last quote in this session.
    number: u64,
    quoted: Quoted,
    /// When its offers are quoted again, before they expire.
    renew_at: Option<Duration>,
}

enum Quoted {
    Open,
    Accepted,
    Refused { again_at: Duration, code: String, message: String },
}

impl Machine {
    /// A machine that logs on at once. `seed` spreads the returns of providers that lost one exchange.
    pub(crate) fn new(
        logon: v1::Logon,
        ladders: Vec<(MarketName, Vec<v1::Rung>)>,
        expire_after: Option<Duration>,
        seed: u64,
    ) -> Machine {
        let ladder = |(market, rungs)| Ladder { market, rungs, number: 0, quoted: Quoted::Open, renew_at: None };
        Machine {
            logon,
            ladders: ladders.into_iter().map(ladder).collect(),
            expire_after,
            jitter: Pcg32::seed_from_u64(seed),
            state: State::Waiting { until: Duration::ZERO },
            was_on: false,
            failures: 0,
            last_number: 0,
            last_heard: None,
            unpaid: Unpaid::default(),
            granted: 0,
            settled: 0,
            claimed: 0,
            revenue: Balance::ZERO,
        }
    }

    /// When [`Input::Due`] is to come; none once the session is over.
    pub(crate) fn due(&self) -> Option<Duration> {
        match &self.state {
            State::Waiting { until } | State::LoggingOn { until } => Some(*until),
            State::On(on) => {
                let requotes = self.ladders.iter().filter_map(Ladder::due);
                requotes.chain(self.unpaid.due()).chain([on.beat_at, on.silent_at]).min()
            }
            State::Over => None,
        }
    }

    pub(crate) fn standing(&self) -> Standing {
        let session = match &self.state {
            State::On(on) => Some(on.session),
            _ => None,
        };
        let accepted = |ladder: &&Ladder| session.is_some() && matches!(ladder.quoted, Quoted::Accepted);
        Standing {
            session,
            markets: self.ladders.iter().filter(accepted).count(),
            refused: self.ladders.iter().filter_map(Ladder::refused).collect(),
            granted: self.granted,
            settled: self.settled,
            claimed: self.claimed,
            revenue: self.revenue,
        }
    }

    pub(crate) fn step(&mut self, now: Duration, input: Input) -> Vec<Action> {
        match (input, &self.state) {
            (_, State::Over) => Vec::new(),
            (Input::Stop, _) => self.end(Ok(())),
            (Input::Ended(status), _) => self.ended(now, &status),
            (Input::Heard(_, Heard::Welcome(welcome)), State::LoggingOn { .. }) => self.welcomed(now, &welcome),
            (Input::Heard(number, heard), State::On(_)) => self.heard(now, number, heard),
            (Input::Heard(..), _) => Vec::new(),
            (Input::Ran(Ran::Finished { lease, usage, proof }), _) => {
                self.unpaid.ran(now, lease, usage, proof);
                Vec::new()
            }
            (Input::Ran(Ran::Undelivered(lease)), _) => {
                self.unpaid.unanswered(now, lease);
                Vec::new()
            }
            (Input::Due, State::Waiting { until }) if *until <= now => {
                self.state = State::LoggingOn { until: now + WELCOME_WITHIN };
                vec![Action::Open(v1::Logon { last_sequence: self.last_heard, ..self.logon.clone() })]
            }
            (Input::Due, State::LoggingOn { until }) if *until <= now => self.lost(now),
            (Input::Due, State::On(on)) if on.silent_at <= now => self.lost(now),
            (Input::Due, State::On(_)) => self.beat(now),
            (Input::Due, _) => Vec::new(),
        }
    }

    fn welcomed(&mut self, now: Duration, welcome: &v1::Welcome) -> Vec<Action> {
        let Ok(key) = <[u8; 32]>::try_from(welcome.session_key.as_slice()) else {
            return self.lost(now);
        };
        let heartbeat = Duration::from_millis(welcome.heartbeat_ms.into()).max(HEARTBEAT_MIN);
        self.was_on = true;
        self.last_heard = Some(welcome.last_sequence);
        if !welcome.resumed {
            let open: BTreeSet<LeaseId> =
                welcome.leases.iter().filter_map(|lease| lease.lease).map(LeaseId::from).collect();
            self.unpaid.keep(&open);
        }
        let clock = ExchangeClock { said: welcome.at, heard: now };
        self.state = State::On(On {
            session: welcome.session,
            heartbeat,
            since: now,
            beat_at: now + heartbeat,
            silent_at: now + heartbeat * MISSED_HEARTBEATS_MAX,
            clock,
        });
        let mut actions = vec![Action::Trust(Credentials { number: welcome.session, key })];
        for ladder in &mut self.ladders {
            ladder.quoted = Quoted::Open;
        }
        actions.extend(self.quote(now, |_| true));
        actions
    }

    fn heard(&mut self, now: Duration, number: u64, heard: Heard) -> Vec<Action> {
        if let State::On(on) = &mut self.state {
            on.silent_at = now + on.heartbeat * MISSED_HEARTBEATS_MAX;
        }
        if number > 0 {
            self.last_heard = Some(number);
        }
        match heard {
            Heard::QuoteAccepted(quote) => self.set_quoted(quote.number, Quoted::Accepted),
            Heard::QuoteRefused(v1::QuoteRefused { number, code, message, .. }) => {
                self.set_quoted(number, Quoted::Refused { again_at: now + REQUOTE_AFTER, code, message });
            }
            Heard::LeaseGranted(_) => self.granted += 1,
            Heard::LeaseSettled(lease) => {
                self.settled += 1;
                self.revenue.credit(Money::from_picodollars(lease.revenue).unwrap_or(Money::MAX));
                self.over(lease.lease);
            }
            Heard::LeaseUnknown(lease) => {
                if let Some(lease) = lease.lease {
                    self.unpaid.unanswered(now, lease.into());
                }
            }
            Heard::ClaimAnswered(claim) => self.over(claim.lease),
            Heard::Protected(_) => self.pulled(now + PROTECTED_FOR),
            Heard::MarketState(change) => return self.market_changed(now, &change),
            Heard::Heartbeat(heartbeat) => {
                if let State::On(on) = &mut self.state {
                    on.clock = ExchangeClock { said: heartbeat.at, heard: now };
                }
            }
            Heard::Welcome(_) => {}
        }
        Vec::new()
    }

    fn over(&mut self, lease: Option<v1::LeaseId>) {
        if let Some(lease) = lease {
            self.unpaid.over(lease.into());
        }
    }

    /// Every offer is gone, at the provider's own wish.
    fn pulled(&mut self, again_at: Duration) {
        for ladder in &mut self.ladders {
            let (code, message) = ("protected".to_owned(), "leased faster than the protection allows".to_owned());
            ladder.quoted = Quoted::Refused { again_at, code, message };
        }
    }

    /// Quotes a ladder again that its market may take now.
    fn market_changed(&mut self, now: Duration, change: &v1::MarketChange) -> Vec<Action> {
        self.quote(now, |ladder| ladder.market.as_str() == change.market && ladder.is_refused())
    }

    /// Quotes the ladders that `asked` names.
    fn quote(&mut self, now: Duration, asked: impl Fn(&Ladder) -> bool) -> Vec<Action> {
        let State::On(on) = &self.state else { return Vec::new() };
        let expiry = self.expire_after.map(|after| Expiry { at: on.clock.at(now + after), renew_at: now + after / 2 });
        let asked = self.ladders.iter_mut().filter(|ladder| asked(ladder));
        asked.map(|ladder| ladder.quote(&mut self.last_number, expiry)).collect()
    }

    fn set_quoted(&mut self, number: u64, quoted: Quoted) {
        if let Some(ladder) = self.ladders.iter_mut().find(|ladder| ladder.number == number) {
            ladder.quoted = quoted;
        }
    }

    /// What is due while the session is on: a heartbeat, ladders that were refused or are about to expire, claims.
    fn beat(&mut self, now: Duration) -> Vec<Action> {
        let mut actions = Vec::new();
        if let State::On(on) = &mut self.state
            && on.beat_at <= now
        {
            on.beat_at = now + on.heartbeat;
            actions.push(Action::Say(Said::Heartbeat(v1::ProviderHeartbeat { pools: self.logon.pools.clone() })));
        }
        actions.extend(self.quote(now, |ladder| ladder.due().is_some_and(|due| due <= now)));
        let claims = self.unpaid.claims(now);
        self.claimed += claims.len() as u64;
        actions.extend(claims.into_iter().map(|claim| Action::Say(Said::Claim(claim))));
        actions
    }

    fn ended(&mut self, now: Duration, status: &Status) -> Vec<Action> {
        match meaning(status) {
            Meaning::Superseded => self.end(Err(SessionError::Superseded { provider: self.logon.provider.clone() })),
            Meaning::Refused if !self.was_on => {
                self.end(Err(SessionError::Refused { message: status.message().to_owned() }))
            }
            _ => self.lost(now),
        }
    }

    /// Comes back after a pause that doubles with each stream that did not outlive the silence it allows.
    fn lost(&mut self, now: Duration) -> Vec<Action> {
        if let State::On(on) = &self.state
            && now - on.since >= on.heartbeat * MISSED_HEARTBEATS_MAX
        {
            self.failures = 0;
        }
        let pause = (BACKOFF_MIN * (1 << self.failures.min(16))).min(BACKOFF_MAX);
        self.failures = self.failures.saturating_add(1);
        self.state = State::Waiting { until: now + self.jitter.random_range(pause / 2..=pause) };
        vec![Action::Close]
    }

    fn end(&mut self, result: Result<(), SessionError>) -> Vec<Action> {
        self.state = State::Over;
        vec![Action::End(result)]
    }
}

impl ExchangeClock {
    /// What it says at `now`.
    fn at(self, now: Duration) -> u64 {
        let since = now.saturating_sub(self.heard).as_micros();
        self.said.saturating_add(u64::try_from(since).unwrap_or(u64::MAX))
    }
}

/// When offers that are quoted now expire, by the exchange's clock, and when they are to be quoted again.
#[derive(Clone, Copy)]
struct Expiry {
    at: u64,
    renew_at: Duration,
}

impl Ladder {
    fn quote(&mut self, last_number: &mut u64, expiry: Option<Expiry>) -> Action {
        *last_number += 1;
        self.number = *last_number;
        // What was accepted stands until the answer.
        if self.is_refused() {
            self.quoted = Quoted::Open;
        }
        self.renew_at = expiry.map(|expiry| expiry.renew_at);
        if let Some(Expiry { at, .. }) = expiry {
            self.rungs.iter_mut().for_each(|rung| rung.expires = at);
        }
        let (market, rungs) = (self.market.to_string(), self.rungs.clone());
        Action::Say(Said::Quote(v1::QuoteLadder { market, number: self.number, rungs }))
    }

    /// When it is to be quoted again.
    fn due(&self) -> Option<Duration> {
        match self.quoted {
            Quoted::Refused { again_at, .. } => Some(again_at),
            Quoted::Open | Quoted::Accepted => self.renew_at,
        }
    }

    fn is_refused(&self) -> bool {
        matches!(self.quoted, Quoted::Refused { .. })
    }

    fn refused(&self) -> Option<RefusedLadder> {
        let Quoted::Refused { code, message, .. } = &self.quoted else {
            return None;
        };
        Some(RefusedLadder { market: self.market.clone(), code: code.clone(), message: message.clone() })
    }
}

enum Meaning {
    Superseded,
    /// The exchange understood, and will not.
    Refused,
    /// The exchange is not there, or not well.
    Lost,
}

fn meaning(status: &Status) -> Meaning {
    match status.code() {
        Code::Aborted => Meaning::Superseded,
        Code::InvalidArgument
        | Code::NotFound
        | Code::AlreadyExists
        | Code::PermissionDenied
        | Code::Unauthenticated
        | Code::FailedPrecondition
        | Code::Unimplemented => Meaning::Refused,
        _ => Meaning::Lost,
    }
}

#[cfg(test)]
mod tests;
