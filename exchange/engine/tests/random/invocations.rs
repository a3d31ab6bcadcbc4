//! Random bids with their limits, and random ends of leases.

use merit_engine::{Bid, Command, Qualifier, Settle};
use merit_terms::{AccountId, Execution, Limits, Money, Name, Outcome, Usage};
use rand::RngExt;
use rand::seq::IndexedRandom;

use super::definitions::price;
use super::{ACCOUNTS, PROVIDERS, World};

impl World {
    pub(super) fn acquire(&mut self) -> Command {
        let qualifier = match self.chance.random_range(0..20) {
            0 => Qualifier::Revision(self.chance.random_range(0..4)),
            1 => Qualifier::Alias(["live", "blue", "red"].choose(&mut self.chance).unwrap().parse().unwrap()),
            _ => Qualifier::Live,
        };
        let function = self.function();
        let tried = if self.one_in(10) { vec![self.provider(), self.provider()] } else { Vec::new() };
        Command::Acquire(Box::new(Bid {
            account: if self.one_in(100) { self.account() } else { self.owner(function) },
            function,
            qualifier,
            answer_limit_bytes: *[0, 6 << 20].choose(&mut self.chance).unwrap(),
            limits: if self.one_in(3) { self.limits() } else { Limits::default() },
            invocation: if tried.is_empty() { None } else { Some(self.lease()) },
            tried,
        }))
    }

    /// Each list is asked now and then; together they are seldom met.
    pub(super) fn limits(&mut self) -> Limits {
        let mut limits = Limits::default();
        if self.one_in(3) {
            limits.max_cost = Money::from_picodollars(self.chance.random_range(0..4_000_000));
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
            limits.markets =
                vec![["*/wasm", "us-*/*", "eu-west/wasm"].choose(&mut self.chance).unwrap().parse().unwrap()];
        }
        if self.one_in(5) {
            limits.labels = vec![("residency".to_owned(), "eu".to_owned())];
        }
        if self.one_in(200) {
            limits.ignore = vec![self.provider_name(); Limits::MAX_ENTRIES + 1];
        }
        limits
    }

    fn provider_name(&mut self) -> Name {
        format!("provider{}", self.chance.random_range(0..PROVIDERS)).parse().unwrap()
    }

    pub(super) fn settle(&mut self) -> Command {
        let execution = match self.chance.random_range(0..20) {
            0 => Execution::NotSent,
            1 | 2 => Execution::Unknown,
            _ => Execution::Executed,
        };
        let lease = self.lease();
        // Providers differ in speed only by chance here; what counts is that their histories differ.
        let wall_us = 20_000 << self.chance.random_range(0..5);
        let wall_us = wall_us + self.chance.random_range(0..wall_us / 4);
        let reported = match self.chance.random_range(0..20) {
            0 | 1 => None,
            2 => Some(Usage { wall_us: u64::MAX / 2, cpu_us: u64::MAX, cold_us: u64::MAX / 2, egress_bytes: u64::MAX }),
            3 => Some(Usage::default()),
            _ => Some(Usage {
                wall_us,
                cpu_us: wall_us / self.chance.random_range(1..8),
                cold_us: if self.one_in(4) { 30_000 } else { 0 },
                egress_bytes: 0,
            }),
        };
        Command::Settle(Settle {
            lease,
            execution,
            outcome: if self.one_in(6) { *Outcome::ALL.choose(&mut self.chance).unwrap() } else { Outcome::Ok },
            reported,
            observed_us: if self.one_in(20) { u64::MAX } else { wall_us + self.chance.random_range(0..5_000) },
            egress_bytes: if self.one_in(20) { u64::MAX } else { self.chance.random_range(0..100_000) },
        })
    }

    /// The account whose function it is, as the world learned from the answers.
    fn owner(&mut self, function: merit_terms::FunctionId) -> AccountId {
        self.owners.get(function.index()).copied().unwrap_or(AccountId::new(ACCOUNTS))
    }
}
