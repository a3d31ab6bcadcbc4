//! Authentication: credentials of every kind become a [`Caller`].
//!
//! On keyless loopback a call without credentials is the account `dev` with all roles, and so is one that is signed by
//! credentials of AWS, which are not a key of this market: an SDK signs whatever it is given, as for an emulator. All
//! other credentials are always checked, never ignored.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::body::{Body, HttpBody};
use axum::extract::Request;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, Uri, header};

use super::credential::CredentialError;
use super::keys::{Keys, caller_of, secrets};
use super::sigv4::{SignatureError, Signed, SignedRequest, normalized_path, without_signature};
use super::unproven::Unproven;
use super::{Caller, Consumed, origin};
use crate::error::ApiError;
use crate::limits::PAYLOAD_MAX_BYTES;
use crate::quota::bodies::{BodyFault, read_uncounted};

/// Header that authenticates to Merit and leaves `Authorization` to the application.
const MERIT_KEY: &str = "merit-key";
/// Timeout of a signed payload, whose sender is not proven before it is read.
const UNPROVEN_WITHIN: Duration = Duration::from_secs(60);

/// The means by which callers are checked.
pub(crate) struct Authentication {
    keys: Keys,
    unproven: Unproven,
    is_keyless: bool,
}

/// A request whose credentials were checked.
pub(crate) struct Authenticated {
    /// None where no credentials were shown.
    pub(crate) caller: Option<Caller>,
    pub(crate) request: Request,
}

impl Authentication {
    pub(crate) fn new(keys: Keys, is_keyless: bool) -> Authentication {
        Authentication { keys, unproven: Unproven::default(), is_keyless }
    }

    /// Checks a request's origin and credentials, and leaves the caller in its extensions.
    pub(crate) async fn check(&self, request: Request) -> Result<Authenticated, ApiError> {
        if self.is_keyless {
            origin::check(&request)?;
        }
        let (caller, consumed, mut request) = self.authenticate(request).await?;
        if let Some(caller) = caller.clone() {
            request.extensions_mut().insert(caller);
        }
        request.extensions_mut().insert(consumed);
        Ok(Authenticated { caller, request })
    }

    async fn authenticate(&self, request: Request) -> Result<(Option<Caller>, Consumed, Request), CredentialError> {
        if let Some(key) = text(request.headers(), MERIT_KEY)? {
            let caller = self.bearer(key).await?;
            return Ok((Some(caller), Consumed(false), request));
        }
        let query = request.uri().query().unwrap_or_default();
        let authorization = text(request.headers(), header::AUTHORIZATION.as_str())?;
        let signed = match authorization {
            Some(_) if Signed::is_presigned(query) => {
                let two = "a presigned URL and Authorization; show one of them, or the key by Merit-Key";
                return Err(CredentialError::Malformed(two.to_owned()));
            }
            None if Signed::is_presigned(query) => Some(Signed::read_presigned(query, request.headers())?),
            Some(header) if Signed::is_meant(header) => Some(Signed::read(header, request.headers())?),
            _ => None,
        };
        if let Some(signed) = signed {
            if self.is_keyless && !signed.is_by_a_key() {
                let request = rewritten(request, |path| path.into())?;
                return Ok((Some(Caller::dev()), Consumed(true), request));
            }
            let (caller, request) = self.by_signature(signed, request).await?;
            return Ok((Some(caller), Consumed(true), request));
        }
        let Some(authorization) = authorization else {
            return Ok((self.is_keyless.then(Caller::dev), Consumed(false), request));
        };
        let caller = match authorization.split_once(' ') {
            Some((scheme, key)) if scheme.eq_ignore_ascii_case("bearer") => self.bearer(key.trim()).await?,
            Some((scheme, pair)) if scheme.eq_ignore_ascii_case("basic") => self.basic(pair.trim()).await?,
            _ => return Err(CredentialError::Malformed("Bearer, Basic or AWS4-HMAC-SHA256 is taken".to_owned())),
        };
        Ok((Some(caller), Consumed(true), request))
    }

