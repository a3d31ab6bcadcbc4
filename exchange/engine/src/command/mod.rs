//! What may be asked of the engine: the commands that the journal keeps, and the answers to them.

use std::collections::BTreeMap;

use merit_terms::{
    AccountId, Budget, Execution, FunctionId, KeyId, LeaseId, Limits, MarketId, MarketName, MarketPattern, Money, Name,
    Outcome, PoolSize, Price, Protection, ProviderId, Quota, Role, Rung, Tariff, Time, Usage,
};
use serde::{Deserialize, Serialize};

use crate::market::Canary;

/// One command. Everything that changes the market is one of these.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// A new run of the exchange: sessions of the former run are over, its offers are cancelled. What the former run
    /// granted above the sequence of this command's predecessor, a crash forgot.
    Start {
        run: u32,
    },
    /// Time passes: due expiries run, and resting bids are examined.
    Tick,
    /// From here on the rules with this number hold; see [`crate::RULES`].
    ActivateRules {
        version: u32,
    },
    CreateMarket {
        name: MarketName,
    },
    /// What the operator allows in a market.
    SetMarket {
        market: MarketId,
        terms: MarketTerms,
    },
    OpenAccount {
        name: Name,
    },
    Deposit {
        account: AccountId,
        amount: Money,
    },
    /// Pays out what is there beyond holds.
    Payout {
        account: AccountId,
        amount: Money,
    },
    /// An entry of the operator; it may take an account below zero.
    Correct(Box<Correction>),
    FreezeAccount {
        account: AccountId,
        frozen: bool,
    },
    SetAccountLimits {
        account: AccountId,
        limits: AccountLimits,
    },
    /// The operator's fee on every settled cost, in basis points (at most 10,000).
    SetFee {
        basis_points: u32,
    },
    RegisterProvider(RegisterProvider),
    SetProviderLimits {
        provider: ProviderId,
        limits: ProviderLimits,
    },
    /// The labels about residency or trust that the operator grants, in place of those before.
    GrantLabels {
        provider: ProviderId,
        labels: BTreeMap<String, String>,
    },
    /// Cancels all offers, ends the session, and lets no other begin until [`Command::Revive`]. Leases go on.
    Kill {
        provider: ProviderId,
        reason: String,
    },
    Revive {
        provider: ProviderId,
    },
    PutFunction(Box<PutFunction>),
    DeleteFunction {
        function: FunctionId,
    },
    /// Points an alias at a revision; `live` follows the newest revision until it is put.
    PutAlias {
        function: FunctionId,
        alias: Name,
        revision: u32,
        /// A share of its calls goes to another revision.
        canary: Option<Canary>,
    },
    Logon(Box<Logon>),
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
    /// Ends the session and leaves the offers that expire to their expiry; the others are cancelled.
    Logout {
        provider: ProviderId,
        session: u32,
    },
    /// The session is over and its offers with it.
    Disconnect {
        provider: ProviderId,
        session: u32,
    },
    /// What a provider says that a lease used, by proof of the exchange's token; applied at the broker's settle or when
    /// the lease's time to be settled passes.
    Claim {
        lease: LeaseId,
        usage: Usage,
    },
    /// A broker's stream begins. It may take over the session of a stream that ended, with its leases and bids.
    BrokerLogon {
        resumes: Option<u64>,
    },
    /// A broker's stream ended; its resting bids do not match until a session takes over.
    BrokerLost {
        session: u64,
    },
    Acquire(Box<Bid>),
    /// A limit order: matched at once if an offer is within its limit, or rests until one is.
    Defer(Box<Deferred>),
    /// The broker dispatches the lease of a deferred bid.
    TakeUp {
        lease: LeaseId,
    },
    CancelBid {
        account: AccountId,
        bid: LeaseId,
    },
    Settle(Settle),
    /// Settles a lease that a crash forgot, once, on the terms that its token vouches for.
    SettleForgotten(Box<Forgotten>),
    /// Nothing was sent: the lease costs 0.
    Release {
        lease: LeaseId,
        why: NotSent,
    },
    /// The operator closes a lease at cost 0, whatever becomes of it.
    CloseLease {
        lease: LeaseId,
    },
    /// A key, whose id is the sequence of this command.
    CreateKey {
        role: Role,
        account: AccountId,
        expires: Option<Time>,
    },
    /// From here on it is refused everywhere. One that is revoked already stays so.
    RevokeKey {
        key: KeyId,
    },
    /// The next version of a key; the one before may be used until then, at most 31 days.
    RotateKey {
        key: KeyId,
        previous_until: Option<Time>,
    },
}

