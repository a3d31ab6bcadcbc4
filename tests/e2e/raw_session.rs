//! A provider's session message by message: logons of every kind, and the exchange's answers. Runs nothing.

use std::time::Duration;

use merit_proto::v1;
use merit_proto::v1::exchange_message::Message as Heard;
use merit_proto::v1::provider_gateway_client::ProviderGatewayClient;
use merit_proto::v1::provider_message::Message as Said;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use crate::market::Market;
use crate::process::PATIENCE;

pub(crate) struct RawSession {
    pub(crate) welcome: v1::Welcome,
    says: mpsc::Sender<v1::ProviderMessage>,
    hears: Streaming<v1::ExchangeMessage>,
    last_number: u64,
    /// The heartbeat; it ends with the session.
    _beat: JoinSet<()>,
}

/// Returns the logon of a provider with one pool, at an endpoint without a listener.
pub(crate) fn logon(name: &str) -> v1::Logon {
    v1::Logon {
        provider: name.to_owned(),
        pools: vec![v1::PoolSize { memory_mb: 1024, slots: 8 }],
        endpoint: "http://127.0.0.1:1".to_owned(),
        ..v1::Logon::default()
    }
}

impl RawSession {
    pub(crate) async fn start(market: &Market, logon: v1::Logon) -> RawSession {
        RawSession::try_start(market, logon).await.unwrap()
    }

    pub(crate) async fn try_start(market: &Market, logon: v1::Logon) -> Result<RawSession, Status> {
        let (says, said) = mpsc::channel(64);
        let pools = logon.pools.clone();
        says.send(v1::ProviderMessage { message: Some(Said::Logon(logon)) }).await.unwrap();
        let mut client = ProviderGatewayClient::connect(market.grpc.clone()).await.unwrap();
        let mut hears = client.session(ReceiverStream::new(said)).await?.into_inner();
        let Some(Heard::Welcome(welcome)) = hears.message().await?.and_then(|message| message.message) else {
            panic!("no welcome");
        };
        let (mut beat, beats) = (JoinSet::new(), says.clone());
        beat.spawn(async move {
            loop {
                let heartbeat = Said::Heartbeat(v1::ProviderHeartbeat { pools: pools.clone() });
                if beats.send(v1::ProviderMessage { message: Some(heartbeat) }).await.is_err() {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(300)).await;
            }
        });
        Ok(RawSession { welcome, says, hears, last_number: 0, _beat: beat })
    }

    pub(crate) async fn say(&self, said: Said) {
        self.says.send(v1::ProviderMessage { message: Some(said) }).await.unwrap();
    }

    /// Returns the next message that `wanted` takes; those before it are dropped.
    pub(crate) async fn hear<T>(&mut self, wanted: impl Fn(&Heard) -> Option<T>) -> T {
        loop {
            let (_, heard) = self.next().await;
            if let Some(found) = wanted(&heard) {
                return found;
            }
        }
    }

    /// Returns the next message about the provider, whatever its session, with its number.
    pub(crate) async fn numbered(&mut self) -> (u64, Heard) {
        loop {
            let (number, heard) = self.next().await;
            if number > 0 {
                return (number, heard);
            }
        }
    }

    async fn next(&mut self) -> (u64, Heard) {
        let message = tokio::time::timeout(PATIENCE, self.hears.message()).await.expect("a message in time");
        let message = message.unwrap().expect("the session goes on");
        (message.session_sequence, message.message.unwrap())
    }

    /// Waits for the end of the stream. Returns its error, if there is one.
    pub(crate) async fn ended(&mut self) -> Option<Status> {
        loop {
            match tokio::time::timeout(PATIENCE, self.hears.message()).await.expect("the session ends in time") {
                Ok(Some(_)) => {}
                Ok(None) => return None,
                Err(status) => return Some(status),
            }
        }
    }

    /// Replaces the ladder of a market.
    pub(crate) async fn quote(&mut self, market: &str, rungs: Vec<v1::Rung>) {
        self.last_number += 1;
        let number = self.last_number;
        self.say(Said::Quote(v1::QuoteLadder { market: market.to_owned(), number, rungs })).await;
        self.hear(|heard| match heard {
            Heard::QuoteAccepted(accepted) if accepted.number == number => Some(()),
            Heard::QuoteRefused(refused) => panic!("{refused:?}"),
            _ => None,
        })
        .await;
    }

    /// Claims a lease. Returns the answer.
    pub(crate) async fn claim(&mut self, proof: v1::LeaseProof, wall_us: u64) -> v1::ClaimAnswered {
        let usage = Some(v1::Usage { wall_us, ..v1::Usage::default() });
        self.say(Said::Claim(v1::UsageClaim { proof: Some(proof), usage })).await;
        self.hear(|heard| match heard {
            Heard::ClaimAnswered(answered) => Some(answered.clone()),
            _ => None,
        })
        .await
    }
}
