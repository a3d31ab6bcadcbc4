//! Random accounts, markets, providers and functions, drawn from few values so that they meet.

use std::collections::{BTreeMap, VecDeque};

use merit_engine::{Audience, Canary, Code, Command, FunctionSettings, ProviderKind, PutFunction, RegisterProvider};
use merit_terms::{AccountId, Budget, FunctionId, Limits, MEMORY_MAX_MB, MarketName, Name, Period, Price, ProviderId};
use rand::RngExt;

use super::{ACCOUNTS, MARKETS, World};
use crate::{money, numbered, settings};

pub(super) fn price(picodollars: u64) -> Price {
    Price::from_picodollars(picodollars)
}

fn market_name(number: u32) -> MarketName {
    ["eu-west/wasm", "eu-north/x86_64", "us-east/wasm", "us-east/x86_64"][number as usize].parse().unwrap()
}

impl World {
    /// Returns the commands before the first call: everybody is there, two accounts rich, the others soon out of funds.
    pub(super) fn definitions(&mut self) -> VecDeque<Command> {
        let mut commands = VecDeque::new();
        commands.extend((0..ACCOUNTS).map(|number| Command::OpenAccount { name: numbered("account", number) }));
        commands.extend((0..MARKETS).map(|number| Command::CreateMarket { name: market_name(number) }));
        commands.extend((0..ACCOUNTS).map(|number| {
            let amount = if number < 2 { 1_000_000_000_000 } else { 40_000_000 * u64::from(number) };
            Command::Deposit { account: AccountId::new(number + 3), amount: money(amount) }
        }));
        for number in 0..self.size.providers {
            commands.push_back(self.provider_numbered(number));
            commands.push_back(self.logon(ProviderId::new(number)));
        }
        commands.extend((0..5 * self.size.names).map(|_| self.put_function()));
        commands.extend((0..2).map(|_| Command::BrokerLogon { resumes: None }));
        commands
    }

    pub(super) fn define(&mut self) -> Command {
        match self.chance.random_range(0..16) {
            0..9 => self.put_function(),
            9..12 => self.put_alias(),
            12 if self.one_in(4) => Command::DeleteFunction { function: self.function() },
            13 => Command::CreateMarket { name: market_name(self.chance.random_range(0..MARKETS)) },
            12 | 14 => Command::OpenAccount { name: self.account_name() },
            _ => {
                let number = self.chance.random_range(0..self.size.providers + 2);
                self.provider_numbered(number)
            }
        }
    }

    pub(super) fn account_name(&mut self) -> Name {
        numbered("account", self.chance.random_range(0..ACCOUNTS + 2))
    }

    /// Registers a provider; every fourth is an own one.
    fn provider_numbered(&mut self, number: u32) -> Command {
        let mut labels = BTreeMap::from([("residency".to_owned(), ["eu", "us"][number as usize % 2].to_owned())]);
        match self.chance.random_range(0..20) {
            0 => labels.extend([(String::new(), "nameless".to_owned())]),
            1 => labels.extend((0..65).map(|i| (format!("label{i}"), String::new()))),
            _ => {}
        }
        Command::RegisterProvider(RegisterProvider {
            name: numbered("provider", number),
            account: AccountId::new(3 + number % 5 + if self.one_in(20) { 20 } else { 0 }),
            kind: if number.is_multiple_of(4) { ProviderKind::Own } else { ProviderKind::Market },
            labels,
        })
    }

    pub(super) fn function(&mut self) -> FunctionId {
        let known = self.owners.len() as u32;
        FunctionId::new(if self.one_in(100) { known } else { self.chance.random_range(0..known.max(1)) })
    }

    /// Returns the owner of a function, as the replies told it.
    pub(super) fn owner(&self, function: FunctionId) -> AccountId {
        self.owners.get(function.index()).copied().unwrap_or(AccountId::new(ACCOUNTS))
    }

