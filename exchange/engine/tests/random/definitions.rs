//! Random accounts, markets, providers, functions, pools and ladders, drawn from few values so that they meet.

use std::collections::{BTreeMap, VecDeque};

use merit_engine::{
    Audience, Code, Command, Engine, FunctionSettings, ProviderKind, PutFunction, Quote, RegisterProvider,
};
use merit_terms::{AccountId, FunctionId, Limits, MEMORY_MAX_MB, Money, Name, PoolSize, Price, Rung, Tariff};
use rand::RngExt;
use rand::seq::IndexedRandom;

use super::{ACCOUNTS, FUNCTIONS, MARKETS, PROVIDERS, World};

fn name(kind: &str, number: u32) -> Name {
    format!("{kind}{number}").parse().unwrap()
}

pub(super) fn price(picodollars: u64) -> Price {
    Price::from_picodollars(picodollars)
}

impl World {
    /// What stands before the first call: everybody there, two accounts rich, the others soon out of funds.
    pub(super) fn definitions(&mut self) -> VecDeque<Command> {
        let mut commands = VecDeque::new();
        commands.extend((0..ACCOUNTS).map(|number| Command::OpenAccount { name: name("account", number) }));
        commands.extend((0..MARKETS).map(|number| Command::CreateMarket { name: market_name(number) }));
        commands.extend((0..ACCOUNTS).map(|number| {
            let amount = if number < 2 { 1_000_000_000_000 } else { 40_000_000 * u64::from(number) };
            Command::Deposit { account: AccountId::new(number + 2), amount: Money::from_picodollars(amount).unwrap() }
        }));
        for number in 0..PROVIDERS {
            commands.push_back(self.provider_numbered(number));
            commands.push_back(self.logon());
        }
        commands.extend((0..FUNCTIONS).map(|_| self.put_function()));
        commands
    }

    pub(super) fn create_market(&mut self) -> Command {
        Command::CreateMarket { name: market_name(self.chance.random_range(0..MARKETS)) }
    }

    pub(super) fn open_account(&mut self) -> Command {
        Command::OpenAccount { name: name("account", self.chance.random_range(0..ACCOUNTS + 2)) }
    }

    pub(super) fn register_provider(&mut self) -> Command {
        let number = self.chance.random_range(0..PROVIDERS + 2);
        self.provider_numbered(number)
    }

    /// Every fourth provider is somebody's own.
    fn provider_numbered(&mut self, number: u32) -> Command {
        let labels = [("residency", ["eu", "us"][number as usize % 2])];
        Command::RegisterProvider(RegisterProvider {
            name: name("provider", number),
            account: AccountId::new(2 + number % 5 + if self.one_in(20) { 20 } else { 0 }),
            kind: if number.is_multiple_of(4) { ProviderKind::Own } else { ProviderKind::Market },
            labels: labels.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
        })
    }

    pub(super) fn function(&mut self) -> FunctionId {
        let known = self.owners.len() as u32;
        FunctionId::new(if self.one_in(100) { known } else { self.chance.random_range(0..known.max(1)) })
    }

    pub(super) fn put_function(&mut self) -> Command {
        let deployed = (0..PROVIDERS).filter(|_| self.chance.random_ratio(3, 4));
        let deployments = deployed.map(|number| (name("provider", number), "f".to_owned()));
        let code = Code {
            deployments: deployments.collect::<BTreeMap<_, _>>(),
            memory_mb: *[64, 128, 128, 256, 512].choose(&mut self.chance).unwrap(),
            timeout_ms: *[100, 1_000, 3_000, 20_000].choose(&mut self.chance).unwrap(),
            environment: BTreeMap::new(),
            module: self.chance.random_ratio(2, 3).then_some([7; 32]),
        };
        let audience = match self.chance.random_range(0..10) {
            0 => Audience::Own,
            1 | 2 => Audience::Listed((0..5).map(|number| name("provider", number)).collect()),
            _ => Audience::Any,
        };
        let settings = FunctionSettings {
            idempotent: self.one_in(2),
            audience,
            markets: if self.one_in(8) { vec!["eu-*/*".parse().unwrap()] } else { Vec::new() },
            max_concurrency: self.one_in(4).then(|| self.chance.random_range(1..6)),
            labels: BTreeMap::new(),
            limits: if self.one_in(8) { self.limits() } else { Limits::default() },
        };
        let mut put = PutFunction {
            account: AccountId::new(2 + self.chance.random_range(0..ACCOUNTS)),
            name: name("function", self.chance.random_range(0..3)),
            code,
            settings,
        };
        match self.chance.random_range(0..60) {
            0 => put.code.memory_mb = 0,
            1 => put.code.memory_mb = MEMORY_MAX_MB + 1,
            2 => put.code.timeout_ms = u32::MAX,
            3 => put.settings.max_concurrency = Some(0),
            4 => put.account = AccountId::new(99),
            5 => put.settings.limits.only = vec![name("provider", 1); Limits::MAX_ENTRIES + 1],
            6 => put.settings.audience = Audience::Listed(vec![name("provider", 1); 65]),
            _ => {}
        }
        Command::PutFunction(Box::new(put))
    }

