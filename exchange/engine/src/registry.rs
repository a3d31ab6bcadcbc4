//! Who and what the market knows: functions with their revisions and aliases, providers, markets.
//!
//! Owns names and definitions; never decides a match.

use std::collections::{BTreeMap, HashMap};

use merit_terms::{
    AccountId, FunctionId, MEMORY_MAX_MB, MarketId, MarketName, Name, Price, ProviderId, Refusal, TIMEOUT_MAX_MS,
};

use crate::book::OfferSlot;
use crate::command::{Code, FunctionSettings, ProviderKind, PutFunction, Qualifier, RegisterProvider};
use crate::estimate::{Estimate, Ratio};

#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub struct Market {
    pub name: MarketName,
    /// The reference price of the latest trade with a cost above 0 and not on the buyer's own provider.
    pub spot_price: Option<Price>,
    pub trades: u64,
    pub terms: crate::MarketTerms,
    /// Live offers, cheapest reference price first, then oldest.
    pub(crate) book: Vec<OfferSlot>,
}

#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub struct Function {
    pub account: AccountId,
    pub name: Name,
    pub settings: FunctionSettings,
    pub revisions: Vec<Revision>,
    pub aliases: BTreeMap<Name, u32>,
    /// The revision that `live` was put to; none: the newest.
    pub live: Option<u32>,
    /// Leases whose capacity has not returned.
    pub running: u32,
    pub deleted: bool,
}

/// An immutable revision; numbers count from 1.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub struct Revision {
    pub code: Code,
    pub(crate) estimates: BTreeMap<ProviderId, Estimate>,
    /// How many running leases try a provider without history; absent: none.
    pub(crate) probes: BTreeMap<ProviderId, u32>,
}

#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub struct Provider {
    pub name: Name,
    pub account: AccountId,
    pub kind: ProviderKind,
    pub labels: BTreeMap<String, String>,
    /// The number of its last session; 0 before the first.
    pub session: u32,
    pub online: bool,
    pub endpoint: String,
    /// Why the operator has stopped it, if it has.
    pub killed: Option<String>,
    /// The worst cases of its open leases, in picodollars.
    pub exposure: u128,
    pub limits: crate::ProviderLimits,
    pub protection: Option<merit_terms::Protection>,
    pub(crate) last_quote: u64,
    pub(crate) pools: Vec<crate::book::PoolSlot>,
    pub(crate) ladders: BTreeMap<MarketId, Vec<OfferSlot>>,
    /// How its durations compare with the median of others, over all functions.
    pub(crate) general_ratio: Ratio,
}

#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
pub(crate) struct Registry {
    pub(crate) markets: Vec<Market>,
    pub(crate) functions: Vec<Function>,
    pub(crate) providers: Vec<Provider>,
    markets_by_name: HashMap<MarketName, MarketId>,
    functions_by_name: HashMap<(AccountId, Name), FunctionId>,
    providers_by_name: HashMap<Name, ProviderId>,
}

/// The alias that a call without a qualifier means.
pub const LIVE: &str = "live";

const LABELS_MAX: usize = 64;
const TEXT_MAX_BYTES: usize = 4096;

fn invalid(field: impl Into<String>, message: impl Into<String>) -> Refusal {
    Refusal::Invalid { field: field.into(), message: message.into() }
}

