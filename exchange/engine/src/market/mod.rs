//! Who and what the market knows: functions with their revisions and aliases, providers, markets.
//!
//! Owns names and definitions; never decides a match.

mod canaries;
mod checks;
pub(crate) mod classes;
pub(crate) mod keys;

use std::collections::{BTreeMap, HashMap, VecDeque};

use merit_terms::{AccountId, FunctionId, MarketId, MarketName, Name, Price, Protection, ProviderId, Refusal, Time};
use serde::{Deserialize, Serialize};

use crate::command::{
    Adapter, Code, FunctionSettings, MarketTerms, ProviderKind, ProviderLimits, PutFunction, Qualifier,
    RegisterProvider,
};
use crate::market::classes::Classes;
use crate::money::Spending;
use crate::prediction::durations::Durations;
use crate::prediction::estimate::Ratio;
use crate::supply::health::{ProviderHealth, Recoveries};
use crate::supply::quotas::Allowance;
pub use canaries::{Canary, WEIGHT_MAX};
use checks::check_function;
pub(crate) use checks::{
    check_budgets, check_reason, check_texts, invalid, unknown_function, unknown_provider, within, within_limit,
};

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Market {
    pub name: MarketName,
    /// The reference price of the latest trade with a cost above 0 and not on the buyer's own provider.
    pub spot_price: Option<Price>,
    pub trades: u64,
    pub terms: MarketTerms,
    /// Whether a module is deployed here at every provider that its function allows.
    pub(crate) by_module: bool,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Function {
    pub account: AccountId,
    pub name: Name,
    pub settings: FunctionSettings,
    pub revisions: Vec<Revision>,
    pub aliases: BTreeMap<Name, u32>,
    /// The revision that `live` was put to; none: the newest.
    pub live: Option<u32>,
    /// Of aliases, `live` included, that send a share of their calls to a second revision.
    pub canaries: BTreeMap<Name, Canary>,
    /// Leases whose capacity has not returned.
    pub running: u32,
    pub deleted: bool,
    pub(crate) spending: Spending,
    /// The markets that its own patterns allow.
    #[serde(skip)]
    pub(crate) markets: Vec<MarketId>,
}

/// An immutable revision; numbers count from 1.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Revision {
    pub code: Code,
    pub(crate) durations: Durations,
    /// How many running leases try a provider without history; absent: none.
    pub(crate) probes: BTreeMap<ProviderId, u32>,
    /// Who may run it.
    #[serde(skip)]
    pub(crate) class: u32,
    /// The last call's provider and runner-up: where a search begins. Means nothing else.
    #[serde(skip)]
    pub(crate) served_last: [Option<ProviderId>; 2],
}

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
    /// Whether the operator vouches for the endpoint.
    pub endpoint_trusted: bool,
    pub(crate) last_quote: u64,
    /// How its durations compare with the median of others, over all functions.
    pub(crate) general_ratio: Ratio,
    pub(crate) quotas: Vec<Allowance>,
    pub limits: ProviderLimits,
    /// Why the operator has stopped it, if so.
    pub killed: Option<String>,
    pub protection: Option<Protection>,
    /// When it was leased, as far back as its protection looks.
    pub(crate) leased_at: VecDeque<Time>,
    /// Worst cases of its open leases, in picodollars.
    pub exposure: u128,
    /// Quotes taken in a second since 1970.
    pub(crate) quoted: (u64, u32),
    pub(crate) health: ProviderHealth,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Registry {
    pub(crate) markets: Vec<Market>,
    pub(crate) functions: Vec<Function>,
    pub(crate) providers: Vec<Provider>,
    #[serde(skip)]
    pub(crate) classes: Classes,
    /// Functions of each account, deleted ones too.
    #[serde(skip)]
    functions_of: HashMap<AccountId, u32>,
    #[serde(skip)]
    pub(crate) recoveries: Recoveries,
    /// The revisions of each module, of deleted functions too.
    #[serde(skip)]
    pub(crate) by_module: HashMap<[u8; 32], Vec<(FunctionId, u32)>>,
    #[serde(skip)]
    markets_by_name: HashMap<MarketName, MarketId>,
    #[serde(skip)]
    functions_by_name: HashMap<(AccountId, Name), FunctionId>,
    #[serde(skip)]
    providers_by_name: HashMap<Name, ProviderId>,
}

