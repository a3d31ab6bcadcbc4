//! The claims of a signature: what the `Authorization` header, or the query of a presigned URL, says of it.
//!
//! Never checks a signature, and knows no secret.

use std::borrow::Cow;

use http::{HeaderMap, HeaderName};
use percent_encoding::percent_decode_str;

use super::canonical::SIGNATURE_PARAMETER;
use super::{ALGORITHM, DATE, SERVICE, SignatureError, Signed};

/// Largest `Authorization` header, in bytes.
const AUTHORIZATION_MAX_BYTES: usize = 4096;
/// Longest validity of a presigned URL, in seconds: 7 days, as at AWS.
pub(super) const EXPIRES_MAX_S: u64 = 604_800;
/// Parameters by which a URL is presigned, beside the signature.
const PARAMETERS: [&str; 6] = [
    "X-Amz-Algorithm",
    "X-Amz-Credential",
    "X-Amz-Date",
    "X-Amz-Expires",
    "X-Amz-SignedHeaders",
    "X-Amz-Security-Token",
];
/// Headers beside `x-amz-*` and `merit-*` that ask Merit for something.
const ASKING: [&str; 3] = ["prefer", "idempotency-key", "x-callback-url"];
/// Headers `x-amz-*` that a proxy adds to a signed request, and that ask for nothing.
const ADDED_ON_THE_WAY: [&str; 1] = ["x-amz-cf-id"];

/// The texts of one signature.
struct Texts<'a> {
    /// `KEY/DATE/REGION/lambda/aws4_request`.
    credential: &'a str,
    signed_headers: &'a str,
    signature: &'a str,
    /// `YYYYMMDDTHHMMSSZ`.
    at: &'a str,
    expires_s: Option<u64>,
}

impl Signed {
    /// Returns true if the header is meant to be a signature.
    pub(crate) fn is_meant(authorization: &str) -> bool {
        authorization.starts_with(ALGORITHM)
    }

    /// Returns true if the query is meant to be that of a presigned URL.
    pub(crate) fn is_presigned(query: &str) -> bool {
        query.split('&').any(|pair| {
            let name = pair.split_once('=').map_or(pair, |(name, _)| name);
            name == SIGNATURE_PARAMETER || name == PARAMETERS[0]
        })
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
            let (part, value) = part.trim().split_once('=').ok_or(Malformed("an unknown part"))?;
            let place = match part {
                "Credential" => &mut credential,
                "SignedHeaders" => &mut signed_headers,
                "Signature" => &mut signature,
                _ => return Err(Malformed("an unknown part")),
            };
            if place.replace(value).is_some() {
                return Err(Malformed("a part stands more than once"));
            }
        }
        let signed_headers = signed_headers.ok_or(Malformed("no SignedHeaders"))?;
        if !signed_headers.split(';').any(|name| name == DATE) {
            return Err(Malformed("X-Amz-Date is not signed"));
        }
        Signed::of(
            Texts {
                credential: credential.ok_or(Malformed("no Credential"))?,
                signed_headers,
                signature: signature.ok_or(Malformed("no Signature"))?,
                at: headers.get(DATE).and_then(|at| at.to_str().ok()).ok_or(Malformed("no X-Amz-Date"))?,
                expires_s: None,
            },
            headers,
        )
    }

    /// Reads the query of a presigned URL.
    pub(crate) fn read_presigned(query: &str, headers: &HeaderMap) -> Result<Signed, SignatureError> {
        use SignatureError::Malformed;
        if parameter(query, PARAMETERS[0])?.as_deref() != Some(ALGORITHM) {
            return Err(Malformed("X-Amz-Algorithm is not AWS4-HMAC-SHA256"));
        }
        let expires = parameter(query, "X-Amz-Expires")?.ok_or(Malformed("no X-Amz-Expires"))?;
        let is_number = expires.bytes().all(|byte| byte.is_ascii_digit());
        let expires_s = expires.parse().ok().filter(|expires| is_number && (1..=EXPIRES_MAX_S).contains(expires));
        // It is none of Merit's, but no second one may stand there.
        parameter(query, "X-Amz-Security-Token")?;
        Signed::of(
            Texts {
                credential: &parameter(query, "X-Amz-Credential")?.ok_or(Malformed("no X-Amz-Credential"))?,
                signed_headers: &parameter(query, "X-Amz-SignedHeaders")?.ok_or(Malformed("no X-Amz-SignedHeaders"))?,
                signature: &parameter(query, SIGNATURE_PARAMETER)?.ok_or(Malformed("no X-Amz-Signature"))?,
                at: &parameter(query, "X-Amz-Date")?.ok_or(Malformed("no X-Amz-Date"))?,
                expires_s: Some(expires_s.ok_or(Malformed("X-Amz-Expires is not 1 to 604800 seconds"))?),
            },
            headers,
        )
    }

    fn of(texts: Texts<'_>, headers: &HeaderMap) -> Result<Signed, SignatureError> {
        use SignatureError::Malformed;
        let (key, scope) = texts.credential.split_once('/').unwrap_or((texts.credential, ""));
        let scope_parts: Vec<&str> = scope.split('/').collect();
        let [date, region, SERVICE, "aws4_request"] = scope_parts[..] else {
            return Err(Malformed("the Credential is not KEY/DATE/REGION/lambda/aws4_request"));
        };
        let names: Vec<&str> = texts.signed_headers.split(';').collect();
        check_names(&names, headers)?;
        let mut signature = [0; 32];
        let is_lower = !texts.signature.bytes().any(|byte| byte.is_ascii_uppercase());
        let decoded = hex::decode_to_slice(texts.signature, &mut signature).is_ok();
        if !is_lower || !decoded {
            return Err(Malformed("the Signature is not 64 hexadecimal digits in lower case"));
        }
        let is_date = date.len() == 8 && date.bytes().all(|byte| byte.is_ascii_digit());
        if !is_date || !texts.at.starts_with(date) {
            return Err(Malformed("X-Amz-Date is of another day than the Credential"));
        }
        Ok(Signed {
            key: key.to_owned(),
            scope: scope.to_owned(),
            date: date.to_owned(),
            region: region.to_owned(),
            headers: names.into_iter().map(str::to_owned).collect(),
            signature,
            at: texts.at.to_owned(),
            expires_s: texts.expires_s,
        })
    }
}

