//! Random commands with money in them, from a seed: accounts, sellers, buyers, brokers, and the operator.
//!
//! Reads the engine to name its entities. Never judges a reply; some commands are refused, as in life.

use merit_engine::{
    AccountLimits, AtDeadline, Bid, BrokerRequest, Code, Command, Correction, CorrectionKind, Deferred, Engine,
    FunctionSettings, LeaseState, Logon, NotSent, OUTSIDE, ProviderKind, Quote, Settle,
};
use merit_terms::{
    AccountId, Budget, Execution, FunctionId, LeaseId, Limits, MarketId, Money, Outcome, Period, PoolSize, Price,
    Protection, ProviderId, Quota, Rung, Tariff, Time, Usage,
};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;

use crate::{bid, code, logon, put_function, register, rung, settings, tariff};

const ACCOUNTS: usize = 4;
const MARKETS: usize = 2;
const PROVIDERS: usize = 4;
const FUNCTIONS: usize = 4;

/// The source of random commands.
pub struct Traffic {
    chance: Pcg64,
    now: Time,
    /// Number of the last quote and the last request of a broker; grows.
    number: u64,
}

impl Traffic {
    /// Makes a source of commands from `now` on.
    #[must_use]
    pub fn new(seed: u64, now: Time) -> Traffic {
        Traffic { chance: Pcg64::seed_from_u64(seed ^ 0x7AFF1C), now, number: 0 }
    }

    /// Advances the clock. Returns the time of the next command.
    pub fn clock(&mut self) -> Time {
        let passed_ms = match self.below(200) {
            0 => 700_000,
            1 => 30_000,
            2..12 => 2_000,
            _ => 5,
        };
        self.now = self.now.after_millis(self.chance.random_range(0..=passed_ms));
        self.now
    }

    fn below(&mut self, end: u32) -> u32 {
        self.chance.random_range(0..end)
    }

    fn one_in(&mut self, n: u32) -> bool {
        self.below(n) == 0
    }

    fn pick<T: Clone>(&mut self, among: &[T]) -> Option<T> {
        match among.len() {
            0 => None,
            len => among.get(self.chance.random_range(0..len)).cloned(),
        }
    }

    /// Draws the next command; one that cannot be made yet becomes a tick.
    pub fn next(&mut self, engine: &Engine) -> Command {
        self.number += 1;
        let command = match self.below(100) {
            0..8 => self.money(engine),
            8..12 => self.definition(engine),
            12..16 => self.logon(engine),
            16..36 => self.quote(engine),
            36..58 => self.bid(engine).map(|bid| Command::Acquire(Box::new(bid))),
            58..78 => self.settle(engine),
            78..82 => self.release(engine),
            82..85 => self.session(engine),
            85..88 => self.broker(engine),
            88..92 => self.deferred(engine),
            92..95 => self.take_up(engine),
            95..97 => self.operator(engine),
            _ => None,
        };
        command.unwrap_or(Command::Tick)
    }

    fn money(&mut self, engine: &Engine) -> Option<Command> {
        let users = users(engine);
        let account = self.pick(&users)?;
        let amount = Money::from_picodollars(self.chance.random_range(1..50_000_000_000))?;
        Some(match self.below(6) {
            0 => Command::Payout { account, amount },
            1 => {
                let kind = if self.one_in(2) { CorrectionKind::Refund } else { CorrectionKind::Correction };
                let about = self.lease(engine, |_| true);
                let to = self.pick(&users)?;
                Command::Correct(Box::new(Correction {
                    kind,
                    from: account,
                    to,
                    amount,
                    about,
                    reason: "test".to_owned(),
                }))
            }
            _ => Command::Deposit { account, amount },
        })
    }

    fn definition(&mut self, engine: &Engine) -> Option<Command> {
        let users = users(engine);
        let number = self.number;
        if users.len() < ACCOUNTS {
            return Some(Command::OpenAccount { name: format!("account-{number}").parse().ok()? });
        }
        if engine.markets().count() < MARKETS {
            return Some(Command::CreateMarket { name: format!("market-{number}/wasm").parse().ok()? });
        }
        let account = self.pick(&users)?;
        if engine.providers().count() < PROVIDERS {
            let kind = if self.one_in(4) { ProviderKind::Own } else { ProviderKind::Market };
            let name = format!("provider-{number}").parse().ok()?;
            return Some(Command::RegisterProvider(register(name, account, kind)));
        }
        let functions: Vec<FunctionId> = engine.functions().map(|(id, _)| id).collect();
        let known = self.pick(&functions).filter(|_| functions.len() >= FUNCTIONS).and_then(|id| engine.function(id));
        let (account, name) = match known {
            Some(function) => (function.account, function.name.clone()),
            None => (account, format!("function-{number}").parse().ok()?),
        };
        let code = Code {
            memory_mb: 128 << self.below(3),
            timeout_ms: 1000 * (1 + self.below(5)),
            module: Some([self.below(3) as u8; 32]),
            ..code()
        };
        let amount = Money::from_picodollars(self.chance.random_range(1..200_000_000_000))?;
        let budgets = if self.one_in(3) { vec![Budget { period: Period::Day, amount }] } else { Vec::new() };
        let settings = FunctionSettings {
            max_concurrency: self.one_in(3).then_some(8),
            budgets,
            public_per_second: self.one_in(4).then_some(5),
            logs_off: false,
            ..settings()
        };
        Some(put_function(account, name, code, settings))
    }