/// The most functions of an account, deleted ones counted.
const FUNCTIONS_MAX: u32 = 10_000;
/// The most revisions of a function.
const REVISIONS_MAX: u32 = 1_000;
/// The most aliases of a function.
const ALIASES_MAX: u32 = 100;

/// The alias that a call without a qualifier means.
pub const LIVE: &str = "live";

/// The market class in which a module is deployed at every provider that the function allows.
const MODULE_CLASS: &str = "wasm";

impl Function {
    pub(crate) fn latest(&self) -> u32 {
        self.revisions.len() as u32
    }

    pub fn revision(&self, number: u32) -> Option<&Revision> {
        self.revisions.get(number.checked_sub(1)? as usize)
    }

    pub(crate) fn revision_mut(&mut self, number: u32) -> Option<&mut Revision> {
        self.revisions.get_mut(number.checked_sub(1)? as usize)
    }

    /// The revision that `qualifier` names at present, apart from shares of its calls.
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
}

impl Registry {
    pub(crate) fn create_market(&mut self, name: &MarketName) -> Result<MarketId, Refusal> {
        if self.markets_by_name.contains_key(name) {
            return Err(Refusal::Exists { what: "market", name: name.to_string() });
        }
        let id = MarketId::new(self.markets.len() as u32);
        self.markets.push(Market {
            name: name.clone(),
            spot_price: None,
            trades: 0,
            terms: MarketTerms::default(),
            by_module: name.class() == MODULE_CLASS,
        });
        self.markets_by_name.insert(name.clone(), id);
        for function in &mut self.functions {
            if within(&function.settings.markets, name) {
                function.markets.push(id);
            }
        }
        Ok(id)
    }

    pub(crate) fn register_provider(&mut self, command: &RegisterProvider) -> Result<ProviderId, Refusal> {
        check_texts("labels", &command.labels)?;
        if self.providers_by_name.contains_key(&command.name) {
            return Err(Refusal::Exists { what: "provider", name: command.name.to_string() });
        }
        let id = ProviderId::new(self.providers.len() as u32);
        self.providers.push(Provider {
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
            quotas: Vec::new(),
            limits: ProviderLimits::default(),
            killed: None,
            protection: None,
            leased_at: VecDeque::new(),
            exposure: 0,
            quoted: (0, 0),
            health: ProviderHealth::default(),
        });
        self.providers_by_name.insert(command.name.clone(), id);
        self.admit(id, &[]);
        Ok(id)
    }

    /// Puts a provider into what is looked up by provider.
    fn admit(&mut self, id: ProviderId, labels_before: &[(String, String)]) {
        let provider = &self.providers[id.index()];
        self.classes.admit(id.index(), provider, labels_before);
    }

    pub(crate) fn grant_labels(&mut self, id: ProviderId, labels: &BTreeMap<String, String>) -> Result<(), Refusal> {
        let provider = self.provider_mut(id)?;
        check_texts("labels", labels)?;
        let before: Vec<_> = std::mem::replace(&mut provider.labels, labels.clone()).into_iter().collect();
        self.admit(id, &before);
        Ok(())
    }

    /// Takes down how a provider is called.
    pub(crate) fn set_adapter(&mut self, id: ProviderId, adapter: Adapter) {
        let provider = &mut self.providers[id.index()];
        if std::mem::replace(&mut provider.adapter, adapter) != adapter {
            self.admit(id, &[]);
        }
    }

    /// Builds what can be computed from the rest.
    pub(crate) fn rebuild(&mut self) {
        (self.classes, self.recoveries) = (Classes::default(), Recoveries::default());
        self.markets_by_name =
            (0..).map(MarketId::new).zip(&self.markets).map(|(id, market)| (market.name.clone(), id)).collect();
        for id in (0..self.providers.len() as u32).map(ProviderId::new) {
            self.providers_by_name.insert(self.providers[id.index()].name.clone(), id);
            self.admit(id, &[]);
            self.recoveries.enter(id, &self.providers[id.index()].health);
        }
        for index in 0..self.functions.len() {
            let function = &self.functions[index];
            *self.functions_of.entry(function.account).or_default() += 1;
            let key = (function.account, function.name.clone());
            self.functions_by_name.insert(key, FunctionId::new(index as u32));
            self.classify(index, 0);
            for number in 1..=self.functions[index].latest() {
                self.find_by_module(FunctionId::new(index as u32), number);
            }
        }
    }

