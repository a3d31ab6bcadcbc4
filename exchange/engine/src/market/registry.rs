//! The registry: functions, providers and markets by id and by name, and the lookups between them.
//!
//! Owns names and definitions; never decides a match.

use std::collections::{BTreeMap, HashMap};

use merit_terms::{AccountId, FunctionId, MarketId, MarketName, Name, ProviderId, Refusal, TargetPattern};
use serde::{Deserialize, Serialize};

use super::checks::{check_function, check_texts, unknown_market};
use super::classes::{Class, Classes};
use super::functions::Function;
use super::markets::Market;
use super::providers::{Provider, check_targets};
use super::revisions::Revision;
use super::{invalid, unknown_function, unknown_provider, within, within_limit};
use crate::collections::bits::Bits;
use crate::command::{Canary, Logon, ProviderKind, PutFunction, RegisterProvider};

/// Maximum functions of an account, deleted ones counted.
const FUNCTIONS_MAX: u32 = 10_000;

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Registry {
    markets: Vec<Market>,
    functions: Vec<Function>,
    providers: Vec<Provider>,
    #[serde(skip)]
    classes: Classes,
    /// Functions of each account, deleted ones too.
    #[serde(skip)]
    functions_of: HashMap<AccountId, u32>,
    /// Revisions of each module, of deleted functions too.
    #[serde(skip)]
    by_module: HashMap<[u8; 32], Vec<(FunctionId, u32)>>,
    #[serde(skip)]
    markets_by_name: HashMap<MarketName, MarketId>,
    #[serde(skip)]
    functions_by_name: HashMap<(AccountId, Name), FunctionId>,
    #[serde(skip)]
    providers_by_name: HashMap<Name, ProviderId>,
}

impl Registry {
    /// Builds anew what is computed from the records.
    pub(crate) fn rebuild(&mut self) {
        self.classes = Classes::default();
        self.markets_by_name = self.live_markets().map(|(id, market)| (market.name.clone(), id)).collect();
        for id in (0..self.providers.len() as u32).map(ProviderId::new) {
            self.providers_by_name.insert(self.providers[id.index()].name.clone(), id);
            self.admit(id, &[]);
        }
        for index in 0..self.functions.len() {
            let (function, id) = (&self.functions[index], FunctionId::new(index as u32));
            *self.functions_of.entry(function.account).or_default() += 1;
            self.functions_by_name.insert((function.account, function.name.clone()), id);
            self.classify(id, 0);
            for number in 1..=self.functions[index].latest() {
                self.enter_by_module(id, number);
            }
        }
    }

    // Markets.

    pub(crate) fn create_market(&mut self, name: &MarketName) -> Result<MarketId, Refusal> {
        if self.markets_by_name.contains_key(name) {
            return Err(Refusal::Exists { what: "market", name: name.to_string() });
        }
        let id = MarketId::new(self.markets.len() as u32);
        self.markets.push(Market::new(name));
        self.markets_by_name.insert(name.clone(), id);
        for function in &mut self.functions {
            if within(&function.settings.markets, name) {
                function.add_market(id);
            }
        }
        Ok(id)
    }

    /// Deletes a market that is known to exist.
    pub(crate) fn delete_market(&mut self, id: MarketId) {
        let market = &mut self.markets[id.index()];
        market.deleted = true;
        self.markets_by_name.remove(&market.name);
        self.functions.iter_mut().for_each(|function| function.remove_market(id));
    }

    /// Lists all markets, deleted ones too, by number.
    pub(crate) fn markets(&self) -> &[Market] {
        &self.markets
    }

    pub(crate) fn live_markets(&self) -> impl Iterator<Item = (MarketId, &Market)> {
        (0..).map(MarketId::new).zip(&self.markets).filter(|(_, market)| !market.deleted)
    }

    /// Returns a market that is known to exist.
    pub(crate) fn market(&self, id: MarketId) -> &Market {
        &self.markets[id.index()]
    }

    /// Returns a market that is known to exist, to change.
    pub(crate) fn market_mut(&mut self, id: MarketId) -> &mut Market {
        &mut self.markets[id.index()]
    }

    /// Returns the market, deleted or not, or refuses an id that none has.
    pub(crate) fn known_market(&self, id: MarketId) -> Result<&Market, Refusal> {
        self.markets.get(id.index()).ok_or_else(|| unknown_market(id))
    }

    /// Returns the market, or refuses one that is deleted or unknown.
    pub(crate) fn live_market(&self, id: MarketId) -> Result<&Market, Refusal> {
        self.known_market(id).and_then(|market| if market.deleted { Err(unknown_market(id)) } else { Ok(market) })
    }

    pub(crate) fn find_market(&self, name: &MarketName) -> Option<MarketId> {
        self.markets_by_name.get(name).copied()
    }

