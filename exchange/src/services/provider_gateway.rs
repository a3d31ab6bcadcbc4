//! `merit.v1.ProviderGateway`: one stream is one session of one provider.
//!
//! The shell around the engine's sessions: reads messages, makes commands, and tells the provider what became of them.
//! A provider that is silent for three heartbeats, or whose stream ends, is disconnected.

use std::pin::Pin;
use std::time::Duration;

use merit_engine::{Command, Logon, ProviderKind, Quote, RegisterProvider, Reply};
use merit_proto::v1;
use merit_proto::v1::exchange_message::Message as Told;
use merit_proto::v1::provider_gateway_server::ProviderGateway;
use merit_proto::v1::provider_message::Message as Heard;
use merit_proto::{FieldError, refusal_status, required};
use merit_terms::{Name, PoolSize, ProviderId, Refusal, Rung};
use tokio::sync::mpsc;
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::{parse, unavailable};
use crate::clock;
use crate::open::Exchange;

const MISSED_HEARTBEATS_MAX: u32 = 3;
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
            let outgoing = Outgoing { sender, sequence: 0 };
            exchange.serve_session(&mut incoming, outgoing).await;
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
    }
}

/// What goes to the provider, numbered.
struct Outgoing {
    sender: mpsc::Sender<Result<v1::ExchangeMessage, Status>>,
    sequence: u64,
}

/// The provider no longer reads.
struct Gone;

impl Outgoing {
    async fn tell(&mut self, message: Told) -> Result<(), Gone> {
        self.sequence += 1;
        let message = v1::ExchangeMessage { session_sequence: self.sequence, message: Some(message) };
        let sent = tokio::time::timeout(READ_WITHIN, self.sender.send(Ok(message))).await;
        if matches!(sent, Ok(Ok(()))) { Ok(()) } else { Err(Gone) }
    }

    /// Ends the stream with a reason, if the provider still reads.
    fn end(&self, status: Status) {
        drop(self.sender.try_send(Err(status)));
    }
}

/// A session that is on.
struct OnSession {
    provider: ProviderId,
    session: u32,
    pools: Vec<PoolSize>,
    told: mpsc::Receiver<Told>,
}

impl Exchange {
    async fn serve_session(&self, incoming: &mut Streaming<v1::ProviderMessage>, mut outgoing: Outgoing) {
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
        let ended = self.run_session(&name, &mut session, incoming, &mut outgoing).await;
        tracing::info!(provider = name, session = session.session, reason = ended.message(), "a session ended");
        let disconnect = Command::Disconnect { provider: session.provider, session: session.session };
        if let Err(error) = self.0.sequencer.submit(&disconnect) {
            tracing::warn!(provider = name, %error, "its offers could not be cancelled");
        }
        outgoing.end(ended);
    }

    async fn log_on(&self, logon: v1::Logon) -> Result<OnSession, Status> {
        let name: Name = parse("provider", &logon.provider)?;
        check_endpoint(&logon.endpoint)?;
        let provider = match self.0.sequencer.read(|engine| engine.find_provider(&name)) {
            Some(provider) => provider,
            None => self.welcome_stranger(&name).await?,
        };
        let pools: Vec<PoolSize> = logon.pools.iter().map(Into::into).collect();
        let command =
            Logon { provider, endpoint: logon.endpoint, pools: pools.clone(), quotas: Vec::new(), protection: None };
        let (reply, _) = self.command(&Command::Logon(Box::new(command))).await?;
        let Reply::Session(session) = reply else {
            return Err(Status::internal("the logon answered something else than a session"));
        };
        Ok(OnSession { provider, session, pools, told: self.0.projections.sessions.listen(provider, session) })
    }

