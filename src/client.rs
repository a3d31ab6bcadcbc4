//! The client of the broker's HTTP interface. Decides nothing about the answers.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper_rustls::{ConfigBuilderExt, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client as Http;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use merit_terms::{Credential, port_of};
use rustls::crypto::ring;
use rustls::{ClientConfig, RootCertStore};
use serde_json::Value;

use crate::access::authorities;
use crate::decision::{grouped, more_refused};
use crate::output::{lines_in_clear, objects, text};

#[derive(clap::Args)]
#[group(skip)]
pub(crate) struct Arguments {
    /// The broker's address
    #[arg(long, default_value = "http://127.0.0.1:8080", env = "MERIT_BROKER", global = true)]
    broker: String,
    /// Key, ID.SECRET; prefer MERIT_KEY, other users can see a command line
    #[arg(long, env = "MERIT_KEY", hide_env_values = true, global = true)]
    key: Option<String>,
    /// The PEM file of the CA that issued the broker's certificate; without it, those that this machine trusts
    #[arg(long, value_name = "FILE", env = "MERIT_BROKER_CA", global = true)]
    broker_ca: Option<PathBuf>,
}

/// A client of one broker.
pub(crate) struct Client {
    http: Http<HttpsConnector<HttpConnector>, Full<Bytes>>,
    base: String,
    /// Value of `Merit-Key`.
    key: Option<HeaderValue>,
}

/// An answer of the broker.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    /// Returns the body of an error.
    pub(crate) fn error_json(&self) -> Option<Value> {
        if self.status.is_success() { None } else { serde_json::from_slice(&self.body).ok() }
    }

    /// Fails with a [`BrokerError`] if it is an error.
    pub(crate) fn success(self) -> anyhow::Result<Answer> {
        match self.status.is_success() {
            true => Ok(self),
            false => Err(BrokerError { status: self.status, text: error_text(self.status, &self.body) }.into()),
        }
    }
}

/// An error that the broker answered, in its own sentence.
#[derive(Debug)]
pub(crate) struct BrokerError {
    pub(crate) status: StatusCode,
    text: String,
}

impl std::fmt::Display for BrokerError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for BrokerError {}

impl Client {
    pub(crate) fn new(arguments: &Arguments) -> anyhow::Result<Client> {
        let tls = tls(arguments.broker_ca.as_deref())?;
        let connector = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1().build();
        let key = arguments.key.as_deref().filter(|key| !key.is_empty()).map(credential).transpose()?;
        let base = arguments.broker.trim_end_matches('/').to_owned();
        let uri = base.parse::<http::Uri>().ok();
        let authority = uri.as_ref().and_then(http::Uri::authority).map_or("", |authority| authority.as_str());
        port_of(authority).with_context(|| format!("--broker {base}"))?;
        if key.is_some() && !may_show_a_key(&base) {
            bail!("refusing to send a key unencrypted to {base}: use https:// or loopback");
        }
        Ok(Client { http: Http::builder(TokioExecutor::new()).build(connector), base, key })
    }

    /// Returns a client of a broker on this machine that asks for no key.
    pub(crate) fn at(broker: &str) -> anyhow::Result<Client> {
        Client::new(&Arguments { broker: broker.to_owned(), key: None, broker_ca: None })
    }

    /// Returns whether it shows a key. A broker that takes calls without one is keyless, and serves this machine only.
    pub(crate) fn shows_key(&self) -> bool {
        self.key.is_some()
    }

    /// Returns the broker's address.
    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    /// Calls the broker. Returns its answer, also one with an error status. Fails if none arrives.
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
        if let Some(key) = &self.key {
            request = request.header("merit-key", key);
        }
        let request = request.body(Full::new(body.into())).with_context(|| {
            format!("`{}` is not the address of a broker, such as http://127.0.0.1:8080", self.base)
        })?;
        let response = self.http.request(request).await.with_context(|| {
            format!(
                "the broker at {} does not answer; start one with `merit up`, or name it with --broker \
                 (by https:// if it has a certificate)",
                self.base
            )
        })?;
        let (head, body) = response.into_parts();
        let body = body.collect().await.context("the broker's answer broke off")?.to_bytes();
        Ok(Answer { status: head.status, headers: head.headers, body })
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
        let answer = self.call(method, path, headers, body).await?.success()?;
        serde_json::from_slice(&answer.body).context("the broker's answer is not JSON")
    }
}

/// Parses a key as a header. The error does not repeat it.
fn credential(text: &str) -> anyhow::Result<HeaderValue> {
    text.parse::<Credential>().context("--key (or MERIT_KEY)")?;
    let mut key = HeaderValue::from_str(text).context("--key (or MERIT_KEY)")?;
    key.set_sensitive(true);
    Ok(key)
}

/// Returns whether the address is by TLS, or of this machine.
fn may_show_a_key(base: &str) -> bool {
    let Ok(uri) = base.parse::<http::Uri>() else { return true };
    let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    let is_here = host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    uri.scheme_str() == Some("https") || is_here
}

/// Sets up TLS with the CAs that are trusted.
fn tls(ca: Option<&Path>) -> anyhow::Result<ClientConfig> {
    let builder = || {
        let provider = Arc::new(ring::default_provider());
        ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .context("TLS cannot be set up")
    };
    let Some(path) = ca else {
        // A machine without trusted CAs still reaches brokers without TLS.
        let native = builder()?.with_native_roots();
        let trusted =
            native.or_else(|_| builder().map(|builder| builder.with_root_certificates(RootCertStore::empty())))?;
        return Ok(trusted.with_no_client_auth());
    };
    let mut roots = RootCertStore::empty();
    for certificate in authorities(path, "--broker-ca")? {
        roots.add(certificate).with_context(|| format!("--broker-ca {}", path.display()))?;
    }
    Ok(builder()?.with_root_certificates(roots).with_no_client_auth())
}

/// Returns the sentence and the code of an error answer, with the reasons offer by offer.
fn error_text(status: StatusCode, body: &[u8]) -> String {
    let parsed: Value = serde_json::from_slice(body).unwrap_or_default();
    let error = &parsed["error"];
    let (Some(code), Some(message)) = (error["code"].as_str(), error["message"].as_str()) else {
        return format!("the broker answered {status}: {}", lines_in_clear(&String::from_utf8_lossy(body)));
    };
    let mut lines = vec![format!("{message} ({code})")];
    if status == StatusCode::UNAUTHORIZED {
        lines[0].push_str("; the command line shows the key of --key or MERIT_KEY");
    }
    let offer = |refused: &Value| ["provider", "market", "code", "message"].map(|field| text(refused, field));
    for ([provider, market, _, message], count) in grouped(objects(&error["details"], "refused").iter().map(offer)) {
        let more = if count > 1 { format!(", and {} more of its offers", count - 1) } else { String::new() };
        lines.push(format!("  {provider} in {market}: {message}{more}"));
    }
    lines.extend(more_refused(&error["details"]).map(|more| format!("  {more}")));
    if let Some(log) = error["details"]["log"].as_str() {
        lines.push("it wrote to its standard error:".to_owned());
        lines.extend(log.lines().map(|line| format!("  {line}")));
    }
    lines_in_clear(&lines.join("\n"))
}
