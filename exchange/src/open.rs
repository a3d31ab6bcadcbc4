//! Opening a data directory: lock, replay, a new run; and the exchange that serves from it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use merit_engine::{Command, Engine, Event};
use merit_terms::{Balance, MarketName, Money, Name, Refusal};

use crate::books::Books;
use crate::codec::{self, CodecError};
use crate::archive::{Checkpoint, Archive};
use crate::journal::{self, Damage, Journal};
use crate::keys::{KeyError, MasterKey};
use crate::modules::{ModuleError, ModuleStore};
use crate::sequencer::{Happened, Projection, Sequencer, SubmitError, Submitted};
use crate::sessions::Sessions;
use crate::storage::Directory;

/// How an exchange is opened.
#[derive(Clone, Debug)]
pub struct Settings {
    pub data_dir: PathBuf,
    /// Keyless loopback: an unknown provider's logon registers it as a market seller with an account of its own.
    pub open_to_providers: bool,
    /// How often a provider must be heard of; three times missed, its offers are cancelled.
    pub heartbeat_ms: u32,
}

/// Why a data directory cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("could not use the data directory {path}")]
    Directory { path: PathBuf, source: std::io::Error },
    #[error(transparent)]
    Journal(#[from] journal::OpenError),
    #[error(transparent)]
    Read(#[from] journal::ReadError),
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error("could not open the modules directory")]
    Modules(#[from] ModuleError),
    #[error("could not start a thread")]
    Thread(#[source] std::io::Error),
    #[error(transparent)]
    Stopped(#[from] SubmitError),
    #[error("the new run was refused: {0}")]
    Refused(Refusal),
}

/// Why one record of the journal does not replay.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReplayError {
    #[error(transparent)]
    Codec(#[from] CodecError),
    #[error("the command at sequence {sequence} gave another result than when it was written: {reply}")]
    Diverged { sequence: u64, reply: String },
}

/// A running exchange. Clones share it.
#[derive(Clone)]
pub struct Exchange(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) sequencer: Sequencer,
    pub(crate) projections: Arc<Projections>,
    pub(crate) modules: ModuleStore,
    pub(crate) key: MasterKey,
    pub(crate) settings: Settings,
    cut: Option<Damage>,
}

/// Everything that follows the durable events.
pub(crate) struct Projections {
    pub(crate) books: Books,
    pub(crate) sessions: Sessions,
    pub(crate) archive: Archive,
}

impl Projections {
    /// What they begin with, before the commands that come after `engine`.
    fn of(engine: &Engine) -> Projections {
        Projections { books: Books::of(engine), sessions: Sessions::default(), archive: Archive::new() }
    }

    /// The sequence up to which all that is kept on disk is there whatever happens: the journal is needed after it.
    pub(crate) fn checkpoint(&self) -> u64 {
        self.archive.checkpoint()
    }
}

impl Projection for Projections {
    fn apply(&self, happened: Vec<Happened>) {
        self.books.apply(&happened);
        self.sessions.apply(&happened);
        self.archive.take(happened);
    }
}

/// Commands that are replayed before the projections take their events.
const REPLAY_STRIDE: usize = 1024;

pub(crate) fn replay_record(
    engine: &mut Engine,
    sequence: u64,
    record: &[u8],
    happened: &mut Vec<Happened>,
) -> Result<(), ReplayError> {
    let (at, command) = codec::decode(record)?;
    let mut events = Vec::new();
    let applied = engine.apply(at, &command, &mut events);
    if applied.sequence != Some(sequence) || applied.at != at {
        let reply = format!("{:?}", applied.reply);
        return Err(ReplayError::Diverged { sequence, reply });
    }
    happened.push(Happened { sequence, at, events });
    Ok(())
}

impl Exchange {
    /// Takes the data directory for this process, replays its journal, and begins a new run.
    pub async fn open(settings: Settings) -> Result<Exchange, OpenError> {
        let failed = |source| OpenError::Directory { path: settings.data_dir.clone(), source };
        let storage = Directory::create(&settings.data_dir).map_err(failed)?;
        let mut engine = Engine::new();
        let projections = Arc::new(Projections::of(&engine));
        let mut happened = Vec::new();
        let (journal, recovery) = Journal::open(storage, journal::Settings::default(), |sequence, record| {
            replay_record(&mut engine, sequence, record, &mut happened)?;
            if happened.len() == REPLAY_STRIDE {
                projections.apply(std::mem::take(&mut happened));
            }
            Ok(())
        })?;
        projections.apply(happened);
        let opened_at = Checkpoint { sequence: engine.sequence(), at: engine.last_at() };
        projections.archive.start(&settings.data_dir, opened_at).map_err(OpenError::Thread)?;
        let key = MasterKey::open(&settings.data_dir.join("master.key"))?;
        let modules = ModuleStore::open(&settings.data_dir.join("modules"))?;
        let run = engine.run() + 1;
        let sequencer = Sequencer::start(engine, journal, projections.clone()).map_err(OpenError::Thread)?;
        let Submitted { applied, durable } = sequencer.submit(&Command::Start { run })?;
        applied.reply.map_err(OpenError::Refused)?;
        durable.wait().await?;
        Ok(Exchange(Arc::new(Inner { sequencer, projections, modules, key, settings, cut: recovery.cut })))
    }

    /// The damaged end of the journal that opening cut off, if it did.
    pub fn cut(&self) -> Option<&Damage> {
        self.0.cut.as_ref()
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
        self.0.sequencer.close();
        self.0.projections.archive.close();
    }
}

/// What [`replay`] found in a data directory.
pub struct Replayed {
    pub engine: Engine,
    pub report: journal::Report,
}

/// Replays a data directory without changing it: every journaled command with its events is shown to `visit`.
pub fn replay(data_dir: &Path, mut visit: impl FnMut(u64, &Command, &[Event])) -> Result<Replayed, OpenError> {
    let storage = Directory::existing(data_dir);
    let mut engine = Engine::new();
    let mut happened = Vec::new();
    let report = journal::read(&storage, |sequence, record| {
        let (_, command) = codec::decode(record).map_err(ReplayError::from)?;
        replay_record(&mut engine, sequence, record, &mut happened)?;
        for one in happened.drain(..) {
            visit(sequence, &command, &one.events);
        }
        Ok(())
    })?;
    Ok(Replayed { engine, report })
}
