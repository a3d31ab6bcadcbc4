//! A market of any size: providers with ladders of random prices, functions, one rich buyer.
//!
//! Owns the making of commands for every measurement. Never times more than the command that it is given.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use merit_engine::{
    AccountLimits, Adapter, Audience, Bid, Code, Command, Engine, Event, FunctionSettings, Logon, ProviderKind,
    PutFunction, Qualifier, Quote, RegisterProvider, Reply, Settle,
};
use merit_terms::{
    AccountId, Budget, Execution, FunctionId, LeaseId, Limits, MarketId, Money, Outcome, Period, PoolSize, Price,
    ProviderId, Rung, Tariff, Time, Usage,
};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;

use crate::engine_bench::EngineBenchError;

/// Sellers' prices in picodollars per GB-s, about those of the price list.
const PRICES: std::ops::Range<u64> = 5_000_000..25_000_000;
/// Size of each pool: deep enough that no measured bid lacks room.
const POOL: PoolSize = PoolSize { memory_mb: PoolSize::MAX_MEMORY_MB, slots: PoolSize::MAX_SLOTS };
/// Interval of commands on the market's clock, in microseconds.
const STEP_US: u64 = 1;
const MEMORY_MB: u32 = 128;
const TIMEOUT_MS: u32 = 3000;
/// The label that the operator grants to every second provider.
pub(crate) const HALF: (&str, &str) = ("half", "yes");

/// An engine with its entities, and the maker of its commands.
pub(crate) struct BenchMarket {
    pub(crate) engine: Engine,
    events: Vec<Event>,
    pub(crate) at: Time,
    account: AccountId,
    sellers: AccountId,
    pub(crate) providers: Vec<ProviderId>,
    markets: Vec<MarketId>,
    pub(crate) ladders: Vec<Ladder>,
    quotes: u64,
    pub(crate) chance: Pcg64,
}

/// The ladder of one provider in one market.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ladder {
    provider: ProviderId,
    market: MarketId,
    rungs: u32,
}

impl BenchMarket {
    /// Makes a market for `offers` in ladders of `rungs`, dealt out to `providers` in turn, one market for each round.
    pub(crate) fn new(seed: u64, offers: u32, providers: u32, rungs: u32) -> Result<BenchMarket, EngineBenchError> {
        let ladders = offers.div_ceil(rungs);
        if ladders < providers {
            return Err(EngineBenchError::Size { offers, providers, rungs });
        }
        let mut market = BenchMarket {
            engine: Engine::new(),
            events: Vec::new(),
            at: Time::from_micros(1_000_000_000_000_000),
            account: AccountId::new(0),
            sellers: AccountId::new(0),
            providers: Vec::new(),
            markets: Vec::new(),
            ladders: Vec::new(),
            quotes: 0,
            chance: Pcg64::seed_from_u64(seed),
        };
        market.must(Command::Start { run: 1 })?;
        market.sellers = market.open("sellers")?;
        let account = market.open("buyer")?;
        market.account = account;
        market.must(Command::Deposit { account, amount: Money::MAX })?;
        let limits = AccountLimits { budgets: budgets(), ..AccountLimits::default() };
        market.must(Command::SetAccountLimits { account, limits })?;
        for i in 0..ladders.div_ceil(providers) {
            match market.must(Command::CreateMarket { name: format!("bench-{i}/wasm").parse()? })? {
                Reply::Market(id) => market.markets.push(id),
                _ => return Err(EngineBenchError::Reply),
            }
        }
        for i in 0..providers {
            market.log_on(i)?;
        }
        for i in 0..ladders {
            market.ladders.push(Ladder {
                provider: market.providers[(i % providers) as usize],
                market: market.markets[(i / providers) as usize],
                rungs: rungs.min(offers - i * rungs),
            });
        }
        Ok(market)
    }

    fn open(&mut self, name: &str) -> Result<AccountId, EngineBenchError> {
        match self.must(Command::OpenAccount { name: name.parse()? })? {
            Reply::Account(account) => Ok(account),
            _ => Err(EngineBenchError::Reply),
        }
    }

    fn log_on(&mut self, i: u32) -> Result<(), EngineBenchError> {
        let name = format!("p-{i}").parse()?;
        let labels = i.is_multiple_of(2).then(|| (HALF.0.to_owned(), HALF.1.to_owned())).into_iter().collect();
        let register = RegisterProvider { name, account: self.sellers, kind: ProviderKind::Market, labels };
        let Reply::Provider(provider) = self.must(Command::RegisterProvider(register))? else {
            return Err(EngineBenchError::Reply);
        };
        self.must(Command::Logon(Box::new(Logon {
            provider,
            endpoint: "http://bench.invalid".to_owned(),
            pools: vec![POOL],
            quotas: Vec::new(),
            protection: None,
            adapter: Adapter::Agent,
            endpoint_trusted: false,
            targets: None,
        })))?;
        self.providers.push(provider);
        Ok(())
    }

    /// Posts every ladder.
    pub(crate) fn post(&mut self) -> Result<(), EngineBenchError> {
        for ladder in self.ladders.clone() {
            let quote = self.quote(ladder);
            self.must(quote)?;
        }
        Ok(())
    }

