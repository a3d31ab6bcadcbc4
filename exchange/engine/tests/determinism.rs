//! Same commands, same digest: repeated, replayed from the journaled ones, and unchanged by refusals.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use merit_engine::{Applied, Command, Engine, Event};
use merit_kit::random::{Size, World};
use merit_terms::Time;

const COMMANDS: usize = 8_000;

/// A command as it was applied, its reply and its events.
struct Step {
    clock: Time,
    command: Command,
    applied: Applied,
    events: Vec<Event>,
}

/// Returns a live market after `commands` random ones, and its steps.
fn live(seed: u64, commands: usize) -> (Engine, Vec<Step>) {
    let (mut world, mut engine) = (World::new(seed, Size::default()), Engine::new());
    let mut steps = Vec::with_capacity(commands);
    for _ in 0..commands {
        let (clock, command) = world.next(&engine);
        let mut events = Vec::new();
        let applied = engine.apply(clock, &command, &mut events);
        world.observe(&command, &applied);
        steps.push(Step { clock, command, applied, events });
    }
    (engine, steps)
}

#[test]
fn the_same_commands_give_the_same_market() {
    for seed in 1..4 {
        let (engine, steps) = live(seed, COMMANDS);
        let mut again = Engine::new();
        for step in &steps {
            let mut events = Vec::new();
            assert_eq!(again.apply(step.clock, &step.command, &mut events), step.applied, "seed {seed}");
            assert_eq!(events, step.events, "seed {seed}");
        }
        assert_eq!(again.digest(), engine.digest(), "seed {seed}");
    }
}

#[test]
fn a_replay_of_the_journal_gives_the_same_market() {
    for seed in 11..14 {
        let (engine, steps) = live(seed, COMMANDS);
        let journaled = steps.iter().filter(|step| step.applied.sequence.is_some());
        let mut replayed = Engine::new();
        for step in journaled {
            let mut events = Vec::new();
            let applied = replayed.apply(step.applied.at, &step.command, &mut events);
            assert_eq!((&applied, &events), (&step.applied, &step.events), "seed {seed}");
        }
        assert!(steps.len() as u64 > engine.sequence(), "seed {seed}: nothing was refused");
        assert_eq!(replayed.digest(), engine.digest(), "seed {seed}");
    }
}

#[test]
fn equal_states_are_saved_as_equal_bytes() {
    let save = |engine: &Engine| rmp_serde::to_vec_named(engine).unwrap();
    for seed in 31..33 {
        let (engine, steps) = live(seed, COMMANDS / 2);
        // The other history has no refused commands, and a restart in its middle.
        let mut other = Engine::new();
        for (number, step) in steps.iter().filter(|step| step.applied.sequence.is_some()).enumerate() {
            if number == steps.len() / 4 {
                other = rmp_serde::from_slice(&save(&other)).unwrap();
            }
            other.apply(step.applied.at, &step.command, &mut Vec::new());
        }
        assert!(save(&other) == save(&engine), "seed {seed}");
    }
}

#[test]
fn a_command_without_a_sequence_leaves_digest_and_events_alone() {
    let (mut world, mut engine) = (World::new(21, Size::default()), Engine::new());
    let mut refused = 0;
    for _ in 0..COMMANDS / 2 {
        let (clock, command) = world.next(&engine);
        let (before, mut events) = (engine.digest(), Vec::new());
        let applied = engine.apply(clock, &command, &mut events);
        world.observe(&command, &applied);
        if applied.sequence.is_none() {
            refused += 1;
            assert_eq!((engine.digest(), &events), (before, &Vec::new()), "{command:?}");
        } else {
            assert_ne!(engine.digest(), before, "{command:?}");
        }
    }
    assert!(refused > 100, "{refused}");
}

#[test]
fn a_copy_goes_on_as_the_original_does() {
    let (mut engine, _) = live(31, COMMANDS / 2);
    let mut copy = engine.clone();
    let mut world = World::new(32, Size::default());
    for _ in 0..COMMANDS / 2 {
        let (clock, command) = world.next(&engine);
        let (mut events, mut events_of_copy) = (Vec::new(), Vec::new());
        let applied = engine.apply(clock, &command, &mut events);
        assert_eq!(copy.apply(clock, &command, &mut events_of_copy), applied);
        assert_eq!(events_of_copy, events);
        world.observe(&command, &applied);
    }
    assert_eq!(copy.digest(), engine.digest());
}
