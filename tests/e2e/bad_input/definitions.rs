//! Definitions and modules that no provider could serve.

use serde_json::json;

use super::{assert_refused, assert_unharmed, market, put};
use crate::in_both_shapes;
use crate::market::{Shape, sample};

in_both_shapes! {
    an_unusable_definition_is_refused_by_its_field
    an_unusable_module_is_refused_and_the_function_stays
}

/// The way to put a definition that is whole.
const ECHO: &str = "/v1/functions/echo?reset=true";

async fn an_unusable_definition_is_refused_by_its_field(shape: Shape) {
    let (market, _edge) = market(shape).await;
    let before = market.get("/v1/functions/echo").await.json();
    let malformed = [
        (r#"{"memory_mb": "#, "not JSON"),
        ("[1]", "not a JSON object"),
        (r#"{"memory_bm": 1}"#, "`memory_bm` is not known; did you mean `memory_mb`?"),
        (r#"{"limits": {"max_cots": "1"}}"#, "`limits.max_cots` is not known; did you mean `max_cost`?"),
        (r#"{"memory_mb": -1}"#, "memory_mb: "),
        (r#"{"timeout_ms": "3 s"}"#, "timeout_ms: "),
        (r#"{"providers": 7}"#, "providers: expected \"own\", \"any\" or a list of names"),
        (r#"{"providers": "some"}"#, "providers: `some`"),
        (r#"{"limits": {"max_cost": "-1"}}"#, "limits.max_cost: `-1` is negative"),
        (r#"{"public": {"requests_per_secnd": 1}}"#, "did you mean `requests_per_second`?"),
        (r#"{"public": {}}"#, "requests_per_second"),
        (r#"{"public": 5}"#, "public: "),
        (r#"{"budgets": [{"perod": "day"}]}"#, "`budgets.perod` is not known; did you mean `period`?"),
        (r#"{"budgets": [{"period": "week", "amount": "1"}]}"#, "budgets[0].period: unknown variant `week`"),
        (r#"{"budgets": [{"period": "day", "amount": 1}]}"#, "budgets[0].amount: "),
        (r#"{"module": "abcd"}"#, "module: a SHA-256 digest has 64"),
        (
            r#"{"deployments": [{"provider": "a", "target": "http://b:0/f"}]}"#,
            "a URL with a port that is not 1 to 65535",
        ),
        (
            r#"{"deployments": [{"provider": "a", "target": "http://b:65536"}]}"#,
            "a URL with a port that is not 1 to 65535",
        ),
    ];
    for (body, named) in malformed {
        assert_refused(&put(&market, ECHO, body).await, 400, "malformed", &[named]);
    }
    let unusable = [
        (json!({"memory_mb": 0}), "invalid", "memory_mb: 0 is not within 1 to 65536"),
        (json!({"memory_mb": 4_000_000_000_u32}), "invalid", "memory_mb: 4000000000 is not"),
        (json!({"timeout_ms": 0}), "invalid", "timeout_ms: 0 is not within 1 to 3600000"),
        (json!({"timeout_ms": 3_600_001}), "invalid", "timeout_ms: 3600001 is not"),
        (json!({"max_concurrency": 0}), "invalid", "max_concurrency: 0 would let nothing run"),
        (json!({"public": {"requests_per_second": 0}}), "invalid", "public.requests_per_second: 1 to 10000"),
        (json!({"public": {"requests_per_second": 10_001}}), "invalid", "public.requests_per_second: 1 to 10000"),
        (json!({"providers": ["edge 1"]}), "unusable_definition", "providers: `edge 1`"),
        (json!({"markets": ["local wasm"]}), "unusable_definition", "markets: `local wasm`"),
        (json!({"markets": ["EU/*"]}), "unusable_definition", "markets: `EU/*`"),
    ];
    for (body, code, named) in unusable {
        assert_refused(&put(&market, ECHO, body.to_string()).await, 422, code, &[named]);
    }
    let absent = "0".repeat(64);
    let nowhere = put(&market, ECHO, json!({"module": absent}).to_string()).await;
    assert_refused(&nowhere, 404, "not_found", &["module", &absent]);
    let halfway = json!({"deployments": [{"provider": "a"}]});
    let answer = put(&market, ECHO, halfway.to_string()).await;
    assert_refused(&answer, 400, "malformed", &["deployments", "target"]);
    assert_eq!(market.get("/v1/functions/echo").await.json(), before);
    assert_unharmed(&market).await;
    market.stop().await;
}

async fn an_unusable_module_is_refused_and_the_function_stays(shape: Shape) {
    let (market, _edge) = market(shape).await;
    let before = market.get("/v1/functions/echo").await.json();
    let wat = |text: &str| wat::parse_str(text).unwrap();
    let truncated = || sample("echo")[..200].to_vec();
    let unusable = [
        (Vec::new(), "the body is empty"),
        (b"int main() { return 0; }".to_vec(), "not a WebAssembly module"),
        (truncated(), "not a WebAssembly module"),
        (wat("(component)"), "WebAssembly component"),
        (
            wat(r#"(module (import "env" "now" (func)) (memory (export "memory") 1) (func (export "_start")))"#),
            "imports env.now",
        ),
        (wat(r#"(module (memory (export "memory") 1))"#), "no function `_start`"),
        (wat(r#"(module (func (export "_start")))"#), "no memory named `memory`"),
    ];
    for (module, named) in unusable {
        let answer = put(&market, "/v1/functions/echo/module", module).await;
        assert_refused(&answer, 422, "unusable_definition", &[named]);
        assert!(!answer.message().contains('\n'), "{answer:?}");
    }
    let large = put(&market, "/v1/functions/echo/module", vec![0; (32 << 20) + 1]).await;
    assert_refused(&large, 413, "too_large", &["module", "33554432 bytes"]);
    assert_eq!(market.get("/v1/functions/echo").await.json(), before);

    // A large sound module goes all the way to the provider.
    let padding = vec![0x55; 8 << 20];
    let mut padded = sample("echo");
    padded.push(0);
    padded.extend(leb128(padding.len() as u32 + 2));
    padded.extend([1, b'p']);
    padded.extend(padding);
    assert_eq!(put(&market, "/v1/functions/echo/module", padded).await.status, 200);
    assert_unharmed(&market).await;
    market.stop().await;
}

/// Returns a number in the encoding of WebAssembly's lengths.
fn leb128(mut number: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
    bytes
}
