//! Keys at the exchange's gRPC services: the rights of each role, and the effect on calls when a key ends.
//!
//! `methods` holds the table of every method and role; here are the exchange for it, and the tests about time.

pub(crate) mod methods;
pub(crate) mod secured;

use std::net::SocketAddr;
use std::time::Duration;

use merit_exchange::{Durability, Exchange, Settings};
use merit_listener::ServerTls;
use merit_proto::v1;
use merit_proto::v1::broker_message::Message as BrokerSaid;
use merit_proto::v1::brokerage_client::BrokerageClient;
use merit_proto::v1::keys_client::KeysClient;
use merit_proto::v1::operator_client::OperatorClient;
use merit_proto::v1::provider_gateway_client::ProviderGatewayClient;
use merit_proto::v1::provider_message::Message as ProviderSaid;
use merit_proto::v1::registry_client::RegistryClient;
use merit_proto::{Connection, Transport};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio_stream::StreamExt;
use tonic::{Code, Status};

use crate::raw_session::logon;

/// Timeout for the end of a stream: a key ends it within a second, the rest is for a busy machine.
const SOON: Duration = Duration::from_secs(5);

/// An exchange with keys, served on a socket.
pub(super) struct Served {
    pub(super) exchange: Exchange,
    pub(super) address: SocketAddr,
    _dir: TempDir,
}

impl Served {
    pub(super) async fn start(keyless: bool) -> Served {
        Served::start_with(keyless, None).await
    }

    pub(super) async fn start_with(keyless: bool, tls: Option<ServerTls>) -> Served {
        let dir = tempfile::tempdir().unwrap();
        let data_dir = dir.path().join("data");
        let settings = Settings {
            data_dir,
            keyless,
            master_key: None,
            new_master_key: false,
            accept_loss: None,
            disk_reserve: 0,
            heartbeat_ms: 1_000,
            durability: Durability::Durable,
        };
        let exchange = Exchange::open(settings).await.unwrap();
        exchange.ensure_market(&"local/wasm".parse().unwrap()).await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let served = Served { exchange, address, _dir: dir };
        served.account("operator").await;
        // An exchange without an operator's key serves nothing.
        served.key("operator", v1::Role::Operator).await;
        let exchange = served.exchange.clone();
        tokio::spawn(
            async move { exchange.serve(listener, tls, std::future::pending(), Duration::ZERO).await.unwrap() },
        );
        served
    }

    /// Returns the transport of this process's broker.
    pub(super) async fn trusted(&self) -> Transport {
        self.exchange.in_process().await.unwrap()
    }

    pub(super) async fn account(&self, id: &str) {
        let mut operator = OperatorClient::new(self.trusted().await);
        operator.open_account(v1::OpenAccountRequest { id: id.to_owned() }).await.unwrap();
    }

    /// Makes a key of an account. Returns it as `ID.SECRET`.
    pub(super) async fn key(&self, account: &str, role: v1::Role) -> String {
        let mut keys = KeysClient::new(self.trusted().await);
        let request = v1::CreateKeyRequest { role: role.into(), account: account.to_owned(), expires: 0 };
        let new = keys.create_key(request).await.unwrap().into_inner();
        format!("{}.{}", new.key.unwrap().id, new.secret)
    }

    pub(super) async fn revoke(&self, key: &str) {
        let id = key.split_once('.').unwrap().0.to_owned();
        KeysClient::new(self.trusted().await).revoke_key(v1::RevokeKeyRequest { id }).await.unwrap();
    }

    pub(super) async fn provider(&self, name: &str, account: &str) {
        let request = v1::RegisterProviderRequest {
            name: name.to_owned(),
            account: account.to_owned(),
            kind: v1::ProviderKind::Own.into(),
            ..v1::RegisterProviderRequest::default()
        };
        OperatorClient::new(self.trusted().await).register_provider(request).await.unwrap();
    }

    /// Returns a transport with a key, or without.
    pub(super) fn network(&self, key: Option<&str>) -> Transport {
        let key = key.map(|key| key.parse().unwrap());
        Transport::connect(&Connection { key, ..Connection::to(&format!("http://{}", self.address)) }).unwrap()
    }

    /// Returns whether an account is shown to the holder of this key.
    async fn sees(&self, key: Option<&str>, account: &str) -> Result<(), Code> {
        let request = v1::GetAccountRequest { id: account.to_owned() };
        let answer = RegistryClient::new(self.network(key)).get_account(request).await;
        answer.map(drop).map_err(|status| status.code())
    }
}

