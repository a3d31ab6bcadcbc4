//! A market of random commands from one seed, with a real engine behind it, for tests of its followers.
//!
//! Every command that the engine knows comes up; a refused one leaves nothing behind.

use std::collections::BTreeMap;

use merit_engine::{
    AccountLimits, Adapter, AtDeadline, Audience, Bid, BrokerRequest, Code, Command, Correction, CorrectionKind,
    Deferred, Engine, FunctionSettings, Logon, MarketState, MarketTerms, NotSent, ProviderKind, PutFunction, Qualifier,
    Quote, RegisterProvider, Reply, Settle,
};
use merit_terms::{
    AccountId, Execution, FunctionId, LeaseId, Limits, MarketId, Money, Name, Outcome, PoolSize, Price, ProviderId,
    Rung, Tariff, Time, Usage,
};
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg32;

use crate::recorded::record;
use crate::sequencer::Happened;
use crate::spots::Spots;

pub(crate) const MARKETS: u32 = 3;
const ACCOUNTS: u32 = 4;
const PROVIDERS: u32 = 5;
const FUNCTIONS: u32 = 4;

pub(crate) struct World {
    pub(crate) engine: Engine,
    spots: Spots,
    chance: Pcg32,
    now_us: u64,
    opening: Vec<Command>,
    open: Vec<LeaseId>,
    resting: Vec<LeaseId>,
    broker: u64,
    requests: u64,
    quotes: u64,
    /// The record of each command that changed something, as the journal holds it.
    pub(crate) records: Vec<Vec<u8>>,
}

fn name(kind: &str, number: u32) -> Name {
    format!("{kind}{number}").parse().unwrap()
}

fn money(picodollars: u64) -> Money {
    Money::from_picodollars(picodollars).unwrap()
}

impl World {
    pub(crate) fn new(seed: u64) -> World {
        let mut world = World {
            engine: Engine::new(),
            spots: Spots::default(),
            chance: Pcg32::seed_from_u64(seed),
            now_us: 1_790_000_000_000_000,
            opening: Vec::new(),
            open: Vec::new(),
            resting: Vec::new(),
            broker: 0,
            requests: 0,
            quotes: 0,
            records: Vec::new(),
        };
        world.opening = world.definitions();
        world.opening.reverse();
        world
    }

    /// Applies `commands` further commands. Returns the events of those that changed something.
    pub(crate) fn run(&mut self, commands: usize) -> Vec<Happened> {
        (0..commands).filter_map(|_| self.step()).collect()
    }

    /// Applies the next command.
    pub(crate) fn step(&mut self) -> Option<Happened> {
        let command = self.opening.pop().unwrap_or_else(|| self.command());
        self.now_us += match self.chance.random_range(0..1_000) {
            0 => 700_000_000,
            1..8 => 5_000_000,
            _ => self.chance.random_range(0..20_000),
        };
        self.apply(&command)
    }

    /// Applies a command now.
    pub(crate) fn apply(&mut self, command: &Command) -> Option<Happened> {
        let mut events = Vec::new();
        let applied = self.engine.apply(Time::from_micros(self.now_us), command, &mut events);
        match (&applied.reply, command) {
            (Ok(Reply::Granted(grant)), _) => self.open.push(grant.terms.lease),
            (Ok(Reply::Resting(bid)), _) => self.resting.push(*bid),
            (Ok(Reply::Broker(broker)), _) => self.broker = broker.session,
            (Ok(_), Command::Settle(Settle { lease, .. }) | Command::Release { lease, .. }) => {
                self.open.retain(|open| open != lease);
            }
            _ => {}
        }
        for event in &events {
            if let merit_engine::Event::Offered(grant) = event {
                self.open.push(grant.terms.lease);
            }
        }
        let sequence = applied.sequence?;
        self.records.push(record(applied.at, command));
        events.iter().for_each(|event| self.spots.take(event));
        Some(Happened { sequence, at: applied.at, events, spots: self.spots.changes(), log: None })
    }

    fn definitions(&mut self) -> Vec<Command> {
        let mut commands = vec![Command::Start { run: 1 }];
        commands.extend((0..ACCOUNTS).map(|number| Command::OpenAccount { name: name("account", number) }));
        commands.extend(
            ["eu-west/wasm", "us-east/wasm", "us-east/x86_64"]
                .map(|market| Command::CreateMarket { name: market.parse().unwrap() }),
        );
        commands.extend((0..ACCOUNTS).map(|number| Command::Deposit {
            account: AccountId::new(number + 3),
            amount: money(if number == 3 { 2_000_000_000 } else { 1_000_000_000_000 }),
        }));
        commands.push(Command::SetFee { basis_points: 250 });
        for number in 0..PROVIDERS {
            commands.push(Command::RegisterProvider(RegisterProvider {
                name: name("provider", number),
                account: AccountId::new(3 + number % ACCOUNTS),
                kind: if number == 0 { ProviderKind::Own } else { ProviderKind::Market },
                labels: BTreeMap::new(),
            }));
            commands.push(self.logon(number));
        }
        commands.extend((0..FUNCTIONS).map(|number| self.function(number)));
        commands.push(Command::BrokerLogon { resumes: None });
        for _ in 0..20 {
            let quote = self.quote();
            commands.push(quote);
        }
        commands
    }

