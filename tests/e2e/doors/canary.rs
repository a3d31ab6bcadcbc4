//! An alias that sends a share of its calls to a second revision: each door and the record name the one that ran.

use std::collections::BTreeSet;

use http::Method;
use serde_json::json;

use super::{Key, Secured};
use crate::market::sample;

/// Number of calls at each door: enough that each of two even shares gets some.
const CALLS: usize = 30;

/// Paths of the alias, and the header of the answer that names the revision.
const DOORS: [(&str, &str); 4] = [
    ("/v1/functions/f:stable/invocations", "merit-revision"),
    ("/fn/f:stable", "merit-revision"),
    ("/function/f:stable", "merit-revision"),
    ("/2015-03-31/functions/f/invocations?Qualifier=stable", "x-amz-executed-version"),
];

/// Returns the revisions that ran, by their answers, and asserts that the door and the record name the same.
async fn ran(secured: &Secured, key: &Key, door: &str, header: &str) -> BTreeSet<u32> {
    let mut ran = BTreeSet::new();
    for _ in 0..CALLS {
        let answer = secured.call_as(key, Method::POST, door, &[], "two words").await;
        let revision = match answer.text() {
            "two words" => 1,
            "0 2 9\n" => 2,
            _ => panic!("{door}: {answer:?}"),
        };
        assert_eq!(answer.header(header), revision.to_string(), "{door}: {answer:?}");
        let record = format!("/v1/invocations/{}", answer.header("merit-invocation-id"));
        let record = secured.call_as(key, Method::GET, &record, &[], "").await.json();
        assert_eq!(record["revision"], revision, "{door}: {record}");
        ran.insert(revision);
    }
    ran
}

#[tokio::test]
async fn a_canary_gets_its_share_and_doors_name_the_revision() {
    let secured = Secured::start().await;
    let _edge = secured.provider("edge", &[]).await;
    let team = secured.account("team").await;
    for module in ["echo", "wordcount"] {
        secured.deploy(&team, "f", sample(module)).await;
    }
    for (weights, expected) in [
        (json!({"2": 1.0}), &[2][..]),
        (json!({"2": 0.0}), &[1]),
        (json!({"2": 0.5}), &[1, 2]),
        // The canary is over.
        (json!({}), &[1]),
    ] {
        let alias = json!({"revision": 1, "weights": weights}).to_string();
        let put = secured.call_as(&team, Method::PUT, "/v1/functions/f/aliases/stable", &[], alias).await;
        assert_eq!(put.status, 200, "{weights}: {put:?}");
        for (door, header) in DOORS {
            let ran = ran(&secured, &team, door, header).await;
            assert_eq!(ran, expected.iter().copied().collect(), "{weights}: {door}");
        }
    }
}
