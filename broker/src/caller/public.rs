//! Public functions: anybody may call them, as often as their owner allows, on the bill of the owner.
//!
//! Owns the cache and the rate limits of such functions; the exchange knows them. A function that is not public looks
//! exactly like one that does not exist.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;

use crate::error::ApiError;
use crate::exchange::clients::Exchange;
use crate::quota::rates::Limiter;

/// Time to live of a cached function.
const KNOWN_FOR: Duration = Duration::from_secs(2);
/// Functions in the cache; at one more the expired ones are dropped.
const FUNCTIONS_MAX: usize = 10_000;
/// Lookups at the exchange at once, so that made-up names do not load it.
const ASKED_MAX: usize = 32;
/// Time that a lookup waits for its turn.
const ASKED_WITHIN: Duration = Duration::from_secs(1);

/// Account and name of a function.
type OwnedName = (String, String);

/// The public functions. Clones share the cache.
#[derive(Clone)]
pub(crate) struct Publics {
    exchange: Exchange,
    cache: Arc<Mutex<HashMap<OwnedName, CachedPublic>>>,
    asks: Arc<Semaphore>,
}

#[derive(Clone)]
struct CachedPublic {
    at: Instant,
    rate: u32,
    limiter: Limiter,
}

/// A public function and the counter of its calls.
pub(crate) struct PublicFunction(Limiter);

impl PublicFunction {
    /// Counts a call. Refuses it above the rate.
    pub(crate) fn count(&self) -> Result<(), ApiError> {
        self.0.count("the function gets")
    }
}

impl Publics {
    pub(crate) fn new(exchange: Exchange) -> Publics {
        Publics { exchange, cache: Arc::default(), asks: Arc::new(Semaphore::new(ASKED_MAX)) }
    }

    /// Returns the function if it is public.
    pub(crate) async fn find(&self, account: &str, function: &str) -> Result<Option<PublicFunction>, ApiError> {
        let named = (account.to_owned(), function.to_owned());
        let known = self.lock().get(&named).filter(|known| known.at.elapsed() < KNOWN_FOR).cloned();
        let limiter = match known {
            Some(known) => Some(known.limiter),
            None => {
                let rate = self.ask(&named).await?;
                self.keep(named, rate)
            }
        };
        Ok(limiter.map(PublicFunction))
    }

    async fn ask(&self, (account, name): &OwnedName) -> Result<Option<u32>, ApiError> {
        let Ok(Ok(_permit)) = tokio::time::timeout(ASKED_WITHIN, self.asks.acquire()).await else {
            return Err(ApiError::overloaded("too many functions are looked for at present; try again shortly"));
        };
        self.exchange.public_rate(account, name).await
    }

    /// Caches a function. Its counter goes on where the rate is the same. A function that is not public is not cached:
    /// there is no end of names.
    fn keep(&self, named: OwnedName, rate: Option<u32>) -> Option<Limiter> {
        let mut functions = self.lock();
        let Some(rate) = rate else {
            functions.remove(&named);
            return None;
        };
        // An expired limiter is full again and can be dropped.
        if functions.len() >= FUNCTIONS_MAX && !functions.contains_key(&named) {
            functions.retain(|_, known| known.at.elapsed() < KNOWN_FOR);
        }
        let limiter = match functions.get(&named) {
            Some(before) if before.rate == rate => before.limiter.clone(),
            _ => Limiter::of(Some(rate)),
        };
        functions.insert(named, CachedPublic { at: Instant::now(), rate, limiter: limiter.clone() });
        Some(limiter)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<OwnedName, CachedPublic>> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
