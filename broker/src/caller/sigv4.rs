//! AWS Signature Version 4, as the SDKs sign calls of Lambda. Pure: no clock, no keys but those given.
//!
//! Source: "Authenticating Requests (AWS Signature Version 4)" and what boto3 and the JavaScript SDK send. The raw path
//! is signed encoded once more; any region is taken, only the service `lambda`. An identical signature is valid again
//! within the window, as at AWS: two calls within one second share one.

use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderMap, HeaderName};
use merit_terms::KeyId;
use sha2::{Digest, Sha256};

/// Largest difference between a client's clock and this one, in seconds.
pub(crate) const SKEW_MAX_S: u64 = 300;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
const SERVICE: &str = "lambda";
/// Header with the hash of the body; a client need not send it.
pub(crate) const CONTENT_SHA256: &str = "x-amz-content-sha256";
const DATE: &str = "x-amz-date";
/// Largest `Authorization` header, in bytes.
const AUTHORIZATION_MAX_BYTES: usize = 4096;

/// The claims of an `Authorization` header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Signed {
    pub(crate) key: String,
    /// `date/region/service/aws4_request`.
    scope: String,
    date: String,
    region: String,
    headers: Vec<String>,
    signature: [u8; 32],
    /// `YYYYMMDDTHHMMSSZ`.
    at: String,
}

/// The reason for which a signature is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SignatureError {
    #[error("the Authorization header is not a signature of version 4: {0}")]
    Malformed(&'static str),
    #[error("the signature is of {at}, and it is {now} here; the clocks must agree within {} minutes", SKEW_MAX_S / 60)]
    Skewed { at: String, now: String },
    #[error(
        "the request signature we calculated does not match the signature you provided. Check your secret access key \
         and signing method"
    )]
    Mismatch,
    #[error("the body does not have the hash that its header says")]
    Body,
}

/// The signed parts of a request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SignedRequest<'a> {
    pub(crate) method: &'a str,
    /// Raw, as it was sent.
    pub(crate) path: &'a str,
    pub(crate) query: &'a str,
    pub(crate) headers: &'a HeaderMap,
    /// `Host`, or the authority of HTTP/2.
    pub(crate) host: &'a str,
    pub(crate) body: &'a [u8],
}

impl Signed {
    /// Returns true if the header is meant to be a signature.
    pub(crate) fn is_meant(authorization: &str) -> bool {
        authorization.starts_with(ALGORITHM)
    }

    /// Reads the header and the time of the request.
    pub(crate) fn read(authorization: &str, headers: &HeaderMap) -> Result<Signed, SignatureError> {
        use SignatureError::Malformed;
        if authorization.len() > AUTHORIZATION_MAX_BYTES {
            return Err(Malformed("it is too long"));
        }
        let rest = authorization.strip_prefix(ALGORITHM).ok_or(Malformed("another algorithm"))?;
        let (mut credential, mut signed_headers, mut signature) = (None, None, None);
        for part in rest.split(',') {
            match part.trim().split_once('=') {
                Some(("Credential", value)) => credential = Some(value),
                Some(("SignedHeaders", value)) => signed_headers = Some(value),
                Some(("Signature", value)) => signature = Some(value),
                _ => return Err(Malformed("an unknown part")),
            }
        }
        let credential = credential.ok_or(Malformed("no Credential"))?;
        let mut parts = credential.splitn(2, '/');
        let (key, scope) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let scope_parts: Vec<&str> = scope.split('/').collect();
        let [date, region, SERVICE, "aws4_request"] = scope_parts[..] else {
            return Err(Malformed("the Credential is not KEY/DATE/REGION/lambda/aws4_request"));
        };
        let headers_signed: Vec<String> =
            signed_headers.ok_or(Malformed("no SignedHeaders"))?.split(';').map(str::to_owned).collect();
        if !headers_signed.iter().any(|name| name == "host") {
            return Err(Malformed("the host is not signed"));
        }
        let says_something = |name: &&str| name.starts_with("x-amz-") || name.starts_with("merit-");
        let mut said = headers.keys().map(HeaderName::as_str).filter(says_something);
        if said.any(|name| !headers_signed.iter().any(|signed| signed == name)) {
            return Err(Malformed("a header x-amz-* or merit-* is not signed"));
        }
        let mut bytes = [0; 32];
        hex::decode_to_slice(signature.ok_or(Malformed("no Signature"))?, &mut bytes)
            .map_err(|_| Malformed("the Signature is not 64 hexadecimal digits"))?;
        let at = headers.get(DATE).and_then(|at| at.to_str().ok()).ok_or(Malformed("no X-Amz-Date"))?;
        let is_date = date.len() == 8 && date.bytes().all(|byte| byte.is_ascii_digit());
        if !headers_signed.iter().any(|name| name == DATE) || !is_date || !at.starts_with(date) {
            return Err(Malformed("X-Amz-Date is not signed, or of another day"));
        }
        Ok(Signed {
            key: key.to_owned(),
            scope: scope.to_owned(),
            date: date.to_owned(),
            region: region.to_owned(),
            headers: headers_signed,
            signature: bytes,
            at: at.to_owned(),
        })
    }

