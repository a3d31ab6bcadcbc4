//! Functions with their revisions and aliases.

use std::collections::BTreeMap;

use merit_engine::{Audience, Canary, Code, FunctionSettings, LIVE, ProviderKind, PutFunction, Qualifier, Reply};
use merit_terms::{AccountId, FunctionId, MEMORY_MAX_MB, Name, Refusal, TIMEOUT_MAX_MS};

use super::accounts::check_budgets;
use super::learning::Learned;
use super::{Twin, check_texts, invalid, unknown};

#[derive(Clone, Debug)]
pub(crate) struct Function {
    pub(crate) account: AccountId,
    pub(crate) name: Name,
    pub(crate) settings: FunctionSettings,
    pub(crate) revisions: Vec<Revision>,
    pub(crate) aliases: BTreeMap<Name, u32>,
    pub(crate) live: Option<u32>,
    pub(crate) canaries: BTreeMap<Name, Canary>,
    pub(crate) deleted: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct Revision {
    pub(crate) code: Code,
    /// Estimates of the revision at each provider, the longest untouched first.
    pub(super) learned: Learned,
}

impl Twin {
    pub(super) fn put_function(&mut self, put: &PutFunction) -> Result<Reply, Refusal> {
        self.account(put.account)?;
        check(put)?;
        self.check_deployments(put)?;
        let same_name = |function: &Function| function.account == put.account && function.name == put.name;
        let index = self.functions.iter().position(same_name).unwrap_or(self.functions.len());
        if index == self.functions.len() {
            self.functions.push(Function {
                account: put.account,
                name: put.name.clone(),
                settings: put.settings.clone(),
                revisions: Vec::new(),
                aliases: BTreeMap::new(),
                live: None,
                canaries: BTreeMap::new(),
                deleted: false,
            });
        }
        let function = &mut self.functions[index];
        function.deleted = false;
        function.settings = put.settings.clone();
        if function.revisions.last().map(|revision| &revision.code) != Some(&put.code) {
            function.revisions.push(Revision { code: put.code.clone(), learned: Learned::default() });
        }
        let revision = function.revisions.len() as u32;
        self.wake_account(put.account, "woken by a function");
        Ok(Reply::Function { function: FunctionId::new(index as u32), revision })
    }

    /// Refuses targets that their providers' owners do not allow, unless the newest revision has them. Sees market
    /// providers and those of the account, once they have logged on.
    fn check_deployments(&self, put: &PutFunction) -> Result<(), Refusal> {
        let newest = self.functions.iter().find(|known| known.account == put.account && known.name == put.name);
        let newest = newest.and_then(|known| known.revisions.last());
        for (name, target) in &put.code.deployments {
            if newest.is_some_and(|newest| newest.code.deployments.get(name) == Some(target)) {
                continue;
            }
            for provider in self.providers.iter().filter(|provider| provider.name == *name && provider.session > 0) {
                let seen = provider.kind == ProviderKind::Market || provider.account == put.account;
                if seen && !provider.allows_target(target) {
                    return Err(invalid(&format!("deployments.{name}")));
                }
            }
        }
        Ok(())
    }

    fn function_mut(&mut self, id: FunctionId) -> Result<&mut Function, Refusal> {
        match self.functions.get_mut(id.index()) {
            Some(function) if !function.deleted => Ok(function),
            _ => Err(unknown("function", id.number())),
        }
    }

    pub(super) fn delete_function(&mut self, id: FunctionId) -> Result<(), Refusal> {
        let function = self.function_mut(id)?;
        function.deleted = true;
        function.aliases.clear();
        function.live = None;
        function.canaries.clear();
        Ok(())
    }