    fn logon(&mut self, provider: u32) -> Command {
        Command::Logon(Box::new(Logon {
            provider: ProviderId::new(provider),
            endpoint: "http://127.0.0.1:9".to_owned(),
            pools: self.pools(),
            quotas: Vec::new(),
            protection: None,
            adapter: Adapter::Agent,
            endpoint_trusted: false,
            targets: None,
        }))
    }

    fn pools(&mut self) -> Vec<PoolSize> {
        let mut pool =
            || PoolSize { memory_mb: self.chance.random_range(0..6_000), slots: self.chance.random_range(0..20) };
        vec![pool(), pool()]
    }

    fn function(&mut self, number: u32) -> Command {
        let deployments = (0..PROVIDERS).map(|provider| (name("provider", provider), "f".to_owned()));
        Command::PutFunction(Box::new(PutFunction {
            account: AccountId::new(3 + number % ACCOUNTS),
            name: name("function", number),
            code: Code {
                memory_mb: *[128, 256, 512].choose(&mut self.chance).unwrap(),
                timeout_ms: *[100, 1_000, 3_000].choose(&mut self.chance).unwrap(),
                environment: BTreeMap::new(),
                module: Some([number as u8; 32]),
                deployments: deployments.collect(),
            },
            settings: FunctionSettings { idempotent: true, audience: Audience::Any, ..FunctionSettings::default() },
        }))
    }

    fn one_in(&mut self, cases: u32) -> bool {
        self.chance.random_ratio(1, cases)
    }

    fn account(&mut self) -> AccountId {
        AccountId::new(3 + self.chance.random_range(0..ACCOUNTS))
    }

    fn market(&mut self) -> MarketId {
        MarketId::new(self.chance.random_range(0..MARKETS))
    }

    fn session(&mut self) -> (ProviderId, u32) {
        let provider = ProviderId::new(self.chance.random_range(0..PROVIDERS));
        (provider, self.engine.provider(provider).map_or(1, |provider| provider.session.max(1)))
    }

    fn lease(&mut self) -> LeaseId {
        let never = LeaseId { run: 1, sequence: 1 };
        self.open.choose(&mut self.chance).copied().unwrap_or(never)
    }

    fn command(&mut self) -> Command {
        match self.chance.random_range(0..200) {
            0..60 => Command::Acquire(Box::new(self.bid(None))),
            60..110 => Command::Settle(self.settle()),
            110..122 => Command::Release {
                lease: self.lease(),
                why: *[NotSent::Withdrawn, NotSent::Busy, NotSent::Failed].choose(&mut self.chance).unwrap(),
            },
            122..146 => self.quote(),
            146..151 => {
                let (provider, session) = self.session();
                Command::StatePools { provider, session, pools: self.pools() }
            }
            151..153 => {
                let (provider, session) = self.session();
                Command::Busy { provider, session, pool: self.chance.random_range(0..2) }
            }
            153 => {
                let (provider, session) = self.session();
                Command::CancelAll { provider, session }
            }
            154 => {
                let (provider, session) = self.session();
                if self.one_in(2) {
                    Command::Disconnect { provider, session }
                } else {
                    Command::Logout { provider, session }
                }
            }
            155..159 => {
                let provider = self.chance.random_range(0..PROVIDERS);
                self.logon(provider)
            }
            159..163 => Command::Tick,
            163..166 => {
                Command::Deposit { account: self.account(), amount: money(self.chance.random_range(0..9_000_000)) }
            }
            166 => Command::Payout { account: self.account(), amount: money(self.chance.random_range(0..9_000_000)) },
            167 => self.correction(),
            168..180 => self.defer(),
            180..184 => Command::TakeUp { lease: self.lease() },
            184..186 => {
                let bid = self.resting.choose(&mut self.chance).copied();
                Command::CancelBid { account: self.account(), bid: bid.unwrap_or(LeaseId { run: 1, sequence: 1 }) }
            }
            186..189 => Command::Claim { lease: self.lease(), usage: self.usage() },
            189..191 => Command::CloseLease { lease: self.lease() },
            191..194 => self.set_market(),
            194 => Command::CreateMarket { name: format!("eu-{}/wasm", self.quotes % 5).parse().unwrap() },
            195 => Command::FreezeAccount { account: self.account(), frozen: self.one_in(10) },
            196 => Command::SetAccountLimits {
                account: self.account(),
                limits: AccountLimits {
                    credit_limit: money(self.chance.random_range(0..9)),
                    ..AccountLimits::default()
                },
            },
            197 => {
                let provider = ProviderId::new(self.chance.random_range(0..PROVIDERS));
                if self.one_in(6) {
                    Command::Kill { provider, reason: "a test".to_owned() }
                } else {
                    Command::Revive { provider }
                }
            }
            198 => Command::BrokerLogon { resumes: (self.broker > 0).then_some(self.broker) },
            _ if self.one_in(4) => Command::Start { run: self.engine.run() + 1 },
            _ => Command::BrokerLost { session: self.broker },
        }
    }

