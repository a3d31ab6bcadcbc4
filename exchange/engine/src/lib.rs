//! The matching engine: accounts, providers, offers, functions, bids and leases as one deterministic state machine.
//!
//! `apply(at, command, &mut events)` is the only way to change it. It takes time and order as arguments and gives
//! refusals back as values: no clock, no randomness, no IO, no async, no logging, no floats, no iteration over a
//! collection whose order is not defined. Same commands, same events, same digest: always.
//!
//! Invariants, after every command: all balances sum to zero; an account's holds are those of its open leases and resting
//! bids; no offer and no pool has sold more than it stated at the match; no budget is spent and held beyond its amount.

#![deny(clippy::float_arithmetic)]

mod collections;
mod command;
mod demand;
mod dues;
mod event;
mod execute;
mod leases;
mod market;
mod matching;
mod money;
mod prediction;
mod state;
mod supply;

use merit_terms::{ProviderId, Refusal, Time};

pub use command::{
    AccountLimits, Adapter, AtDeadline, Audience, Bid, BrokerRequest, BrokerSession, Code, Command, Correction,
    CorrectionKind, Deferred, Forgotten, FunctionSettings, Grant, LeaseTerms, Logon, MarketState, MarketTerms, NotSent,
    ProviderKind, ProviderLimits, PutFunction, Qualifier, Quote, RegisterProvider, Reply, Settle, Settlement,
};
pub use demand::EXAMINED_MAX;
pub use dues::EXPIRIES_MAX;
pub use event::{BidEnding, Ending, Event, Lease, LeaseState, OfferChange, Resting, SessionEnding, Why};
pub use market::keys::Key;
pub use market::{Canary, Function, LIVE, Market, Provider, Revision, WEIGHT_MAX};
pub use matching::{Candidate, MeritOrder, Refused};
pub use money::{Account, FEES, LOSSES, OUTSIDE};
pub use state::views::{HealthView, PoolView, QuotaView, SpendingOf};
pub use supply::plain_book::PlainBook;

/// Number of the rules of the market that this engine has.
pub const RULES: u32 = 1;

/// The whole state of the exchange.
#[derive(Clone, Debug)]
pub struct Engine {
    run: u32,
    /// The rules that hold; see [`Command::ActivateRules`].
    rules: u32,
    /// The number of commands applied that changed something.
    sequence: u64,
    last_at: Time,
    calendar: money::Calendar,
    fee_basis_points: u32,
    ledger: money::Ledger,
    registry: market::Registry,
    shelf: supply::Shelf,
    leases: leases::open::Leases,
    bids: demand::Bids,
    brokers: demand::brokers::Brokers,
    keys: market::keys::Keys,
    dues: dues::Dues,
}

/// What became of a command.
#[derive(Clone, Debug, PartialEq)]
pub struct Applied {
    /// When it counts as having happened: never before the command before it.
    pub at: Time,
    /// Its sequence, if it is to be journaled: it was answered with success, unless it was a `Tick` without anything to do, or
    /// expiries ran before it, or resting bids were examined after it.
    pub sequence: Option<u64>,
    pub reply: Result<Reply, Refusal>,
}

impl Default for Engine {
    fn default() -> Engine {
        Engine::new()
    }
}

impl Engine {
    /// An empty market: only the exchange's own accounts.
    pub fn new() -> Engine {
        Engine {
            run: 0,
            rules: RULES,
            sequence: 0,
            last_at: Time::default(),
            calendar: money::Calendar::default(),
            fee_basis_points: 0,
            ledger: money::Ledger::new(),
            registry: market::Registry::default(),
            shelf: supply::Shelf::default(),
            leases: leases::open::Leases::default(),
            bids: demand::Bids::default(),
            brokers: demand::brokers::Brokers::default(),
            keys: market::keys::Keys::default(),
            dues: dues::Dues::new(),
        }
    }

    /// Applies one command at `clock`, or at the time of the command before it if the clock went back. At most
    /// [`EXPIRIES_MAX`] due expiries run first; at most [`EXAMINED_MAX`] resting bids are examined afterwards, of which at
    /// most one is matched, and none if the command itself was granted a lease or rests. What happened is appended to `events`.
    pub fn apply(&mut self, clock: Time, command: &Command, events: &mut Vec<Event>) -> Applied {
        let at = clock.max(self.last_at);
        self.calendar.go_to(at);
        let expired = self.expire(at, events);
        let sequence = self.sequence + 1;
        let reply = self.execute(at, sequence, command, events);
        // Its sequence names one lease or bid.
        let named = matches!(reply, Ok(Reply::Granted(_) | Reply::Resting(_)));
        let examined = if named || !self.bids.is_pending() { 0 } else { self.sweep(at, sequence, events) };
        if self.bids.is_pending() {
            self.bids.finish_all();
        }
        let changed = expired || examined > 0 || (reply.is_ok() && *command != Command::Tick);
        if changed {
            self.last_at = at;
            self.sequence = sequence;
        } else {
            self.calendar.go_to(self.last_at);
        }
        Applied { at, sequence: changed.then_some(sequence), reply }
    }

