//! `merit.v1.ProviderGateway`: one stream is one session of one provider; its logon and its end.
//!
//! A provider that is silent for three heartbeats, or whose stream ends without a logout, is disconnected.

use std::pin::Pin;
use std::time::Duration;

use merit_engine::{Command, Engine, Logon, ProviderKind, RegisterProvider, Reply};
use merit_proto::v1;
use merit_proto::v1::provider_gateway_server::ProviderGateway;
use merit_proto::v1::provider_message::Message as Heard;
use merit_proto::{FieldError, refusal_status};
use merit_terms::{Name, PoolSize, ProviderId, Refusal, Role};
use tokio::sync::mpsc;
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::endpoint::check_endpoint;
use super::session::{OnSession, ToProvider};
use crate::access::{Identity, caller};
use crate::exchange::Exchange;
use crate::messages::{adapter_from_proto, targets_from_proto};
use crate::services::lookup::{parse, unknown};
use crate::services::outgoing::Outgoing;

/// Queue length of messages before a provider.
const ANSWERS_MAX: usize = 256;
/// Timeout of a logon on a new stream, 10 s.
const LOGON_WITHIN: Duration = Duration::from_secs(10);
/// Timeout of a provider that does not read, 2 s: less than its heartbeats.
const READ_WITHIN: Duration = Duration::from_secs(2);

#[tonic::async_trait]
impl ProviderGateway for Exchange {
    type SessionStream = Pin<Box<dyn Stream<Item = Result<v1::ExchangeMessage, Status>> + Send>>;