    /// Registers an unknown provider as a market seller with an account of its own, where that is allowed.
    async fn welcome_stranger(&self, name: &Name) -> Result<ProviderId, Status> {
        if !self.0.settings.open_to_providers {
            let message = format!("the provider `{name}` is not registered; ask the operator to register it");
            return Err(refusal_status(&Refusal::Forbidden { message }));
        }
        let unused = |engine: &merit_engine::Engine| engine.account(engine.find_account(name.as_str())?).ok().cloned();
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

    /// Serves the session until it ends; the reason.
    async fn run_session(
        &self,
        name: &str,
        on: &mut OnSession,
        incoming: &mut Streaming<v1::ProviderMessage>,
        outgoing: &mut Outgoing,
    ) -> Status {
        let heartbeat = Duration::from_millis(self.0.settings.heartbeat_ms.into());
        let welcome = Told::Welcome(v1::Welcome {
            session: on.session,
            session_key: self.0.key.session_key(name, on.session).to_vec(),
            heartbeat_ms: self.0.settings.heartbeat_ms,
        });
        if outgoing.tell(welcome).await.is_err() {
            return Status::cancelled("the provider does not read");
        }
        let mut beat = tokio::time::interval(heartbeat);
        beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let silence = heartbeat * MISSED_HEARTBEATS_MAX;
        let mut silent_at = tokio::time::Instant::now() + silence;
        loop {
            let answer = tokio::select! {
                heard = incoming.message() => match heard {
                    Ok(Some(message)) => {
                        silent_at = tokio::time::Instant::now() + silence;
                        match self.hear(on, message).await {
                            Ok(answer) => answer,
                            Err(status) => return status,
                        }
                    }
                    Ok(None) => return Status::ok("the provider closed its stream"),
                    Err(status) => return status,
                },
                told = on.told.recv() => match told {
                    Some(told) => Some(told),
                    None => return superseded(),
                },
                _ = beat.tick() => Some(Told::Heartbeat(v1::ExchangeHeartbeat { at: clock::now().micros() })),
                () = tokio::time::sleep_until(silent_at) => {
                    return Status::deadline_exceeded(format!("{MISSED_HEARTBEATS_MAX} heartbeats were missed"));
                }
            };
            if let Some(answer) = answer
                && outgoing.tell(answer).await.is_err()
            {
                return Status::cancelled("the provider does not read");
            }
        }
    }

    /// Acts on one message; an error ends the session.
    async fn hear(&self, on: &mut OnSession, message: v1::ProviderMessage) -> Result<Option<Told>, Status> {
        let acted = self.act(on, message).await;
        acted.map_err(|status| match merit_proto::code_of(&status) {
            Some(code) if code == Refusal::NotInSession.code() => superseded(),
            _ => status,
        })
    }

    async fn act(&self, on: &mut OnSession, message: v1::ProviderMessage) -> Result<Option<Told>, Status> {
        let (provider, session) = (on.provider, on.session);
        match required("message", message.message)? {
            Heard::Logon(_) => Err(Status::invalid_argument("this session is logged on already")),
            Heard::Heartbeat(heartbeat) => {
                let pools: Vec<PoolSize> = heartbeat.pools.iter().map(Into::into).collect();
                // Also when the provider states what it stated before: it may have been busy meanwhile.
                if pools != on.pools || self.0.sequencer.read(|engine| stand_otherwise(engine, provider, &pools)) {
                    self.command(&Command::StatePools { provider, session, pools: pools.clone() }).await?;
                    on.pools = pools;
                }
                Ok(None)
            }
            Heard::Quote(quote) => self.quote_session(on, quote).await.map(Some),
            Heard::CancelAll(_) => self.command(&Command::CancelAll { provider, session }).await.map(|_| None),
            Heard::Busy(busy) => {
                self.command(&Command::Busy { provider, session, pool: busy.pool }).await.map(|_| None)
            }
        }
    }

    /// A quote that is refused leaves the ladder as it was and the session on.
    async fn quote_session(&self, on: &OnSession, quote: v1::QuoteLadder) -> Result<Told, Status> {
        let number = quote.number;
        let refused = |code: &str, message: String, rungs| {
            Ok(Told::QuoteRefused(v1::QuoteRefused { number, code: code.to_owned(), message, rungs }))
        };
        let market = match self.market_id(&quote.market) {
            Ok(market) => market,
            Err(status) => return refused("not_found", status.message().to_owned(), Vec::new()),
        };
        let rungs = match quote.rungs.iter().map(Rung::try_from).collect::<Result<Vec<_>, FieldError>>() {
            Ok(rungs) => rungs,
            Err(error) => return refused("invalid", error.to_string(), Vec::new()),
        };
        let command = Command::Quote(Quote { provider: on.provider, session: on.session, market, number, rungs });
        let submitted = self.0.sequencer.submit(&command).map_err(unavailable)?;
        submitted.durable.wait().await.map_err(unavailable)?;
        match submitted.applied.reply {
            Ok(_) => Ok(Told::QuoteAccepted(v1::QuoteAccepted { number })),
            Err(Refusal::NotInSession) => Err(superseded()),
            Err(refusal) => {
                let rungs = match &refusal {
                    Refusal::Rungs { rungs } => rungs.clone(),
                    _ => Vec::new(),
                };
                let rungs = rungs.into_iter().map(|(id, reason)| v1::RungRefused { id, reason });
                refused(refusal.code(), refusal.to_string(), rungs.collect())
            }
        }
    }
}

fn superseded() -> Status {
    Status::aborted("another session of the provider has logged on")
}

/// Whether the engine counts with other pools than `stated`.
fn stand_otherwise(engine: &merit_engine::Engine, provider: ProviderId, stated: &[PoolSize]) -> bool {
    engine.pools(provider).iter().zip(stated).any(|(pool, stated)| pool.size != *stated)
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
