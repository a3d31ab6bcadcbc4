//! The machine of a session: `(now, input) -> actions`. Owns heartbeats, deadlines, back-off, quote numbers, expiries,
//! pauses and claims. Never touches a stream, reads a clock or logs. `now` is the time since the machine began; it
//! never goes back.

use std::collections::BTreeSet;
use std::time::Duration;

use merit_proto::v1;
use merit_proto::v1::exchange_message::Message as FromExchange;
use merit_proto::v1::provider_message::Message as ToExchange;
use merit_terms::{Balance, LeaseId, MarketName, Money};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg32;
use tonic::{Code, Status};

use super::ladder::{Expiry, Ladder, Quoted};
use super::open_leases::OpenLeases;
use super::unpaid::Unpaid;
use super::{Credentials, RunEvent, SaleChange, SessionError, Standing};

/// Timeout of a welcome.
const WELCOME_TIMEOUT: Duration = Duration::from_secs(10);
/// Maximum number of missed heartbeats of the exchange, which allows its providers the same.
const MISSED_HEARTBEATS_MAX: u32 = 3;
/// Minimum heartbeat interval, against an exchange that asks for more than can be done.
const HEARTBEAT_MIN: Duration = Duration::from_millis(10);
/// Minimum back-off after a lost stream.
const BACKOFF_MIN: Duration = Duration::from_millis(100);
/// Maximum back-off after a lost stream.
const BACKOFF_MAX: Duration = Duration::from_secs(5);
/// Delay before a refused ladder is quoted again, when its market may exist.
const REQUOTE_AFTER: Duration = Duration::from_secs(30);
/// Delay before ladders are quoted again that the maker protection pulled.
const PROTECTED_FOR: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(crate) enum Input {
    /// The time of [`Machine::due`] has come.
    Due,
    /// A message of the exchange, with its session sequence; 0 if it has none.
    Received(u64, FromExchange),
    Ran(RunEvent),
    /// The readiness of a module has changed, or was asked for.
    Loaded(v1::ModuleState),
    Change(SaleChange),
    /// The stream has ended, or could not be opened.
    Ended(Status),
    Stop,
}

#[derive(Debug, PartialEq)]
pub(crate) enum Action {
    /// Opens a stream whose first message is the logon.
    Open(v1::Logon),
    Send(ToExchange),
    /// Verifies tokens by these from now on.
    Trust(Credentials),
    /// Loads a module for calls of the session of this number.
    Warm(u32, v1::WarmModule),
    /// Sends a readiness report, or drops it if the exchange does not read.
    Report(v1::ModuleState),
    /// Drops the stream.
    Close,
    /// Ends the session for good: the last action.
    End(Result<(), SessionError>),
}

pub(crate) struct Machine {
    logon: v1::Logon,
    ladders: Vec<Ladder>,
    /// Lifetime of a quoted offer, if it expires.
    expire_after: Option<Duration>,
    jitter: Pcg32,
    state: SessionState,
    was_on: bool,
    /// Number of streams in a row that did not last.
    failures: u32,
    last_number: u64,
    /// The last session sequence.
    last_heard: Option<u64>,
    unpaid: Unpaid,
    open: OpenLeases,
    /// True while it quotes nothing.
    paused: bool,
    granted: u64,
    settled: u64,
    sold: u64,
    /// Leases whose claim was accepted and that are not over yet.
    claimed: BTreeSet<LeaseId>,
    revenue: Balance,
}

enum SessionState {
    Waiting { until: Duration },
    LoggingOn { until: Duration },
    Live(LiveSession),
    Over,
}

struct LiveSession {
    session: u32,
    heartbeat: Duration,
    since: Duration,
    beat_at: Duration,
    silent_at: Duration,
    clock: ExchangeClock,
}

/// A reading of the exchange's clock, in microseconds since 1970, and the time at which it was received.
#[derive(Clone, Copy)]
struct ExchangeClock {
    said: u64,
    heard: Duration,
}

impl Machine {
    /// Makes a machine that logs on at once. `seed` spreads the returns of providers that lost one exchange.
    pub(crate) fn new(
        logon: v1::Logon,
        ladders: Vec<(MarketName, Vec<v1::Rung>)>,
        expire_after: Option<Duration>,
        seed: u64,
    ) -> Machine {
        Machine {
            logon,
            ladders: ladders.into_iter().map(|(market, rungs)| Ladder::new(market, rungs)).collect(),
            expire_after,
            jitter: Pcg32::seed_from_u64(seed),
            state: SessionState::Waiting { until: Duration::ZERO },
            was_on: false,
            failures: 0,
            last_number: 0,
            last_heard: None,
            unpaid: Unpaid::default(),
            open: OpenLeases::default(),
            paused: false,
            granted: 0,
            settled: 0,
            sold: 0,
            claimed: BTreeSet::new(),
            revenue: Balance::ZERO,
        }
    }

