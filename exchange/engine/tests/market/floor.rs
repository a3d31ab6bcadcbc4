//! A small market to write examples in: one buyer with a function, sellers with one pool each.

use std::collections::BTreeMap;

use merit_engine::{
    Adapter, Applied, AtDeadline, Audience, Bid, BrokerRequest, Code, Command, Deferred, Engine, Event,
    FunctionSettings, Grant, LeaseTerms, Logon, NotSent, ProviderKind, PutFunction, Qualifier, Quote, RegisterProvider,
    Reply, Settle, Settlement,
};
use merit_terms::{
    AccountId, Execution, FunctionId, LeaseId, Limits, MarketId, Money, Name, NoOffer, Outcome, PoolSize, Price,
    ProviderId, Refusal, Rung, Tariff, Time, Usage,
};

pub(crate) struct Floor {
    pub(crate) engine: Engine,
    pub(crate) events: Vec<Event>,
    pub(crate) market: MarketId,
    pub(crate) buyer: AccountId,
    pub(crate) function: FunctionId,
    /// The session of the broker that defers bids.
    pub(crate) broker: u64,
    pub(crate) now: Time,
    quotes: u64,
    requests: u64,
}

/// A provider in a session.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seller {
    pub(crate) id: ProviderId,
    pub(crate) account: AccountId,
    pub(crate) session: u32,
}

pub(crate) const MEMORY_MB: u32 = 1024;
pub(crate) const TIMEOUT_MS: u32 = 1_000;
/// The worst case of a call at a price of so much is that price: 1 GB for 1 s.
pub(crate) const PRICE: u64 = 10_000_000;
/// What one function call of 100 ms costs at a price of 1: 1 GB for a tenth of a second.
pub(crate) const CALLS_PER_GB_SECOND: u64 = 10;

pub(crate) fn name(text: &str) -> Name {
    text.parse().unwrap()
}

pub(crate) fn money(picodollars: u64) -> Money {
    Money::from_picodollars(picodollars).unwrap()
}

/// Sells by the GB-s only, to the millisecond.
pub(crate) fn tariff(per_gb_second: u64) -> Tariff {
    Tariff {
        per_request: Price::ZERO,
        per_gb_second: Price::from_picodollars(per_gb_second),
        per_cpu_ms: Price::ZERO,
        per_gb_egress: Price::ZERO,
        increment_ms: 1,
        minimum_ms: 0,
        memory_step_mb: 1,
        bills_cold_start: false,
    }
}

/// The whole of pool 0 at one price.
pub(crate) fn rung(id: u32, per_gb_second: u64) -> Rung {
    Rung {
        id,
        pool: 0,
        capacity_mb: PoolSize::MAX_MEMORY_MB,
        tariff: tariff(per_gb_second),
        vcpus_milli: 1_000,
        memory_min_mb: 1,
        memory_max_mb: 65_536,
        longest_ms: 60_000,
        enforces_timeout: true,
        labels: BTreeMap::new(),
        audience: Vec::new(),
        quota: None,
        expires: None,
    }
}

/// Room for this many calls.
pub(crate) fn pool(calls: u32) -> Vec<PoolSize> {
    vec![PoolSize { memory_mb: u64::from(calls * MEMORY_MB), slots: calls }]
}

pub(crate) fn code() -> Code {
    Code {
        memory_mb: MEMORY_MB,
        timeout_ms: TIMEOUT_MS,
        environment: BTreeMap::new(),
        module: Some([1; 32]),
        deployments: BTreeMap::new(),
    }
}

pub(crate) fn settings() -> FunctionSettings {
    FunctionSettings {
        idempotent: true,
        audience: Audience::Any,
        markets: Vec::new(),
        max_concurrency: None,
        labels: BTreeMap::new(),
        limits: Limits::default(),
        budgets: Vec::new(),
        public_per_second: None,
    }
}

/// The function ran for so long, all of it on the CPU.
pub(crate) fn ran(wall_ms: u64) -> Usage {
    Usage { wall_us: wall_ms * 1_000, cpu_us: wall_ms * 1_000, ..Usage::default() }
}

pub(crate) fn settle(lease: LeaseId, wall_ms: u64) -> Settle {
    Settle {
        lease,
        execution: Execution::Executed,
        outcome: Outcome::Ok,
        reported: Some(ran(wall_ms)),
        observed_us: wall_ms * 1_000 + 300,
        egress_bytes: 0,
        fault: false,
    }
}

pub(crate) fn max_price(per_gb_second: u64) -> Limits {
    Limits { max_price: Some(Price::from_picodollars(per_gb_second)), ..Limits::default() }
}

pub(crate) fn max_cost(picodollars: u64) -> Limits {
    Limits { max_cost: Some(money(picodollars)), ..Limits::default() }
}