    fn code(&mut self) -> Code {
        let url_at = self.one_in(4).then(|| self.chance.random_range(0..self.size.providers.min(60)));
        let deployed: Vec<u32> = (0..self.size.providers.min(60)).filter(|_| self.chance.random_ratio(3, 4)).collect();
        let url = self.one_of(&["http://provider/f", "http://provider/moved/f", "http://elsewhere/f"]);
        let target = |number| if url_at == Some(number) { url } else { "f" };
        let deployments = deployed.into_iter().map(|number| (numbered("provider", number), target(number).to_owned()));
        Code {
            deployments: deployments.collect::<BTreeMap<_, _>>(),
            memory_mb: self.one_of(&[64, 128, 128, 256, 512]),
            timeout_ms: self.one_of(&[100, 1_000, 3_000, 20_000]),
            environment: BTreeMap::new(),
            module: self.chance.random_ratio(2, 3).then_some([7; 32]),
        }
    }

    fn settings(&mut self) -> FunctionSettings {
        let audience = match self.chance.random_range(0..10) {
            0 => Audience::Own,
            1 | 2 => Audience::Listed((0..5).map(|number| numbered("provider", number)).collect()),
            _ => Audience::Any,
        };
        FunctionSettings {
            idempotent: self.one_in(2),
            audience,
            markets: if self.one_in(8) { vec!["eu-*/*".parse().unwrap()] } else { Vec::new() },
            max_concurrency: self.one_in(4).then(|| self.chance.random_range(1..6)),
            limits: if self.one_in(8) { self.limits() } else { Limits::default() },
            budgets: if self.one_in(4) { self.budgets() } else { Vec::new() },
            public_per_second: self.one_in(4).then(|| self.one_of(&[1, 7, 10_000])),
            logs_off: self.one_in(4),
            ..settings()
        }
    }

    /// Draws budgets of a few calls, or of many.
    pub(super) fn budgets(&mut self) -> Vec<Budget> {
        let mut budget = |period| {
            let amount = self.one_of(&[0, 3_000_000, 30_000_000, 300_000_000]);
            Budget { period, amount: money(amount) }
        };
        let (day, month) = (budget(Period::Day), budget(Period::Month));
        match self.chance.random_range(0..12) {
            0 => vec![day, day],
            1..5 => vec![day],
            5..8 => vec![month],
            _ => vec![month, day],
        }
    }

    fn put_function(&mut self) -> Command {
        let mut put = PutFunction {
            account: AccountId::new(3 + self.chance.random_range(0..ACCOUNTS)),
            name: numbered("function", self.chance.random_range(0..self.size.names)),
            code: self.code(),
            settings: self.settings(),
        };
        match self.chance.random_range(0..80) {
            0 => put.code.memory_mb = 0,
            1 => put.code.memory_mb = MEMORY_MAX_MB + 1,
            2 => put.code.timeout_ms = u32::MAX,
            3 => put.settings.max_concurrency = Some(0),
            4 => put.account = AccountId::new(99),
            5 => put.settings.limits.only = vec![numbered("provider", 1); Limits::MAX_ENTRIES + 1],
            6 => put.settings.audience = Audience::Listed(vec![numbered("provider", 1); 65]),
            7 => put.settings.markets = vec!["*/*".parse().unwrap(); 65],
            8 => put.settings.labels = BTreeMap::from([("team".to_owned(), "x".repeat(4_096))]),
            10 => put.settings.public_per_second = Some(self.one_of(&[0, 10_001])),
            9 => put.code.environment = BTreeMap::from([(String::new(), String::new())]),
            _ => {}
        }
        Command::PutFunction(Box::new(put))
    }

    fn put_alias(&mut self) -> Command {
        let alias = self.one_of(&["live", "blue", "green"]).parse().unwrap();
        let weight = self.one_of(&[0, 1, 100, 500, 500, 1_000, 1_001]);
        let canary = Canary { revision: self.chance.random_range(0..6), weight };
        let canary = self.one_in(3).then_some(canary);
        Command::PutAlias { function: self.function(), alias, revision: self.chance.random_range(0..6), canary }
    }
}
