//! The engine against its naive twin: after every random command, the same answer and the same market.
//!
//! `MERIT_COMMANDS` says how many commands, `MERIT_SEED` the seed of the first world; a failure names both the seed
//! of its world and the command.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod agreement;
mod naive;
mod random;

use std::collections::BTreeMap;

use agreement::{Told, compare, compare_quotes, without_messages};
use merit_engine::{Applied, Command, Engine, Event, Lease, Reply};
use merit_terms::{AccountId, OfferId};
use naive::Twin;
use random::World;

/// Each world starts empty, so that a failure is found again quickly.
const COMMANDS_PER_WORLD: u64 = 20_000;
const COMMANDS: u64 = 60_000;
const SEED: u64 = 1;
/// How often everything visible is compared.
const COMPARED_EVERY: u64 = 97;

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

/// Names the place when a comparison panics.
struct Place {
    seed: u64,
    number: u64,
}

impl Drop for Place {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("MERIT_SEED={} MERIT_COMMANDS={}", self.seed, self.number);
        }
    }
}

#[test]
fn answers_as_its_naive_twin_after_every_command() {
    let (seed, commands) = (setting("MERIT_SEED", SEED), setting("MERIT_COMMANDS", COMMANDS));
    let mut seen = Seen::default();
    for world in 0..commands.div_ceil(COMMANDS_PER_WORLD) {
        let left = commands - world * COMMANDS_PER_WORLD;
        run(seed + world, left.min(COMMANDS_PER_WORLD), &mut seen);
    }
    println!("{commands} commands from seed {seed}: {seen:?}");
    if commands >= COMMANDS {
        seen.check();
    }
}

/// What the random commands reached; a test that never grants or never expires would prove nothing.
#[derive(Debug, Default)]
struct Seen {
    answers: BTreeMap<&'static str, u64>,
    cut_timeouts: u64,
    on_prior: u64,
    own: u64,
    overdue: u64,
    over_64_due: u64,
    late_settlements: u64,
    pools_oversold: u64,
    went_back: u64,
}

impl Seen {
    fn check(&self) {
        let codes = [
            "granted",
            "settled",
            "done",
            "not_found",
            "already_exists",
            "invalid",
            "not_in_session",
            "stale_quote",
            "max_concurrency",
            "insufficient_funds",
            "no_capacity",
            "no_eligible_provider",
            "closed",
        ];
        for code in codes {
            assert!(self.answers.contains_key(code), "no command was answered `{code}`");
        }
        let reached = [
            self.cut_timeouts,
            self.on_prior,
            self.own,
            self.overdue,
            self.over_64_due,
            self.late_settlements,
            self.pools_oversold,
            self.went_back,
        ];
        assert!(reached.iter().all(|count| *count > 0), "{self:?}");
    }

    fn note(&mut self, applied: &Applied, engine: &Engine) {
        let code = match &applied.reply {
            Ok(Reply::Granted(_)) => "granted",
            Ok(Reply::Settled(_)) => "settled",
            Ok(_) => "done",
            Err(refusal) => refusal.code(),
        };
        *self.answers.entry(code).or_default() += 1;
        self.over_64_due += u64::from(engine.next_due().is_some_and(|due| due <= applied.at));
    }
}

fn run(seed: u64, commands: u64, seen: &mut Seen) {
    let (mut world, mut engine, mut twin) = (World::new(seed), Engine::new(), Twin::new());
    let mut told = Told::default();
    let mut place = Place { seed, number: 0 };
    for number in 1..=commands {
        place.number = number;
        let (clock, command) = world.next(&engine);
        seen.went_back += u64::from(clock < engine.last_at());
        if let Command::Acquire(bid) = &command
            && number % 4 == 0
        {
            compare_quotes(&engine, &twin, bid);
        }
        let before = Before::of(&engine, &command);
        let mut events = Vec::new();
        let applied = engine.apply(clock, &command, &mut events);
        let expected = twin.apply(clock, &command);
        assert_eq!(without_messages(applied.clone()), expected, "{command:?} at {clock}");
        told.hear(&events);
        if let Ok(Reply::Granted(_)) = &applied.reply {
            check_grant(&engine, &command, &before, &events, seen);
        }
        seen.late_settlements += u64::from(before.overdue && matches!(applied.reply, Ok(Reply::Settled(_))));
        seen.note(&applied, &engine);
        check_invariants(&engine, &twin);
        if number % COMPARED_EVERY == 0 || number == commands {
            compare(&engine, &twin, &told);
            seen.overdue += engine.open_leases().filter(|lease| lease.capacity_until <= applied.at).count() as u64;
            let oversold = |id| engine.pools(id).iter().any(|pool| pool.leased_mb > pool.size.memory_mb);
            seen.pools_oversold += engine.providers().filter(|(id, _)| oversold(*id)).count() as u64;
        }
        world.observe(&command, &applied);
    }
}

