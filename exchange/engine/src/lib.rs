//! The matching engine: accounts, providers, offers, functions and leases as one deterministic state machine.
//!
//! `apply(at, command, &mut events)` is the only way to change it. It takes time and order as arguments and gives
//! refusals back as values: no clock, no randomness, no IO, no async, no logging, no floats, no iteration over a
//! collection whose order is not defined. Same commands, same events, same digest: always.
//!
//! Invariants, after every command: all balances sum to zero; an account's holds are those of its open leases; no
//! offer and no pool has sold more than it stated at the match.

#![deny(clippy::float_arithmetic)]

mod book;
mod command;
mod digest;
mod estimate;
mod event;
mod leases;
mod ledger;
mod matching;
mod registry;
mod views;

use merit_terms::{Refusal, Time};

pub use command::{
    AccountLimits, AtDeadline, Audience, Bid, BrokerRequest, BrokerSession, Code, Command, Correction, CorrectionKind,
    Deferred, Forgotten, FunctionSettings, Grant, LeaseTerms, Logon, MarketState, MarketTerms, NotSent, ProviderKind,
    ProviderLimits, PutFunction, Qualifier, Quote, RegisterProvider, Reply, Settle, Settlement,
};
pub use event::{BidEnding, Ending, Event, Lease, LeaseState, OfferChange, Resting, SessionEnding, Why};
pub use leases::EXPIRIES_MAX;
pub use ledger::{Account, FEES, OUTSIDE};
pub use matching::{Candidate, MeritOrder, Refused};
pub use registry::{Function, LIVE, Market, Provider, Revision};
pub use views::{HealthView, PoolView, QuotaView, SpendingOf};

/// The whole state of the exchange.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub struct Engine {
    run: u32,
    /// The number of commands applied that changed something.
    sequence: u64,
    last_at: Time,
    fee_basis_points: u32,
    ledger: ledger::Ledger,
    registry: registry::Registry,
    shelf: book::Shelf,
    leases: leases::Leases,
}

/// What became of a command.
#[derive(Clone, Debug, PartialEq)]
pub struct Applied {
    /// When it counts as having happened: never before the command before it.
    pub at: Time,
    /// Its sequence, if it changed anything; only such commands are journaled. A refused command changes something
    /// if expiries ran before it.
    pub sequence: Option<u64>,
    pub reply: Result<Reply, Refusal>,
}

impl Default for Engine {
    fn default() -> Engine {
        Engine::new()
    }
}

impl Engine {
    /// An empty market: only the system accounts.
    pub fn new() -> Engine {
        Engine {
            run: 0,
            sequence: 0,
            last_at: Time::default(),
            fee_basis_points: 0,
            ledger: ledger::Ledger::new(),
            registry: registry::Registry::default(),
            shelf: book::Shelf::default(),
            leases: leases::Leases::default(),
        }
    }

    /// Applies one command at `clock`, or at the time of the command before it if the clock went back. At most
    /// [`EXPIRIES_MAX`] due expiries run first. What happened is appended to `events`.
    pub fn apply(&mut self, clock: Time, command: &Command, events: &mut Vec<Event>) -> Applied {
        let at = clock.max(self.last_at);
        let expired = self.expire(at, events);
        let sequence = self.sequence + 1;
        let reply = self.execute(at, sequence, command, events);
        let changed = expired || (reply.is_ok() && *command != Command::Tick);
        if changed {
            self.last_at = at;
            self.sequence = sequence;
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
            Command::Start { run } => self.start(*run, events),
            Command::Tick => Ok(Reply::Done),
            Command::CreateMarket { name } => {
                let market = self.registry.create_market(name)?;
                events.push(Event::MarketCreated { market, name: name.clone() });
                Ok(Reply::Market(market))
            }
            Command::OpenAccount { name } => self.ledger.open(name).map(Reply::Account),
            Command::Deposit { account, amount } => {
                self.ledger.get(*account)?;
                self.ledger.transfer(OUTSIDE, *account, *amount);
                events.push(Event::Moved { from: OUTSIDE, to: *account, amount: *amount, why: Why::Deposit });
                Ok(Reply::Done)
            }
            Command::SetFee { basis_points } => self.set_fee(*basis_points),
            Command::RegisterProvider(command) => {
                self.ledger.get(command.account)?;
                self.registry.register_provider(command).map(Reply::Provider)
            }
            Command::PutFunction(command) => {
                self.ledger.get(command.account)?;
                let (function, revision) = self.registry.put_function(command)?;
                Ok(Reply::Function { function, revision })
            }
            Command::DeleteFunction { function } => self.registry.delete_function(*function).map(|()| Reply::Done),
            Command::PutAlias { function, alias, revision } => {
                self.registry.put_alias(*function, alias, *revision).map(|()| Reply::Done)
            }
            Command::Logon(logon) => self.logon(logon.provider, &logon.endpoint, &logon.pools, events),
            Command::StatePools { provider, session, pools } => {
                book::check_pools(pools)?;
                self.registry.in_session(*provider, *session)?;
                self.shelf.state_pools(*provider, pools, &mut self.registry, events);
                Ok(Reply::Done)
            }
            Command::Busy { provider, session, pool } => {
                let pools = &self.registry.in_session(*provider, *session)?.pools;
                let unknown = || Refusal::Unknown { what: "pool", name: pool.to_string() };
                let slot = *pools.get(*pool as usize).ok_or_else(unknown)?;
                self.shelf.busy(slot, events);
                Ok(Reply::Done)
            }
            Command::Quote(quote) => self.quote_ladder(sequence, quote, events),
            Command::CancelAll { provider, session } => {
                self.registry.in_session(*provider, *session)?;
                self.shelf.cancel_all(*provider, &mut self.registry, events);
                Ok(Reply::Done)
            }
            Command::Disconnect { provider, session } => {
                self.registry.in_session(*provider, *session)?;
                self.end_session(*provider, SessionEnding::Lost, events);
                Ok(Reply::Done)
            }
            Command::Acquire(bid) => self.acquire(at, sequence, bid, events),
            Command::Settle(settle) => self.settle(settle, events),
            Command::Release { lease, why } => self.release(*lease, *why == NotSent::Busy, events),
            _ => Err(Refusal::UnknownRules { version: 2 }),
        }
    }

