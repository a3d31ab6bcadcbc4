//! Random bids with their limits, deferred ones, and the sessions of the brokers that send them.

use merit_engine::{AtDeadline, Bid, BrokerRequest, Command, Deferred, Engine, LeaseState, Qualifier};
use merit_terms::{AccountId, FunctionId, LeaseId, Limits, Time};
use rand::RngExt;
use rand::seq::IndexedRandom;

use super::World;
use super::definitions::price;

impl World {
    /// Makes a bid: mostly a first attempt, sometimes a further one, or one that was sent before.
    pub(super) fn acquire(&mut self, engine: &Engine) -> Command {
        let mut bid = self.bid(engine);
        if self.one_in(6)
            && let Some(failed) = self.open_lease(engine, |lease| lease.state == LeaseState::Unknown)
        {
            (bid.account, bid.function) = (failed.account, failed.function);
            bid.qualifier = Qualifier::Revision(failed.revision);
            (bid.tried, bid.invocation) = (vec![failed.provider], Some(failed.invocation));
        } else if self.one_in(20) {
            bid.tried = vec![self.provider(), self.provider()];
            bid.invocation = Some(self.lease(engine));
        } else if self.one_in(30)
            && let Some(sent) = self.open_lease(engine, |lease| lease.request.is_some())
        {
            bid.request = sent.request;
        }
        Command::Acquire(Box::new(bid))
    }

    fn bid(&mut self, engine: &Engine) -> Bid {
        let qualifier = match self.chance.random_range(0..20) {
            0 => Qualifier::Revision(self.chance.random_range(0..4)),
            1 => Qualifier::Alias(self.one_of(&["live", "blue", "red"]).parse().unwrap()),
            _ => Qualifier::Live,
        };
        let function = self.function();
        Bid {
            account: if self.one_in(100) { self.account() } else { self.owner(function) },
            function,
            qualifier,
            answer_limit_bytes: self.one_of(&[0, 6 << 20]),
            limits: if self.one_in(3) { self.limits() } else { Limits::default() },
            tried: Vec::new(),
            invocation: None,
            request: if self.one_in(3) { None } else { self.request(engine) },
        }
    }

    /// Returns a request with a new number of a session that is on, seldom of any other.
    fn request(&mut self, engine: &Engine) -> Option<BrokerRequest> {
        self.request_number += 1;
        let on: Vec<u64> = engine.brokers().into_iter().filter(|(_, online)| *online).map(|(id, _)| id).collect();
        let any = self.any_broker(engine);
        let session = if self.one_in(60) { any } else { *on.choose(&mut self.chance)? };
        Some(BrokerRequest { session, number: self.request_number })
    }

    fn any_broker(&mut self, engine: &Engine) -> u64 {
        let known: Vec<u64> = engine.brokers().into_iter().map(|(id, _)| id).collect();
        if self.one_in(5) { self.step } else { known.choose(&mut self.chance).copied().unwrap_or(0) }
    }

    /// Draws limits; each kind is seldom set, so that together they are rarely met.
    pub(super) fn limits(&mut self) -> Limits {
        let mut limits = Limits::default();
        if self.one_in(3) {
            limits.max_cost = Some(self.money(4_000_000));
        }
        if self.one_in(4) {
            limits.max_price = Some(price(self.chance.random_range(0..30_000_000)));
        }
        if self.one_in(4) {
            limits.max_latency_ms = Some(self.chance.random_range(0..200));
        }
        if self.one_in(5) {
            limits.only = (0..4).map(|_| self.provider_name()).collect();
        }
        if self.one_in(4) {
            limits.ignore = vec![self.provider_name()];
        }
        if self.one_in(5) {
            limits.markets = vec![self.one_of(&["*/wasm", "us-*/*", "eu-west/wasm"]).parse().unwrap()];
        }
        if self.one_in(5) {
            limits.labels = vec![("residency".to_owned(), "eu".to_owned())];
        }
        if self.one_in(200) {
            limits.ignore = vec![self.provider_name(); Limits::MAX_ENTRIES + 1];
        }
        limits
    }