/// What a grant or a late settlement is judged by.
#[derive(Default)]
struct Before {
    free_mb: BTreeMap<OfferId, u64>,
    available: i128,
    overdue: bool,
}

impl Before {
    fn of(engine: &Engine, command: &Command) -> Before {
        match command {
            Command::Acquire(bid) => {
                let books = engine.markets().flat_map(|(market, _)| engine.book(market));
                let free_mb = books.map(|offer| (offer.offer, offer.free_mb)).collect();
                Before { free_mb, available: available(engine, bid.account), overdue: false }
            }
            Command::Settle(settle) => {
                let mut open = engine.open_leases();
                let lease = open.find(|lease| lease.id == settle.lease);
                let overdue = lease.is_some_and(|lease| lease.capacity_until <= engine.last_at());
                Before { overdue, ..Before::default() }
            }
            _ => Before::default(),
        }
    }
}

fn available(engine: &Engine, account: AccountId) -> i128 {
    engine.account(account).map_or(0, |account| account.balance.picodollars() - account.held as i128)
}

/// A match takes what was free and holds what was available, and its worst case stays within the max cost.
fn check_grant(engine: &Engine, command: &Command, before: &Before, events: &[Event], seen: &mut Seen) {
    let Command::Acquire(bid) = command else { panic!("only a bid is granted a lease") };
    let granted = events.iter().find_map(|event| match event {
        Event::Granted(lease) => Some(lease),
        _ => None,
    });
    let lease: &Lease = granted.expect("a grant is an event");
    let expired_before = !matches!(events.first(), Some(Event::Granted(_)));
    assert!(expired_before || before.free_mb[&lease.offer] >= u64::from(lease.memory_mb), "{lease:?}");
    assert!(expired_before || before.available >= i128::from(lease.hold.picodollars()), "{lease:?}");
    let function = engine.function(lease.function).unwrap();
    let worst = |ms| lease.tariff.worst_case(lease.memory_mb, lease.vcpus_milli, ms, bid.answer_limit_bytes);
    let asked_ms = function.revision(lease.revision).unwrap().code.timeout_ms;
    if let Some(max_cost) = bid.limits.max_cost.into_iter().chain(function.settings.limits.max_cost).min() {
        assert!(worst(lease.timeout_ms) <= max_cost, "{lease:?}");
        assert!(lease.timeout_ms == asked_ms || worst(lease.timeout_ms + 1) > max_cost, "{lease:?}");
    }
    seen.cut_timeouts += u64::from(lease.timeout_ms < asked_ms);
    seen.on_prior += u64::from(lease.on_prior);
    seen.own += u64::from(lease.hold.picodollars() == 0);
}

/// Money is conserved, holds are those of the open leases and covered, pools count what runs in them.
fn check_invariants(engine: &Engine, twin: &Twin) {
    assert_eq!(engine.balance_sum().picodollars(), 0);
    let mut held: BTreeMap<AccountId, u128> = BTreeMap::new();
    for lease in engine.open_leases() {
        *held.entry(lease.account).or_default() += u128::from(lease.hold.picodollars());
    }
    for (id, account) in engine.accounts() {
        assert_eq!(account.held, held.get(&id).copied().unwrap_or(0), "{account:?}");
        assert!(id == merit_engine::OUTSIDE || available(engine, id) >= 0, "{account:?}");
    }
    for (id, _) in engine.providers() {
        assert_eq!(engine.pools(id), twin.pools(id), "{id:?}");
    }
}
