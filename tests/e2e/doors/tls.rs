//! The doors by TLS: HTTP/2 and HTTP/1.1, a replaced certificate, the command line; and a broker that shows its key to
//! an exchange of its own process.

use std::path::Path;
use std::sync::Arc;

use http::Method;
use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio_rustls::TlsConnector;

use super::smuggling::{BOTH, answers};
use super::{Key, succeeds};
use crate::market::Market;
use crate::process::{Process, assert_fails, eventually, merit};

/// Writes a certificate for `localhost`, its own CA, and its key.
pub(super) fn certificate(directory: &Path) {
    let key = KeyPair::generate().unwrap();
    let cert = CertificateParams::new(vec!["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
    std::fs::write(directory.join("key.pem"), key.serialize_pem()).unwrap();
    std::fs::write(directory.join("cert.pem"), cert.pem()).unwrap();
}

async fn operator_of(data: &str) -> Key {
    let create = ["keys", "create", "--role", "operator", "--account", "ops", "--data-dir", data, "--output", "json"];
    let made = merit().args(create).output().await.unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    Key::of(&serde_json::from_slice(&made.stdout).unwrap())
}

/// Connects by TLS to a port of this machine, whose certificate is its own CA.
async fn tls_stream(port: &str, cert: &str) -> tokio_rustls::client::TlsStream<TcpStream> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(cert).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let connector = TlsConnector::from(Arc::new(config.with_root_certificates(roots).with_no_client_auth()));
    let stream = TcpStream::connect(format!("127.0.0.1:{port}")).await.unwrap();
    connector.connect("localhost".try_into().unwrap(), stream).await.unwrap()
}

#[tokio::test]
async fn doors_serve_tls_and_take_a_replaced_certificate() {
    let dir = tempfile::tempdir().unwrap();
    certificate(dir.path());
    let path = |name: &str| dir.path().join(name).display().to_string();
    let operator = operator_of(&path("data")).await;
    let (cert, key, data) = (path("cert.pem"), path("key.pem"), path("data"));
    let listen = ["--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0", "--tls-cert", &cert, "--tls-key", &key];
    let up = [&["up", "--require-keys", "--data-dir", &data], &listen[..]].concat();
    let process = Process::start(&up, &dir.path().join("up.log")).await;
    let port = process.url("http").rsplit(':').next().unwrap().to_owned();
    let url = format!("https://localhost:{port}/v1/accounts");
    let curl = async |more: &[&str]| {
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--cacert", &cert, "--header", &format!("Merit-Key: {}", operator.text())]);
        curl.args(["--output", "/dev/null", "--write-out", "%{http_code} %{http_version}"]).args(more).arg(&url);
        String::from_utf8(curl.kill_on_drop(true).output().await.unwrap().stdout).unwrap()
    };
    assert_eq!(curl(&["--http1.1"]).await, "200 1.1");
    assert_eq!(curl(&["--http2"]).await, "200 2");
    assert_fails(&["accounts", "list", "--broker", &process.url("http")], &["https://", "certificate"]).await;
    assert_fails(&["keys", "list", "--exchange", &process.url("grpc")], &["https://", "certificate"]).await;
    let mut list = merit();
    list.args(["accounts", "list", "--output", "json", "--broker-ca", &cert]);
    list.args(["--broker", &format!("https://localhost:{port}")]).env("MERIT_KEY", operator.text());
    let listed: Value = serde_json::from_str(&succeeds(list).await).unwrap();
    assert_eq!(listed["sum"], "0");

    let request = format!("POST /v1/accounts HTTP/1.1\r\nHost: localhost\r\n{}\r\n0\r\n\r\n", BOTH[0]);
    let told = answers(tls_stream(&port, &cert).await, &[&request]).await;
    assert!(told.starts_with("HTTP/1.1 400 ") && told.contains("not both"), "doubts are seen behind TLS, too: {told}");

    let before = std::fs::read(&cert).unwrap();
    certificate(dir.path());
    assert_ne!(std::fs::read(&cert).unwrap(), before);
    eventually("the new certificate is served", || async { (curl(&["--http2"]).await == "200 2").then_some(()) }).await;
}

#[tokio::test]
async fn a_broker_needs_its_key_at_its_exchange() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let data = path("data").display().to_string();
    let operator = operator_of(&data).await;
    let exchange = ["exchange", "--require-keys", "--data-dir", &data, "--grpc", "127.0.0.1:0"];
    let exchange = Process::start(&exchange, &path("exchange.log")).await;
    let grpc = exchange.url("grpc");
    let made = async |role: &str| {
        let mut create = merit();
        create.args(["keys", "create", "--role", role, "--account", "ops", "--exchange", &grpc, "--output", "json"]);
        Key::of(&serde_json::from_str(&succeeds_as(create, &operator).await).unwrap())
    };
    let (broker, seller) = (made("broker").await, made("provider").await);
    let start = async |key: &Key, log: &str| {
        let arguments = ["broker", "--exchange", &grpc, "--http", "127.0.0.1:0", "--key", &key.text()];
        Process::start(&arguments, &path(log)).await
    };
    let unopened = ["provider", "--name", "mine", "--exchange", &grpc, "--key", &seller.text()];
    assert_fails(&unopened, &["no provider `mine`", "merit providers open mine"]).await;
    let strange = Key { secret: "wrong".to_owned(), ..broker.clone() };
    let (good, bad) = (start(&broker, "broker.log").await, start(&strange, "strange.log").await);
    let (good_http, bad_http) = (good.url("http"), bad.url("http"));
    let market = Market::of(vec![exchange, good], dir);
    let headers = [("authorization", &*operator.bearer())].map(|(name, value)| (name, value.to_owned()));
    let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let open = json!({"id": "team"}).to_string();
    let opened =
        market.request(Method::POST, &format!("{good_http}/v1/accounts"), &headers, open.clone()).await.unwrap();
    assert_eq!(opened.status, 200, "{opened:?}");
    let nobody = market.request(Method::GET, &format!("{good_http}/v1/functions"), &[], "").await.unwrap();
    assert_eq!(nobody.status, 401, "what shows a key asks for keys: {nobody:?}");
    let refused = market.request(Method::POST, &format!("{bad_http}/v1/accounts"), &headers, open).await.unwrap();
    assert_eq!(refused.status, 503, "it cannot check a key: {refused:?}");
}

