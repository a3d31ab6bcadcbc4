//! What may be asked of the engine: the commands that the journal keeps, and the answers to them.

use std::collections::BTreeMap;

use merit_terms::{
    AccountId, Execution, FunctionId, LeaseId, Limits, MarketId, MarketName, MarketPattern, Money, Name, Outcome,
    PoolSize, ProviderId, Rung, Tariff, Usage,
};

/// One command. Everything that changes the market is one of these.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// A new run of the exchange: sessions of the former run are over, its offers are cancelled.
    Start {
        run: u32,
    },
    /// Time passes: due expiries run.
    Tick,
    CreateMarket {
        name: MarketName,
    },
    OpenAccount {
        name: Name,
    },
    Deposit {
        account: AccountId,
        amount: Money,
    },
    /// The operator's fee on every settled cost, in basis points (at most 10,000).
    SetFee {
        basis_points: u32,
    },
    RegisterProvider(RegisterProvider),
    PutFunction(Box<PutFunction>),
    DeleteFunction {
        function: FunctionId,
    },
    /// Points an alias at a revision; `live` follows the newest revision until it is put.
    PutAlias {
        function: FunctionId,
        alias: Name,
        revision: u32,
    },
    Logon {
        provider: ProviderId,
        endpoint: String,
        pools: Vec<PoolSize>,
    },
    /// A heartbeat that states other pools than the engine knows.
    StatePools {
        provider: ProviderId,
        session: u32,
        pools: Vec<PoolSize>,
    },
    /// The provider took nothing more: a pool is what runs in it, until the next stated pools.
    Busy {
        provider: ProviderId,
        session: u32,
        pool: u32,
    },
    Quote(Quote),
    /// Cancels every offer of the provider; the session goes on.
    CancelAll {
        provider: ProviderId,
        session: u32,
    },
    /// The session is over and its offers with it.
    Disconnect {
        provider: ProviderId,
        session: u32,
    },
    Acquire(Box<Bid>),
    Settle(Settle),
    /// Nothing was sent: the lease costs 0. `busy`: because the provider was full.
    Release {
        lease: LeaseId,
        busy: bool,
    },
}

#[derive(Clone, Debug, PartialEq)]
pub struct RegisterProvider {
    pub name: Name,
    pub account: AccountId,
    pub kind: ProviderKind,
    /// Labels about residency or trust that the operator grants.
    pub labels: BTreeMap<String, String>,
}

/// Whether a provider sells to all, or serves the account it belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProviderKind {
    /// Its owner's cloud account or cluster: bills its owner directly, so no money moves here.
    Own,
    Market,
}

#[derive(Clone, Debug, PartialEq)]
pub struct PutFunction {
    pub account: AccountId,
    pub name: Name,
    pub code: Code,
    pub settings: FunctionSettings,
}

/// What makes a revision: a function put with other code gets a new one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Code {
    pub memory_mb: u32,
    pub timeout_ms: u32,
    pub environment: BTreeMap<String, String>,
    /// SHA-256 of a WebAssembly module.
    pub module: Option<[u8; 32]>,
    /// Where the revision is deployed apart from its module: provider and what to call there.
    pub deployments: BTreeMap<Name, String>,
}

/// What holds for every revision of a function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FunctionSettings {
    pub idempotent: bool,
    pub audience: Audience,
    /// The markets in which it may run; none listed: every market.
    pub markets: Vec<MarketPattern>,
    pub max_concurrency: Option<u32>,
    pub labels: BTreeMap<String, String>,
    pub limits: Limits,
}

/// Which providers may run a function; only they get its module and payloads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Audience {
    /// Providers of the function's own account.
    Own,
    Listed(Vec<Name>),
    Any,
}

/// A whole ladder: replaces what the provider offered in this market, all or nothing.
#[derive(Clone, Debug, PartialEq)]
pub struct Quote {
    pub provider: ProviderId,
    pub session: u32,
    pub market: MarketId,
    /// Grows within a session; a repeat changes nothing.
    pub number: u64,
    pub rungs: Vec<Rung>,
}

/// Which revision a call asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Qualifier {
    #[default]
    Live,
    Revision(u32),
    Alias(Name),
}

/// One invocation's demand: matched at once with the best eligible offer, or refused.
#[derive(Clone, Debug, PartialEq)]
pub struct Bid {
    pub account: AccountId,
    pub function: FunctionId,
    pub qualifier: Qualifier,
    /// The most bytes that the answer may have; its egress is held for.
    pub answer_limit_bytes: u64,
    pub limits: Limits,
    /// Providers that an earlier attempt tried.
    pub tried: Vec<ProviderId>,
    /// The lease of the first attempt; none: this is it.
    pub invocation: Option<LeaseId>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Settle {
    pub lease: LeaseId,
    pub execution: Execution,
    /// What the function did, if it executed.
    pub outcome: Outcome,
    /// The provider's report, if there is one.
    pub reported: Option<Usage>,
    pub observed_us: u64,
    pub egress_bytes: u64,
}

/// What a command that was not refused answers.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    Done,
    Account(AccountId),
    Market(MarketId),
    Provider(ProviderId),
    Function {
        function: FunctionId,
        revision: u32,
    },
    /// The number of the provider's new session.
    Session(u32),
    Granted(Box<Grant>),
    Settled(Settlement),
}

/// What the broker needs to dispatch a lease.
#[derive(Clone, Debug, PartialEq)]
pub struct Grant {
    pub lease: LeaseId,
    pub invocation: LeaseId,
    pub attempt: u32,
    pub account: AccountId,
    pub function: FunctionId,
    pub revision: u32,
    pub provider: ProviderId,
    pub session: u32,
    pub market: MarketId,
    pub memory_mb: u32,
    pub timeout_ms: u32,
    pub tariff: Tariff,
    pub quoted_cost: Money,
    pub expires: merit_terms::Time,
}

/// The bill of one lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settlement {
    pub cost: Money,
    pub fee: Money,
    pub billed_ms: u64,
    pub usage: Usage,
    pub estimated: bool,
}
