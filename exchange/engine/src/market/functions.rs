//! One function: its settings, revisions and aliases, its running leases and its spending.

use std::collections::BTreeMap;

use merit_terms::{AccountId, MarketId, Name, Period, ProviderId, Refusal};
use serde::{Deserialize, Serialize};

use super::revisions::Revision;
use super::within_limit;
use crate::command::{Canary, FunctionSettings, LIVE, PutFunction, Qualifier};
use crate::money::spending::{Calendar, Spending};

/// Maximum revisions of a function.
const REVISIONS_MAX: u32 = 1_000;
/// Maximum aliases of a function.
const ALIASES_MAX: u32 = 100;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Function {
    pub account: AccountId,
    pub name: Name,
    pub settings: FunctionSettings,
    pub revisions: Vec<Revision>,
    pub aliases: BTreeMap<Name, u32>,
    /// The revision that `live` was put to; none: the newest.
    pub live: Option<u32>,
    /// Canaries by alias, `live` included.
    pub canaries: BTreeMap<Name, Canary>,
    /// Leases whose capacity has not returned.
    pub running: u32,
    pub deleted: bool,
    spending: Spending,
    /// The markets that its own patterns allow.
    #[serde(skip)]
    markets: Vec<MarketId>,
}

impl Function {
    pub(super) fn new(command: &PutFunction) -> Function {
        Function {
            account: command.account,
            name: command.name.clone(),
            settings: command.settings.clone(),
            revisions: Vec::new(),
            aliases: BTreeMap::new(),
            live: None,
            canaries: BTreeMap::new(),
            running: 0,
            deleted: false,
            spending: Spending::default(),
            markets: Vec::new(),
        }
    }

    pub(crate) fn latest(&self) -> u32 {
        self.revisions.len() as u32
    }

    pub fn revision(&self, number: u32) -> Option<&Revision> {
        self.revisions.get(number.checked_sub(1)? as usize)
    }

    pub(crate) fn revision_mut(&mut self, number: u32) -> Option<&mut Revision> {
        self.revisions.get_mut(number.checked_sub(1)? as usize)
    }

    /// Returns the revision that `qualifier` names at present, whatever the shares of canaries.
    pub fn resolve(&self, qualifier: &Qualifier) -> Result<u32, Refusal> {
        let unknown = |what, name: String| Refusal::Unknown { what, name: format!("{}:{name}", self.name) };
        match qualifier {
            Qualifier::Live => Ok(self.live.unwrap_or(self.latest())),
            Qualifier::Revision(number) => {
                self.revision(*number).map(|_| *number).ok_or_else(|| unknown("revision", number.to_string()))
            }
            Qualifier::Alias(alias) if alias.as_str() == LIVE => self.resolve(&Qualifier::Live),
            Qualifier::Alias(alias) => {
                self.aliases.get(alias).copied().ok_or_else(|| unknown("alias", alias.to_string()))
            }
        }
    }

    /// Returns whether the function put would get a new revision of it, or a refusal of one too many.
    pub(super) fn takes_revision(&self, command: &PutFunction) -> Result<bool, Refusal> {
        let is_new = self.revisions.last().is_none_or(|revision| revision.code != command.code);
        if is_new {
            within_limit("revisions of a function", self.latest(), REVISIONS_MAX)?;
        }
        Ok(is_new)
    }

    /// Takes the settings of a put, and its code as a new revision if it is new.
    pub(super) fn put(&mut self, command: &PutFunction, is_new: bool) {
        self.deleted = false;
        self.settings = command.settings.clone();
        if is_new {
            self.revisions.push(Revision::new(&command.code));
        }
    }

    pub(super) fn delete(&mut self) {
        self.deleted = true;
        self.aliases.clear();
        self.live = None;
        self.canaries.clear();
    }

    pub(super) fn put_alias(&mut self, alias: &Name, revision: u32, canary: Option<Canary>) -> Result<(), Refusal> {
        for number in [Some(revision), canary.map(|canary| canary.revision)].into_iter().flatten() {
            self.resolve(&Qualifier::Revision(number))?;
        }
        canary.map_or(Ok(()), |canary| canary.check(revision))?;
        if alias.as_str() == LIVE {
            self.live = Some(revision);
        } else {
            if !self.aliases.contains_key(alias) {
                within_limit("aliases of a function", self.aliases.len() as u32, ALIASES_MAX)?;
            }
            self.aliases.insert(alias.clone(), revision);
        }
        match canary {
            Some(canary) => drop(self.canaries.insert(alias.clone(), canary)),
            None => drop(self.canaries.remove(alias)),
        }
        Ok(())
    }

    /// Returns the markets that its own patterns allow.
    pub(crate) fn markets(&self) -> &[MarketId] {
        &self.markets
    }

    pub(super) fn set_markets(&mut self, markets: Vec<MarketId>) {
        self.markets = markets;
    }

    pub(super) fn add_market(&mut self, market: MarketId) {
        self.markets.push(market);
    }

    pub(super) fn remove_market(&mut self, market: MarketId) {
        self.markets.retain(|of_function| *of_function != market);
    }

    /// Counts a lease that begins to run; one on a prior probes its provider.
    pub(crate) fn begin_lease(&mut self, revision: u32, provider: ProviderId, on_prior: bool) {
        self.running += 1;
        if on_prior && let Some(revision) = self.revision_mut(revision) {
            revision.begin_probe(provider);
        }
    }

    /// Ends the count of [`Function::begin_lease`].
    pub(crate) fn end_lease(&mut self, revision: u32, provider: ProviderId, on_prior: bool) {
        self.running -= 1;
        if on_prior && let Some(revision) = self.revision_mut(revision) {
            revision.end_probe(provider);
        }
    }

    /// Lists the rest of each budget, in picodollars, with its period.
    pub(crate) fn budgets_left(&self, calendar: &Calendar) -> impl Iterator<Item = (Period, i128)> {
        self.settings.budgets.iter().map(move |budget| (budget.period, self.spending.left(budget, calendar)))
    }

    pub(crate) fn spending(&self) -> &Spending {
        &self.spending
    }

    pub(crate) fn spending_mut(&mut self) -> &mut Spending {
        &mut self.spending
    }
}