    /// A new run: the streams of the former one are gone, and every offer with its session.
    fn start(&mut self, run: u32, events: &mut Vec<Event>) -> Result<Reply, Refusal> {
        if run <= self.run {
            let message = format!("{run} is not above the last run, {}", self.run);
            return Err(Refusal::Invalid { field: "run".to_owned(), message });
        }
        self.run = run;
        for provider in 0..self.registry.providers.len() {
            if self.registry.providers[provider].online {
                self.end_session(merit_terms::ProviderId::new(provider as u32), SessionEnding::Restarted, events);
            }
        }
        Ok(Reply::Done)
    }

    fn set_fee(&mut self, basis_points: u32) -> Result<Reply, Refusal> {
        if basis_points > 10_000 {
            let message = format!("{basis_points} basis points; at most 10000");
            return Err(Refusal::Invalid { field: "fee".to_owned(), message });
        }
        self.fee_basis_points = basis_points;
        Ok(Reply::Done)
    }

    /// Begins a session; a session that was on is over, and its offers with it.
    fn logon(
        &mut self,
        id: merit_terms::ProviderId,
        endpoint: &str,
        pools: &[merit_terms::PoolSize],
        events: &mut Vec<Event>,
    ) -> Result<Reply, Refusal> {
        book::check_pools(pools)?;
        let unknown = || Refusal::Unknown { what: "provider", name: id.number().to_string() };
        let online = self.registry.providers.get(id.index()).ok_or_else(unknown)?.online;
        if online {
            self.end_session(id, SessionEnding::Fenced, events);
        }
        let provider = &mut self.registry.providers[id.index()];
        provider.session += 1;
        provider.online = true;
        provider.last_quote = 0;
        provider.endpoint = endpoint.to_owned();
        let (session, name) = (provider.session, provider.name.clone());
        self.shelf.state_pools(id, pools, &mut self.registry, events);
        events.push(Event::SessionBegan { provider: id, name, session });
        Ok(Reply::Session(session))
    }

    fn end_session(&mut self, id: merit_terms::ProviderId, why: SessionEnding, events: &mut Vec<Event>) {
        self.shelf.cancel_all(id, &mut self.registry, events);
        let provider = &mut self.registry.providers[id.index()];
        provider.online = false;
        events.push(Event::SessionEnded { provider: id, session: provider.session, why });
    }

    fn quote_ladder(&mut self, sequence: u64, quote: &Quote, events: &mut Vec<Event>) -> Result<Reply, Refusal> {
        let markets = self.registry.markets.len();
        let provider = self.registry.in_session(quote.provider, quote.session)?;
        if quote.number <= provider.last_quote {
            return Err(Refusal::StaleQuote { last: provider.last_quote });
        }
        if quote.market.index() >= markets {
            return Err(Refusal::Unknown { what: "market", name: quote.market.number().to_string() });
        }
        book::check_ladder(quote, provider.pools.len())?;
        provider.last_quote = quote.number;
        self.shelf.replace_ladder(quote, sequence, &mut self.registry, events);
        Ok(Reply::Done)
    }
}
