//! Opening a data directory: restored, a new run, snapshots beside it; and the exchange that serves from it.

use std::path::PathBuf;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use merit_engine::{Command, Engine};
use merit_terms::{Balance, MarketName, Money, Name, Refusal};

use crate::archive::{Archive, Checkpoint};
use crate::books::Books;
use crate::brokers::Brokers;
use crate::intake::Happened;
use crate::journal::{self, Damage};
use crate::key_changes::KeyChanges;
use crate::keys::{KeyError, MasterKey};
use crate::modules::{ModuleError, ModuleStore};
use crate::restore::{RestoreError, Restored, restore};
use crate::rules::RULES;
use crate::sequencer::{Projection, Sequencer, SubmitError};
use crate::sessions::Sessions;
use crate::snapshot::{self, Maker};
use crate::storage::Directory;
use crate::uploads::Uploads;

/// How an exchange is opened.
#[derive(Clone, Debug)]
pub struct Settings {
    pub data_dir: PathBuf,
    /// Without keys: whoever calls from this machine may do everything, and an unknown provider's logon registers it as a
    /// market seller with an account of its own. Only loopback is served then.
    pub keyless: bool,
    /// In the place of the data directory's own.
    pub master_key: Option<MasterKey>,
    /// How often a provider must be heard of; three times missed, its offers are cancelled.
    pub heartbeat_ms: u32,
    pub durability: Durability,
}

/// What an answer promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// What was answered is on the disk.
    Durable,
    /// What was answered is applied, and on its way to the disk: a crash may lose it.
    Relaxed,
}

/// Why a data directory cannot be opened.
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
    #[error("the new run was refused: {0}")]
    Refused(Refusal),
}

/// A running exchange. Clones share it.
#[derive(Clone)]
pub struct Exchange(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    /// Stopped before the sequencer gives the directory up.
    maker: Maker,
    pub(crate) sequencer: Sequencer,
    pub(crate) projections: Arc<Projections>,
    pub(crate) modules: ModuleStore,
    pub(crate) uploads: Uploads,
    pub(crate) key: MasterKey,
    /// Makes and checks the proofs of leases.
    pub(crate) lease_key: [u8; 32],
    pub(crate) settings: Settings,
    /// Taken while a quote looks at the engine: one at a time, so that whoever asks for many keeps no commands waiting.
    pub(crate) quoting: tokio::sync::Mutex<()>,
    cut: Option<Damage>,
    damaged: Vec<snapshot::Damage>,
}

/// Everything that follows the durable events.
pub(crate) struct Projections {
    pub(crate) books: Books,
    pub(crate) sessions: Sessions,
    pub(crate) brokers: Brokers,
    pub(crate) archive: Archive,
    pub(crate) key_changes: KeyChanges,
}

impl Projections {
    fn new() -> Projections {
        Projections {
            books: Books::new(),
            sessions: Sessions::default(),
            brokers: Brokers::default(),
            archive: Archive::new(),
            key_changes: KeyChanges::default(),
        }
    }

    /// The sequence up to which all that is kept on disk is there whatever happens: the journal is needed after it.
    fn kept_to(&self) -> u64 {
        self.archive.checkpoint()
    }
}

impl Projection for Projections {
    /// What the archive misses it reads by itself.
    fn checkpoint(&self) -> u64 {
        u64::MAX
    }

    fn begin(&self, engine: &Engine) {
        self.books.begin(engine);
        self.sessions.begin(engine);
    }

    fn apply(&self, happened: &mut Vec<Happened>) {
        self.books.apply(happened);
        self.sessions.apply(happened);
        self.brokers.apply(happened);
        self.key_changes.apply(happened);
        self.archive.take(happened.drain(..));
    }
}

/// The master key that the settings give, or that of the data directory, made at its first start.
fn master_key(settings: &Settings, engine: &Engine) -> Result<MasterKey, KeyError> {
    let path = settings.data_dir.join("master.key");
    let Some(given) = &settings.master_key else {
        if engine.sequence() > 0 && !path.exists() {
            tracing::warn!(
                path = %path.display(),
                "the master key is missing, and a new one is made: leases from before can no longer be proven, and the \
                 secrets of keys are no longer good; if there is a backup of it, stop and restore it"
            );
        }
        return MasterKey::open(&path);
    };
    if path.exists() && !MasterKey::open(&path)?.is(given) {
        tracing::warn!(
            path = %path.display(),
            "another master key is given than the one that is kept here: secrets and leases of the latter are not good"
        );
    }
    Ok(given.clone())
}

impl Exchange {
    /// Takes the data directory for this process, restores what its journal holds, and begins a new run, by the present
    /// rules.
    pub fn open(settings: Settings) -> BoxFuture<'static, Result<Exchange, OpenError>> {
        Box::pin(Exchange::opened(settings)) // Boxed, so that it is compiled here and not in each caller's crate.
    }

    async fn opened(settings: Settings) -> Result<Exchange, OpenError> {
        let failed = |source| OpenError::Directory { path: settings.data_dir.clone(), source };
        let storage = Directory::create(&settings.data_dir).map_err(failed)?;
        let projections = Arc::new(Projections::new());
        let Restored { engine, journal, recovery, damaged, made, .. } =
            restore(storage.clone(), journal::Settings::default(), &*projections)?;
        let key = master_key(&settings, &engine)?;
        let modules = ModuleStore::open(&settings.data_dir.join("modules"))?;
        let (run, rules, identity) = (engine.run() + 1, engine.rules(), journal.identity());
        let opened_at = Checkpoint { sequence: engine.sequence(), at: engine.last_at() };
        let sequencer = Sequencer::start(engine, journal, projections.clone()).map_err(OpenError::Thread)?;
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
            lease_key: key.lease_key(),
            key,
            settings,
            quoting: tokio::sync::Mutex::new(()),
            cut,
            damaged,
        }));
        exchange.submit_durable(&Command::Start { run }).await?;
        if rules < RULES {
            exchange.submit_durable(&Command::ActivateRules { version: RULES }).await?;
        }
        // Only now: ids hold a run's number, so that no run may begin twice.
        if exchange.0.settings.durability == Durability::Relaxed {
            exchange.0.sequencer.relax();
        }
        Ok(exchange)
    }

    /// Whether it serves without keys: this machine only.
    pub fn is_keyless(&self) -> bool {
        self.0.settings.keyless
    }

    /// The damaged end of the journal that opening cut off, if it did.
    pub fn cut(&self) -> Option<&Damage> {
        self.0.cut.as_ref()
    }

    /// The damaged snapshots that opening set aside, if there were any.
    pub fn damaged_snapshots(&self) -> &[snapshot::Damage] {
        &self.0.damaged
    }

    /// Makes sure that a market is there.
    pub async fn ensure_market(&self, name: &MarketName) -> Result<(), OpenError> {
        if self.0.sequencer.read(|engine| engine.find_market(name)).is_none() {
            self.submit_durable(&Command::CreateMarket { name: name.clone() }).await?;
        }
        Ok(())
    }

    /// Makes sure that an account is there; one without anything gets `deposit`.
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

    /// Returns the reason once the journal has failed; the process must end then.
    pub async fn stopped(&self) -> String {
        self.0.sequencer.stopped().await
    }

    /// The digest and sequence of the state now.
    pub fn digest(&self) -> (u128, u64) {
        self.0.sequencer.read(|engine| (engine.digest(), engine.sequence()))
    }

    /// Writes what waits and releases the data directory.
    pub fn close(&self) {
        self.0.maker.stop();
        self.0.sequencer.close();
        self.0.projections.archive.close();
    }
}
