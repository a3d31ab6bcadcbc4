//! The delay of a deferred bid's match after an offer crosses it, with many bids resting.
//!
//! Every second bid ignores the seller that crosses, so that a sweep passes over some. Times each command from the
//! crossing quote on, until one of them grants the lease. Never times the setup.

use std::time::{Duration, Instant};

use merit_engine::{AtDeadline, Bid, BrokerRequest, Command, Deferred, Reply};
use merit_terms::{FunctionId, LeaseId, Limits, Money, Price};
use rand::RngExt;

use crate::engine_bench::market::BenchMarket;
use crate::engine_bench::{Crossings, EngineBenchError, Settings, count, nanoseconds};

/// Number of resting bids.
const BIDS: u32 = 10_000;
const RUNGS: u32 = 5;
/// Limits of the bids, in picodollars per GB-s of the reference call: below every other offer, above the crossing one.
const LIMITS: std::ops::Range<u64> = 4_100_000..8_000_000;
/// Rate of the offer that crosses, in picodollars per GB-s.
const RATE: u64 = 1;
const HOLD: u64 = 1_000_000_000;
const MATCHES_MAX: u64 = 100_000;

struct Bench {
    market: BenchMarket,
    function: FunctionId,
    session: u64,
    requests: u64,
}

/// Measures for at most `longest`.
pub(crate) fn run(settings: &Settings, longest: Duration) -> Result<Crossings, EngineBenchError> {
    let mut market = BenchMarket::new(settings.seed, settings.match_offers, settings.match_providers, RUNGS)?;
    market.post()?;
    let function = market.put_function("deferred".to_owned(), true)?;
    let Reply::Broker(broker) = market.must(Command::BrokerLogon { resumes: None })? else {
        return Err(EngineBenchError::Reply);
    };
    let mut bench = Bench { market, function, session: broker.session, requests: 0 };
    for _ in 0..BIDS {
        bench.rest()?;
    }
    let (mut delays, mut commands_max) = (nanoseconds()?, 0);
    let ends = Instant::now() + longest;
    while delays.len() < MATCHES_MAX && Instant::now() < ends {
        let (lease, took, commands) = bench.cross()?;
        count(&mut delays, took);
        commands_max = commands_max.max(commands);
        bench.leave(lease)?;
        bench.rest()?;
    }
    Ok(Crossings {
        bids: BIDS,
        matches: delays.len(),
        p50_ns: delays.value_at_quantile(0.5),
        p999_ns: delays.value_at_quantile(0.999),
        commands_max,
    })
}

impl Bench {
    fn rest(&mut self) -> Result<(), EngineBenchError> {
        self.requests += 1;
        let request = Some(BrokerRequest { session: self.session, number: self.requests });
        let ignore = if self.requests.is_multiple_of(2) { vec!["p-0".parse()?] } else { Vec::new() };
        let limit = Price::from_picodollars(self.market.chance.random_range(LIMITS));
        let limits =
            Limits { ignore, max_price: Some(limit), max_cost: Money::from_picodollars(HOLD), ..Limits::default() };
        let bid = Bid { request, ..self.market.bid(self.function, limits) };
        let deadline = self.market.at.after_millis(24 * 3600 * 1000);
        match self.market.must(Command::Defer(Box::new(Deferred { bid, deadline, then: AtDeadline::Expire })))? {
            Reply::Resting(_) => Ok(()),
            _ => Err(EngineBenchError::Reply),
        }
    }

    /// Crosses the bids by one offer with room for one call. Returns its lease, the delay, and the number of commands.
    fn cross(&mut self) -> Result<(LeaseId, Duration, u32), EngineBenchError> {
        let mut command = self.market.single(self.market.ladders[0], RATE);
        let (mut took, mut commands) = (Duration::ZERO, 0);
        loop {
            let (lease, more) = self.market.crossed(&command)?;
            took += more;
            commands += 1;
            if let Some(lease) = lease {
                return Ok((lease, took, commands));
            }
            command = Command::Tick;
        }
    }

    /// Cancels the offer and settles the call.
    fn leave(&mut self, lease: LeaseId) -> Result<(), EngineBenchError> {
        let cancel = self.market.cancel(self.market.ladders[0]);
        self.market.must(cancel)?;
        self.market.must(Command::TakeUp { lease })?;
        self.market.must(BenchMarket::settle(lease, 10_000)).map(drop)
    }
}
