//! Metrics by market and provider, kept together: an invocation finds them by one lookup.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use merit_terms::Outcome;
use prometheus::{Counter, CounterVec, Histogram, HistogramVec, IntCounter, IntCounterVec};

use super::{Maker, call_seconds};
use crate::door_names::Door;

/// Picodollars in a dollar.
const PICODOLLARS: f64 = 1e12;
const EXECUTED: [Outcome; 6] =
    [Outcome::Ok, Outcome::Exit, Outcome::Trap, Outcome::OutOfMemory, Outcome::Timeout, Outcome::OutputLimit];

/// The metrics with labels; each seller has its children.
struct Labelled {
    invocations: IntCounterVec,
    duration: HistogramVec,
    attempts: IntCounterVec,
    settlements: IntCounterVec,
    cost: CounterVec,
}

/// The sellers of each provider, one a market.
type SellersByProvider = HashMap<String, Vec<Arc<Seller>>>;

pub(super) struct Sellers {
    labelled: Arc<Labelled>,
    known: RwLock<SellersByProvider>,
}

/// One provider in one market; both are empty for calls that reached none.
pub(super) struct Seller {
    market: String,
    provider: String,
    labelled: Arc<Labelled>,
    doors: [OnceLock<DoorCalls>; Door::ALL.len()],
    pub(super) attempts: IntCounter,
    settlements: IntCounter,
    cost: Counter,
}

/// The calls of a seller that came by one door.
pub(super) struct DoorCalls {
    executed: [IntCounter; EXECUTED.len()],
    pub(super) refused: IntCounter,
    pub(super) failed: IntCounter,
    pub(super) duration: Histogram,
}

impl Sellers {
    pub(super) fn new(made: &Maker<'_>) -> Result<Sellers, prometheus::Error> {
        let seller = ["market", "provider"];
        let labelled = Labelled {
            invocations: made.counters(
                "merit_invocations_total",
                "Invocations by how they ended.",
                &["door", "market", "provider", "outcome"],
            )?,
            duration: made.histograms(
                "merit_invocation_duration_seconds",
                "From the whole request to the whole answer.",
                call_seconds()?,
                &["door", "market", "provider"],
            )?,
            attempts: made.counters("merit_attempts_total", "Leases with which a provider was called.", &seller)?,
            settlements: made.counters("merit_settlements_total", "Invocations that were settled.", &seller)?,
            cost: made.sums("merit_cost_usd_total", "What invocations cost, in USD.", &seller)?,
        };
        Ok(Sellers { labelled: Arc::new(labelled), known: RwLock::default() })
    }

    pub(super) fn of(&self, market: &str, provider: &str) -> Arc<Seller> {
        if let Some(seller) = find(&self.known.read().unwrap_or_else(PoisonError::into_inner), market, provider) {
            return seller;
        }
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        // Another task may have been first.
        find(&known, market, provider).unwrap_or_else(|| {
            let seller = Arc::new(Seller::new(self.labelled.clone(), market, provider));
            known.entry(provider.to_owned()).or_default().push(seller.clone());
            seller
        })
    }
}

fn find(known: &SellersByProvider, market: &str, provider: &str) -> Option<Arc<Seller>> {
    known.get(provider)?.iter().find(|seller| seller.market == market).cloned()
}

impl Seller {
    fn new(labelled: Arc<Labelled>, market: &str, provider: &str) -> Seller {
        let labels = [market, provider];
        Seller {
            doors: Default::default(),
            attempts: labelled.attempts.with_label_values(&labels),
            settlements: labelled.settlements.with_label_values(&labels),
            cost: labelled.cost.with_label_values(&labels),
            market: market.to_owned(),
            provider: provider.to_owned(),
            labelled,
        }
    }

    /// Returns the counters of a door. Its series exist once a call came by it.
    pub(super) fn calls(&self, door: Door) -> &DoorCalls {
        self.doors[door as usize].get_or_init(|| {
            let labels = [door.as_str(), &self.market, &self.provider];
            let ended = |how: &str| {
                let [door, market, provider] = labels;
                self.labelled.invocations.with_label_values(&[door, market, provider, how])
            };
            DoorCalls {
                executed: EXECUTED.map(|outcome| ended(outcome.as_str())),
                refused: ended("refused"),
                failed: ended("failed"),
                duration: self.labelled.duration.with_label_values(&labels),
            }
        })
    }

    /// Counts a settlement. `cost` is in picodollars.
    pub(super) fn settled(&self, cost: u64) {
        self.settlements.inc();
        self.cost.inc_by(cost as f64 / PICODOLLARS);
    }
}

impl DoorCalls {
    pub(super) fn executed(&self, outcome: Outcome) -> &IntCounter {
        &self.executed[outcome as usize]
    }
}

#[cfg(test)]
#[path = "../../tests/unit/metrics/sellers.rs"]
mod tests;
