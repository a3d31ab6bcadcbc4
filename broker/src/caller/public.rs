//! Functions that are public: who owns one says that anybody may call it, how often, and pays for it.
//!
//! Owns what is known of them, and counts; the exchange says which they are. One that is not public, and one that is nowhere,
//! are alike here.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use merit_proto::v1::registry_client::RegistryClient;
use merit_proto::{Transport, v1};
use tokio::sync::Semaphore;

use crate::error::ApiError;
use crate::exchange::clients::answer;
use crate::quota::rates::Limiter;

/// How old what is known of a function may be.
const KNOWN_FOR: Duration = Duration::from_secs(2);
/// Functions kept; at one more those are forgotten that are not called any more.
const FUNCTIONS_MAX: usize = 10_000;
/// How many are asked for at once, so that whoever makes names up keeps the exchange from nothing else.
const ASKED_MAX: usize = 32;
/// How long one waits to be asked for.
const ASKED_WITHIN: Duration = Duration::from_secs(1);

/// An account, and the name of a function of its.
type Named = (String, String);

/// The public functions. Clones share them.
#[derive(Clone)]
pub(crate) struct Publics {
    registry: RegistryClient<Transport>,
    known: Arc<Mutex<HashMap<Named, Known>>>,
    asks: Arc<Semaphore>,
}

#[derive(Clone)]
struct Known {
    at: Instant,
    rate: u32,
    limiter: Limiter,
}

/// A public function, by which its calls are counted.
pub(crate) struct Public(Limiter);

impl Public {
    /// Counts a call, or refuses it.
    pub(crate) fn count(&self) -> Result<(), ApiError> {
        self.0.count("the function gets")
    }
}

impl Publics {
    pub(crate) fn new(transport: Transport) -> Publics {
        Publics {
            registry: RegistryClient::new(transport),
            known: Arc::default(),
            asks: Arc::new(Semaphore::new(ASKED_MAX)),
        }
    }

    /// The function, if it is public.
    pub(crate) async fn find(&self, account: &str, function: &str) -> Result<Option<Public>, ApiError> {
        let named = (account.to_owned(), function.to_owned());
        let known = self.lock().get(&named).filter(|known| known.at.elapsed() < KNOWN_FOR).cloned();
        let limiter = match known {
            Some(known) => Some(known.limiter),
            None => {
                let rate = self.ask(&named).await?;
                self.keep(named, rate)
            }
        };
        Ok(limiter.map(Public))
    }

    async fn ask(&self, (account, name): &Named) -> Result<Option<u32>, ApiError> {
        let Ok(Ok(_permit)) = tokio::time::timeout(ASKED_WITHIN, self.asks.acquire()).await else {
            return Err(ApiError::overloaded("too many functions are looked for at present; try again shortly"));
        };
        let request = v1::GetFunctionRequest { account: account.clone(), name: name.clone() };
        match answer(self.registry.clone().get_function(request)).await {
            Ok(function) => Ok(function.settings.and_then(|settings| settings.public_per_second)),
            // It is nowhere, or no name at all.
            Err(error) if matches!(error.status.as_u16(), 400 | 404 | 422) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Goes on counting where the rate is the same. What is not public is not kept: there is no end of names.
    fn keep(&self, named: Named, rate: Option<u32>) -> Option<Limiter> {
        let mut functions = self.lock();
        let Some(rate) = rate else {
            functions.remove(&named);
            return None;
        };
        // A limiter of which nothing was asked for so long has nothing to remember.
        if functions.len() >= FUNCTIONS_MAX && !functions.contains_key(&named) {
            functions.retain(|_, known| known.at.elapsed() < KNOWN_FOR);
        }
        let limiter = match functions.get(&named) {
            Some(before) if before.rate == rate => before.limiter.clone(),
            _ => Limiter::of(Some(rate)),
        };
        functions.insert(named, Known { at: Instant::now(), rate, limiter: limiter.clone() });
        Some(limiter)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Named, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
