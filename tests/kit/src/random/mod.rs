//! A world of random commands from one seed: plausible ones in the main, and every kind of nonsense.
//!
//! It looks at the engine only to name sessions, open leases and resting bids, and judges nothing.

mod bids;
mod definitions;
mod ends;
mod operator;
mod sellers;

use std::collections::{BTreeMap, VecDeque};

use merit_engine::{Applied, Command, Engine, Lease, LeaseTerms, Reply};
use merit_terms::{AccountId, LeaseId, MarketId, Money, Period, ProviderId, Rung, Time};
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;

/// Numbers that differ from world to world.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    pub providers: u32,
    /// Number of function names of each account.
    pub names: u32,
    /// Of this many commands that define something or begin a run, one does.
    pub begins: u32,
}

/// Few providers, so that each meets everything.
impl Default for Size {
    fn default() -> Size {
        Size { providers: 8, names: 3, begins: 1 }
    }
}

pub struct World {
    size: Size,
    chance: Pcg64,
    now_us: u64,
    opening: VecDeque<Command>,
    closed: VecDeque<LeaseId>,
    /// The latest grants.
    grants: VecDeque<LeaseTerms>,
    /// Leases that a crash may have forgotten.
    forgotten: VecDeque<LeaseTerms>,
    /// Each run, and the sequence of its start.
    starts: Vec<(u32, u64)>,
    /// The latest ladder of each provider in each market.
    ladders: BTreeMap<(ProviderId, MarketId), Vec<Rung>>,
    /// Owner of each function.
    owners: Vec<AccountId>,
    quote_number: u64,
    request_number: u64,
    runs: u32,
    step: u64,
}

const ACCOUNTS: u32 = 6;
const MARKETS: u32 = 4;
const REMEMBERED: usize = 64;
const SECOND_US: u64 = 1_000_000;

fn remember<T>(what: T, in_list: &mut VecDeque<T>) {
    in_list.push_back(what);
    if in_list.len() > REMEMBERED {
        in_list.pop_front();
    }
}

impl World {
    pub fn new(seed: u64, size: Size) -> World {
        let mut world = World {
            size,
            chance: Pcg64::seed_from_u64(seed),
            now_us: 1_700_000_000_000_000,
            opening: VecDeque::new(),
            closed: VecDeque::new(),
            grants: VecDeque::new(),
            forgotten: VecDeque::new(),
            starts: Vec::new(),
            ladders: BTreeMap::new(),
            owners: Vec::new(),
            quote_number: 0,
            request_number: 0,
            runs: 0,
            step: 0,
        };
        world.opening = world.definitions();
        world
    }

    /// Returns the next command, and the clock when it arrives.
    pub fn next(&mut self, engine: &Engine) -> (Time, Command) {
        let command = self.opening.pop_front();
        let command = command.unwrap_or_else(|| self.command(engine));
        (self.clock(), command)
    }

    /// Notes the reply to the last command, so that later ones can name the new ids.
    pub fn observe(&mut self, command: &Command, applied: &Applied) {
        match (command, &applied.reply) {
            (_, Ok(Reply::Granted(grant))) => remember(grant.terms.clone(), &mut self.grants),
            (Command::PutFunction(put), Ok(Reply::Function { function, .. }))
                if function.index() == self.owners.len() =>
            {
                self.owners.push(put.account);
            }
            (Command::Quote(quote), Ok(_)) => {
                self.ladders.insert((quote.provider, quote.market), quote.rungs.clone());
            }
            (Command::Start { run }, Ok(_)) => self.starts.extend(applied.sequence.map(|sequence| (*run, sequence))),
            (Command::Settle(settle), Ok(_)) => remember(settle.lease, &mut self.closed),
            (Command::Release { lease, .. } | Command::CloseLease { lease }, Ok(_)) => {
                remember(*lease, &mut self.closed);
            }
            _ => {}
        }
    }

    /// Moves the clock: mostly by a few milliseconds; sometimes back, past the timeouts, past everything, or past
    /// midnight.
    fn clock(&mut self) -> Time {
        let step_us = match self.chance.random_range(0..10_000) {
            0..4 => self.chance.random_range(600 * SECOND_US..900 * SECOND_US),
            4 => self.chance.random_range(3_600 * SECOND_US..7_200 * SECOND_US),
            5..13 => self.until_next(Period::Day),
            13 => self.until_next(Period::Month),
            14..30 => self.chance.random_range(SECOND_US..30 * SECOND_US),
            30..5_000 => 0,
            _ if self.is_rush() => 10,
            _ => self.chance.random_range(0..60_000),
        };
        self.now_us += step_us;
        let back_us = if self.one_in(50) { self.chance.random_range(0..30 * SECOND_US) } else { 0 };
        Time::from_micros(self.now_us - back_us)
    }

