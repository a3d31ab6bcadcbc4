//! The engine against its naive twin: after every random command, the same answer and the same market.
//!
//! `MERIT_COMMANDS` says how many commands, `MERIT_SEED` the seed of the first world; a failure names both the seed
//! of its world and the command.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod agreement;
mod naive;
mod random;

use agreement::{Invariants, Seen, Told, compare, compare_quotes, facts, without_messages};
use merit_engine::{Command, Engine};
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

fn run(seed: u64, commands: u64, seen: &mut Seen) {
    let (mut world, mut engine, mut twin) = (World::new(seed), Engine::new(), Twin::new());
    let (mut told, mut invariants) = (Told::default(), Invariants::default());
    let mut place = Place { seed, number: 0 };
    for number in 1..=commands {
        place.number = number;
        let (clock, command) = world.next(&engine);
        if clock < engine.last_at() {
            seen.see("clock back");
        }
        if let Command::Acquire(bid) = &command
            && number % 4 == 0
            && let Some(quote) = compare_quotes(&engine, &twin, bid)
        {
            seen.note_quote(&quote);
        }
        invariants.look(&engine, &command);
        let mut events = Vec::new();
        let applied = engine.apply(clock, &command, &mut events);
        seen.note(&engine, &twin, &command, &applied, &events);
        let expected = twin.apply(clock, &command);
        assert_eq!(without_messages(applied.clone()), expected, "{command:?} at {clock}");
        assert_eq!(facts(&events), facts(&twin.events), "{command:?} at {clock}");
        told.hear(&events);
        invariants.check(&engine, &twin, &command, &applied, &events);
        if number % COMPARED_EVERY == 0 || number == commands {
            compare(&engine, &twin, &told);
        }
        seen.note_state(&engine, &applied, &twin);
        world.observe(&command, &applied);
    }
    assert!(invariants.within_budget > 0, "no budget was ever drawn on");
}
