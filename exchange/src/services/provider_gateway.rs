//! `merit.v1.ProviderGateway`: one stream is one session of one provider. From a new stream to its logon, and its end.
//!
//! A provider that is silent for three heartbeats, or whose stream ends without a logout, is disconnected.

use std::pin::Pin;
use std::time::Duration;

use merit_engine::{Command, Engine, Logon, ProviderKind, RegisterProvider, Reply};
use merit_proto::v1;
use merit_proto::v1::exchange_message::Message as Told;
use merit_proto::v1::provider_gateway_server::ProviderGateway;
use merit_proto::v1::provider_message::Message as Heard;
use merit_proto::{FieldError, refusal_status};
use merit_terms::{Name, PoolSize, ProviderId, Refusal};
use tokio::sync::mpsc;
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::parse;
use super::provider_session::OnSession;
use crate::codec::adapter_from_proto;
use crate::open::Exchange;

/// Answers that may wait for the provider to read them.
const ANSWERS_MAX: usize = 256;
/// How long a new stream may take to log on.
const LOGON_WITHIN: Duration = Duration::from_secs(10);
/// How long a provider may take to read: less than its heartbeats.
const READ_WITHIN: Duration = Duration::from_secs(2);

#[tonic::async_trait]
impl ProviderGateway for Exchange {
    type SessionStream = Pin<Box<dyn Stream<Item = Result<v1::ExchangeMessage, Status>> + Send>>;

