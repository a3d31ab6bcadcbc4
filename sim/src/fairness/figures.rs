//! The figures of a strategy: shares, money and losses, computed from the fates of its calls. Never runs a call.

use serde::Serialize;

use crate::fairness::fates::{Fate, Fates};

/// Calls in a row elsewhere after which a seller is behind.
const BEHIND_AFTER: usize = 20;
/// Calls in a row that are looked at for an honest share, and those of them that a seller must win.
const BACK_OF: usize = 20;
const BACK_WON: usize = 18;
/// Most that a strategy may earn, in percent of what its honest self earns.
const EARNED_MOST_PERCENT: f64 = 105.0;
/// Most calls that a strategy may cost the buyer.
const LOST_MOST: usize = 10;

/// One row: a strategy and what came of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FairnessRow {
    pub strategy: &'static str,
    /// Share of the calls that came to it, in percent.
    pub won_percent: f64,
    /// Paid to it, in percent of what its honest self is paid.
    pub earned_percent: f64,
    /// Paid by the buyer for each answered call, in percent of the honest market. None without an answer.
    pub paid_percent: Option<f64>,
    /// Calls that failed for the caller.
    pub failed: usize,
    /// Mean time of the answered calls, in milliseconds.
    pub waited_ms: f64,
    /// Calls that it got before 20 calls in a row went elsewhere. None: that never came.
    pub behind_after: Option<usize>,
    /// Calls that it gave no answer, or one that was dearer than at the dearest honest seller.
    pub lost: usize,
    /// Number of lost calls that came to it after the first of them had ended.
    pub lost_later: usize,
    /// Its return, if it becomes honest.
    pub back: Option<FairnessReturn>,
    /// True if it earns no more than 5 % above its honest self.
    pub earns_no_more: bool,
    /// True if it costs the buyer at most 10 calls.
    pub found_in_time: bool,
}

/// The return of a seller that became honest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct FairnessReturn {
    /// Seconds until it won 18 of 20 calls. None: it did not within the time.
    pub seconds: Option<u64>,
    /// Calls that it got until then.
    pub calls: usize,
}

/// Computes a row, given the fates of the honest seller.
pub(crate) fn row(strategy: &'static str, fates: &Fates, honest: &Fates, reforms: bool) -> FairnessRow {
    let calls = &fates.calls;
    let earned_percent = percent(fates.earned as f64, honest.earned as f64);
    let lost: Vec<(u64, u64)> = calls.iter().filter_map(|fate| fate.lost_us).collect();
    let known_us = lost.iter().map(|(_, ended_us)| *ended_us).min().unwrap_or(u64::MAX);
    FairnessRow {
        strategy,
        won_percent: percent(calls.iter().filter(|fate| fate.is_won).count() as f64, calls.len() as f64),
        earned_percent,
        paid_percent: paid_each(fates).zip(paid_each(honest)).map(|(paid, honest)| percent(paid, honest)),
        failed: calls.len() - answered(calls),
        waited_ms: waited_ms(calls),
        behind_after: behind_after(calls),
        lost: lost.len(),
        lost_later: lost.iter().filter(|(began_us, _)| *began_us >= known_us).count(),
        back: reforms.then(|| back(fates)),
        earns_no_more: earned_percent <= EARNED_MOST_PERCENT,
        found_in_time: lost.len() <= LOST_MOST,
    }
}

/// Returns a percentage to one decimal place.
fn percent(part: f64, whole: f64) -> f64 {
    (part / whole * 1000.0).round() / 10.0
}

fn answered(calls: &[Fate]) -> usize {
    calls.iter().filter(|fate| fate.is_answered).count()
}

fn paid_each(fates: &Fates) -> Option<f64> {
    let answered = answered(&fates.calls);
    (answered > 0).then(|| fates.paid as f64 / answered as f64)
}

fn waited_ms(calls: &[Fate]) -> f64 {
    let sum_us: u64 = calls.iter().filter(|fate| fate.is_answered).map(|fate| fate.waited_us).sum();
    (sum_us as f64 / 1000.0 / answered(calls).max(1) as f64).round()
}

/// Counts the calls that the seller got before it was behind.
fn behind_after(calls: &[Fate]) -> Option<usize> {
    let mut elsewhere = 0;
    for (i, fate) in calls.iter().enumerate() {
        elsewhere = if fate.is_won { 0 } else { elsewhere + 1 };
        if elsewhere == BEHIND_AFTER {
            return Some(calls[..=i].iter().filter(|fate| fate.is_won).count());
        }
    }
    None
}

/// Looks for the first calls in a row of which the seller won its honest share again.
fn back(fates: &Fates) -> FairnessReturn {
    let later = &fates.later;
    let won = |calls: &[Fate]| calls.iter().filter(|fate| fate.is_won).count();
    let first = later.windows(BACK_OF).position(|calls| won(calls) >= BACK_WON);
    let last = first.map(|first| &later[first + BACK_OF - 1]);
    FairnessReturn {
        seconds: last.map(|fate| (fate.at_us - fates.honest_from_us) / 1_000_000),
        calls: first.map_or(won(later), |first| won(&later[..first + BACK_OF])),
    }
}