    /// Returns whether the access key id has the form of a key of this market.
    pub(crate) fn is_by_a_key(&self) -> bool {
        self.key.parse::<KeyId>().is_ok()
    }

    /// Refuses a signature whose time is off from `now_s`, in seconds since 1970.
    pub(crate) fn check_time(&self, now_s: u64) -> Result<(), SignatureError> {
        let at = seconds(&self.at).ok_or(SignatureError::Malformed("X-Amz-Date is not YYYYMMDDTHHMMSSZ"))?;
        if at.abs_diff(now_s) > SKEW_MAX_S {
            let now = merit_terms::Time::from_micros(now_s * 1_000_000).to_string();
            return Err(SignatureError::Skewed { at: self.at.clone(), now });
        }
        Ok(())
    }

    /// Refuses a request that was not signed with `secret`. Compares in constant time.
    pub(crate) fn check(&self, request: &SignedRequest<'_>, secret: &str) -> Result<(), SignatureError> {
        let hash = hex::encode(Sha256::digest(request.body));
        if request.headers.get(CONTENT_SHA256).is_some_and(|said| said.as_bytes() != hash.as_bytes()) {
            return Err(SignatureError::Body);
        }
        let canonical = self.canonical(request, &hash);
        let to_sign = format!("{ALGORITHM}\n{}\n{}\n{}", self.at, self.scope, hex::encode(Sha256::digest(canonical)));
        let key = [self.date.as_str(), &self.region, SERVICE, "aws4_request"]
            .iter()
            .fold(format!("AWS4{secret}").into_bytes(), |key, part| {
                mac(&key, part.as_bytes()).finalize().into_bytes().to_vec()
            });
        mac(&key, to_sign.as_bytes()).verify_slice(&self.signature).map_err(|_| SignatureError::Mismatch)
    }

    fn canonical(&self, request: &SignedRequest<'_>, hash: &str) -> String {
        let mut text = format!("{}\n{}\n{}\n", request.method, encode(request.path, true), query(request.query));
        for name in &self.headers {
            text.push_str(name);
            text.push(':');
            if name == "host" {
                text.push_str(request.host);
            } else {
                let values: Vec<String> =
                    request.headers.get_all(name).iter().map(|value| trimmed(value.as_bytes())).collect();
                text.push_str(&values.join(","));
            }
            text.push('\n');
        }
        text.push('\n');
        text.push_str(&self.headers.join(";"));
        text.push('\n');
        text.push_str(hash);
        text
    }
}

fn mac(key: &[u8], text: &[u8]) -> Hmac<Sha256> {
    // HMAC-SHA256 hashes a key that is longer than a block, and pads a shorter one.
    let mut block = hmac::digest::Key::<Hmac<Sha256>>::default();
    if key.len() <= block.len() {
        block[..key.len()].copy_from_slice(key);
    } else {
        block[..32].copy_from_slice(&Sha256::digest(key));
    }
    let mut mac = Hmac::<Sha256>::new(&block);
    mac.update(text);
    mac
}

/// Trims a value and shortens runs of spaces inside to one.
fn trimmed(value: &[u8]) -> String {
    String::from_utf8_lossy(value).split_ascii_whitespace().collect::<Vec<_>>().join(" ")
}

/// Returns the parameters of the query in canonical order and encoding.
fn query(raw: &str) -> String {
    let mut pairs: Vec<(String, String)> = raw
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (encode(&decode(name), false), encode(&decode(value), false))
        })
        .collect();
    pairs.sort();
    pairs.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
}

/// Percent-encodes all bytes but the unreserved of RFC 3986; `/` stays in a path.
fn encode(text: &str, is_path: bool) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => encoded.push(byte.into()),
            b'/' if is_path => encoded.push('/'),
            byte => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

fn decode(text: &str) -> String {
    percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned()
}

/// Returns the seconds since 1970 of `YYYYMMDDTHHMMSSZ`.
fn seconds(at: &str) -> Option<u64> {
    let time = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%SZ", at).ok()?;
    u64::try_from(jiff::tz::Offset::UTC.to_timestamp(time).ok()?.as_second()).ok()
}

#[cfg(test)]
#[path = "../../tests/unit/caller/sigv4.rs"]
mod tests;
