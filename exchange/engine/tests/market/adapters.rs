//! How a provider is called, and what it may therefore run.

use std::collections::BTreeMap;

use merit_engine::{Adapter, Code, Logon};
use merit_terms::NoOffer;

use crate::floor::{Floor, PRICE, Seller, code, logon, name, pool, rung, settings};

impl Floor {
    /// Logs on again with this adapter and sells as before.
    fn call_by(&mut self, seller: Seller, adapter: Adapter) -> Seller {
        let session = self.logon_with(Logon { adapter, ..logon(seller.id, pool(4)) }).unwrap();
        let seller = Seller { session, ..seller };
        self.quote(seller, vec![rung(1, PRICE)]).unwrap();
        seller
    }
}

fn deployed_at(provider: &str) -> Code {
    Code { deployments: BTreeMap::from([(name(provider), "/hello".to_owned())]), ..code() }
}

#[test]
fn a_function_server_runs_only_what_is_deployed_there_by_name() {
    let mut floor = Floor::new();
    let seller = floor.seller("seller", 4, PRICE);
    floor.call();
    let seller = floor.call_by(seller, Adapter::Http);
    assert_eq!(floor.lacks(), NoOffer::Eligible, "a module is not enough, also in a market of modules");
    floor.put("hello", deployed_at("another"), settings());
    assert_eq!(floor.lacks(), NoOffer::Eligible);
    floor.put("hello", deployed_at("seller"), settings());
    assert_eq!(floor.call().provider, seller.id);
    floor.put("hello", Code { module: None, ..deployed_at("seller") }, settings());
    assert_eq!(floor.call().provider, seller.id, "nor is one needed");
}

#[test]
fn an_agent_runs_modules_again_once_it_logs_on_as_one() {
    let mut floor = Floor::new();
    let seller = floor.newcomer("seller", 4);
    let seller = floor.call_by(seller, Adapter::Http);
    assert_eq!(floor.lacks(), NoOffer::Eligible);
    floor.call_by(seller, Adapter::Agent);
    floor.call();
}

#[test]
fn how_a_provider_is_called_is_in_the_digest_only_where_it_is_told() {
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
