//! The exchange's order to load a revision's module before a call comes: its terms, and a MAC by a key that only the
//! exchange has. A provider shows it to read the module and the environment.
//!
//! Never says whether the session of the order is still on.

use prost::Message;

use crate::token::{TokenError, check, tag};
use crate::v1::{WarmingOrder, WarmingTerms};

/// Makes the order of `terms` under `key`.
pub fn order_warming(key: &[u8; 32], terms: &WarmingTerms) -> WarmingOrder {
    let terms = terms.encode_to_vec();
    let mac = tag(key, &terms).to_vec();
    WarmingOrder { terms, mac }
}

/// Checks in constant time that `key` made the order. Returns its terms.
pub fn check_order(key: &[u8; 32], order: &WarmingOrder) -> Result<WarmingTerms, TokenError> {
    check(key, &order.terms, &order.mac)?;
    WarmingTerms::decode(order.terms.as_slice()).map_err(|_| TokenError::Malformed)
}