    // Providers.

    pub(crate) fn register_provider(&mut self, command: &RegisterProvider) -> Result<ProviderId, Refusal> {
        check_texts("labels", &command.labels)?;
        if self.providers_by_name.contains_key(&command.name) {
            return Err(Refusal::Exists { what: "provider", name: command.name.to_string() });
        }
        let id = ProviderId::new(self.providers.len() as u32);
        self.providers.push(Provider::new(command));
        self.providers_by_name.insert(command.name.clone(), id);
        self.admit(id, &[]);
        Ok(id)
    }

    /// Enters a provider into the classes, with the labels that it had before.
    fn admit(&mut self, id: ProviderId, labels_before: &[(String, String)]) {
        self.classes.admit(id.index(), &self.providers[id.index()], labels_before);
    }

    pub(crate) fn grant_labels(&mut self, id: ProviderId, labels: &BTreeMap<String, String>) -> Result<(), Refusal> {
        let provider = self.known_provider_mut(id)?;
        check_texts("labels", labels)?;
        let before: Vec<_> = std::mem::replace(&mut provider.labels, labels.clone()).into_iter().collect();
        self.admit(id, &before);
        Ok(())
    }

    /// Begins the next session of a provider that is known to exist. Returns the provider.
    pub(crate) fn begin_session(&mut self, logon: &Logon) -> &Provider {
        let (id, provider) = (logon.provider, &mut self.providers[logon.provider.index()]);
        let (adapter, endpoint, targets) = (provider.adapter, provider.endpoint.clone(), provider.targets.clone());
        provider.begin_session(logon);
        if provider.adapter != adapter {
            self.admit(id, &[]);
        } else if provider.endpoint != endpoint || provider.targets != targets {
            self.classes.judge_targets(id.index(), provider);
        }
        &self.providers[id.index()]
    }

    pub(crate) fn set_targets(&mut self, id: ProviderId, targets: &[TargetPattern]) -> Result<(), Refusal> {
        let provider = self.providers.get_mut(id.index()).ok_or_else(|| unknown_provider(id))?;
        check_targets(targets)?;
        provider.targets = targets.to_vec();
        self.classes.judge_targets(id.index(), provider);
        Ok(())
    }

    pub(crate) fn providers(&self) -> &[Provider] {
        &self.providers
    }

    /// Returns a provider that is known to exist.
    pub(crate) fn provider(&self, id: ProviderId) -> &Provider {
        &self.providers[id.index()]
    }

    /// Returns a provider that is known to exist, to change.
    pub(crate) fn provider_mut(&mut self, id: ProviderId) -> &mut Provider {
        &mut self.providers[id.index()]
    }

    /// Returns the provider, or refuses an id that none has.
    pub(crate) fn known_provider(&self, id: ProviderId) -> Result<&Provider, Refusal> {
        self.providers.get(id.index()).ok_or_else(|| unknown_provider(id))
    }

    /// Returns the provider to change, or refuses an id that none has.
    pub(crate) fn known_provider_mut(&mut self, id: ProviderId) -> Result<&mut Provider, Refusal> {
        self.providers.get_mut(id.index()).ok_or_else(|| unknown_provider(id))
    }

    /// Returns the provider, or refuses a session that it is not in.
    pub(crate) fn in_session(&self, id: ProviderId, session: u32) -> Result<&Provider, Refusal> {
        let provider = self.providers.get(id.index());
        provider.filter(|provider| provider.online && provider.session == session).ok_or(Refusal::NotInSession)
    }

    pub(crate) fn find_provider(&self, name: &Name) -> Option<ProviderId> {
        self.providers_by_name.get(name).copied()
    }

    // Functions.

    /// Defines a function, or redefines it: other code makes a new revision. Returns the latest revision.
    pub(crate) fn put_function(&mut self, command: &PutFunction) -> Result<(FunctionId, u32), Refusal> {
        check_function(command)?;
        self.check_deployments(command)?;
        let id = self.define(command)?;
        let function = &mut self.functions[id.index()];
        let is_new = function.takes_revision(command)?;
        let mut known = function.revisions.len();
        if function.settings != command.settings {
            function.revisions.iter().for_each(|revision| self.classes.leave(revision.class()));
            known = 0;
        }
        function.put(command, is_new);
        let latest = function.latest();
        self.classify(id, known);
        if is_new {
            self.enter_by_module(id, latest);
        }
        Ok((id, latest))
    }

