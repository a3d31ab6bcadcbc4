//! AWS Signature Version 4, as the SDKs sign calls of Lambda. Pure: no clock, no keys but those given.
//!
//! Source: "Authenticating Requests (AWS Signature Version 4)" and what boto3 and the JavaScript SDK send. A signature
//! stands in the `Authorization` header, or in the query of a presigned URL. The path is signed without empty and dot
//! segments and encoded once more, and served so; any region is taken, only the service `lambda`. The values of a
//! header that stands twice are joined with commas, in the order of the request, as at AWS; no header that asks Merit
//! for something may. An identical signature is valid again within its time, as at AWS: two calls within one second
//! share one.

mod canonical;
mod claims;

use hmac::{Hmac, KeyInit, Mac};
use http::HeaderMap;
use merit_terms::KeyId;
use sha2::{Digest, Sha256};

pub(super) use canonical::normalized_path;
pub(super) use claims::without_signature;

/// Largest difference between a client's clock and this one, in seconds.
pub(crate) const SKEW_MAX_S: u64 = 300;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
const SERVICE: &str = "lambda";
/// Header with the hash of the body; a client need not send it.
const CONTENT_SHA256: &str = "x-amz-content-sha256";
const DATE: &str = "x-amz-date";

/// The claims of a signature.
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
    /// Validity of a presigned URL in seconds; none for a signature in the header.
    expires_s: Option<u64>,
}

/// The reason for which a signature is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SignatureError {
    #[error("the signature is not one of version 4: {0}")]
    Malformed(&'static str),
    #[error("the signature is of {at}, and it is {now} here; the clocks must agree within {} minutes", SKEW_MAX_S / 60)]
    Skewed { at: String, now: String },
    #[error("the URL was signed at {at} for {expires_s} s, and it is {now} here; sign a new one")]
    Expired { at: String, expires_s: u64, now: String },
    /// Also for a key that is unknown, revoked or expired.
    #[error(
        "the request signature we calculated does not match the signature you provided. The key is not known, its \
         secret is wrong, it is revoked or has expired, or another request was signed: check your secret access key \
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
    pub(crate) host: &'a [u8],
    pub(crate) body: &'a [u8],
}

impl Signed {
    /// Returns whether the access key id has the form of a key of this market.
    pub(crate) fn is_by_a_key(&self) -> bool {
        self.key.parse::<KeyId>().is_ok()
    }

    /// Refuses a signature whose time is off from `now_s`, in seconds since 1970, and a presigned URL after its end.
    pub(crate) fn check_time(&self, now_s: u64) -> Result<(), SignatureError> {
        let at = seconds(&self.at).ok_or(SignatureError::Malformed("X-Amz-Date is not YYYYMMDDTHHMMSSZ"))?;
        let now = || merit_terms::Time::from_micros(now_s * 1_000_000).to_string();
        match self.expires_s {
            Some(expires_s) if now_s > at.saturating_add(expires_s) => {
                Err(SignatureError::Expired { at: self.at.clone(), expires_s, now: now() })
            }
            Some(_) if at <= now_s.saturating_add(SKEW_MAX_S) => Ok(()),
            None if at.abs_diff(now_s) <= SKEW_MAX_S => Ok(()),
            _ => Err(SignatureError::Skewed { at: self.at.clone(), now: now() }),
        }
    }

    /// Refuses a request that was not signed with `secret`. Compares in constant time.
    pub(crate) fn check(&self, request: &SignedRequest<'_>, secret: &str) -> Result<(), SignatureError> {
        let hash = hex::encode(Sha256::digest(request.body));
        if request.headers.get(CONTENT_SHA256).is_some_and(|said| said.as_bytes() != hash.as_bytes()) {
            return Err(SignatureError::Body);
        }
        let key = [self.date.as_str(), &self.region, SERVICE, "aws4_request"]
            .iter()
            .fold(format!("AWS4{secret}").into_bytes(), |key, part| {
                mac(&key, part.as_bytes()).finalize().into_bytes().to_vec()
            });
        let is_over = |query: &str| {
            let canonical = hex::encode(Sha256::digest(self.canonical(request, query, &hash)));
            let to_sign = format!("{ALGORITHM}\n{}\n{}\n{canonical}", self.at, self.scope);
            mac(&key, to_sign.as_bytes()).verify_slice(&self.signature).is_ok()
        };
        let forms = [canonical::query(request.query), canonical::query_as_sent(request.query)];
        if forms.iter().any(|query| is_over(query)) { Ok(()) } else { Err(SignatureError::Mismatch) }
    }

    fn canonical(&self, request: &SignedRequest<'_>, query: &str, hash: &str) -> Vec<u8> {
        let path = canonical::path(request.path);
        let mut text = format!("{}\n{path}\n{query}\n", request.method).into_bytes();
        for name in &self.headers {
            text.extend_from_slice(name.as_bytes());
            text.push(b':');
            if name == "host" {
                canonical::push_value(&mut text, request.host);
            } else {
                for (at, value) in request.headers.get_all(name).iter().enumerate() {
                    if at > 0 {
                        text.push(b',');
                    }
                    canonical::push_value(&mut text, value.as_bytes());
                }
            }
            text.push(b'\n');
        }
        text.extend_from_slice(format!("\n{}\n{hash}", self.headers.join(";")).as_bytes());
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

/// Returns the seconds since 1970 of `YYYYMMDDTHHMMSSZ`.
fn seconds(at: &str) -> Option<u64> {
    let at = Some(at).filter(|at| at.len() == "YYYYMMDDTHHMMSSZ".len())?;
    let time = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%SZ", at).ok()?;
    u64::try_from(jiff::tz::Offset::UTC.to_timestamp(time).ok()?.as_second()).ok()
}

#[cfg(test)]
#[path = "../../../tests/unit/caller/sigv4.rs"]
mod tests;
