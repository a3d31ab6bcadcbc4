//! Who calls: credentials of every kind become a [`Caller`], before any door.
//!
//! On keyless loopback a call without credentials is `dev` with all roles; presented ones are always checked, never
//! ignored. A page of another site must not reach the broker through a visitor's browser: there the host must be a
//! loopback name, and a state-changing request with a foreign origin is refused.

mod keys;
mod origin;
mod public;
mod sigv4;
mod unproven;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use axum::body::{Body, HttpBody};
use axum::extract::{FromRequestParts, Request};
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::request::Parts;
use http::{HeaderMap, HeaderName, header};
use serde_json::json;

use crate::PAYLOAD_MAX_BYTES;
use crate::doors::Shape;
use crate::error::ApiError;
use crate::provider::payload::{Payload, PayloadFault};
use crate::server::State;

pub(crate) use keys::Keys;
pub(crate) use public::Publics;
use sigv4::{SignatureError, Signed};
pub(crate) use unproven::Unproven;

/// The account of a call without credentials on keyless loopback.
pub(crate) const DEV: &str = "dev";
/// Authenticates to Merit and leaves `Authorization` to the application.
pub(crate) const MERIT_KEY: &str = "merit-key";

/// What Merit added to the providers' time, on every answer.
const OVERHEAD: HeaderName = HeaderName::from_static("merit-overhead-us");
/// How long a payload may take in all whose sender has not proven who it is.
const UNPROVEN_WITHIN: Duration = Duration::from_secs(60);

/// Who calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Caller {
    pub(crate) account: Arc<str>,
    pub(crate) role: Role,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Client,
    Provider,
    Operator,
    /// Keyless loopback.
    All,
}

/// Which header the caller's credentials were in: it is not passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Consumed(pub(crate) bool);

/// Why credentials are refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CredentialError {
    #[error(
        "credentials are needed: a key by `Authorization: Bearer ID.SECRET`, Basic or an AWS signature, or by Merit-Key"
    )]
    Missing,
    #[error("the credentials cannot be read: {0}")]
    Malformed(String),
    /// Unknown, expired and revoked keys are told alike.
    #[error("there is no such key, or it may not be used any more")]
    UnknownKey,
    #[error("the secret is not this key's")]
    WrongSecret,
    #[error(transparent)]
    Signature(#[from] SignatureError),
    /// The exchange could not be asked.
    #[error("the credentials could not be checked")]
    Unchecked(Box<ApiError>),
    /// What is to be checked cannot be read.
    #[error("the signed payload could not be read")]
    Payload(Box<ApiError>),
}

impl CredentialError {
    /// For machines, and what an SDK makes its exception of.
    pub(crate) const fn reason(&self) -> &'static str {
        match self {
            CredentialError::Missing => "missing",
            CredentialError::Malformed(_) | CredentialError::Signature(SignatureError::Malformed(_)) => "malformed",
            CredentialError::UnknownKey => "unknown_key",
            CredentialError::WrongSecret => "wrong_secret",
            CredentialError::Signature(_) => "invalid_signature",
            CredentialError::Unchecked(_) | CredentialError::Payload(_) => "unchecked",
        }
    }
}

impl From<CredentialError> for ApiError {
    fn from(error: CredentialError) -> ApiError {
        let reason = error.reason();
        match error {
            CredentialError::Unchecked(error) | CredentialError::Payload(error) => *error,
            error => ApiError::unauthorized(error.to_string()).with(json!({"reason": reason})),
        }
    }
}

impl Caller {
    fn dev() -> Caller {
        Caller { account: DEV.into(), role: Role::All }
    }

    /// Who calls a public function of this account: nobody that it knows, on its bill.
    pub(crate) fn on_the_bill_of(account: &str) -> Caller {
        Caller { account: account.into(), role: Role::Client }
    }

    /// Refuses who does not run the market.
    pub(crate) fn must_operate(&self) -> Result<(), ApiError> {
        match self.role {
            Role::Operator | Role::All => Ok(()),
            Role::Client | Role::Provider => Err(ApiError::forbidden("only an operator's key may do this")),
        }
    }