    async fn session(
        &self,
        request: Request<Streaming<v1::ProviderMessage>>,
    ) -> Result<Response<Self::SessionStream>, Status> {
        let mut incoming = request.into_inner();
        let (sender, receiver) = mpsc::channel(ANSWERS_MAX);
        let exchange = self.clone();
        // The task ends with the stream, at the latest when the provider misses its heartbeats.
        tokio::spawn(async move {
            exchange.serve_session(&mut incoming, Outgoing(sender)).await;
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
    }
}

/// What goes to the provider.
pub(super) struct Outgoing(mpsc::Sender<Result<v1::ExchangeMessage, Status>>);

/// The provider no longer reads.
pub(super) struct Gone;

impl Outgoing {
    /// Tells something of this session only.
    pub(super) async fn tell(&self, message: Told) -> Result<(), Gone> {
        self.tell_numbered(0, message).await
    }

    pub(super) async fn tell_numbered(&self, session_sequence: u64, message: Told) -> Result<(), Gone> {
        let message = v1::ExchangeMessage { session_sequence, message: Some(message) };
        let sent = tokio::time::timeout(READ_WITHIN, self.0.send(Ok(message))).await;
        if matches!(sent, Ok(Ok(()))) { Ok(()) } else { Err(Gone) }
    }

    /// Ends the stream with a reason, if the provider still reads.
    fn end(&self, status: Status) {
        drop(self.0.try_send(Err(status)));
    }
}

impl Exchange {
    async fn serve_session(&self, incoming: &mut Streaming<v1::ProviderMessage>, outgoing: Outgoing) {
        let logon = match tokio::time::timeout(LOGON_WITHIN, incoming.message()).await {
            Ok(Ok(Some(v1::ProviderMessage { message: Some(Heard::Logon(logon)) }))) => logon,
            Ok(Err(_) | Ok(None)) => return,
            Ok(Ok(Some(_))) => return outgoing.end(Status::invalid_argument("the first message must be a Logon")),
            Err(_) => return outgoing.end(Status::deadline_exceeded("no Logon within 10 s")),
        };
        let name = logon.provider.clone();
        let mut session = match self.log_on(logon).await {
            Ok(session) => session,
            Err(status) => {
                tracing::warn!(provider = name, reason = status.message(), "a logon was refused");
                return outgoing.end(status);
            }
        };
        tracing::info!(provider = name, session = session.session, "a provider logged on");
        let ended = self.run_session(&name, &mut session, incoming, &outgoing).await;
        tracing::info!(provider = name, session = session.session, reason = ended.message(), "a session ended");
        // Refused without harm if the session is over already, by a logout or another session.
        let disconnect = Command::Disconnect { provider: session.provider, session: session.session };
        if let Err(error) = self.0.sequencer.submit_ending(&disconnect) {
            tracing::warn!(provider = name, %error, "its offers could not be cancelled");
        }
        outgoing.end(ended);
    }

    async fn log_on(&self, logon: v1::Logon) -> Result<OnSession, Status> {
        let name: Name = parse("provider", &logon.provider)?;
        check_endpoint(&logon.endpoint)?;
        let quotas = logon.quotas.iter().map(TryInto::try_into).collect::<Result<_, FieldError>>()?;
        let provider = match self.0.sequencer.read(|engine| engine.find_provider(&name)) {
            Some(provider) => provider,
            None => self.welcome_stranger(&name).await?,
        };
        let pools: Vec<PoolSize> = logon.pools.iter().map(Into::into).collect();
        let command = Logon {
            provider,
            pools: pools.clone(),
            quotas,
            protection: logon.protection.map(Into::into),
            adapter: adapter_from_proto(logon.adapter)?,
            endpoint_trusted: is_vouched_for(&logon),
            endpoint: logon.endpoint,
        };
        let (reply, _) = self.command(&Command::Logon(Box::new(command))).await?;
        let Reply::Session(session) = reply else {
            return Err(Status::internal("the logon answered something else than a session"));
        };
        let listening = self.0.projections.sessions.listen(provider, session, logon.last_sequence);
        Ok(OnSession { provider, session, pools, listening })
    }

    /// Registers an unknown provider as a market seller with an account of its own, where that is allowed.
    async fn welcome_stranger(&self, name: &Name) -> Result<ProviderId, Status> {
        if !self.0.settings.open_to_providers {
            let message = format!("the provider `{name}` is not registered; ask the operator to register it");
            return Err(refusal_status(&Refusal::Forbidden { message }));
        }
        let unused = |engine: &Engine| engine.account(engine.find_account(name.as_str())?).ok().cloned();
        match self.0.sequencer.read(unused) {
            // A crash may have come between the account and the provider.
            Some(account)
                if account.balance == merit_terms::Balance::ZERO && account.held == 0 && !account.is_system() => {}
            Some(_) => {
                return Err(refusal_status(&Refusal::Exists { what: "account", name: name.to_string() }));
            }
            None => drop(self.command(&Command::OpenAccount { name: name.clone() }).await?),
        }
        let account = self.account_id(name.as_str())?;
        let command =
            RegisterProvider { name: name.clone(), account, kind: ProviderKind::Market, labels: Default::default() };
        match self.command(&Command::RegisterProvider(command)).await? {
            (Reply::Provider(provider), _) => Ok(provider),
            _ => Err(Status::internal("the registry answered something else than a provider")),
        }
    }
}

/// Whether the operator vouches for the endpoint of a logon: only by logging on with a key of its own.
fn is_vouched_for(_logon: &v1::Logon) -> bool {
    false
}

/// Without keys anybody may log on, so that calls are sent to this machine only, by plain HTTP.
fn check_endpoint(endpoint: &str) -> Result<(), Status> {
    let refused = |what: &str| Err(Status::invalid_argument(format!("endpoint: `{endpoint}` {what}")));
    let Ok(uri) = endpoint.parse::<tonic::codegen::http::Uri>() else { return refused("is not a URL") };
    let plain = uri.scheme_str() == Some("http") && uri.query().is_none() && !endpoint.contains(['#', '@']);
    if !plain || endpoint.len() > 512 {
        return refused("is not a plain URL such as http://127.0.0.1:9000; TLS is not in this version");
    }
    let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    let loopback = host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    if loopback { Ok(()) } else { refused("is not a loopback address; without keys only this machine is called") }
}
