//! The running world: calls are bought, run for their virtual time, and are settled in order of their ends. Never reads
//! a clock.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use merit_engine::{Bid, Command, Engine, Event, Grant, Qualifier, Reply, Settle, Settlement};
use merit_terms::{AccountId, Execution, FunctionId, LeaseId, Limits, Outcome, Refusal, Time, Usage};

use crate::world::report::{Alone, Sold, Sum, Total, WorldReport, balance, saving_percent};
use crate::world::sellers::Seller;
use crate::world::trace::{TracedCall, TracedFunction};
use crate::world::{WorldError, WorldSettings};

/// Beginning of the sample: 2019-07-15, 08:00 UTC.
const BEGIN: Time = Time::from_micros(1_563_177_600_000_000);
/// Answer limit in bytes, by which egress is held: none, because no tariff of this world bills it.
const ANSWER_LIMIT_BYTES: u64 = 0;

/// The market, and the accounts of its sales.
pub(crate) struct World {
    pub(crate) engine: Engine,
    events: Vec<Event>,
    at: Time,
    pub(crate) commands: u64,
    pub(crate) functions: Vec<TracedFunction>,
    /// The account and the id of each function.
    pub(crate) bidders: Vec<(AccountId, FunctionId)>,
    /// Number of accounts that buy.
    pub(crate) accounts: usize,
    /// Sellers in order of registration, so that a provider's number is its position.
    pub(crate) sellers: Vec<Seller>,
    running: BinaryHeap<Reverse<RunningCall>>,
    calls: u64,
    sold: Vec<Sum>,
    /// Bill of each listed platform alone for the executed calls, in picodollars.
    alone: Vec<u128>,
    refused: BTreeMap<&'static str, u64>,
}

/// A running call; ordered by its end.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct RunningCall {
    end_us: u64,
    lease: LeaseId,
    call: TracedCall,
    wall_us: u64,
    outcome: Outcome,
    seller: usize,
}

impl World {
    pub(crate) fn empty(engine: Engine, sellers: usize) -> World {
        World {
            engine,
            events: Vec::new(),
            at: BEGIN,
            commands: 0,
            functions: Vec::new(),
            bidders: Vec::new(),
            accounts: 0,
            sellers: Vec::new(),
            running: BinaryHeap::new(),
            calls: 0,
            sold: vec![Sum::default(); sellers],
            alone: vec![0; sellers],
            refused: BTreeMap::new(),
        }
    }

    fn apply(&mut self, command: &Command) -> Result<Reply, Refusal> {
        self.commands += 1;
        self.events.clear();
        self.engine.apply(self.at, command, &mut self.events).reply
    }

    /// Applies a command that must not be refused.
    pub(crate) fn must(&mut self, command: Command) -> Result<Reply, WorldError> {
        self.apply(&command).map_err(WorldError::Refused)
    }

    /// Bids for a call at its time. A call that nobody serves is refused and gone.
    pub(crate) fn buy(&mut self, call: TracedCall) -> Result<(), WorldError> {
        self.at = Time::from_micros(BEGIN.micros() + call.at_us);
        self.calls += 1;
        let (account, function) = self.bidders[call.function];
        let bid = Bid {
            account,
            function,
            qualifier: Qualifier::Live,
            answer_limit_bytes: ANSWER_LIMIT_BYTES,
            limits: Limits::default(),
            tried: Vec::new(),
            invocation: None,
            request: None,
        };
        match self.apply(&Command::Acquire(Box::new(bid))) {
            Ok(Reply::Granted(grant)) => {
                let run = self.run(call, &grant);
                self.running.push(Reverse(run));
                Ok(())
            }
            Ok(_) => Err(WorldError::Reply),
            Err(refusal) => {
                *self.refused.entry(refusal.code().as_str()).or_default() += 1;
                Ok(())
            }
        }
    }

    /// Returns the run of the granted call at its seller: to its end, or to the lease's timeout.
    fn run(&self, call: TracedCall, grant: &Grant) -> RunningCall {
        let seller = grant.terms.provider.index();
        let (wall_us, most_us) = (self.sellers[seller].wall_us(call.wall_us), u64::from(grant.terms.timeout_ms) * 1000);
        let outcome = if wall_us > most_us { Outcome::Timeout } else { Outcome::Ok };
        let wall_us = wall_us.min(most_us);
        RunningCall { end_us: call.at_us + wall_us, lease: grant.terms.lease, call, wall_us, outcome, seller }
    }

