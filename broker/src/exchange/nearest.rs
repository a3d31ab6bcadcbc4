//! "Did you mean": the nearest known name, added to the error that there is none of the name that was asked for.
//!
//! Asks only after something was not found, and only for names that the caller may see.

use std::fmt;
use std::time::Duration;

use merit_proto::v1;
use merit_terms::{Name, RefusalCode};
use serde::Serialize;

use super::clients::{Exchange, answer};
use crate::error::ApiError;

/// Largest distance of a name that is told: changed, left out, added or swapped letters.
const DISTANCE_MAX: usize = 2;
/// Timeout of a lookup.
const LOOKUP_WITHIN: Duration = Duration::from_millis(500);

/// A name that no provider has.
#[derive(Debug, Serialize)]
pub(crate) struct UnknownProvider {
    name: String,
    nearest: Option<String>,
}

impl fmt::Display for UnknownProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "there is no provider `{}`", self.name)?;
        self.nearest.as_ref().map_or(Ok(()), |nearest| write!(f, "; did you mean `{nearest}`?"))
    }
}

impl Exchange {
    /// Adds the account's nearest function to the error that it has none of this name.
    pub(crate) async fn near_function(&self, error: ApiError, account: &str, name: &str) -> ApiError {
        self.near(error, name, async {
            let request = v1::ListFunctionsRequest {
                account: account.to_owned(),
                names_only: true,
                ..v1::ListFunctionsRequest::default()
            };
            let listed = answer(self.registry.clone().list_functions(request)).await?;
            Ok(listed.functions.into_iter().map(|function| function.name).collect())
        })
        .await
    }

    /// Adds the nearest provider to an operator's error that there is none of this name.
    pub(super) async fn near_provider<T>(&self, done: Result<T, ApiError>, name: &str) -> Result<T, ApiError> {
        match done {
            Ok(done) => Ok(done),
            Err(error) => {
                let all = v1::ListProvidersRequest { names_only: true, all: true, ..Default::default() };
                Err(self.near(error, name, self.provider_names(all)).await)
            }
        }
    }

    /// Returns each name in `asked` that no provider has which the account may see, with the nearest name. Names in
    /// `seen` have one. Returns none if the list does not come in time, or if too many lookups run.
    pub(crate) async fn unknown_providers<'a>(
        &self,
        account: &str,
        asked: &[Name],
        seen: impl Iterator<Item = &'a str> + Clone,
    ) -> Vec<UnknownProvider> {
        let unseen = asked.iter().filter(|name| !seen.clone().any(|seen| seen == name.as_str()));
        let unseen: Vec<&Name> = unseen.collect();
        if unseen.is_empty() {
            return Vec::new();
        }
        let Ok(_permit) = self.lookups.try_acquire() else { return Vec::new() };
        let seen = v1::ListProvidersRequest { account: account.to_owned(), names_only: true, all: false };
        let listing = Box::pin(self.provider_names(seen));
        let Ok(Ok(known)) = tokio::time::timeout(LOOKUP_WITHIN, listing).await else { return Vec::new() };
        let unknown = unseen.into_iter().filter(|name| !known.iter().any(|known| known == name.as_str()));
        let of_name = |name: &Name| UnknownProvider {
            name: name.to_string(),
            nearest: nearest(name.as_str(), &known).map(str::to_owned),
        };
        unknown.map(of_name).collect()
    }

    async fn provider_names(&self, request: v1::ListProvidersRequest) -> Result<Vec<String>, ApiError> {
        let listed = answer(self.registry.clone().list_providers(request)).await?;
        Ok(listed.providers.into_iter().map(|provider| provider.name).collect())
    }

    /// Adds the nearest market to the error that there is none of this name.
    pub(super) async fn near_market<T>(&self, done: Result<T, ApiError>, name: &str) -> Result<T, ApiError> {
        let known = async {
            let listed = answer(self.market_data.clone().list_markets(v1::ListMarketsRequest {})).await?;
            Ok(listed.markets.into_iter().map(|market| market.name).collect())
        };
        match done {
            Ok(done) => Ok(done),
            Err(error) => Err(self.near(error, name, known).await),
        }
    }

    async fn near(
        &self,
        mut error: ApiError,
        name: &str,
        known: impl Future<Output = Result<Vec<String>, ApiError>>,
    ) -> ApiError {
        if error.code != RefusalCode::NotFound.into() {
            return error;
        }
        let Ok(_permit) = self.lookups.try_acquire() else { return error };
        // Boxed: the future of every call would be larger by it.
        let Ok(Ok(known)) = tokio::time::timeout(LOOKUP_WITHIN, Box::pin(known)).await else { return error };
        if let Some(nearest) = nearest(name, &known) {
            error.message.push_str(&format!("; did you mean `{nearest}`?"));
        }
        error
    }
}

/// Returns the nearest of the `known` names, if it is near enough; none for a name that is known.
fn nearest<'a>(name: &str, known: &'a [String]) -> Option<&'a str> {
    if known.iter().any(|known| known == name) {
        return None;
    }
    let near = known.iter().filter(|known| known.len().abs_diff(name.len()) <= DISTANCE_MAX);
    let (distance, nearest) = near.map(|known| (strsim::damerau_levenshtein(known, name), known.as_str())).min()?;
    // Of a short name nothing would be left.
    (distance <= DISTANCE_MAX && distance < name.len()).then_some(nearest)
}

#[cfg(test)]
#[path = "../../tests/unit/exchange/nearest.rs"]
mod tests;
