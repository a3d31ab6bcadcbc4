//! The broker's stream with the exchange: all invocations share it. [`machine`] decides, purely; here are the stream, the
//! clock and those who wait.
//!
//! Who asks says it under one lock, so that no task stands between an invocation and the stream; one task reads the
//! answers, opens streams and minds the time.

mod machine;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::Either;
use futures_util::{FutureExt, Stream, StreamExt};
use merit_proto::Transport;
use merit_proto::v1;
use merit_proto::v1::broker_message::Message as Said;
use merit_proto::v1::brokerage_client::BrokerageClient;
use merit_proto::v1::brokerage_message::Message as Heard;
use merit_terms::LeaseId;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::Status;

pub(crate) use machine::Answer;
use machine::{Action, Input, Machine};

/// Asks that may wait for the exchange to read them; more means that it does not read.
const SAID_MAX: usize = 8192;
/// Answers that are taken in at once.
const HEARD_MAX: usize = 256;
/// A welcome may name many thousand leases.
const MESSAGE_MAX_BYTES: usize = 64 << 20;
/// How exactly the time is minded: in the order of the least deadline that there is.
const TICK: Duration = Duration::from_millis(100);

type Waiting = oneshot::Sender<Answer>;

/// The stream; it ends when this is dropped.
pub(crate) struct Brokerage {
    shared: Arc<Shared>,
    _end: DropGuard,
}

struct Shared {
    started: Instant,
    core: Mutex<Core>,
    /// The stream that is read is no longer spoken to.
    changed: Notify,
}

struct Core {
    machine: Machine<Waiting>,
    says: Option<mpsc::Sender<v1::BrokerMessage>>,
}

impl Brokerage {
    /// Opens the stream, and again whenever it ends.
    pub(crate) fn start(transport: Transport) -> Brokerage {
        let shared = Arc::new(Shared {
            started: Instant::now(),
            core: Mutex::new(Core { machine: Machine::new(), says: None }),
            changed: Notify::new(),
        });
        let end = CancellationToken::new();
        let reading = {
            let (shared, end) = (shared.clone(), end.clone());
            async move { end.run_until_cancelled(shared.read(transport)).await }
        };
        // Ends with the guard.
        tokio::spawn(reading);
        Brokerage { shared, _end: end.drop_guard() }
    }

    /// Asks for a lease.
    pub(crate) async fn acquire(&self, acquire: v1::Acquire) -> Answer {
        self.ask(|waiting| Input::Acquire(Box::new(acquire), waiting)).await
    }

    /// Bills a lease; repeated until it is answered, for a while.
    pub(crate) async fn settle(&self, settle: v1::Settle) -> Answer {
        self.ask(|waiting| Input::Settle(settle, waiting)).await
    }

    /// Bills a lease that the exchange forgot, by its proof.
    pub(crate) async fn settle_forgotten(&self, proof: v1::LeaseProof, settle: v1::Settle) -> Answer {
        self.ask(|waiting| Input::SettleForgotten(proof, settle, waiting)).await
    }

    /// Gives a lease back. Nobody waits for it: what is asked after it is done after it.
    pub(crate) fn release(&self, lease: LeaseId, why: v1::NotSent) {
        self.shared.step([Input::Release(lease, why)]);
    }

    /// Whether the stream stands and was welcomed.
    pub(crate) fn is_connected(&self) -> bool {
        self.shared.lock().machine.is_on()
    }

    async fn ask(&self, input: impl FnOnce(Waiting) -> Input<Waiting>) -> Answer {
        let (waiting, answer) = oneshot::channel();
        self.shared.step([input(waiting)]);
        let mut asked = Asked { shared: &self.shared, answer };
        // The machine answers everything, at the latest when its time is over.
        (&mut asked.answer).await.unwrap_or(Answer::Unavailable)
    }
}