    /// Settles the calls that have ended by `until_us` after the beginning.
    pub(crate) fn settle_until(&mut self, until_us: u64) -> Result<(), WorldError> {
        while self.running.peek().is_some_and(|Reverse(run)| run.end_us <= until_us) {
            let Some(Reverse(run)) = self.running.pop() else { break };
            self.settle(&run)?;
        }
        Ok(())
    }

    fn settle(&mut self, run: &RunningCall) -> Result<(), WorldError> {
        self.at = Time::from_micros(BEGIN.micros() + run.end_us);
        let settle = Settle {
            lease: run.lease,
            execution: Execution::Executed,
            outcome: run.outcome,
            reported: Some(usage(run.wall_us)),
            observed_us: run.wall_us,
            egress_bytes: 0,
            fault: false,
            server_error: false,
            given_up: false,
        };
        let Reply::Settled(settlement) = self.must(Command::Settle(settle))? else {
            return Err(WorldError::Reply);
        };
        self.book(run, &settlement);
        Ok(())
    }

    /// Adds a bill to its seller's sum, and the bill of each platform for the same call.
    fn book(&mut self, run: &RunningCall, settlement: &Settlement) {
        let function = &self.functions[run.call.function];
        let step = |seller: &Seller| seller.rung_for(function.memory_mb).map_or(1, |rung| rung.tariff.memory_step_mb);
        let memory_mb = function.memory_mb.next_multiple_of(step(&self.sellers[run.seller]));
        let sold = &mut self.sold[run.seller];
        sold.invocations += 1;
        sold.mb_ms += u128::from(memory_mb) * u128::from(settlement.billed_ms);
        sold.picodollars += u128::from(settlement.cost.picodollars());
        for (alone, seller) in self.alone.iter_mut().zip(&self.sellers) {
            let Some(rung) = seller.rung_for(function.memory_mb) else { continue };
            let wall_us = seller.wall_us(run.call.wall_us).min(u64::from(function.timeout_ms) * 1000);
            let cost = rung.tariff.cost(function.memory_mb, rung.vcpus_milli, &usage(wall_us));
            *alone += u128::from(cost.picodollars());
        }
    }

    pub(crate) fn report(&self, settings: WorldSettings) -> WorldReport {
        let sum = self.sold.iter().fold(Sum::default(), |sum, sold| sum.and(*sold));
        let sellers = self.sellers.iter().zip(&self.sold).map(|(seller, sold)| Sold {
            provider: seller.name.to_owned(),
            pool_mb: seller.pool.memory_mb,
            wall_permille: seller.wall_permille,
            price_list: seller.listed.as_ref().map(|listed| listed.product.clone()),
            confidence: seller.listed.as_ref().map(|listed| listed.confidence.clone()),
            invocations: sold.invocations,
            gb_seconds: sold.gb_seconds(),
            paid: sold.paid(),
            mean_price: sold.mean_price(),
        });
        let listed = self.sellers.iter().zip(&self.alone).filter(|(seller, _)| seller.listed.is_some());
        WorldReport {
            seed: settings.seed,
            minutes: settings.minutes,
            functions: self.functions.len(),
            accounts: self.accounts,
            sellers: sellers.collect(),
            total: Total {
                calls: self.calls,
                invocations: sum.invocations,
                refused: self.refused.clone(),
                gb_seconds: sum.gb_seconds(),
                paid: sum.paid(),
                mean_price: sum.mean_price(),
            },
            alone: listed
                .map(|(seller, cost)| Alone {
                    provider: seller.name.to_owned(),
                    cost: balance(*cost),
                    saving_percent: saving_percent(sum.picodollars, *cost),
                })
                .collect(),
            commands: self.commands,
            balance_sum: self.engine.balance_sum(),
            open_leases: self.engine.open_leases().count(),
            digest: format!("{:032x}", self.engine.digest()),
        }
    }
}

/// Returns the usage of a warm call that is busy throughout, without billed egress.
fn usage(wall_us: u64) -> Usage {
    Usage { wall_us, cpu_us: wall_us, cold_us: 0, egress_bytes: 0 }
}
