//! One trial: the calls of one strategy on the virtual clock, each tried again elsewhere as the broker does.
//!
//! Owns the queue of all that is due. Never computes a figure of the table.

use std::collections::BTreeMap;

use merit_engine::{Command, NotSent, Reply, Settle};
use merit_terms::{Execution, LeaseId, Outcome};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;

use crate::fairness::FairnessError;
use crate::fairness::fates::{Fate, Fates};
use crate::fairness::floor::{FairnessFloor, dearest_bill};
use crate::fairness::strategy::{Arrival, Deed, DeedEnd, FAILING_CALLS, FLAP_US, Strategy, Work};

/// Calls before the strategy begins, one after the other.
const WARM_UP_CALLS: u64 = 100;
const WARM_UP_EVERY_US: u64 = 200_000;
/// Calls under the strategy.
pub(crate) const CALLS: u64 = 1_000;
const EVERY_US: u64 = 100_000;
/// Interval of the calls after it, if the seller becomes honest, and the time for which it may be away.
const LATER_EVERY_US: u64 = 1_000_000;
const AWAY_US: u64 = 3_600_000_000;
/// Calls after the strategy in which the seller may win its share again: two hours of them.
const LATER_CALLS: u64 = 7_200;
/// Most attempts of one call.
const ATTEMPTS_MAX: usize = 8;
/// Time after a timeout at which a lease's capacity returns, in microseconds.
const LEASE_OVER_US: u64 = 5_000_000;
/// Time after which every lease is closed, in microseconds.
const ALL_CLOSED_US: u64 = 1_200_000_000;
/// True usage of a call, and its noise in percent.
const WORK: Work = Work { wall_us: 100_000, cpu_us: 40_000, answer_bytes: 1_000 };
const NOISE_PERCENT: u64 = 5;

enum Due {
    Call,
    End { call: usize, lease: LeaseId, is_tested: bool, began_us: u64, deed: Deed },
    Claim { lease: LeaseId, timeout_us: u64 },
    Leave { by_logout: bool },
    ComeBack,
}

struct Trial {
    floor: FairnessFloor,
    strategy: Strategy,
    chance: Pcg64,
    /// By time, then by order of entry.
    queue: BTreeMap<(u64, u64), Due>,
    entries: u64,
    now_us: u64,
    /// Beginning of the strategy. None: everybody is honest.
    began_us: Option<u64>,
    calls: Vec<Fate>,
    /// Calls that the seller under test got since the strategy began.
    own: u64,
}

/// Runs the trial of a strategy.
pub(crate) fn run(strategy: Strategy, seed: u64) -> Result<Fates, FairnessError> {
    let mut trial = Trial {
        floor: FairnessFloor::open()?,
        strategy,
        chance: Pcg64::seed_from_u64(seed),
        queue: BTreeMap::new(),
        entries: 0,
        now_us: 0,
        began_us: None,
        calls: Vec::new(),
        own: 0,
    };
    trial.call_each(WARM_UP_CALLS, WARM_UP_EVERY_US)?;
    trial.calls.clear();
    let began_us = trial.now_us;
    trial.begin(began_us)?;
    trial.call_each(CALLS, EVERY_US)?;
    let mut honest_from_us = began_us + FAILING_CALLS * EVERY_US;
    let (mut paid, mut earned) = trial.paid();
    if strategy.reforms() {
        honest_from_us += if strategy == Strategy::FailsThenLeaves { AWAY_US } else { 0 };
        trial.call_each(LATER_CALLS, LATER_EVERY_US)?;
    } else {
        trial.pass(ALL_CLOSED_US)?;
        (paid, earned) = trial.paid();
    }
    let later = trial.calls.iter().skip_while(|fate| fate.at_us < honest_from_us).cloned();
    let later = if strategy.reforms() { later.collect() } else { Vec::new() };
    let mut calls = trial.calls;
    calls.truncate(CALLS as usize);
    Ok(Fates { calls, later, honest_from_us, paid, earned, digest: trial.floor.digest() })
}

impl Trial {
    fn paid(&self) -> (u128, u128) {
        (self.floor.paid, self.floor.paid_to_tested)
    }

    /// Begins the strategy.
    fn begin(&mut self, began_us: u64) -> Result<(), FairnessError> {
        self.began_us = Some(began_us);
        (self.floor.paid, self.floor.paid_to_tested) = (0, 0);
        if self.strategy == Strategy::BillsEgress {
            self.floor.bill_egress()?;
        }
        if self.strategy.flaps() {
            let by_logout = self.strategy == Strategy::FlapsByLogout;
            for from_us in (FLAP_US..CALLS * EVERY_US).step_by(2 * FLAP_US as usize) {
                self.enter(began_us + from_us, Due::Leave { by_logout });
                self.enter(began_us + from_us + FLAP_US, Due::ComeBack);
            }
        }
        if self.strategy == Strategy::FailsThenLeaves {
            let from_us = began_us + FAILING_CALLS * EVERY_US;
            self.enter(from_us, Due::Leave { by_logout: false });
            self.enter(from_us + AWAY_US, Due::ComeBack);
        }
        Ok(())
    }

    fn enter(&mut self, at_us: u64, due: Due) {
        self.entries += 1;
        self.queue.insert((at_us, self.entries), due);
    }