/// Waits for an answer. One that comes in the moment in which it is given up is not lost: a lease is given back.
struct Asked<'a> {
    shared: &'a Shared,
    answer: oneshot::Receiver<Answer>,
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        self.answer.close();
        if let Some(input) = self.answer.try_recv().ok().and_then(|answer| unheard(Err(answer))) {
            self.shared.step([input]);
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes inputs in; the hello of a stream that is to be opened.
    fn step(&self, inputs: impl IntoIterator<Item = Input<Waiting>>) -> Option<v1::BrokerHello> {
        let now = self.started.elapsed();
        let mut core = self.lock();
        let mut hello = None;
        let mut inputs: Vec<_> = inputs.into_iter().collect();
        while !inputs.is_empty() {
            let mut further = Vec::new();
            for input in inputs {
                for action in core.machine.step(now, input) {
                    match action {
                        Action::Open(opening) => hello = Some(opening),
                        Action::Say(said) => further.extend(core.say(*said).err().map(Input::Ended)),
                        Action::Answer(waiting, answer) => further.extend(unheard(waiting.send(answer))),
                        Action::Close => {
                            core.says = None;
                            self.changed.notify_one();
                        }
                    }
                }
            }
            inputs = further;
        }
        hello
    }

    /// Opens streams and reads them, for ever.
    async fn read(self: Arc<Shared>, transport: Transport) {
        loop {
            let Some(hello) = self.step([Input::Due]) else {
                self.until_due().await;
                continue;
            };
            let (says, said) = mpsc::channel(SAID_MAX);
            let message = v1::BrokerMessage { message: Some(Said::Hello(hello)) };
            // A new queue is neither full nor closed.
            drop(says.try_send(message));
            self.lock().says = Some(says);
            let ended = tokio::select! {
                opened = open(&transport, said) => match opened {
                    Ok(hears) => self.hear(hears).await,
                    Err(status) => Some(status),
                },
                () = self.until_closed() => None,
            };
            if let Some(status) = ended {
                tracing::warn!(code = ?status.code(), reason = status.message(), "no stream with the exchange");
                self.step([Input::Ended(status)]);
            }
        }
    }

    /// Hears a stream until it ends, for the reason, or is no longer spoken to.
    async fn hear(&self, mut hears: impl Hears) -> Option<Status> {
        loop {
            tokio::select! {
                heard = all_that_is_there(&mut hears) => match heard {
                    Ok(heard) => drop(self.step(heard.into_iter().map(Input::Heard))),
                    Err(status) => return Some(status),
                },
                () = self.until_due() => drop(self.step([Input::Due])),
                () = self.changed.notified() => {}
            }
            self.lock().says.as_ref()?;
        }
    }

    /// Waits while a stream opens, and minds the time.
    async fn until_closed(&self) {
        while self.lock().says.is_some() {
            tokio::select! {
                () = self.until_due() => drop(self.step([Input::Due])),
                () = self.changed.notified() => {}
            }
        }
    }

    async fn until_due(&self) {
        let latest = self.started.elapsed() + TICK;
        let due = self.lock().machine.due().map_or(latest, |due| due.min(latest));
        tokio::time::sleep_until(self.started + due).await;
    }
}

impl Core {
    fn say(&mut self, said: Said) -> Result<(), Status> {
        let message = v1::BrokerMessage { message: Some(said) };
        match &self.says {
            Some(says) if says.try_send(message).is_ok() => Ok(()),
            _ => Err(Status::unavailable("the exchange does not read")),
        }
    }
}

/// What the exchange says, over a wire or not.
trait Hears: Stream<Item = Result<v1::BrokerageMessage, Status>> + Unpin {}

impl<T: Stream<Item = Result<v1::BrokerageMessage, Status>> + Unpin> Hears for T {}

/// Opens a stream on which this broker says what is `said`.
async fn open(transport: &Transport, said: mpsc::Receiver<v1::BrokerMessage>) -> Result<impl Hears + use<>, Status> {
    if let Some(streams) = transport.broker_streams() {
        return Ok(Either::Left(ReceiverStream::new(streams.open(said))));
    }
    let mut client = BrokerageClient::new(transport.clone()).max_decoding_message_size(MESSAGE_MAX_BYTES);
    Ok(Either::Right(client.stream(ReceiverStream::new(said)).await?.into_inner()))
}

/// A lease that nobody waits for any more is given back.
fn unheard(sent: Result<(), Answer>) -> Option<Input<Waiting>> {
    match sent {
        Err(Answer::Granted(grant)) => Some(Input::Release(grant.lease?.into(), v1::NotSent::Withdrawn)),
        _ => None,
    }
}

/// Waits for a message, and takes those along that have come with it. May be dropped and called again without a loss.
async fn all_that_is_there(hears: &mut impl Hears) -> Result<Vec<Heard>, Status> {
    let mut heard = Vec::new();
    match hears.next().await {
        None => return Err(Status::unavailable("the exchange ended the stream")),
        Some(first) => heard.extend(first?.message),
    }
    while heard.len() < HEARD_MAX
        && let Some(Some(Ok(next))) = hears.next().now_or_never()
    {
        heard.extend(next.message);
    }
    Ok(heard)
}
