//! An exchange that does what a test wants: it welcomes, ends streams, and holds modules back.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use merit_proto::v1;
use merit_proto::v1::exchange_message::Message as FromExchange;
use merit_proto::v1::modules_server::{Modules, ModulesServer};
use merit_proto::v1::provider_gateway_server::{ProviderGateway, ProviderGatewayServer};
use merit_proto::v1::provider_message::Message as ToExchange;
use merit_proto::v1::read_permit::Permit;
use merit_terms::LeaseId;
use tokio::sync::{Semaphore, broadcast, mpsc};
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::service::Routes;
use tonic::{Request, Response, Status, Streaming};

const HEARTBEAT_MS: u32 = 50;

/// An event that the peer saw.
#[derive(Debug)]
pub(crate) enum Seen {
    Logon(v1::Logon),
    Quote { session: u32, quote: v1::QuoteLadder },
    Heartbeat(Vec<v1::PoolSize>),
    Claim(v1::UsageClaim),
    CancelledAll,
    Ended { session: u32 },
    ModuleAsked,
    Module(v1::ModuleState),
}

#[derive(Clone)]
pub(crate) struct Peer(Arc<PeerState>);

struct PeerState {
    module: Bytes,
    environment: BTreeMap<String, String>,
    /// One permit for each module that may be fetched.
    gate: Semaphore,
    fetched: AtomicUsize,
    sessions: AtomicU32,
    refusal: Mutex<Option<Status>>,
    end: broadcast::Sender<Status>,
    orders: broadcast::Sender<v1::WarmModule>,
    seen: mpsc::UnboundedSender<Seen>,
}

impl Peer {
    pub(crate) fn new(module: Bytes) -> (Peer, mpsc::UnboundedReceiver<Seen>) {
        let (seen, sees) = mpsc::unbounded_channel();
        let state = PeerState {
            module,
            environment: BTreeMap::from([
                ("MODE".into(), "fast".into()),
                ("MERIT_REVISION".into(), "the function's own".into()),
            ]),
            gate: Semaphore::new(1000),
            fetched: AtomicUsize::new(0),
            sessions: AtomicU32::new(0),
            refusal: Mutex::default(),
            end: broadcast::channel(4).0,
            orders: broadcast::channel(4).0,
            seen,
        };
        (Peer(Arc::new(state)), sees)
    }

    pub(crate) fn routes(&self) -> Routes {
        Routes::new(ProviderGatewayServer::new(self.clone())).add_service(ModulesServer::new(self.clone()))
    }

    /// Refuses logons from now on.
    pub(crate) fn refuse(&self, status: Status) {
        *self.0.refusal.lock().unwrap() = Some(status);
    }

    /// Ends the open streams.
    pub(crate) fn end(&self, status: Status) {
        self.0.end.send(status).unwrap();
    }

    /// Asks for the module to be made ready.
    pub(crate) fn request_warm(&self) {
        let v1::LeaseClaims { account, function, revision, module, .. } = self.claims(0);
        let order = Some(order());
        self.0.orders.send(v1::WarmModule { account, function, revision, module, order }).unwrap();
    }

    pub(crate) fn hold_modules_back(&self) {
        self.0.gate.forget_permits(1000);
    }

    pub(crate) fn let_modules_go(&self) {
        self.0.gate.add_permits(1000);
    }

    pub(crate) fn fetched(&self) -> usize {
        self.0.fetched.load(Ordering::SeqCst)
    }

    pub(crate) fn claims(&self, sequence: u64) -> v1::LeaseClaims {
        v1::LeaseClaims {
            provider: "edge-1".into(),
            session: self.0.sessions.load(Ordering::SeqCst),
            lease: Some(LeaseId { run: 1, sequence }.into()),
            account: "dev".into(),
            function: "sample".into(),
            revision: 3,
            module: merit_wasm::digest(&self.0.module).to_vec(),
            memory_mb: 128,
            timeout_ms: 20_000,
            attempt: 1,
            expires: u64::MAX,
        }
    }

    pub(crate) fn sign(&self, claims: &v1::LeaseClaims) -> String {
        merit_proto::sign(&key(claims.session), claims)
    }

