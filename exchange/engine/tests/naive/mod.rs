//! The naive twin: the rules of the market in the plainest code, the oracle of the fast engine.
//!
//! Plain lists scanned from start to end. Nothing that can be computed is kept: what is leased, free, held, running
//! or due is counted from the open leases each time, books are sorted each time. It shares the engine's commands,
//! replies and leases, and the vocabulary, and never calls the engine.

mod durations;
mod ladders;
mod leases;
mod ranking;
mod registry;

use std::collections::BTreeMap;

use merit_engine::{Applied, Code, Command, FEES, FunctionSettings, Lease, OUTSIDE, ProviderKind, Reply};
use merit_terms::{
    AccountId, MarketId, MarketName, Money, Name, OfferId, PoolSize, Price, ProviderId, Refusal, Rung, Time,
};

pub(crate) use durations::History;
pub(crate) use ranking::Ranked;

#[derive(Clone, Debug)]
pub(crate) struct Twin {
    pub(crate) run: u32,
    pub(crate) sequence: u64,
    pub(crate) last_at: Time,
    pub(crate) fee_basis_points: u32,
    pub(crate) accounts: Vec<Account>,
    pub(crate) markets: Vec<Market>,
    pub(crate) providers: Vec<Provider>,
    pub(crate) functions: Vec<Function>,
    /// Only live offers, in no order.
    pub(crate) offers: Vec<Offer>,
    /// Only open leases, in order of their match.
    pub(crate) leases: Vec<OpenLease>,
    offers_posted: u64,
}

#[derive(Clone, Debug)]
pub(crate) struct Account {
    pub(crate) name: String,
    pub(crate) balance: i128,
}

#[derive(Clone, Debug)]
pub(crate) struct Market {
    pub(crate) name: MarketName,
    pub(crate) spot_price: Option<Price>,
    pub(crate) trades: u64,
}

#[derive(Clone, Debug)]
pub(crate) struct Provider {
    pub(crate) name: Name,
    pub(crate) account: AccountId,
    pub(crate) kind: ProviderKind,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) session: u32,
    pub(crate) online: bool,
    pub(crate) endpoint: String,
    pub(crate) pools: Vec<PoolSize>,
    last_quote: u64,
    general_ratio: i32,
}

#[derive(Clone, Debug)]
pub(crate) struct Function {
    pub(crate) account: AccountId,
    pub(crate) name: Name,
    pub(crate) settings: FunctionSettings,
    pub(crate) revisions: Vec<Revision>,
    pub(crate) aliases: BTreeMap<Name, u32>,
    pub(crate) live: Option<u32>,
    pub(crate) deleted: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct Revision {
    pub(crate) code: Code,
    pub(crate) histories: Vec<(ProviderId, History)>,
}

#[derive(Clone, Debug)]
pub(crate) struct Offer {
    pub(crate) id: OfferId,
    pub(crate) provider: ProviderId,
    pub(crate) market: MarketId,
    pub(crate) rung: Rung,
    /// The sequence of its last match or posting.
    pub(crate) place: u64,
}

#[derive(Clone, Debug)]
pub(crate) struct OpenLease {
    pub(crate) lease: Lease,
    /// Which of the provider's pools it takes from.
    pub(crate) pool: u32,
    pub(crate) has_capacity: bool,
}

pub(crate) fn invalid(field: &str) -> Refusal {
    Refusal::Invalid { field: field.to_owned(), message: String::new() }
}

pub(crate) fn unknown(what: &'static str, number: u32) -> Refusal {
    Refusal::Unknown { what, name: number.to_string() }
}

impl Twin {
    pub(crate) fn new() -> Twin {
        let account = |name: &str| Account { name: name.to_owned(), balance: 0 };
        Twin {
            run: 0,
            sequence: 0,
            last_at: Time::default(),
            fee_basis_points: 0,
            accounts: vec![account("merit-outside"), account("merit-fees")],
            markets: Vec::new(),
            providers: Vec::new(),
            functions: Vec::new(),
            offers: Vec::new(),
            leases: Vec::new(),
            offers_posted: 0,
        }
    }

    /// What the engine must answer to `command`; the messages of refusals are left empty.
    pub(crate) fn apply(&mut self, clock: Time, command: &Command) -> Applied {
        let at = clock.max(self.last_at);
        let expired = self.expire(at);
        let sequence = self.sequence + 1;
        let reply = self.execute(at, sequence, command);
        let changed = expired || (reply.is_ok() && *command != Command::Tick);
        if changed {
            (self.last_at, self.sequence) = (at, sequence);
        }
        Applied { at, sequence: changed.then_some(sequence), reply }
    }

    fn execute(&mut self, at: Time, sequence: u64, command: &Command) -> Result<Reply, Refusal> {
        match command {
            Command::Start { run } => self.start(*run)?,
            Command::Tick => {}
            Command::CreateMarket { name } => return self.create_market(name),
            Command::OpenAccount { name } => return self.open_account(name),
            Command::Deposit { account, amount } => {
                self.account(*account)?;
                self.transfer(OUTSIDE, *account, *amount);
            }
            Command::SetFee { basis_points } if *basis_points > 10_000 => return Err(invalid("fee")),
            Command::SetFee { basis_points } => self.fee_basis_points = *basis_points,
            Command::RegisterProvider(register) => return self.register_provider(register),
            Command::PutFunction(put) => return self.put_function(put),
            Command::DeleteFunction { function } => self.delete_function(*function)?,
            Command::PutAlias { function, alias, revision } => self.put_alias(*function, alias, *revision)?,
            Command::Logon { provider, endpoint, pools } => return self.logon(*provider, endpoint, pools),
            Command::StatePools { provider, session, pools } => {
                ladders::check_pools(pools)?;
                self.in_session(*provider, *session)?;
                self.state_pools(*provider, pools);
            }
            Command::Busy { provider, session, pool } => {
                self.in_session(*provider, *session)?;
                self.busy(*provider, *pool)?;
            }
            Command::Quote(quote) => self.quote_ladder(sequence, quote)?,
            Command::CancelAll { provider, session } => {
                self.in_session(*provider, *session)?;
                self.offers.retain(|offer| offer.provider != *provider);
            }
            Command::Disconnect { provider, session } => {
                self.in_session(*provider, *session)?;
                self.end_session(*provider);
            }
            Command::Acquire(bid) => return self.acquire(at, sequence, bid),
            Command::Settle(settle) => return self.settle(settle),
            Command::Release { lease, busy } => self.release(*lease, *busy)?,
        }
        Ok(Reply::Done)
    }

    pub(crate) fn account(&self, id: AccountId) -> Result<&Account, Refusal> {
        self.accounts.get(id.index()).ok_or_else(|| unknown("account", id.number()))
    }

    fn transfer(&mut self, from: AccountId, to: AccountId, amount: Money) {
        self.accounts[from.index()].balance -= i128::from(amount.picodollars());
        self.accounts[to.index()].balance += i128::from(amount.picodollars());
    }

    /// The buyer pays the seller the cost, the seller pays the operator the fee.
    fn pay(&mut self, buyer: AccountId, seller: AccountId, cost: Money, fee: Money) {
        self.transfer(buyer, seller, cost);
        self.transfer(seller, FEES, fee);
    }

    /// Worst cases of the account's open leases.
    pub(crate) fn held(&self, account: AccountId) -> u128 {
        let leases = self.leases.iter().filter(|open| open.lease.account == account);
        leases.map(|open| u128::from(open.lease.hold.picodollars())).sum()
    }
}
