//! `merit.v1.Brokerage.Stream`: one stream serves all invocations of a broker.
//!
//! Reads all waiting messages, applies them in one turn at the engine, and sends each answer when it is due. A stream
//! that ends leaves its session to one that resumes it.

use std::pin::Pin;
use std::time::Duration;

use futures_util::stream::{FuturesOrdered, Peekable};
use futures_util::{FutureExt, Stream, StreamExt};
use merit_engine::{BidEnding, BrokerSession, Command, Engine, Reply};
use merit_proto::v1;
use merit_proto::v1::broker_message::Message as Asked;
use merit_proto::v1::brokerage_message::Message as Told;
use merit_proto::{BrokerAnswers, refusal_status};
use merit_terms::Refusal;
use tokio::sync::mpsc;
use tonic::Status;

use super::asks::Answer;
use super::grant::Dispatchable;
use crate::access::Identity;
use crate::exchange::Exchange;
use crate::sequencer::Durable;
use crate::services::lookup::unavailable;
use crate::services::outgoing::{Gone, Outgoing};
use crate::sessions::brokers::{BrokerNote, OpenStream};

/// Queue length of answers before a broker.
const ANSWERS_MAX: usize = 4096;
/// Timeout of the first message of a stream, 10 s.
const HELLO_WITHIN: Duration = Duration::from_secs(10);
/// Timeout of a broker that does not read, 5 s.
const READ_WITHIN: Duration = Duration::from_secs(5);
/// Asks in one turn at most: a bound on the wait of others for the engine.
const TURN_MAX: usize = 256;

type ToBroker = Outgoing<v1::BrokerageMessage>;

/// The messages of a broker, from the network or from this process.
pub(in crate::services) trait Says:
    Stream<Item = Result<v1::BrokerMessage, Status>> + Send + Unpin + 'static
{
}

impl<T: Stream<Item = Result<v1::BrokerMessage, Status>> + Send + Unpin + 'static> Says for T {}

impl Exchange {
    /// Serves a broker with these messages. Returns the answers.
    pub(in crate::services) fn open_broker_stream(self, caller: Identity, incoming: impl Says) -> BrokerAnswers {
        let (outgoing, told) = mpsc::channel(ANSWERS_MAX);
        // The task ends with the stream: the transport's keep-alive finds a dead connection.
        tokio::spawn(async move { self.serve_broker(caller, incoming, Outgoing::new(outgoing, READ_WITHIN)).await });
        told
    }

    async fn serve_broker(&self, caller: Identity, incoming: impl Says, outgoing: ToBroker) {
        let mut incoming = incoming.peekable();
        let hello = match tokio::time::timeout(HELLO_WITHIN, incoming.next()).await {
            Ok(Some(Ok(v1::BrokerMessage { message: Some(Asked::Hello(hello)) }))) => hello,
            Ok(Some(Err(_)) | None) => return,
            Ok(Some(Ok(_))) => {
                return outgoing.end(Status::invalid_argument("the first message must be a BrokerHello"));
            }
            Err(_) => return outgoing.end(Status::deadline_exceeded("no BrokerHello within 10 s")),
        };
        let (mut own_stream, welcome) = match self.begin_broker(hello.resumes).await {
            Ok(begun) => begun,
            Err(status) => {
                tracing::warn!(resumes = hello.resumes, reason = status.message(), "a broker's stream was refused");
                return outgoing.end(status);
            }
        };
        let session = welcome.session;
        tracing::info!(session, resumed = hello.resumes.is_some(), "a broker's stream began");
        let ended = match outgoing.tell(message(Told::Welcome(welcome))).await {
            Ok(()) => tokio::select! {
                ended = self.run_broker(session, &mut own_stream, &mut incoming, &outgoing) => ended,
                refused = self.until_refused(caller) => refused,
            },
            Err(Gone) => does_not_read(),
        };
        tracing::info!(session, reason = ended.message(), "a broker's stream ended");
        self.lose_broker(&own_stream);
        outgoing.end(ended);
    }

    /// Begins or resumes a session, and waits until it is durable.
    async fn begin_broker(&self, resumes: Option<u64>) -> Result<(OpenStream, v1::BrokerWelcome), Status> {
        let logon = || {
            let turn = self.0.sequencer.take_turn(|turn| match turn.apply(&Command::BrokerLogon { resumes }).reply {
                Ok(Reply::Broker(begun)) => Ok((begun.session, stands(turn.engine(), &begun))),
                Ok(_) => Err(Status::internal("the engine answered something else than a session")),
                Err(refusal) => Err(refusal_status(&refusal)),
            });
            let (begun, durable) = turn.map_err(unavailable)?;
            begun.map(|(session, stands)| (session, (session, stands, durable)))
        };
        let (own_stream, (session, Stands { leases, bids }, durable)) =
            self.0.projections.brokers.begin(resumes, logon)?;
        if let Err(error) = durable.wait().await {
            self.lose_broker(&own_stream);
            return Err(unavailable(error));
        }
        let leases = leases.into_iter().map(|lease| self.signed(lease)).collect();
        Ok((own_stream, v1::BrokerWelcome { session, leases, bids, via_key: self.0.key.via_key().to_vec() }))
    }

