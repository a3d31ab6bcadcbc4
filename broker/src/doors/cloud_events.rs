//! CloudEvents over HTTP: a structured event becomes a binary one, so that functions see one form.
//!
//! Source: CloudEvents 1.0.2, HTTP protocol binding, sections 3.1 and 3.2. The id of an event is passed on; it does not
//! make the call idempotent.

use axum::body::Body;
use axum::http::request::Parts;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use percent_encoding::{AsciiSet, CONTROLS, percent_encode};
use serde_json::{Map, Value};

use crate::caller::holder;
use crate::door_names::Door;
use crate::error::ApiError;
use crate::limits::PAYLOAD_MAX_BYTES;
use crate::quota::bodies;
use merit_listener::{Holder, Shares};

const REQUIRED: [&str; 4] = ["id", "source", "specversion", "type"];
/// Bytes that are percent-encoded in the header of an attribute (section 3.1.3.2).
const ENCODED: AsciiSet = CONTROLS.add(b' ').add(b'"').add(b'%');

/// Turns a structured event into binary mode. Leaves other requests as they are.
pub(super) async fn read(quota: &Shares<Holder>, parts: &mut Parts, body: Body) -> Result<(Door, Body), ApiError> {
    let content_type = parts.headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if kind.starts_with("application/cloudevents-batch") {
        return Err(ApiError::malformed("a batch of CloudEvents is not taken; send each event by itself"));
    }
    if kind.starts_with("application/cloudevents") {
        if kind != "application/cloudevents+json" {
            return Err(ApiError::malformed(format!(
                "CloudEvents in the format `{kind}` are not taken; send application/cloudevents+json"
            )));
        }
        let room = bodies::Room::new(quota, holder(parts));
        let event = bodies::read(body, PAYLOAD_MAX_BYTES, room).await?;
        let body = to_binary(&mut parts.headers, &event)?;
        return Ok((Door::CloudEvents, body));
    }
    if !parts.headers.contains_key("ce-specversion") {
        return Ok((Door::Native, body));
    }
    for attribute in REQUIRED {
        let value = parts.headers.get(format!("ce-{attribute}"));
        check(attribute, value.and_then(|value| value.to_str().ok()))?;
    }
    Ok((Door::CloudEvents, body))
}

fn check(attribute: &str, value: Option<&str>) -> Result<(), ApiError> {
    match value {
        None | Some("") => Err(ApiError::malformed(format!("the CloudEvent has no `{attribute}`"))),
        Some(version) if attribute == "specversion" && version != "1.0" => {
            Err(ApiError::malformed(format!("CloudEvents of version {version} are not taken; send 1.0")))
        }
        Some(_) => Ok(()),
    }
}

fn to_binary(headers: &mut HeaderMap, event: &[u8]) -> Result<Body, ApiError> {
    let malformed = |what: &str| ApiError::malformed(format!("the CloudEvent {what}"));
    let mut event: Map<String, Value> =
        serde_json::from_slice(event).map_err(|error| malformed(&format!("is not a JSON object: {error}")))?;
    for attribute in REQUIRED {
        check(attribute, event.get(attribute).and_then(Value::as_str))?;
    }
    let kind = event.remove("datacontenttype");
    let body = match (event.remove("data"), event.remove("data_base64")) {
        (Some(_), Some(_)) => return Err(malformed("has both data and data_base64")),
        (None, Some(data)) => {
            let data = data.as_str().and_then(|data| STANDARD.decode(data).ok());
            data.ok_or_else(|| malformed("has a data_base64 that is not base64"))?
        }
        // Text of another type than JSON is the text itself (JSON format, section 3.1.1).
        (Some(Value::String(text)), None) if !is_json(kind.as_ref()) => text.into_bytes(),
        (Some(data), None) => data.to_string().into_bytes(),
        (None, None) => Vec::new(),
    };
    let forged: Vec<HeaderName> = headers.keys().filter(|name| name.as_str().starts_with("ce-")).cloned().collect();
    forged.iter().for_each(|name| drop(headers.remove(name)));
    for (name, value) in &event {
        let text = match value {
            Value::Null => continue,
            Value::String(text) => text.clone(),
            Value::Bool(_) | Value::Number(_) => value.to_string(),
            Value::Array(_) | Value::Object(_) => {
                return Err(malformed(&format!("has a `{name}` that is not a value")));
            }
        };
        let is_name =
            !name.is_empty() && name.len() <= 64 && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        let header = HeaderName::try_from(format!("ce-{name}")).ok().filter(|_| is_name);
        let header = header.ok_or_else(|| malformed(&format!("has an attribute `{name}`; names are a-z and 0-9")))?;
        let value = percent_encode(text.as_bytes(), &ENCODED).to_string();
        headers.insert(
            header,
            HeaderValue::try_from(value).map_err(|_| malformed(&format!("has a `{name}` that no header takes")))?,
        );
    }
    let kind = kind.as_ref().and_then(Value::as_str).unwrap_or("application/json");
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::try_from(kind).map_err(|_| malformed("has a datacontenttype that is none"))?,
    );
    headers.remove(header::CONTENT_LENGTH);
    Ok(Body::from(body))
}

fn is_json(kind: Option<&Value>) -> bool {
    let kind = kind.and_then(Value::as_str).unwrap_or("application/json").to_ascii_lowercase();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    kind.ends_with("/json") || kind.ends_with("+json")
}

#[cfg(test)]
#[path = "../../tests/unit/doors/cloud_events.rs"]
mod tests;
