//! Callers: who calls, in which role, and what a caller may see and do.
//!
//! Credentials of every kind become a [`Caller`] before any door. Never knows a door.

pub(crate) mod authenticate;
mod cache;
pub(crate) mod credential;
pub(crate) mod keys;
pub(crate) mod origin;
pub(crate) mod public;
pub(crate) mod sigv4;
mod unproven;

use std::sync::Arc;

use axum::extract::FromRequestParts;
use http::request::Parts;

use crate::error::ApiError;
use credential::CredentialError;
use merit_listener::Holder;

/// The account of a call without credentials on keyless loopback.
pub(crate) const DEV: &str = "dev";

/// The account and the role behind a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Caller {
    pub(crate) account: Arc<str>,
    pub(crate) role: Role,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Client,
    Provider,
    Operator,
    /// Every role, on keyless loopback.
    All,
}

/// Set where the credentials were in `Authorization`, which is not passed on then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Consumed(pub(crate) bool);

impl Caller {
    fn dev() -> Caller {
        Caller { account: DEV.into(), role: Role::All }
    }

    /// Makes the caller of a public function: a client of the account that pays.
    pub(crate) fn on_the_bill_of(account: &str) -> Caller {
        Caller { account: account.into(), role: Role::Client }
    }

    /// Refuses callers who do not run the market.
    pub(crate) fn must_operate(&self) -> Result<(), ApiError> {
        match self.role {
            Role::Operator | Role::All => Ok(()),
            Role::Client | Role::Provider => Err(ApiError::forbidden("only an operator's key may do this")),
        }
    }

    /// Refuses callers who do not call functions.
    pub(crate) fn must_call(&self) -> Result<(), ApiError> {
        match self.role {
            Role::Provider => {
                Err(ApiError::forbidden("a provider's key calls and defines no functions; use a client's"))
            }
            Role::Client | Role::Operator | Role::All => Ok(()),
        }
    }

    /// Refuses callers who sell nothing.
    fn must_sell(&self) -> Result<(), ApiError> {
        match self.role {
            Role::Client => {
                Err(ApiError::forbidden("a client's key sells nothing; use a provider's, or an operator's"))
            }
            Role::Provider | Role::Operator | Role::All => Ok(()),
        }
    }

    /// Refuses callers who may not see the account, as if it were not there.
    pub(crate) fn must_see(&self, account: &str) -> Result<(), ApiError> {
        if self.may_see(account) {
            Ok(())
        } else {
            Err(ApiError::not_found(format!("there is no account `{account}`")))
        }
    }

    /// Returns true if the caller may see the affairs of the account.
    pub(crate) fn may_see(&self, account: &str) -> bool {
        *self.account == *account || matches!(self.role, Role::Operator | Role::All)
    }
}

/// Returns the holder of the quotas for a request: the account where a key was shown, else the peer.
pub(crate) fn holder(parts: &Parts) -> Holder {
    match parts.extensions.get::<Caller>() {
        Some(caller) if caller.role != Role::All => Holder::Account(caller.account.clone()),
        _ => Holder::peer(parts.extensions.get()),
    }
}

/// A caller who defines and calls functions.
pub(crate) struct Client(pub(crate) Caller);

/// The owner of providers, or an operator for all.
pub(crate) struct ProviderOwner(Caller);

impl ProviderOwner {
    /// Returns the account whose providers it may change; empty for all.
    pub(crate) fn account(&self) -> &str {
        if self.0.role == Role::Provider { &self.0.account } else { "" }
    }
}

/// The proof that the caller runs the market; handlers of the operator's commands take it.
pub(crate) struct Operator;

/// The reader of public data, where a caller is known.
pub(crate) struct SeenBy(Option<Caller>);

impl SeenBy {
    /// Returns the account whose own affairs are shown too; empty for nobody's.
    pub(crate) fn account(&self) -> &str {
        self.0.as_ref().map_or("", |caller| &caller.account)
    }

    pub(crate) fn may_see(&self, account: &str) -> bool {
        self.0.as_ref().is_some_and(|caller| caller.may_see(account))
    }

    /// Returns true if it runs the market, and sees everything.
    pub(crate) fn is_operator(&self) -> bool {
        self.0.as_ref().is_some_and(|caller| caller.must_operate().is_ok())
    }
}

impl<S: Sync> FromRequestParts<S> for SeenBy {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<SeenBy, Self::Rejection> {
        Ok(SeenBy(parts.extensions.get::<Caller>().cloned()))
    }
}

impl<S: Sync> FromRequestParts<S> for Client {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Client, ApiError> {
        let caller = Caller::from_request_parts(parts, state).await?;
        caller.must_call()?;
        Ok(Client(caller))
    }
}

impl<S: Sync> FromRequestParts<S> for ProviderOwner {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<ProviderOwner, ApiError> {
        let caller = Caller::from_request_parts(parts, state).await?;
        caller.must_sell()?;
        Ok(ProviderOwner(caller))
    }
}

impl<S: Sync> FromRequestParts<S> for Operator {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Operator, ApiError> {
        Caller::from_request_parts(parts, state).await?.must_operate()?;
        Ok(Operator)
    }
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Caller, ApiError> {
        parts.extensions.get::<Caller>().cloned().ok_or_else(|| CredentialError::Missing.into())
    }
}
