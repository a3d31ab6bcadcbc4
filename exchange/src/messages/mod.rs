//! The engine's values as messages of the protocol and back, for journal records and services.
//!
//! Owns no rule: a message that no value can have is refused with the name of its field.

mod account;
mod bid;
mod field;
mod function;
mod lease;
mod market;
mod provider;

pub(crate) use account::{account_limits_from_proto, account_limits_to_proto};
pub(crate) use bid::{
    at_deadline_from_proto, at_deadline_to_proto, qualifier_from_proto, qualifier_to_proto, request_from_proto,
    request_to_proto,
};
pub(crate) use field::{money, parse};
pub(crate) use function::{
    canary_from_proto, canary_to_proto, code_from_proto, code_to_proto, digest_from_proto, settings_from_proto,
    settings_to_proto,
};
pub(crate) use lease::{lease_terms_from_proto, lease_terms_to_proto};
pub(crate) use market::{market_terms_from_proto, market_terms_to_proto};
pub(crate) use provider::{
    adapter_from_proto, kind_from_proto, kind_to_proto, provider_limits_from_proto, provider_limits_to_proto,
    targets_from_proto, targets_to_proto,
};
