//! What a revision runs: its module, compiled, and its environment. Fetched from the exchange at the first use, once
//! for all calls that wait for it. Never writes to disk.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use merit_proto::v1::modules_client::ModulesClient;
use merit_proto::{Transport, v1};
use merit_wasm::{Digest, Module, ModuleError, Runtime};
use tokio::task::JoinError;
use tokio::time::error::Elapsed;
use tokio::time::timeout;
use tonic::{Code as StatusCode, Status};

use crate::refused::Refused;

/// What the exchange keeps at most for one module.
const MODULE_MAX_BYTES: usize = 32 << 20;
/// How long fetching and compiling may go on after its caller gave up: the next call finds the module.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// Revisions whose environment is kept; at one more all are forgotten and fetched at need.
const REVISIONS_MAX: usize = 4096;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct RevisionKey {
    /// Of the lease: an exchange that began anew may give the numbers of old revisions to others.
    pub(crate) session: u32,
    pub(crate) account: String,
    pub(crate) function: String,
    pub(crate) revision: u32,
}

/// Names and values, in order of names.
pub(crate) type Environment = Arc<[(String, String)]>;

/// A revision that can run now.
#[derive(Clone, Debug)]
pub(crate) struct Code {
    pub(crate) module: Module,
    pub(crate) environment: Environment,
    /// How long the call waited for it; zero if it was there.
    pub(crate) waited: Duration,
}

/// Why a revision cannot run here.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CodeError {
    #[error("the revision cannot be had from the exchange: {0}")]
    Revision(#[source] Status),
    #[error("the module cannot be had from the exchange: {0}")]
    Fetch(#[source] Status),
    #[error("the module has more than {MODULE_MAX_BYTES} bytes")]
    TooLarge,
    #[error("the lease names another module than the exchange")]
    OtherModule,
    #[error("the module cannot be run")]
    Module(#[from] ModuleError),
    #[error("the module was not ready within the timeout of the call")]
    Late(#[source] Elapsed),
    #[error("the task that fetches the module failed")]
    Task(#[source] JoinError),
}

impl From<CodeError> for Refused {
    fn from(error: CodeError) -> Refused {
        match error {
            CodeError::Revision(status) | CodeError::Fetch(status) if status.code() == StatusCode::NotFound => {
                Refused::UnknownModule
            }
            CodeError::Module(error) => Refused::ModuleUnusable(error.to_string()),
            CodeError::Late(_) => Refused::ModuleLate,
            CodeError::Revision(_)
            | CodeError::Fetch(_)
            | CodeError::TooLarge
            | CodeError::OtherModule
            | CodeError::Task(_) => Refused::ModuleUnavailable,
        }
    }
}

/// The revisions that were run, and the way to those that were not.
#[derive(Clone)]
pub(crate) struct Revisions {
    exchange: ModulesClient<Transport>,
    runtime: Arc<Runtime>,
    known: Arc<Mutex<HashMap<RevisionKey, Arc<Revision>>>>,
}

#[derive(Default)]
struct Revision {
    environment: OnceLock<Environment>,
    /// Held while the revision or its module is fetched, so that they are fetched once.
    fetching: tokio::sync::Mutex<()>,
}

impl Revisions {
    pub(crate) fn new(transport: Transport, runtime: Arc<Runtime>) -> Revisions {
        Revisions { exchange: ModulesClient::new(transport), runtime, known: Arc::default() }
    }

    /// The code of a revision whose lease names `digest`; given up after `within`, while what was begun goes on so
    /// that a later call finds it.
    pub(crate) async fn code(&self, key: RevisionKey, digest: Digest, within: Duration) -> Result<Code, CodeError> {
        let revision = self.revision(&key);
        if let Some(code) = self.ready(&revision, &digest) {
            return Ok(code);
        }
        let (revisions, started) = (self.clone(), Instant::now());
        let loading = async move { timeout(READY_WITHIN, revisions.load(&revision, key, digest)).await };
        // The task ends by itself, at the latest after READY_WITHIN.
        let loaded = timeout(within, tokio::spawn(loading)).await.map_err(CodeError::Late)?;
        let (module, environment) = loaded.map_err(CodeError::Task)?.map_err(CodeError::Late)??;
        Ok(Code { module, environment, waited: started.elapsed() })
    }

    fn ready(&self, revision: &Revision, digest: &Digest) -> Option<Code> {
        let environment = Arc::clone(revision.environment.get()?);
        let module = self.runtime.modules().get(digest)?;
        Some(Code { module, environment, waited: Duration::ZERO })
    }

    async fn load(
        &self,
        revision: &Revision,
        key: RevisionKey,
        digest: Digest,
    ) -> Result<(Module, Environment), CodeError> {
        let fetching = revision.fetching.lock().await;
        let environment = match revision.environment.get() {
            Some(environment) => Arc::clone(environment),
            None => {
                let fetched = self.fetch_environment(key, digest).await?;
                Arc::clone(revision.environment.get_or_init(|| fetched))
            }
        };
        let module = match self.runtime.modules().get(&digest) {
            Some(module) => module,
            None => self.runtime.modules().load(digest, self.fetch_module(digest).await?).await?,
        };
        drop(fetching);
        Ok((module, environment))
    }

    async fn fetch_environment(&self, key: RevisionKey, digest: Digest) -> Result<Environment, CodeError> {
        let RevisionKey { account, function, revision, .. } = key;
        let request = v1::GetRevisionRequest { account, function, revision };
        let answer = self.exchange.clone().get_revision(request).await.map_err(CodeError::Revision)?.into_inner();
        if answer.module != digest {
            return Err(CodeError::OtherModule);
        }
        Ok(answer.environment.into_iter().collect())
    }

    async fn fetch_module(&self, digest: Digest) -> Result<Bytes, CodeError> {
        let request = v1::GetModuleRequest { digest: digest.to_vec() };
        let mut chunks = self.exchange.clone().get(request).await.map_err(CodeError::Fetch)?.into_inner();
        let mut module = BytesMut::new();
        while let Some(chunk) = chunks.message().await.map_err(CodeError::Fetch)? {
            if module.len() + chunk.data.len() > MODULE_MAX_BYTES {
                return Err(CodeError::TooLarge);
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

    fn lock(&self) -> MutexGuard<'_, HashMap<RevisionKey, Arc<Revision>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
