//! Visibility: the one rule that says who may see a provider, an offer or a trade.
//!
//! A market provider is public, and so are its offers without an audience. Everything else is private: an own provider
//! and its offers, and an offer with an audience. What is private is seen by its owner, by the accounts that the offer
//! names, and by the operator. A trade is as public as the offer that it was matched with; a private one is its buyer's
//! and its seller's. Markets are public. Never decides who may buy: that is `matching`.

use merit_terms::AccountId;

use crate::command::ProviderKind;

/// A reader of the market.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Viewer {
    /// A reader without an account, and every reader of public market data.
    Anybody,
    Account(AccountId),
    Operator,
}

/// The readers that may see a thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Visibility<'a> {
    Public,
    Private { owner: AccountId, named: &'a [AccountId] },
}

impl Visibility<'_> {
    /// Returns who may see a provider. `named`: the audience of its live offers.
    pub fn of_provider(kind: ProviderKind, owner: AccountId, named: &[AccountId]) -> Visibility<'_> {
        match kind {
            ProviderKind::Market => Visibility::Public,
            ProviderKind::Own => Visibility::Private { owner, named },
        }
    }

    /// Returns who may see an offer of a provider.
    pub fn of_offer(kind: ProviderKind, owner: AccountId, audience: &[AccountId]) -> Visibility<'_> {
        if offer_is_public(kind, audience) {
            Visibility::Public
        } else {
            Visibility::Private { owner, named: audience }
        }
    }

    /// Returns whether the viewer may see it.
    pub fn admits(&self, viewer: Viewer) -> bool {
        match (self, viewer) {
            (Visibility::Public, _) | (_, Viewer::Operator) => true,
            (Visibility::Private { .. }, Viewer::Anybody) => false,
            (Visibility::Private { owner, named }, Viewer::Account(account)) => {
                *owner == account || named.contains(&account)
            }
        }
    }
}

/// Returns whether everybody may see an offer: it may be in public market data.
pub(crate) fn offer_is_public(kind: ProviderKind, audience: &[AccountId]) -> bool {
    kind == ProviderKind::Market && audience.is_empty()
}

#[cfg(test)]
#[path = "../../tests/unit/market/visibility.rs"]
mod tests;
