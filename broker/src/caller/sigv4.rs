//! AWS Signature Version 4, as the SDKs sign calls of Lambda. Pure: no clock, no keys but those given.
//!
//! Source: "Authenticating Requests (AWS Signature Version 4)" and what boto3 and the JavaScript SDK send. The raw path is
//! signed encoded once more; any region is taken, only the service `lambda`. An identical signature is valid again
//! within the window, as at AWS: two calls within one second share one.

use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderMap, HeaderName};
use sha2::{Digest, Sha256};

/// How far a client's clock may be off.
pub(crate) const SKEW_MAX_S: u64 = 300;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
const SERVICE: &str = "lambda";
/// The header in which a client says the hash of its body, if it does.
pub(crate) const CONTENT_SHA256: &str = "x-amz-content-sha256";
const DATE: &str = "x-amz-date";
/// Longer ones are none of ours.
const AUTHORIZATION_MAX_BYTES: usize = 4096;

/// What an `Authorization` header claims.
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

/// Why a signature is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SignatureError {
    #[error("the Authorization header is not a signature of version 4: {0}")]
    Malformed(&'static str),
    #[error("the signature is of {at}, and it is {now} here; the clocks must agree within {} minutes", SKEW_MAX_S / 60)]
    Skewed { at: String, now: String },
    #[error(
        "the request signature we calculated does not match the signature you provided. Check your secret access key and \
         signing method"
    )]
    Mismatch,
    #[error("the body does not have the hash that its header says")]
    Body,
}

/// What is signed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request<'a> {
    pub(crate) method: &'a str,
    /// As it was sent.
    pub(crate) path: &'a str,
    pub(crate) query: &'a str,
    pub(crate) headers: &'a HeaderMap,
    /// The host that was asked for.
    pub(crate) host: &'a str,
    pub(crate) body: &'a [u8],
}

impl Signed {
    /// Whether this is meant to be a signature.
    pub(crate) fn is_meant(authorization: &str) -> bool {
        authorization.starts_with(ALGORITHM)
    }

    /// Reads the header, and the time of the request.
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

    /// Refuses a signature whose time is not about `now_s`, in seconds since 1970.
    pub(crate) fn check_time(&self, now_s: u64) -> Result<(), SignatureError> {
        let at = seconds(&self.at).ok_or(SignatureError::Malformed("X-Amz-Date is not YYYYMMDDTHHMMSSZ"))?;
        if at.abs_diff(now_s) > SKEW_MAX_S {
            let now = merit_terms::Time::from_micros(now_s * 1_000_000).to_string();
            return Err(SignatureError::Skewed { at: self.at.clone(), now });
        }
        Ok(())
    }