    /// Refuses a new deployment whose target its provider's owner does not allow. One at a provider that the account
    /// does not see, or that has never logged on, is judged at each call.
    fn check_deployments(&self, command: &PutFunction) -> Result<(), Refusal> {
        let function = self.functions_by_name.get(&(command.account, command.name.clone()));
        let newest = function.and_then(|id| self.functions[id.index()].revisions.last());
        for (name, target) in &command.code.deployments {
            let is_known = newest.is_some_and(|newest| newest.code.deployments.get(name) == Some(target));
            let provider = self.find_provider(name).map(|id| self.provider(id));
            let seen = provider.filter(|provider| {
                provider.session > 0 && (provider.kind == ProviderKind::Market || provider.account == command.account)
            });
            if !is_known && seen.is_some_and(|provider| !provider.allows_target(target)) {
                let message = format!(
                    "`{target}` is not below the endpoint of {name}, and its owner allows no such target; name a path \
                     there, such as /resize, or ask its owner to allow the target"
                );
                return Err(invalid(format!("deployments.{name}"), message));
            }
        }
        Ok(())
    }

    /// Finds the function of a put, or makes it.
    fn define(&mut self, command: &PutFunction) -> Result<FunctionId, Refusal> {
        let key = (command.account, command.name.clone());
        if let Some(id) = self.functions_by_name.get(&key) {
            return Ok(*id);
        }
        let functions = self.functions_of.entry(command.account).or_default();
        within_limit("functions of an account", *functions, FUNCTIONS_MAX)?;
        *functions += 1;
        let id = FunctionId::new(self.functions.len() as u32);
        self.functions.push(Function::new(command));
        self.functions_by_name.insert(key, id);
        Ok(id)
    }

    /// Sets the markets of a function, and the class of each of its revisions after the first `known`.
    fn classify(&mut self, id: FunctionId, known: usize) {
        let patterns = &self.functions[id.index()].settings.markets;
        let allowed = self.live_markets().filter(|(_, market)| within(patterns, &market.name));
        let markets = allowed.map(|(id, _)| id).collect();
        let function = &mut self.functions[id.index()];
        function.set_markets(markets);
        for revision in &mut function.revisions[known..] {
            let settings = &function.settings;
            let class = self.classes.enter(function.account, &revision.code, settings, &self.providers);
            revision.set_class(class);
        }
    }

    fn enter_by_module(&mut self, id: FunctionId, number: u32) {
        let revision = self.functions[id.index()].revision(number);
        if let Some(digest) = revision.and_then(|revision| revision.code.module) {
            self.by_module.entry(digest).or_default().push((id, number));
        }
    }

    pub(crate) fn put_alias(
        &mut self,
        id: FunctionId,
        alias: &Name,
        revision: u32,
        canary: Option<Canary>,
    ) -> Result<(), Refusal> {
        self.live_function_mut(id)?.put_alias(alias, revision, canary)
    }

    pub(crate) fn delete_function(&mut self, id: FunctionId) -> Result<(), Refusal> {
        self.live_function_mut(id)?.delete();
        Ok(())
    }

    pub(crate) fn functions(&self) -> &[Function] {
        &self.functions
    }

    /// Returns a function that is known to exist, deleted or not.
    pub(crate) fn function(&self, id: FunctionId) -> &Function {
        &self.functions[id.index()]
    }

    /// Returns a function that is known to exist, to change.
    pub(crate) fn function_mut(&mut self, id: FunctionId) -> &mut Function {
        &mut self.functions[id.index()]
    }

    /// Returns the function, deleted or not, or refuses an id that none has.
    pub(crate) fn known_function(&self, id: FunctionId) -> Result<&Function, Refusal> {
        self.functions.get(id.index()).ok_or_else(|| unknown_function(id))
    }

    /// Returns the function, or refuses one that is deleted or unknown.
    pub(crate) fn live_function(&self, id: FunctionId) -> Result<&Function, Refusal> {
        self.functions.get(id.index()).filter(|function| !function.deleted).ok_or_else(|| unknown_function(id))
    }

    fn live_function_mut(&mut self, id: FunctionId) -> Result<&mut Function, Refusal> {
        self.functions.get_mut(id.index()).filter(|function| !function.deleted).ok_or_else(|| unknown_function(id))
    }

    pub(crate) fn find_function(&self, account: AccountId, name: &Name) -> Option<FunctionId> {
        let id = *self.functions_by_name.get(&(account, name.clone()))?;
        (!self.functions[id.index()].deleted).then_some(id)
    }

    /// Returns the class of providers that may run a revision.
    pub(crate) fn class_of(&self, revision: &Revision) -> &Class {
        self.classes.get(revision.class())
    }

    /// Returns the providers with a label. None if no provider ever had it.
    pub(crate) fn with_label(&self, label: &(String, String)) -> Option<&Bits> {
        self.classes.with_label(label)
    }

    /// Returns the revisions of a module, of deleted functions too.
    pub(crate) fn revisions_of_module(&self, digest: &[u8; 32]) -> &[(FunctionId, u32)] {
        self.by_module.get(digest).map_or(&[][..], Vec::as_slice)
    }
}
