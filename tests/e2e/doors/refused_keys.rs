//! Keys that are not accepted: an unknown key, a wrong secret and a revoked key are told alike, over HTTP and gRPC.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use merit_proto::v1::registry_client::RegistryClient;
use merit_proto::{Connection, Transport, v1};
use serde_json::Value;
use tokio::process::Command;

use super::{Key, Secured, succeeds};
use crate::market::Answer;

/// Returns all of a refusal that could tell one key from another.
fn told(answer: &Answer) -> (u16, Vec<(String, String)>, String) {
    let varies = ["date", "merit-overhead-us"];
    let headers = answer.headers.iter().filter(|(name, _)| !varies.contains(&name.as_str()));
    let mut headers: Vec<_> = headers
        .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
        .collect();
    headers.sort();
    (answer.status.as_u16(), headers, answer.text().to_owned())
}

/// Calls by curl with an AWS signature of this key. Returns the status, the type of the error and the body.
async fn signed(secured: &Secured, key: &Key, path: &str) -> String {
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--write-out", "\n%{http_code} %header{x-amzn-errortype}", "--data", "1"]);
    curl.args(["--aws-sigv4", "aws:amz:us-east-1:lambda", "--user", &format!("{}:{}", key.id, key.secret)]);
    curl.arg(format!("{}{path}", secured.market.http)).kill_on_drop(true);
    succeeds(curl).await
}

async fn over_grpc(secured: &Secured, key: &Key) -> String {
    let key = Some(key.text().parse().unwrap());
    let transport = Transport::connect(&Connection { key, ..Connection::to(&secured.market.grpc) }).unwrap();
    let request = v1::GetAccountRequest { id: "team".to_owned() };
    let refused = RegistryClient::new(transport).get_account(request).await.unwrap_err();
    format!("{:?} {} {:?}", refused.code(), refused.message(), refused.details())
}

#[tokio::test]
async fn unknown_key_and_wrong_secret_are_told_alike() {
    let secured = Secured::start().await;
    let known = secured.account("team").await;
    let revoked = secured.key("team", "client").await;
    secured.operate(Method::DELETE, &format!("/v1/keys/{}", revoked.id), Value::Null).await;
    let wrong = Key { secret: revoked.secret.clone(), ..known.clone() };
    let unknown = Key { id: "key-99999".to_owned(), ..known.clone() };
    let short = Key { secret: "x".to_owned(), ..known.clone() };
    let refused = [&wrong, &unknown, &revoked, &short];
    for path in ["/v1/accounts/team", "/2015-03-31/functions/f", "/system/functions", "/fn/f"] {
        for scheme in ["bearer", "basic", "merit-key"] {
            let answer = async |key: &Key| {
                let pair = format!("{}:{}", key.id, key.secret);
                let header = match scheme {
                    "bearer" => ("authorization", key.bearer()),
                    "basic" => ("authorization", format!("Basic {}", STANDARD.encode(&pair))),
                    _ => ("merit-key", key.text()),
                };
                told(&secured.market.call(Method::GET, path, &[(header.0, header.1.as_str())], "").await)
            };
            let first = answer(refused[0]).await;
            assert_eq!(first.0, if path.starts_with("/20") { 403 } else { 401 }, "{path} {scheme}: {first:?}");
            assert!(first.2.contains("the key is not known, its secret is wrong, or it is revoked"), "{first:?}");
            for key in &refused[1..] {
                assert_eq!(answer(key).await, first, "{path} {scheme} {}", key.id);
            }
            assert_ne!(answer(&known).await.2, first.2, "{path} {scheme}");
        }
    }
    for path in ["/2015-03-31/functions/f/invocations", "/v1/functions/f/invocations"] {
        let first = signed(&secured, refused[0], path).await;
        assert!(first.contains("does not match the signature you provided. The key is not known"), "{first}");
        for key in &refused[1..] {
            assert_eq!(signed(&secured, key, path).await, first, "{path} {}", key.id);
        }
        assert!(signed(&secured, &known, path).await.contains("404"), "{path}");
    }
    let first = over_grpc(&secured, refused[0]).await;
    assert!(first.starts_with("Unauthenticated the key is not known, its secret is wrong"), "{first}");
    for key in &refused[1..] {
        assert_eq!(over_grpc(&secured, key).await, first, "{}", key.id);
    }
    secured.market.stop().await;
}

#[tokio::test]
async fn a_signed_body_is_awaited_whatever_the_key() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let secured = Secured::start().await;
    let known = secured.account("team").await;
    // The head says that a byte is to come: an answer before it would tell unknown keys from known ones.
    for id in [known.id.as_str(), "key-99999"] {
        let address = secured.market.http.trim_start_matches("http://").to_owned();
        let at =
            merit_terms::Time::from_micros(std::time::UNIX_EPOCH.elapsed().unwrap().as_micros() as u64).to_string();
        let date: String = at.chars().filter(char::is_ascii_digit).take(14).collect();
        let (day, time) = date.split_at(8);
        let head = format!(
            "POST /2015-03-31/functions/f/invocations HTTP/1.1\r\nHost: {address}\r\nX-Amz-Date: {day}T{time}Z\r\n\
             Authorization: AWS4-HMAC-SHA256 Credential={id}/{day}/eu/lambda/aws4_request, \
             SignedHeaders=host;x-amz-date, Signature={}\r\nContent-Length: 1\r\nConnection: close\r\n\r\n",
            "0".repeat(64)
        );
        let mut connection = tokio::net::TcpStream::connect(&address).await.unwrap();
        connection.write_all(head.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        let early = tokio::time::timeout(std::time::Duration::from_millis(300), connection.read_buf(&mut answer)).await;
        assert!(early.is_err(), "{id}: {}", String::from_utf8_lossy(&answer));
        connection.write_all(b"1").await.unwrap();
        connection.read_to_end(&mut answer).await.unwrap();
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.starts_with("HTTP/1.1 403") && answer.contains("InvalidSignatureException"), "{id}: {answer}");
    }
    secured.market.stop().await;
}