    async fn bearer(&self, key: &str) -> Result<Caller, CredentialError> {
        let (id, secret) =
            key.split_once('.').ok_or_else(|| CredentialError::Malformed("a key is ID.SECRET".to_owned()))?;
        self.keys.check(id, secret).await
    }

    async fn basic(&self, pair: &str) -> Result<Caller, CredentialError> {
        let malformed = || CredentialError::Malformed("Basic is base64 of ID:SECRET".to_owned());
        let pair = STANDARD.decode(pair).ok().and_then(|pair| String::from_utf8(pair).ok());
        let pair = pair.ok_or_else(malformed)?;
        let (id, secret) = pair.split_once(':').ok_or_else(malformed)?;
        self.keys.check(id, secret).await
    }

    /// Checks a signature. Reads the body first, once its length is within the quota, also for an unknown key: a caller
    /// does not learn from the answer or its time which of key and secret was wrong.
    async fn by_signature(&self, signed: Signed, request: Request) -> Result<(Caller, Request), CredentialError> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        signed.check_time(now.as_secs())?;
        let key = self.keys.find(&signed.key).await?;
        let (parts, body) = request.into_parts();
        let peer = parts.extensions.get::<SocketAddr>().copied();
        let length = HttpBody::size_hint(&body).exact().and_then(|length| usize::try_from(length).ok());
        let held = length.unwrap_or(PAYLOAD_MAX_BYTES).min(PAYLOAD_MAX_BYTES);
        let _reading = self.unproven.begin(peer.map(|peer| peer.ip()), held)?;
        let reading = tokio::time::timeout(UNPROVEN_WITHIN, read_uncounted(body, PAYLOAD_MAX_BYTES));
        let unread = |error| CredentialError::Payload(Box::new(error));
        let body = reading.await.unwrap_or_else(|_| Err(BodyFault::TooSlow.error(PAYLOAD_MAX_BYTES)));
        let body = body.map_err(unread)?;
        let host = match parts.uri.authority() {
            Some(authority) => authority.as_str().as_bytes(),
            None => parts.headers.get(header::HOST).map_or(&b""[..], |host| host.as_bytes()),
        };
        let signed_request = SignedRequest {
            method: parts.method.as_str(),
            path: parts.uri.path(),
            query: parts.uri.query().unwrap_or_default(),
            headers: &parts.headers,
            host,
            body: &body,
        };
        let mut checks = Err(SignatureError::Mismatch);
        for secret in secrets(key.as_deref()) {
            checks = checks.or_else(|_| signed.check(&signed_request, secret));
        }
        checks?;
        let key = key.ok_or(SignatureError::Mismatch)?;
        Ok((caller_of(&key)?, rewritten(Request::from_parts(parts, Body::from(body)), normalized_path)?))
    }
}

/// Returns the request as it was signed: at another form of its path, and without the parameters of a signature.
fn rewritten(mut request: Request, path: impl Fn(&str) -> Cow<'_, str>) -> Result<Request, CredentialError> {
    let (before, query) = (request.uri().path(), request.uri().query());
    let (path, presigned) = (path(before), query.filter(|query| Signed::is_presigned(query)));
    if path == before && presigned.is_none() {
        return Ok(request);
    }
    let query = presigned.map(without_signature).or(query.map(str::to_owned)).filter(|query| !query.is_empty());
    let target = query.map_or_else(|| path.to_string(), |query| format!("{path}?{query}"));
    let malformed = |_| CredentialError::Malformed("the signed URL cannot be read".to_owned());
    let mut parts = request.uri().clone().into_parts();
    parts.path_and_query = Some(target.parse().map_err(|_| ()).map_err(malformed)?);
    *request.uri_mut() = Uri::from_parts(parts).map_err(|_| ()).map_err(malformed)?;
    Ok(request)
}

/// Returns the one value of a header. Refuses a header that stands more than once.
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
