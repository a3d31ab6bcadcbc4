//! The chain of calls that led to an invocation, by which a function that calls itself comes to an end.
//!
//! It travels in `Merit-Via` of a dispatched request, signed by a key that the brokers of a market share. An account is
//! a tag in it, so that no other account learns its name. A chain that is not signed counts as none.

use std::fmt::Write as _;

use hmac::{Hmac, KeyInit, Mac};
use http::HeaderMap;
use merit_adapters::VIA;
use merit_terms::Execution;
use sha2::Sha256;
use subtle::ConstantTimeEq;

use crate::error::{ApiError, ErrorCode};

/// Maximum calls of one account in a chain.
const CALLS_MAX: u32 = 8;
/// Maximum accounts in a chain.
const ACCOUNTS_MAX: usize = 8;

const OF_THIS_ACCOUNT: &str = "this chain of calls already has 8 calls of this account, the maximum; \
    does the function call itself, or is its target a door of this market?";
const OF_OTHERS: &str =
    "this chain of calls already has calls of 8 accounts, the maximum; do functions call each other?";

/// The key that signs chains.
#[derive(Clone)]
pub(crate) struct ViaKey([u8; 32]);

/// The calls before, by account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Chain(Vec<(u64, u32)>);

impl ViaKey {
    pub(crate) fn new(key: [u8; 32]) -> ViaKey {
        ViaKey(key)
    }

    /// Returns the chain for the calls that an account's call leads to, as the text of a header. Refuses a call that
    /// would be one too many of its account.
    pub(super) fn next(&self, before: Option<&str>, account: &str) -> Result<String, ApiError> {
        let mut chain = before.and_then(|text| self.read(text)).unwrap_or_default();
        let (tag, is_full) = (self.tag(account), chain.0.len() >= ACCOUNTS_MAX);
        match chain.0.iter_mut().find(|(known, _)| *known == tag) {
            Some((_, calls)) if *calls >= CALLS_MAX => return Err(too_deep(OF_THIS_ACCOUNT)),
            Some((_, calls)) => *calls += 1,
            None if is_full => return Err(too_deep(OF_OTHERS)),
            None => chain.0.push((tag, 1)),
        }
        Ok(self.write(&chain))
    }

    fn tag(&self, account: &str) -> u64 {
        let tag = self.mac(&[b"account\0", account.as_bytes()]);
        u64::from_be_bytes([tag[0], tag[1], tag[2], tag[3], tag[4], tag[5], tag[6], tag[7]])
    }

    fn write(&self, Chain(calls): &Chain) -> String {
        let mut text = String::new();
        for (tag, calls) in calls {
            // Writing to a text does not fail.
            write!(text, "{tag:016x}={calls},").ok();
        }
        text.pop();
        let mac = self.mac(&[b"chain\0", text.as_bytes()]);
        text.push(';');
        for byte in &mac[..16] {
            write!(text, "{byte:02x}").ok();
        }
        text
    }

    /// Reads a chain that a broker signed.
    fn read(&self, text: &str) -> Option<Chain> {
        let (calls, _) = text.split_once(';')?;
        let read = |one: &str| {
            let (tag, calls) = one.split_once('=')?;
            Some((u64::from_str_radix(tag, 16).ok()?, calls.parse().ok()?))
        };
        let chain = Chain(calls.split(',').take(ACCOUNTS_MAX).map(read).collect::<Option<_>>()?);
        let signed = self.write(&chain);
        bool::from(signed.as_bytes().ct_eq(text.as_bytes())).then_some(chain)
    }

    fn mac(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut block = hmac::digest::Key::<Hmac<Sha256>>::default();
        block[..32].copy_from_slice(&self.0);
        let mut mac = Hmac::<Sha256>::new(&block);
        parts.iter().for_each(|part| mac.update(part));
        mac.finalize().into_bytes().into()
    }
}

/// Returns the chain that a request shows.
pub(crate) fn shown(headers: &HeaderMap) -> Option<String> {
    headers.get(VIA).and_then(|chain| chain.to_str().ok()).map(str::to_owned)
}

fn too_deep(message: &str) -> ApiError {
    ApiError::new(ErrorCode::CallsItself, message).after(Execution::NotSent)
}

#[cfg(test)]
#[path = "../../tests/unit/invocation/via.rs"]
mod tests;