/// Checks the names of the signed headers: in order, each once and in the request. Whatever asks Merit for something is
/// among them and stands once.
fn check_names(names: &[&str], headers: &HeaderMap) -> Result<(), SignatureError> {
    use SignatureError::Malformed;
    let is_lower = |name: &&str| !name.bytes().any(|byte| byte.is_ascii_uppercase());
    if !names.iter().all(is_lower) || !names.windows(2).all(|pair| pair[0] < pair[1]) {
        return Err(Malformed("SignedHeaders are not in lower case and in order, each once"));
    }
    if !names.contains(&"host") {
        return Err(Malformed("the host is not signed"));
    }
    // HTTP/2 has the host elsewhere.
    if names.iter().any(|name| *name != "host" && !headers.contains_key(*name)) {
        return Err(Malformed("a signed header is not in the request"));
    }
    for name in headers.keys().map(HeaderName::as_str).filter(|name| asks_merit(name)) {
        if !names.contains(&name) {
            return Err(Malformed("a header x-amz-*, merit-* or another that asks for something is not signed"));
        }
        if headers.get_all(name).iter().nth(1).is_some() {
            return Err(Malformed("a header x-amz-*, merit-* or another that asks for something stands twice"));
        }
    }
    Ok(())
}

fn asks_merit(name: &str) -> bool {
    let is_named = name.starts_with("x-amz-") || name.starts_with("merit-") || ASKING.contains(&name);
    is_named && !ADDED_ON_THE_WAY.contains(&name)
}

/// Returns the decoded value of a parameter. Refuses one that stands more than once or is no text.
fn parameter<'a>(query: &'a str, name: &str) -> Result<Option<Cow<'a, str>>, SignatureError> {
    let mut values = query.split('&').filter_map(|pair| pair.split_once('=')).filter(|(of, _)| *of == name);
    let Some((_, value)) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(SignatureError::Malformed("a parameter X-Amz-* stands more than once"));
    }
    let text = percent_decode_str(value).decode_utf8();
    text.map(Some).map_err(|_| SignatureError::Malformed("a parameter X-Amz-* is no text"))
}

/// Returns the query without the parameters of a signature, which nobody behind the check is to see.
pub(in crate::caller) fn without_signature(query: &str) -> String {
    let is_own = |pair: &&str| {
        let name = pair.split_once('=').map_or(*pair, |(name, _)| name);
        name != SIGNATURE_PARAMETER && !PARAMETERS.contains(&name)
    };
    query.split('&').filter(is_own).collect::<Vec<_>>().join("&")
}
