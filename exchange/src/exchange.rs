//! A running exchange: its parts, given to the services, and its end.
//!
//! Owns nothing but the parts. It never opens a directory ([`open`](crate::open) does), and never speaks a protocol.

use std::path::PathBuf;
use std::sync::Arc;

use merit_journal::Damage;

use crate::clock::ClockReport;
use crate::directory_watch::{CHECK_EVERY, DirectoryWatch};
use crate::disk_space::DiskSpace;
use crate::keys::MasterKey;
use crate::modules::{ModuleStore, Readiness, UploadThreads, Uploads};
use crate::projections::Projections;
use crate::quota::Quotas;
use crate::run_file::{RunFile, RunFileError};
use crate::sequencer::Sequencer;
use crate::snapshot::{self, Maker};

/// Settings of an exchange.
#[derive(Clone, Debug)]
pub struct Settings {
    pub data_dir: PathBuf,
    /// Without keys every caller from this machine may do everything, and an unknown provider's logon registers it as a
    /// market seller with an account of its own. Only loopback is served then.
    pub keyless: bool,
    /// A master key in place of the data directory's own.
    pub master_key: Option<MasterKey>,
    /// Accepts a master key that is missing, or another than the journal's: secrets and open leases of before are void.
    pub new_master_key: bool,
    /// Goes on from a journal that ends at this sequence, though more is known to have been durable.
    pub accept_loss: Option<u64>,
    /// Free space of the disk that is kept for settlements, in bytes. Calls are refused below it, definitions below
    /// twice as much, uploads below three times as much.
    pub disk_reserve: u64,
    /// Heartbeat interval of providers in milliseconds. After three missed heartbeats their offers are cancelled.
    pub heartbeat_ms: u32,
    pub durability: Durability,
}

/// The promise of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// An answered command is on the disk.
    Durable,
    /// An answered command is applied, and on its way to the disk: a crash may lose it.
    Relaxed,
}

/// A running exchange. Clones share it.
#[derive(Clone)]
pub struct Exchange(pub(crate) Arc<Inner>);

/// The parts of a running exchange.
pub(crate) struct Inner {
    /// Stopped before the sequencer gives the directory up.
    pub(crate) maker: Maker,
    pub(crate) sequencer: Sequencer,
    pub(crate) projections: Arc<Projections>,
    pub(crate) modules: ModuleStore,
    pub(crate) uploads: Uploads,
    pub(crate) upload_threads: UploadThreads,
    pub(crate) readiness: Readiness,
    pub(crate) quotas: Quotas,
    pub(crate) disk: DiskSpace,
    pub(crate) key: MasterKey,
    /// Signs and checks the proofs of leases.
    pub(crate) lease_key: [u8; 32],
    /// Signs and checks orders to load modules.
    pub(crate) warming_key: [u8; 32],
    pub(crate) settings: Settings,
    /// Locked while a quote looks at the engine: one quote at a time, so that many quotes delay no command.
    pub(crate) quoting: tokio::sync::Mutex<()>,
    /// The number of this run, and the sequence of its start.
    pub(crate) run: (u32, u64),
    pub(crate) cut: Option<Damage>,
    pub(crate) damaged: Vec<snapshot::Damage>,
}

impl Exchange {
    /// Follows a wall clock that was set by more than a minute, also after a restart.
    pub(crate) fn accept_clock_step(&self) -> Result<ClockReport, RunFileError> {
        let report = self.0.sequencer.clock().accept();
        self.write_run_file()?;
        Ok(report)
    }

    /// Writes the run file: the run, its first sequence, and the clocks.
    pub(crate) fn write_run_file(&self) -> Result<(), RunFileError> {
        let Inner { sequencer, settings, run, .. } = &*self.0;
        RunFile::new(run.0, run.1, sequencer.clock().offset()).write(&settings.data_dir)
    }

    /// Returns true if it serves without keys: this machine only.
    pub fn is_keyless(&self) -> bool {
        self.0.settings.keyless
    }

    /// Returns the damaged end of the journal that opening cut off, if it did.
    pub fn cut(&self) -> Option<&Damage> {
        self.0.cut.as_ref()
    }

    /// Returns the damaged snapshots that opening set aside.
    pub fn damaged_snapshots(&self) -> &[snapshot::Damage] {
        &self.0.damaged
    }

    /// Waits until the journal has failed. Returns the reason; the process must end then.
    pub async fn stopped(&self) -> String {
        let stopped = self.0.sequencer.stopped();
        let watch = DirectoryWatch::begin(&self.0.settings.data_dir);
        let lost = async {
            let Ok(watch) = watch else { return std::future::pending().await };
            loop {
                tokio::time::sleep(CHECK_EVERY).await;
                self.0.disk.report();
                if let Some(reason) = watch.check() {
                    return reason;
                }
            }
        };
        tokio::select! {
            reason = stopped => reason,
            reason = lost => {
                self.0.sequencer.fail(reason.clone());
                reason
            }
        }
    }

    /// Returns the digest and sequence of the state now.
    pub fn digest(&self) -> (u128, u64) {
        self.0.sequencer.read(|engine| (engine.digest(), engine.sequence()))
    }

    /// Writes everything that waits and releases the data directory.
    pub fn close(&self) {
        self.0.maker.stop();
        self.0.sequencer.close();
        self.0.projections.archive.close();
    }
}
