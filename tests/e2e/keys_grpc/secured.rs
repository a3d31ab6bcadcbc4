//! The exchange by TLS, and its first key, by real processes.

use std::path::Path;

use merit_listener::{ServerTls, TlsFiles};
use merit_proto::v1;
use merit_proto::v1::market_data_client::MarketDataClient;
use merit_proto::{Connection, Transport};
use rcgen::{CertificateParams, KeyPair};
use serde_json::Value;
use tempfile::TempDir;

use super::Served;
use crate::process::{Process, merit};

/// Writes a certificate for `localhost` that is its own CA.
pub(crate) fn certificate(directory: &TempDir) -> TlsFiles {
    let key = KeyPair::generate().unwrap();
    let cert = CertificateParams::new(vec!["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
    let files =
        TlsFiles { cert: directory.path().join("cert.pem"), key: directory.path().join("key.pem"), client_ca: None };
    std::fs::write(&files.cert, cert.pem()).unwrap();
    std::fs::write(&files.key, key.serialize_pem()).unwrap();
    files
}

#[tokio::test]
async fn an_exchange_serves_tls_while_other_handshakes_hang() {
    let directory = tempfile::tempdir().unwrap();
    let files = certificate(&directory);
    let tls = ServerTls::open(files.clone(), &["h2"]).unwrap();
    let served = Served::start_with(false, Some(tls)).await;
    let port = served.address.port();
    // A client that never shakes hands.
    let _silent = tokio::net::TcpStream::connect(served.address).await.unwrap();
    let key = Some(served.key("operator", v1::Role::Operator).await.parse().unwrap());
    let list = async |url: String, ca: Option<&Path>| {
        let connection = Connection { ca: ca.map(Path::to_owned), key: key.clone(), ..Connection::to(&url) };
        let mut client = MarketDataClient::new(Transport::connect(&connection).unwrap());
        client.list_markets(v1::ListMarketsRequest {}).await.map(|answer| answer.into_inner().markets.len())
    };
    assert_eq!(list(format!("https://localhost:{port}"), Some(&files.cert)).await.unwrap(), 1);
    list(format!("https://127.0.0.1:{port}"), Some(&files.cert)).await.unwrap_err();
    list(format!("http://127.0.0.1:{port}"), None).await.unwrap_err();
}

#[tokio::test]
async fn an_exchange_with_a_certificate_is_ready_by_grpcs() {
    let directory = tempfile::tempdir().unwrap();
    let files = certificate(&directory);
    let [data, cert, key] =
        [&directory.path().join("data"), &files.cert, &files.key].map(|path| path.display().to_string());
    let start = ["exchange", "--data-dir", &data, "--grpc", "127.0.0.1:0", "--tls-cert", &cert, "--tls-key", &key];
    let exchange = Process::start(&start, &directory.path().join("exchange.log")).await;
    assert!(exchange.ready.starts_with("ready grpcs://127.0.0.1:"), "{}", exchange.ready);
    assert!(exchange.stop().await.success());
}

async fn run(arguments: &[&str]) -> (bool, String, String) {
    let output = merit().args(arguments).output().await.unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.success(), text(output.stdout), text(output.stderr))
}

#[tokio::test]
async fn the_first_key_from_a_directory_makes_the_others() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data").display().to_string();
    let start = ["exchange", "--data-dir", &data, "--grpc", "127.0.0.1:0", "--require-keys"];
    let (started, _, said) = run(&start).await;
    assert!(!started && said.contains("merit keys create --role operator"), "{said}");
    let create = ["keys", "create", "--role", "operator", "--account", "ops", "--data-dir", &data, "--output", "json"];
    let (made, printed, said) = run(&create).await;
    assert!(made, "{said}");
    let new: Value = serde_json::from_str(&printed).unwrap();
    let key = format!("{}.{}", new["id"].as_str().unwrap(), new["secret"].as_str().unwrap());

    let log = directory.path().join("exchange.log");
    let exchange = Process::start(&start, &log).await;
    let (grpc, secret) = (exchange.url("grpc"), new["secret"].as_str().unwrap());
    let at = |more: &[&str]| {
        let mut arguments = vec!["keys".to_owned(), "--exchange".to_owned(), grpc.clone()];
        arguments.extend(more.iter().map(|argument| (*argument).to_owned()));
        arguments
    };
    let run_at = async |key: &str, more: &[&str]| {
        let output = merit().env("MERIT_KEY", key).args(at(more)).output().await.unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.success(), text(output.stdout), text(output.stderr))
    };
    let (made, printed, said) =
        run_at(&key, &["create", "--role", "client", "--account", "ops", "--expires", "90d"]).await;
    assert!(made, "{said}");
    let client = printed.trim().to_owned();
    let (listed, printed, _) = run_at(&key, &["list", "--output", "json"]).await;
    let keys: Value = serde_json::from_str(&printed).unwrap();
    assert!(listed && keys["keys"].as_array().unwrap().len() == 2, "{keys}");
    let (done, _, said) = run_at(&client, &["create", "--role", "operator", "--account", "ops"]).await;
    assert!(!done && said.contains("this is for operators and brokers"), "{said}");
    let (revoked, _, said) = run_at(&key, &["revoke", client.split_once('.').unwrap().0]).await;
    assert!(revoked, "{said}");
    let (listed, _, said) = run_at(&client, &["list"]).await;
    assert!(!listed && said.contains("revoked"), "{said}");
    let (listed, _, said) = run_at("", &["list"]).await;
    assert!(!listed && said.contains("a key is needed"), "{said}");
    drop(exchange);
    assert!(!std::fs::read_to_string(log).unwrap().contains(secret));
    for entry in std::fs::read_dir(&data).unwrap().map(Result::unwrap).filter(|entry| entry.path().is_file()) {
        let bytes = std::fs::read(entry.path()).unwrap();
        let kept = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
        assert!(!kept, "the secret is kept in {}", entry.path().display());
    }
}
