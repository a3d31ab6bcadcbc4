//! One revision of a function: its code, what was learned of it, and the probes of providers without history.

use std::collections::BTreeMap;

use merit_terms::ProviderId;
use serde::{Deserialize, Serialize};

use crate::command::Code;
use crate::prediction::learned::Learned;

/// An immutable revision; numbers count from 1.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Revision {
    pub code: Code,
    learned: Learned,
    /// Running leases on a prior, by provider; absent: none.
    probes: BTreeMap<ProviderId, u32>,
    /// The class of providers that may run it.
    #[serde(skip)]
    class: u32,
    /// Provider and runner-up of the last call: the begin of a search, and nothing else.
    #[serde(skip)]
    served_last: [Option<ProviderId>; 2],
}

impl Revision {
    pub(super) fn new(code: &Code) -> Revision {
        Revision {
            code: code.clone(),
            learned: Learned::default(),
            probes: BTreeMap::new(),
            class: 0,
            served_last: [None; 2],
        }
    }

    pub(crate) fn learned(&self) -> &Learned {
        &self.learned
    }

    pub(crate) fn learned_mut(&mut self) -> &mut Learned {
        &mut self.learned
    }

    pub(crate) fn class(&self) -> u32 {
        self.class
    }

    pub(super) fn set_class(&mut self, class: u32) {
        self.class = class;
    }

    /// Returns whether a running lease tries a provider without history.
    pub(crate) fn is_probing(&self, provider: ProviderId) -> bool {
        self.probes.contains_key(&provider)
    }

    /// Lists the providers without history that running leases try.
    pub(crate) fn probed(&self) -> impl Iterator<Item = ProviderId> {
        self.probes.keys().copied()
    }

    pub(super) fn begin_probe(&mut self, provider: ProviderId) {
        *self.probes.entry(provider).or_default() += 1;
    }

    pub(super) fn end_probe(&mut self, provider: ProviderId) {
        if let Some(probes) = self.probes.get_mut(&provider) {
            *probes -= 1;
            if *probes == 0 {
                self.probes.remove(&provider);
            }
        }
    }

    /// Returns provider and runner-up of the last call.
    pub(crate) fn served_last(&self) -> impl Iterator<Item = ProviderId> {
        self.served_last.into_iter().flatten()
    }

    pub(crate) fn note_served(&mut self, provider: ProviderId, runner_up: Option<ProviderId>) {
        self.served_last = [Some(provider), runner_up];
    }
}
