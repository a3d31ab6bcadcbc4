//! The matching engine: accounts, providers, offers, functions, bids and leases as one deterministic state machine.
//!
//! `apply(at, command, &mut events)` is the only way to change it. It takes time and order as arguments and gives
//! refusals back as values: no clock, no randomness, no IO, no async, no logging, no floats, no iteration over a
//! collection whose order is not defined. Same commands, same events, same digest: always.
//!
//! Invariants, after every command: all balances sum to zero; an account's holds are those of its open leases and
//! resting bids; no offer and no pool has sold more than it stated at the match; no budget is spent and held beyond its
//! amount.
//!
//! The wings, each of which knows only those before it: `command`, `reply`, `event`, `deadlines`, `turn` (plain data),
//! `collections`, `prediction`, `money`, `market` (definitions), `supply`, `demand`, `matching`, `leases`, `execute`,
//! `state`. Data files hold a type and its verbs; files with an `impl Engine` bring the wings together.

#![deny(clippy::float_arithmetic, clippy::iter_over_hash_type)]

mod collections;
mod command;
mod deadlines;
mod demand;
mod event;
mod execute;
mod leases;
mod market;
mod matching;
mod money;
mod prediction;
mod reply;
mod state;
mod supply;
mod turn;

use merit_terms::{Refusal, Time};
use serde::{Deserialize, Serialize};

pub use command::{
    AccountLimits, AtDeadline, Audience, Bid, BrokerRequest, Canary, Code, Command, Correction, CorrectionKind,
    Deferred, Forgotten, FunctionSettings, LIVE, LeaseTerms, Logon, MarketState, MarketTerms, NotSent, ProviderKind,
    ProviderLimits, PutFunction, Qualifier, Quote, RegisterProvider, Settle, WEIGHT_MAX,
};
pub use demand::resting::EXAMINED_MAX;
pub use event::{BidEnding, Ending, Event, Lease, LeaseState, OfferChange, Resting, SessionEnding, Why};
pub use execute::expire::EXPIRIES_MAX;
pub use market::functions::Function;
pub use market::keys::Key;
pub use market::markets::Market;
pub use market::providers::Provider;
pub use market::revisions::Revision;
pub use market::visibility::{Viewer, Visibility};
pub use matching::merit_order::{Candidate, MeritOrder, Refused};
pub use merit_terms::Adapter;
pub use money::ledger::{Account, FEES, LOSSES, OUTSIDE};
pub use prediction::reference::Source;
pub use reply::{BrokerSession, Grant, Reply, Settlement};
pub use state::views::{HealthView, PoolView, QuotaView, SpendingOf};
pub use supply::plain_book::PlainBook;

use deadlines::Deadlines;
use demand::brokers::Brokers;
use demand::resting::Bids;
use leases::open::Leases;
use market::keys::Keys;
use market::registry::Registry;
use money::ledger::Ledger;
use money::spending::Calendar;
use supply::Shelf;
use turn::Turn;

/// Number of the rules of the market that this engine has.
pub const RULES: u32 = 1;
/// Number of the rules of an empty market: a journal that does not activate others is replayed by these.
const FIRST_RULES: u32 = 1;

/// The whole state of the exchange.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub struct Engine {
    run: u32,
    /// Number of the active rules; see [`Command::ActivateRules`].
    rules: u32,
    /// Check value of the master key; 0 before it is bound.
    master_key_check: u64,
    /// Number of applied commands that changed something.
    sequence: u64,
    last_at: Time,
    calendar: Calendar,
    fee_basis_points: u32,
    ledger: Ledger,
    registry: Registry,
    shelf: Shelf,
    leases: Leases,
    bids: Bids,
    brokers: Brokers,
    keys: Keys,
    deadlines: Deadlines,
}

/// The result of a command.
#[derive(Clone, Debug, PartialEq)]
pub struct Applied {
    /// Time of the command: never before that of the command before it.
    pub at: Time,
    /// Sequence of the command, if it is to be journaled: it was answered with success, unless it was a `Tick` without
    /// anything to do, or expiries ran before it, or resting bids were examined after it.
    pub sequence: Option<u64>,
    pub reply: Result<Reply, Refusal>,
}

impl Default for Engine {
    fn default() -> Engine {
        Engine::new()
    }
}

impl Engine {
    /// Makes an empty market by the first rules, with only the exchange's own accounts.
    pub fn new() -> Engine {
        Engine {
            run: 0,
            rules: FIRST_RULES,
            master_key_check: 0,
            sequence: 0,
            last_at: Time::default(),
            calendar: Calendar::default(),
            fee_basis_points: 0,
            ledger: Ledger::new(),
            registry: Registry::default(),
            shelf: Shelf::default(),
            leases: Leases::default(),
            bids: Bids::default(),
            brokers: Brokers::default(),
            keys: Keys::default(),
            deadlines: Deadlines::default(),
        }
    }

    /// Applies one command at `clock`, or at the time of the command before it if the clock went back. At most
    /// [`EXPIRIES_MAX`] due expiries run first; at most [`EXAMINED_MAX`] resting bids are examined afterwards, of which
    /// at most one is matched, and none if the command itself was granted a lease or rests. Adds its events to
    /// `events`.
    pub fn apply(&mut self, clock: Time, command: &Command, events: &mut Vec<Event>) -> Applied {
        let at = clock.max(self.last_at);
        self.calendar.go_to(at);
        let mut turn = Turn::new(at, self.sequence + 1, std::mem::take(&mut self.deadlines), events);
        let expired = self.expire(&mut turn);
        let reply = self.execute(&mut turn, command);
        // Its sequence names one lease or bid.
        let named = matches!(reply, Ok(Reply::Granted(_) | Reply::Resting(_)));
        let examined = if named || !self.bids.is_pending() { 0 } else { self.sweep(&mut turn) };
        if self.bids.is_pending() {
            self.bids.finish_all();
        }
        let sequence = turn.sequence;
        self.deadlines = turn.deadlines;
        let changed = expired || examined > 0 || (reply.is_ok() && *command != Command::Tick);
        if changed {
            self.last_at = at;
            self.sequence = sequence;
        } else {
            self.calendar.go_to(self.last_at);
        }
        Applied { at, sequence: changed.then_some(sequence), reply }
    }
}
