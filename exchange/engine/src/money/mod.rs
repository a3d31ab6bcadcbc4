//! Money: accounts in double entry, and spending by day and month.
//!
//! Never decides whether an amount may move, and knows no offers and no leases.

pub(crate) mod ledger;
pub(crate) mod spending;
