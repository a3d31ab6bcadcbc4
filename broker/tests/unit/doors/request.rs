//! Queries that are refused.

use serde::Deserialize;

use super::*;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct AskedQuery {
    #[allow(dead_code)]
    limit: Option<u32>,
    #[allow(dead_code)]
    revision: Option<bool>,
}

fn refused(query: &str) -> String {
    Query::<AskedQuery>::read(&format!("/x?{query}").parse().unwrap()).unwrap_err().message
}

#[test]
fn a_query_is_refused_in_clear_words() {
    assert_eq!(refused("limit=many"), "the query: limit: is not a whole number");
    assert_eq!(refused("limit=-1"), "the query: limit: is not a whole number");
    assert_eq!(refused("limit=99999999999"), "the query: limit: is too large");
    assert_eq!(refused("limit="), "the query: limit: is empty; a whole number is asked for");
    assert_eq!(refused("revision=no"), "the query: revision: is not true or false");
    assert!(refused("lmit=1").contains("lmit"), "{}", refused("lmit=1"));
}
