//! The shell around the session's machine: the stream, the clock, the log. Decides nothing.

use std::future::pending;
use std::pin::Pin;
use std::time::Duration;

use merit_proto::v1::exchange_message::Message as Heard;
use merit_proto::v1::provider_gateway_client::ProviderGatewayClient;
use merit_proto::v1::provider_message::Message as Said;
use merit_proto::{Transport, v1};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Response, Status, Streaming};

use super::machine::{Action, Input};
use super::{Credentials, Machine, Ran, SessionError, Standing};

/// Messages that may wait for the exchange to read them; more means that it does not read.
const SAID_MAX: usize = 256;
/// A welcome may name many thousand leases.
const MESSAGE_MAX_BYTES: usize = 64 << 20;
/// How long the exchange may take to end a stream that we ended.
const CLOSE_WITHIN: Duration = Duration::from_secs(1);

/// Where the session tells what others of the process must know.
pub(crate) struct Told {
    pub(crate) credentials: watch::Sender<Option<Credentials>>,
    pub(crate) standing: watch::Sender<Standing>,
}

/// Runs the session to its end: when `stop` turns true or is dropped, or with the error that ended it.
pub(crate) async fn run(
    provider: String,
    mut machine: Machine,
    transport: Transport,
    told: Told,
    mut runs: mpsc::Receiver<Ran>,
    mut stop: watch::Receiver<bool>,
) -> Result<(), SessionError> {
    let started = Instant::now();
    let mut stream = Stream::Closed;
    loop {
        let input = tokio::select! {
            biased; // That a call ran is heard before that it is settled.
            _ = stop.wait_for(|stop| *stop) => Input::Stop,
            Some(ran) = runs.recv() => Input::Ran(ran),
            () = until(machine.due().map(|due| started + due)) => Input::Due,
            heard = stream.hear() => heard,
        };
        report(&provider, &input);
        let mut actions = machine.step(started.elapsed(), input);
        while !actions.is_empty() {
            let mut unsaid = None;
            for action in actions.drain(..) {
                match action {
                    Action::Open(logon) => stream = Stream::open(&transport, logon),
                    Action::Say(said) => unsaid = unsaid.or(stream.say(said).err()),
                    Action::Trust(credentials) => drop(told.credentials.send_replace(Some(credentials))),
                    Action::Close => stream = Stream::Closed,
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
    }
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due).await,
        None => pending().await,
    }
}

type Opening = Pin<Box<dyn Future<Output = Result<Response<Streaming<v1::ExchangeMessage>>, Status>> + Send>>;

enum Stream {
    Closed,
    Opening { says: mpsc::Sender<v1::ProviderMessage>, opening: Opening },
    Open { says: mpsc::Sender<v1::ProviderMessage>, hears: Box<Streaming<v1::ExchangeMessage>> },
}

impl Stream {
    fn open(transport: &Transport, logon: v1::Logon) -> Stream {
        let (says, said) = mpsc::channel(SAID_MAX);
        let client = ProviderGatewayClient::new(transport.clone());
        let mut client = client.max_decoding_message_size(MESSAGE_MAX_BYTES);
        let opening = Box::pin(async move { client.session(ReceiverStream::new(said)).await });
        let mut stream = Stream::Opening { says, opening };
        match stream.say(Said::Logon(logon)) {
            Ok(()) => stream,
            Err(_) => Stream::Closed, // The new queue is neither full nor closed.
        }
    }

    fn say(&mut self, said: Said) -> Result<(), Status> {
        let (Stream::Opening { says, .. } | Stream::Open { says, .. }) = self else {
            return Err(Status::unavailable("there is no stream"));
        };
        let message = v1::ProviderMessage { message: Some(said) };
        says.try_send(message).map_err(|_| Status::unavailable("the exchange does not read"))
    }

    /// What comes next. May be dropped and called again without a loss.
    async fn hear(&mut self) -> Input {
        loop {
            match self {
                Stream::Closed => return pending().await,
                Stream::Opening { says, opening } => match opening.await {
                    Ok(response) => *self = Stream::Open { says: says.clone(), hears: Box::new(response.into_inner()) },
                    Err(status) => return Input::Ended(status),
                },
                Stream::Open { hears, .. } => match hears.message().await {
                    Ok(Some(v1::ExchangeMessage { session_sequence, message: Some(heard) })) => {
                        return Input::Heard(session_sequence, heard);
                    }
                    Ok(Some(_)) => {} // Of a newer exchange.
                    Ok(None) => return Input::Ended(Status::unavailable("the exchange ended the stream")),
                    Err(status) => return Input::Ended(status),
                },
            }
        }
    }

    /// Ends the stream from this side and waits for the other: then the offers are cancelled.
    async fn close(self) {
        let Stream::Open { says, mut hears } = self else {
            return;
        };
        drop(says);
        let ended = timeout(CLOSE_WITHIN, async { while let Ok(Some(_)) = hears.message().await {} }).await;
        if ended.is_err() {
            tracing::warn!("the exchange did not end the stream within {CLOSE_WITHIN:?}");
        }
    }
}

/// The log of a session.
fn report(provider: &str, input: &Input) {
    match input {
        Input::Heard(_, Heard::Welcome(welcome)) => {
            let (session, resumed) = (welcome.session, welcome.resumed);
            tracing::info!(provider, session, resumed, heartbeat_ms = welcome.heartbeat_ms, "logged on");
        }
        Input::Heard(_, Heard::Protected(_)) => tracing::warn!(provider, "leased too fast: the offers were pulled"),
        Input::Heard(_, Heard::ClaimAnswered(claim)) => {
            let lease = claim.lease.map(merit_terms::LeaseId::from);
            tracing::info!(provider, ?lease, code = claim.code, message = claim.message, "a claim was answered");
        }
        Input::Heard(_, Heard::QuoteRefused(quote)) => {
            let rungs: Vec<_> = quote.rungs.iter().map(|rung| (rung.id, rung.reason.as_str())).collect();
            tracing::warn!(provider, code = quote.code, message = quote.message, ?rungs, "a ladder was refused");
        }
        Input::Heard(_, heard) => tracing::trace!(provider, ?heard, "heard"),
        Input::Ended(status) => {
            tracing::warn!(provider, code = ?status.code(), reason = status.message(), "no session with the exchange");
        }
        Input::Stop => tracing::info!(provider, "the session is stopped"),
        Input::Ran(_) | Input::Due => {}
    }
}
