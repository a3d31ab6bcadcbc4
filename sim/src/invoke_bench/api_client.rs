//! A client of Merit's API for the setup of a bench: accounts, keys, providers and functions. Never measures.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, header};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::handshake;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpStream;

use crate::invoke_bench::SetupError;

/// A client of Merit over HTTP, with its key.
pub(crate) struct ApiClient {
    pub(crate) server: SocketAddr,
    pub(crate) key: String,
}

impl ApiClient {
    pub(crate) fn authorization(&self) -> Result<HeaderValue, SetupError> {
        HeaderValue::try_from(format!("Bearer {}", self.key)).map_err(|_| SetupError::Key)
    }

    /// Opens an account with funds for any run, as the operator, and makes a key of it.
    pub(crate) async fn open_account(&self, account: &str, role: &str) -> Result<ApiClient, SetupError> {
        let (open, deposit) = (json!({"id": account}), json!({"amount": "1000000"}));
        self.ask(Method::POST, "/v1/accounts", open.to_string()).await?;
        self.ask(Method::POST, &format!("/v1/accounts/{account}/deposits"), deposit.to_string()).await?;
        let made = self.ask(Method::POST, "/v1/keys", json!({"role": role, "account": account}).to_string()).await?;
        Ok(ApiClient { server: self.server, key: key_of(&made).ok_or(SetupError::Key)? })
    }

    /// Makes one request that must succeed.
    pub(crate) async fn ask(&self, method: Method, path: &str, body: impl Into<Bytes>) -> Result<Value, SetupError> {
        let what = format!("{method} {path}");
        let request = Request::builder().method(method).uri(path).header(header::HOST, self.server.to_string());
        let request = request.header(header::AUTHORIZATION, self.authorization()?).body(Full::new(body.into()));
        let asked = async {
            let (mut sender, connection) = handshake(TokioIo::new(TcpStream::connect(self.server).await?)).await?;
            tokio::spawn(connection);
            let (head, body) = sender.send_request(request?).await?.into_parts();
            Ok::<_, Box<dyn std::error::Error + Send + Sync>>((head.status, body.collect().await?.to_bytes()))
        };
        match asked.await {
            Err(source) => Err(SetupError::Http { what, source }),
            Ok((status, body)) if status.is_success() => Ok(serde_json::from_slice(&body).unwrap_or(Value::Null)),
            Ok((status, body)) => {
                Err(SetupError::Answer { what, status, body: String::from_utf8_lossy(&body).into_owned() })
            }
        }
    }
}

/// Reads a key as callers show it.
pub(crate) fn key_of(made: &Value) -> Option<String> {
    Some(format!("{}.{}", made["id"].as_str()?, made["secret"].as_str()?))
}
