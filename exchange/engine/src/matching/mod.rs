//! Matching: the merit order of the offers that may serve a bid.
//!
//! Filters first (`eligibility`), then ranks by the predicted cost of this call. `search` finds the best two without
//! looking at every offer; `merit_order` ranks them all for a quote. Changes nothing: `leases` takes the match.

mod eligibility;
pub(crate) mod merit_order;
pub(crate) mod resolved;
mod search;
