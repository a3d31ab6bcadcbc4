//! CloudEvents in structured mode, by cases.

use super::*;

async fn binary(event: Value) -> Result<(HeaderMap, String), String> {
    let mut headers = HeaderMap::new();
    headers.insert("ce-id", "forged".parse().unwrap());
    let body = to_binary(&mut headers, event.to_string().as_bytes()).map_err(|error| error.message)?;
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    Ok((headers, String::from_utf8(body.to_vec()).unwrap()))
}

fn event(more: Value) -> Value {
    let mut event = serde_json::json!({"specversion": "1.0", "id": "7", "source": "/a b", "type": "made"});
    event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    event
}

#[tokio::test]
async fn a_structured_event_becomes_a_binary_one() {
    let (headers, body) =
        binary(event(serde_json::json!({"data": {"a": 1}, "sequence": 3, "sub": null}))).await.unwrap();
    assert_eq!((headers["ce-id"].to_str().unwrap(), body.as_str()), ("7", r#"{"a":1}"#));
    assert_eq!(headers["ce-source"], "/a%20b");
    assert_eq!(headers["ce-sequence"], "3");
    assert_eq!(headers["content-type"], "application/json");
    assert!(!headers.contains_key("ce-sub"));
    let text = event(serde_json::json!({"data": "hi", "datacontenttype": "text/plain"}));
    assert_eq!(binary(text).await.unwrap().1, "hi");
    let json = event(serde_json::json!({"data": "hi"}));
    assert_eq!(binary(json).await.unwrap().1, "\"hi\"");
    let bytes = event(serde_json::json!({"data_base64": "aGk="}));
    assert_eq!(binary(bytes).await.unwrap().1, "hi");
}

#[tokio::test]
async fn an_event_is_refused_with_its_fault() {
    let check = async |event: Value, part: &str| {
        let message = binary(event).await.unwrap_err();
        assert!(message.contains(part), "{message}");
    };
    check(serde_json::json!({"id": "7"}), "no `source`").await;
    check(event(serde_json::json!({"specversion": "0.3"})), "version 0.3").await;
    check(event(serde_json::json!({"data": 1, "data_base64": "aGk="})), "both").await;
    check(event(serde_json::json!({"data_base64": "!"})), "not base64").await;
    check(event(serde_json::json!({"Bad-Name": 1})), "Bad-Name").await;
    check(event(serde_json::json!({"nested": {}})), "nested").await;
}