    fn execute(
        &mut self,
        at: Time,
        sequence: u64,
        command: &Command,
        events: &mut Vec<Event>,
    ) -> Result<Reply, Refusal> {
        match command {
            Command::Start { run } => self.start(*run, sequence, events),
            Command::Tick => Ok(Reply::Done),
            Command::ActivateRules { version } => self.activate_rules(*version),
            Command::CreateMarket { name } => {
                let market = self.registry.create_market(name)?;
                self.shelf.markets.push(supply::index::Index::default());
                events.push(Event::MarketCreated { market, name: name.clone() });
                Ok(Reply::Market(market))
            }
            Command::SetMarket { market, terms } => self.set_market(*market, *terms, events),
            Command::OpenAccount { name } => {
                let account = self.ledger.open(name)?;
                events.push(Event::AccountOpened { account, name: name.to_string() });
                Ok(Reply::Account(account))
            }
            Command::Deposit { account, amount } => {
                self.ledger.get(*account)?;
                self.ledger.transfer(OUTSIDE, *account, *amount);
                self.wake_account(*account);
                events.push(Event::Moved { from: OUTSIDE, to: *account, amount: *amount, why: Why::Deposit });
                Ok(Reply::Done)
            }
            Command::Payout { account, amount } => self.payout(*account, *amount, events),
            Command::Correct(correction) => self.correct(correction, events),
            Command::FreezeAccount { account, frozen } => self.freeze(*account, *frozen),
            Command::SetAccountLimits { account, limits } => self.set_account_limits(*account, limits),
            Command::SetFee { basis_points } => self.set_fee(*basis_points),
            Command::RegisterProvider(command) => {
                self.ledger.get(command.account)?;
                let provider = self.registry.register_provider(command)?;
                self.shelf.sellers.push(supply::Seller::default());
                events.push(Event::ProviderRegistered { provider, name: command.name.clone() });
                Ok(Reply::Provider(provider))
            }
            Command::SetProviderLimits { provider, limits } => {
                self.registry.provider_mut(*provider)?.limits = *limits;
                self.wake_provider(*provider);
                Ok(Reply::Done)
            }
            Command::GrantLabels { provider, labels } => {
                self.registry.grant_labels(*provider, labels)?;
                self.wake_provider(*provider);
                Ok(Reply::Done)
            }
            Command::Kill { provider, reason } => self.kill(*provider, reason, events),
            Command::Revive { provider } => {
                self.registry.provider_mut(*provider)?.killed = None;
                Ok(Reply::Done)
            }
            Command::PutFunction(command) => {
                self.ledger.get(command.account)?;
                let (function, revision) = self.registry.put_function(command)?;
                self.wake_account(command.account);
                Ok(Reply::Function { function, revision })
            }
            Command::DeleteFunction { function } => self.registry.delete_function(*function).map(|()| Reply::Done),
            Command::PutAlias { function, alias, revision, canary } => {
                self.registry.put_alias(*function, alias, *revision, *canary).map(|()| Reply::Done)
            }
            Command::Logon(logon) => self.logon(logon, events),
            Command::StatePools { provider, session, pools } => self.state_pools(*provider, *session, pools, events),
            Command::Busy { provider, session, pool } => self.busy(*provider, *session, *pool, events),
            Command::Quote(quote) => self.quote_ladder(at, sequence, quote, events),
            Command::CancelAll { provider, session } => {
                self.registry.in_session(*provider, *session)?;
                self.shelf.cancel(*provider, |_| true, &mut self.dues, events);
                Ok(Reply::Done)
            }
            Command::Logout { provider, session } => self.logout(*provider, *session, events),
            Command::Disconnect { provider, session } => {
                self.registry.in_session(*provider, *session)?;
                self.end_session(*provider, SessionEnding::Lost, events);
                Ok(Reply::Done)
            }
            Command::Claim { lease, usage } => self.claim(*lease, *usage, events),
            Command::BrokerLogon { resumes } => self.broker_logon(sequence, *resumes),
            Command::BrokerLost { session } => self.broker_lost(*session),
            Command::Acquire(bid) => self.acquire(at, sequence, bid, events),
            Command::Defer(deferred) => self.defer(at, sequence, deferred, events),
            Command::TakeUp { lease } => self.take_up(*lease),
            Command::CancelBid { account, bid } => self.cancel_bid(*account, *bid, events),
            Command::Settle(settle) => self.settle(at, settle, events),
            Command::SettleForgotten(forgotten) => self.settle_forgotten(at, forgotten, events),
            Command::Release { lease, why } => self.release(at, *lease, *why, events),
            Command::CloseLease { lease } => self.close_lease(*lease, events),
            Command::CreateKey { role, account, expires } => {
                self.create_key(at, sequence, *role, *account, *expires, events)
            }
            Command::RevokeKey { key } => self.revoke_key(*key, events),
            Command::RotateKey { key, previous_until } => self.rotate_key(at, *key, *previous_until, events),
        }
    }

    /// A new run: the streams of the former one are gone, and every offer with its session.
    fn start(&mut self, run: u32, sequence: u64, events: &mut Vec<Event>) -> Result<Reply, Refusal> {
        if run <= self.run {
            return Err(market::invalid("run", format!("{run} is not above the last run, {}", self.run)));
        }
        self.run = run;
        self.leases.runs.push((run, sequence));
        self.lose_all_brokers();
        for provider in 0..self.registry.providers.len() {
            if self.registry.providers[provider].online {
                self.end_session(ProviderId::new(provider as u32), SessionEnding::Restarted, events);
            }
        }
        Ok(Reply::Done)
    }

    fn activate_rules(&mut self, version: u32) -> Result<Reply, Refusal> {
        if version > RULES {
            return Err(Refusal::UnknownRules { version });
        }
        if version <= self.rules {
            return Err(market::invalid("version", format!("rules {} hold already", self.rules)));
        }
        self.rules = version;
        Ok(Reply::Done)
    }

    fn set_fee(&mut self, basis_points: u32) -> Result<Reply, Refusal> {
        if basis_points > 10_000 {
            return Err(market::invalid("fee", format!("{basis_points} basis points; at most 10000")));
        }
        self.fee_basis_points = basis_points;
        Ok(Reply::Done)
    }
}
