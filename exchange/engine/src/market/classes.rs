//! Classes: the sets of providers that may run a revision, one for all revisions with the same terms.
//!
//! Owns the sets and keeps them up when providers register or get labels. Everything in it is computed from the
//! registry.

use std::collections::HashMap;

use merit_terms::{AccountId, Limits, Name, is_url_target};

use super::providers::Provider;
use crate::collections::bits::Bits;
use crate::command::{Audience, Code, FunctionSettings};

/// The terms of a revision that select its providers, apart from those that change with time.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct ClassTerms {
    account: AccountId,
    audience: Option<Vec<Name>>,
    own: bool,
    only: Vec<Name>,
    ignore: Vec<Name>,
    labels: Vec<(String, String)>,
    /// Providers where it is deployed by name, each with the target if that is a URL: its owner must allow it.
    deployments: Vec<(Name, Option<String>)>,
}

/// The set of providers that may run the revisions of one class.
#[derive(Clone, Debug)]
pub(crate) struct Class {
    terms: ClassTerms,
    /// Revisions in the class.
    members: u32,
    /// Providers where a module is enough, or the revision is deployed by name.
    allowed: Bits,
    /// Providers where the revision is deployed by name.
    deployed: Bits,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Classes {
    all: Vec<Class>,
    /// Classes without revisions, to be used again.
    vacant: Vec<u32>,
    by_terms: HashMap<ClassTerms, u32>,
    by_label: HashMap<(String, String), Bits>,
}

impl ClassTerms {
    fn of(account: AccountId, code: &Code, settings: &FunctionSettings) -> ClassTerms {
        let Limits { only, ignore, labels, .. } = &settings.limits;
        let url = |target: &String| is_url_target(target).then(|| target.clone());
        let deployments = code.deployments.iter().map(|(name, target)| (name.clone(), url(target)));
        ClassTerms {
            account,
            audience: match &settings.audience {
                Audience::Listed(names) => Some(names.clone()),
                Audience::Own | Audience::Any => None,
            },
            own: settings.audience == Audience::Own,
            only: only.clone(),
            ignore: ignore.clone(),
            labels: labels.clone(),
            deployments: deployments.collect(),
        }
    }

    fn allow(&self, provider: &Provider) -> bool {
        let audience = self.audience.as_ref().is_none_or(|names| names.contains(&provider.name));
        let own = !self.own || provider.account == self.account;
        let named = self.only.is_empty() || self.only.contains(&provider.name);
        let labels = self.labels.iter().all(|(name, value)| provider.labels.get(name) == Some(value));
        audience && own && named && labels && !self.ignore.contains(&provider.name)
    }

    fn is_deployed_at(&self, provider: &Provider) -> bool {
        let there = self.deployments.iter().find(|(name, _)| *name == provider.name);
        there.is_some_and(|(_, url)| url.as_ref().is_none_or(|url| provider.allows_target(url)))
    }

    /// Returns whether a deployment's target at this provider needs its owner's permission.
    fn needs_permission_of(&self, provider: &Provider) -> bool {
        self.deployments.iter().any(|(name, url)| url.is_some() && *name == provider.name)
    }
}

impl Class {
    /// Returns the providers where a module is enough, or the revision is deployed by name.
    pub(crate) fn allowed(&self) -> &Bits {
        &self.allowed
    }

    /// Returns the providers where the revision is deployed by name.
    pub(crate) fn deployed(&self) -> &Bits {
        &self.deployed
    }

    fn admit(&mut self, index: usize, provider: &Provider) {
        let allowed = self.terms.allow(provider);
        let deployed = self.terms.is_deployed_at(provider);
        self.allowed.set(index, allowed && (deployed || provider.adapter.runs_modules()));
        self.deployed.set(index, allowed && deployed);
    }
}

impl Classes {
    pub(super) fn get(&self, number: u32) -> &Class {
        &self.all[number as usize]
    }

    /// Enters a revision into its class; the first revision of a class makes it.
    pub(super) fn enter(
        &mut self,
        account: AccountId,
        code: &Code,
        settings: &FunctionSettings,
        providers: &[Provider],
    ) -> u32 {
        let terms = ClassTerms::of(account, code, settings);
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

    /// Takes a revision out of its class. The class goes with its last revision.
    pub(super) fn leave(&mut self, number: u32) {
        let class = &mut self.all[number as usize];
        class.members -= 1;
        if class.members == 0 {
            self.by_terms.remove(&class.terms);
            self.vacant.push(number);
        }
    }

    /// Takes in a provider that registered, or that had the labels `before`.
    pub(super) fn admit(&mut self, index: usize, provider: &Provider, before: &[(String, String)]) {
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

    /// Judges the targets at a provider whose endpoint or patterns have changed.
    pub(super) fn judge_targets(&mut self, index: usize, provider: &Provider) {
        for class in self.all.iter_mut().filter(|class| class.terms.needs_permission_of(provider)) {
            class.admit(index, provider);
        }
    }

    /// Returns the providers with a label. None if no provider ever had it.
    pub(super) fn with_label(&self, label: &(String, String)) -> Option<&Bits> {
        self.by_label.get(label)
    }
}
