//! The engine against its naive twin: after every random command, the same answer and the same market.
//!
//! `MERIT_COMMANDS` is the number of commands, `MERIT_SEED` the seed of the first world. A failure names the seed of
//! its world and the command: a run with those two ends at that command.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod agreement;
mod naive;

use agreement::{Awake, Copies, Invariants, Seen, Told, compare, compare_quotes, same, same_facts, without_messages};
use merit_engine::{Command, Engine};
use merit_kit::random::{Size, World};
use merit_terms::Time;
use naive::Twin;

/// Commands of one world; each starts empty, so that a failure is found again quickly.
const COMMANDS_PER_WORLD: u64 = 20_000;
const COMMANDS: u64 = 60_000;
const SEED: u64 = 1;
/// Commands between two comparisons of everything visible; the last commands are compared one by one.
const COMPARED_EVERY: u64 = 97;

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

/// Names seed and command when a comparison panics.
struct Place {
    seed: u64,
    number: u64,
    command: Option<(Time, Command)>,
}

impl Drop for Place {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("MERIT_SEED={} MERIT_COMMANDS={}: {:?}", self.seed, self.number, self.command);
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
    println!("{commands} commands from seed {seed}: {:?}", seen.counts);
    if commands >= COMMANDS {
        seen.check();
    }
}

fn run(seed: u64, commands: u64, seen: &mut Seen) {
    let (mut world, mut engine, mut twin) = (World::new(seed, Size::default()), Engine::new(), Twin::new());
    let (mut told, mut invariants) = (Told::default(), Invariants::default());
    let (mut awake, mut copies) = (Awake::default(), Copies::new());
    let mut place = Place { seed, number: 0, command: None };
    for number in 1..=commands {
        place.number = number;
        let (clock, command) = world.next(&engine);
        place.command = Some((clock, command.clone()));
        if clock < engine.last_at() {
            seen.see("clock back");
        }
        if let Command::Acquire(bid) = &command
            && number % 4 == 0
            && let Some(quote) = compare_quotes(&engine, &twin, bid)
        {
            seen.note_quote(&quote);
        }
        invariants.look(&engine, clock, &command);
        let mut events = Vec::new();
        let applied = engine.apply(clock, &command, &mut events);
        seen.note(&engine, &twin, &command, &applied, &events);
        let expected = twin.apply(clock, &command);
        same(&format!("{command:?} at {clock}"), &without_messages(applied.clone()), &expected);
        same_facts(&format!("{command:?} at {clock}"), &events, &twin.events);
        told.hear(&events);
        copies.follow(clock, &command, &applied, &events);
        invariants.check(&engine, &twin, &command, &applied, &events);
        if number % COMPARED_EVERY == 0 || number + COMPARED_EVERY > commands {
            compare(&engine, &twin, &told);
            copies.check(&engine);
        }
        awake.check(&twin);
        seen.note_state(&engine, &applied, &twin);
        world.observe(&command, &applied);
    }
    assert!(invariants.within_budget > 0, "no budget was ever drawn on");
}
