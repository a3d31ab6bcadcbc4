//! The shell around the session's machine: the stream, the clock, the log. Never decides.

use std::future::pending;
use std::pin::Pin;
use std::time::Duration;

use merit_proto::v1::exchange_message::Message as FromExchange;
use merit_proto::v1::provider_gateway_client::ProviderGatewayClient;
use merit_proto::v1::provider_message::Message as ToExchange;
use merit_proto::{Transport, WaitLog, v1};
use merit_terms::Time;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Response, Status, Streaming};

use super::machine::{Action, Input};
use super::{Machine, RequestedChange, RunEvent, SaleChange, SessionError, Standing, Trusted, WarmRequests};

/// Length of the queue of outgoing messages; when it is full, the exchange does not read.
const OUTGOING_MAX: usize = 256;
/// Maximum message in bytes; a welcome may name many thousand leases.
const MESSAGE_MAX_BYTES: usize = 64 << 20;
/// Timeout of the exchange's end of a stream that this side has ended.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// The watches by which the session publishes its state to the rest of the process.
pub(crate) struct Watches {
    pub(crate) trusted: watch::Sender<Option<Trusted>>,
    pub(crate) standing: watch::Sender<Standing>,
    /// None for a provider that runs no modules.
    pub(crate) warm_requests: Option<WarmRequests>,
}

/// Runs the session until `stop` turns true or is dropped. Returns the error if it ends by itself.
pub(crate) async fn run(
    provider: String,
    mut machine: Machine,
    transport: Transport,
    told: Watches,
    (mut runs, mut loads): (mpsc::Receiver<RunEvent>, mpsc::Receiver<v1::ModuleState>),
    mut changes: mpsc::Receiver<RequestedChange>,
    mut stop: watch::Receiver<bool>,
) -> Result<(), SessionError> {
    let started = Instant::now();
    let mut stream = ExchangeStream::Closed;
    let mut waits = WaitLog::default();
    loop {
        let mut taken = None;
        let input = tokio::select! {
            biased; // A run is noted before its settlement.
            _ = stop.wait_for(|stop| *stop) => Input::Stop,
            Some(ran) = runs.recv() => Input::Ran(ran),
            Some(requested) = changes.recv() => {
                taken = Some(requested.taken);
                Input::Change(requested.change)
            }
            () = until(machine.due().map(|due| started + due)) => Input::Due,
            heard = stream.hear() => heard,
            Some(state) = loads.recv() => Input::Loaded(state),
        };
        report(&provider, &input);
        let lost = match &input {
            Input::Ended(status) => Some(status.message().to_owned()),
            _ => None,
        };
        if let Input::Received(..) = input {
            waits.answers();
        }
        let said = said(&input);
        if let Some(said) = said {
            // A change of the time alone wakes nobody.
            told.trusted.send_if_modified(|trusted| {
                *trusted = trusted.map(|trusted| Trusted { said, heard: Instant::now(), ..trusted });
                false
            });
        }
        let mut actions = machine.step(started.elapsed(), input);
        let is_over = actions.iter().any(|action| matches!(action, Action::End(_)));
        // The machine gave the stream up by itself: nothing was heard of the exchange in time.
        let is_silent = lost.is_none() && !is_over && actions.iter().any(|action| matches!(action, Action::Close));
        let lost = lost.or_else(|| is_silent.then(|| "it does not answer".to_owned()));
        if let Some(reason) = lost.filter(|_| !is_over) {
            waits.waits(&transport.place(), &reason);
        }
        while !actions.is_empty() {
            let mut unsaid = None;
            for action in actions.drain(..) {
                match action {
                    Action::Open(logon) => stream = ExchangeStream::open(&transport, logon),
                    Action::Send(said) => unsaid = unsaid.or(stream.say(said).err()),
                    Action::Trust(credentials) => {
                        // The welcome that brings them has the time.
                        let trusted = Trusted { credentials, said: said.unwrap_or_default(), heard: Instant::now() };
                        told.trusted.send_replace(Some(trusted));
                    }
                    Action::Report(state) => stream.say(ToExchange::ModuleState(state)).unwrap_or_default(),
                    Action::Warm(session, request) => {
                        if let Some(warm_requests) = &told.warm_requests {
                            warm_requests.try_send((session, request)).unwrap_or_default();
                        }
                    }
                    Action::Close => stream = ExchangeStream::Closed,
                    Action::End(result) => {
                        stream.close().await;
                        told.standing.send_replace(machine.standing());
                        return result;
                    }
                }
            }
            if let Some(status) = unsaid {
                actions = machine.step(started.elapsed(), Input::Ended(status));
            }
        }
        let standing = machine.standing();
        told.standing.send_if_modified(|told| std::mem::replace(told, standing.clone()) != standing);
        if let Some(done) = taken {
            // The sender of the order may be gone.
            done.send(()).unwrap_or_default();
        }
    }
}

/// Returns the market's time that a message tells.
fn said(input: &Input) -> Option<Time> {
    match input {
        Input::Received(_, FromExchange::Welcome(welcome)) => Some(Time::from_micros(welcome.at)),
        Input::Received(_, FromExchange::Heartbeat(heartbeat)) => Some(Time::from_micros(heartbeat.at)),
        _ => None,
    }
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due).await,
        None => pending().await,
    }
}

