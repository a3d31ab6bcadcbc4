//! A market of many sellers that all stay, with prices from a few or from very many, and a few functions that many of
//! them have run: where the search may stop early, and must not stop too early.

use std::collections::{BTreeMap, VecDeque};

use merit_engine::{
    Adapter, Applied, Audience, Bid, Code, Command, Engine, FunctionSettings, Logon, NotSent, ProviderKind,
    PutFunction, Qualifier, Quote, RegisterProvider, Reply, Settle,
};
use merit_terms::{
    AccountId, Execution, FunctionId, LeaseId, Limits, MarketId, Money, Name, Outcome, PoolSize, Price, ProviderId,
    Rung, Tariff, Time, Usage,
};
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;

const BUYER: AccountId = AccountId::new(3);
const SELLER: AccountId = AccountId::new(4);
const FUNCTIONS: u32 = 3;
const MARKETS: u32 = 3;
/// Commands after everybody has come.
const STEPS: u64 = 6_000;

pub(crate) struct Bazaar {
    chance: Pcg64,
    providers: u32,
    waiting: VecDeque<Command>,
    open: Vec<(LeaseId, ProviderId)>,
    /// How long calls take at each provider.
    speeds_us: Vec<u64>,
    quotes: u64,
    step: u64,
}

fn name(kind: &str, number: u32) -> Name {
    format!("{kind}{number}").parse().unwrap()
}

impl Bazaar {
    pub(crate) fn new(seed: u64, providers: u32) -> Bazaar {
        let mut chance = Pcg64::seed_from_u64(seed);
        let speeds_us = (0..providers).map(|_| chance.random_range(10_000..200_000)).collect();
        let waiting = VecDeque::new();
        let mut bazaar = Bazaar { chance, providers, waiting, open: Vec::new(), speeds_us, quotes: 0, step: 0 };
        bazaar.open_up();
        bazaar
    }

    /// Everybody comes, and many have run each function once.
    fn open_up(&mut self) {
        let mut commands = VecDeque::from([
            Command::OpenAccount { name: name("buyer", 0) },
            Command::OpenAccount { name: name("seller", 0) },
            Command::Deposit { account: BUYER, amount: Money::from_picodollars(1 << 50).unwrap() },
        ]);
        let markets = ["eu-west/wasm", "us-east/wasm", "us-east/x86_64"].map(|name| name.parse().unwrap());
        commands.extend(markets.map(|name| Command::CreateMarket { name }));
        for number in 0..self.providers {
            let is_own = self.one_in(8);
            commands.push_back(Command::RegisterProvider(RegisterProvider {
                name: name("provider", number),
                account: if is_own { BUYER } else { SELLER },
                kind: if is_own { ProviderKind::Own } else { ProviderKind::Market },
                labels: BTreeMap::from([("zone".to_owned(), (number % 3).to_string())]),
            }));
            commands.push_back(self.logon(ProviderId::new(number)));
            for market in 0..MARKETS {
                commands.push_back(self.quote(ProviderId::new(number), MarketId::new(market)));
            }
        }
        for number in 0..FUNCTIONS {
            commands.push_back(self.function(number));
        }
        for number in 0..self.providers {
            for function in 0..FUNCTIONS {
                if self.chance.random_ratio(4, 5) {
                    let limits = Limits { only: vec![name("provider", number)], ..Limits::default() };
                    commands.push_back(acquire(FunctionId::new(function), limits));
                    commands.push_back(Command::Tick); // its settle, once it is known
                }
            }
        }
        self.waiting = commands;
    }

    pub(crate) fn next(&mut self, engine: &Engine) -> Option<(Time, Command)> {
        self.step += u64::from(self.waiting.is_empty());
        let command = match self.waiting.pop_front() {
            Some(Command::Tick) => self.settle(),
            Some(command) => command,
            None => self.command(),
        };
        let now = engine.last_at().max(Time::from_micros(1_700_000_000_000_000));
        let later_us = if self.one_in(3_000) { 700_000_000 } else { self.chance.random_range(0..20_000) };
        (self.step <= STEPS).then(|| (now.after_millis(later_us / 1_000), command))
    }

    pub(crate) fn observe(&mut self, applied: &Applied) {
        if let Ok(Reply::Granted(grant)) = &applied.reply {
            self.open.push((grant.terms.lease, grant.terms.provider));
        }
    }

    fn command(&mut self) -> Command {
        let provider = ProviderId::new(self.chance.random_range(0..self.providers));
        match self.chance.random_range(0..100) {
            0..45 => {
                let function = FunctionId::new(self.chance.random_range(0..FUNCTIONS));
                let limits = self.limits();
                acquire(function, limits)
            }
            45..80 => self.settle(),
            80..90 => {
                let market = MarketId::new(self.chance.random_range(0..MARKETS));
                self.quote(provider, market)
            }
            90..96 => Command::StatePools { provider, session: 1, pools: self.pools() },
            _ => Command::CancelAll { provider, session: 1 },
        }
    }

    fn one_in(&mut self, cases: u32) -> bool {
        self.chance.random_ratio(1, cases)
    }

    fn one_of<T: Copy>(&mut self, values: &[T]) -> T {
        *values.choose(&mut self.chance).unwrap()
    }

