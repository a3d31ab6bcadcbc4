//! Which providers may run a revision: one set for all revisions that ask for the same.
//!
//! Owns the sets and keeps them up when providers register or get labels. Everything in it can be computed from the
//! registry.

use std::collections::HashMap;

use merit_terms::{AccountId, Limits, Name};

use crate::collections::bits::Bits;
use crate::command::{Adapter, Audience, Code, FunctionSettings};
use crate::market::Provider;

/// What decides who may run a revision, apart from what changes with time.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Terms {
    account: AccountId,
    audience: Option<Vec<Name>>,
    own: bool,
    only: Vec<Name>,
    ignore: Vec<Name>,
    labels: Vec<(String, String)>,
    deployments: Vec<Name>,
}

/// The providers that may run a revision.
#[derive(Clone, Debug)]
pub(crate) struct Class {
    terms: Terms,
    /// Revisions of it.
    members: u32,
    /// Where a module is enough, or the revision is deployed by name.
    pub(crate) allowed: Bits,
    /// Where the revision is deployed by name.
    pub(crate) deployed: Bits,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Classes {
    pub(crate) all: Vec<Class>,
    /// Classes without revisions, to be used again.
    vacant: Vec<u32>,
    by_terms: HashMap<Terms, u32>,
    by_label: HashMap<(String, String), Bits>,
}

impl Terms {
    fn of(account: AccountId, code: &Code, settings: &FunctionSettings) -> Terms {
        let Limits { only, ignore, labels, .. } = &settings.limits;
        Terms {
            account,
            audience: match &settings.audience {
                Audience::Listed(names) => Some(names.clone()),
                Audience::Own | Audience::Any => None,
            },
            own: settings.audience == Audience::Own,
            only: only.clone(),
            ignore: ignore.clone(),
            labels: labels.clone(),
            deployments: code.deployments.keys().cloned().collect(),
        }
    }

    fn allow(&self, provider: &Provider) -> bool {
        let audience = self.audience.as_ref().is_none_or(|names| names.contains(&provider.name));
        let own = !self.own || provider.account == self.account;
        let named = self.only.is_empty() || self.only.contains(&provider.name);
        let labels = self.labels.iter().all(|(name, value)| provider.labels.get(name) == Some(value));
        audience && own && named && labels && !self.ignore.contains(&provider.name)
    }
}

impl Class {
    fn admit(&mut self, index: usize, provider: &Provider) {
        let allowed = self.terms.allow(provider);
        let deployed = self.terms.deployments.contains(&provider.name);
        self.allowed.set(index, allowed && (deployed || provider.adapter == Adapter::Agent));
        self.deployed.set(index, allowed && deployed);
    }
}

impl Classes {
    /// Enters a revision into its class, made if it is the first of it.
    pub(crate) fn enter(
        &mut self,
        account: AccountId,
        code: &Code,
        settings: &FunctionSettings,
        providers: &[Provider],
    ) -> u32 {
        let terms = Terms::of(account, code, settings);
        if let Some(class) = self.by_terms.get(&terms) {
            self.all[*class as usize].members += 1;
            return *class;
        }
        let mut class = Class { terms: terms.clone(), members: 1, allowed: Bits::default(), deployed: Bits::default() };
        for (index, provider) in providers.iter().enumerate() {
            class.admit(index, provider);
        }
        let number = match self.vacant.pop() {
            Some(number) => {
                self.all[number as usize] = class;
                number
            }
            None => {
                self.all.push(class);
                (self.all.len() - 1) as u32
            }
        };
        self.by_terms.insert(terms, number);
        number
    }

    /// Takes a revision out of its class, which goes with its last one.
    pub(crate) fn leave(&mut self, number: u32) {
        let class = &mut self.all[number as usize];
        class.members -= 1;
        if class.members == 0 {
            self.by_terms.remove(&class.terms);
            self.vacant.push(number);
        }
    }

    /// Takes in a provider that registered, or whose labels are no longer `before`.
    pub(crate) fn admit(&mut self, index: usize, provider: &Provider, before: &[(String, String)]) {
        for label in before {
            if let Some(bits) = self.by_label.get_mut(label) {
                bits.set(index, false);
            }
        }
        for (name, value) in &provider.labels {
            self.by_label.entry((name.clone(), value.clone())).or_default().set(index, true);
        }
        for class in &mut self.all {
            class.admit(index, provider);
        }
    }

    /// Who has a label; nobody, if no provider ever had it.
    pub(crate) fn with_label(&self, label: &(String, String)) -> Option<&Bits> {
        self.by_label.get(label)
    }
}
