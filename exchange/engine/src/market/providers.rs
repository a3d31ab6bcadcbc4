//! One provider: its definition, its session, the operator's limits, and the counters of its protection.
//!
//! Its offers, pools, quotas and health are in `supply`.

use std::collections::{BTreeMap, VecDeque};

use merit_terms::{
    AccountId, Adapter, Money, Name, Protection, Refusal, TARGETS_MAX, TargetPattern, Time, is_at_endpoint,
};
use serde::{Deserialize, Serialize};

use super::invalid;
use crate::command::{Logon, ProviderKind, ProviderLimits, RegisterProvider};
use crate::prediction::estimate::Ratio;

/// Maximum leases that a protection counts.
const PROTECTION_LEASES_MAX: u32 = 1_000;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Provider {
    pub name: Name,
    pub account: AccountId,
    pub kind: ProviderKind,
    pub labels: BTreeMap<String, String>,
    /// The number of its last session; 0 before the first.
    pub session: u32,
    pub online: bool,
    pub endpoint: String,
    pub adapter: Adapter,
    /// True if the operator vouches for the endpoint.
    pub endpoint_trusted: bool,
    /// Number of the last quote of the session.
    last_quote: u64,
    /// Its durations against the median of the others, over all functions.
    general_ratio: Ratio,
    pub limits: ProviderLimits,
    /// The operator's reason for stopping it; none: it is not stopped.
    pub killed: Option<String>,
    pub protection: Option<Protection>,
    /// Times of its leases, as far back as its protection looks.
    leased_at: VecDeque<Time>,
    /// Worst cases of its open leases, in picodollars.
    pub exposure: u128,
    /// Quotes taken in a second since 1970.
    quoted: (u64, u32),
    /// Its owner's patterns of targets that are not at its endpoint.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub targets: Vec<TargetPattern>,
}

impl Provider {
    pub(super) fn new(command: &RegisterProvider) -> Provider {
        Provider {
            name: command.name.clone(),
            account: command.account,
            kind: command.kind,
            labels: command.labels.clone(),
            session: 0,
            online: false,
            endpoint: String::new(),
            adapter: Adapter::default(),
            endpoint_trusted: false,
            last_quote: 0,
            general_ratio: Ratio::default(),
            limits: ProviderLimits::default(),
            killed: None,
            protection: None,
            leased_at: VecDeque::new(),
            exposure: 0,
            quoted: (0, 0),
            targets: Vec::new(),
        }
    }

    /// Begins its next session.
    pub(super) fn begin_session(&mut self, logon: &Logon) {
        self.session += 1;
        self.online = true;
        self.last_quote = 0;
        self.endpoint.clone_from(&logon.endpoint);
        self.protection = logon.protection;
        self.endpoint_trusted = logon.endpoint_trusted;
        self.adapter = logon.adapter;
        if let Some(targets) = &logon.targets {
            self.targets.clone_from(targets);
        }
    }

    /// Returns whether a deployment's target is at its endpoint, or where its owner allows it.
    pub fn allows_target(&self, target: &str) -> bool {
        is_at_endpoint(&self.endpoint, target) || self.targets.iter().any(|pattern| pattern.matches(target))
    }

    /// Ends its session. Returns the session's number.
    pub(crate) fn end_session(&mut self) -> u32 {
        self.online = false;
        self.session
    }

    pub(crate) fn set_limits(&mut self, limits: ProviderLimits) {
        self.limits = limits;
    }

    pub(crate) fn kill(&mut self, reason: &str) {
        self.killed = Some(reason.to_owned());
    }

    pub(crate) fn revive(&mut self) {
        self.killed = None;
    }

    /// Refuses a quote that repeats an earlier one.
    pub(crate) fn check_number(&self, quote: u64) -> Result<(), Refusal> {
        if quote <= self.last_quote {
            return Err(Refusal::StaleQuote { last: self.last_quote });
        }
        Ok(())
    }

    /// Refuses a quote beyond the operator's limit in this second.
    pub(crate) fn check_rate(&self, at: Time) -> Result<(), Refusal> {
        let quoted = self.quoted_in(second(at));
        match self.limits.quotes_per_second.filter(|most| quoted >= *most) {
            Some(most) => Err(Refusal::OverLimit { limit: "quotes a second", most: most.into() }),
            None => Ok(()),
        }
    }

    /// Counts a quote that was taken.
    pub(crate) fn count_quote(&mut self, quote: u64, at: Time) {
        let second = second(at);
        self.quoted = (second, self.quoted_in(second) + 1);
        self.last_quote = quote;
    }

    fn quoted_in(&self, second: u64) -> u32 {
        if self.quoted.0 == second { self.quoted.1 } else { 0 }
    }

    /// Returns whether one more lease of this worst case is within the operator's limit.
    pub(crate) fn may_be_exposed_to(&self, worst: Money) -> bool {
        let exposure = self.exposure + u128::from(worst.picodollars());
        self.limits.exposure.is_none_or(|most| exposure <= u128::from(most.picodollars()))
    }

    /// Returns whether the operator limits its exposure, and it is within that limit.
    pub(crate) fn is_within_exposure(&self) -> bool {
        self.limits.exposure.is_some_and(|most| self.exposure <= u128::from(most.picodollars()))
    }

    /// Counts the worst case of a lease.
    pub(crate) fn expose(&mut self, worst: Money) {
        self.exposure += u128::from(worst.picodollars());
    }

    /// Gives up a worst case that [`Provider::expose`] counted.
    pub(crate) fn unexpose(&mut self, worst: Money) {
        self.exposure -= u128::from(worst.picodollars());
    }

    /// Counts a lease for its protection. Returns whether it reaches the limit, and begins to count anew then.
    pub(crate) fn trips_protection(&mut self, at: Time) -> bool {
        let Some(protection) = self.protection else { return false };
        self.leased_at.push_back(at);
        while self.leased_at.front().is_some_and(|then| then.after_millis(protection.within_ms.into()) <= at) {
            self.leased_at.pop_front();
        }
        let trips = self.leased_at.len() >= protection.leases as usize;
        if trips {
            self.leased_at.clear();
        }
        trips
    }

    pub(crate) fn general_ratio(&self) -> Ratio {
        self.general_ratio
    }

    /// Moves its general ratio towards the one seen. Returns the ratio after it.
    pub(crate) fn compare(&mut self, seen: Ratio) -> Ratio {
        self.general_ratio = self.general_ratio.moved_towards(seen);
        self.general_ratio
    }
}

fn second(at: Time) -> u64 {
    at.micros() / 1_000_000
}

/// Refuses too many patterns of targets.
pub(crate) fn check_targets(targets: &[TargetPattern]) -> Result<(), Refusal> {
    match targets.len() {
        0..=TARGETS_MAX => Ok(()),
        count => Err(invalid("targets", format!("{count} patterns; at most {TARGETS_MAX}"))),
    }
}

/// Refuses a protection out of bounds.
pub(crate) fn check_protection(protection: Option<Protection>) -> Result<(), Refusal> {
    match protection {
        Some(Protection { leases, within_ms }) if !(1..=PROTECTION_LEASES_MAX).contains(&leases) || within_ms == 0 => {
            let message =
                format!("{leases} leases within {within_ms} ms; 1 to {PROTECTION_LEASES_MAX}, within 1 ms or more");
            Err(invalid("protection", message))
        }
        _ => Ok(()),
    }
}
