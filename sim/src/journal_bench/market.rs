//! The small market of the bench: four sellers, some functions, one rich buyer. Never times a command.

use std::collections::BTreeMap;

use merit_engine::{
    Adapter, Audience, Bid, Code, Command, Correction, CorrectionKind, FunctionSettings, Logon, ProviderKind,
    PutFunction, Qualifier, Quote, RegisterProvider, Reply, Settle,
};
use merit_exchange::Sequencer;
use merit_terms::{
    AccountId, Execution, FunctionId, LeaseId, Limits, MarketId, Money, Outcome, PoolSize, Price, ProviderId, Rung,
    Tariff, Usage,
};

use super::{JournalBenchError, must};

const PROVIDERS: u32 = 4;
const FUNCTIONS: u32 = 16;
const RUNGS: u32 = 2;
/// Size of each pool: deep enough that no bid lacks room.
const POOL: PoolSize = PoolSize { memory_mb: PoolSize::MAX_MEMORY_MB, slots: PoolSize::MAX_SLOTS };

pub(super) struct Market {
    account: AccountId,
    seller: AccountId,
    functions: Vec<FunctionId>,
}

impl Market {
    /// Defines everything through the sequencer, as the operator and the sellers would.
    pub(super) fn open(sequencer: &Sequencer) -> Result<Market, JournalBenchError> {
        must(sequencer, &Command::Start { run: 1 })?;
        let account = open_account(sequencer, "buyer")?;
        let seller = open_account(sequencer, "seller")?;
        must(sequencer, &Command::Deposit { account, amount: Money::MAX })?;
        let Reply::Market(market) = must(sequencer, &Command::CreateMarket { name: "bench/wasm".parse()? })? else {
            return Err(JournalBenchError::Reply);
        };
        for number in 0..PROVIDERS {
            open_provider(sequencer, seller, market, number)?;
        }
        let put = |number| put_function(sequencer, account, number);
        Ok(Market { account, seller, functions: (0..FUNCTIONS).map(put).collect::<Result<_, _>>()? })
    }

    /// Makes an entry between two accounts. It costs the engine next to nothing, and its record is as long as a call's.
    pub(super) fn entry(&self, turn: u32) -> Command {
        Command::Correct(Box::new(Correction {
            kind: CorrectionKind::Correction,
            from: self.account,
            to: self.seller,
            amount: Money::ZERO,
            about: Some(LeaseId { run: 1, sequence: u64::from(turn) }),
            reason: "bench".to_owned(),
        }))
    }

    /// Makes a call of one of the functions, by turns.
    pub(super) fn acquire(&self, turn: u32) -> Command {
        Command::Acquire(Box::new(Bid {
            account: self.account,
            function: self.functions[turn as usize % self.functions.len()],
            qualifier: Qualifier::Live,
            answer_limit_bytes: 262_144,
            limits: Limits::default(),
            tried: Vec::new(),
            invocation: None,
            request: None,
        }))
    }

    /// Makes the settlement of a lease that ran about as long as the others.
    pub(super) fn settle(lease: LeaseId) -> Command {
        let wall_us = 20_000 + lease.sequence % 4096;
        Command::Settle(Settle {
            lease,
            execution: Execution::Executed,
            outcome: Outcome::Ok,
            reported: Some(Usage { wall_us, cpu_us: wall_us, cold_us: 0, egress_bytes: 200 }),
            observed_us: wall_us + 400,
            egress_bytes: 200,
            fault: false,
            server_error: false,
            given_up: false,
        })
    }
}

fn open_account(sequencer: &Sequencer, name: &str) -> Result<AccountId, JournalBenchError> {
    match must(sequencer, &Command::OpenAccount { name: name.parse()? })? {
        Reply::Account(account) => Ok(account),
        _ => Err(JournalBenchError::Reply),
    }
}

fn open_provider(
    sequencer: &Sequencer,
    account: AccountId,
    market: MarketId,
    number: u32,
) -> Result<ProviderId, JournalBenchError> {
    let name = format!("provider-{number}").parse()?;
    let register = RegisterProvider { name, account, kind: ProviderKind::Market, labels: BTreeMap::new() };
    let Reply::Provider(provider) = must(sequencer, &Command::RegisterProvider(register))? else {
        return Err(JournalBenchError::Reply);
    };
    let endpoint = "http://bench.invalid".to_owned();
    let logon = Logon {
        provider,
        endpoint,
        pools: vec![POOL],
        quotas: Vec::new(),
        protection: None,
        adapter: Adapter::Agent,
        endpoint_trusted: false,
        targets: None,
    };
    let Reply::Session(session) = must(sequencer, &Command::Logon(Box::new(logon)))? else {
        return Err(JournalBenchError::Reply);
    };
    let rungs = (0..RUNGS).map(|id| rung(id, 10_000_000 + u64::from(number * RUNGS + id) * 1_000_000)).collect();
    must(sequencer, &Command::Quote(Quote { provider, session, market, number: 1, rungs }))?;
    Ok(provider)
}

fn put_function(sequencer: &Sequencer, account: AccountId, number: u32) -> Result<FunctionId, JournalBenchError> {
    let code = Code {
        memory_mb: 128,
        timeout_ms: 3000,
        environment: BTreeMap::new(),
        module: Some([7; 32]),
        deployments: BTreeMap::new(),
    };
    let settings = FunctionSettings { audience: Audience::Any, ..FunctionSettings::default() };
    let put = PutFunction { account, name: format!("function-{number}").parse()?, code, settings };
    match must(sequencer, &Command::PutFunction(Box::new(put)))? {
        Reply::Function { function, .. } => Ok(function),
        _ => Err(JournalBenchError::Reply),
    }
}

fn rung(id: u32, per_gb_second: u64) -> Rung {
    let tariff = Tariff {
        per_request: Price::from_picodollars(200_000),
        per_gb_second: Price::from_picodollars(per_gb_second),
        per_cpu_ms: Price::ZERO,
        per_gb_egress: Price::ZERO,
        increment_ms: 1,
        minimum_ms: 1,
        memory_step_mb: 1,
        bills_cold_start: false,
    };
    Rung {
        id,
        pool: 0,
        capacity_mb: PoolSize::MAX_MEMORY_MB,
        tariff,
        vcpus_milli: 1000,
        memory_min_mb: 1,
        memory_max_mb: 10_240,
        longest_ms: 900_000,
        enforces_timeout: true,
        labels: BTreeMap::new(),
        audience: Vec::new(),
        quota: None,
        expires: None,
    }
}
