//! A market that crashes again and again on a disk with faults, and loses nothing that was acknowledged.
//!
//! The production intake, journal, snapshots and start, on the [`Disk`]; only clock, disk and thread are replaced.
//! After each crash the directory is opened as a process would open it, and compared with a model that applied the
//! acknowledged commands. Everything is drawn from the seed, so a seed repeats its failure. Never repairs anything.

mod model;

use std::error::Error;
use std::io;

use merit_engine::{Command, RULES};
use merit_exchange::{Collected, Intake, Restored, restore, snapshot};
use merit_journal::{self as journal, Journal};
use merit_kit::Traffic;
use merit_sim::faults::{Disk, Faults, Rates};
use merit_terms::{Refusal, Time};
use model::{Follower, Model};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;

/// Small, so that the journal grows over many segments and is trimmed.
const SEGMENTS: journal::Settings = journal::Settings { segment_bytes: 4096 };
/// Maximum number of starts with faults; the next one has none.
const STARTS_MAX: u32 = 4;

/// Time at which the market begins.
const BEGINNING: Time = Time::from_micros(1_700_000_000_000_000);

/// The size and seed of a crash loop.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Settings {
    pub(crate) seed: u64,
    /// Number of crashes.
    pub(crate) crashes: u32,
    /// Maximum number of commands before each kill, if no fault ends the process earlier.
    pub(crate) commands: u32,
}

/// The counts of a crash loop.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Report {
    /// Commands that changed something and were durable in the end.
    pub(crate) commands: u64,
    /// Commands that were applied, never acknowledged, and lost.
    pub(crate) lost: u64,
    pub(crate) settled: u64,
    pub(crate) snapshots: u64,
    /// Starts from a snapshot.
    pub(crate) starts_from_snapshot: u64,
    /// Starts that cut the damaged end of a journal.
    pub(crate) cuts: u64,
    /// Number of the journal's first segment in the end; those before it were trimmed.
    pub(crate) first_segment: u32,
    pub(crate) faults: Faults,
}

