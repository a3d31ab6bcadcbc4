//! The clients of the exchange's services, one each over whichever transport; and how their errors reach a caller.

use std::sync::Arc;
use std::time::Duration;

use merit_proto::v1::archive_client::ArchiveClient;
use merit_proto::v1::brokerage_client::BrokerageClient;
use merit_proto::v1::keys_client::KeysClient;
use merit_proto::v1::market_data_client::MarketDataClient;
use merit_proto::v1::modules_client::ModulesClient;
use merit_proto::v1::operator_client::OperatorClient;
use merit_proto::v1::registry_client::RegistryClient;
use merit_proto::{Transport, code_of};
use tokio::sync::Semaphore;
use tonic::Code;

use super::turns::Turns;
use crate::error::{ApiError, ErrorCode};

/// Timeout of a call of the exchange.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// Timeout of the readiness check.
const READY_WITHIN: Duration = Duration::from_secs(2);
/// Lookups of a nearest name at once; an error beyond them goes out without one.
const LOOKUPS_MAX: usize = 4;
/// Maximum message in bytes: a module to the exchange, or a page of 1,000 logs from it.
const MESSAGE_MAX_BYTES: usize = 33 << 20;

/// The clients. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Exchange {
    pub(super) brokerage: BrokerageClient<Transport>,
    pub(super) registry: RegistryClient<Transport>,
    pub(super) operator: OperatorClient<Transport>,
    pub(super) market_data: MarketDataClient<Transport>,
    pub(super) archive: ArchiveClient<Transport>,
    pub(super) modules: ModulesClient<Transport>,
    pub(super) keys: KeysClient<Transport>,
    pub(super) turns: Arc<Turns>,
    pub(super) lookups: Arc<Semaphore>,
}

impl Exchange {
    pub(crate) fn new(transport: Transport) -> Exchange {
        Exchange {
            brokerage: BrokerageClient::new(transport.clone()),
            registry: RegistryClient::new(transport.clone()),
            operator: OperatorClient::new(transport.clone()),
            market_data: MarketDataClient::new(transport.clone()),
            archive: ArchiveClient::new(transport.clone()).max_decoding_message_size(MESSAGE_MAX_BYTES),
            keys: KeysClient::new(transport.clone()),
            modules: ModulesClient::new(transport).max_encoding_message_size(MESSAGE_MAX_BYTES),
            turns: Arc::default(),
            lookups: Arc::new(Semaphore::new(LOOKUPS_MAX)),
        }
    }

    /// Refuses unless the exchange answers and takes calls.
    pub(crate) async fn check_ready(&self) -> Result<(), ApiError> {
        match tokio::time::timeout(READY_WITHIN, self.disk()).await {
            Ok(Ok(disk)) if disk.refuses_calls => {
                let free_mb = disk.free_bytes >> 20;
                Err(ApiError::unavailable(format!("the exchange's disk is nearly full, {free_mb} MB are free")))
            }
            Ok(Ok(_)) => Ok(()),
            _ => Err(ApiError::unavailable("the exchange does not answer")),
        }
    }
}

/// Waits for an answer of the exchange, within the timeout. Boxes the call: few requests make one, and the future of
/// every request would be larger by it.
pub(super) async fn answer<T>(
    call: impl Future<Output = Result<tonic::Response<T>, tonic::Status>>,
) -> Result<T, ApiError> {
    match tokio::time::timeout(ANSWER_WITHIN, Box::pin(call)).await {
        Ok(answer) => Ok(answer.map_err(error_of)?.into_inner()),
        Err(_) => Err(unanswered()),
    }
}

/// Returns the error of an exchange that does not answer.
pub(crate) fn unanswered() -> ApiError {
    ApiError::unavailable("the exchange does not answer; try again shortly")
}

/// Returns the error that a caller reads of a status.
fn error_of(status: tonic::Status) -> ApiError {
    if let Some(code) = code_of(&status) {
        return ApiError::new(code, status.message());
    }
    match status.code() {
        Code::NotFound => ApiError::not_found(status.message()),
        Code::InvalidArgument => ApiError::unusable(status.message()),
        // The exchange says why it cannot do this now.
        Code::Aborted => ApiError::unavailable(status.message()),
        Code::ResourceExhausted | Code::OutOfRange => ApiError::new(ErrorCode::TooLarge, status.message()),
        // Of an exchange that is away, the broker's stream warns.
        Code::Unavailable => {
            tracing::debug!(reason = status.message(), "the exchange did not answer");
            unanswered()
        }
        code => {
            tracing::warn!(code = %code, reason = status.message(), "the exchange failed to answer");
            unanswered()
        }
    }
}
