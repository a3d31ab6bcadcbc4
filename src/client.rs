//! The broker's HTTP interface as the command line calls it.

use anyhow::{Context, bail};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper_util::client::legacy::Client as Http;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The broker's address
    #[arg(long, default_value = "http://127.0.0.1:8080", env = "MERIT_BROKER", global = true)]
    broker: String,
}

/// A client of one broker.
pub(crate) struct Client {
    http: Http<HttpConnector, Full<Bytes>>,
    base: String,
}

/// An answer of the broker that is not an error.
pub(crate) struct Answer {
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Client {
    pub(crate) fn new(arguments: &Arguments) -> Client {
        Client::at(&arguments.broker)
    }

    pub(crate) fn at(broker: &str) -> Client {
        let http = Http::builder(TokioExecutor::new()).build_http();
        Client { http, base: broker.trim_end_matches('/').to_owned() }
    }

    /// Fails with the broker's own sentence if it answers with an error.
    pub(crate) async fn call(
        &self,
        method: Method,
        path: &str,
        headers: &[(HeaderName, HeaderValue)],
        body: impl Into<Bytes>,
    ) -> anyhow::Result<Answer> {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.base));
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let request = request.body(Full::new(body.into())).with_context(|| {
            format!("`{}` is not the address of a broker, such as http://127.0.0.1:8080", self.base)
        })?;
        let response = self.http.request(request).await.with_context(|| {
            format!("the broker at {} does not answer; start one with `merit up`, or name it with --broker", self.base)
        })?;
        let (head, body) = response.into_parts();
        let body = body.collect().await.context("the broker's answer broke off")?.to_bytes();
        if !head.status.is_success() {
            bail!(error_text(head.status, &body));
        }
        Ok(Answer { headers: head.headers, body })
    }

    /// Sends a JSON body.
    pub(crate) async fn send(&self, method: Method, path: &str, body: &Value) -> anyhow::Result<Value> {
        self.json(method, path, &[], body.to_string()).await
    }

    pub(crate) async fn get(&self, path: &str) -> anyhow::Result<Value> {
        self.json(Method::GET, path, &[], Bytes::new()).await
    }

    pub(crate) async fn json(
        &self,
        method: Method,
        path: &str,
        headers: &[(HeaderName, HeaderValue)],
        body: impl Into<Bytes>,
    ) -> anyhow::Result<Value> {
        let answer = self.call(method, path, headers, body).await?;
        serde_json::from_slice(&answer.body).context("the broker answered something else than JSON")
    }
}

/// The sentence and the code of an error answer, with the reasons offer by offer.
fn error_text(status: StatusCode, body: &[u8]) -> String {
    let parsed: Value = serde_json::from_slice(body).unwrap_or_default();
    let error = &parsed["error"];
    let (Some(code), Some(message)) = (error["code"].as_str(), error["message"].as_str()) else {
        return format!("the broker answered {status}: {}", String::from_utf8_lossy(body));
    };
    let mut text = format!("{message} ({code})");
    for refused in error["details"]["refused"].as_array().into_iter().flatten() {
        let part = |field| refused[field].as_str().unwrap_or_default().to_owned();
        text.push_str(&format!("\n  {} in {}: {}", part("provider"), part("market"), part("message")));
    }
    text
}