    fn lose_broker(&self, own_stream: &OpenStream) {
        self.0.projections.brokers.end(own_stream, |session| {
            if let Err(error) = self.0.sequencer.submit_ending(&Command::BrokerLost { session }) {
                tracing::warn!(session, %error, "the end of a broker's stream could not be recorded");
            }
        });
    }

    /// Serves the stream until its end. Returns the reason.
    async fn run_broker(
        &self,
        session: u64,
        own_stream: &mut OpenStream,
        incoming: &mut Peekable<impl Says>,
        outgoing: &ToBroker,
    ) -> Status {
        let mut becoming_durable = FuturesOrdered::new();
        loop {
            let told = tokio::select! {
                asked = all_that_is_there(incoming) => {
                    let asked = match asked {
                        Ok(Some(asked)) => asked,
                        Ok(None) => return Status::ok("the broker closed its stream"),
                        Err(status) => return status,
                    };
                    match self.take_turn(session, asked) {
                        Ok((mut now, later, durable)) => {
                            if becoming_durable.is_empty() && durable.is_reached() {
                                now.extend(later);
                            } else if !later.is_empty() {
                                becoming_durable.push_back(async move { durable.wait().await.map(|()| later) });
                            }
                            now
                        }
                        Err(status) => return status,
                    }
                }
                Some(durable) = becoming_durable.next() => match durable {
                    Ok(told) => told,
                    Err(error) => return unavailable(error),
                },
                note = own_stream.notes.recv() => match note {
                    Some(note) => self.noted(note),
                    None => return Status::aborted("another stream goes on with the session, or this one did not read"),
                },
            };
            for one in told {
                if outgoing.tell(message(one)).await.is_err() {
                    return does_not_read();
                }
            }
        }
    }

    /// Carries all asks out, in order, in one turn. Returns the immediate answers, and those to send once durable.
    fn take_turn(
        &self,
        session: u64,
        asked: Vec<v1::BrokerMessage>,
    ) -> Result<(Vec<Told>, Vec<Told>, Durable), Status> {
        let asks = asked.into_iter().map(|message| self.read_ask(session, message)).collect::<Result<Vec<_>, _>>()?;
        let turn = self
            .0
            .sequencer
            .take_turn(|turn| asks.into_iter().map(|ask| ask.answer(turn)).collect::<Result<Vec<Answer>, Status>>());
        let (answers, durable) = turn.map_err(unavailable)?;
        let (mut now, mut later) = (Vec::new(), Vec::new());
        for answer in answers? {
            match answer {
                Answer::Now(told) => now.push(told),
                Answer::Grant(number, grant) => {
                    now.push(Told::Granted(v1::Granted { number, grant: Some(self.signed(*grant)) }));
                }
                Answer::Durable(told) => later.push(told),
            }
        }
        Ok((now, later, durable))
    }

    fn noted(&self, note: BrokerNote) -> Vec<Told> {
        match note {
            BrokerNote::Offered(grant) => {
                let known = self.0.sequencer.read(|engine| Dispatchable::of(engine, &grant));
                let offered = |known| Told::Offered(v1::Offered { grant: Some(self.signed(known)) });
                known.map(offered).into_iter().collect()
            }
            BrokerNote::Gone { bid, how } => {
                let how = match how {
                    BidEnding::Matched => return Vec::new(),
                    BidEnding::Cancelled => v1::BidEnding::Cancelled,
                    BidEnding::Expired => v1::BidEnding::Expired,
                };
                vec![Told::BidGone(v1::BidGone { bid: Some(bid.into()), how: how.into() })]
            }
        }
    }
}

/// The leases and resting bids of a session.
struct Stands {
    leases: Vec<Dispatchable>,
    bids: Vec<v1::Resting>,
}

fn stands(engine: &Engine, begun: &BrokerSession) -> Stands {
    let resting = engine.resting().filter_map(|resting| {
        let request = resting.deferred.bid.request.filter(|request| request.session == begun.session)?;
        Some(v1::Resting { number: request.number, bid: Some(resting.id.into()) })
    });
    Stands {
        leases: begun.leases.iter().filter_map(|grant| Dispatchable::of(engine, grant)).collect(),
        bids: resting.collect(),
    }
}

/// Waits for a message, yields once to other senders, and takes all waiting messages: one turn at the engine and one
/// batch of the journal for all of them. May be dropped and called again without a loss.
async fn all_that_is_there(incoming: &mut Peekable<impl Says>) -> Result<Option<Vec<v1::BrokerMessage>>, Status> {
    if Pin::new(&mut *incoming).peek().await.is_none() {
        return Ok(None);
    }
    // Resumes once the runtime's thread has nothing else to do.
    tokio::task::yield_now().await;
    let mut asked = Vec::new();
    // The next call meets the end again.
    while asked.len() < TURN_MAX
        && let Some(Some(next)) = incoming.next().now_or_never()
    {
        match next {
            Ok(next) => asked.push(next),
            Err(status) if asked.is_empty() => return Err(status),
            Err(_) => break,
        }
    }
    Ok(Some(asked))
}

fn message(told: Told) -> v1::BrokerageMessage {
    v1::BrokerageMessage { message: Some(told) }
}

fn does_not_read() -> Status {
    refusal_status(&Refusal::OverLimit { limit: "answers that wait to be read", most: ANSWERS_MAX as u64 })
}
