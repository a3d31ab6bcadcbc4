//! The cache of revisions that are ready to run: a compiled module and an environment each. Fetched from the exchange
//! at the first use, once for all calls that wait for it. Never writes to disk.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use merit_module::MODULE_MAX_BYTES;
use merit_proto::v1::modules_client::ModulesClient;
use merit_proto::v1::read_permit::Permit;
use merit_proto::{Transport, v1};
use merit_wasm::{Digest, Module, ModuleError, Runtime};
use tokio::sync::mpsc;
use tokio::task::JoinError;
use tokio::time::error::Elapsed;
use tokio::time::timeout;
use tonic::{Code as StatusCode, Status};

use crate::refused::Refused;
use crate::session::ModuleReports;

/// Timeout of fetching a module or an environment, which goes on after its caller gave up: the next call finds it.
const FETCH_TIMEOUT: Duration = Duration::from_secs(60);
/// Time after which a call is told to come again if the compiler is too busy, in seconds.
const BUSY_S: u32 = 30;
/// Time after which a call is told to come again if the exchange is too busy to send the module, in seconds.
const FETCH_AGAIN_S: u32 = 2;
/// Calls wait for a load during its first 5 s. A waiting call occupies a thread of the provider; later calls are told
/// at once to come again, so that one slow module cannot occupy them all.
const WAIT_MAX: Duration = Duration::from_secs(5);
/// Maximum number of cached environments; at one more the whole cache is dropped and filled again at need.
const REVISIONS_MAX: usize = 4096;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct RevisionKey {
    /// Session of the lease: an exchange that began anew may give the numbers of old revisions to others.
    pub(crate) session: u32,
    pub(crate) account: String,
    pub(crate) function: String,
    pub(crate) revision: u32,
}

/// A revision to load, with its module and the permit by which the exchange gives both.
#[derive(Clone, Debug)]
pub(crate) struct WantedRevision {
    pub(crate) key: RevisionKey,
    pub(crate) digest: Digest,
    pub(crate) permit: Option<Permit>,
}

impl WantedRevision {
    fn permit(&self) -> Option<v1::ReadPermit> {
        self.permit.clone().map(|permit| v1::ReadPermit { permit: Some(permit) })
    }
}

/// Names and values, sorted by name.
pub(crate) type Environment = Arc<[(String, String)]>;

/// A revision that is ready to run.
#[derive(Clone, Debug)]
pub(crate) struct ReadyRevision {
    pub(crate) module: Module,
    pub(crate) environment: Environment,
    /// Wait of the call until it was ready; zero if it was cached.
    pub(crate) waited: Duration,
}