async fn succeeds_as(mut command: Command, key: &Key) -> String {
    command.env("MERIT_KEY", key.text());
    succeeds(command).await
}

/// Doors that refuse a caller without a key, and the status.
const REFUSED: [(&str, &str); 5] = [
    ("/v1/functions/echo/invocations", "401"),
    ("/fn/echo/", "401"),
    ("/2015-03-31/functions/echo/invocations", "403"),
    ("/function/echo", "401"),
    ("/2021-11-15/functions/echo/response-streaming-invocations", "403"),
];

#[tokio::test]
async fn a_refusal_is_heard_by_who_still_sends_its_payload() {
    let dir = tempfile::tempdir().unwrap();
    certificate(dir.path());
    let path = |name: &str| dir.path().join(name).display().to_string();
    let data = path("data");
    operator_of(&data).await;
    let (cert, key) = (path("cert.pem"), path("key.pem"));
    let up = ["up", "--require-keys", "--data-dir", &data, "--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0"];
    let up = [&up[..], &["--tls-cert", &cert, "--tls-key", &key]].concat();
    let process = Process::start(&up, &dir.path().join("up.log")).await;
    let port = process.url("http").rsplit(':').next().unwrap().to_owned();
    for (name, bytes) in [("small", 200), ("large", 5_000_000)] {
        std::fs::write(dir.path().join(name), vec![b'x'; bytes]).unwrap();
    }
    // Each connection is a new one, with other timing.
    for (door, status) in REFUSED {
        for (payload, version, expect) in [
            ("small", "--http2", "Expect:"),
            ("small", "--http2", "Expect: 100-continue"),
            ("large", "--http2", "Expect:"),
            ("large", "--http1.1", "Expect:"),
            ("large", "--http1.1", "Expect: 100-continue"),
        ] {
            for _ in 0..10 {
                let mut curl = Command::new("curl");
                curl.args(["--silent", "--show-error", "--cacert", &cert, version, "--header", expect]);
                curl.args(["--data-binary", &format!("@{}", path(payload)), "--output", &path("answer")]);
                curl.args(["--write-out", "%{http_code}"]).arg(format!("https://localhost:{port}{door}"));
                let said = curl.kill_on_drop(true).output().await.unwrap();
                let (code, wrong) = (String::from_utf8_lossy(&said.stdout), String::from_utf8_lossy(&said.stderr));
                assert_eq!((&*code, &*wrong), (status, ""), "{payload} to {door} by {version}, {expect}");
                assert_ne!(std::fs::metadata(path("answer")).unwrap().len(), 0);
            }
        }
    }
}
