//! A small market to write examples in: one buyer with a function, sellers with one pool each.

use std::collections::BTreeMap;

use merit_engine::{
    Applied, AtDeadline, Bid, BrokerRequest, BrokerSession, Code, Command, Deferred, Engine, Event, FunctionSettings,
    Grant, LeaseTerms, Logon, NotSent, ProviderKind, Quote, RegisterProvider, Reply, Settle, Settlement,
};
use merit_terms::{
    AccountId, Execution, FunctionId, LeaseId, Limits, MarketId, NoOffer, Period, PoolSize, ProviderId, Refusal, Rung,
    Time,
};

use crate::{bid, code, logon, max_price, money, name, only, pool, put_function, register, rung, settings, settle};

pub struct Floor {
    pub engine: Engine,
    pub events: Vec<Event>,
    pub market: MarketId,
    pub buyer: AccountId,
    pub function: FunctionId,
    /// Session of the broker that defers bids.
    pub broker: u64,
    pub now: Time,
    quotes: u64,
    requests: u64,
}

/// A provider in a session.
#[derive(Clone, Copy, Debug)]
pub struct Seller {
    pub id: ProviderId,
    pub account: AccountId,
    pub session: u32,
}

impl Floor {
    /// Opens a market, and a buyer with 1 USD and a function of 1 GB and 1 s.
    pub fn new() -> Floor {
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

    pub fn apply(&mut self, command: Command) -> Result<Reply, Refusal> {
        self.events.clear();
        let Applied { reply, .. } = self.engine.apply(self.now, &command, &mut self.events);
        reply
    }

    /// Lets time pass, and runs what is due.
    pub fn wait_ms(&mut self, millis: u64) {
        self.now = self.now.after_millis(millis);
        self.apply(Command::Tick).unwrap();
    }

    pub fn wait_s(&mut self, seconds: u64) {
        self.wait_ms(seconds * 1_000);
    }

    /// Waits until the first second of this day since 1970; the market opens on day 0.
    pub fn wait_until_day(&mut self, day: u32) {
        self.now = Time::start_of(Period::Day, day);
        self.apply(Command::Tick).unwrap();
    }

    pub fn create_market(&mut self, market: &str) -> MarketId {
        match self.apply(Command::CreateMarket { name: market.parse().unwrap() }) {
            Ok(Reply::Market(id)) => id,
            other => panic!("{other:?}"),
        }
    }

    pub fn account(&mut self, account: &str, picodollars: u64) -> AccountId {
        let Ok(Reply::Account(id)) = self.apply(Command::OpenAccount { name: name(account) }) else {
            panic!("{account} is there already");
        };
        self.apply(Command::Deposit { account: id, amount: money(picodollars) }).unwrap();
        id
    }

    /// Opens another account with 1 USD and a function of its own.
    pub fn tenant(&mut self, account: &str) -> (AccountId, FunctionId) {
        let account = self.account(account, 1_000_000_000_000);
        let buyer = std::mem::replace(&mut self.buyer, account);
        let function = self.put("hello", code(), settings());
        self.buyer = buyer;
        (account, function)
    }

    pub fn put(&mut self, function: &str, code: Code, settings: FunctionSettings) -> FunctionId {
        match self.apply(put_function(self.buyer, name(function), code, settings)) {
            Ok(Reply::Function { function, .. }) => function,
            other => panic!("{other:?}"),
        }
    }

    pub fn provider(&mut self, provider: &str, account: AccountId, kind: ProviderKind) -> ProviderId {
        let labels = BTreeMap::from([("residency".to_owned(), "eu".to_owned())]);
        let register = RegisterProvider { labels, ..register(name(provider), account, kind) };
        match self.apply(Command::RegisterProvider(register)) {
            Ok(Reply::Provider(id)) => id,
            other => panic!("{other:?}"),
        }
    }

    pub fn logon(&mut self, id: ProviderId, pools: Vec<PoolSize>) -> u32 {
        self.logon_with(logon(id, pools)).unwrap()
    }

    pub fn logon_with(&mut self, logon: Logon) -> Result<u32, Refusal> {
        match self.apply(Command::Logon(Box::new(logon)))? {
            Reply::Session(session) => Ok(session),
            other => panic!("{other:?}"),
        }
    }

    /// Logs on a market seller with an account of its own and room for this many calls, which offers nothing yet.
    pub fn newcomer(&mut self, provider: &str, calls: u32) -> Seller {
        let account = self.account(provider, 0);
        let id = self.provider(provider, account, ProviderKind::Market);
        Seller { id, account, session: self.logon(id, pool(calls)) }
    }

    /// Logs on a market seller that sells room for this many calls at one price.
    pub fn seller(&mut self, provider: &str, calls: u32, per_gb_second: u64) -> Seller {
        let seller = self.newcomer(provider, calls);
        self.quote(seller, vec![rung(1, per_gb_second)]).unwrap();
        seller
    }

    pub fn quote(&mut self, seller: Seller, rungs: Vec<Rung>) -> Result<Reply, Refusal> {
        self.quote_in(self.market, seller, rungs)
    }

    pub fn quote_in(&mut self, market: MarketId, seller: Seller, rungs: Vec<Rung>) -> Result<Reply, Refusal> {
        self.quotes += 1;
        let Seller { id: provider, session, .. } = seller;
        self.apply(Command::Quote(Quote { provider, session, market, number: self.quotes, rungs }))
    }

    pub fn bid(&self, limits: Limits) -> Bid {
        Bid { limits, ..bid(self.buyer, self.function) }
    }

    pub fn acquire(&mut self, bid: Bid) -> Result<Grant, Refusal> {
        match self.apply(Command::Acquire(Box::new(bid)))? {
            Reply::Granted(grant) => Ok(*grant),
            other => panic!("{other:?}"),
        }
    }

    pub fn try_call(&mut self, limits: Limits) -> Result<LeaseTerms, Refusal> {
        let bid = self.bid(limits);
        Ok(self.acquire(bid)?.terms)
    }

    pub fn call(&mut self) -> LeaseTerms {
        self.try_call(Limits::default()).unwrap()
    }

    pub fn call_at(&mut self, provider: &str) -> LeaseTerms {
        self.try_call(only(name(provider))).unwrap()
    }

    /// Returns the refusal of one more call: the thing that the nearest offer lacks.
    pub fn lacks(&mut self) -> NoOffer {
        match self.try_call(Limits::default()) {
            Err(Refusal::NoOffer { class, .. }) => class,
            other => panic!("{other:?}"),
        }
    }

    /// Counts the calls that are granted before one is refused, at most `most`.
    pub fn granted(&mut self, most: usize) -> usize {
        (0..most).take_while(|_| self.try_call(Limits::default()).is_ok()).count()
    }

    /// Makes another attempt, at another provider.
    pub fn call_again(&mut self, failed: &LeaseTerms, limits: Limits) -> Result<LeaseTerms, Refusal> {
        let bid = Bid { tried: vec![failed.provider], invocation: Some(failed.invocation), ..self.bid(limits) };
        Ok(self.acquire(bid)?.terms)
    }

    pub fn broker_logon(&mut self, resumes: Option<u64>) -> BrokerSession {
        match self.apply(Command::BrokerLogon { resumes }) {
            Ok(Reply::Broker(session)) => *session,
            other => panic!("{other:?}"),
        }
    }

    /// Returns a request with a number that the broker has not used yet.
    pub fn request(&mut self) -> BrokerRequest {
        self.requests += 1;
        BrokerRequest { session: self.broker, number: self.requests }
    }

    pub fn try_defer(&mut self, limits: Limits, seconds: u64, then: AtDeadline) -> Result<Reply, Refusal> {
        let bid = Bid { request: Some(self.request()), ..self.bid(limits) };
        let deadline = self.now.after_millis(seconds * 1_000);
        self.apply(Command::Defer(Box::new(Deferred { bid, deadline, then })))
    }

    /// Makes a bid that rests at this limit for a minute.
    pub fn rest(&mut self, per_gb_second: u64) -> LeaseId {
        match self.try_defer(max_price(per_gb_second), 60, AtDeadline::Expire) {
            Ok(Reply::Resting(id)) => id,
            other => panic!("{other:?}"),
        }
    }

    /// Returns the lease that the last command offered to the broker of a deferred bid.
    pub fn offered(&self) -> Option<LeaseTerms> {
        self.events.iter().find_map(|event| match event {
            Event::Offered(grant) => Some(grant.terms.clone()),
            _ => None,
        })
    }

    pub fn release(&mut self, lease: LeaseId, why: NotSent) {
        self.apply(Command::Release { lease, why }).unwrap();
    }

    pub fn end(&mut self, lease: LeaseId, execution: Execution, wall_ms: u64) -> Result<Reply, Refusal> {
        self.apply(Command::Settle(Settle { execution, ..settle(lease, wall_ms) }))
    }

    /// Settles a lease that ran for this long, all of it on the CPU.
    pub fn settle(&mut self, lease: LeaseId, wall_ms: u64) -> Settlement {
        match self.end(lease, Execution::Executed, wall_ms) {
            Ok(Reply::Settled(settlement)) => settlement,
            other => panic!("{other:?}"),
        }
    }

    /// Makes one call at this provider from match to settlement, so that it has a history.
    pub fn run_at(&mut self, provider: &str, wall_ms: u64) {
        let lease = self.call_at(provider).lease;
        self.settle(lease, wall_ms);
    }

    pub fn balance(&self, account: AccountId) -> i128 {
        self.engine.account(account).unwrap().balance.picodollars()
    }

    pub fn held(&self, account: AccountId) -> u128 {
        self.engine.account(account).unwrap().held
    }

    /// Returns the price of the offer that would serve the next call.
    pub fn next_price(&self) -> u64 {
        let quote = self.engine.quote(&self.bid(Limits::default())).unwrap();
        quote.offers[0].price.picodollars()
    }
}
