//! The broker's stream with the exchange, which all invocations share. The pure [`machine`] decides; the stream, the
//! clock and the waiting tasks are here.
//!
//! A request is written under one lock, so that no task stands between an invocation and the stream. One task reads the
//! answers, opens streams and keeps the time.

pub(crate) mod lease;
pub(crate) mod machine;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::Either;
use futures_util::{FutureExt, Stream, StreamExt};
use merit_proto::v1;
use merit_proto::v1::broker_message::Message as Asked;
use merit_proto::v1::brokerage_client::BrokerageClient;
use merit_proto::v1::brokerage_message::Message as Told;
use merit_proto::{Transport, WaitLog};
use merit_terms::LeaseId;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::Status;

use lease::{Bid, Bill, NotSent, Proof, settle_message};
use machine::{LeaseReply, Machine, StreamAction, StreamInput};

/// Requests in the queue to the exchange; a full queue means that it does not read.
const SAID_MAX: usize = 8192;
/// Messages of the exchange that are taken in one turn.
const HEARD_MAX: usize = 256;
/// Largest message of the exchange, in bytes: a welcome may name many thousand leases.
const MESSAGE_MAX_BYTES: usize = 64 << 20;
/// Interval at which deadlines are looked at.
const TICK: Duration = Duration::from_millis(100);

type Waiting = oneshot::Sender<LeaseReply>;

/// The leases of this broker. Their stream ends when this is dropped.
pub(crate) struct Leases {
    shared: Arc<LeaseShared>,
    _end: DropGuard,
}

struct LeaseShared {
    started: Instant,
    core: Mutex<Core>,
    /// Wakes the reader: its stream is no longer written to.
    changed: Notify,
}

struct Core {
    machine: Machine<Waiting>,
    says: Option<mpsc::Sender<v1::BrokerMessage>>,
    /// Reason of the last loss, until it is logged.
    lost: Option<String>,
}

impl Leases {
    /// Opens the stream, and again whenever it ends.
    pub(crate) fn start(transport: Transport) -> Leases {
        let shared = Arc::new(LeaseShared {
            started: Instant::now(),
            core: Mutex::new(Core { machine: Machine::new(), says: None, lost: None }),
            changed: Notify::new(),
        });
        let end = CancellationToken::new();
        let reading = {
            let (shared, end) = (shared.clone(), end.clone());
            async move { end.run_until_cancelled(shared.read(transport)).await }
        };
        // Ends with the guard.
        tokio::spawn(reading);
        Leases { shared, _end: end.drop_guard() }
    }

    /// Asks for a lease.
    pub(crate) async fn acquire(&self, bid: Bid) -> LeaseReply {
        self.ask(|waiting| StreamInput::Acquire(Box::new(bid.into()), waiting)).await
    }

    /// Settles a lease. Repeats the request over later streams until it is answered or its timeout is over.
    pub(crate) async fn settle(&self, lease: LeaseId, bill: &Bill) -> LeaseReply {
        self.ask(|waiting| StreamInput::Settle(lease, settle_message(lease, bill), waiting)).await
    }

    /// Settles a lease that a crash of the exchange lost, by its proof.
    pub(crate) async fn settle_forgotten(&self, proof: Proof, lease: LeaseId, bill: &Bill) -> LeaseReply {
        self.ask(|waiting| StreamInput::SettleForgotten(proof, lease, settle_message(lease, bill), waiting)).await
    }

    /// Gives a lease back and does not wait: the exchange does later requests after it.
    pub(crate) fn release(&self, lease: LeaseId, why: NotSent) {
        self.shared.step([StreamInput::Release(lease, why)]);
    }

    /// Returns the key that signs chains of calls, once a stream was welcomed.
    pub(crate) fn via_key(&self) -> Option<[u8; 32]> {
        self.shared.lock().machine.via_key()
    }

    /// Returns true if the stream stands and was welcomed.
    pub(crate) fn is_connected(&self) -> bool {
        self.shared.lock().machine.is_on()
    }

    async fn ask(&self, input: impl FnOnce(Waiting) -> StreamInput<Waiting>) -> LeaseReply {
        let (waiting, answer) = oneshot::channel();
        self.shared.step([input(waiting)]);
        let mut asked = AwaitedReply { shared: &self.shared, answer };
        // The machine answers every request, at the latest when its timeout is over.
        (&mut asked.answer).await.unwrap_or(LeaseReply::Unavailable)
    }
}

/// The wait for an answer. If it is dropped as a lease comes in, the lease is given back.
struct AwaitedReply<'a> {
    shared: &'a LeaseShared,
    answer: oneshot::Receiver<LeaseReply>,
}

