//! Rate limits: the calls a second of an account, as the operator set them. Each broker counts for itself.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use governor::clock::Clock;
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};

use crate::error::{ApiError, ErrorCode};
use crate::exchange::clients::Exchange;

/// Age at which the cached rate of an account is asked for anew.
const KNOWN_FOR: Duration = Duration::from_secs(2);
/// Accounts in the cache; at one more it is cleared.
const ACCOUNTS_MAX: usize = 10_000;

/// Time for which one caller asks the exchange before another does.
const ASKED_WITHIN: Duration = Duration::from_secs(10);

/// A counter of calls.
#[derive(Clone)]
pub(crate) enum Limiter {
    Unlimited,
    /// Its rate is 0.
    Closed,
    Limited(Arc<DefaultDirectRateLimiter>),
}

/// The rates of accounts. Clones share them.
#[derive(Clone)]
pub(crate) struct Rates {
    exchange: Exchange,
    cache: Arc<Mutex<HashMap<Arc<str>, CachedRate>>>,
}

#[derive(Clone)]
struct CachedRate {
    at: Instant,
    rate: Option<u32>,
    limiter: Limiter,
    /// Set while a caller asks for it anew.
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

    /// Counts a call. Refuses it above the rate; `what` begins the sentence about it.
    pub(crate) fn count(&self, what: &str) -> Result<(), ApiError> {
        let limited = |wait| {
            let message = format!("{what} more calls a second than its limit");
            ApiError::new(ErrorCode::RateLimited, message).retry_after(wait)
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
    pub(crate) fn new(exchange: Exchange) -> Rates {
        Rates { exchange, cache: Arc::default() }
    }

    /// Counts a call of the account. Refuses it above the rate.
    pub(crate) async fn count(&self, account: &Arc<str>) -> Result<(), ApiError> {
        let limiter = match self.cached(account) {
            Some(limiter) => limiter,
            None => self.ask(account).await?,
        };
        limiter.count("the account makes")
    }

    /// Returns the cached limiter. Once it is old, one caller gets none and asks anew; the others go on with it.
    fn cached(&self, account: &str) -> Option<Limiter> {
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
        let asked = self.exchange.account_rate(account).await;
        let mut accounts = self.lock();
        let rate = match asked {
            Ok(rate) => rate,
            Err(error) => {
                // The cached rate holds until the exchange answers again.
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
        accounts.insert(
            account.clone(),
            CachedRate { at: Instant::now(), rate, limiter: limiter.clone(), is_asked: false },
        );
        Ok(limiter)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Arc<str>, CachedRate>> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
#[path = "../../tests/unit/quota/rates.rs"]
pub(crate) mod tests;