    /// Defines a function with a module for every provider, or one that is deployed at the first provider only.
    pub(crate) fn put_function(&mut self, name: String, everywhere: bool) -> Result<FunctionId, EngineBenchError> {
        let only_there = BTreeMap::from([("p-0".parse()?, "bench".to_owned())]);
        let code = Code {
            memory_mb: MEMORY_MB,
            timeout_ms: TIMEOUT_MS,
            environment: BTreeMap::new(),
            module: everywhere.then_some([7; 32]),
            deployments: if everywhere { BTreeMap::new() } else { only_there },
        };
        let settings = FunctionSettings { audience: Audience::Any, budgets: budgets(), ..FunctionSettings::default() };
        let put = PutFunction { account: self.account, name: name.parse()?, code, settings };
        match self.must(Command::PutFunction(Box::new(put)))? {
            Reply::Function { function, .. } => Ok(function),
            _ => Err(EngineBenchError::Reply),
        }
    }

    /// Makes a quote of the ladder at new random prices.
    pub(crate) fn quote(&mut self, ladder: Ladder) -> Command {
        let rungs = (0..ladder.rungs).map(|id| rung(id, self.chance.random_range(PRICES))).collect();
        self.replace(ladder, rungs)
    }

    /// Makes a quote that cancels the ladder.
    pub(crate) fn cancel(&mut self, ladder: Ladder) -> Command {
        self.replace(ladder, Vec::new())
    }

    fn replace(&mut self, ladder: Ladder, rungs: Vec<Rung>) -> Command {
        self.quotes += 1;
        Command::Quote(Quote {
            provider: ladder.provider,
            session: 1,
            market: ladder.market,
            number: self.quotes,
            rungs,
        })
    }

    /// Makes a quote of one rung with room for one call.
    pub(crate) fn single(&mut self, ladder: Ladder, per_gb_second: u64) -> Command {
        self.replace(ladder, vec![Rung { capacity_mb: MEMORY_MB.into(), ..rung(0, per_gb_second) }])
    }

    pub(crate) fn bid(&self, function: FunctionId, limits: Limits) -> Bid {
        Bid {
            account: self.account,
            function,
            qualifier: Qualifier::Live,
            answer_limit_bytes: 0,
            limits,
            tried: Vec::new(),
            invocation: None,
            request: None,
        }
    }

    pub(crate) fn acquire(&self, function: FunctionId, limits: Limits) -> Command {
        Command::Acquire(Box::new(self.bid(function, limits)))
    }

    /// Makes the settlement of a lease that ran for `wall_us`.
    pub(crate) fn settle(lease: LeaseId, wall_us: u64) -> Command {
        Command::Settle(Settle {
            lease,
            execution: Execution::Executed,
            outcome: Outcome::Ok,
            reported: Some(Usage { wall_us, cpu_us: wall_us, cold_us: 0, egress_bytes: 0 }),
            observed_us: wall_us,
            egress_bytes: 0,
            fault: false,
            server_error: false,
            given_up: false,
        })
    }

    /// Applies a command and drops its events. Returns the reply and the time of both.
    pub(crate) fn timed(&mut self, command: &Command) -> Result<(Reply, Duration), EngineBenchError> {
        let started = self.next();
        let applied = self.engine.apply(self.at, command, &mut self.events);
        self.events.clear();
        let took = started.elapsed();
        Ok((applied.reply.map_err(EngineBenchError::Refused)?, took))
    }

    /// Applies a command. Returns the lease of a resting bid, if it granted one, and the time.
    pub(crate) fn crossed(&mut self, command: &Command) -> Result<(Option<LeaseId>, Duration), EngineBenchError> {
        let started = self.next();
        let applied = self.engine.apply(self.at, command, &mut self.events);
        let took = started.elapsed();
        applied.reply.map_err(EngineBenchError::Refused)?;
        let leased = self.events.drain(..).find_map(|event| match event {
            Event::Granted(lease) => Some(lease.id),
            _ => None,
        });
        Ok((leased, took))
    }

    /// Advances the market's clock by one command. Returns the time on the machine's clock.
    fn next(&mut self) -> Instant {
        self.at = Time::from_micros(self.at.micros() + STEP_US);
        Instant::now()
    }

    pub(crate) fn must(&mut self, command: Command) -> Result<Reply, EngineBenchError> {
        self.timed(&command).map(|(reply, _)| reply)
    }

    /// Applies an acquire. Returns its lease, its provider and the time.
    pub(crate) fn granted(&mut self, command: &Command) -> Result<(LeaseId, ProviderId, Duration), EngineBenchError> {
        match self.timed(command)? {
            (Reply::Granted(grant), took) => Ok((grant.terms.lease, grant.terms.provider, took)),
            _ => Err(EngineBenchError::Reply),
        }
    }

    pub(crate) fn markets(&self) -> u32 {
        self.markets.len() as u32
    }
}

/// Returns budgets that are counted and never reached.
fn budgets() -> Vec<Budget> {
    [Period::Day, Period::Month].map(|period| Budget { period, amount: Money::MAX }).to_vec()
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