fn check_texts(field: &'static str, texts: &BTreeMap<String, String>) -> Result<(), Refusal> {
    if texts.len() > LABELS_MAX {
        return Err(invalid(field, format!("{} entries; at most {LABELS_MAX}", texts.len())));
    }
    match texts.iter().find(|(name, value)| name.is_empty() || name.len() + value.len() > TEXT_MAX_BYTES) {
        Some((name, _)) => {
            Err(invalid(format!("{field}.{name}"), format!("an entry is 1 to {TEXT_MAX_BYTES} bytes, with a name")))
        }
        None => Ok(()),
    }
}

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

    /// The revision that `qualifier` names at present.
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
            terms: crate::MarketTerms::default(),
            book: Vec::new(),
        });
        self.markets_by_name.insert(name.clone(), id);
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
            killed: None,
            exposure: 0,
            limits: crate::ProviderLimits::default(),
            protection: None,
            last_quote: 0,
            pools: Vec::new(),
            ladders: BTreeMap::new(),
            general_ratio: Ratio::default(),
        });
        self.providers_by_name.insert(command.name.clone(), id);
        Ok(id)
    }

    /// Defines a function, or redefines it: other code makes a new revision.
    pub(crate) fn put_function(&mut self, command: &PutFunction) -> Result<(FunctionId, u32), Refusal> {
        check_function(command)?;
        let key = (command.account, command.name.clone());
        let id = match self.functions_by_name.get(&key) {
            Some(id) => *id,
            None => {
                let id = FunctionId::new(self.functions.len() as u32);
                self.functions.push(Function {
                    account: command.account,
                    name: command.name.clone(),
                    settings: command.settings.clone(),
                    revisions: Vec::new(),
                    aliases: BTreeMap::new(),
                    live: None,
                    running: 0,
                    deleted: false,
                });
                self.functions_by_name.insert(key, id);
                id
            }
        };
        let function = &mut self.functions[id.index()];
        function.deleted = false;
        function.settings = command.settings.clone();
        if function.revisions.last().is_none_or(|revision| revision.code != command.code) {
            function.revisions.push(Revision {
                code: command.code.clone(),
                estimates: BTreeMap::new(),
                probes: BTreeMap::new(),
            });
        }
        Ok((id, function.latest()))
    }

    pub(crate) fn put_alias(&mut self, id: FunctionId, alias: &Name, revision: u32) -> Result<(), Refusal> {
        let function = self.functions.get_mut(id.index()).filter(|f| !f.deleted).ok_or_else(|| unknown_function(id))?;
        if function.revision(revision).is_none() {
            return Err(Refusal::Unknown { what: "revision", name: format!("{}:{revision}", function.name) });
        }
        if alias.as_str() == LIVE {
            function.live = Some(revision);
        } else {
            function.aliases.insert(alias.clone(), revision);
        }
        Ok(())
    }

    pub(crate) fn delete_function(&mut self, id: FunctionId) -> Result<(), Refusal> {
        let function = self.functions.get_mut(id.index()).filter(|f| !f.deleted).ok_or_else(|| unknown_function(id))?;
        function.deleted = true;
        function.aliases.clear();
        function.live = None;
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

pub(crate) fn unknown_function(id: FunctionId) -> Refusal {
    Refusal::Unknown { what: "function", name: id.number().to_string() }
}

fn check_function(command: &PutFunction) -> Result<(), Refusal> {
    let (code, settings) = (&command.code, &command.settings);
    if !(1..=MEMORY_MAX_MB).contains(&code.memory_mb) {
        return Err(invalid("memory_mb", format!("{} is not within 1 to {MEMORY_MAX_MB}", code.memory_mb)));
    }
    if !(1..=TIMEOUT_MAX_MS).contains(&code.timeout_ms) {
        return Err(invalid("timeout_ms", format!("{} is not within 1 to {TIMEOUT_MAX_MS}", code.timeout_ms)));
    }
    if settings.max_concurrency == Some(0) {
        return Err(invalid("max_concurrency", "0 would let nothing run; leave it out for no limit"));
    }
    check_texts("environment", &code.environment)?;
    check_texts("labels", &settings.labels)?;
    settings.limits.check().map_err(|error| invalid("limits", error.to_string()))?;
    if settings.markets.len() > LABELS_MAX || code.deployments.len() > LABELS_MAX {
        return Err(invalid("markets", format!("at most {LABELS_MAX} markets and deployments")));
    }
    if let crate::Audience::Listed(names) = &settings.audience
        && names.len() > LABELS_MAX
    {
        return Err(invalid("providers", format!("at most {LABELS_MAX} providers")));
    }
    Ok(())
}