/// Whether a market matches and takes offers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum MarketState {
    #[default]
    Open,
    /// Offers can only be taken away; nothing matches.
    CancelOnly,
    /// Offers can be quoted and taken away; nothing matches.
    Halted,
}

impl MarketState {
    pub const ALL: [MarketState; 3] = [MarketState::Open, MarketState::CancelOnly, MarketState::Halted];

    pub const fn as_str(self) -> &'static str {
        match self {
            MarketState::Open => "open",
            MarketState::CancelOnly => "cancel_only",
            MarketState::Halted => "halted",
        }
    }
}

/// What the operator allows in a market.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MarketTerms {
    pub state: MarketState,
    /// Static price bands: the least and the most reference price of an offer, both included. A price of 0 is exempt:
    /// it is a free tier's. Offers outside are not matched and not taken.
    pub bands: Option<(Price, Price)>,
    /// Whether an account may buy from its own market provider.
    pub self_dealing: bool,
}

/// An entry by which the operator puts something right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Correction {
    pub kind: CorrectionKind,
    pub from: AccountId,
    pub to: AccountId,
    pub amount: Money,
    /// The invocation that it is about.
    pub about: Option<LeaseId>,
    /// Why, for people; at most 256 bytes.
    pub reason: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CorrectionKind {
    Correction,
    /// What a buyer paid for an invocation, given back.
    Refund,
}

/// What the operator allows an account.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountLimits {
    /// How far below zero the balance may go.
    pub credit_limit: Money,
    /// Calls a second that brokers take of it; the engine only keeps it.
    pub rate_per_second: Option<u32>,
    /// The most that all its holds may come to.
    pub exposure: Option<Money>,
    /// Its leases that may run at once.
    pub max_concurrency: Option<u32>,
    /// At most one a period.
    pub budgets: Vec<Budget>,
}

/// What the operator allows a provider; `None` sets no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProviderLimits {
    /// Live offers in all markets.
    pub offers: Option<u32>,
    /// Quotes taken in each second of the clock.
    pub quotes_per_second: Option<u32>,
    /// The most that the worst cases of its open leases may come to.
    pub exposure: Option<Money>,
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FunctionSettings {
    pub idempotent: bool,
    pub audience: Audience,
    /// The markets in which it may run; none listed: every market.
    pub markets: Vec<MarketPattern>,
    pub max_concurrency: Option<u32>,
    pub labels: BTreeMap<String, String>,
    pub limits: Limits,
    /// At most one a period.
    pub budgets: Vec<Budget>,
    /// How many calls a second brokers take of callers who show no key, or another account's; its own account pays for them.
    /// None: no calls of others. The engine keeps it and decides nothing by it.
    pub public_per_second: Option<u32>,
}

/// Which providers may run a function; only they get its module and payloads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Audience {
    /// Providers of the function's own account.
    Own,
    Listed(Vec<Name>),
    Any,
}

/// A provider's session begins; one that was on is over, and its offers with it.
#[derive(Clone, Debug, PartialEq)]
pub struct Logon {
    pub provider: ProviderId,
    pub endpoint: String,
    pub pools: Vec<PoolSize>,
    /// What it sells under a quota. One that was there keeps what is used of it in its period.
    pub quotas: Vec<Quota>,
    pub protection: Option<Protection>,
    pub adapter: Adapter,
    /// Whether the operator vouches for the endpoint.
    pub endpoint_trusted: bool,
}

