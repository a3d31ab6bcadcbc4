//! Adapters: a function server runs deployments alone, an agent modules as well.

use std::collections::BTreeMap;

use merit_engine::{Adapter, Code, Logon};
use merit_kit::{Floor, PRICE, Seller, code, logon, name, pool, rung, settings};
use merit_terms::NoOffer;

/// Logs the seller on again with this adapter; it sells as before.
fn call_by(floor: &mut Floor, seller: Seller, adapter: Adapter) -> Seller {
    let session = floor.logon_with(Logon { adapter, ..logon(seller.id, pool(4)) }).unwrap();
    let seller = Seller { session, ..seller };
    floor.quote(seller, vec![rung(1, PRICE)]).unwrap();
    seller
}

fn deployed_at(provider: &str) -> Code {
    Code { deployments: BTreeMap::from([(name(provider), "/hello".to_owned())]), ..code() }
}

#[test]
fn a_function_server_runs_only_deployments() {
    let mut floor = Floor::new();
    let seller = floor.seller("seller", 4, PRICE);
    floor.call();
    let seller = call_by(&mut floor, seller, Adapter::Http);
    assert_eq!(floor.lacks(), NoOffer::Eligible, "a module is not enough, also in a market of modules");
    floor.put("hello", deployed_at("another"), settings());
    assert_eq!(floor.lacks(), NoOffer::Eligible);
    floor.put("hello", deployed_at("seller"), settings());
    assert_eq!(floor.call().provider, seller.id);
    floor.put("hello", Code { module: None, ..deployed_at("seller") }, settings());
    assert_eq!(floor.call().provider, seller.id, "nor is one needed");
}

#[test]
fn a_provider_that_logs_on_as_agent_runs_modules_again() {
    let mut floor = Floor::new();
    let seller = floor.newcomer("seller", 4);
    let seller = call_by(&mut floor, seller, Adapter::Http);
    assert_eq!(floor.lacks(), NoOffer::Eligible);
    call_by(&mut floor, seller, Adapter::Agent);
    floor.call();
}

#[test]
fn an_adapter_changes_the_digest_only_where_it_is_stated() {
    let digest = |adapter, endpoint_trusted| {
        let mut floor = Floor::new();
        let seller = floor.newcomer("seller", 4);
        floor.logon_with(Logon { adapter, endpoint_trusted, ..logon(seller.id, pool(4)) }).unwrap();
        floor.engine.digest()
    };
    let all = [(Adapter::Agent, false), (Adapter::Agent, true), (Adapter::Http, false), (Adapter::Http, true)];
    let digests: std::collections::BTreeSet<u128> =
        all.into_iter().map(|(adapter, trusted)| digest(adapter, trusted)).collect();
    assert_eq!(digests.len(), 4);
}
