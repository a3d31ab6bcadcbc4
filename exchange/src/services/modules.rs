//! `merit.v1.Modules`: WebAssembly modules in and out, and a revision for the provider that runs it.

use std::time::Instant;

use futures_util::stream;
use merit_engine::{Adapter, Bid, Engine, Viewer};
use merit_listener::{Holder, Share};
use merit_proto::v1::modules_server::Modules;
use merit_proto::v1::{ModuleChunk, PutModuleResponse};
use merit_proto::{refusal_status, v1};
use merit_terms::{AccountId, FunctionId, Name, ProviderId, Refusal, Role};
use tokio::io::AsyncReadExt;
use tokio_stream::Stream;
use tonic::{Request, Response, Status};

use super::lookup::{unavailable, unknown};
use super::permits::{PermittedRevision, forbidden};
use crate::access::{Identity, caller};
use crate::disk_space::Growth;
use crate::error_chain::chain;
use crate::exchange::Exchange;
use crate::messages::digest_from_proto;
use crate::modules::{ModuleError, ModuleReport};

/// Chunk size in bytes: well below the default message limit of any gRPC client.
const CHUNK_BYTES: u64 = 256 << 10;
/// Maximum providers of a readiness answer, and of those that are asked to load the module.
const PROVIDERS_MAX: usize = 32;

