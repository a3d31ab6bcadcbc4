//! Commands of the engine with defaults: registrations, functions, logons, bids and settlements.

use std::collections::BTreeMap;

use merit_engine::{
    Adapter, Audience, Bid, Code, Command, FunctionSettings, Logon, ProviderKind, PutFunction, Qualifier,
    RegisterProvider, Settle,
};
use merit_terms::{AccountId, Execution, FunctionId, LeaseId, Limits, Name, Outcome, PoolSize, ProviderId};

use crate::{MEMORY_MB, TIMEOUT_MS, ran};

/// Returns code for any `*/wasm` market: one module, no deployments.
pub fn code() -> Code {
    Code {
        memory_mb: MEMORY_MB,
        timeout_ms: TIMEOUT_MS,
        environment: BTreeMap::new(),
        module: Some([1; 32]),
        deployments: BTreeMap::new(),
    }
}

/// Returns the settings of an idempotent function that any provider may run, without limits or budgets.
pub fn settings() -> FunctionSettings {
    FunctionSettings { idempotent: true, audience: Audience::Any, ..FunctionSettings::default() }
}

pub fn put_function(account: AccountId, name: Name, code: Code, settings: FunctionSettings) -> Command {
    Command::PutFunction(Box::new(PutFunction { account, name, code, settings }))
}

pub fn register(name: Name, account: AccountId, kind: ProviderKind) -> RegisterProvider {
    RegisterProvider { name, account, kind, labels: BTreeMap::new() }
}

/// Returns the logon of an agent without quotas and protection.
pub fn logon(provider: ProviderId, pools: Vec<PoolSize>) -> Logon {
    Logon {
        provider,
        endpoint: "http://seller".to_owned(),
        pools,
        quotas: Vec::new(),
        protection: None,
        adapter: Adapter::Agent,
        endpoint_trusted: false,
        targets: None,
    }
}

/// Returns the first attempt at a function's live revision, without limits.
pub fn bid(account: AccountId, function: FunctionId) -> Bid {
    Bid {
        account,
        function,
        qualifier: Qualifier::Live,
        answer_limit_bytes: 0,
        limits: Limits::default(),
        tried: Vec::new(),
        invocation: None,
        request: None,
    }
}

/// Returns the settle of an executed lease that ran for this long, all of it on the CPU.
pub fn settle(lease: LeaseId, wall_ms: u64) -> Settle {
    Settle {
        lease,
        execution: Execution::Executed,
        outcome: Outcome::Ok,
        reported: Some(ran(wall_ms)),
        observed_us: wall_ms * 1_000 + 300,
        egress_bytes: 0,
        fault: false,
        server_error: false,
        given_up: false,
    }
}
