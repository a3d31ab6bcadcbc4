//! `merit.v1.Modules`: WebAssembly modules in and out, and what a provider needs to run a revision.

use merit_proto::v1;
use merit_proto::v1::modules_server::Modules;
use merit_proto::v1::{ModuleChunk, PutModuleResponse};
use tokio_stream::Stream;
use tonic::{Request, Response, Status};

use super::{unavailable, unknown};
use crate::codec::digest_from_proto;
use crate::modules::ModuleError;
use crate::open::Exchange;
use crate::sequencer::chain;

/// Well below the largest message of any gRPC client's defaults.
const CHUNK_BYTES: usize = 1 << 20;

#[tonic::async_trait]
impl Modules for Exchange {
    async fn put(&self, request: Request<v1::PutModuleRequest>) -> Result<Response<PutModuleResponse>, Status> {
        let (store, module) = (self.0.modules.clone(), request.into_inner().module);
        let kept = tokio::task::spawn_blocking(move || store.put(&module)).await;
        let digest =
            kept.map_err(|_| Status::internal("checking the module failed"))?.map_err(|error| match error {
                ModuleError::Io { .. } => Status::internal(chain(&error)),
                error => Status::invalid_argument(error.to_string()),
            })?;
        Ok(Response::new(PutModuleResponse { digest: digest.to_vec() }))
    }

    type GetStream = std::pin::Pin<Box<dyn Stream<Item = Result<ModuleChunk, Status>> + Send>>;

    async fn get(&self, request: Request<v1::GetModuleRequest>) -> Result<Response<Self::GetStream>, Status> {
        let digest = digest_from_proto(&request.into_inner().digest)?
            .ok_or_else(|| Status::invalid_argument("digest: is missing"))?;
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
        let request = request.into_inner();
        let account = self.account_id(&request.account)?;
        let function = self.function_id(account, &request.function)?;
        let look = |engine: &merit_engine::Engine| {
            let code = &engine.function(function)?.revision(request.revision)?.code;
            let module = code.module.map(|digest| digest.to_vec()).unwrap_or_default();
            Some(v1::GetRevisionResponse { module, environment: code.environment.clone() })
        };
        let revision = self.0.sequencer.read_durable(look).await.map_err(unavailable)?;
        let name = format!("{}:{}", request.function, request.revision);
        revision.map(Response::new).ok_or_else(|| unknown("revision", &name))
    }
}
