//! Lists of functions have pages, bounded in number and bytes, at every door that lists them.

use http::Method;
use serde_json::{Map, Value, json};

use crate::in_both_shapes;
use crate::market::{Market, Shape};
use crate::process::merit;

in_both_shapes! {
    functions_are_listed_by_name_page_by_page
}

/// Size at which a page ends, in bytes.
const PAGE_BYTES: usize = 1 << 20;

/// Defines functions with environments of some 240 KB each, the second with a revision before.
async fn define(market: &Market, names: &[String]) {
    let value = "x".repeat(4000);
    let environment: Map<String, Value> = (0..60).map(|at| (format!("V{at}"), json!(value))).collect();
    for (at, name) in names.iter().enumerate() {
        for memory_mb in if at == 1 { [64, 128] } else { [128, 128] } {
            let definition = json!({
                "memory_mb": memory_mb, "environment": environment,
                "deployments": [{"provider": "edge-1", "target": "/f"}],
            });
            let put = market.call(Method::PUT, &format!("/v1/functions/{name}"), &[], definition.to_string()).await;
            assert_eq!(put.status, 200, "{put:?}");
        }
    }
}

fn names(listed: &Value) -> Vec<String> {
    let functions = listed["functions"].as_array().unwrap();
    functions.iter().map(|function| function["name"].as_str().unwrap().to_owned()).collect()
}

async fn functions_are_listed_by_name_page_by_page(shape: Shape) {
    let market = Market::start(shape).await;
    // Made in another order than that of the list.
    let mut expected: Vec<String> = (0..12).map(|at| format!("f{:02}", (at * 5) % 12)).collect();
    define(&market, &expected).await;
    expected.sort();

    let (mut seen, mut path, mut pages) = (Vec::new(), "/v1/functions".to_owned(), 0);
    loop {
        let page = market.get(&path).await;
        assert!(page.status == 200 && page.body.len() < PAGE_BYTES + 100_000, "{path}: {}", page.body.len());
        let listed = page.json();
        seen.extend(names(&listed));
        pages += 1;
        for function in listed["functions"].as_array().unwrap() {
            assert_eq!(function["environment"].as_object().unwrap().len(), 60, "the newest revision's own");
            assert_eq!(function["revision"], if function["name"] == "f05" { 2 } else { 1 });
        }
        let Some(next) = listed["next"].as_str() else { break };
        assert_eq!(next, seen.last().unwrap(), "a cursor is the last name");
        path = format!("/v1/functions?cursor={next}");
    }
    assert_eq!((&seen, pages), (&expected, 3), "four of 240 KB in a page of 1 MB");

    let page = market.get("/v1/functions?limit=2&cursor=f03").await.json();
    assert_eq!((names(&page), page["next"].as_str()), (vec!["f04".to_owned(), "f05".to_owned()], Some("f05")));
    let last = market.get("/v1/functions?limit=1&cursor=f10").await.json();
    assert_eq!((names(&last), last["next"].as_str()), (vec!["f11".to_owned()], None), "an end has no next");
    for wrong in ["limit=0", "limit=1001", "cursor=/", "after=f01"] {
        let refused = market.get(&format!("/v1/functions?{wrong}")).await;
        assert_eq!(refused.status, 400, "{wrong}: {refused:?}");
    }

    let listed = merit().args(["functions", "--output", "json", "--broker", &market.http]).output().await.unwrap();
    assert_eq!(names(&serde_json::from_slice(&listed.stdout).unwrap()), expected, "the command line follows pages");
    let gateway = market.get("/system/functions").await.json();
    assert_eq!(gateway.as_array().unwrap().len(), 12, "the gateway's list has no pages");
    let lambda = market.get("/2015-03-31/functions/?MaxItems=3&Marker=f01").await.json();
    assert_eq!((lambda["Functions"].as_array().unwrap().len(), &lambda["NextMarker"]), (3, &json!("f04")));
    let nearest = market.get("/v1/functions/f0").await;
    assert!(nearest.message().contains("did you mean `f0"), "{nearest:?}");
    market.stop().await;
}
