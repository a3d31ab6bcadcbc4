//! `merit.v1.Modules`: WebAssembly modules in and out, and a revision for the provider that runs it.

use std::time::Instant;

use merit_engine::{Adapter, Bid, Engine};
use merit_proto::v1::modules_server::Modules;
use merit_proto::v1::{ModuleChunk, PutModuleResponse};
use merit_proto::{refusal_status, v1};
use merit_terms::{AccountId, FunctionId, Name, ProviderId, Refusal, Role};
use tokio_stream::Stream;
use tonic::{Request, Response, Status};

use super::lookup::{unavailable, unknown};
use crate::access::{Identity, caller};
use crate::error_chain::chain;
use crate::exchange::Exchange;
use crate::messages::digest_from_proto;
use crate::modules::{ModuleError, ModuleWord};

/// Chunk size in bytes, 1 MiB: well below the default message limit of any gRPC client.
const CHUNK_BYTES: usize = 1 << 20;
/// Providers of one revision that are listed, and asked to make its module ready.
const RUNNERS_MAX: usize = 32;

#[tonic::async_trait]
impl Modules for Exchange {
    async fn put(&self, request: Request<v1::PutModuleRequest>) -> Result<Response<PutModuleResponse>, Status> {
        let caller = caller(&request)?;
        let v1::PutModuleRequest { module, account } = request.into_inner();
        let account = match account.as_str() {
            "" => caller.account(),
            name => Some(self.own_account(caller, name)?),
        };
        let store = self.0.modules.clone();
        let kept = tokio::task::spawn_blocking(move || store.put(&module)).await;
        let digest =
            kept.map_err(|_| Status::internal("checking the module failed"))?.map_err(|error| match error {
                ModuleError::Io { .. } => Status::internal(chain(&error)),
                error => Status::invalid_argument(error.to_string()),
            })?;
        if let Some(account) = account {
            self.0.uploads.note(account, digest);
        }
        Ok(Response::new(PutModuleResponse { digest: digest.to_vec() }))
    }

    type GetStream = std::pin::Pin<Box<dyn Stream<Item = Result<ModuleChunk, Status>> + Send>>;

    async fn get(&self, request: Request<v1::GetModuleRequest>) -> Result<Response<Self::GetStream>, Status> {
        let caller = caller(&request)?;
        let digest = digest_from_proto(&request.into_inner().digest)?
            .ok_or_else(|| Status::invalid_argument("digest: is missing"))?;
        if !self.0.sequencer.read(|engine| may_fetch_module(engine, caller, &digest)) {
            return Err(unknown("module", &hex::encode(digest)));
        }
        let store = self.0.modules.clone();
        let read = tokio::task::spawn_blocking(move || store.get(&digest)).await;
        let module = read
            .map_err(|_| Status::internal("reading the module failed"))?
            .map_err(|error| Status::internal(chain(&error)))?
            .ok_or_else(|| unknown("module", &hex::encode(digest)))?;
        let module = tonic::codegen::Bytes::from(module);
        let positions = (0..module.len()).step_by(CHUNK_BYTES);
        let chunks: Vec<_> = positions
            .map(|from| Ok(ModuleChunk { data: module.slice(from..module.len().min(from + CHUNK_BYTES)) }))
            .collect();
        Ok(Response::new(Box::pin(tokio_stream::iter(chunks))))
    }

    async fn get_revision(
        &self,
        request: Request<v1::GetRevisionRequest>,
    ) -> Result<Response<v1::GetRevisionResponse>, Status> {
        let caller = caller(&request)?;
        let request = request.into_inner();
        let name: Option<Name> = request.function.parse().ok();
        let look = |engine: &Engine| {
            let account = engine.find_account(&request.account)?;
            let function = engine.find_function(account, name.as_ref()?)?;
            let code = &engine.function(function)?.revision(request.revision)?.code;
            if !may_fetch(engine, caller, (function, request.revision)) {
                return None;
            }
            let module = code.module.map(|digest| digest.to_vec()).unwrap_or_default();
            Some(v1::GetRevisionResponse { module, environment: code.environment.clone() })
        };
        let revision = self.0.sequencer.read_durable(look).await.map_err(unavailable)?;
        // One answer, whichever part is missing, and for a caller that may not see it.
        let name = format!("{}/{}:{}", request.account, request.function, request.revision);
        revision.map(Response::new).ok_or_else(|| unknown("revision", &name))
    }