    pub(super) fn put_alias(
        &mut self,
        id: FunctionId,
        alias: &Name,
        revision: u32,
        canary: Option<Canary>,
    ) -> Result<(), Refusal> {
        let function = self.function_mut(id)?;
        function.resolve(&Qualifier::Revision(revision))?;
        if let Some(canary) = canary {
            function.resolve(&Qualifier::Revision(canary.revision))?;
            if canary.weight > 1_000 || canary.revision == revision {
                return Err(invalid("weights"));
            }
        }
        function.canaries.retain(|name, _| name != alias);
        function.canaries.extend(canary.map(|canary| (alias.clone(), canary)));
        if alias.as_str() == LIVE {
            function.live = Some(revision);
        } else {
            function.aliases.insert(alias.clone(), revision);
        }
        Ok(())
    }
}

/// Spreads the number of a call over a thousand parts by splitmix64.
fn part_of_a_thousand(call: u64) -> u64 {
    let step = |mixed: u64, shift: u32, factor: u64| (mixed ^ (mixed >> shift)).wrapping_mul(factor);
    let mixed = call.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = step(step(mixed, 30, 0xbf58_476d_1ce4_e5b9), 27, 0x94d0_49bb_1331_11eb);
    let spread = u128::from(step(mixed, 31, 1));
    (spread * 1_000 / (1 << 64)) as u64
}

impl Function {
    /// Returns the revision of one call: now and then the canary's.
    pub(crate) fn drawn(&self, qualifier: &Qualifier, call: u64) -> Result<u32, Refusal> {
        let alias = match qualifier {
            Qualifier::Live => LIVE,
            Qualifier::Alias(alias) => alias.as_str(),
            Qualifier::Revision(_) => "",
        };
        match self.canaries.iter().find(|(name, _)| name.as_str() == alias) {
            Some((_, canary)) if part_of_a_thousand(call) < u64::from(canary.weight) => Ok(canary.revision),
            _ => self.resolve(qualifier),
        }
    }

    /// Returns the number of the revision asked for. Revisions count from 1; `live` is the newest until it is put.
    pub(crate) fn resolve(&self, qualifier: &Qualifier) -> Result<u32, Refusal> {
        let newest = self.revisions.len() as u32;
        let (what, name, number) = match qualifier {
            Qualifier::Live => ("revision", String::new(), self.live.or(Some(newest))),
            Qualifier::Alias(alias) if alias.as_str() == LIVE => return self.resolve(&Qualifier::Live),
            Qualifier::Alias(alias) => ("alias", alias.to_string(), self.aliases.get(alias).copied()),
            Qualifier::Revision(number) => {
                ("revision", number.to_string(), Some(*number).filter(|number| (1..=newest).contains(number)))
            }
        };
        number.ok_or_else(|| Refusal::Unknown { what, name: format!("{}:{name}", self.name) })
    }
}

fn check(put: &PutFunction) -> Result<(), Refusal> {
    let (code, settings) = (&put.code, &put.settings);
    let listed = match &settings.audience {
        Audience::Listed(names) => names.len(),
        Audience::Own | Audience::Any => 0,
    };
    let refused = |wrong: &[(&str, bool)]| {
        wrong.iter().find(|(_, wrong)| *wrong).map_or(Ok(()), |(field, _)| Err(invalid(field)))
    };
    refused(&[
        ("memory_mb", code.memory_mb == 0 || code.memory_mb > MEMORY_MAX_MB),
        ("timeout_ms", code.timeout_ms == 0 || code.timeout_ms > TIMEOUT_MAX_MS),
        ("max_concurrency", settings.max_concurrency == Some(0)),
        ("public.requests_per_second", settings.public_per_second.is_some_and(|rate| rate == 0 || rate > 10_000)),
    ])?;
    check_texts("environment", &code.environment)?;
    check_texts("labels", &settings.labels)?;
    refused(&[("limits", settings.limits.check().is_err())])?;
    check_budgets(&settings.budgets)?;
    refused(&[("markets", settings.markets.len() > 64 || code.deployments.len() > 64), ("providers", listed > 64)])
}