pub(crate) fn logon(provider: ProviderId, pools: Vec<PoolSize>) -> Logon {
    let endpoint = "http://seller".to_owned();
    Logon {
        provider,
        endpoint,
        pools,
        quotas: Vec::new(),
        protection: None,
        adapter: Adapter::Agent,
        endpoint_trusted: false,
    }
}

impl Floor {
    /// A market, and a buyer with 1 USD and a function of 1 GB and 1 s.
    pub(crate) fn new() -> Floor {
        let mut floor = Floor {
            engine: Engine::new(),
            events: Vec::new(),
            market: MarketId::new(0),
            buyer: AccountId::new(0),
            function: FunctionId::new(0),
            broker: 0,
            now: Time::from_micros(1_000_000),
            quotes: 0,
            requests: 0,
        };
        floor.market = floor.create_market("eu-west/wasm");
        floor.buyer = floor.account("buyer", 1_000_000_000_000);
        floor.function = floor.put("hello", code(), settings());
        floor.broker = floor.broker_logon(None).session;
        floor
    }

    pub(crate) fn apply(&mut self, command: Command) -> Result<Reply, Refusal> {
        self.events.clear();
        let Applied { reply, .. } = self.engine.apply(self.now, &command, &mut self.events);
        reply
    }

    /// Time passes, and what is due runs.
    pub(crate) fn wait_ms(&mut self, millis: u64) {
        self.now = self.now.after_millis(millis);
        self.apply(Command::Tick).unwrap();
    }

    pub(crate) fn wait_s(&mut self, seconds: u64) {
        self.wait_ms(seconds * 1_000);
    }

    /// The first second of this day since 1970; the market opens on day 0.
    pub(crate) fn wait_until_day(&mut self, day: u32) {
        self.now = Time::start_of(merit_terms::Period::Day, day);
        self.apply(Command::Tick).unwrap();
    }