    /// Finds out in which markets a function may run, and at which providers its revisions after the first `known`.
    fn classify(&mut self, index: usize, known: usize) {
        let function = &mut self.functions[index];
        let named = (0..).map(MarketId::new).zip(&self.markets);
        let allowed = named.filter(|(_, market)| within(&function.settings.markets, &market.name));
        function.markets = allowed.map(|(id, _)| id).collect();
        for revision in &mut function.revisions[known..] {
            revision.class = self.classes.enter(function.account, &revision.code, &function.settings, &self.providers);
        }
    }

    pub(crate) fn provider_mut(&mut self, id: ProviderId) -> Result<&mut Provider, Refusal> {
        self.providers.get_mut(id.index()).ok_or_else(|| unknown_provider(id))
    }

    /// Defines a function, or redefines it: other code makes a new revision.
    pub(crate) fn put_function(&mut self, command: &PutFunction) -> Result<(FunctionId, u32), Refusal> {
        check_function(command)?;
        let key = (command.account, command.name.clone());
        let id = match self.functions_by_name.get(&key) {
            Some(id) => *id,
            None => {
                let functions = self.functions_of.entry(command.account).or_default();
                within_limit("functions of an account", *functions, FUNCTIONS_MAX)?;
                *functions += 1;
                let id = FunctionId::new(self.functions.len() as u32);
                self.functions.push(Function {
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
                });
                self.functions_by_name.insert(key, id);
                id
            }
        };
        let function = &mut self.functions[id.index()];
        let is_new = function.revisions.last().is_none_or(|revision| revision.code != command.code);
        if is_new {
            within_limit("revisions of a function", function.latest(), REVISIONS_MAX)?;
        }
        let mut known = function.revisions.len();
        if function.settings != command.settings {
            function.revisions.iter().for_each(|revision| self.classes.leave(revision.class));
            known = 0;
        }
        function.deleted = false;
        function.settings = command.settings.clone();
        if is_new {
            function.revisions.push(Revision {
                code: command.code.clone(),
                durations: Durations::default(),
                probes: BTreeMap::new(),
                class: 0,
                served_last: [None; 2],
            });
        }
        let latest = function.latest();
        self.classify(id.index(), known);
        if is_new {
            self.find_by_module(id, latest);
        }
        Ok((id, latest))
    }

    /// Lets a revision be found by its module, if it has one.
    fn find_by_module(&mut self, id: FunctionId, number: u32) {
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
        let function = self.functions.get_mut(id.index()).filter(|f| !f.deleted).ok_or_else(|| unknown_function(id))?;
        for number in [Some(revision), canary.map(|canary| canary.revision)].into_iter().flatten() {
            function.resolve(&Qualifier::Revision(number))?;
        }
        canary.map_or(Ok(()), |canary| canary.check(revision))?;
        if alias.as_str() == LIVE {
            function.live = Some(revision);
        } else {
            if !function.aliases.contains_key(alias) {
                within_limit("aliases of a function", function.aliases.len() as u32, ALIASES_MAX)?;
            }
            function.aliases.insert(alias.clone(), revision);
        }
        function.put_canary(alias, canary);
        Ok(())
    }

    pub(crate) fn delete_function(&mut self, id: FunctionId) -> Result<(), Refusal> {
        let function = self.functions.get_mut(id.index()).filter(|f| !f.deleted).ok_or_else(|| unknown_function(id))?;
        function.deleted = true;
        function.aliases.clear();
        function.live = None;
        function.canaries.clear();
        Ok(())
    }

    pub(crate) fn function(&self, id: FunctionId) -> Result<&Function, Refusal> {
        self.functions.get(id.index()).filter(|function| !function.deleted).ok_or_else(|| unknown_function(id))
    }

    pub(crate) fn find_function(&self, account: AccountId, name: &Name) -> Option<FunctionId> {
        let id = *self.functions_by_name.get(&(account, name.clone()))?;
        (!self.functions[id.index()].deleted).then_some(id)
    }

    pub(crate) fn find_market(&self, name: &MarketName) -> Option<MarketId> {
        self.markets_by_name.get(name).copied()
    }

    pub(crate) fn find_provider(&self, name: &Name) -> Option<ProviderId> {
        self.providers_by_name.get(name).copied()
    }

    /// The provider, if `session` is the one that it is in.
    pub(crate) fn in_session(&mut self, id: ProviderId, session: u32) -> Result<&mut Provider, Refusal> {
        self.providers
            .get_mut(id.index())
            .filter(|provider| provider.online && provider.session == session)
            .ok_or(Refusal::NotInSession)
    }
}
