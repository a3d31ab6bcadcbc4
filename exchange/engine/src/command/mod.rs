//! The commands: everything that may be asked of the engine, and all that the journal keeps.
//!
//! Plain data. Never says how a command is executed: that is `execute` and the wings that it calls.

mod account;
mod bid;
mod function;
mod lease;
mod market;
mod provider;

use std::collections::BTreeMap;

use merit_terms::{
    AccountId, FunctionId, KeyId, LeaseId, MarketId, MarketName, Money, Name, PoolSize, ProviderId, Role,
    TargetPattern, Time, Usage,
};

pub use account::{AccountLimits, Correction, CorrectionKind};
pub use bid::{AtDeadline, Bid, BrokerRequest, Deferred};
pub use function::{Audience, Canary, Code, FunctionSettings, LIVE, PutFunction, Qualifier, WEIGHT_MAX};
pub use lease::{Forgotten, LeaseTerms, NotSent, Settle};
pub use market::{MarketState, MarketTerms};
pub use provider::{Logon, ProviderKind, ProviderLimits, Quote, RegisterProvider};

/// One command. Everything that changes the market is one of these.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// Begins a new run of the exchange: ends the sessions of the former run and cancels its offers. Leases of the
    /// former run at or above this command's sequence were forgotten by a crash.
    Start {
        run: u32,
    },
    /// Binds the state to a master key by a check value that is derived from it, and tells nothing of it: a start with
    /// another key is refused. 0 is none.
    BindMasterKey {
        check: u64,
    },
    /// Lets time pass: due expiries run, and resting bids are examined.
    Tick,
    /// Activates the rules of this number; see [`crate::RULES`].
    ActivateRules {
        version: u32,
    },
    CreateMarket {
        name: MarketName,
    },
    SetMarket {
        market: MarketId,
        terms: MarketTerms,
    },
    /// Deletes a market without offers that is no resting bid's last. Its name is free again, for another market.
    DeleteMarket {
        market: MarketId,
    },
    OpenAccount {
        name: Name,
    },
    Deposit {
        account: AccountId,
        amount: Money,
    },
    /// Pays out of the balance beyond the holds.
    Payout {
        account: AccountId,
        amount: Money,
    },
    /// Makes an entry of the operator, which may take an account below zero.
    Correct(Box<Correction>),
    FreezeAccount {
        account: AccountId,
        frozen: bool,
    },
    SetAccountLimits {
        account: AccountId,
        limits: AccountLimits,
    },
    /// Sets the operator's fee on every settled cost, in basis points (at most 10,000).
    SetFee {
        basis_points: u32,
    },
    RegisterProvider(RegisterProvider),
    SetProviderLimits {
        provider: ProviderId,
        limits: ProviderLimits,
    },
    /// Replaces the patterns by which a provider's owner allows targets that are not at its endpoint.
    SetTargets {
        provider: ProviderId,
        targets: Vec<TargetPattern>,
    },
    /// Replaces the labels about residency or trust that the operator grants.
    GrantLabels {
        provider: ProviderId,
        labels: BTreeMap<String, String>,
    },
    /// Cancels all offers, ends the session, and refuses logons until [`Command::Revive`]. Leases go on.
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
        /// A second revision that gets a share of the alias's calls.
        canary: Option<Canary>,
    },
    Logon(Box<Logon>),
    /// States other pools than before: a heartbeat with a change.
    StatePools {
        provider: ProviderId,
        session: u32,
        pools: Vec<PoolSize>,
    },
    /// Lowers a pool to what runs in it until the next stated pools: the provider was full.
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
    /// Ends the session, leaves offers with an expiry until then, and cancels the others.
    Logout {
        provider: ProviderId,
        session: u32,
    },
    /// Ends the session and cancels its offers.
    Disconnect {
        provider: ProviderId,
        session: u32,
    },
    /// Claims the usage of a lease by the exchange's proof. Applied at the broker's settle, or when the lease's time to
    /// be settled passes.
    Claim {
        lease: LeaseId,
        usage: Usage,
    },
    /// Begins a broker's stream, which may resume the session of a stream that ended, with its leases and bids.
    BrokerLogon {
        resumes: Option<u64>,
    },
    /// Ends a broker's stream; its resting bids do not match until a stream resumes the session.
    BrokerLost {
        session: u64,
    },
    Acquire(Box<Bid>),
    /// Places a limit order: matched at once if an offer is within its limit, or resting until one is.
    Defer(Box<Deferred>),
    /// Says that the broker dispatches the lease of a deferred bid.
    TakeUp {
        lease: LeaseId,
    },
    CancelBid {
        account: AccountId,
        bid: LeaseId,
    },
    Settle(Settle),
    /// Settles a lease that a crash forgot, once, on the terms of its token.
    SettleForgotten(Box<Forgotten>),
    /// Ends a lease at cost 0: nothing was sent.
    Release {
        lease: LeaseId,
        why: NotSent,
    },
    /// Closes a lease at cost 0 in any state: the operator's.
    CloseLease {
        lease: LeaseId,
    },
    /// Creates a key. Its id is the sequence of this command.
    CreateKey {
        role: Role,
        account: AccountId,
        expires: Option<Time>,
    },
    /// Revokes a key for good. A repeat changes nothing.
    RevokeKey {
        key: KeyId,
    },
    /// Makes the next version of a key; the one before stays valid until the given time, at most 31 days.
    RotateKey {
        key: KeyId,
        previous_until: Option<Time>,
    },
}