    async fn converse(
        &self,
        mut hears: Streaming<v1::ProviderMessage>,
        says: mpsc::Sender<Result<v1::ExchangeMessage, Status>>,
    ) -> Option<()> {
        let (mut end, mut orders) = (self.0.end.subscribe(), self.0.orders.subscribe());
        let ToExchange::Logon(logon) = hears.message().await.ok()??.message? else {
            return None;
        };
        self.0.seen.send(Seen::Logon(logon)).ok()?;
        if let Some(status) = self.0.refusal.lock().unwrap().clone() {
            return says.try_send(Err(status)).ok();
        }
        let session = self.0.sessions.fetch_add(1, Ordering::SeqCst) + 1;
        let say = |message| says.try_send(Ok(v1::ExchangeMessage { session_sequence: 0, message: Some(message) })).ok();
        let session_key = key(session).to_vec();
        say(FromExchange::Welcome(v1::Welcome {
            session,
            session_key,
            heartbeat_ms: HEARTBEAT_MS,
            ..v1::Welcome::default()
        }))?;
        let mut beat = tokio::time::interval(Duration::from_millis(HEARTBEAT_MS.into()));
        loop {
            let heard = tokio::select! {
                heard = hears.message() => heard,
                status = end.recv() => return says.try_send(Err(status.ok()?)).ok(),
                Ok(order) = orders.recv() => {
                    say(FromExchange::WarmModule(order))?;
                    continue;
                }
                _ = beat.tick() => {
                    say(FromExchange::Heartbeat(v1::ExchangeHeartbeat { at: 0 }))?;
                    continue;
                }
            };
            match heard.ok().flatten().and_then(|message| message.message) {
                Some(ToExchange::Quote(quote)) => {
                    let number = quote.number;
                    self.0.seen.send(Seen::Quote { session, quote }).ok()?;
                    say(FromExchange::QuoteAccepted(v1::QuoteAccepted { number }))?;
                }
                Some(ToExchange::Claim(claim)) => self.0.seen.send(Seen::Claim(claim)).ok()?,
                Some(ToExchange::Heartbeat(heartbeat)) => self.0.seen.send(Seen::Heartbeat(heartbeat.pools)).ok()?,
                Some(ToExchange::CancelAll(_)) => self.0.seen.send(Seen::CancelledAll).ok()?,
                Some(ToExchange::ModuleState(state)) => self.0.seen.send(Seen::Module(state)).ok()?,
                Some(_) => {}
                None => return self.0.seen.send(Seen::Ended { session }).ok(),
            }
        }
    }
}

/// The proof that comes with each call.
pub(crate) fn proof() -> v1::LeaseProof {
    v1::LeaseProof { terms: vec![1, 2, 3], mac: vec![4; 32] }
}

/// The order that comes with each request to load a module.
fn order() -> v1::WarmingOrder {
    v1::WarmingOrder { terms: vec![5, 6], mac: vec![7; 32] }
}

/// Refuses a reader that shows neither the proof of a call nor an order.
fn check_permit(permit: Option<v1::ReadPermit>) -> Result<(), Status> {
    match permit.and_then(|permit| permit.permit) {
        Some(Permit::Lease(shown)) if shown == proof() => Ok(()),
        Some(Permit::Warming(shown)) if shown == order() => Ok(()),
        other => Err(Status::permission_denied(format!("{other:?} is no permit"))),
    }
}

fn key(session: u32) -> [u8; 32] {
    [session as u8; 32]
}

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl ProviderGateway for Peer {
    type SessionStream = Answers<v1::ExchangeMessage>;

    async fn session(
        &self,
        request: Request<Streaming<v1::ProviderMessage>>,
    ) -> Result<Response<Self::SessionStream>, Status> {
        let (says, said) = mpsc::channel(256);
        let peer = self.clone();
        tokio::spawn(async move { peer.converse(request.into_inner(), says).await });
        Ok(Response::new(Box::pin(ReceiverStream::new(said))))
    }
}

#[tonic::async_trait]
impl Modules for Peer {
    async fn put(&self, _: Request<v1::PutModuleRequest>) -> Result<Response<v1::PutModuleResponse>, Status> {
        Err(Status::unimplemented("providers put no modules"))
    }

    type GetStream = Answers<v1::ModuleChunk>;

    async fn get(&self, request: Request<v1::GetModuleRequest>) -> Result<Response<Self::GetStream>, Status> {
        let request = request.into_inner();
        check_permit(request.permit)?;
        self.0.seen.send(Seen::ModuleAsked).ok();
        let permit = self.0.gate.acquire().await.unwrap();
        permit.forget();
        if request.digest != merit_wasm::digest(&self.0.module) {
            return Err(Status::not_found("there is no such module"));
        }
        self.0.fetched.fetch_add(1, Ordering::SeqCst);
        let chunks: Vec<_> = self
            .0
            .module
            .chunks(100)
            .map(|chunk| Ok(v1::ModuleChunk { data: Bytes::copy_from_slice(chunk) }))
            .collect();
        Ok(Response::new(Box::pin(tokio_stream::iter(chunks))))
    }

    async fn get_revision(
        &self,
        request: Request<v1::GetRevisionRequest>,
    ) -> Result<Response<v1::GetRevisionResponse>, Status> {
        let request = request.into_inner();
        check_permit(request.permit)?;
        if request.function != "sample" {
            return Err(Status::not_found("there is no such revision"));
        }
        let module = merit_wasm::digest(&self.0.module).to_vec();
        Ok(Response::new(v1::GetRevisionResponse { module, environment: self.0.environment.clone() }))
    }

    async fn get_readiness(
        &self,
        _: Request<v1::GetReadinessRequest>,
    ) -> Result<Response<v1::GetReadinessResponse>, Status> {
        Err(Status::unimplemented("providers ask for no readiness"))
    }
}
