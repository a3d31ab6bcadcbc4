//! How many calls a second an account may make, as the operator set it; counted here, in each broker.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use governor::clock::Clock;
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use http::StatusCode;
use merit_proto::v1::registry_client::RegistryClient;
use merit_proto::{Transport, v1};

use crate::error::ApiError;
use crate::exchange::clients::answer;

/// How old what is known of an account's rate may be.
const KNOWN_FOR: Duration = Duration::from_secs(2);
/// Accounts kept; at one more all are forgotten.
const ACCOUNTS_MAX: usize = 10_000;

/// What counts calls.
#[derive(Clone)]
pub(crate) enum Limiter {
    Unlimited,
    /// Its rate is 0.
    Closed,
    Limited(Arc<DefaultDirectRateLimiter>),
}

/// How long one asks before another does.
const ASKED_WITHIN: Duration = Duration::from_secs(10);

/// The rates of accounts. Clones share them.
#[derive(Clone)]
pub(crate) struct Rates {
    registry: RegistryClient<Transport>,
    known: Arc<Mutex<HashMap<Arc<str>, Known>>>,
}

#[derive(Clone)]
struct Known {
    at: Instant,
    rate: Option<u32>,
    limiter: Limiter,
    /// Whether somebody asks for it anew.
    is_asked: bool,
}

impl Limiter {
    pub(crate) fn of(rate: Option<u32>) -> Limiter {
        match rate.map(NonZeroU32::new) {
            None => Limiter::Unlimited,
            Some(None) => Limiter::Closed,
            Some(Some(rate)) => Limiter::Limited(Arc::new(RateLimiter::direct(Quota::per_second(rate)))),
        }
    }

    /// Counts a call, or refuses it: `what` makes more than it may.
    pub(crate) fn count(&self, what: &str) -> Result<(), ApiError> {
        let limited = |wait| {
            let message = format!("{what} more calls a second than its limit");
            ApiError::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited", message).retry_after(wait)
        };
        match self {
            Limiter::Unlimited => Ok(()),
            Limiter::Closed => Err(limited(Duration::from_secs(60))),
            Limiter::Limited(limiter) => limiter
                .check()
                .map_err(|early| limited(early.wait_time_from(governor::clock::DefaultClock::default().now()))),
        }
    }
}

impl Rates {
    pub(crate) fn new(transport: Transport) -> Rates {
        Rates { registry: RegistryClient::new(transport), known: Arc::default() }
    }

    /// Takes it for known that an account has no limit.
    #[cfg(test)]
    pub(crate) fn know_unlimited(&self, account: &str) {
        let known = Known { at: Instant::now(), rate: None, limiter: Limiter::Unlimited, is_asked: false };
        self.lock().insert(account.into(), known);
    }

    /// Counts a call of the account, or refuses it.
    pub(crate) async fn count(&self, account: &Arc<str>) -> Result<(), ApiError> {
        let limiter = match self.known(account) {
            Some(limiter) => limiter,
            None => self.ask(account).await?,
        };
        limiter.count("the account makes")
    }

    /// What is known, if anything; one caller asks anew when it is old, the others go on with it.
    fn known(&self, account: &str) -> Option<Limiter> {
        let mut accounts = self.lock();
        let known = accounts.get_mut(account)?;
        let age = known.at.elapsed();
        if age > KNOWN_FOR && (!known.is_asked || age > ASKED_WITHIN) {
            known.is_asked = true;
            return None;
        }
        Some(known.limiter.clone())
    }

    async fn ask(&self, account: &Arc<str>) -> Result<Limiter, ApiError> {
        let asked = answer(self.registry.clone().get_account(v1::GetAccountRequest { id: account.to_string() })).await;
        let mut accounts = self.lock();
        let rate = match asked {
            Ok(found) => found.limits.and_then(|limits| limits.rate_per_second),
            Err(error) => {
                // What was known counts until the exchange answers again.
                let before = accounts.get_mut(account).ok_or(error)?;
                before.is_asked = false;
                return Ok(before.limiter.clone());
            }
        };
        if accounts.len() >= ACCOUNTS_MAX {
            accounts.clear();
        }
        let limiter = match accounts.get(account) {
            Some(before) if before.rate == rate => before.limiter.clone(),
            _ => Limiter::of(rate),
        };
        accounts.insert(account.clone(), Known { at: Instant::now(), rate, limiter: limiter.clone(), is_asked: false });
        Ok(limiter)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Arc<str>, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