    /// Defers a bid. Limits are around the market's prices: some rest below it, others wait for room.
    pub(super) fn defer(&mut self, engine: &Engine) -> Command {
        let mut bid = self.bid(engine);
        let limit = self.one_of(&[4_000_000, 8_000_000, 10_000_000, 12_000_000, 20_000_000, 40_000_000]);
        bid.limits.max_price = Some(price(limit));
        if bid.request.is_none() && !self.one_in(40) {
            bid.request = self.request(engine);
        }
        let mut deadline = self.soon(&[1, 2, 5, 20, 60, 3_600, 200_000]);
        match self.chance.random_range(0..200) {
            0 => bid.limits.max_price = None,
            1 => bid.tried = vec![self.provider()],
            2 => bid.invocation = Some(self.lease(engine)),
            3 => deadline = Time::from_micros(self.now_us.saturating_sub(60_000_000)),
            4 => deadline = self.soon(&[31 * 86_400 + 60]),
            _ => {}
        }
        if self.one_in(30) {
            let sent = engine.resting().map(|resting| resting.deferred.bid.request);
            let sent: Vec<_> = sent.chain(engine.open_leases().map(|lease| lease.request)).flatten().collect();
            bid.request = sent.choose(&mut self.chance).copied().or(bid.request);
        }
        let then = self.one_of(&[AtDeadline::Expire, AtDeadline::Market]);
        Command::Defer(Box::new(Deferred { bid, deadline, then }))
    }

    /// Defers a bid that nobody may serve, at a limit that every trigger meets.
    pub(super) fn hoard(&mut self, engine: &Engine) -> Command {
        let function = FunctionId::new(self.chance.random_range(0..self.owners.len().max(1) as u32));
        let labels = vec![("residency".to_owned(), "mars".to_owned())];
        let max_cost = Some(self.money(100_000));
        let limits = Limits { max_price: Some(price(50_000_000)), max_cost, labels, ..Limits::default() };
        let request = self.request(engine);
        let bid = Bid { account: self.owner(function), function, limits, request, ..self.bid(engine) };
        let deadline = self.soon(&[2, 5, 10]);
        let bid = Bid { qualifier: Qualifier::Live, ..bid };
        Command::Defer(Box::new(Deferred { bid, deadline, then: AtDeadline::Expire }))
    }

    pub(super) fn cancel_bid(&mut self, engine: &Engine) -> Command {
        let resting: Vec<(AccountId, LeaseId)> =
            engine.resting().map(|bid| (bid.deferred.bid.account, bid.id)).collect();
        let never = (self.account(), self.lease(engine));
        let (account, bid) = resting.choose(&mut self.chance).copied().unwrap_or(never);
        Command::CancelBid { account: if self.one_in(20) { self.account() } else { account }, bid }
    }

    /// Opens, loses or resumes sessions of two or three brokers; lost ones mostly come back.
    pub(super) fn broker_session(&mut self, engine: &Engine) -> Command {
        let lost = engine.brokers().into_iter().filter(|(_, online)| !online).map(|(id, _)| id).collect::<Vec<_>>();
        let on = engine.brokers().len() - lost.len();
        match self.chance.random_range(0..12) {
            0 => Command::BrokerLost { session: self.any_broker(engine) },
            1 | 2 if on > 0 => {
                let session = self.request(engine).map_or(0, |request| request.session);
                Command::BrokerLost { session }
            }
            3 => Command::BrokerLogon { resumes: Some(self.any_broker(engine)) },
            _ if on == 0 && self.one_in(2) => Command::BrokerLogon { resumes: None },
            _ => match lost.choose(&mut self.chance) {
                Some(session) => Command::BrokerLogon { resumes: Some(*session) },
                None if on < 3 => Command::BrokerLogon { resumes: None },
                None => Command::Tick,
            },
        }
    }
}
