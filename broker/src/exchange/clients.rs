//! The exchange as the broker calls it: one client per service over whichever transport.

use std::time::Duration;

use merit_proto::Transport;
use merit_proto::v1;
use merit_proto::v1::archive_client::ArchiveClient;
use merit_proto::v1::brokerage_client::BrokerageClient;
use merit_proto::v1::keys_client::KeysClient;
use merit_proto::v1::market_data_client::MarketDataClient;
use merit_proto::v1::modules_client::ModulesClient;
use merit_proto::v1::operator_client::OperatorClient;
use merit_proto::v1::registry_client::RegistryClient;

use crate::error::ApiError;

/// How long the exchange may take for one answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// A module with room around it.
const MESSAGE_MAX_BYTES: usize = 33 << 20;

/// The clients; cloning them is cheap.
#[derive(Clone)]
pub(crate) struct Exchange {
    pub(crate) brokerage: BrokerageClient<Transport>,
    pub(crate) registry: RegistryClient<Transport>,
    pub(crate) operator: OperatorClient<Transport>,
    pub(crate) market_data: MarketDataClient<Transport>,
    pub(crate) archive: ArchiveClient<Transport>,
    pub(crate) modules: ModulesClient<Transport>,
    pub(crate) keys: KeysClient<Transport>,
}

impl Exchange {
    pub(crate) fn new(transport: Transport) -> Exchange {
        Exchange {
            brokerage: BrokerageClient::new(transport.clone()),
            registry: RegistryClient::new(transport.clone()),
            operator: OperatorClient::new(transport.clone()),
            market_data: MarketDataClient::new(transport.clone()),
            archive: ArchiveClient::new(transport.clone()),
            keys: KeysClient::new(transport.clone()),
            modules: ModulesClient::new(transport).max_encoding_message_size(MESSAGE_MAX_BYTES),
        }
    }

    /// Whether the exchange answers.
    pub(crate) async fn is_ready(&self) -> bool {
        let mut client = self.market_data.clone();
        let asked = tokio::time::timeout(Duration::from_secs(2), client.list_markets(v1::ListMarketsRequest {})).await;
        matches!(asked, Ok(Ok(_)))
    }
}

/// Waits for an answer of the exchange, within a bound. The call is put on the heap: it is made in few requests, and every
/// request's own future would be larger by it.
pub(crate) async fn answer<T>(
    call: impl Future<Output = Result<tonic::Response<T>, tonic::Status>>,
) -> Result<T, ApiError> {
    match tokio::time::timeout(ANSWER_WITHIN, Box::pin(call)).await {
        Ok(answer) => Ok(answer?.into_inner()),
        Err(_) => Err(ApiError::unavailable("the exchange does not answer; try again shortly")),
    }
}