#[tokio::test]
async fn a_wrong_or_ended_secret_is_refused_everywhere() {
    for keyless in [false, true] {
        let served = Served::start(keyless).await;
        served.account("ours").await;
        let key = served.key("ours", v1::Role::Client).await;
        assert_eq!(served.sees(Some(&key), "ours").await, Ok(()));
        assert_eq!(served.sees(Some(&key), "operator").await, Err(Code::NotFound));
        let without = if keyless { Ok(()) } else { Err(Code::Unauthenticated) };
        assert_eq!(served.sees(None, "ours").await, without);
        let other = served.key("ours", v1::Role::Client).await;
        let (id, secret) = (key.split_once('.').unwrap().0, other.split_once('.').unwrap().1);
        for wrong in [format!("{id}.{secret}"), format!("{id}.x"), "key-999999.x".to_owned()] {
            assert_eq!(served.sees(Some(&wrong), "ours").await, Err(Code::Unauthenticated), "{wrong}");
        }
        served.revoke(&key).await;
        assert_eq!(served.sees(Some(&key), "ours").await, Err(Code::Unauthenticated));
    }
}

#[tokio::test]
async fn a_rotated_key_has_two_secrets_as_long_as_asked() {
    let served = Served::start(false).await;
    served.account("ours").await;
    let old = served.key("ours", v1::Role::Client).await;
    let id = old.split_once('.').unwrap().0.to_owned();
    let mut keys = KeysClient::new(served.trusted().await);
    let rotate = |keep_previous_ms| v1::RotateKeyRequest { id: id.clone(), keep_previous_ms };
    let new = keys.rotate_key(rotate(60_000)).await.unwrap().into_inner();
    let found = keys.find_key(v1::FindKeyRequest { id: id.clone() }).await.unwrap().into_inner();
    assert_eq!((&found.secret, format!("{id}.{}", found.previous_secret)), (&new.secret, old.clone()));
    let new = format!("{id}.{}", new.secret);
    assert_eq!(served.sees(Some(&old), "ours").await, Ok(()));
    assert_eq!(served.sees(Some(&new), "ours").await, Ok(()));
    keys.rotate_key(rotate(0)).await.unwrap();
    assert_eq!(served.sees(Some(&old), "ours").await, Err(Code::Unauthenticated));
    assert_eq!(served.sees(Some(&new), "ours").await, Err(Code::Unauthenticated));
}

/// Returns the end of a stream, which must come soon.
async fn end<T>(mut stream: tonic::Streaming<T>) -> Status {
    let ended = async {
        loop {
            match stream.message().await {
                Ok(Some(_)) => {}
                Ok(None) => return Status::ok("ended"),
                Err(status) => return status,
            }
        }
    };
    tokio::time::timeout(SOON, ended).await.expect("the stream ends soon")
}

#[tokio::test]
async fn the_streams_of_a_key_end_when_it_is_revoked() {
    let served = Served::start(false).await;
    served.account("ours").await;
    served.provider("edge", "ours").await;
    let (seller, broker) = (served.key("ours", v1::Role::Provider).await, served.key("ours", v1::Role::Broker).await);

    // The logon alone may carry the key.
    let said = v1::Logon { key: seller.clone(), ..logon("edge") };
    let said = v1::ProviderMessage { message: Some(ProviderSaid::Logon(said)) };
    let said = tokio_stream::once(said).chain(tokio_stream::pending());
    let mut gateway = ProviderGatewayClient::new(served.network(None));
    let mut session = gateway.session(said).await.unwrap().into_inner();
    session.message().await.unwrap().expect("a welcome");
    let hello = v1::BrokerMessage { message: Some(BrokerSaid::Hello(v1::BrokerHello { resumes: None })) };
    let hello = tokio_stream::once(hello).chain(tokio_stream::pending());
    let mut brokerage = BrokerageClient::new(served.network(Some(&broker)));
    let mut stream = brokerage.stream(hello).await.unwrap().into_inner();
    stream.message().await.unwrap().expect("a welcome");
    let mut keys = KeysClient::new(served.network(Some(&broker)));
    let mut watch = keys.watch_keys(v1::WatchKeysRequest {}).await.unwrap().into_inner();
    assert_eq!(watch.message().await.unwrap().unwrap().id, "");

    served.revoke(&seller).await;
    assert_eq!(end(session).await.code(), Code::Unauthenticated);
    assert_eq!(watch.message().await.unwrap().unwrap().id, seller.split_once('.').unwrap().0);
    let hears = tokio::time::timeout(Duration::from_millis(100), stream.message()).await;
    assert!(hears.is_err(), "the stream of another key went on: {hears:?}");

    served.revoke(&broker).await;
    assert_eq!(end(stream).await.code(), Code::Unauthenticated);
    assert_eq!(end(watch).await.code(), Code::Unauthenticated);
}

#[tokio::test]
async fn with_keys_an_unknown_provider_is_not_registered() {
    let served = Served::start(false).await;
    let operator = served.key("operator", v1::Role::Operator).await;
    let said = v1::ProviderMessage { message: Some(ProviderSaid::Logon(logon("stranger"))) };
    let mut gateway = ProviderGatewayClient::new(served.network(Some(&operator)));
    let session = gateway.session(tokio_stream::once(said).chain(tokio_stream::pending())).await.unwrap();
    assert_eq!(end(session.into_inner()).await.code(), Code::NotFound);
}