    async fn session(
        &self,
        request: Request<Streaming<v1::ProviderMessage>>,
    ) -> Result<Response<Self::SessionStream>, Status> {
        let caller = caller(&request)?;
        let holder = self.holder(&request)?;
        let logon_share = self.0.quotas.logons.take(holder.clone())?;
        let mut incoming = request.into_inner();
        let (sender, receiver) = mpsc::channel(ANSWERS_MAX);
        let exchange = self.clone();
        // The task ends with the stream, at the latest when the provider misses its heartbeats.
        tokio::spawn(async move {
            let outgoing = Outgoing::new(sender, READ_WITHIN);
            let Some(logon) = exchange.logon(&mut incoming, &outgoing).await else { return };
            let seller = exchange.seller(caller, &logon.key);
            let share = seller.and_then(|seller| {
                // By the key of the logon, if there is one.
                exchange.0.quotas.sessions.take(exchange.holder_of(seller).or(holder)).map(|share| (seller, share))
            });
            match share {
                Ok((seller, _share)) => {
                    drop(logon_share);
                    exchange.serve_session(seller, logon, &mut incoming, outgoing).await;
                }
                Err(status) => {
                    tracing::warn!(provider = logon.provider, reason = status.message(), "a logon was refused");
                    outgoing.end(status);
                }
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
    }
}

impl Exchange {
    /// Reads the logon of a new stream. None if there is none in time; the stream has ended then.
    async fn logon(&self, incoming: &mut Streaming<v1::ProviderMessage>, outgoing: &ToProvider) -> Option<v1::Logon> {
        let refused = match tokio::time::timeout(LOGON_WITHIN, incoming.message()).await {
            Ok(Ok(Some(v1::ProviderMessage { message: Some(Heard::Logon(logon)) }))) => return Some(logon),
            Ok(Ok(None)) => return None,
            Ok(Err(status)) => status,
            Ok(Ok(Some(_))) => Status::invalid_argument("the first message must be a Logon"),
            Err(_) => Status::deadline_exceeded("no Logon within 10 s"),
        };
        outgoing.end(refused);
        None
    }

    async fn serve_session(
        &self,
        seller: Identity,
        logon: v1::Logon,
        incoming: &mut Streaming<v1::ProviderMessage>,
        outgoing: ToProvider,
    ) {
        let name = logon.provider.clone();
        let mut session = match self.log_on(seller, logon).await {
            Ok(session) => session,
            Err(status) => {
                tracing::warn!(provider = name, reason = status.message(), "a logon was refused");
                return outgoing.end(status);
            }
        };
        tracing::info!(provider = name, session = session.session, "a provider logged on");
        let ended = tokio::select! {
            refused = self.until_refused(session.caller) => refused,
            ended = self.run_session(&name, &mut session, incoming, &outgoing) => ended,
        };
        tracing::info!(provider = name, session = session.session, reason = ended.message(), "a session ended");
        // Refused without harm if the session is over already, by a logout or another session.
        let disconnect = Command::Disconnect { provider: session.provider, session: session.session };
        if let Err(error) = self.0.sequencer.submit_ending(&disconnect) {
            tracing::warn!(provider = name, %error, "its offers could not be cancelled");
        }
        self.0.readiness.end(session.provider, session.session);
        outgoing.end(ended);
    }

    async fn log_on(&self, caller: Identity, logon: v1::Logon) -> Result<OnSession, Status> {
        let name: Name = parse("provider", &logon.provider)?;
        check_endpoint(&logon.endpoint, self.is_keyless(), logon.adapter())?;
        let quotas = logon.quotas.iter().map(TryInto::try_into).collect::<Result<_, FieldError>>()?;
        let provider = match self.0.sequencer.read(|engine| sold_by(engine, &name, &caller)) {
            Some(provider) => provider,
            None if matches!(caller, Identity::Keyless | Identity::InProcess) => self.welcome_stranger(&name).await?,
            None => return Err(unopened(&name)),
        };
        let pools: Vec<PoolSize> = logon.pools.iter().map(Into::into).collect();
        let command = Logon {
            provider,
            pools: pools.clone(),
            quotas,
            protection: logon.protection.map(Into::into),
            adapter: adapter_from_proto(logon.adapter)?,
            // Only an operator's own key vouches for an endpoint.
            endpoint_trusted: caller.is_operator() && !matches!(caller, Identity::Keyless | Identity::InProcess),
            endpoint: logon.endpoint,
            targets: logon.targets.as_ref().map(targets_from_proto).transpose()?,
        };
        let (reply, _) = self.command(&Command::Logon(Box::new(command))).await?;
        let Reply::Session(session) = reply else {
            return Err(Status::internal("the logon answered something else than a session"));
        };
        let listening = self.0.projections.sessions.listen(provider, session, logon.last_sequence);
        let warm_requests = self.0.readiness.begin(provider, session);
        Ok(OnSession { caller, provider, session, pools, listening, warm_requests })
    }

    /// Finds the identity that logs on: by the key of the logon, if there is one, else by that of the call.
    fn seller(&self, caller: Identity, key: &str) -> Result<Identity, Status> {
        let caller = match key {
            "" => caller,
            key => self.identify(&key.parse().map_err(|error| FieldError::new("key", error))?)?,
        };
        match caller {
            Identity::Stranger => Err(Status::unauthenticated("a provider logs on with a key of its account")),
            _ if caller.has(Role::Provider) || caller.is_operator() => Ok(caller),
            _ => Err(Status::permission_denied("a provider logs on with a provider's key, or an operator's")),
        }
    }

    /// Registers an unknown provider as a market seller with an account of its own.
    async fn welcome_stranger(&self, name: &Name) -> Result<ProviderId, Status> {
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

/// Finds a provider by its name. Another account's provider is answered exactly like one that is not registered.
fn sold_by(engine: &Engine, name: &Name, caller: &Identity) -> Option<ProviderId> {
    let id = engine.find_provider(name)?;
    let account = engine.provider(id)?.account;
    (caller.is_operator() || caller.account() == Some(account)).then_some(id)
}

/// Makes the refusal of a provider that is not opened for a key's account; it names the remedy.
fn unopened(name: &Name) -> Status {
    let refused = unknown("provider", name.as_str());
    let message = format!(
        "{} for this key's account; the market's operator opens one: merit providers open {name} --account ID",
        refused.message()
    );
    Status::with_metadata(refused.code(), message, refused.metadata().clone())
}
