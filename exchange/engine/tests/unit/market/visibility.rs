//! The rule of visibility, case by case.

use super::*;

const OWNER: AccountId = AccountId::new(1);
const NAMED: AccountId = AccountId::new(2);
const OTHER: AccountId = AccountId::new(3);

/// Checks who among anybody, the owner, a named account, another account and the operator may see a thing.
fn check(seen: Visibility<'_>, admitted: [bool; 5]) {
    let accounts = [OWNER, NAMED, OTHER].map(Viewer::Account);
    let [owner, named, other] = accounts.map(|viewer| seen.admits(viewer));
    assert_eq!(
        [seen.admits(Viewer::Anybody), owner, named, other, seen.admits(Viewer::Operator)],
        admitted,
        "{seen:?}"
    );
}

#[test]
fn market_providers_and_their_open_offers_are_public() {
    check(Visibility::of_provider(ProviderKind::Market, OWNER, &[]), [true; 5]);
    check(Visibility::of_offer(ProviderKind::Market, OWNER, &[]), [true; 5]);
}

#[test]
fn a_market_provider_with_named_buyers_is_public() {
    check(Visibility::of_provider(ProviderKind::Market, OWNER, &[NAMED]), [true; 5]);
}

#[test]
fn an_offer_with_an_audience_is_seen_by_it() {
    for kind in [ProviderKind::Market, ProviderKind::Own] {
        check(Visibility::of_offer(kind, OWNER, &[NAMED]), [false, true, true, false, true]);
    }
}

#[test]
fn own_providers_are_seen_by_owner_and_named() {
    check(Visibility::of_provider(ProviderKind::Own, OWNER, &[NAMED]), [false, true, true, false, true]);
    check(Visibility::of_provider(ProviderKind::Own, OWNER, &[]), [false, true, false, false, true]);
    check(Visibility::of_offer(ProviderKind::Own, OWNER, &[]), [false, true, false, false, true]);
}
