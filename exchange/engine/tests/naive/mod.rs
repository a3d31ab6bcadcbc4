//! The naive twin: the rules of the market in the plainest code, the oracle of the fast engine.
//!
//! Plain lists are scanned from start to end. Nothing that can be computed is kept: leased, free, held, running and due
//! amounts are counted from open leases and resting bids each time, and books are sorted each time. It shares the
//! engine's commands, replies, events and leases, and the vocabulary, and never calls the engine. It tells events of
//! leases, bids, money, health, sessions and keys, and none of the books.

mod accounts;
mod brokers;
mod deferred;
mod durations;
mod eligibility;
mod expiry;
mod forgotten;
mod functions;
mod health;
mod holds;
mod keys;
mod ladders;
mod learning;
mod leases;
mod markets;
mod matching;
mod pools;
mod providers;
mod quotas;
mod ranking;
mod sessions;
mod settling;
mod spending;
mod sweeps;
mod wakes;

use std::collections::BTreeMap;

use merit_engine::{Applied, Command, Event, Key, Reply};
use merit_terms::{LeaseId, Refusal, Time};

pub(crate) use eligibility::Ranked;
pub(crate) use leases::OpenLease;
pub(crate) use ranking::lacks;
pub(crate) use spending::Spender;

use accounts::Account;
use brokers::Broker;
use deferred::Rested;
use functions::Function;
use health::{Back, Warm};
use ladders::Offer;
use markets::Market;
use providers::Provider;
use spending::Payment;
use sweeps::Sweep;

#[derive(Clone, Debug)]
pub(crate) struct Twin {
    pub(crate) run: u32,
    pub(crate) sequence: u64,
    pub(crate) last_at: Time,
    pub(crate) rules: u32,
    pub(crate) master_key_check: Option<u64>,
    pub(crate) fee_basis_points: u32,
    pub(crate) accounts: Vec<Account>,
    pub(crate) markets: Vec<Market>,
    pub(crate) providers: Vec<Provider>,
    pub(crate) functions: Vec<Function>,
    /// Live offers, in no order.
    pub(crate) offers: Vec<Offer>,
    /// Open leases, in order of their match.
    pub(crate) leases: Vec<OpenLease>,
    /// Resting bids, in no order.
    pub(crate) resting: Vec<Rested>,
    pub(crate) brokers: Vec<Broker>,
    pub(crate) keys: Vec<Key>,
    /// Back-offs and trials.
    pub(crate) backs: Vec<Back>,
    warms: Vec<Warm>,
    /// Events of the last command, without those of the books.
    pub(crate) events: Vec<Event>,
    /// Causes besides supply that woke resting bids during the last command.
    pub(crate) woken: Vec<&'static str>,
    /// Time up to which ends of back-offs and midnights have been looked at, while bids rest.
    looked: Time,
    sweeps: Vec<Sweep>,
    payments: Vec<Payment>,
    /// Each run, and the sequence of its start.
    starts: Vec<(u32, u64)>,
    /// Forgotten leases that were settled, until their time for that is over.
    late: Vec<(LeaseId, Time)>,
    offers_posted: u64,
}

pub(crate) fn invalid(field: &str) -> Refusal {
    Refusal::Invalid { field: field.to_owned(), message: String::new() }
}

pub(crate) fn unknown(what: &'static str, number: impl ToString) -> Refusal {
    Refusal::Unknown { what, name: number.to_string() }
}

/// Checks texts: at most 64 entries, each with a name and of at most 4,096 bytes.
fn check_texts(field: &str, texts: &BTreeMap<String, String>) -> Result<(), Refusal> {
    if texts.len() > 64 {
        return Err(invalid(field));
    }
    match texts.iter().find(|(name, value)| name.is_empty() || name.len() + value.len() > 4096) {
        Some((name, _)) => Err(invalid(&format!("{field}.{name}"))),
        None => Ok(()),
    }
}

impl Twin {
    pub(crate) fn new() -> Twin {
        Twin {
            run: 0,
            sequence: 0,
            last_at: Time::default(),
            rules: merit_engine::RULES,
            master_key_check: None,
            fee_basis_points: 0,
            accounts: ["merit-outside", "merit-fees", "merit-losses"].map(Account::new).into(),
            markets: Vec::new(),
            providers: Vec::new(),
            functions: Vec::new(),
            offers: Vec::new(),
            leases: Vec::new(),
            resting: Vec::new(),
            brokers: Vec::new(),
            keys: Vec::new(),
            backs: Vec::new(),
            warms: Vec::new(),
            events: Vec::new(),
            woken: Vec::new(),
            looked: Time::default(),
            sweeps: Vec::new(),
            payments: Vec::new(),
            starts: Vec::new(),
            late: Vec::new(),
            offers_posted: 0,
        }
    }