impl Drop for AwaitedReply<'_> {
    fn drop(&mut self) {
        self.answer.close();
        if let Some(input) = self.answer.try_recv().ok().and_then(|answer| unheard(Err(answer))) {
            self.shared.step([input]);
        }
    }
}

impl LeaseShared {
    fn lock(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Steps the machine and does its actions. Returns the hello of a stream to open.
    fn step(&self, inputs: impl IntoIterator<Item = StreamInput<Waiting>>) -> Option<v1::BrokerHello> {
        let now = self.started.elapsed();
        let mut core = self.lock();
        let mut hello = None;
        let mut inputs: Vec<_> = inputs.into_iter().collect();
        while !inputs.is_empty() {
            let mut further = Vec::new();
            for input in inputs {
                for action in core.machine.step(now, input) {
                    match action {
                        StreamAction::Open(opening) => hello = Some(opening),
                        StreamAction::Say(said) => further.extend(core.say(*said).err().map(StreamInput::Ended)),
                        StreamAction::Answer(waiting, answer) => further.extend(unheard(waiting.send(answer))),
                        StreamAction::Close(reason) => {
                            (core.says, core.lost) = (None, Some(reason));
                            self.changed.notify_one();
                        }
                    }
                }
            }
            inputs = further;
        }
        hello
    }

    /// Opens streams and reads them, without end.
    async fn read(self: Arc<LeaseShared>, transport: Transport) {
        let mut waits = WaitLog::default();
        loop {
            let Some(hello) = self.step([StreamInput::Due]) else {
                self.until_due().await;
                continue;
            };
            let (says, said) = mpsc::channel(SAID_MAX);
            let message = v1::BrokerMessage { message: Some(Asked::Hello(hello)) };
            // A new queue is neither full nor closed.
            drop(says.try_send(message));
            self.lock().says = Some(says);
            let ended = tokio::select! {
                opened = open(&transport, said) => match opened {
                    Ok(hears) => self.hear(hears, &mut waits).await,
                    Err(status) => Some(status),
                },
                () = self.until_closed() => None,
            };
            self.step(ended.map(StreamInput::Ended));
            if let Some(reason) = self.lock().lost.take() {
                waits.waits(&transport.place(), &reason);
            }
        }
    }

    /// Reads a stream until it ends or is no longer written to. Returns the reason if it ended.
    async fn hear(&self, mut hears: impl Hears, waits: &mut WaitLog) -> Option<Status> {
        loop {
            tokio::select! {
                heard = all_that_is_there(&mut hears) => match heard {
                    Ok(heard) => drop(self.step(heard.into_iter().map(StreamInput::Heard))),
                    Err(status) => return Some(status),
                },
                // A stream that is lost is opened by the reader alone.
                () = self.until_due(), if self.lock().says.is_some() => drop(self.step([StreamInput::Due])),
                () = self.changed.notified() => {}
            }
            let core = self.lock();
            core.says.as_ref()?;
            if core.machine.is_on() {
                waits.answers();
            }
        }
    }

    /// Keeps the time while a stream opens. Returns when it is no longer written to.
    async fn until_closed(&self) {
        while self.lock().says.is_some() {
            tokio::select! {
                () = self.until_due() => drop(self.step([StreamInput::Due])),
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
    fn say(&mut self, said: Asked) -> Result<(), Status> {
        let message = v1::BrokerMessage { message: Some(said) };
        match &self.says {
            Some(says) if says.try_send(message).is_ok() => Ok(()),
            _ => Err(Status::unavailable("the exchange does not read")),
        }
    }
}

/// The messages of the exchange, over a wire or in this process.
trait Hears: Stream<Item = Result<v1::BrokerageMessage, Status>> + Unpin {}

impl<T: Stream<Item = Result<v1::BrokerageMessage, Status>> + Unpin> Hears for T {}

/// Opens a stream that carries the messages of `said`.
async fn open(transport: &Transport, said: mpsc::Receiver<v1::BrokerMessage>) -> Result<impl Hears + use<>, Status> {
    if let Some(streams) = transport.broker_streams() {
        return Ok(Either::Left(ReceiverStream::new(streams.open(said))));
    }
    let mut client = BrokerageClient::new(transport.clone()).max_decoding_message_size(MESSAGE_MAX_BYTES);
    Ok(Either::Right(client.stream(ReceiverStream::new(said)).await?.into_inner()))
}

/// Returns the release of a lease that nobody waits for any more.
fn unheard(sent: Result<(), LeaseReply>) -> Option<StreamInput<Waiting>> {
    match sent {
        Err(LeaseReply::Granted(grant)) => Some(StreamInput::Release(grant.lease, NotSent::Withdrawn)),
        _ => None,
    }
}

/// Waits for a message and takes those that have come with it. Cancel-safe.
async fn all_that_is_there(hears: &mut impl Hears) -> Result<Vec<Told>, Status> {
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
