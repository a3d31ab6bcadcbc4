//! Readers who may see nothing private, and all that they can read: every route of the description and every method of
//! the protocol, so that a new one cannot be forgotten.

use http::Method;
use merit_proto::v1::market_data_client::MarketDataClient;
use merit_proto::{Connection, Transport, v1};
use serde_json::Value;

use super::planted::{ACCOUNT, FUNCTION, PROVIDER, assert_silent, near, whole};
use crate::doors::{Key, Secured};
use crate::events::Events;
use crate::keys_grpc::methods::{self, Names};

/// The route without an end, which is read by [`Streams`].
const STREAM: &str = "/v1/stream";

/// A reader, with objects of its own.
pub(super) struct Reader<'a> {
    pub(super) who: &'static str,
    pub(super) key: Option<&'a Key>,
    pub(super) account: &'static str,
    pub(super) function: &'static str,
    /// An invocation of its own.
    pub(super) invocation: &'a str,
}

impl Reader<'_> {
    /// Fills in the parameters of a path, by the reader's own objects or by names that are nearly private ones.
    fn fill(&self, path: &str, nearly: bool) -> String {
        let key = self.key.map_or("key-1", |key| key.id.as_str());
        let (account, function, provider) = (near(ACCOUNT), near(FUNCTION), near(PROVIDER));
        let one_of = |own: &str, private: &str| if nearly { private } else { own }.to_owned();
        let id = match path.split('/').nth(2) {
            Some("accounts") => one_of(self.account, &account),
            Some("keys") => one_of(key, "key-999999"),
            _ => one_of(self.invocation, "1-999999"),
        };
        let is_provider = path.starts_with("/v1/providers");
        let name = if is_provider { one_of("market-seller", &provider) } else { one_of(self.function, &function) };
        [("name", name.as_str()), ("id", &id), ("alias", "live"), ("path", "a/path"), ("region", "local")]
            .iter()
            .fold(path.replace("{class}", &one_of("wasm", "wasn")), |path, (parameter, value)| {
                path.replace(&format!("{{{parameter}}}"), value)
            })
    }

    async fn ask(&self, secured: &Secured, method: Method, path: &str, headers: &[(&str, &str)]) -> String {
        let body = match method {
            Method::PUT if path.ends_with("/module") => "no module",
            Method::PUT | Method::PATCH => "{}",
            _ => "",
        };
        let answer = match self.key {
            Some(key) => secured.call_as(key, method, path, headers, body).await,
            None => secured.market.call(method, path, headers, body).await,
        };
        whole(&answer)
    }

    /// Reads every route of the description, and the page.
    pub(super) async fn read_doors(&self, secured: &Secured) {
        let described = secured.market.get("/openapi.json").await.json();
        assert!(described["paths"][STREAM]["get"].is_object());
        let mut asked = vec![(Method::GET, "/".to_owned()), (Method::GET, "/index.html".to_owned())];
        for (path, operations) in described["paths"].as_object().unwrap() {
            for method in operations.as_object().unwrap().keys().filter(|_| path != STREAM) {
                let method: Method = method.to_uppercase().parse().unwrap();
                asked.push((method.clone(), self.fill(path, true)));
                // Its own objects are there to be read, and to be called.
                if matches!(method, Method::GET | Method::POST) {
                    asked.push((method, self.fill(path, false)));
                }
            }
        }
        for interval in ["1s", "1m", "1h", "1d"] {
            asked.push((Method::GET, format!("/v1/markets/local/wasm/candles?interval={interval}&limit=1500")));
        }
        asked.push((Method::GET, "/v1/markets/local/wasm/trades?limit=1000".to_owned()));
        for (method, path) in asked {
            let text = self.ask(secured, method.clone(), &path, &[]).await;
            assert_silent(&format!("{}: {method} {path}", self.who), &text);
        }
        let calls = ["invocations", "quote"].map(|what| format!("/v1/functions/{}/{what}", self.function));
        let (provider, no_price) = (near(PROVIDER), "0.000000000001");
        for preference in [("merit-only", provider.as_str()), ("merit-max-price", no_price), ("merit-regions", "eu-*")]
        {
            for path in &calls {
                let text = self.ask(secured, Method::POST, path, &[preference]).await;
                assert_silent(&format!("{}: {path} with {preference:?}", self.who), &text);
            }
        }
    }

    /// Calls every method of the protocol.
    pub(super) async fn read_methods(&self, secured: &Secured) {
        let names = Names {
            account: near(ACCOUNT),
            function: near(FUNCTION),
            provider: near(PROVIDER),
            digest: vec![7; 32],
            key: "key-999999".to_owned(),
            lease: v1::LeaseId { run: 1, sequence: 999_999 },
        };
        for row in methods::table() {
            let text = match (row.call)(transport(secured, self.key), names.clone()).await {
                Ok(text) => text,
                Err(status) => format!("{} {:?}", status.message(), status.metadata()),
            };
            assert_silent(&format!("{}: {}", self.who, row.method), &text);
        }
    }
}

fn transport(secured: &Secured, key: Option<&Key>) -> Transport {
    let key = key.map(|key| key.text().parse().unwrap());
    Transport::connect(&Connection { key, ..Connection::to(&secured.market.grpc) }).unwrap()
}

/// A stranger's streams of the market, by both doors.
pub(super) struct Streams {
    events: Events,
    subscription: tonic::Streaming<v1::MarketEvent>,
}

impl Streams {
    pub(super) async fn open(secured: &Secured) -> Streams {
        let mut client = MarketDataClient::new(transport(secured, None));
        let subscription = client.subscribe(v1::SubscribeRequest::default()).await.unwrap().into_inner();
        Streams { events: Events::open(&format!("{}{STREAM}", secured.market.http), None).await, subscription }
    }

    /// Reads until a trade of the public seller, which is the first trade.
    pub(super) async fn read_to_public_trade(mut self) {
        loop {
            let event = self.events.next().await;
            assert_silent("the stream", &event.data.to_string());
            if event.name == "trade" {
                assert_eq!(event.data["provider"], "market-seller");
                break;
            }
        }
        while let Some(told) = self.subscription.message().await.unwrap() {
            assert_silent("the subscription", &format!("{told:?}"));
            if let Some(v1::market_event::Event::Trade(trade)) = told.event {
                assert_eq!(trade.provider, "market-seller");
                return;
            }
        }
        panic!("the subscription ended");
    }
}

/// Returns an answer's JSON without the name that was asked for, and without what differs from answer to answer.
pub(super) fn without(name: &str, mut told: Value) -> String {
    if let Some(told) = told.as_object_mut() {
        told.retain(|field, _| field != "at" && field != "sequence");
    }
    told.to_string().replace(name, "NAME")
}