/// A revision that cannot run here.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RevisionError {
    #[error("the revision could not be fetched from the exchange: {0}")]
    Revision(#[source] Status),
    #[error("the module could not be fetched from the exchange: {0}")]
    Fetch(#[source] Status),
    #[error("the module has more than {MODULE_MAX_BYTES} bytes")]
    TooLarge,
    #[error("the lease names another module than the exchange")]
    OtherModule,
    #[error("the module cannot be run")]
    Module(#[from] ModuleError),
    #[error("the module is getting ready, for about {0:?}")]
    Warming(Duration),
    #[error("the module was not fetched in time")]
    Slow(#[source] Elapsed),
    #[error("the task that fetches the module failed")]
    Task(#[source] JoinError),
}

impl RevisionError {
    /// Returns the seconds after which a retry may succeed, of a module that warms or a compiler that is busy.
    fn retry_after_s(&self) -> Option<u32> {
        match self {
            RevisionError::Module(error) if error.is_passing() => Some(BUSY_S),
            RevisionError::Warming(left) => Some(u32::try_from(left.as_secs()).unwrap_or(u32::MAX)),
            // Many read modules there at present.
            RevisionError::Fetch(status) if status.code() == StatusCode::ResourceExhausted => Some(FETCH_AGAIN_S),
            _ => None,
        }
    }
}

impl From<RevisionError> for Refused {
    fn from(error: RevisionError) -> Refused {
        if let Some(retry_after_s) = error.retry_after_s() {
            return Refused::Warming { retry_after_s };
        }
        match error {
            RevisionError::Revision(status) | RevisionError::Fetch(status) if status.code() == StatusCode::NotFound => {
                Refused::UnknownModule
            }
            RevisionError::Module(error) if error.is_of_module() => Refused::ModuleUnusable(error.to_string()),
            RevisionError::Module(_)
            | RevisionError::Warming(_)
            | RevisionError::Revision(_)
            | RevisionError::Fetch(_)
            | RevisionError::TooLarge
            | RevisionError::OtherModule
            | RevisionError::Slow(_)
            | RevisionError::Task(_) => Refused::ModuleUnavailable,
        }
    }
}

/// The cache of revisions, and the client that fills it.
#[derive(Clone)]
pub(crate) struct Revisions {
    exchange: ModulesClient<Transport>,
    runtime: Arc<Runtime>,
    known: Arc<Mutex<HashMap<RevisionKey, Arc<Revision>>>>,
    /// Held while a module is fetched and compiled: revisions that share it fetch it once.
    fetching: Arc<Mutex<HashMap<Digest, Arc<tokio::sync::Mutex<()>>>>>,
    reports: ModuleReports,
    /// The last report on each module.
    reported: Arc<Mutex<HashMap<Digest, v1::ModuleReadiness>>>,
}

#[derive(Default)]
struct Revision {
    environment: OnceLock<Environment>,
    /// Held while the revision and its module get ready, so that each is fetched once.
    loading: Arc<tokio::sync::Mutex<()>>,
    /// Start of the running load.
    began: Mutex<Option<Instant>>,
}

impl Revision {
    fn lock_began(&self) -> MutexGuard<'_, Option<Instant>> {
        self.began.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns how long a call may wait for a load that has run for `loading_for`.
fn wait_limit(limit: Duration, loading_for: Option<Duration>) -> Duration {
    limit.min(WAIT_MAX.saturating_sub(loading_for.unwrap_or_default()))
}

impl Revisions {
    pub(crate) fn new(transport: Transport, runtime: Arc<Runtime>, reports: ModuleReports) -> Revisions {
        let (known, fetching, reported) = Default::default();
        Revisions { exchange: ModulesClient::new(transport), runtime, known, fetching, reports, reported }
    }

    /// Loads modules as the exchange asks, until the session is over.
    pub(crate) async fn take_warm_requests(self, mut requests: mpsc::Receiver<(u32, v1::WarmModule)>) {
        while let Some((session, request)) = requests.recv().await {
            let v1::WarmModule { account, function, revision, module, order } = request;
            if let Ok(digest) = Digest::try_from(module) {
                let key = RevisionKey { session, account, function, revision };
                self.warm(WantedRevision { key, digest, permit: order.map(Permit::Warming) });
            }
        }
    }

    /// Starts loading a revision that is not cached, and reports its readiness now and when the load ends.
    fn warm(&self, wanted: WantedRevision) {
        let digest = wanted.digest;
        self.lock_reported().remove(&digest);
        let revision = self.revision(&wanted.key);
        if self.cached(&revision, &digest).is_some() {
            return self.report(&digest, Ok(()));
        }
        self.report_warming(&digest);
        if revision.lock_began().is_none() {
            let revisions = self.clone();
            // A load has limits of its own.
            tokio::spawn(async move { revisions.load_once(revision, wanted).await });
        }
    }

    fn report_warming(&self, digest: &Digest) {
        self.report(digest, Err(&RevisionError::Warming(self.runtime.modules().remaining(digest))));
    }

    /// Reports the readiness of a module if it has changed. Says nothing of errors that are not the module's own.
    fn report(&self, digest: &Digest, loaded: Result<(), &RevisionError>) {
        let mut state = v1::ModuleState { module: digest.to_vec(), ..v1::ModuleState::default() };
        match loaded {
            Ok(()) => state.set_readiness(v1::ModuleReadiness::Ready),
            Err(RevisionError::Warming(left)) => {
                state.set_readiness(v1::ModuleReadiness::Warming);
                state.retry_after_s = u32::try_from(left.as_secs()).unwrap_or(u32::MAX);
            }
            Err(RevisionError::Module(error)) if error.is_of_module() => {
                state.set_readiness(v1::ModuleReadiness::Refused);
                state.reason = error.to_string();
            }
            Err(_) => return,
        }
        let mut reported = self.lock_reported();
        if reported.len() >= REVISIONS_MAX {
            reported.clear();
        }
        if reported.insert(*digest, state.readiness()) != Some(state.readiness()) {
            self.reports.try_send(state).unwrap_or_default();
        }
    }

    /// Returns a revision of a lease, ready to run. Waits for at most `limit`, and not beyond the first 5 s of a load,
    /// which goes on for later calls.
    pub(crate) async fn ready(&self, wanted: WantedRevision, limit: Duration) -> Result<ReadyRevision, RevisionError> {
        let digest = wanted.digest;
        let revision = self.revision(&wanted.key);
        if let Some(ready) = self.cached(&revision, &digest) {
            return Ok(ready);
        }
        let started = Instant::now();
        let loading_for = revision.lock_began().map(|began| began.elapsed());
        let waited = timeout(wait_limit(limit, loading_for), self.load_once(revision, wanted)).await;
        let ready = waited.map_err(|_| RevisionError::Warming(self.runtime.modules().remaining(&digest)))?;
        Ok(ReadyRevision { waited: started.elapsed(), ..ready? })
    }

    /// Loads a revision in a task of its own, which goes on after its caller gave up; or waits for another's load.
    async fn load_once(&self, revision: Arc<Revision>, wanted: WantedRevision) -> Result<ReadyRevision, RevisionError> {
        let digest = wanted.digest;
        let turn = Arc::clone(&revision.loading).lock_owned().await;
        if let Some(ready) = self.cached(&revision, &digest) {
            return Ok(ready);
        }
        *revision.lock_began() = Some(Instant::now());
        let revisions = self.clone();
        // The task ends by itself: fetching and compiling have limits.
        let loading = tokio::spawn(async move {
            let loaded = revisions.load(&revision, &wanted).await;
            revisions.report(&digest, loaded.as_ref().map(drop));
            *revision.lock_began() = None;
            drop(turn);
            loaded
        });
        let (module, environment) = loading.await.map_err(RevisionError::Task)??;
        Ok(ReadyRevision { module, environment, waited: Duration::ZERO })
    }

    fn cached(&self, revision: &Revision, digest: &Digest) -> Option<ReadyRevision> {
        let environment = Arc::clone(revision.environment.get()?);
        let module = self.runtime.modules().get(digest)?;
        Some(ReadyRevision { module, environment, waited: Duration::ZERO })
    }

    async fn load(&self, revision: &Revision, wanted: &WantedRevision) -> Result<(Module, Environment), RevisionError> {
        let digest = wanted.digest;
        let environment = match revision.environment.get() {
            Some(environment) => Arc::clone(environment),
            None => {
                let fetching = timeout(FETCH_TIMEOUT, self.fetch_environment(wanted));
                let fetched = fetching.await.map_err(RevisionError::Slow)??;
                Arc::clone(revision.environment.get_or_init(|| fetched))
            }
        };
        let turn = Arc::clone(self.lock_fetching().entry(digest).or_default());
        let loaded = {
            let _turn = turn.lock().await;
            self.load_module(wanted).await
        };
        let mut fetching = self.lock_fetching();
        // One reference is the list's, one is this load's.
        if Arc::strong_count(&turn) <= 2 {
            fetching.remove(&digest);
        }
        Ok((loaded?, environment))
    }

    async fn load_module(&self, wanted: &WantedRevision) -> Result<Module, RevisionError> {
        let digest = wanted.digest;
        if let Some(module) = self.runtime.modules().find(digest).await? {
            return Ok(module);
        }
        // Before it is fetched, since it is kept in memory until it is compiled.
        let reservation = self.runtime.modules().reserve(&wanted.key.account)?;
        self.report_warming(&digest);
        let fetching = timeout(FETCH_TIMEOUT, self.fetch_module(wanted));
        let module = fetching.await.map_err(RevisionError::Slow)??;
        Ok(self.runtime.modules().load(digest, module, reservation).await?)
    }

    async fn fetch_environment(&self, wanted: &WantedRevision) -> Result<Environment, RevisionError> {
        let RevisionKey { account, function, revision, .. } = wanted.key.clone();
        let request = v1::GetRevisionRequest { account, function, revision, permit: wanted.permit() };
        let answer = self.exchange.clone().get_revision(request).await.map_err(RevisionError::Revision)?.into_inner();
        if answer.module != wanted.digest {
            return Err(RevisionError::OtherModule);
        }
        Ok(answer.environment.into_iter().collect())
    }

    async fn fetch_module(&self, wanted: &WantedRevision) -> Result<Bytes, RevisionError> {
        let request = v1::GetModuleRequest { digest: wanted.digest.to_vec(), permit: wanted.permit() };
        let mut chunks = self.exchange.clone().get(request).await.map_err(RevisionError::Fetch)?.into_inner();
        let mut module = BytesMut::new();
        while let Some(chunk) = chunks.message().await.map_err(RevisionError::Fetch)? {
            if module.len() + chunk.data.len() > MODULE_MAX_BYTES {
                return Err(RevisionError::TooLarge);
            }
            module.extend_from_slice(&chunk.data);
        }
        Ok(module.freeze())
    }

    fn revision(&self, key: &RevisionKey) -> Arc<Revision> {
        let mut known = self.lock();
        if let Some(revision) = known.get(key) {
            return Arc::clone(revision);
        }
        if known.len() >= REVISIONS_MAX {
            known.clear();
        }
        Arc::clone(known.entry(key.clone()).or_default())
    }

    fn lock_fetching(&self) -> MutexGuard<'_, HashMap<Digest, Arc<tokio::sync::Mutex<()>>>> {
        self.fetching.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_reported(&self) -> MutexGuard<'_, HashMap<Digest, v1::ModuleReadiness>> {
        self.reported.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<RevisionKey, Arc<Revision>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
#[path = "../tests/unit/revisions.rs"]
mod tests;