    /// Returns the time of the next [`Input::Due`], or `None` after the session is over.
    pub(crate) fn due(&self) -> Option<Duration> {
        match &self.state {
            SessionState::Waiting { until } | SessionState::LoggingOn { until } => Some(*until),
            SessionState::Live(on) => {
                let requotes = self.ladders.iter().filter(|_| !self.paused).filter_map(Ladder::due);
                requotes.chain(self.unpaid.due()).chain([on.beat_at, on.silent_at]).min()
            }
            SessionState::Over => None,
        }
    }

    pub(crate) fn standing(&self) -> Standing {
        let session = match &self.state {
            SessionState::Live(on) => Some(on.session),
            _ => None,
        };
        let accepted = |ladder: &&Ladder| session.is_some() && matches!(ladder.quoted, Quoted::Accepted);
        Standing {
            session,
            markets: self.ladders.iter().filter(accepted).count(),
            refused: self.ladders.iter().filter_map(Ladder::refused).collect(),
            granted: self.granted,
            settled: self.settled,
            sold: self.sold,
            claimed: self.claimed.len(),
            unpaid: self.unpaid.len(),
            revenue: self.revenue,
            leased_mb: self.open.sum_mb(),
            paused: self.paused,
        }
    }

    pub(crate) fn step(&mut self, now: Duration, input: Input) -> Vec<Action> {
        match (input, &self.state) {
            (_, SessionState::Over) => Vec::new(),
            (Input::Stop, _) => self.end(Ok(())),
            (Input::Ended(status), _) => self.ended(now, &status),
            (Input::Received(_, FromExchange::Welcome(welcome)), SessionState::LoggingOn { .. }) => {
                self.welcomed(now, &welcome)
            }
            (Input::Received(number, heard), SessionState::Live(_)) => self.heard(now, number, heard),
            (Input::Received(..), _) => Vec::new(),
            (Input::Ran(RunEvent::Finished { lease, usage, proof }), _) => {
                self.unpaid.ran(now, lease, usage, proof);
                Vec::new()
            }
            (Input::Ran(RunEvent::Undelivered(lease)), _) => {
                self.unpaid.unanswered(now, lease);
                Vec::new()
            }
            (Input::Loaded(state), SessionState::Live(_)) => vec![Action::Report(state)],
            (Input::Loaded(_), _) => Vec::new(),
            (Input::Change(change), _) => self.change(now, change),
            (Input::Due, SessionState::Waiting { until }) if *until <= now => {
                self.state = SessionState::LoggingOn { until: now + WELCOME_TIMEOUT };
                vec![Action::Open(v1::Logon { last_sequence: self.last_heard, ..self.logon.clone() })]
            }
            (Input::Due, SessionState::LoggingOn { until }) if *until <= now => self.lost(now),
            (Input::Due, SessionState::Live(on)) if on.silent_at <= now => self.lost(now),
            (Input::Due, SessionState::Live(_)) => self.beat(now),
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
            self.claimed.retain(|lease| open.contains(lease));
            self.open = OpenLeases::of(&welcome.leases);
        }
        let clock = ExchangeClock { said: welcome.at, heard: now };
        self.state = SessionState::Live(LiveSession {
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

    fn heard(&mut self, now: Duration, number: u64, heard: FromExchange) -> Vec<Action> {
        if let SessionState::Live(on) = &mut self.state {
            on.silent_at = now + on.heartbeat * MISSED_HEARTBEATS_MAX;
        }
        if number > 0 {
            self.last_heard = Some(number);
        }
        match heard {
            FromExchange::QuoteAccepted(quote) => self.set_quoted(quote.number, Quoted::Accepted),
            FromExchange::QuoteRefused(v1::QuoteRefused { number, code, message, .. }) => {
                self.set_quoted(number, Quoted::Refused { again_at: now + REQUOTE_AFTER, code, message });
            }
            FromExchange::LeaseGranted(granted) => {
                self.granted += 1;
                self.open.begin(&granted);
            }
            FromExchange::LeaseSettled(lease) => {
                self.settled += 1;
                self.revenue.credit(Money::from_picodollars(lease.revenue).unwrap_or(Money::MAX));
                self.sold += u64::from(lease.sold);
                self.over(lease.lease);
            }
            FromExchange::LeaseUnknown(lease) => {
                if let Some(lease) = lease.lease.map(LeaseId::from) {
                    // Nothing more is heard of it if it is not claimed.
                    self.open.end(lease);
                    self.unpaid.unanswered(now, lease);
                }
            }
            FromExchange::ClaimAnswered(claim) => {
                self.over(claim.lease);
                if claim.code.is_empty() {
                    self.claimed.extend(claim.lease.map(LeaseId::from));
                }
            }
            FromExchange::Protected(_) => self.pulled(now + PROTECTED_FOR),
            FromExchange::MarketState(change) => return self.market_changed(now, &change),
            FromExchange::Heartbeat(heartbeat) => {
                if let SessionState::Live(on) = &mut self.state {
                    on.clock = ExchangeClock { said: heartbeat.at, heard: now };
                }
            }
            FromExchange::WarmModule(request) => {
                if let SessionState::Live(on) = &self.state {
                    return vec![Action::Warm(on.session, request)];
                }
            }
            FromExchange::Welcome(_) => {}
        }
        Vec::new()
    }

    fn over(&mut self, lease: Option<v1::LeaseId>) {
        if let Some(lease) = lease.map(LeaseId::from) {
            self.open.end(lease);
            self.unpaid.over(lease);
            self.claimed.remove(&lease);
        }
    }

    /// Notes that every offer was pulled, as the provider's own protection asks.
    fn pulled(&mut self, again_at: Duration) {
        for ladder in &mut self.ladders {
            let (code, message) = ("protected".to_owned(), "leased faster than the protection allows".to_owned());
            ladder.quoted = Quoted::Refused { again_at, code, message };
        }
    }

    /// Quotes the refused ladder of a market again, because the change may have opened it.
    fn market_changed(&mut self, now: Duration, change: &v1::MarketChange) -> Vec<Action> {
        self.quote(now, |ladder| ladder.market.as_str() == change.market && ladder.is_refused())
    }

    /// Makes a change of what is sold: at once in a live session, else with the next welcome.
    fn change(&mut self, now: Duration, change: SaleChange) -> Vec<Action> {
        match change {
            SaleChange::Pause => {
                self.paused = true;
                self.ladders.iter_mut().for_each(Ladder::cancel);
                match &self.state {
                    SessionState::Live(_) => vec![Action::Send(ToExchange::CancelAll(v1::CancelAllOffers {}))],
                    _ => Vec::new(),
                }
            }
            SaleChange::Resume => {
                self.paused = false;
                self.ladders.iter_mut().for_each(Ladder::cancel);
                self.quote(now, |_| true)
            }
            SaleChange::Reprice(rungs) => {
                self.ladders.iter_mut().for_each(|ladder| ladder.replace(rungs.clone()));
                self.quote(now, |_| true)
            }
        }
    }

    /// Quotes the ladders that `asked` names; none while it is paused.
    fn quote(&mut self, now: Duration, asked: impl Fn(&Ladder) -> bool) -> Vec<Action> {
        if self.paused {
            return Vec::new();
        }
        let SessionState::Live(on) = &self.state else { return Vec::new() };
        let expiry = self.expire_after.map(|after| Expiry { at: on.clock.at(now + after), renew_at: now + after / 2 });
        let asked = self.ladders.iter_mut().filter(|ladder| asked(ladder));
        let quotes = asked.map(|ladder| ladder.quote(&mut self.last_number, expiry));
        quotes.map(|quote| Action::Send(ToExchange::Quote(quote))).collect()
    }

    fn set_quoted(&mut self, number: u64, quoted: Quoted) {
        if let Some(ladder) = self.ladders.iter_mut().find(|ladder| ladder.number == number) {
            ladder.quoted = quoted;
        }
    }

    /// Does everything due in a live session: a heartbeat, refused or expiring ladders, claims.
    fn beat(&mut self, now: Duration) -> Vec<Action> {
        let mut actions = Vec::new();
        if let SessionState::Live(on) = &mut self.state
            && on.beat_at <= now
        {
            on.beat_at = now + on.heartbeat;
            self.open.expire(on.clock.at(now));
            actions
                .push(Action::Send(ToExchange::Heartbeat(v1::ProviderHeartbeat { pools: self.logon.pools.clone() })));
        }
        actions.extend(self.quote(now, |ladder| ladder.due().is_some_and(|due| due <= now)));
        let claims = self.unpaid.claims(now);
        actions.extend(claims.into_iter().map(|claim| Action::Send(ToExchange::Claim(claim))));
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

    /// Backs off for a pause that doubles with each stream that did not outlive its timeout of silence.
    fn lost(&mut self, now: Duration) -> Vec<Action> {
        if let SessionState::Live(on) = &self.state
            && now - on.since >= on.heartbeat * MISSED_HEARTBEATS_MAX
        {
            self.failures = 0;
        }
        let pause = (BACKOFF_MIN * (1 << self.failures.min(16))).min(BACKOFF_MAX);
        self.failures = self.failures.saturating_add(1);
        self.state = SessionState::Waiting { until: now + self.jitter.random_range(pause / 2..=pause) };
        vec![Action::Close]
    }

    fn end(&mut self, result: Result<(), SessionError>) -> Vec<Action> {
        self.state = SessionState::Over;
        vec![Action::End(result)]
    }
}

impl ExchangeClock {
    /// Returns the exchange's time at `now`.
    fn at(self, now: Duration) -> u64 {
        let since = now.saturating_sub(self.heard).as_micros();
        self.said.saturating_add(u64::try_from(since).unwrap_or(u64::MAX))
    }
}

enum Meaning {
    Superseded,
    /// The exchange understood and refused.
    Refused,
    /// The exchange cannot be reached or has failed.
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
#[path = "../../tests/unit/session/machine.rs"]
mod tests;
