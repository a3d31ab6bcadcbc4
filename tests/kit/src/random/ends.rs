//! Random ends of leases: taken up, claimed, settled, released, closed, and settled after a crash forgot them.

use merit_engine::{Command, Engine, Forgotten, LeaseState, LeaseTerms, NotSent, Settle};
use merit_terms::{AccountId, Execution, FunctionId, LeaseId, MarketId, Outcome, ProviderId, Usage};
use rand::RngExt;
use rand::seq::IndexedRandom;

use super::{ACCOUNTS, World, remember};

impl World {
    pub(super) fn end(&mut self, engine: &Engine) -> Command {
        match self.chance.random_range(0..80) {
            0..25 => {
                let warming = NotSent::Warming { retry_after_s: self.chance.random_range(0..900) };
                let why = [NotSent::Withdrawn, NotSent::Busy, NotSent::Replaced, warming];
                let lease = self.lease(engine);
                let why = if self.is_sick(engine, lease) { NotSent::Failed } else { self.one_of(&why) };
                Command::Release { lease, why }
            }
            25..52 => {
                let offered = self.open_lease(engine, |lease| lease.state == LeaseState::Offered);
                let any = self.lease(engine);
                Command::TakeUp { lease: offered.filter(|_| !self.one_in(10)).map_or(any, |lease| lease.id) }
            }
            52..77 => {
                let unknown = self.open_lease(engine, |lease| lease.state == LeaseState::Unknown);
                let any = self.lease(engine);
                let lease = unknown.filter(|_| !self.one_in(4)).map_or(any, |lease| lease.id);
                Command::Claim { lease, usage: self.usage() }
            }
            _ => Command::CloseLease { lease: self.lease(engine) },
        }
    }

    /// Returns whether the call fails: one provider at a time fails nearly all of its calls, long enough for several
    /// functions to agree.
    fn is_sick(&mut self, engine: &Engine, id: LeaseId) -> bool {
        let sick = ProviderId::new((self.step / 3_000) as u32 % self.size.providers);
        let is_its = engine.open_leases().any(|lease| lease.id == id && lease.provider == sick);
        if is_its { self.chance.random_ratio(19, 20) } else { self.one_in(50) }
    }

    /// Draws a usage. Providers differ in speed only by chance here, which is enough to give them different histories.
    fn usage(&mut self) -> Usage {
        let wall_us = 20_000 << self.chance.random_range(0..5);
        let wall_us = wall_us + self.chance.random_range(0..wall_us / 4);
        match self.chance.random_range(0..20) {
            0 => Usage { wall_us: u64::MAX / 2, cpu_us: u64::MAX, cold_us: u64::MAX / 2, egress_bytes: u64::MAX },
            1 => Usage::default(),
            _ => Usage {
                wall_us,
                cpu_us: wall_us / self.chance.random_range(1..8),
                cold_us: if self.one_in(4) { self.chance.random_range(0..60_000) } else { 0 },
                egress_bytes: 0,
            },
        }
    }

    pub(super) fn settle(&mut self, engine: &Engine) -> Command {
        let lease = self.lease(engine);
        Command::Settle(self.settle_of(engine, lease))
    }

    fn settle_of(&mut self, engine: &Engine, lease: LeaseId) -> Settle {
        let is_sick = self.is_sick(engine, lease);
        let execution = match self.chance.random_range(0..20) {
            _ if is_sick && !self.one_in(8) => Execution::Unknown,
            0 => Execution::NotSent,
            1..4 => Execution::Unknown,
            _ => Execution::Executed,
        };
        let usage = self.usage();
        let observed_us =
            usage.wall_us.saturating_add(usage.cold_us).saturating_add(self.chance.random_range(0..5_000));
        Settle {
            lease,
            execution,
            outcome: if self.one_in(6) { self.one_of(&Outcome::ALL) } else { Outcome::Ok },
            reported: if self.one_in(10) { None } else { Some(usage) },
            observed_us: if self.one_in(20) { u64::MAX } else { observed_us },
            egress_bytes: if self.one_in(20) { u64::MAX } else { self.chance.random_range(0..100_000) },
            fault: is_sick,
            server_error: execution == Execution::Executed && self.one_in(8),
            given_up: execution == Execution::Unknown && self.one_in(3),
        }
    }

    /// Settles a lease of an ended run from about the time of the crash; mostly a new one, on terms like those of
    /// others.
    pub(super) fn settle_forgotten(&mut self, engine: &Engine) -> Command {
        let again = self.forgotten.get(self.chance.random_range(0..8)).cloned();
        let terms = match again.filter(|_| self.one_in(3)) {
            Some(terms) => terms,
            None => match self.forget() {
                Some(terms) => terms,
                None => return Command::Tick,
            },
        };
        let mut settle = self.settle_of(engine, terms.lease);
        match self.chance.random_range(0..20) {
            0 => settle.lease = self.lease(engine),
            1 | 2 => return Command::Settle(settle),
            3 => return Command::Release { lease: terms.lease, why: NotSent::Withdrawn },
            _ => {}
        }
        Command::SettleForgotten(Box::new(Forgotten { terms, settle }))
    }

    fn forget(&mut self) -> Option<LeaseTerms> {
        let (run, sequence) = self.starts.choose(&mut self.chance).copied()?;
        let like = self.grants.back()?.clone();
        let lease = LeaseId {
            run: run.saturating_sub(self.one_of(&[1, 1, 1, 0])),
            sequence: sequence + self.chance.random_range(0..50) - u64::from(self.one_in(20)),
        };
        let settle_by = self.soon(&[1, 60, 600, 600]);
        let account = AccountId::new(3 + self.chance.random_range(0..ACCOUNTS + 2));
        let mut terms = LeaseTerms { lease, invocation: lease, account, settle_by, ..like };
        match self.chance.random_range(0..60) {
            0 => terms.account = AccountId::new(99),
            1 => terms.function = FunctionId::new(99),
            2 => terms.provider = ProviderId::new(99),
            3 => terms.market = MarketId::new(99),
            4 => terms.revision = 99,
            _ => {}
        }
        remember(terms.clone(), &mut self.forgotten);
        Some(terms)
    }
}