    fn logon(&mut self, engine: &Engine) -> Option<Command> {
        let providers: Vec<ProviderId> = engine.providers().map(|(id, _)| id).collect();
        let provider = self.pick(&providers)?;
        let quota = Quota {
            name: "free".parse().ok()?,
            requests: Some(u64::from(self.below(50))),
            energy_mb_ms: None,
            renews: Some(Period::Day),
        };
        let quotas = if self.one_in(2) { vec![quota] } else { Vec::new() };
        let protection = self.one_in(6).then_some(Protection { leases: 20, within_ms: 1000 });
        let pools = vec![self.pool(), self.pool()];
        Some(Command::Logon(Box::new(Logon { quotas, protection, ..logon(provider, pools) })))
    }

    fn pool(&mut self) -> PoolSize {
        PoolSize { memory_mb: u64::from(self.below(8)) * 512, slots: self.below(12) }
    }

    fn quote(&mut self, engine: &Engine) -> Option<Command> {
        let (provider, session) = self.online(engine)?;
        let markets: Vec<MarketId> = engine.markets().map(|(id, _)| id).collect();
        let market = self.pick(&markets)?;
        let has_quota = !engine.quotas(provider).is_empty();
        let count = self.below(4);
        let rungs = (0..count).map(|id| self.rung(id, has_quota)).collect();
        Some(Command::Quote(Quote { provider, session, market, number: self.number, rungs }))
    }

    fn rung(&mut self, id: u32, has_quota: bool) -> Rung {
        let quota = if has_quota && self.one_in(3) { "free".parse().ok() } else { None };
        let rate = if quota.is_some() { 0 } else { self.chance.random_range(1_000_000..40_000_000) };
        let tariff = Tariff {
            per_request: Price::from_picodollars(if quota.is_some() { 0 } else { 200_000 }),
            increment_ms: 1 + self.below(3),
            minimum_ms: self.below(3),
            bills_cold_start: self.one_in(2),
            ..tariff(rate)
        };
        Rung {
            pool: self.below(2),
            capacity_mb: u64::from(self.below(8)) * 512,
            tariff,
            quota,
            expires: self.one_in(4).then_some(self.now.after_millis(1 + u64::from(self.below(60_000)))),
            ..rung(id, rate)
        }
    }

    fn bid(&mut self, engine: &Engine) -> Option<Bid> {
        let functions: Vec<(FunctionId, AccountId)> =
            engine.functions().map(|(id, known)| (id, known.account)).collect();
        let (function, account) = self.pick(&functions)?;
        let request = if self.one_in(2) { self.request(engine) } else { None };
        let max_cost =
            if self.one_in(5) { Money::from_picodollars(self.chance.random_range(1..400_000_000)) } else { None };
        let earlier = if self.one_in(6) { self.lease(engine, |_| true) } else { None };
        let earlier = earlier.and_then(|id| engine.open_leases().find(|lease| lease.id == id));
        let earlier = earlier.filter(|lease| lease.account == account && lease.function == function);
        Some(Bid {
            answer_limit_bytes: 1000,
            limits: Limits { max_cost, ..Limits::default() },
            tried: earlier.map(|lease| lease.provider).into_iter().collect(),
            invocation: earlier.map(|lease| lease.invocation),
            request,
            ..bid(account, function)
        })
    }

    /// Makes a request of a broker that is logged on.
    fn request(&mut self, engine: &Engine) -> Option<BrokerRequest> {
        let sessions: Vec<u64> = engine.brokers().into_iter().filter(|(_, online)| *online).map(|(id, _)| id).collect();
        Some(BrokerRequest { session: self.pick(&sessions)?, number: self.number })
    }