#[tonic::async_trait]
impl Modules for Exchange {
    async fn put(&self, request: Request<v1::PutModuleRequest>) -> Result<Response<PutModuleResponse>, Status> {
        let caller = caller(&request)?;
        self.0.disk.check(Growth::Uploads).map_err(|refusal| refusal_status(&refusal))?;
        let v1::PutModuleRequest { module, account } = request.into_inner();
        let account = match account.as_str() {
            "" => caller.account(),
            name => Some(self.own_account(caller, name)?),
        };
        let store = self.0.modules.clone();
        let kept = self.0.upload_threads.run(move || store.put(&module)).await;
        let digest =
            kept.ok_or_else(|| Status::internal("checking the module failed"))?.map_err(|error| match error {
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
        let (caller, holder) = (caller(&request)?, self.holder(&request)?);
        let v1::GetModuleRequest { digest, permit } = request.into_inner();
        let digest = digest_from_proto(&digest)?.ok_or_else(|| Status::invalid_argument("digest: is missing"))?;
        match self.permit_of(caller, permit)? {
            Some(permitted) if self.0.sequencer.read(|engine| permitted.module(engine)) != Some(digest) => {
                return Err(forbidden("permit: it is for another module"));
            }
            None if !self.0.sequencer.read(|engine| may_fetch_module(engine, caller, &digest)) => {
                return Err(unknown("module", &hex::encode(digest)));
            }
            _ => {}
        }
        let share = self.0.quotas.module_reads.take(holder)?;
        let store = self.0.modules.clone();
        // The share goes along: a caller that leaves does not end the check of the digest.
        let opened = tokio::task::spawn_blocking(move || (store.open_module(&digest), share)).await;
        let (opened, share) = opened.map_err(|_| Status::internal("reading the module failed"))?;
        let file = opened
            .map_err(|error| Status::internal(chain(&error)))?
            .ok_or_else(|| unknown("module", &hex::encode(digest)))?;
        let reading = ModuleReading { file: tokio::fs::File::from_std(file), _share: share };
        Ok(Response::new(Box::pin(stream::try_unfold(reading, ModuleReading::next))))
    }

    async fn get_revision(
        &self,
        request: Request<v1::GetRevisionRequest>,
    ) -> Result<Response<v1::GetRevisionResponse>, Status> {
        let caller = caller(&request)?;
        let mut request = request.into_inner();
        let permitted = self.permit_of(caller, request.permit.take())?;
        if permitted.is_some_and(|permitted| !self.0.sequencer.read(|engine| permitted.is(engine, &request))) {
            return Err(forbidden("permit: it is for another revision"));
        }
        let name: Option<Name> = request.function.parse().ok();
        let look = |engine: &Engine| {
            let function = match permitted {
                Some(permitted) => permitted.function,
                None => {
                    let account = engine.find_account(&request.account)?;
                    let function = engine.find_function(account, name.as_ref()?)?;
                    Some(function).filter(|function| may_fetch(engine, caller, *function))?
                }
            };
            let code = &engine.function(function)?.revision(request.revision)?.code;
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
        let qualifier = v1::Qualifier { revision: Some(v1::qualifier::Revision::Number(revision)) };
        let bid = self.bid(&account, &function, Some(qualifier), None)?;
        let found = if warm { self.cheapest_agents(&bid).await? } else { self.reporting_agents(&bid, revision)? };
        let ModuleProviders { revision, module, providers } = found;
        for (id, _) in providers.iter().filter(|_| warm) {
            let (account, function) = (account.clone(), function.clone());
            let request = v1::WarmModule { account, function, revision, module: module.to_vec(), order: None };
            self.0.readiness.request(*id, module, request);
        }
        let told = providers.into_iter().map(|(id, name)| readiness_to_proto(name, self.0.readiness.of(id, &module)));
        Ok(Response::new(v1::GetReadinessResponse { revision, providers: told.collect() }))
    }
}

/// A module on its way to a reader, of which one chunk at a time is in memory.
struct ModuleReading {
    file: tokio::fs::File,
    _share: Option<Share<Holder>>,
}

impl ModuleReading {
    /// Reads the next chunk; none at the end.
    async fn next(mut self) -> Result<Option<(ModuleChunk, ModuleReading)>, Status> {
        let mut data = Vec::new();
        let read = (&mut self.file).take(CHUNK_BYTES).read_to_end(&mut data).await;
        read.map_err(|error| Status::internal(format!("reading the module failed: {error}")))?;
        Ok((!data.is_empty()).then(|| (ModuleChunk { data: data.into() }, self)))
    }
}

/// Agents that may run the module of a revision.
struct ModuleProviders {
    revision: u32,
    module: [u8; 32],
    providers: Vec<(ProviderId, String)>,
}

impl Exchange {
    /// Finds the agents to which a call may go now, cheapest first; then those that are full or behind.
    async fn cheapest_agents(&self, bid: &Bid) -> Result<ModuleProviders, Status> {
        let (found, durable) = {
            let _quoting = self.0.quoting.lock().await;
            self.0.sequencer.look(|engine| {
                let order = engine.quote(bid)?;
                let later =
                    order.refused.iter().filter(|refused| refused.reason.is_behind() || refused.reason.is_room());
                let later = later.map(|refused| refused.provider);
                let ids = order.offers.iter().map(|offer| offer.provider).chain(later);
                agents(engine, bid, order.revision, ids)
            })
        };
        durable.wait().await.map_err(unavailable)?;
        found.map_err(|refusal: Refusal| refusal_status(&refusal))
    }

    /// Finds the agents that have reported on the module and may run it, of those that its account may see.
    fn reporting_agents(&self, bid: &Bid, revision: u32) -> Result<ModuleProviders, Status> {
        let found = self.0.sequencer.read(|engine| {
            let none = agents(engine, bid, revision, std::iter::empty())?;
            let may_run = |id: &ProviderId| {
                engine.sees_provider(Viewer::Account(bid.account), *id) && engine.may_run(*id, bid.function, revision)
            };
            agents(engine, bid, revision, self.0.readiness.reporting(&none.module).into_iter().filter(may_run))
        });
        found.map_err(|refusal: Refusal| refusal_status(&refusal))
    }
}

/// Returns the agents among these providers, each once. Refuses a revision without a module.
fn agents(
    engine: &Engine,
    bid: &Bid,
    revision: u32,
    ids: impl Iterator<Item = ProviderId>,
) -> Result<ModuleProviders, Refusal> {
    let code = engine.function(bid.function).and_then(|function| Some(&function.revision(revision)?.code));
    let module = code.and_then(|code| code.module);
    let module =
        module.ok_or_else(|| Refusal::Unknown { what: "module of the revision", name: revision.to_string() })?;
    let mut providers: Vec<(ProviderId, String)> = Vec::new();
    for id in ids {
        let agent = engine.provider(id).filter(|provider| provider.adapter == Adapter::Agent);
        if let Some(agent) = agent.filter(|_| !providers.iter().any(|(known, _)| *known == id)) {
            providers.push((id, agent.name.to_string()));
            if providers.len() == PROVIDERS_MAX {
                break;
            }
        }
    }
    Ok(ModuleProviders { revision, module, providers })
}

fn readiness_to_proto(provider: String, report: Option<ModuleReport>) -> v1::ProviderReadiness {
    let mut told = v1::ProviderReadiness { provider, ..v1::ProviderReadiness::default() };
    match report {
        None => {}
        Some(ModuleReport::Ready) => told.set_readiness(v1::ModuleReadiness::Ready),
        Some(ModuleReport::Warming(ready_at)) => {
            told.set_readiness(v1::ModuleReadiness::Warming);
            let left = ready_at.saturating_duration_since(Instant::now());
            told.retry_after_s = u32::try_from(left.as_secs() + 1).unwrap_or(u32::MAX);
        }
        Some(ModuleReport::Refused(reason)) => {
            told.set_readiness(v1::ModuleReadiness::Refused);
            told.reason = reason;
        }
    }
    told
}

impl Exchange {
    /// Checks the permit that is shown. A provider's key reads nothing without one.
    fn permit_of(&self, caller: Identity, permit: Option<v1::ReadPermit>) -> Result<Option<PermittedRevision>, Status> {
        match permit {
            Some(permit) => self.permitted(caller, permit).map(Some),
            None if caller.has(Role::Provider) && !caller.is_operator() => Err(forbidden(
                "permit: none is shown; a provider reads a module or an environment by the proof of its lease, or by a \
                 warming order of its session",
            )),
            None => Ok(None),
        }
    }

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
        || engine.revisions_of_module(digest).any(|(function, _)| may_fetch(engine, caller, function))
}

/// Decides on fetching a function's code without a permit. Brokers and operators, who may sell as any provider, fetch
/// all; a client's key fetches its account's own.
fn may_fetch(engine: &Engine, caller: Identity, function: FunctionId) -> bool {
    let is_own = |account: AccountId| engine.function(function).is_some_and(|function| function.account == account);
    caller.has(Role::Broker) || caller.is_operator() || caller.account().is_some_and(is_own)
}
