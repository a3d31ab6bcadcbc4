//! Opening a data directory: restored, a new run, and the threads beside it put together to a running exchange.
//!
//! Owns the order of a start, and its refusals. It never serves a call.

use std::path::PathBuf;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use merit_engine::{Command, Engine, RULES};
use merit_journal as journal;
use merit_journal::storage::Directory;
use merit_terms::{Balance, MarketName, Money, Name, Refusal};

use crate::archive::{Archive, Checkpoint};
use crate::clock::Clock;
use crate::disk_space::DiskSpace;
use crate::exchange::{Durability, Exchange, Inner, Settings};
use crate::keys::{KeyError, MasterKey};
use crate::modules::{ModuleError, ModuleStore, Readiness, UploadThreads, Uploads};
use crate::projections::Projections;
use crate::quota::Quotas;
use crate::restore::{RestoreError, Restored, restore};
use crate::run_file::{RunFile, RunFileError};
use crate::sequencer::{Sequencer, SubmitError};
use crate::snapshot::{self, Maker};

/// A data directory that cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("could not use the data directory {path}")]
    Directory { path: PathBuf, source: std::io::Error },
    #[error(transparent)]
    Restore(#[from] RestoreError),
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error("could not open the modules directory")]
    Modules(#[from] ModuleError),
    #[error("could not start the threads of the journal, its snapshots and the archive")]
    Thread(#[source] std::io::Error),
    #[error(transparent)]
    Stopped(#[from] SubmitError),
    #[error(transparent)]
    RunFile(#[from] RunFileError),
    #[error(
        "the journal in {place} ends at sequence {last}, but {evidence} has {durable}: its newest part is missing. \
         Restore it from a copy; or go on without what came after sequence {last}: --accept-loss {last}"
    )]
    Loss { place: String, last: u64, evidence: &'static str, durable: u64 },
    #[error("the new run was refused: {0}")]
    Refused(Refusal),
}

/// Returns the master key of the settings, or that of the data directory, which the first start makes. Refuses a key
/// that is missing or another than the state is bound to, unless a new one is accepted.
fn master_key(settings: &Settings, engine: &Engine) -> Result<MasterKey, KeyError> {
    let path = settings.data_dir.join("master.key");
    let text = || path.display().to_string();
    // Directories from before the binding have keys at most.
    let is_needed = engine.master_key_check().is_some() || engine.keys().next().is_some();
    let key = match &settings.master_key {
        Some(given) => given.clone(),
        None if path.exists() => MasterKey::open(&path)?,
        None if is_needed && !settings.new_master_key => return Err(KeyError::Missing { path: text() }),
        None => MasterKey::create(&path)?,
    };
    let is_bound = match engine.master_key_check() {
        Some(check) => check == key.check(),
        // The file's key was used until now, if there is one.
        None => settings.master_key.is_none() || !path.exists() || MasterKey::open(&path)?.check() == key.check(),
    };
    if is_bound || settings.new_master_key { Ok(key) } else { Err(KeyError::Other { path: text() }) }
}

/// Refuses a journal that ends before what the archive or the run file knows to have been durable, unless its end is
/// accepted.
fn check_evidence(settings: &Settings, engine: &Engine, last_run: &RunFile) -> Result<(), OpenError> {
    let (last, place) = (engine.sequence(), settings.data_dir.display().to_string());
    let archive = Archive::durable_in(&settings.data_dir).unwrap_or(0);
    let known = [("the archive", archive), ("the run file", last_run.sequence)];
    let (evidence, durable) = known.into_iter().max_by_key(|(_, durable)| *durable).unwrap_or_default();
    match durable > last && settings.accept_loss != Some(last) {
        true => Err(OpenError::Loss { place, last, evidence, durable }),
        false => Ok(()),
    }
}

impl Exchange {
    /// Locks the data directory for this process, restores the state from its journal, and begins a new run.
    pub fn open(settings: Settings) -> BoxFuture<'static, Result<Exchange, OpenError>> {
        Box::pin(Exchange::opened(settings)) // Boxed, so that it is compiled here and not in each caller's crate.
    }

    async fn opened(settings: Settings) -> Result<Exchange, OpenError> {
        let failed = |source| OpenError::Directory { path: settings.data_dir.clone(), source };
        let storage = Directory::create(&settings.data_dir).map_err(failed)?;
        let mut projections = Arc::new(Projections::new());
        let restore_once =
            |projections: &Projections| restore(storage.clone(), journal::Settings::default(), projections);
        let mut restored = restore_once(&projections);
        if let Err(RestoreError::Behind { last, .. }) = restored
            && settings.accept_loss == Some(last)
        {
            snapshot::set_aside_after(&storage, last).map_err(RestoreError::from)?;
            projections = Arc::new(Projections::new());
            restored = restore_once(&projections);
        }
        let Restored { engine, journal, recovery, damaged, made, .. } = restored?;
        let last_run = RunFile::read(&settings.data_dir)?.unwrap_or_default();
        check_evidence(&settings, &engine, &last_run)?;
        let key = master_key(&settings, &engine)?;
        let modules = ModuleStore::open(&settings.data_dir.join("modules"))?;
        let (run, identity) = (engine.run().max(last_run.run) + 1, journal.identity());
        // The number is taken before the journal has it, so that a crash between cannot give it twice.
        let clock = Clock::begin(engine.last_at(), last_run.clock_offset());
        RunFile::new(run, engine.sequence(), clock.offset()).write(&settings.data_dir)?;
        let rules = engine.rules();
        let opened_at = Checkpoint { sequence: engine.sequence(), at: engine.last_at() };
        let sequencer = Sequencer::start(engine, journal, projections.clone(), clock).map_err(OpenError::Thread)?;
        let started = projections.archive.start(&settings.data_dir, sequencer.progress(), opened_at);
        started.map_err(OpenError::Thread)?;
        let maker = {
            let projections = projections.clone();
            let checkpoint = move || projections.kept_to();
            Maker::start(storage, identity, sequencer.progress(), checkpoint, made).map_err(OpenError::Thread)?
        };
        let cut = recovery.cut;
        let exchange = Exchange(Arc::new(Inner {
            maker,
            sequencer,
            projections,
            modules,
            uploads: Uploads::default(),
            upload_threads: UploadThreads::new(),
            readiness: Readiness::default(),
            quotas: Quotas::default(),
            disk: DiskSpace::of(&settings.data_dir, settings.disk_reserve),
            lease_key: key.lease_key(),
            warming_key: key.warming_key(),
            key,
            settings,
            quoting: tokio::sync::Mutex::new(()),
            run: (run, opened_at.sequence + 1),
            cut,
            damaged,
        }));
        exchange.submit_durable(&Command::Start { run }).await?;
        exchange.write_run_file()?;
        let check = exchange.0.key.check();
        let bound = exchange.0.sequencer.read(Engine::master_key_check);
        if bound != Some(check) {
            exchange.submit_durable(&Command::BindMasterKey { check }).await?;
            match bound {
                Some(_) => tracing::warn!("a new master key: keys and open leases of before are invalid"),
                None => tracing::info!("the journal is bound to its master key"),
            }
        }
        // An empty directory begins by the first rules; one of other rules was refused above.
        if rules < RULES {
            exchange.submit_durable(&Command::ActivateRules { version: RULES }).await?;
        }
        // Only now: ids hold a run's number, so no run may begin twice.
        if exchange.0.settings.durability == Durability::Relaxed {
            exchange.0.sequencer.relax();
        }
        Ok(exchange)
    }

    /// Creates a market if it is missing.
    pub async fn ensure_market(&self, name: &MarketName) -> Result<(), OpenError> {
        if self.0.sequencer.read(|engine| engine.find_market(name)).is_none() {
            self.submit_durable(&Command::CreateMarket { name: name.clone() }).await?;
        }
        Ok(())
    }

    /// Opens an account if it is missing. One without any money gets `deposit`.
    pub async fn ensure_account(&self, name: &Name, deposit: Money) -> Result<(), OpenError> {
        let find = |engine: &Engine| engine.find_account(name.as_str());
        if self.0.sequencer.read(find).is_none() {
            self.submit_durable(&Command::OpenAccount { name: name.clone() }).await?;
        }
        // A crash may have come between the account and its deposit.
        let bare = |engine: &Engine| {
            let id = find(engine)?;
            engine.account(id).is_ok_and(|account| account.balance == Balance::ZERO && account.held == 0).then_some(id)
        };
        if let Some(account) = self.0.sequencer.read(bare) {
            self.submit_durable(&Command::Deposit { account, amount: deposit }).await?;
        }
        Ok(())
    }

    async fn submit_durable(&self, command: &Command) -> Result<(), OpenError> {
        let submitted = self.0.sequencer.submit(command)?;
        submitted.applied.reply.map_err(OpenError::Refused)?;
        Ok(submitted.durable.wait().await?)
    }
}
