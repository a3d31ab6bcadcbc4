//! A cache that tests fill: no exchange runs behind them.

use super::*;

/// Caches that an account has no limit.
pub(crate) fn cache_unlimited(rates: &Rates, account: &str) {
    let cached = CachedRate { at: Instant::now(), rate: None, limiter: Limiter::Unlimited, is_asked: false };
    rates.lock().insert(account.into(), cached);
}