    /// Returns the answer that the engine must give to `command`; the messages of refusals are left empty.
    pub(crate) fn apply(&mut self, clock: Time, command: &Command) -> Applied {
        self.events.clear();
        self.woken.clear();
        let at = clock.max(self.last_at);
        let sequence = self.sequence + 1;
        let expired = self.expire(at);
        let reply = self.execute(at, sequence, command);
        let named = matches!(reply, Ok(Reply::Granted(_) | Reply::Resting(_)));
        let examined = if named { false } else { self.sweep(at, sequence) };
        self.end_finished_sweeps();
        let changed = expired || examined || (reply.is_ok() && *command != Command::Tick);
        if changed {
            (self.last_at, self.sequence) = (at, sequence);
        }
        Applied { at, sequence: changed.then_some(sequence), reply }
    }

    fn execute(&mut self, at: Time, sequence: u64, command: &Command) -> Result<Reply, Refusal> {
        match command {
            Command::Start { run } => self.start(sequence, *run)?,
            Command::BindMasterKey { check: 0 } => return Err(invalid("check")),
            Command::BindMasterKey { check } => self.master_key_check = Some(*check),
            Command::Tick => {}
            Command::ActivateRules { version } => self.activate_rules(*version)?,
            Command::CreateMarket { name } => return self.create_market(name),
            Command::SetMarket { market, terms } => self.set_market(*market, *terms)?,
            Command::DeleteMarket { market } => self.delete_market(*market)?,
            Command::OpenAccount { name } => return self.open_account(name),
            Command::Deposit { account, amount } => self.deposit(*account, *amount)?,
            Command::Payout { account, amount } => self.payout(*account, *amount)?,
            Command::Correct(correction) => self.correct(correction)?,
            Command::FreezeAccount { account, frozen } => self.freeze(*account, *frozen)?,
            Command::SetAccountLimits { account, limits } => self.set_account_limits(*account, limits)?,
            Command::SetFee { basis_points } if *basis_points > 10_000 => return Err(invalid("fee")),
            Command::SetFee { basis_points } => self.fee_basis_points = *basis_points,
            Command::RegisterProvider(register) => return self.register_provider(register),
            Command::SetProviderLimits { provider, limits } => self.set_provider_limits(*provider, *limits)?,
            Command::SetTargets { provider, targets } => self.set_targets(*provider, targets)?,
            Command::GrantLabels { provider, labels } => self.grant_labels(*provider, labels)?,
            Command::Kill { provider, reason } => self.kill(*provider, reason)?,
            Command::Revive { provider } => self.provider_mut(*provider)?.killed = None,
            Command::PutFunction(put) => return self.put_function(put),
            Command::DeleteFunction { function } => self.delete_function(*function)?,
            Command::PutAlias { function, alias, revision, canary } => {
                self.put_alias(*function, alias, *revision, *canary)?
            }
            Command::Logon(logon) => return self.logon(logon),
            Command::StatePools { provider, session, pools } => {
                pools::check(pools)?;
                self.in_session(*provider, *session)?;
                self.state_pools(*provider, pools);
            }
            Command::Busy { provider, session, pool } => {
                self.in_session(*provider, *session)?;
                self.busy(*provider, *pool)?;
            }
            Command::Quote(quote) => self.quote_ladder(at, sequence, quote)?,
            Command::CancelAll { provider, session } => {
                self.in_session(*provider, *session)?;
                self.cancel_all(*provider);
            }
            Command::Logout { provider, session } => self.logout(*provider, *session)?,
            Command::Disconnect { provider, session } => self.disconnect(*provider, *session)?,
            Command::Claim { lease, usage } => self.claim(at, *lease, *usage)?,
            Command::BrokerLogon { resumes } => return self.broker_logon(sequence, *resumes),
            Command::BrokerLost { session } => self.broker_lost(*session)?,
            Command::Acquire(bid) => return self.acquire(at, sequence, bid),
            Command::Defer(deferred) => return self.defer(at, sequence, deferred),
            Command::TakeUp { lease } => self.take_up(*lease)?,
            Command::CancelBid { account, bid } => self.cancel_bid(*account, *bid)?,
            Command::Settle(settle) => return self.settle(at, settle),
            Command::SettleForgotten(forgotten) => return self.settle_forgotten(at, forgotten),
            Command::Release { lease, why } => self.release(at, *lease, *why)?,
            Command::CloseLease { lease } => self.close_lease(at, *lease)?,
            Command::CreateKey { role, account, expires } => {
                return self.create_key(at, sequence, *role, *account, *expires);
            }
            Command::RevokeKey { key } => self.revoke_key(*key)?,
            Command::RotateKey { key, previous_until } => return self.rotate_key(at, *key, *previous_until),
        }
        Ok(Reply::Done)
    }
}
