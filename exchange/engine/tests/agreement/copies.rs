//! Two more engines that must equal the first: one is saved and loaded again and again, one replays the journal alone.

use merit_engine::{Applied, Command, Engine, Event};
use merit_terms::Time;

use super::same;

pub(crate) struct Copies {
    loaded: Engine,
    replayed: Engine,
}

fn save(engine: &Engine) -> Vec<u8> {
    rmp_serde::to_vec_named(engine).expect("an engine can be saved")
}

fn reload(engine: &Engine) -> Engine {
    rmp_serde::from_slice(&save(engine)).expect("a saved engine can be loaded")
}

impl Copies {
    pub(crate) fn new() -> Copies {
        Copies { loaded: reload(&Engine::new()), replayed: Engine::new() }
    }

    /// Applies the command to both, and compares replies and events with the engine's.
    pub(crate) fn follow(&mut self, clock: Time, command: &Command, applied: &Applied, events: &[Event]) {
        let apply = |copy: &mut Engine, clock| {
            let mut told = Vec::new();
            let answer = copy.apply(clock, command, &mut told);
            same("loaded again or replayed", &(applied, events), &(&answer, &told[..]));
        };
        apply(&mut self.loaded, clock);
        if applied.sequence.is_some() {
            apply(&mut self.replayed, applied.at);
        }
    }

    pub(crate) fn check(&mut self, engine: &Engine) {
        let digest = engine.digest();
        assert_eq!(self.loaded.digest(), digest, "the digest of an engine that was loaded and went on");
        assert_eq!(self.replayed.digest(), digest, "the digest of what was replayed");
        let bytes = save(engine);
        assert!(save(&self.loaded) == bytes, "the bytes of an engine that was loaded and went on");
        assert!(save(&self.replayed) == bytes, "the bytes of an engine that was replayed");
        self.loaded = reload(engine);
        assert_eq!(self.loaded.digest(), digest, "the digest of an engine that was loaded");
    }
}
