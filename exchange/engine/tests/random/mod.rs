//! A world of random commands from one seed: plausible ones in the main, and every kind of nonsense.
//!
//! Looks at the engine only to name sessions that are on; judges nothing.

mod definitions;
mod invocations;

use std::collections::VecDeque;

use merit_engine::{Applied, Command, Engine, Reply};
use merit_terms::{AccountId, LeaseId, MarketId, Money, ProviderId, Time};
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;

pub(crate) struct World {
    chance: Pcg64,
    now_us: u64,
    opening: VecDeque<Command>,
    /// Granted and, as far as is known, not closed.
    running: Vec<LeaseId>,
    closed: VecDeque<LeaseId>,
    /// Whose each function is.
    owners: Vec<AccountId>,
    quote_number: u64,
    runs: u32,
    step: u64,
}

const ACCOUNTS: u32 = 6;
const PROVIDERS: u32 = 8;
const MARKETS: u32 = 4;
const FUNCTIONS: u32 = 15;
const REMEMBERED: usize = 64;

impl World {
    pub(crate) fn new(seed: u64) -> World {
        let mut world = World {
            chance: Pcg64::seed_from_u64(seed),
            now_us: 1_700_000_000_000_000,
            opening: VecDeque::new(),
            running: Vec::new(),
            closed: VecDeque::new(),
            owners: Vec::new(),
            quote_number: 0,
            runs: 0,
            step: 0,
        };
        world.opening = world.definitions();
        world
    }

    /// The next command, and the clock when it arrives.
    pub(crate) fn next(&mut self, engine: &Engine) -> (Time, Command) {
        let command = self.opening.pop_front();
        let command = command.unwrap_or_else(|| self.command(engine));
        (self.clock(), command)
    }

    /// What became of the last command, so that leases can be settled.
    pub(crate) fn observe(&mut self, command: &Command, applied: &Applied) {
        if let Ok(Reply::Granted(grant)) = &applied.reply {
            self.running.push(grant.lease);
        }
        if let (Command::PutFunction(put), Ok(Reply::Function { function, .. })) = (command, &applied.reply)
            && function.index() == self.owners.len()
        {
            self.owners.push(put.account);
        }
        let ended = match command {
            Command::Settle(settle) => Some(settle.lease),
            Command::Release { lease, .. } => Some(*lease),
            _ => None,
        };
        let Some(index) = ended.and_then(|lease| self.running.iter().position(|running| *running == lease)) else {
            return;
        };
        self.closed.push_back(self.running.swap_remove(index));
        if self.closed.len() > REMEMBERED {
            self.closed.pop_front();
        }
    }

    /// Mostly a few milliseconds on; sometimes back, past the timeouts, or past everything.
    fn clock(&mut self) -> Time {
        let step_us = match self.chance.random_range(0..2_000) {
            0 => self.chance.random_range(600_000_000..900_000_000),
            1..5 => self.chance.random_range(1_000_000..30_000_000),
            5..1_000 => 0,
            _ if self.is_rush() => 10,
            _ => self.chance.random_range(0..60_000),
        };
        self.now_us += step_us;
        let back_us = if self.one_in(50) { self.chance.random_range(0..30_000_000) } else { 0 };
        Time::from_micros(self.now_us - back_us)
    }

    /// Now and then everybody calls and nobody settles, so that many deadlines come at once.
    fn is_rush(&self) -> bool {
        self.step % 2_500 < 400
    }

    fn command(&mut self, engine: &Engine) -> Command {
        self.step += 1;
        match self.chance.random_range(0..1_000) {
            0..460 => self.acquire(),
            460..690 if self.is_rush() => self.acquire(),
            460..690 => self.settle(),
            690..715 => Command::Release { lease: self.lease(), busy: self.one_in(3) },
            715..830 => Command::Quote(self.quote(engine)),
            830..860 => self.state_pools(engine),
            860..880 => {
                let (provider, session) = self.session(engine);
                Command::Busy { provider, session, pool: self.chance.random_range(0..4) }
            }
            880..884 => {
                let (provider, session) = self.session(engine);
                Command::CancelAll { provider, session }
            }
            884..888 => {
                let (provider, session) = self.session(engine);
                Command::Disconnect { provider, session }
            }
            888..915 => self.logon(),
            915..916 => {
                self.runs += self.chance.random_range(0..3);
                Command::Start { run: self.runs }
            }
            916..950 => Command::Tick,
            950..970 => Command::Deposit {
                account: self.account(),
                amount: Money::from_picodollars(self.chance.random_range(0..40_000_000)).unwrap(),
            },
            970..973 => Command::SetFee { basis_points: *[0, 250, 10_000, 10_001].choose(&mut self.chance).unwrap() },
            973..983 => self.put_function(),
            983..991 => self.put_alias(),
            991..992 => Command::DeleteFunction { function: self.function() },
            992..994 => self.create_market(),
            994..996 => self.open_account(),
            _ => self.register_provider(),
        }
    }

    fn one_in(&mut self, cases: u32) -> bool {
        self.chance.random_ratio(1, cases)
    }

    /// Sometimes one that does not exist.
    fn account(&mut self) -> AccountId {
        AccountId::new(self.chance.random_range(0..ACCOUNTS + 3))
    }

    fn provider(&mut self) -> ProviderId {
        ProviderId::new(self.chance.random_range(0..PROVIDERS + 1))
    }

    fn market(&mut self) -> MarketId {
        MarketId::new(if self.one_in(100) { MARKETS } else { self.chance.random_range(0..MARKETS) })
    }

    /// A provider with the session it is in, or a stale one.
    fn session(&mut self, engine: &Engine) -> (ProviderId, u32) {
        let provider = self.provider();
        let session = engine.provider(provider).map_or(1, |provider| provider.session);
        (provider, if self.one_in(30) { session.saturating_sub(1) } else { session })
    }

    /// Mostly one that runs; sometimes a closed one, or one that never was.
    fn lease(&mut self) -> LeaseId {
        let never = LeaseId { run: self.runs, sequence: self.chance.random_range(0..1_000_000) };
        match self.chance.random_range(0..100) {
            0 => never,
            1 => {
                let lease = self.running.choose(&mut self.chance).copied().unwrap_or(never);
                LeaseId { run: lease.run + 1, ..lease }
            }
            2..10 => self.closed.get(self.chance.random_range(0..REMEMBERED)).copied().unwrap_or(never),
            _ => self.running.choose(&mut self.chance).copied().unwrap_or(never),
        }
    }
}
