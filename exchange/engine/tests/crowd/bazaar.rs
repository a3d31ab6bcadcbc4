//! A market of many sellers that all stay, at a few prices or at very many, and of a few functions that many have run.
//! It shows that the search stops early, and never too early.

use std::collections::{BTreeMap, VecDeque};

use merit_engine::{
    Applied, Bid, Code, Command, Engine, NotSent, ProviderKind, Quote, RegisterProvider, Reply, Settle,
};
use merit_kit::{bid, code, logon, money, numbered, only, put_function, register, rung, settings, settle, tariff};
use merit_terms::{
    AccountId, FunctionId, LeaseId, Limits, MarketId, Money, Outcome, PoolSize, Price, ProviderId, Rung, Tariff, Time,
    Usage,
};
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;

const BUYER: AccountId = AccountId::new(3);
const SELLER: AccountId = AccountId::new(4);
const FUNCTIONS: u32 = 3;
const MARKETS: u32 = 3;
/// Number of commands after the opening.
const STEPS: u64 = 6_000;

pub(crate) struct Bazaar {
    chance: Pcg64,
    providers: u32,
    waiting: VecDeque<Command>,
    open: Vec<(LeaseId, ProviderId)>,
    /// Wall time of a call at each provider, in microseconds.
    speeds_us: Vec<u64>,
    quotes: u64,
    step: u64,
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

    /// Opens the market: every seller logs on and quotes, and many run each function once.
    fn open_up(&mut self) {
        let mut commands = VecDeque::from([
            Command::OpenAccount { name: numbered("buyer", 0) },
            Command::OpenAccount { name: numbered("seller", 0) },
            Command::Deposit { account: BUYER, amount: money(1 << 50) },
        ]);
        let markets = ["eu-west/wasm", "us-east/wasm", "us-east/x86_64"].map(|name| name.parse().unwrap());
        commands.extend(markets.map(|name| Command::CreateMarket { name }));
        for number in 0..self.providers {
            let is_own = self.one_in(8);
            let (account, kind) = if is_own { (BUYER, ProviderKind::Own) } else { (SELLER, ProviderKind::Market) };
            let labels = BTreeMap::from([("zone".to_owned(), (number % 3).to_string())]);
            let registered = RegisterProvider { labels, ..register(numbered("provider", number), account, kind) };
            commands.push_back(Command::RegisterProvider(registered));
            let pools = vec![PoolSize { memory_mb: 40_000, slots: 40 }];
            commands.push_back(Command::Logon(Box::new(logon(ProviderId::new(number), pools))));
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
                    let limits = only(numbered("provider", number));
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
        let deployed = (0..self.providers.min(60)).map(|number| (numbered("provider", number), "f".to_owned()));
        let code = Code {
            memory_mb: self.one_of(&[128, 256, 512]),
            timeout_ms: self.one_of(&[1_000, 10_000]),
            deployments: deployed.collect(),
            ..code()
        };
        put_function(BUYER, numbered("function", number), code, settings())
    }

    fn pools(&mut self) -> Vec<PoolSize> {
        vec![PoolSize { memory_mb: self.one_of(&[0, 300, 4_000, 40_000]), slots: self.one_of(&[0, 2, 40]) }]
    }

    fn quote(&mut self, provider: ProviderId, market: MarketId) -> Command {
        self.quotes += 1;
        let rungs = (0..self.chance.random_range(0..4)).map(|id| self.rung(id)).collect();
        Command::Quote(Quote { provider, session: 1, market, number: self.quotes, rungs })
    }

    /// Draws the rate from a few, so that many tie, or from very many.
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
            per_cpu_ms: other(&[0, 9_000]),
            per_gb_egress: other(&[0, 90_000_000_000]),
            increment_ms: if is_plain { 1 } else { self.one_of(&[1, 100, 1_000]) },
            minimum_ms: if is_plain { 0 } else { self.one_of(&[0, 50]) },
            bills_cold_start: !is_plain,
            ..tariff(rate)
        };
        Rung {
            capacity_mb: self.one_of(&[256, 4_096, 40_000]),
            tariff,
            memory_max_mb: self.one_of(&[300, 4_096]),
            enforces_timeout: self.chance.random_ratio(3, 4),
            ..rung(id, rate)
        }
    }

    fn limits(&mut self) -> Limits {
        let mut limits = Limits::default();
        match self.chance.random_range(0..20) {
            0 | 1 => limits.max_cost = Money::from_picodollars(self.chance.random_range(10_000..8_000_000)),
            2 => limits.max_price = Some(Price::from_picodollars(self.chance.random_range(1_000_000..12_000_000))),
            3 => limits.max_latency_ms = Some(self.chance.random_range(5..80)),
            4 => {
                limits.only =
                    (0..10).map(|_| numbered("provider", self.chance.random_range(0..self.providers))).collect()
            }
            5 => {
                limits.ignore =
                    (0..10).map(|_| numbered("provider", self.chance.random_range(0..self.providers))).collect()
            }
            6 => limits.labels = vec![("zone".to_owned(), self.chance.random_range(0..4).to_string())],
            7 => limits.markets = vec!["us-*/*".parse().unwrap()],
            _ => {}
        }
        limits
    }

    /// Settles a lease at about the speed of its provider. A few are released, a few take longer, and some providers
    /// fail a part of their calls.
    fn settle(&mut self) -> Command {
        if self.open.is_empty() {
            return Command::Tick;
        }
        let (lease, provider) = self.open.swap_remove(self.chance.random_range(0..self.open.len()));
        if self.one_in(60) {
            return Command::Release { lease, why: self.one_of(&[NotSent::Withdrawn, NotSent::Busy, NotSent::Failed]) };
        }
        let slowness = if self.one_in(40) { 2_000 } else { self.chance.random_range(90..130) };
        let wall_us = self.speeds_us[provider.index()] * slowness / 100;
        let cold_us = if self.one_in(20) { self.chance.random_range(0..60_000) } else { 0 };
        let usage = Usage { wall_us, cpu_us: wall_us / self.chance.random_range(1..4), cold_us, egress_bytes: 0 };
        let fails = provider.index().is_multiple_of(7) && self.chance.random_ratio(provider.index() as u32 % 5, 5);
        Command::Settle(Settle {
            reported: if self.one_in(10) { None } else { Some(usage) },
            outcome: if fails { Outcome::Exit } else { Outcome::Ok },
            observed_us: wall_us + cold_us,
            egress_bytes: self.chance.random_range(0..100_000),
            ..settle(lease, 0)
        })
    }
}

fn acquire(function: FunctionId, limits: Limits) -> Command {
    Command::Acquire(Box::new(Bid { limits, ..bid(BUYER, function) }))
}