    /// Makes calls at an interval, and waits until they have ended.
    fn call_each(&mut self, calls: u64, every_us: u64) -> Result<(), FairnessError> {
        let first_us = self.now_us;
        let last_us = first_us + calls * every_us;
        for call in 0..calls {
            self.enter(first_us + call * every_us, Due::Call);
        }
        let is_open = |due: &Due| matches!(due, Due::End { .. } | Due::Claim { .. });
        while let Some(((at_us, _), _)) = self.queue.first_key_value()
            && (*at_us < last_us || self.queue.values().any(is_open))
        {
            let Some(((at_us, _), due)) = self.queue.pop_first() else { break };
            self.now_us = at_us;
            self.floor.go_to(at_us);
            self.meet(due)?;
        }
        self.now_us = self.now_us.max(last_us);
        Ok(())
    }

    /// Lets time pass.
    fn pass(&mut self, for_us: u64) -> Result<(), FairnessError> {
        self.now_us += for_us;
        self.floor.go_to(self.now_us);
        self.floor.must(Command::Tick).map(drop)
    }

    fn meet(&mut self, due: Due) -> Result<(), FairnessError> {
        match due {
            Due::Call => self.call(),
            Due::End { call, lease, is_tested, began_us, deed } => {
                self.end(call, lease, &deed, is_tested.then_some(began_us))
            }
            Due::Claim { lease, timeout_us } => {
                self.floor.claim(lease, timeout_us);
                Ok(())
            }
            Due::Leave { by_logout } => self.floor.leave(by_logout),
            Due::ComeBack => self.floor.come_back(),
        }
    }

    /// Draws a call and makes its first attempt.
    fn call(&mut self) -> Result<(), FairnessError> {
        let mut noisy = |value: u64| value * self.chance.random_range(100 - NOISE_PERCENT..=100 + NOISE_PERCENT) / 100;
        let work =
            Work { wall_us: noisy(WORK.wall_us), cpu_us: noisy(WORK.cpu_us), answer_bytes: noisy(WORK.answer_bytes) };
        self.calls.push(Fate {
            at_us: self.now_us,
            is_won: false,
            is_answered: false,
            waited_us: 0,
            lost_us: None,
            work,
            tried: Vec::new(),
            invocation: None,
            broken: None,
        });
        self.attempt(self.calls.len() - 1)
    }

    /// Makes the next attempt of a call, or gives it up.
    fn attempt(&mut self, call: usize) -> Result<(), FairnessError> {
        let fate = &self.calls[call];
        let may = fate.tried.len() < ATTEMPTS_MAX;
        let grant = if may { self.floor.acquire(&fate.tried, fate.invocation)? } else { None };
        let Some(grant) = grant else { return self.give_up(call) };
        let terms = grant.terms;
        let is_tested = self.floor.is_tested(terms.provider);
        let timeout_us = u64::from(terms.timeout_ms) * 1000;
        let fate = &mut self.calls[call];
        fate.tried.push(terms.provider);
        fate.invocation.get_or_insert(terms.lease);
        fate.is_won |= is_tested;
        let work = fate.work;
        let deed = match self.began_us.filter(|_| is_tested) {
            Some(began_us) => {
                let own = self.own;
                self.own += 1;
                let since_us = self.now_us - began_us;
                self.strategy.deed(work, Arrival { own, call: call as u64, since_us, timeout_us })
            }
            None => work.answered(),
        };
        let began_us = self.now_us;
        self.enter(began_us + deed.after_us, Due::End { call, lease: terms.lease, is_tested, began_us, deed });
        if deed.claims {
            self.enter(began_us + timeout_us + LEASE_OVER_US, Due::Claim { lease: terms.lease, timeout_us });
        }
        Ok(())
    }

    /// Ends an attempt, and makes the next one if there is no answer. At the seller under test it began at `tested_us`.
    fn end(&mut self, call: usize, lease: LeaseId, deed: &Deed, tested_us: Option<u64>) -> Result<(), FairnessError> {
        let settle = Settle { execution: Execution::Executed, ..ended(lease, deed.after_us) };
        let is_lost = match deed.end {
            DeedEnd::Answered { outcome, reported, bytes } => {
                let settle = Settle { outcome, reported, egress_bytes: bytes, ..settle };
                let Reply::Settled(bill) = self.floor.must(Command::Settle(settle))? else {
                    return Err(FairnessError::Reply);
                };
                let fate = &mut self.calls[call];
                fate.is_answered = outcome == Outcome::Ok;
                fate.waited_us = self.now_us - fate.at_us;
                !fate.is_answered || bill.cost > dearest_bill(&fate.work.usage())
            }
            DeedEnd::NotSent(why) => {
                self.floor.must(Command::Release { lease, why })?;
                if why == NotSent::Busy {
                    self.floor.state_room()?;
                }
                self.attempt(call)?;
                true
            }
            DeedEnd::Broken => {
                let settle = Settle { fault: true, ..ended(lease, deed.after_us) };
                self.floor.must(Command::Settle(settle))?;
                self.calls[call].broken = Some(lease);
                self.attempt(call)?;
                true
            }
        };
        if let Some(began_us) = tested_us.filter(|_| is_lost) {
            self.calls[call].lost_us = Some((began_us, self.now_us));
        }
        Ok(())
    }

    /// Says that no further attempt of a call follows.
    fn give_up(&mut self, call: usize) -> Result<(), FairnessError> {
        let Some(lease) = self.calls[call].broken else { return Ok(()) };
        let settle = Settle { given_up: true, ..ended(lease, 0) };
        self.floor.must(Command::Settle(settle)).map(drop)
    }
}

/// Returns the settle of an attempt without an answer.
fn ended(lease: LeaseId, observed_us: u64) -> Settle {
    Settle {
        lease,
        execution: Execution::Unknown,
        outcome: Outcome::Ok,
        reported: None,
        observed_us,
        egress_bytes: 0,
        fault: false,
        server_error: false,
        given_up: false,
    }
}