    async fn get_readiness(
        &self,
        request: Request<v1::GetReadinessRequest>,
    ) -> Result<Response<v1::GetReadinessResponse>, Status> {
        let caller = caller(&request)?;
        let v1::GetReadinessRequest { account, function, revision, warm } = request.into_inner();
        self.own_account(caller, &account)?;
        let qualifier =
            (revision > 0).then_some(v1::Qualifier { revision: Some(v1::qualifier::Revision::Number(revision)) });
        let bid = self.bid(&account, &function, qualifier, None)?;
        let _quoting = self.0.quoting.lock().await;
        let found =
            self.0.sequencer.read(|engine| module_runners(engine, &bid)).map_err(|refusal| refusal_status(&refusal))?;
        let ModuleRunners { revision, module, providers } = found;
        let told = providers.into_iter().map(|(id, provider)| {
            let word = module.and_then(|module| self.0.readiness.of(id, &module));
            if let Some(module) = module.filter(|_| warm && word != Some(ModuleWord::Ready)) {
                let (account, function) = (account.clone(), function.clone());
                let order = v1::WarmModule { account, function, revision, module: module.to_vec() };
                self.0.readiness.order(id, order);
            }
            readiness_to_proto(provider, word)
        });
        Ok(Response::new(v1::GetReadinessResponse { revision, providers: told.collect() }))
    }
}

/// The agents to which calls of a revision may go.
struct ModuleRunners {
    revision: u32,
    module: Option<[u8; 32]>,
    /// Cheapest first.
    providers: Vec<(ProviderId, String)>,
}

/// Finds the agents to which a call of a module may go now, or could if they had room.
fn module_runners(engine: &Engine, bid: &Bid) -> Result<ModuleRunners, Refusal> {
    let order = engine.quote(bid)?;
    let code = engine.function(bid.function).and_then(|function| Some(&function.revision(order.revision)?.code));
    let module = code.and_then(|code| code.module);
    let later = order.refused.iter().filter(|refused| refused.reason.is_away() || refused.reason.is_room());
    let mut ids: Vec<ProviderId> = Vec::new();
    for id in order.offers.iter().map(|offer| offer.provider).chain(later.map(|refused| refused.provider)) {
        if ids.len() < RUNNERS_MAX && !ids.contains(&id) {
            ids.push(id);
        }
    }
    let agents = ids.into_iter().filter_map(|id| {
        let provider = engine.provider(id).filter(|provider| provider.adapter == Adapter::Agent)?;
        Some((id, provider.name.to_string()))
    });
    Ok(ModuleRunners { revision: order.revision, module, providers: agents.filter(|_| module.is_some()).collect() })
}

fn readiness_to_proto(provider: String, word: Option<ModuleWord>) -> v1::ProviderReadiness {
    let mut told = v1::ProviderReadiness { provider, ..v1::ProviderReadiness::default() };
    match word {
        None => {}
        Some(ModuleWord::Ready) => told.set_readiness(v1::ModuleReadiness::Ready),
        Some(ModuleWord::Warming(ready_at)) => {
            told.set_readiness(v1::ModuleReadiness::Warming);
            let left = ready_at.saturating_duration_since(Instant::now());
            told.retry_after_s = u32::try_from(left.as_secs() + 1).unwrap_or(u32::MAX);
        }
        Some(ModuleWord::Refused(reason)) => {
            told.set_readiness(v1::ModuleReadiness::Refused);
            told.reason = reason;
        }
    }
    told
}

impl Exchange {
    /// Returns true if an account may define a function with a module: it is kept, and the account has put it or uses
    /// it.
    pub(super) fn may_define_with(&self, account: AccountId, digest: &[u8; 32]) -> bool {
        let is_own = |engine: &Engine| {
            let mut revisions = engine.revisions_of_module(digest);
            revisions.any(|(id, _)| engine.function(id).is_some_and(|function| function.account == account))
        };
        self.0.modules.has(digest) && (self.0.uploads.has(account, digest) || self.0.sequencer.read(is_own))
    }
}

fn may_fetch_module(engine: &Engine, caller: Identity, digest: &[u8; 32]) -> bool {
    caller.has(Role::Broker)
        || caller.is_operator()
        || engine.revisions_of_module(digest).any(|revision| may_fetch(engine, caller, revision))
}

/// Decides on fetching a revision. Brokers and operators, who may sell as any provider, fetch all; a provider's key
/// fetches revisions that a provider of its account may run; a client's key fetches its account's own.
fn may_fetch(engine: &Engine, caller: Identity, (function, revision): (FunctionId, u32)) -> bool {
    if caller.has(Role::Broker) || caller.is_operator() {
        return true;
    }
    let Some(account) = caller.account() else { return false };
    if caller.has(Role::Provider) {
        let mut own = engine.providers().filter(|(_, provider)| provider.account == account);
        return own.any(|(id, _): (ProviderId, _)| engine.may_run(id, function, revision));
    }
    engine.function(function).is_some_and(|function| function.account == account)
}