/// How a provider is called.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Adapter {
    /// By Merit's own agent, which runs what it is sent.
    #[default]
    Agent,
    /// By any function server: it runs only what is deployed there by name.
    Http,
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
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Qualifier {
    #[default]
    Live,
    Revision(u32),
    Alias(Name),
}

/// One invocation's demand: matched at once with the best eligible offer, or refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
    /// By which stream it came, so that a repeat is answered with the lease that it has.
    pub request: Option<BrokerRequest>,
}

/// The number that a broker's session gave a request; it gives each number once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct BrokerRequest {
    pub session: u64,
    pub number: u64,
}

/// A deferred bid: its max price is its limit in the book, and is required.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deferred {
    /// It has a request: its broker is told of the match.
    pub bid: Bid,
    /// Until when it rests; at most 31 days.
    pub deadline: Time,
    pub then: AtDeadline,
}

/// What becomes of a deferred bid at its deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AtDeadline {
    Expire,
    /// It is matched with the best offer at any price that its max cost allows, or expires.
    Market,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settle {
    pub lease: LeaseId,
    pub execution: Execution,
    /// What the function did, if it executed.
    pub outcome: Outcome,
    /// The provider's report, if there is one.
    pub reported: Option<Usage>,
    pub observed_us: u64,
    pub egress_bytes: u64,
    /// Whether the provider is to blame that there is no answer, or that the answer is its own error.
    pub fault: bool,
}

/// Why a lease was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotSent {
    /// The caller, or the broker, gave up.
    Withdrawn,
    /// The provider said that it is full: its pool is what runs now, until it states it again. No failure.
    Busy,
    /// The provider failed: no connection, a refused token, a gateway's 502, 503 or 504.
    Failed,
}

/// A lease that a crash forgot, as its token vouches for it, and its settle.
#[derive(Clone, Debug, PartialEq)]
pub struct Forgotten {
    pub terms: LeaseTerms,
    pub settle: Settle,
}

/// The whole grant, which the exchange's token is over.
#[derive(Clone, Debug, PartialEq)]
pub struct LeaseTerms {
    pub lease: LeaseId,
    pub invocation: LeaseId,
    pub attempt: u32,
    pub account: AccountId,
    pub function: FunctionId,
    pub revision: u32,
    pub provider: ProviderId,
    pub market: MarketId,
    pub price: Price,
    pub tariff: Tariff,
    pub vcpus_milli: u32,
    pub memory_mb: u32,
    pub timeout_ms: u32,
    pub hold: Money,
    pub matched_at: Time,
    pub settle_by: Time,
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
    /// The id of the broker's new session, and the leases and bids that it answers for.
    Broker(Box<BrokerSession>),
    Granted(Box<Grant>),
    /// The bid rests under this id, which its invocation has too.
    Resting(LeaseId),
    Settled(Settlement),
    /// The key that was made or rotated.
    Key(KeyId),
}

/// What a broker's session begins with.
#[derive(Clone, Debug, PartialEq)]
pub struct BrokerSession {
    pub session: u64,
    /// Open leases that it took over, each to be settled or released.
    pub leases: Vec<Grant>,
    /// Resting bids that it took over.
    pub bids: Vec<LeaseId>,
}

/// What the broker needs to dispatch a lease.
#[derive(Clone, Debug, PartialEq)]
pub struct Grant {
    /// What the exchange's token is over.
    pub terms: LeaseTerms,
    /// The provider's session, whose key the provider's token is by.
    pub session: u32,
    pub quoted_cost: Money,
    /// When the provider's token expires: the lease's capacity returns then.
    pub expires: Time,
    /// The request that it answers.
    pub request: Option<BrokerRequest>,
}

/// The bill of one lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settlement {
    pub cost: Money,
    pub fee: Money,
    pub billed_ms: u64,
    pub usage: Usage,
    pub estimated: bool,
}