    fn bid(&mut self, max_price: Option<Price>) -> Bid {
        let function = self.chance.random_range(0..FUNCTIONS);
        let again = self.one_in(12).then(|| self.open.choose(&mut self.chance).copied()).flatten();
        self.requests += 1;
        let request = BrokerRequest { session: self.broker, number: self.requests };
        Bid {
            account: AccountId::new(3 + function % ACCOUNTS),
            function: FunctionId::new(function),
            qualifier: Qualifier::Live,
            answer_limit_bytes: 256 << 10,
            limits: Limits { max_price, ..Limits::default() },
            tried: again.is_some().then(|| ProviderId::new(1)).into_iter().collect(),
            invocation: again,
            request: (max_price.is_some() || self.one_in(2)).then_some(request),
        }
    }

    fn defer(&mut self) -> Command {
        let limit = Price::from_picodollars(self.chance.random_range(5..20) * 1_000_000);
        let mut bid = self.bid(Some(limit));
        (bid.tried, bid.invocation) = (Vec::new(), None);
        let deadline = Time::from_micros(self.now_us + self.chance.random_range(1_000..30_000_000));
        let then = if self.one_in(2) { AtDeadline::Expire } else { AtDeadline::Market };
        Command::Defer(Box::new(Deferred { bid, deadline, then }))
    }

    fn settle(&mut self) -> Settle {
        Settle {
            lease: self.lease(),
            execution: *[Execution::Executed, Execution::Executed, Execution::Executed, Execution::Unknown]
                .choose(&mut self.chance)
                .unwrap(),
            outcome: *Outcome::ALL.choose(&mut self.chance).unwrap(),
            reported: (!self.one_in(5)).then(|| self.usage()),
            observed_us: self.chance.random_range(0..400_000),
            egress_bytes: self.chance.random_range(0..2_000),
            fault: self.one_in(9),
            server_error: true,
            given_up: true,
        }
    }

    fn usage(&mut self) -> Usage {
        Usage {
            wall_us: self.chance.random_range(0..300_000),
            cpu_us: self.chance.random_range(0..200_000),
            cold_us: if self.one_in(3) { self.chance.random_range(0..90_000) } else { 0 },
            egress_bytes: 0,
        }
    }

    fn quote(&mut self) -> Command {
        let (provider, session) = self.session();
        self.quotes += 1;
        let rungs = (0..self.chance.random_range(0..5)).map(|id| self.rung(id)).collect();
        Command::Quote(Quote { provider, session, market: self.market(), number: self.quotes, rungs })
    }

    fn rung(&mut self, id: u32) -> Rung {
        let expires = self.one_in(6).then(|| self.now_us + self.chance.random_range(1..40_000_000));
        let rate = *[0, 8_000_000, 10_000_000, 12_000_000, 16_666_700].choose(&mut self.chance).unwrap();
        Rung {
            id,
            pool: self.chance.random_range(0..2),
            capacity_mb: *[256, 1_024, 4_096].choose(&mut self.chance).unwrap(),
            tariff: Tariff {
                per_request: Price::from_picodollars(if rate == 0 { 0 } else { 200_000 }),
                per_gb_second: Price::from_picodollars(rate),
                per_cpu_ms: Price::ZERO,
                per_gb_egress: Price::ZERO,
                increment_ms: 1,
                minimum_ms: 0,
                memory_step_mb: 1,
                bills_cold_start: false,
            },
            vcpus_milli: 1_000,
            memory_min_mb: 1,
            memory_max_mb: 1_024,
            longest_ms: 30_000,
            enforces_timeout: true,
            labels: BTreeMap::new(),
            audience: if self.one_in(8) { (0..2).map(|number| name("account", number)).collect() } else { Vec::new() },
            quota: None,
            expires: expires.map(Time::from_micros),
        }
    }

    fn correction(&mut self) -> Command {
        let kind = if self.one_in(2) { CorrectionKind::Correction } else { CorrectionKind::Refund };
        Command::Correct(Box::new(Correction {
            kind,
            from: self.account(),
            to: self.account(),
            amount: money(self.chance.random_range(1..9_000_000)),
            about: Some(self.lease()),
            reason: "a test".to_owned(),
        }))
    }

    fn set_market(&mut self) -> Command {
        let banded = self.one_in(4);
        let bands = banded.then(|| (Price::from_picodollars(5_000_000), Price::from_picodollars(15_000_000)));
        let state =
            if !self.one_in(4) { MarketState::Open } else { *MarketState::ALL.choose(&mut self.chance).unwrap() };
        Command::SetMarket { market: self.market(), terms: MarketTerms { state, bands, self_dealing: self.one_in(2) } }
    }
}