type Opening = Pin<Box<dyn Future<Output = Result<Response<Streaming<v1::ExchangeMessage>>, Status>> + Send>>;

enum ExchangeStream {
    Closed,
    Opening { says: mpsc::Sender<v1::ProviderMessage>, opening: Opening },
    Open { says: mpsc::Sender<v1::ProviderMessage>, hears: Box<Streaming<v1::ExchangeMessage>> },
}

impl ExchangeStream {
    fn open(transport: &Transport, logon: v1::Logon) -> ExchangeStream {
        let (says, said) = mpsc::channel(OUTGOING_MAX);
        let client = ProviderGatewayClient::new(transport.clone());
        let mut client = client.max_decoding_message_size(MESSAGE_MAX_BYTES);
        let opening = Box::pin(async move { client.session(ReceiverStream::new(said)).await });
        let mut stream = ExchangeStream::Opening { says, opening };
        match stream.say(ToExchange::Logon(logon)) {
            Ok(()) => stream,
            Err(_) => ExchangeStream::Closed, // The new queue is neither full nor closed.
        }
    }

    fn say(&mut self, said: ToExchange) -> Result<(), Status> {
        let (ExchangeStream::Opening { says, .. } | ExchangeStream::Open { says, .. }) = self else {
            return Err(Status::unavailable("there is no stream"));
        };
        let message = v1::ProviderMessage { message: Some(said) };
        says.try_send(message).map_err(|_| Status::unavailable("the exchange does not read"))
    }

    /// Waits for the next input. Safe to cancel.
    async fn hear(&mut self) -> Input {
        loop {
            match self {
                ExchangeStream::Closed => return pending().await,
                ExchangeStream::Opening { says, opening } => match opening.await {
                    Ok(response) => {
                        *self = ExchangeStream::Open { says: says.clone(), hears: Box::new(response.into_inner()) }
                    }
                    Err(status) => return Input::Ended(status),
                },
                ExchangeStream::Open { hears, .. } => match hears.message().await {
                    Ok(Some(v1::ExchangeMessage { session_sequence, message: Some(heard) })) => {
                        return Input::Received(session_sequence, heard);
                    }
                    Ok(Some(_)) => {} // A message of a newer exchange.
                    Ok(None) => return Input::Ended(Status::unavailable("the exchange ended the stream")),
                    Err(status) => return Input::Ended(status),
                },
            }
        }
    }

    /// Ends the stream from this side and waits for the other side's end, by which the offers are cancelled.
    async fn close(self) {
        let ExchangeStream::Open { says, mut hears } = self else {
            return;
        };
        drop(says);
        let ended = timeout(CLOSE_TIMEOUT, async { while let Ok(Some(_)) = hears.message().await {} }).await;
        if ended.is_err() {
            tracing::warn!("the exchange did not end the stream within {} ms", CLOSE_TIMEOUT.as_millis());
        }
    }
}

/// Logs an input of the session.
fn report(provider: &str, input: &Input) {
    match input {
        Input::Received(_, FromExchange::Welcome(welcome)) => {
            let (session, resumed) = (welcome.session, welcome.resumed);
            tracing::info!(provider, session, resumed, heartbeat_ms = welcome.heartbeat_ms, "logged on");
        }
        Input::Received(_, FromExchange::Protected(_)) => {
            tracing::warn!(provider, "leased too fast: the offers were pulled")
        }
        Input::Received(_, FromExchange::ClaimAnswered(claim)) => {
            let lease = claim.lease.map(|id| merit_terms::LeaseId::from(id).to_string());
            tracing::info!(provider, lease, code = claim.code, reason = claim.message, "a claim was answered");
        }
        Input::Received(_, FromExchange::QuoteRefused(quote)) => {
            let rungs = refused_rungs(&quote.rungs);
            tracing::warn!(provider, code = quote.code, reason = quote.message, rungs, "a ladder was refused");
        }
        Input::Change(SaleChange::Pause) => tracing::info!(provider, "paused: the offers are cancelled"),
        Input::Change(SaleChange::Resume) => tracing::info!(provider, "resumed: it sells again"),
        Input::Change(SaleChange::Reprice(_)) => tracing::info!(provider, "another ladder is quoted"),
        Input::Received(..) | Input::Ended(_) | Input::Ran(_) | Input::Loaded(_) | Input::Due => {}
        Input::Stop => tracing::info!(provider, "the session is stopped"),
    }
}

/// Returns the reasons of refused rungs, each with all rungs that it is about: `1, 2, 4: price below the band`.
fn refused_rungs(rungs: &[v1::RungRefused]) -> String {
    let mut reasons: Vec<(&str, Vec<String>)> = Vec::new();
    for rung in rungs {
        match reasons.iter_mut().find(|(reason, _)| *reason == rung.reason) {
            Some((_, ids)) => ids.push(rung.id.to_string()),
            None => reasons.push((&rung.reason, vec![rung.id.to_string()])),
        }
    }
    let parts: Vec<String> = reasons.iter().map(|(reason, ids)| format!("{}: {reason}", ids.join(", "))).collect();
    parts.join("; ")
}
