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
mod permits;
mod provider;
mod registry;
mod standing;

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use merit_proto::{InProcess, Transport, v1};
use tokio_stream::wrappers::ReceiverStream;
use tonic::codec::CompressionEncoding;
use tonic::service::Routes;
use tonic_health::pb::health_server::{Health, HealthServer};

use crate::access::Identity;
use crate::exchange::Exchange;
use crate::serve::messages::{PROVIDER_MAX_BYTES, UPLOAD_MAX_BYTES};

const GZIP: CompressionEncoding = CompressionEncoding::Gzip;

impl Exchange {
    /// Makes a transport for clients in this process: they may do everything.
    ///
    /// Fails only if the compiled description of the protocol cannot be read.
    pub fn in_process(&self) -> BoxFuture<'_, Result<Transport, tonic_reflection::server::Error>> {
        // Boxed, so that the services are compiled here and not in each caller's crate.
        Box::pin(self.opened_in_process())
    }

    async fn opened_in_process(&self) -> Result<Transport, tonic_reflection::server::Error> {
        let services = self.guard_in_process(self.services().await?);
        let exchange = self.clone();
        let open =
            move |said| exchange.clone().open_broker_stream(Identity::InProcess, ReceiverStream::new(said).map(Ok));
        Ok(Transport::InProcess(InProcess::with_broker_streams(services, open)))
    }

    /// Makes the routes of all services, for callers that were admitted. They take requests in gzip, except modules and
    /// the services that strangers may call.
    pub(crate) async fn services(&self) -> Result<Routes, tonic_reflection::server::Error> {
        let reflection = || {
            tonic_reflection::server::Builder::configure()
                .register_encoded_file_descriptor_set(merit_proto::DESCRIPTORS)
        };
        let gateway = v1::provider_gateway_server::ProviderGatewayServer::new(self.clone());
        let modules = v1::modules_server::ModulesServer::new(self.clone());
        let routes = Routes::new(v1::brokerage_server::BrokerageServer::new(self.clone()).accept_compressed(GZIP))
            .add_service(v1::registry_server::RegistryServer::new(self.clone()).accept_compressed(GZIP))
            .add_service(v1::market_data_server::MarketDataServer::new(self.clone()))
            .add_service(v1::archive_server::ArchiveServer::new(self.clone()).accept_compressed(GZIP))
            .add_service(modules.max_decoding_message_size(UPLOAD_MAX_BYTES))
            .add_service(v1::operator_server::OperatorServer::new(self.clone()).accept_compressed(GZIP))
            .add_service(v1::keys_server::KeysServer::new(self.clone()).accept_compressed(GZIP))
            .add_service(gateway.max_decoding_message_size(PROVIDER_MAX_BYTES))
            .add_service(reflection().build_v1()?)
            .add_service(reflection().build_v1alpha()?)
            .add_service(health().await);
        Ok(routes)
    }
}

/// Makes the health service: it serves whatever else serves.
async fn health() -> HealthServer<impl Health> {
    let (health, service) = tonic_health::server::health_reporter();
    health.set_serving::<v1::brokerage_server::BrokerageServer<Exchange>>().await;
    health.set_serving::<v1::registry_server::RegistryServer<Exchange>>().await;
    health.set_serving::<v1::market_data_server::MarketDataServer<Exchange>>().await;
    health.set_serving::<v1::archive_server::ArchiveServer<Exchange>>().await;
    health.set_serving::<v1::modules_server::ModulesServer<Exchange>>().await;
    health.set_serving::<v1::operator_server::OperatorServer<Exchange>>().await;
    health.set_serving::<v1::keys_server::KeysServer<Exchange>>().await;
    health.set_serving::<v1::provider_gateway_server::ProviderGatewayServer<Exchange>>().await;
    service
}