    /// Refuses who does not call functions.
    pub(crate) fn must_call(&self) -> Result<(), ApiError> {
        match self.role {
            Role::Provider => {
                Err(ApiError::forbidden("a provider's key calls and defines no functions; use a client's"))
            }
            Role::Client | Role::Operator | Role::All => Ok(()),
        }
    }

    /// Refuses who may not see what is this account's, as if it were not there.
    pub(crate) fn must_see(&self, account: &str) -> Result<(), ApiError> {
        if self.may_see(account) {
            Ok(())
        } else {
            Err(ApiError::not_found(format!("there is no account `{account}`")))
        }
    }

    /// Whether it may see what is this account's.
    pub(crate) fn may_see(&self, account: &str) -> bool {
        *self.account == *account || matches!(self.role, Role::Operator | Role::All)
    }
}

/// A caller who defines and calls functions.
pub(crate) struct Client(pub(crate) Caller);

/// A caller who runs the market; taken by what only an operator may do.
pub(crate) struct Operator;

/// Who looks at what is public, if anybody said.
pub(crate) struct SeenBy(Option<Caller>);

impl SeenBy {
    /// Whose own affairs are shown; empty: nobody's.
    pub(crate) fn account(&self) -> &str {
        self.0.as_ref().map_or("", |caller| &caller.account)
    }

    pub(crate) fn may_see(&self, account: &str) -> bool {
        self.0.as_ref().is_some_and(|caller| caller.may_see(account))
    }
}

impl<S: Sync> FromRequestParts<S> for SeenBy {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<SeenBy, Self::Rejection> {
        Ok(SeenBy(parts.extensions.get::<Caller>().cloned()))
    }
}

impl<S: Sync> FromRequestParts<S> for Client {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Client, ApiError> {
        let caller = Caller::from_request_parts(parts, state).await?;
        caller.must_call()?;
        Ok(Client(caller))
    }
}

impl<S: Sync> FromRequestParts<S> for Operator {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Operator, ApiError> {
        Caller::from_request_parts(parts, state).await?.must_operate()?;
        Ok(Operator)
    }
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Caller, ApiError> {
        parts.extensions.get::<Caller>().cloned().ok_or_else(|| CredentialError::Missing.into())
    }
}

/// Stands before every door: who calls is in the request's extensions there, if anybody said.
pub(crate) async fn guard(state: &State, request: Request, doors: impl AsyncFnOnce(Request) -> Response) -> Response {
    logged(state, request, async |request| guarded(state, request, doors).await).await
}

/// When a request's head was read: from then on its deadline counts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Received(pub(crate) Instant);

/// Logs a request with its caller and its answer, and says there what time it took.
pub(crate) async fn logged(
    state: &State,
    mut request: Request,
    answer: impl AsyncFnOnce(Request) -> (Option<Caller>, Response),
) -> Response {
    let entry = state.access_log.note(&request);
    let began = Instant::now();
    request.extensions_mut().insert(Received(began));
    let (caller, mut response) = answer(request).await;
    // Of an answer that came of no call all the time was Merit's.
    let overhead = began.elapsed().as_micros().min(u32::MAX.into()) as u32;
    response.headers_mut().entry(OVERHEAD).or_insert_with(|| overhead.into());
    if let Some(entry) = entry {
        entry.answered(caller.as_ref(), &response);
    }
    response
}

async fn guarded(
    state: &State,
    mut request: Request,
    doors: impl AsyncFnOnce(Request) -> Response,
) -> (Option<Caller>, Response) {
    let shape = Shape::of(request.uri().path());
    if state.is_keyless
        && let Err(error) = origin::check(&request)
    {
        return (None, shape.respond(error));
    }
    match authenticate(state, request).await {
        Ok((caller, consumed, passed)) => {
            request = passed;
            if let Some(caller) = caller.clone() {
                request.extensions_mut().insert(caller);
            }
            request.extensions_mut().insert(consumed);
            (caller, doors(request).await)
        }
        Err(error) => (None, shape.respond(error.into())),
    }
}

