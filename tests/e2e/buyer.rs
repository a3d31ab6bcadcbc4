//! A broker made of a raw stream: it sends any message, and sees every answer.

use merit_proto::v1;
use merit_proto::v1::broker_message::Message as Said;
use merit_proto::v1::brokerage_client::BrokerageClient;
use merit_proto::v1::brokerage_message::Message as Heard;
use merit_proto::v1::refused::Asked;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use crate::market::Market;
use crate::process::PATIENCE;

pub(crate) struct Buyer {
    pub(crate) welcome: v1::BrokerWelcome,
    says: mpsc::Sender<v1::BrokerMessage>,
    hears: Streaming<v1::BrokerageMessage>,
    /// Messages heard while another was awaited.
    passed_over: Vec<Heard>,
    last_number: u64,
}

impl Buyer {
    pub(crate) async fn start(market: &Market) -> Buyer {
        Buyer::try_start(market, None).await.unwrap()
    }

    /// Resumes a session.
    pub(crate) async fn resume(market: &Market, session: u64) -> Buyer {
        Buyer::try_start(market, Some(session)).await.unwrap()
    }

    pub(crate) async fn try_start(market: &Market, resumes: Option<u64>) -> Result<Buyer, Status> {
        let (says, said) = mpsc::channel(1 << 16);
        let hello = Said::Hello(v1::BrokerHello { resumes });
        says.send(v1::BrokerMessage { message: Some(hello) }).await.unwrap();
        let mut client = BrokerageClient::connect(market.grpc.clone()).await.unwrap();
        let mut hears = client.stream(ReceiverStream::new(said)).await?.into_inner();
        match hears.message().await?.and_then(|message| message.message) {
            Some(Heard::Welcome(welcome)) => {
                Ok(Buyer { welcome, says, hears, passed_over: Vec::new(), last_number: 0 })
            }
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn session(&self) -> u64 {
        self.welcome.session
    }

    pub(crate) async fn say(&self, said: Said) {
        self.says.send(v1::BrokerMessage { message: Some(said) }).await.unwrap();
    }

    /// Returns the next answer that `wanted` takes; others stay for later.
    pub(crate) async fn hear<T>(&mut self, wanted: impl Fn(&Heard) -> Option<T>) -> T {
        if let Some((place, found)) = self.passed_over.iter().enumerate().find_map(|(i, h)| Some((i, wanted(h)?))) {
            self.passed_over.remove(place);
            return found;
        }
        loop {
            let heard = tokio::time::timeout(PATIENCE, self.hears.message()).await.expect("an answer in time");
            let heard = heard.unwrap().expect("the stream goes on").message.unwrap();
            match wanted(&heard) {
                Some(found) => return found,
                None => self.passed_over.push(heard),
            }
        }
    }

    /// Waits for the end of the stream. Returns its error, if there is one.
    pub(crate) async fn ended(&mut self) -> Option<Status> {
        loop {
            match tokio::time::timeout(PATIENCE, self.hears.message()).await.expect("the stream ends in time") {
                Ok(Some(_)) => {}
                Ok(None) => return None,
                Err(status) => return Some(status),
            }
        }
    }

    /// Makes a bid of `dev` for the function. Returns its number.
    pub(crate) async fn bid(&mut self, function: &str, limits: v1::Limits) -> u64 {
        self.last_number += 1;
        self.bid_as(self.last_number, function, limits).await
    }

    pub(crate) async fn bid_as(&self, number: u64, function: &str, limits: v1::Limits) -> u64 {
        self.say(Said::Acquire(acquire(number, function, limits))).await;
        number
    }

    /// Returns the answer to a bid.
    pub(crate) async fn answer(&mut self, number: u64) -> Result<v1::Grant, v1::Refusal> {
        self.hear(|heard| match heard {
            Heard::Granted(granted) if granted.number == number => Some(Ok(granted.grant.clone().unwrap())),
            Heard::Refused(v1::Refused { asked: Some(Asked::Number(asked)), refusal }) if *asked == number => {
                Some(Err(refusal.clone().unwrap()))
            }
            _ => None,
        })
        .await
    }

    pub(crate) async fn acquire(&mut self, function: &str, limits: v1::Limits) -> Result<v1::Grant, v1::Refusal> {
        let number = self.bid(function, limits).await;
        self.answer(number).await
    }

    /// Makes a deferred bid of `dev` for the function, limited by its price. Returns its number.
    pub(crate) async fn defer(&mut self, function: &str, max_price: u64, deadline: u64) -> u64 {
        self.last_number += 1;
        let limits = v1::Limits { max_price: Some(max_price), ..v1::Limits::default() };
        let bid = Some(acquire(self.last_number, function, limits));
        self.say(Said::Defer(v1::Defer { bid, deadline, then: v1::AtDeadline::Expire.into() })).await;
        self.last_number
    }

    /// Settles a lease as one that ran for `wall_us`.
    pub(crate) async fn settle(&mut self, lease: v1::LeaseId, wall_us: u64) -> Result<v1::Settled, v1::Refusal> {
        self.say(Said::Settle(executed(lease, wall_us))).await;
        self.settled(lease).await
    }

    pub(crate) async fn settled(&mut self, lease: v1::LeaseId) -> Result<v1::Settled, v1::Refusal> {
        self.hear(|heard| match heard {
            Heard::Settled(settled) if settled.lease == Some(lease) => Some(Ok(*settled)),
            Heard::Refused(v1::Refused { asked: Some(Asked::Settle(asked)), refusal }) if *asked == lease => {
                Some(Err(refusal.clone().unwrap()))
            }
            _ => None,
        })
        .await
    }

    pub(crate) async fn release(&mut self, lease: v1::LeaseId, why: v1::NotSent) {
        self.say(Said::Release(v1::Release { lease: Some(lease), why: why.into(), retry_after_s: 0 })).await;
        let released = |heard: &Heard| matches!(heard, Heard::Released(r) if r.lease == Some(lease)).then_some(());
        self.hear(released).await;
    }
}

pub(crate) fn acquire(number: u64, function: &str, limits: v1::Limits) -> v1::Acquire {
    v1::Acquire {
        number,
        account: "dev".to_owned(),
        function: function.to_owned(),
        limits: Some(limits),
        ..v1::Acquire::default()
    }
}

pub(crate) fn executed(lease: v1::LeaseId, wall_us: u64) -> v1::Settle {
    v1::Settle {
        lease: Some(lease),
        execution: v1::Execution::Executed.into(),
        outcome: v1::Outcome::Ok.into(),
        reported: Some(v1::Usage { wall_us, ..v1::Usage::default() }),
        observed_us: wall_us,
        ..v1::Settle::default()
    }
}