    fn settle(&mut self, engine: &Engine) -> Option<Command> {
        let lease = self.lease(engine, |state| state != LeaseState::Unknown)?;
        let wall_us = self.chance.random_range(1000..3_000_000);
        let usage = Usage { wall_us, cpu_us: wall_us / 2, cold_us: wall_us / 10, egress_bytes: 100 };
        let execution = match self.below(10) {
            0 => Execution::NotSent,
            1 => Execution::Unknown,
            _ => Execution::Executed,
        };
        Some(Command::Settle(Settle {
            lease,
            execution,
            outcome: if self.one_in(8) { Outcome::Trap } else { Outcome::Ok },
            reported: (!self.one_in(5)).then_some(usage),
            observed_us: wall_us,
            egress_bytes: 100,
            fault: execution == Execution::Unknown && self.one_in(2),
            server_error: execution == Execution::Executed && self.one_in(16),
            given_up: execution == Execution::Unknown && self.one_in(2),
        }))
    }

    fn release(&mut self, engine: &Engine) -> Option<Command> {
        let lease = self.lease(engine, |_| true)?;
        Some(match self.below(6) {
            0 => Command::Claim {
                lease,
                usage: Usage { wall_us: 500_000, cpu_us: 400_000, cold_us: 0, egress_bytes: 0 },
            },
            1 => Command::CloseLease { lease },
            2 => Command::Release { lease, why: NotSent::Busy },
            3 => Command::Release { lease, why: NotSent::Failed },
            4 => Command::Release { lease, why: NotSent::Warming { retry_after_s: 7 } },
            _ => Command::Release { lease, why: NotSent::Withdrawn },
        })
    }

    fn session(&mut self, engine: &Engine) -> Option<Command> {
        let (provider, session) = self.online(engine)?;
        Some(match self.below(5) {
            0 => Command::Disconnect { provider, session },
            1 => Command::Logout { provider, session },
            2 => Command::CancelAll { provider, session },
            3 => Command::Busy { provider, session, pool: self.below(2) },
            _ => Command::StatePools { provider, session, pools: vec![self.pool(), self.pool()] },
        })
    }

    fn broker(&mut self, engine: &Engine) -> Option<Command> {
        let sessions = engine.brokers();
        Some(match self.pick(&sessions) {
            Some((session, true)) if self.one_in(3) => Command::BrokerLost { session },
            Some((session, false)) => Command::BrokerLogon { resumes: Some(session) },
            _ => Command::BrokerLogon { resumes: None },
        })
    }

    fn deferred(&mut self, engine: &Engine) -> Option<Command> {
        let mut bid = self.bid(engine)?;
        (bid.tried, bid.invocation) = (Vec::new(), None);
        bid.request = Some(self.request(engine)?);
        bid.limits.max_price = Some(Price::from_picodollars(self.chance.random_range(1_000_000..30_000_000)));
        let deadline = self.now.after_millis(self.chance.random_range(1..600_000));
        let then = if self.one_in(2) { AtDeadline::Market } else { AtDeadline::Expire };
        Some(Command::Defer(Box::new(Deferred { bid, deadline, then })))
    }

    fn take_up(&mut self, engine: &Engine) -> Option<Command> {
        if let Some(lease) = self.lease(engine, |state| state == LeaseState::Offered) {
            return Some(Command::TakeUp { lease });
        }
        let resting: Vec<(LeaseId, AccountId)> =
            engine.resting().map(|resting| (resting.id, resting.deferred.bid.account)).collect();
        let (bid, account) = self.pick(&resting).filter(|_| self.one_in(4))?;
        Some(Command::CancelBid { account, bid })
    }

    fn operator(&mut self, engine: &Engine) -> Option<Command> {
        let account = self.pick(&users(engine))?;
        let frozen = engine.account(account).is_ok_and(|account| account.frozen);
        let credit_limit = Money::from_picodollars(self.chance.random_range(0..20_000_000_000))?;
        Some(match self.below(3) {
            _ if frozen => Command::FreezeAccount { account, frozen: false },
            0 => Command::FreezeAccount { account, frozen: true },
            1 => Command::SetFee { basis_points: self.below(1000) },
            _ => Command::SetAccountLimits {
                account,
                limits: AccountLimits { credit_limit, ..AccountLimits::default() },
            },
        })
    }

    /// Picks a provider with a session.
    fn online(&mut self, engine: &Engine) -> Option<(ProviderId, u32)> {
        let online: Vec<(ProviderId, u32)> =
            engine.providers().filter(|(_, known)| known.online).map(|(id, known)| (id, known.session)).collect();
        self.pick(&online)
    }

    /// Picks an open lease in one of the asked states.
    fn lease(&mut self, engine: &Engine, is_asked: impl Fn(LeaseState) -> bool) -> Option<LeaseId> {
        let open: Vec<LeaseId> =
            engine.open_leases().filter(|lease| is_asked(lease.state)).map(|lease| lease.id).collect();
        self.pick(&open)
    }
}

/// Returns the accounts that are not the exchange's own.
fn users(engine: &Engine) -> Vec<AccountId> {
    let users = engine.accounts().filter(|(id, account)| *id != OUTSIDE && !account.is_system());
    users.map(|(id, _)| id).collect()
}