    /// Returns the time until a second before the next day or month, in microseconds.
    fn until_next(&mut self, period: Period) -> u64 {
        let next = Time::start_of(period, self.now().period(period) + 1);
        (next.micros() - self.now_us).saturating_sub(SECOND_US)
    }

    fn now(&self) -> Time {
        Time::from_micros(self.now_us)
    }

    /// Returns a time a few seconds from now, one of these.
    fn soon(&mut self, seconds: &[u64]) -> Time {
        let seconds = self.one_of(seconds);
        self.now().after_millis(seconds * 1_000)
    }

    /// Returns whether it is a rush: everybody calls and nobody settles, so that many deadlines come at once.
    fn is_rush(&self) -> bool {
        self.step % 2_500 < 400
    }

    /// Returns whether many bids are to rest that nobody can serve, so that a sweep takes several commands.
    fn is_hoard(&self) -> bool {
        (1_000..1_160).contains(&(self.step % 5_000))
    }

    fn command(&mut self, engine: &Engine) -> Command {
        self.step += 1;
        if self.is_hoard() && self.one_in(2) {
            return self.hoard(engine);
        }
        // Sessions that a new run has ended come back soon.
        let is_on = |(_, provider): &(ProviderId, &merit_engine::Provider)| provider.online;
        if engine.providers().filter(is_on).count() < self.size.providers as usize / 2 && self.one_in(4) {
            return self.logon_again(engine);
        }
        if engine.brokers().iter().all(|(_, online)| !online) && self.one_in(8) {
            return self.broker_session(engine);
        }
        match self.chance.random_range(0..1_000) {
            0..330 => self.acquire(engine),
            330..385 => self.defer(engine),
            385..600 if self.is_rush() => self.acquire(engine),
            385..600 => self.settle(engine),
            600..680 => self.end(engine),
            680..690 => self.cancel_bid(engine),
            690..885 => self.sell(engine),
            885..896 => self.broker_session(engine),
            896..925 => Command::Tick,
            925..975 => self.operate(engine),
            975..982 => self.settle_forgotten(engine),
            982..998 if self.one_in(self.size.begins) => self.define(),
            998 if self.one_in(self.size.begins) => self.start(),
            982..998 => Command::Tick,
            998 => Command::BindMasterKey { check: self.chance.random_range(0..4) },
            _ => self.activate(),
        }
    }

    fn start(&mut self) -> Command {
        self.runs += self.chance.random_range(0..3);
        Command::Start { run: self.runs }
    }

    /// Activates rules that are unknown, or hold already.
    fn activate(&mut self) -> Command {
        Command::ActivateRules { version: self.chance.random_range(0..4) }
    }

    fn one_in(&mut self, cases: u32) -> bool {
        self.chance.random_ratio(1, cases)
    }

    fn one_of<T: Copy>(&mut self, values: &[T]) -> T {
        *values.choose(&mut self.chance).unwrap()
    }

    fn money(&mut self, most_picodollars: u64) -> Money {
        Money::from_picodollars(self.chance.random_range(0..most_picodollars)).unwrap()
    }

    /// Draws an account; sometimes one that does not exist.
    fn account(&mut self) -> AccountId {
        AccountId::new(self.chance.random_range(0..ACCOUNTS + 7))
    }

    fn provider(&mut self) -> ProviderId {
        let beyond = if self.one_in(20) { 3 } else { 0 };
        ProviderId::new(self.chance.random_range(0..self.size.providers + beyond))
    }

    fn market(&mut self) -> MarketId {
        MarketId::new(if self.one_in(100) { MARKETS } else { self.chance.random_range(0..MARKETS) })
    }

    /// Draws a provider with its session, or with a stale one.
    fn session(&mut self, engine: &Engine) -> (ProviderId, u32) {
        let provider = self.provider();
        let session = engine.provider(provider).map_or(1, |provider| provider.session);
        (provider, if self.one_in(30) { session.saturating_sub(1) } else { session })
    }

    fn open_lease(&mut self, engine: &Engine, is_meant: impl Fn(&Lease) -> bool) -> Option<Lease> {
        let open: Vec<&Lease> = engine.open_leases().filter(|lease| is_meant(lease)).collect();
        open.choose(&mut self.chance).map(|lease| (*lease).clone())
    }

    /// Draws a lease: mostly an open one; sometimes a closed or forgotten one, or one that never was.
    fn lease(&mut self, engine: &Engine) -> LeaseId {
        let never = LeaseId { run: self.runs, sequence: self.chance.random_range(0..1_000_000) };
        let open = self.open_lease(engine, |_| true).map_or(never, |lease| lease.id);
        match self.chance.random_range(0..100) {
            0 => never,
            1 => LeaseId { run: open.run + 1, ..open },
            2 => self.forgotten.back().map_or(never, |terms| terms.lease),
            3..8 => self.closed.get(self.chance.random_range(0..REMEMBERED)).copied().unwrap_or(never),
            _ => open,
        }
    }
}