    fn function(&mut self, number: u32) -> Command {
        let deployed = (0..self.providers.min(60)).map(|number| (name("provider", number), "f".to_owned()));
        Command::PutFunction(Box::new(PutFunction {
            account: BUYER,
            name: name("function", number),
            code: Code {
                memory_mb: self.one_of(&[128, 256, 512]),
                timeout_ms: self.one_of(&[1_000, 10_000]),
                environment: BTreeMap::new(),
                module: Some([7; 32]),
                deployments: deployed.collect(),
            },
            settings: FunctionSettings {
                idempotent: true,
                audience: Audience::Any,
                markets: Vec::new(),
                max_concurrency: None,
                labels: BTreeMap::new(),
                limits: Limits::default(),
                budgets: Vec::new(),
                public_per_second: None,
            },
        }))
    }

    fn pools(&mut self) -> Vec<PoolSize> {
        vec![PoolSize { memory_mb: self.one_of(&[0, 300, 4_000, 40_000]), slots: self.one_of(&[0, 2, 40]) }]
    }

    fn logon(&mut self, provider: ProviderId) -> Command {
        let pools = vec![PoolSize { memory_mb: 40_000, slots: 40 }];
        let endpoint = "http://provider".to_owned();
        Command::Logon(Box::new(Logon {
            provider,
            endpoint,
            pools,
            quotas: Vec::new(),
            protection: None,
            adapter: Adapter::Agent,
            endpoint_trusted: false,
        }))
    }

    fn quote(&mut self, provider: ProviderId, market: MarketId) -> Command {
        self.quotes += 1;
        let rungs = (0..self.chance.random_range(0..4)).map(|id| self.rung(id)).collect();
        Command::Quote(Quote { provider, session: 1, market, number: self.quotes, rungs })
    }

    /// Rates are few, so that many tie, or all different.
    fn rung(&mut self, id: u32) -> Rung {
        let rate = if self.one_in(2) {
            self.one_of(&[5, 10, 15, 20]) * 1_000_000
        } else {
            self.chance.random_range(1_000_000..20_000_000)
        };
        let is_plain = self.chance.random_ratio(2, 3);
        let mut other = |values: &[u64]| Price::from_picodollars(if is_plain { 0 } else { self.one_of(values) });
        let tariff = Tariff {
            per_request: other(&[0, 200_000]),
            per_gb_second: Price::from_picodollars(rate),
            per_cpu_ms: other(&[0, 9_000]),
            per_gb_egress: Price::ZERO,
            increment_ms: if is_plain { 1 } else { self.one_of(&[1, 100]) },
            minimum_ms: if is_plain { 0 } else { self.one_of(&[0, 50]) },
            memory_step_mb: 1,
            bills_cold_start: !is_plain,
        };
        Rung {
            id,
            pool: 0,
            capacity_mb: self.one_of(&[256, 4_096, 40_000]),
            tariff,
            vcpus_milli: 1_000,
            memory_min_mb: 1,
            memory_max_mb: self.one_of(&[300, 4_096]),
            longest_ms: 60_000,
            enforces_timeout: self.chance.random_ratio(3, 4),
            labels: BTreeMap::new(),
            audience: Vec::new(),
            quota: None,
            expires: None,
        }
    }

    fn limits(&mut self) -> Limits {
        let mut limits = Limits::default();
        match self.chance.random_range(0..20) {
            0 | 1 => limits.max_cost = Money::from_picodollars(self.chance.random_range(10_000..8_000_000)),
            2 => limits.max_price = Some(Price::from_picodollars(self.chance.random_range(1_000_000..12_000_000))),
            3 => limits.max_latency_ms = Some(self.chance.random_range(5..80)),
            4 => limits.only = (0..10).map(|_| name("provider", self.chance.random_range(0..self.providers))).collect(),
            5 => {
                limits.ignore = (0..10).map(|_| name("provider", self.chance.random_range(0..self.providers))).collect()
            }
            6 => limits.labels = vec![("zone".to_owned(), self.chance.random_range(0..4).to_string())],
            7 => limits.markets = vec!["us-*/*".parse().unwrap()],
            _ => {}
        }
        limits
    }

    /// About as fast as its provider is; one in many fails or takes its time.
    fn settle(&mut self) -> Command {
        if self.open.is_empty() {
            return Command::Tick;
        }
        let (lease, provider) = self.open.swap_remove(self.chance.random_range(0..self.open.len()));
        if self.one_in(60) {
            return Command::Release { lease, why: self.one_of(&[NotSent::Withdrawn, NotSent::Busy, NotSent::Failed]) };
        }
        let wall_us = self.speeds_us[provider.index()] * self.chance.random_range(90..130) / 100;
        let cold_us = if self.one_in(20) { self.chance.random_range(0..60_000) } else { 0 };
        let usage = Usage { wall_us, cpu_us: wall_us / self.chance.random_range(1..4), cold_us, egress_bytes: 0 };
        Command::Settle(Settle {
            lease,
            execution: Execution::Executed,
            outcome: Outcome::Ok,
            reported: Some(usage),
            observed_us: wall_us + cold_us,
            egress_bytes: 0,
            fault: false,
        })
    }
}

fn acquire(function: FunctionId, limits: Limits) -> Command {
    Command::Acquire(Box::new(Bid {
        account: BUYER,
        function,
        qualifier: Qualifier::Live,
        answer_limit_bytes: 0,
        limits,
        tried: Vec::new(),
        invocation: None,
        request: None,
    }))
}