    pub(crate) fn create_market(&mut self, market: &str) -> MarketId {
        match self.apply(Command::CreateMarket { name: market.parse().unwrap() }) {
            Ok(Reply::Market(id)) => id,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn account(&mut self, account: &str, picodollars: u64) -> AccountId {
        let Ok(Reply::Account(id)) = self.apply(Command::OpenAccount { name: name(account) }) else {
            panic!("{account} is there already");
        };
        self.apply(Command::Deposit { account: id, amount: money(picodollars) }).unwrap();
        id
    }

    /// Another account with 1 USD, and a function of its own.
    pub(crate) fn tenant(&mut self, account: &str) -> (AccountId, FunctionId) {
        let account = self.account(account, 1_000_000_000_000);
        let buyer = std::mem::replace(&mut self.buyer, account);
        let function = self.put("hello", code(), settings());
        self.buyer = buyer;
        (account, function)
    }

    pub(crate) fn put(&mut self, function: &str, code: Code, settings: FunctionSettings) -> FunctionId {
        let put = PutFunction { account: self.buyer, name: name(function), code, settings };
        match self.apply(Command::PutFunction(Box::new(put))) {
            Ok(Reply::Function { function, .. }) => function,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn provider(&mut self, provider: &str, account: AccountId, kind: ProviderKind) -> ProviderId {
        let labels = BTreeMap::from([("residency".to_owned(), "eu".to_owned())]);
        let register = RegisterProvider { name: name(provider), account, kind, labels };
        match self.apply(Command::RegisterProvider(register)) {
            Ok(Reply::Provider(id)) => id,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn logon(&mut self, id: ProviderId, pools: Vec<PoolSize>) -> u32 {
        self.logon_with(logon(id, pools)).unwrap()
    }

    pub(crate) fn logon_with(&mut self, logon: Logon) -> Result<u32, Refusal> {
        match self.apply(Command::Logon(Box::new(logon)))? {
            Reply::Session(session) => Ok(session),
            other => panic!("{other:?}"),
        }
    }

    /// A market seller with an account of its own and room for this many calls, that offers nothing yet.
    pub(crate) fn newcomer(&mut self, provider: &str, calls: u32) -> Seller {
        let account = self.account(provider, 0);
        let id = self.provider(provider, account, ProviderKind::Market);
        Seller { id, account, session: self.logon(id, pool(calls)) }
    }

    /// A market seller that sells room for this many calls at one price.
    pub(crate) fn seller(&mut self, provider: &str, calls: u32, per_gb_second: u64) -> Seller {
        let seller = self.newcomer(provider, calls);
        self.quote(seller, vec![rung(1, per_gb_second)]).unwrap();
        seller
    }

    pub(crate) fn quote(&mut self, seller: Seller, rungs: Vec<Rung>) -> Result<Reply, Refusal> {
        self.quote_in(self.market, seller, rungs)
    }

    pub(crate) fn quote_in(&mut self, market: MarketId, seller: Seller, rungs: Vec<Rung>) -> Result<Reply, Refusal> {
        self.quotes += 1;
        let Seller { id: provider, session, .. } = seller;
        self.apply(Command::Quote(Quote { provider, session, market, number: self.quotes, rungs }))
    }

    pub(crate) fn bid(&self, limits: Limits) -> Bid {
        Bid {
            account: self.buyer,
            function: self.function,
            qualifier: Qualifier::Live,
            answer_limit_bytes: 0,
            limits,
            tried: Vec::new(),
            invocation: None,
            request: None,
        }
    }

    pub(crate) fn acquire(&mut self, bid: Bid) -> Result<Grant, Refusal> {
        match self.apply(Command::Acquire(Box::new(bid)))? {
            Reply::Granted(grant) => Ok(*grant),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn try_call(&mut self, limits: Limits) -> Result<LeaseTerms, Refusal> {
        let bid = self.bid(limits);
        Ok(self.acquire(bid)?.terms)
    }

    pub(crate) fn call(&mut self) -> LeaseTerms {
        self.try_call(Limits::default()).unwrap()
    }

    pub(crate) fn call_at(&mut self, provider: &str) -> LeaseTerms {
        self.try_call(Limits { only: vec![name(provider)], ..Limits::default() }).unwrap()
    }

    /// What the nearest offer lacks for one more call.
    pub(crate) fn lacks(&mut self) -> NoOffer {
        match self.try_call(Limits::default()) {
            Err(Refusal::NoOffer { class, .. }) => class,
            other => panic!("{other:?}"),
        }
    }

    /// How many calls are granted before one is refused, at most `most`.
    pub(crate) fn granted(&mut self, most: usize) -> usize {
        (0..most).take_while(|_| self.try_call(Limits::default()).is_ok()).count()
    }

    /// Another attempt at another provider.
    pub(crate) fn call_again(&mut self, failed: &LeaseTerms, limits: Limits) -> Result<LeaseTerms, Refusal> {
        let bid = Bid { tried: vec![failed.provider], invocation: Some(failed.invocation), ..self.bid(limits) };
        Ok(self.acquire(bid)?.terms)
    }

    pub(crate) fn broker_logon(&mut self, resumes: Option<u64>) -> merit_engine::BrokerSession {
        match self.apply(Command::BrokerLogon { resumes }) {
            Ok(Reply::Broker(session)) => *session,
            other => panic!("{other:?}"),
        }
    }

    /// A number that the broker has not used yet.
    pub(crate) fn request(&mut self) -> BrokerRequest {
        self.requests += 1;
        BrokerRequest { session: self.broker, number: self.requests }
    }

    pub(crate) fn try_defer(&mut self, limits: Limits, seconds: u64, then: AtDeadline) -> Result<Reply, Refusal> {
        let bid = Bid { request: Some(self.request()), ..self.bid(limits) };
        let deadline = self.now.after_millis(seconds * 1_000);
        self.apply(Command::Defer(Box::new(Deferred { bid, deadline, then })))
    }

    /// A bid that rests at this limit for a minute.
    pub(crate) fn rest(&mut self, per_gb_second: u64) -> LeaseId {
        match self.try_defer(max_price(per_gb_second), 60, AtDeadline::Expire) {
            Ok(Reply::Resting(id)) => id,
            other => panic!("{other:?}"),
        }
    }

    /// The lease that the last command offered to the broker of a deferred bid.
    pub(crate) fn offered(&self) -> Option<LeaseTerms> {
        self.events.iter().find_map(|event| match event {
            Event::Offered(grant) => Some(grant.terms.clone()),
            _ => None,
        })
    }

    pub(crate) fn release(&mut self, lease: LeaseId, why: NotSent) {
        self.apply(Command::Release { lease, why }).unwrap();
    }

    pub(crate) fn end(&mut self, lease: LeaseId, execution: Execution, wall_ms: u64) -> Result<Reply, Refusal> {
        self.apply(Command::Settle(Settle { execution, ..settle(lease, wall_ms) }))
    }

    /// The function ran for so long, all of it on the CPU.
    pub(crate) fn settle(&mut self, lease: LeaseId, wall_ms: u64) -> Settlement {
        match self.end(lease, Execution::Executed, wall_ms) {
            Ok(Reply::Settled(settlement)) => settlement,
            other => panic!("{other:?}"),
        }
    }

    /// One call at this provider from match to settlement, so that it has a history.
    pub(crate) fn run_at(&mut self, provider: &str, wall_ms: u64) {
        let lease = self.call_at(provider).lease;
        self.settle(lease, wall_ms);
    }

    pub(crate) fn balance(&self, account: AccountId) -> i128 {
        self.engine.account(account).unwrap().balance.picodollars()
    }

    pub(crate) fn held(&self, account: AccountId) -> u128 {
        self.engine.account(account).unwrap().held
    }

    /// The price of the offer that would serve the next call.
    pub(crate) fn next_price(&self) -> u64 {
        let quote = self.engine.quote(&self.bid(Limits::default())).unwrap();
        quote.offers[0].price.picodollars()
    }
}