    /// Refuses a request that `secret` did not sign. Compares in constant time.
    pub(crate) fn check(&self, request: &Request<'_>, secret: &str) -> Result<(), SignatureError> {
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

    fn canonical(&self, request: &Request<'_>, hash: &str) -> String {
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

/// Leading and trailing spaces off, spaces within to one.
fn trimmed(value: &[u8]) -> String {
    String::from_utf8_lossy(value).split_ascii_whitespace().collect::<Vec<_>>().join(" ")
}

/// The query's parameters, decoded and encoded again, in order.
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

/// Everything but the unreserved of RFC 3986, byte by byte; `/` stays in a path.
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

/// Seconds since 1970 of `YYYYMMDDTHHMMSSZ`.
fn seconds(at: &str) -> Option<u64> {
    let time = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%SZ", at).ok()?;
    u64::try_from(jiff::tz::Offset::UTC.to_timestamp(time).ok()?.as_second()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

    /// What botocore 1.x signs for `lambda.invoke(FunctionName="echo:live", Payload=b"{}")` at that time with this secret.
    fn headers() -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert("host", "127.0.0.1:8080".parse().unwrap());
        headers.insert("x-amz-date", "20261124T120000Z".parse().unwrap());
        headers
    }

    fn request<'a>(headers: &'a HeaderMap, body: &'a [u8]) -> Request<'a> {
        Request {
            method: "POST",
            path: "/2015-03-31/functions/echo%3Alive/invocations",
            query: "Qualifier=%24LATEST",
            headers,
            host: "127.0.0.1:8080",
            body,
        }
    }

    fn authorization(signature: &str) -> String {
        format!(
            "AWS4-HMAC-SHA256 Credential=key-7/20261124/us-east-1/lambda/aws4_request, SignedHeaders=host;x-amz-date, Signature={signature}"
        )
    }

    const BY_BOTOCORE: &str = "352d489e575f02e16abc752307ad8c76dddca5926347bca66d7e8e4e313b8bee";

    fn check(headers: &HeaderMap, change: impl Fn(&mut Request<'_>), secret: &str) -> Result<(), SignatureError> {
        let signed = Signed::read(&authorization(BY_BOTOCORE), headers)?;
        let mut request = request(headers, b"{}");
        change(&mut request);
        signed.check(&request, secret)
    }

    #[test]
    fn what_botocore_signs_is_accepted() {
        assert_eq!(check(&headers(), |_| {}, SECRET), Ok(()));
    }

    #[test]
    fn whatever_is_changed_is_found() {
        let mismatch = Err(SignatureError::Mismatch);
        assert_eq!(check(&headers(), |_| {}, "another"), mismatch);
        assert_eq!(check(&headers(), |request| request.body = b"[]", SECRET), mismatch);
        assert_eq!(
            check(&headers(), |request| request.path = "/2015-03-31/functions/echo:live/invocations", SECRET),
            mismatch
        );
        assert_eq!(check(&headers(), |request| request.query = "Qualifier=1", SECRET), mismatch);
        assert_eq!(check(&headers(), |request| request.host = "127.0.0.1:8081", SECRET), mismatch);
        assert_eq!(check(&headers(), |request| request.method = "PUT", SECRET), mismatch);
        let mut said = headers();
        said.insert(CONTENT_SHA256, "00".parse().unwrap());
        let signed = authorization(BY_BOTOCORE).replace("host;", "host;x-amz-content-sha256;");
        let signed = Signed::read(&signed, &said).unwrap();
        assert_eq!(signed.check(&request(&said, b"{}"), SECRET), Err(SignatureError::Body));
        // What asks for something is signed.
        for name in ["x-amz-invocation-type", "merit-idempotent"] {
            let mut added = headers();
            added.insert(name, "true".parse().unwrap());
            assert!(matches!(check(&added, |_| {}, SECRET), Err(SignatureError::Malformed(_))), "{name}");
        }
    }

    #[test]
    fn a_clock_may_be_off_by_five_minutes() {
        let signed = Signed::read(&authorization(BY_BOTOCORE), &headers()).unwrap();
        let noon = seconds("20261124T120000Z").unwrap();
        assert_eq!(noon, 1_795_521_600);
        assert_eq!(signed.check_time(noon + 300), Ok(()));
        assert_eq!(signed.check_time(noon - 300), Ok(()));
        assert!(matches!(signed.check_time(noon + 301), Err(SignatureError::Skewed { .. })));
        assert!(matches!(signed.check_time(noon - 301), Err(SignatureError::Skewed { .. })));
    }

    #[test]
    fn what_is_no_signature_is_said() {
        let mut bad = vec![
            String::new(),
            "AWS4-HMAC-SHA256 Credential=a".to_owned(),
            authorization("zz"),
            authorization(BY_BOTOCORE).replace("lambda", "s3"),
            authorization(BY_BOTOCORE).replace("SignedHeaders=host;", "SignedHeaders="),
            authorization(BY_BOTOCORE).replace("20261124", "20261123"),
        ];
        bad.push("AWS4-HMAC-SHA256 ".repeat(1000));
        for authorization in bad {
            let read = Signed::read(&authorization, &headers());
            assert!(matches!(read, Err(SignatureError::Malformed(_))), "{authorization}");
        }
    }
}
