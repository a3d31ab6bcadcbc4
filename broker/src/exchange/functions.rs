//! Functions in the registry: definitions, revisions, aliases and modules.

use std::collections::BTreeMap;
use std::error::Error;
use std::time::Duration;

use bytes::Bytes;
use futures_util::TryStreamExt;
use merit_proto::v1;
use merit_proto::v1::audience::Kind;
use merit_terms::{Budget, RefusalCode};
use tokio_stream::{Stream, StreamExt};

use super::accounts::{BudgetUse, budget_uses};
use super::clients::{Exchange, answer};
use crate::error::ApiError;

/// Timeout of each part of a module.
const CHUNK_WITHIN: Duration = Duration::from_secs(10);

/// A module that could not be read to its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ModuleReadError {
    #[error("the next part of the module did not come in time")]
    Timeout,
    #[error("the exchange could not send the module")]
    Exchange(#[source] Box<tonic::Status>),
}

/// A function as the registry has it.
#[derive(Debug, Default)]
pub(crate) struct Function {
    pub(crate) account: String,
    pub(crate) name: String,
    pub(crate) settings: FunctionSettings,
    /// Oldest first; numbers count from 1.
    pub(crate) revisions: Vec<Code>,
    pub(crate) aliases: BTreeMap<String, u32>,
    /// By alias.
    pub(crate) canaries: BTreeMap<String, Canary>,
    /// Revision of a call without a qualifier.
    pub(crate) live: u32,
    pub(crate) running: u32,
    pub(crate) spending: Vec<BudgetUse>,
}

/// A page of a list of functions. Of their revisions only the newest and the live one have their content.
#[derive(Debug)]
pub(crate) struct FunctionPage {
    pub(crate) functions: Vec<Function>,
    /// The name after which the next page begins, if there is one.
    pub(crate) next: Option<String>,
}

/// A revision.
#[derive(Clone, Debug, Default)]
pub(crate) struct Code {
    pub(crate) memory_mb: u32,
    pub(crate) timeout_ms: u32,
    pub(crate) environment: BTreeMap<String, String>,
    /// SHA-256 of the module; empty for none.
    pub(crate) module: Vec<u8>,
    /// Provider to target.
    pub(crate) deployments: BTreeMap<String, String>,
}

/// The settings that all revisions of a function share.
#[derive(Clone, Debug, Default)]
pub(crate) struct FunctionSettings {
    pub(crate) idempotent: bool,
    pub(crate) audience: Audience,
    pub(crate) markets: Vec<String>,
    pub(crate) max_concurrency: Option<u32>,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) limits: Option<FunctionLimits>,
    pub(crate) budgets: Vec<Budget>,
    /// Calls a second of a public function; none for one that is not public.
    pub(crate) public_per_second: Option<u32>,
    /// Set where the log of the function is neither kept nor told.
    pub(crate) logs_off: bool,
}

/// The providers that may run a function.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Audience {
    #[default]
    Own,
    Listed(Vec<String>),
    Any,
}

/// The limits that a function sets for all its calls. The exchange checks their texts.
#[derive(Clone, Debug, Default)]
pub(crate) struct FunctionLimits {
    /// Picodollars.
    pub(crate) max_cost: Option<u64>,
    /// Picodollars per GB-s.
    pub(crate) max_price: Option<u64>,
    pub(crate) max_latency_ms: Option<u32>,
    pub(crate) only: Vec<String>,
    pub(crate) ignore: Vec<String>,
    pub(crate) markets: Vec<String>,
    pub(crate) labels: Vec<(String, String)>,
}

/// The second revision of an alias.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Canary {
    pub(crate) revision: u32,
    /// Calls of a thousand that run it.
    pub(crate) weight: u32,
}

/// A provider that may run a module, and the module's readiness there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ProviderReadiness {
    pub(crate) provider: String,
    pub(crate) state: ReadinessState,
}

/// Readiness of a module at a provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ReadinessState {
    /// Not reported yet.
    Unknown,
    Ready,
    Warming {
        retry_after_s: u32,
    },
    Refused {
        reason: String,
    },
}

impl Exchange {
    /// Defines a function; other code makes a new revision.
    pub(crate) async fn put_function(
        &self,
        account: &str,
        name: String,
        code: Code,
        settings: FunctionSettings,
    ) -> Result<Function, ApiError> {
        let (code, settings) = (Some(code.into()), Some(settings.into()));
        let request = v1::PutFunctionRequest { account: account.to_owned(), name, code, settings };
        answer(self.registry.clone().put_function(request)).await?.try_into()
    }

    /// Defines a function by what `change` makes of the present one; none: there is no such function. Changes of an
    /// account go one at a time at this broker.
    pub(crate) async fn change_function(
        &self,
        account: &str,
        name: String,
        change: impl FnOnce(Option<Function>) -> Result<(Code, FunctionSettings), ApiError>,
    ) -> Result<Function, ApiError> {
        let _turn = self.turns.take(account).await?;
        let (code, settings) = change(self.find_function(account, &name).await?)?;
        self.put_function(account, name, code, settings).await
    }