/// A broken promise of the exchange, which no fault of the disk excuses.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CrashLoopError {
    #[error("a start was refused for no fault of the disk's")]
    Start(#[source] Box<dyn Error + Send + Sync>),
    #[error("a snapshot failed without a fault of the disk")]
    Snapshot(#[source] Box<dyn Error + Send + Sync>),
    #[error("a write failed without a fault of the disk")]
    Append(#[from] journal::AppendError),
    #[error("a new run was refused: {0}")]
    Refused(Refusal),
    #[error("a finished snapshot was damaged: {0}")]
    SnapshotDamaged(snapshot::Damage),
    #[error("the journal is damaged: {0}")]
    JournalDamaged(journal::Damage),
    #[error("{acknowledged} commands were acknowledged and {found} found, of {applied} applied")]
    Lost { acknowledged: u64, found: u64, applied: u64 },
    #[error("at sequence {sequence} the digest differs from the model's")]
    Digest { sequence: u64 },
    #[error("at sequence {sequence} the events of a replay differ from the model's")]
    Events { sequence: u64 },
    #[error("at sequence {sequence} lease {lease} was settled twice")]
    SettledTwice { sequence: u64, lease: merit_terms::LeaseId },
    #[error("the balances sum to {0}")]
    Balances(merit_terms::Balance),
    #[error("after the last deadline {0} is left over")]
    LeftOver(String),
}

/// Runs a market through its crashes.
pub(crate) fn run(settings: &Settings) -> Result<Report, CrashLoopError> {
    let mut looped = CrashLoop {
        disk: Disk::new(settings.seed),
        chance: Pcg64::seed_from_u64(settings.seed),
        model: Model::new(),
        traffic: Traffic::new(settings.seed, BEGINNING),
        report: Report::default(),
    };
    for _ in 0..settings.crashes {
        let opened = looped.open()?;
        looped.live(opened, settings.commands)?;
        looped.disk.restart();
    }
    drop(looped.open_without_faults()?);
    looped.finish()
}

struct CrashLoop {
    disk: Disk,
    chance: Pcg64,
    model: Model,
    traffic: Traffic,
    report: Report,
}

/// An open market.
struct OpenedMarket {
    intake: Intake,
    journal: Journal<Disk>,
}

impl CrashLoop {
    /// Opens the directory, with faults while starts may still fail, and checks its state.
    fn open(&mut self) -> Result<OpenedMarket, CrashLoopError> {
        for _ in 0..STARTS_MAX {
            self.plan_faults();
            let follower = Follower::default();
            match restore(self.disk.clone(), SEGMENTS, &follower) {
                Ok(restored) => return self.check(restored, &follower),
                Err(error) if is_of_the_disk(&error) => self.disk.restart(),
                Err(error) => return Err(CrashLoopError::Start(Box::new(error))),
            }
        }
        self.open_without_faults()
    }

    fn open_without_faults(&mut self) -> Result<OpenedMarket, CrashLoopError> {
        self.disk.set_rates(Rates::default());
        let follower = Follower::default();
        let restored = restore(self.disk.clone(), SEGMENTS, &follower);
        self.check(restored.map_err(|error| CrashLoopError::Start(Box::new(error)))?, &follower)
    }

    fn plan_faults(&mut self) {
        let chance = &mut self.chance;
        let mut rate = || if chance.random_range(0..3) == 0 { chance.random_range(0..200) } else { 0 };
        self.disk.set_rates(Rates { read: rate() / 8, write: rate(), sync: rate(), name: rate() });
        if self.chance.random_range(0..3) > 0 {
            self.disk.crash_after(self.chance.random_range(1..400));
        }
    }

    fn check(&mut self, restored: Restored<Disk>, follower: &Follower) -> Result<OpenedMarket, CrashLoopError> {
        let Restored { engine, journal, recovery, damaged, replayed_after, .. } = restored;
        if let Some(damage) = damaged.into_iter().next() {
            return Err(CrashLoopError::SnapshotDamaged(damage));
        }
        self.report.cuts += u64::from(recovery.cut.is_some());
        self.report.starts_from_snapshot += u64::from(replayed_after > 0);
        self.report.lost += self.model.reopened(&engine, follower)?;
        model::nothing_is_left_over(engine.clone())?;
        Ok(OpenedMarket { intake: Intake::new(engine), journal })
    }

    /// Takes commands until a fault ends the process or their number is reached.
    fn live(&mut self, opened: OpenedMarket, commands: u32) -> Result<(), CrashLoopError> {
        let OpenedMarket { mut intake, mut journal } = opened;
        let run = intake.engine().run() + 1;
        self.submit(&mut intake, Command::Start { run })?.map_err(CrashLoopError::Refused)?;
        if intake.engine().rules() < RULES {
            self.submit(&mut intake, Command::ActivateRules { version: RULES })?.map_err(CrashLoopError::Refused)?;
        }
        let mut collected = Collected::empty();
        for _ in 0..commands {
            let command = self.traffic.next(intake.engine());
            // A refusal is an answer like any other.
            drop(self.submit(&mut intake, command)?);
            if !intake.is_empty() && self.chance.random_range(0..4) == 0 {
                collected.happened.clear();
                intake.take(&mut collected);
                match journal.append(&mut collected.batch) {
                    Ok(()) => self.model.acknowledge(collected.batch.next_sequence() - 1),
                    Err(error) if is_of_the_disk(&error) => return Ok(()),
                    Err(error) => return Err(error.into()),
                }
                if self.chance.random_range(0..40) == 0 {
                    self.snapshot(journal.identity(), collected.batch.first_sequence() - 1)?;
                }
            }
        }
        Ok(())
    }

    fn submit(&mut self, intake: &mut Intake, command: Command) -> Result<Result<(), Refusal>, CrashLoopError> {
        let applied = intake.submit(self.traffic.clock(), &command);
        let reply = applied.reply.clone().map(drop);
        self.model.applied(&applied, command);
        Ok(reply)
    }

    fn snapshot(&mut self, identity: u32, upto: u64) -> Result<(), CrashLoopError> {
        let made = snapshot::make(&self.disk, identity, upto, || false);
        let kept = made.map_err(Box::<dyn Error + Send + Sync>::from).and_then(|made| {
            self.report.snapshots += u64::from(made.is_some());
            snapshot::keep(&self.disk, u64::MAX).map_err(Box::from)
        });
        match kept {
            Err(error) if !is_of_the_disk(&*error) => Err(CrashLoopError::Snapshot(error)),
            _ => Ok(()),
        }
    }

    fn finish(mut self) -> Result<Report, CrashLoopError> {
        let verified = journal::verify(&self.disk).map_err(|error| CrashLoopError::Start(Box::new(error)))?;
        if let Some(damage) = verified.damage {
            return Err(CrashLoopError::JournalDamaged(damage));
        }
        for sequence in snapshot::list(&self.disk).map_err(|error| CrashLoopError::Snapshot(Box::new(error)))? {
            snapshot::load(&self.disk, sequence).map_err(|error| CrashLoopError::Snapshot(Box::new(error)))?;
        }
        let segments = journal::segments(&self.disk).map_err(|error| CrashLoopError::Start(Box::new(error)))?;
        self.report.first_segment = segments.first().map_or(0, |segment| segment.number);
        (self.report.commands, self.report.settled) = self.model.counts();
        self.report.faults = self.disk.faults();
        Ok(self.report)
    }
}

/// Returns true if the root cause of an error is a scheduled fault of the disk.
fn is_of_the_disk(error: &(dyn Error + 'static)) -> bool {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    let cause = cause.downcast_ref::<io::Error>();
    cause.is_some_and(|cause| cause.raw_os_error().is_some() || cause.kind() == io::ErrorKind::Other)
}
