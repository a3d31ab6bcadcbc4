//! Targets: a function's owner names URLs only where the provider's owner allows them.

use std::collections::BTreeMap;

use merit_engine::{Adapter, Code, Command, Logon, ProviderKind};
use merit_kit::{Floor, PRICE, Seller, code, logon, name, pool, put_function, rung, settings};
use merit_terms::{NoOffer, Reason, Refusal, TARGETS_MAX, TargetPattern};

const ENDPOINT: &str = "http://server.example:9000/base";
const ELSEWHERE: &str = "https://fn.example/resize";

fn patterns(texts: &[&str]) -> Vec<TargetPattern> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

/// Logs a function server on, which sells room for many calls.
fn serve(floor: &mut Floor, seller: Seller, endpoint: &str, targets: Option<&[&str]>) -> Seller {
    let (endpoint, targets) = (endpoint.to_owned(), targets.map(patterns));
    let logon = Logon { adapter: Adapter::Http, endpoint, targets, ..logon(seller.id, pool(64)) };
    let seller = Seller { session: floor.logon_with(logon).unwrap(), ..seller };
    floor.quote(seller, vec![rung(1, PRICE)]).unwrap();
    seller
}

fn server(floor: &mut Floor) -> Seller {
    let seller = floor.newcomer("server", 64);
    serve(floor, seller, ENDPOINT, None)
}

fn deployed(target: &str) -> Code {
    Code { module: None, deployments: BTreeMap::from([(name("server"), target.to_owned())]), ..code() }
}

/// Defines the function with this target. Returns the refusal.
fn define(floor: &mut Floor, target: &str) -> Result<(), String> {
    let defined = floor.apply(put_function(floor.buyer, name("hello"), deployed(target), settings()));
    defined.map(drop).map_err(|refusal| refusal.to_string())
}

fn set_targets(floor: &mut Floor, seller: Seller, texts: &[&str]) {
    floor.apply(Command::SetTargets { provider: seller.id, targets: patterns(texts) }).unwrap();
}

fn reason(floor: &Floor) -> Reason {
    let order = floor.engine.quote(&floor.bid(Default::default())).unwrap();
    order.refused.into_iter().next().unwrap().reason
}

#[test]
fn a_target_elsewhere_is_refused_at_definition() {
    let mut floor = Floor::new();
    server(&mut floor);
    for target in [ELSEWHERE, "http://127.0.0.1:22/", "http://server.example:9000/", "http://server.example:9000/base2"]
    {
        let refused = define(&mut floor, target).unwrap_err();
        let said = format!(
            "deployments.server: `{target}` is not below the endpoint of server, and its owner allows no such target; \
             name a path there, such as /resize, or ask its owner to allow the target"
        );
        assert_eq!(refused, said);
    }
    for target in ["", "/x", "http://server.example:9000/base/x", "HTTP://Server.example:9000/base"] {
        define(&mut floor, target).unwrap();
        floor.call();
    }
}

#[test]
fn a_pattern_of_the_owner_allows_a_target() {
    let mut floor = Floor::new();
    let seller = server(&mut floor);
    set_targets(&mut floor, seller, &["https://fn.example/*"]);
    define(&mut floor, ELSEWHERE).unwrap();
    assert_eq!(floor.call().provider, seller.id);
    assert!(define(&mut floor, "http://fn.example/resize").is_err());
}

#[test]
fn a_changed_pattern_applies_to_the_next_call() {
    let mut floor = Floor::new();
    let seller = server(&mut floor);
    set_targets(&mut floor, seller, &["https://fn.example/*"]);
    define(&mut floor, ELSEWHERE).unwrap();
    floor.call();
    set_targets(&mut floor, seller, &[]);
    assert_eq!((floor.lacks(), reason(&floor)), (NoOffer::Eligible, Reason::TargetNotAllowed));
    floor.put("hello", deployed(ELSEWHERE), settings());
    assert_eq!(floor.lacks(), NoOffer::Eligible, "defined again, it is still not called");
    set_targets(&mut floor, seller, &[ELSEWHERE]);
    floor.call();
}

#[test]
fn a_logon_states_targets_or_leaves_them() {
    let mut floor = Floor::new();
    let seller = server(&mut floor);
    let seller = serve(&mut floor, seller, ENDPOINT, Some(&["https://fn.example/*"]));
    define(&mut floor, ELSEWHERE).unwrap();
    floor.call();
    let seller = serve(&mut floor, seller, ENDPOINT, None);
    floor.call();
    serve(&mut floor, seller, ENDPOINT, Some(&[]));
    assert_eq!(reason(&floor), Reason::TargetNotAllowed);
}

#[test]
fn a_moved_endpoint_takes_its_targets_along() {
    let mut floor = Floor::new();
    let seller = server(&mut floor);
    define(&mut floor, "http://server.example:9000/base/x").unwrap();
    floor.call();
    let seller = serve(&mut floor, seller, "http://server.example:9001/base", None);
    assert_eq!(reason(&floor), Reason::TargetNotAllowed);
    serve(&mut floor, seller, "http://server.example:9000", None);
    floor.call();
}

#[test]
fn an_unseen_provider_is_judged_at_the_call_only() {
    let mut floor = Floor::new();
    let account = floor.account("owner", 0);
    let id = floor.provider("server", account, ProviderKind::Own);
    define(&mut floor, ELSEWHERE).unwrap();
    let session = floor.logon(id, pool(4));
    let hidden = Seller { id, account, session };
    define(&mut floor, "https://fn.example/other").unwrap();
    let seller = serve(&mut floor, hidden, ENDPOINT, None);
    let to_buyer = merit_terms::Rung { audience: vec![name("buyer")], ..rung(1, PRICE) };
    floor.quote(seller, vec![to_buyer]).unwrap();
    assert_eq!(reason(&floor), Reason::TargetNotAllowed);
}

#[test]
fn more_patterns_than_the_maximum_are_refused() {
    let mut floor = Floor::new();
    let seller = server(&mut floor);
    let targets = vec!["https://fn.example/*".parse().unwrap(); TARGETS_MAX + 1];
    let refused = floor.apply(Command::SetTargets { provider: seller.id, targets }).unwrap_err();
    assert!(matches!(refused, Refusal::Invalid { ref field, .. } if field == "targets"), "{refused}");
}

#[test]
fn targets_are_part_of_the_digest() {
    let digest = |texts: &[&str]| {
        let mut floor = Floor::new();
        let seller = server(&mut floor);
        set_targets(&mut floor, seller, texts);
        floor.engine.digest()
    };
    assert_ne!(digest(&["https://fn.example/*"]), digest(&["https://fn.example/"]));
}
