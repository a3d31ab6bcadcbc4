//! The gRPC services: each parses a message, makes one core call, and encodes the answer.
//!
//! Never decides anything about the market. What is gated on durability waits here, and only here.

mod archive;
mod broker_asks;
mod broker_stream;
mod brokerage;
mod dispatchable;
mod keys;
mod market_data;
mod modules;
mod operator;
mod paging;
mod provider_gateway;
mod provider_session;
mod registry;
mod standing;

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use merit_engine::{Command, Engine, LeaseTerms, Reply};
use merit_proto::v1;
use merit_proto::{FieldError, InProcess, TokenError, Transport, refusal_status};
use merit_terms::{AccountId, FunctionId, Name, ProviderId, Refusal};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;
use tonic::service::Routes;

use crate::access::Entrance;
use crate::codec::lease_terms_from_proto;
use crate::identity::Identity;
use crate::open::Exchange;
use crate::sequencer::SubmitError;

/// The largest message: a module with room around it.
const MESSAGE_MAX_BYTES: usize = crate::modules::MODULE_MAX_BYTES + (1 << 20);

impl Exchange {
    /// The exchange for clients in this process: they may do everything.
    ///
    /// Fails only if the compiled description of the protocol cannot be read.
    pub fn in_process(&self) -> BoxFuture<'_, Result<Transport, tonic_reflection::server::Error>> {
        Box::pin(self.opened_in_process()) // Boxed, so that the services are compiled here and not in each caller's crate.
    }

    async fn opened_in_process(&self) -> Result<Transport, tonic_reflection::server::Error> {
        let services = self.guard(self.services().await?, Entrance::InProcess);
        let exchange = self.clone();
        let open =
            move |said| exchange.clone().open_broker_stream(Identity::InProcess, ReceiverStream::new(said).map(Ok));
        Ok(Transport::InProcess(InProcess::with_broker_streams(services, open)))
    }

    /// Every service, to be put behind a guard.
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
            .add_service(modules.max_decoding_message_size(MESSAGE_MAX_BYTES))
            .add_service(v1::operator_server::OperatorServer::new(self.clone()))
            .add_service(v1::keys_server::KeysServer::new(self.clone()))
            .add_service(v1::provider_gateway_server::ProviderGatewayServer::new(self.clone()))
            .add_service(reflection)
            .add_service(health_service);
        Ok(routes)
    }

    /// Applies a command and waits until it is durable. Its sequence is 0 if it changed nothing.
    async fn command(&self, command: &Command) -> Result<(Reply, u64), Status> {
        let submitted = self.0.sequencer.submit(command).map_err(unavailable)?;
        let reply = submitted.applied.reply.map_err(|refusal| refusal_status(&refusal))?;
        submitted.durable.wait().await.map_err(unavailable)?;
        Ok((reply, submitted.applied.sequence.unwrap_or(0)))
    }

    fn account_id(&self, name: &str) -> Result<AccountId, Status> {
        // The exchange's own accounts sell and buy nothing.
        let find = |engine: &Engine| {
            let id = engine.find_account(name)?;
            engine.account(id).is_ok_and(|account| !account.is_system()).then_some(id)
        };
        self.0.sequencer.read(find).ok_or_else(|| unknown("account", name))
    }

    /// An account that the caller acts for. Another's is answered as one that is not there.
    fn own_account(&self, caller: Identity, name: &str) -> Result<AccountId, Status> {
        let id = self.account_id(name)?;
        if caller.acts_for(id) { Ok(id) } else { Err(unknown("account", name)) }
    }

    /// An account that the caller may see. Another's is answered as one that is not there.
    fn readable_account(&self, caller: Identity, name: &str) -> Result<AccountId, Status> {
        let id = self.account_id(name)?;
        if caller.reads_of(id) { Ok(id) } else { Err(unknown("account", name)) }
    }

    /// The terms of a lease that this exchange has proven.
    fn proven(&self, proof: &v1::LeaseProof) -> Result<LeaseTerms, Status> {
        let forged = |error: TokenError| refusal_status(&Refusal::Forbidden { message: format!("proof: {error}") });
        let terms = merit_proto::check_proof(&self.0.lease_key, proof).map_err(forged)?;
        Ok(lease_terms_from_proto(&terms)?)
    }

    fn provider_id(&self, name: &str) -> Result<ProviderId, Status> {
        let parsed: Name = parse("provider", name)?;
        self.0.sequencer.read(|engine| engine.find_provider(&parsed)).ok_or_else(|| unknown("provider", name))
    }

    fn function_id(&self, account: AccountId, name: &str) -> Result<FunctionId, Status> {
        let parsed: Name = parse("function", name)?;
        let found = self.0.sequencer.read(|engine| engine.find_function(account, &parsed));
        found.ok_or_else(|| unknown("function", name))
    }
}

fn unavailable(error: SubmitError) -> Status {
    Status::unavailable(error.to_string())
}

fn unknown(what: &'static str, name: &str) -> Status {
    refusal_status(&Refusal::Unknown { what, name: name.to_owned() })
}

fn parse<T: std::str::FromStr<Err: ToString>>(field: &str, text: &str) -> Result<T, Status> {
    text.parse().map_err(|error: T::Err| FieldError::new(field, error.to_string()).into())
}

fn provider_name(engine: &Engine, id: ProviderId) -> String {
    engine.provider(id).map_or_else(String::new, |provider| provider.name.to_string())
}