    /// Returns a function of the account; none if there is no such function.
    pub(crate) async fn find_function(&self, account: &str, name: &str) -> Result<Option<Function>, ApiError> {
        let request = v1::GetFunctionRequest { account: account.to_owned(), name: name.to_owned() };
        match answer(self.registry.clone().get_function(request)).await {
            Ok(function) => function.try_into().map(Some),
            Err(error) if error.code == RefusalCode::NotFound.into() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Returns the calls a second of a public function. None for a function that is not public, or not there, or that
    /// has no name.
    pub(crate) async fn public_rate(&self, account: &str, name: &str) -> Result<Option<u32>, ApiError> {
        let request = v1::GetFunctionRequest { account: account.to_owned(), name: name.to_owned() };
        match answer(self.registry.clone().get_function(request)).await {
            Ok(function) => Ok(function.settings.and_then(|settings| settings.public_per_second)),
            Err(error) if matches!(error.status().as_u16(), 400 | 404 | 422) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Returns the account's functions after a name, in the order of names: at most `limit`, 1 to 1,000, or fewer where
    /// they are large.
    pub(crate) async fn functions(&self, account: &str, after: &str, limit: u32) -> Result<FunctionPage, ApiError> {
        let (account, after) = (account.to_owned(), after.to_owned());
        let request = v1::ListFunctionsRequest { account, after, limit, names_only: false };
        let listed = answer(self.registry.clone().list_functions(request)).await?;
        let functions = listed.functions.into_iter().map(Function::try_from).collect::<Result<_, _>>()?;
        Ok(FunctionPage { functions, next: Some(listed.next).filter(|next| !next.is_empty()) })
    }

    /// Deletes a function. Returns the sequence of the command.
    pub(crate) async fn delete_function(&self, account: &str, name: String) -> Result<u64, ApiError> {
        let request = v1::DeleteFunctionRequest { account: account.to_owned(), name: name.clone() };
        match answer(self.registry.clone().delete_function(request)).await {
            Ok(deleted) => Ok(deleted.sequence),
            Err(error) => Err(self.near_function(error, account, &name).await),
        }
    }

    pub(crate) async fn put_alias(
        &self,
        account: &str,
        name: String,
        alias: String,
        revision: u32,
        canary: Option<Canary>,
    ) -> Result<Function, ApiError> {
        let canary = canary.map(|canary| v1::Canary { revision: canary.revision, weight: canary.weight });
        let request = v1::PutAliasRequest { account: account.to_owned(), name: name.clone(), alias, revision, canary };
        match answer(self.registry.clone().put_alias(request)).await {
            Ok(function) => function.try_into(),
            Err(error) => Err(self.near_function(error, account, &name).await),
        }
    }

    /// Lists the providers that have reported on a revision's module and may run it, with its readiness there.
    pub(crate) async fn readiness(
        &self,
        account: &str,
        function: &str,
        revision: u32,
    ) -> Result<Vec<ProviderReadiness>, ApiError> {
        self.ask_readiness(account, function, revision, false).await
    }

    /// Asks up to 32 providers to which a call may go, cheapest first, to load a revision's module. Returns its
    /// readiness before they do.
    pub(crate) async fn warm(
        &self,
        account: &str,
        function: &str,
        revision: u32,
    ) -> Result<Vec<ProviderReadiness>, ApiError> {
        self.ask_readiness(account, function, revision, true).await
    }

    async fn ask_readiness(
        &self,
        account: &str,
        function: &str,
        revision: u32,
        warm: bool,
    ) -> Result<Vec<ProviderReadiness>, ApiError> {
        let (account, function) = (account.to_owned(), function.to_owned());
        let request = v1::GetReadinessRequest { account, function, revision, warm };
        let told = answer(self.modules.clone().get_readiness(request)).await?;
        Ok(told.providers.into_iter().map(Into::into).collect())
    }

    /// Keeps a module for the account. Returns its SHA-256.
    pub(crate) async fn put_module(&self, account: &str, module: Vec<u8>) -> Result<Vec<u8>, ApiError> {
        let request = v1::PutModuleRequest { module, account: account.to_owned() };
        Ok(answer(self.modules.clone().put(request)).await?.digest)
    }

    /// Returns the parts of the module with this digest, as they come; an error is the end.
    pub(crate) async fn module(
        &self,
        digest: Vec<u8>,
    ) -> Result<impl Stream<Item = Result<Bytes, ModuleReadError>> + use<>, ApiError> {
        let mut modules = self.modules.clone();
        let chunks = answer(modules.get(v1::GetModuleRequest { digest, permit: None })).await?;
        let read = chunks.timeout(CHUNK_WITHIN).map(|chunk| match chunk {
            Ok(Ok(chunk)) => Ok(chunk.data),
            Ok(Err(status)) => Err(ModuleReadError::Exchange(Box::new(status))),
            Err(_) => Err(ModuleReadError::Timeout),
        });
        Ok(read.inspect_err(|error| tracing::warn!(error = error as &dyn Error, "a module broke off for its reader")))
    }
}

impl TryFrom<v1::Function> for Function {
    type Error = ApiError;
    fn try_from(function: v1::Function) -> Result<Function, ApiError> {
        let canary = |canary: v1::Canary| Canary { revision: canary.revision, weight: canary.weight };
        Ok(Function {
            account: function.account,
            name: function.name,
            settings: function.settings.unwrap_or_default().try_into()?,
            revisions: function.revisions.into_iter().map(Into::into).collect(),
            aliases: function.aliases,
            canaries: function.canaries.into_iter().map(|(alias, of_alias)| (alias, canary(of_alias))).collect(),
            live: function.live,
            running: function.running,
            spending: budget_uses(&function.spending),
        })
    }
}

impl From<v1::ProviderReadiness> for ProviderReadiness {
    fn from(told: v1::ProviderReadiness) -> ProviderReadiness {
        let state = match told.readiness() {
            v1::ModuleReadiness::Unspecified => ReadinessState::Unknown,
            v1::ModuleReadiness::Ready => ReadinessState::Ready,
            v1::ModuleReadiness::Warming => ReadinessState::Warming { retry_after_s: told.retry_after_s },
            v1::ModuleReadiness::Refused => ReadinessState::Refused { reason: told.reason },
        };
        ProviderReadiness { provider: told.provider, state }
    }
}

fn newer_exchange() -> ApiError {
    ApiError::unavailable("the exchange is of a later release, and this broker cannot read the function; update it")
}

impl From<v1::Code> for Code {
    fn from(code: v1::Code) -> Code {
        let v1::Code { memory_mb, timeout_ms, environment, module, deployments } = code;
        Code { memory_mb, timeout_ms, environment, module, deployments }
    }
}

impl From<Code> for v1::Code {
    fn from(code: Code) -> v1::Code {
        let Code { memory_mb, timeout_ms, environment, module, deployments } = code;
        v1::Code { memory_mb, timeout_ms, environment, module, deployments }
    }
}

impl TryFrom<v1::FunctionSettings> for FunctionSettings {
    type Error = ApiError;
    /// Fails on a budget or an audience of a later exchange: written back without it, the function would lose it.
    fn try_from(settings: v1::FunctionSettings) -> Result<FunctionSettings, ApiError> {
        let audience = settings.audience.unwrap_or_default();
        let kind = Kind::try_from(audience.kind).map_err(|_| newer_exchange())?;
        let budgets: Result<Vec<Budget>, _> = settings.budgets.iter().map(Budget::try_from).collect();
        Ok(FunctionSettings {
            idempotent: settings.idempotent,
            audience: match kind {
                Kind::Any => Audience::Any,
                Kind::Listed => Audience::Listed(audience.providers),
                Kind::Own | Kind::Unspecified => Audience::Own,
            },
            markets: settings.markets,
            max_concurrency: settings.max_concurrency,
            labels: settings.labels,
            limits: settings.limits.map(Into::into),
            budgets: budgets.map_err(|_| newer_exchange())?,
            public_per_second: settings.public_per_second,
            logs_off: settings.logs_off,
        })
    }
}

impl From<FunctionSettings> for v1::FunctionSettings {
    fn from(settings: FunctionSettings) -> v1::FunctionSettings {
        let (kind, providers) = match settings.audience {
            Audience::Own => (Kind::Own, Vec::new()),
            Audience::Listed(providers) => (Kind::Listed, providers),
            Audience::Any => (Kind::Any, Vec::new()),
        };
        v1::FunctionSettings {
            idempotent: settings.idempotent,
            audience: Some(v1::Audience { kind: kind.into(), providers }),
            markets: settings.markets,
            max_concurrency: settings.max_concurrency,
            labels: settings.labels,
            limits: settings.limits.map(Into::into),
            budgets: settings.budgets.iter().map(Into::into).collect(),
            public_per_second: settings.public_per_second,
            logs_off: settings.logs_off,
        }
    }
}

impl From<v1::Limits> for FunctionLimits {
    fn from(limits: v1::Limits) -> FunctionLimits {
        let v1::Limits { max_cost, max_price, max_latency_ms, only, ignore, markets, labels } = limits;
        let labels = labels.into_iter().map(|label| (label.name, label.value)).collect();
        FunctionLimits { max_cost, max_price, max_latency_ms, only, ignore, markets, labels }
    }
}

impl From<FunctionLimits> for v1::Limits {
    fn from(limits: FunctionLimits) -> v1::Limits {
        let FunctionLimits { max_cost, max_price, max_latency_ms, only, ignore, markets, labels } = limits;
        let labels = labels.into_iter().map(|(name, value)| v1::Label { name, value }).collect();
        v1::Limits { max_cost, max_price, max_latency_ms, only, ignore, markets, labels }
    }
}

#[cfg(test)]
#[path = "../../tests/unit/exchange/functions.rs"]
mod tests;