type Authenticated = (Option<Caller>, Consumed, Request);

async fn authenticate(state: &State, request: Request) -> Result<Authenticated, CredentialError> {
    if let Some(key) = text(request.headers(), MERIT_KEY)? {
        let caller = bearer(&state.keys, key).await?;
        return Ok((Some(caller), Consumed(false), request));
    }
    let Some(authorization) = text(request.headers(), header::AUTHORIZATION.as_str())? else {
        return Ok((state.is_keyless.then(Caller::dev), Consumed(false), request));
    };
    if Signed::is_meant(authorization) {
        let signed = Signed::read(authorization, request.headers())?;
        let (caller, request) = by_signature(state, signed, request).await?;
        return Ok((Some(caller), Consumed(true), request));
    }
    let caller = match authorization.split_once(' ') {
        Some((scheme, key)) if scheme.eq_ignore_ascii_case("bearer") => bearer(&state.keys, key.trim()).await?,
        Some((scheme, pair)) if scheme.eq_ignore_ascii_case("basic") => {
            let pair = STANDARD.decode(pair.trim()).ok().and_then(|pair| String::from_utf8(pair).ok());
            let pair = pair.ok_or_else(|| CredentialError::Malformed("Basic is base64 of ID:SECRET".to_owned()))?;
            let (id, secret) = pair
                .split_once(':')
                .ok_or_else(|| CredentialError::Malformed("Basic is base64 of ID:SECRET".to_owned()))?;
            state.keys.check(id, secret).await?
        }
        _ => return Err(CredentialError::Malformed("Bearer, Basic or AWS4-HMAC-SHA256 is taken".to_owned())),
    };
    Ok((Some(caller), Consumed(true), request))
}

async fn bearer(keys: &Keys, key: &str) -> Result<Caller, CredentialError> {
    let (id, secret) =
        key.split_once('.').ok_or_else(|| CredentialError::Malformed("a key is ID.SECRET".to_owned()))?;
    keys.check(id, secret).await
}

/// The body is read only once the key is known, and its length within bounds.
async fn by_signature(state: &State, signed: Signed, request: Request) -> Result<(Caller, Request), CredentialError> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    signed.check_time(now.as_secs())?;
    let key = state.keys.find(&signed.key).await?;
    let (parts, body) = request.into_parts();
    let peer = parts.extensions.get::<SocketAddr>().copied();
    let length = HttpBody::size_hint(&body).exact().and_then(|length| usize::try_from(length).ok());
    let held = length.unwrap_or(PAYLOAD_MAX_BYTES).min(PAYLOAD_MAX_BYTES);
    let _reading = state.unproven.begin(peer.map(|peer| peer.ip()), held)?;
    let reading = tokio::time::timeout(UNPROVEN_WITHIN, Payload::read_unproven(body, PAYLOAD_MAX_BYTES));
    let unread = |error| CredentialError::Payload(Box::new(error));
    let body = reading.await.unwrap_or_else(|_| Err(PayloadFault::TooSlow.error(PAYLOAD_MAX_BYTES))).map_err(unread)?;
    let host = origin::host(&parts.uri, &parts.headers).unwrap_or_default();
    let signed_request = sigv4::Request {
        method: parts.method.as_str(),
        path: parts.uri.path(),
        query: parts.uri.query().unwrap_or_default(),
        headers: &parts.headers,
        host: &host,
        body: &body,
    };
    signed.check(&signed_request, &key.secret).or_else(|error| match keys::previous_secret(&key) {
        "" => Err(error),
        previous => signed.check(&signed_request, previous),
    })?;
    Ok((keys::caller(&key)?, Request::from_parts(parts, Body::from(body))))
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, CredentialError> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => {
            value.to_str().map(Some).map_err(|_| CredentialError::Malformed(format!("{name} is not ASCII")))
        }
        (Some(_), Some(_)) => Err(CredentialError::Malformed(format!("{name} stands more than once"))),
    }
}
