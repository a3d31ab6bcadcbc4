//! The gRPC services: each parses a message, makes one core call, and encodes the answer.
//!
//! Never decides anything about the market. Answers that need durability wait here, and only here.

mod archive;
mod broker;
mod brokerage;
mod keys;
mod lookup;
mod market_data;
mod modules;
mod operator;
mod outgoing;
mod paging;
mod provider;
mod registry;
mod standing;

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use merit_proto::{InProcess, Transport, v1};
use tokio_stream::wrappers::ReceiverStream;
use tonic::service::Routes;

use crate::access::{Entrance, Identity};
use crate::exchange::Exchange;
use crate::serve::messages::UPLOAD_MAX_BYTES;

impl Exchange {
    /// Makes a transport for clients in this process: they may do everything.
    ///
    /// Fails only if the compiled description of the protocol cannot be read.
    pub fn in_process(&self) -> BoxFuture<'_, Result<Transport, tonic_reflection::server::Error>> {
        // Boxed, so that the services are compiled here and not in each caller's crate.
        Box::pin(self.opened_in_process())
    }

    async fn opened_in_process(&self) -> Result<Transport, tonic_reflection::server::Error> {
        let services = self.guard(self.services().await?, Entrance::InProcess);
        let exchange = self.clone();
        let open =
            move |said| exchange.clone().open_broker_stream(Identity::InProcess, ReceiverStream::new(said).map(Ok));
        Ok(Transport::InProcess(InProcess::with_broker_streams(services, open)))
    }

    /// Makes the routes of all services, to be put behind a guard.
    pub(crate) async fn services(&self) -> Result<Routes, tonic_reflection::server::Error> {
        let reflection = tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(merit_proto::DESCRIPTORS)
            .build_v1()?;
        let (health, health_service) = tonic_health::server::health_reporter();
        health.set_serving::<v1::brokerage_server::BrokerageServer<Exchange>>().await;
        let modules = v1::modules_server::ModulesServer::new(self.clone());
        let routes = Routes::new(v1::brokerage_server::BrokerageServer::new(self.clone()))
            .add_service(v1::registry_server::RegistryServer::new(self.clone()))
            .add_service(v1::market_data_server::MarketDataServer::new(self.clone()))
            .add_service(v1::archive_server::ArchiveServer::new(self.clone()))
            .add_service(modules.max_decoding_message_size(UPLOAD_MAX_BYTES))
            .add_service(v1::operator_server::OperatorServer::new(self.clone()))
            .add_service(v1::keys_server::KeysServer::new(self.clone()))
            .add_service(v1::provider_gateway_server::ProviderGatewayServer::new(self.clone()))
            .add_service(reflection)
            .add_service(health_service);
        Ok(routes)
    }
}
