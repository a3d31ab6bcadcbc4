//! Chains of calls by cases.

use super::*;

fn key(byte: u8) -> ViaKey {
    ViaKey::new([byte; 32])
}

/// Returns the chain after so many calls of an account.
fn after(key: &ViaKey, account: &str, calls: u32) -> String {
    let next = |before: Option<String>, _| key.next(before.as_deref(), account).ok();
    (0..calls).fold(None, next).unwrap()
}

#[test]
fn a_ninth_call_of_an_account_is_refused() {
    let chain = after(&key(1), "dev", 8);
    let refused = key(1).next(Some(&chain), "dev").unwrap_err();
    assert_eq!((refused.code.as_str(), refused.status().as_u16()), ("calls_itself", 508));
    assert!(refused.message.contains("8 calls of this account"), "{}", refused.message);
    assert!(key(1).next(Some(&chain), "other").is_ok(), "each account counts for itself");
}

#[test]
fn a_chain_names_no_account() {
    let chain = after(&key(1), "secret-name", 2);
    assert!(!chain.contains("secret"), "{chain}");
    assert_ne!(chain, after(&key(2), "secret-name", 2));
}

#[test]
fn a_chain_of_many_accounts_ends() {
    let mut chain = None;
    for account in 0..8 {
        chain = Some(key(1).next(chain.as_deref(), &format!("account-{account}")).unwrap());
    }
    let refused = key(1).next(chain.as_deref(), "another").unwrap_err();
    assert!(refused.message.contains("calls of 8 accounts"), "{}", refused.message);
}

#[test]
fn a_chain_that_no_broker_signed_counts_as_none() {
    let whole = after(&key(1), "dev", 8);
    let forged = whole.replacen("=8", "=1", 1);
    for bad in [forged.as_str(), "", ";", "x=1;00", &whole[..whole.len() - 1], &after(&key(2), "dev", 8)] {
        assert_eq!(key(1).next(Some(bad), "dev").unwrap(), after(&key(1), "dev", 1), "{bad}");
    }
}
