//! Paths and their entrances.

use super::*;

#[test]
fn a_path_leads_to_its_entrance() {
    let check = |path: &str, entrance: Entrance| assert_eq!(Entrance::of(path), entrance, "{path}");
    check("/v1/functions/echo/invocations", Entrance::Native);
    check("/v1/functions/echo", Entrance::Api);
    check("/fn/echo/v1/invocations", Entrance::PassThrough);
    check("/2015-03-31/functions/echo/invocations", Entrance::Lambda);
    check("/async-function/echo", Entrance::OpenFaas);
    check("/metrics", Entrance::Health);
    check("/", Entrance::Page);
    for (index, entrance) in Entrance::ALL.into_iter().enumerate() {
        assert_eq!(entrance as usize, index, "it is found by its place");
    }
}