    pub(super) fn put_alias(&mut self) -> Command {
        let alias = ["live", "blue", "green"].choose(&mut self.chance).unwrap().parse().unwrap();
        Command::PutAlias { function: self.function(), alias, revision: self.chance.random_range(0..6) }
    }

    pub(super) fn logon(&mut self) -> Command {
        let pools = self.pools();
        Command::Logon { provider: self.provider(), endpoint: "http://provider".to_owned(), pools }
    }

    /// Often less than is leased.
    pub(super) fn state_pools(&mut self, engine: &Engine) -> Command {
        let (provider, session) = self.session(engine);
        Command::StatePools { provider, session, pools: self.pools() }
    }

    fn pools(&mut self) -> Vec<PoolSize> {
        let count = if self.one_in(100) { 0 } else { self.chance.random_range(1..4) };
        (0..count)
            .map(|_| PoolSize {
                memory_mb: match self.chance.random_range(0..60) {
                    0 => PoolSize::MAX_MEMORY_MB + 1,
                    1..4 => 0,
                    _ => self.chance.random_range(256..12_000),
                },
                slots: match self.chance.random_range(0..60) {
                    0 => PoolSize::MAX_SLOTS + 1,
                    1..4 => 0,
                    _ => self.chance.random_range(1..64),
                },
            })
            .collect()
    }

    pub(super) fn quote(&mut self, engine: &Engine) -> Quote {
        let (provider, session) = self.session(engine);
        self.quote_number += 1;
        let number = if self.one_in(40) { 1 } else { self.quote_number };
        let rungs = (0..self.chance.random_range(0..6)).map(|id| self.rung(id)).collect();
        Quote { provider, session, market: self.market(), number, rungs }
    }

    fn rung(&mut self, id: u32) -> Rung {
        let tariff = self.tariff();
        let mut rung = Rung {
            id,
            pool: if self.one_in(60) { 3 } else { self.chance.random_range(0..2) },
            capacity_mb: *[256, 2_048, 8_192].choose(&mut self.chance).unwrap(),
            tariff,
            vcpus_milli: *[500, 1_000, 2_000].choose(&mut self.chance).unwrap(),
            memory_min_mb: *[1, 1, 1, 128].choose(&mut self.chance).unwrap(),
            memory_max_mb: *[256, 2_048, 2_048].choose(&mut self.chance).unwrap(),
            longest_ms: *[1_000, 30_000, 30_000].choose(&mut self.chance).unwrap(),
            enforces_timeout: self.chance.random_ratio(3, 4),
        };
        match self.chance.random_range(0..300) {
            0 => rung.capacity_mb = 0,
            1 => rung.memory_max_mb = 0,
            2 => rung.vcpus_milli = u32::MAX,
            3 => rung.tariff.increment_ms = 0,
            4 => rung.tariff.per_gb_second = price(u64::MAX),
            5 => rung.id = 0,
            _ => {}
        }
        rung
    }

    /// From few rates, so that offers tie and ladders are often quoted again as they were.
    fn tariff(&mut self) -> Tariff {
        let mut rate = |rates: &[u64]| price(*rates.choose(&mut self.chance).unwrap());
        let per_gb_second = rate(&[0, 8_000_000, 10_000_000, 12_000_000, 16_666_700]);
        Tariff {
            per_gb_second,
            per_request: rate(&[0, 0, 200_000]),
            per_cpu_ms: rate(&[0, 0, 0, 9_000]),
            per_gb_egress: rate(&[0, 0, 0, 90_000_000_000]),
            increment_ms: *[1, 1, 100].choose(&mut self.chance).unwrap(),
            minimum_ms: *[0, 0, 100].choose(&mut self.chance).unwrap(),
            memory_step_mb: *[1, 1, 128].choose(&mut self.chance).unwrap(),
            bills_cold_start: self.one_in(2),
        }
    }
}

fn market_name(number: u32) -> merit_terms::MarketName {
    ["eu-west/wasm", "eu-north/x86_64", "us-east/wasm", "us-east/x86_64"][number as usize].parse().unwrap()
}
