//! The operator's commands. Each returns the sequence of its command in the journal, 0 if it changed nothing.

use std::collections::BTreeMap;

use merit_proto::v1;
use merit_terms::{LeaseId, Money, Time};

use super::accounts::{AccountLimits, account_limits_message};
use super::clients::{Exchange, answer};
use super::markets::MarketTerms;
use super::providers::{ProviderKind, ProviderLimits};
use crate::error::ApiError;

/// The sequence of a command.
type Sequence = Result<u64, ApiError>;

/// An entry between two accounts that puts something right.
#[derive(Debug)]
pub(crate) struct Correction {
    pub(crate) refund: bool,
    pub(crate) from: String,
    pub(crate) to: String,
    pub(crate) amount: Money,
    pub(crate) about: Option<LeaseId>,
    pub(crate) reason: String,
}

/// The market's time beside the exchange's clock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ClockReport {
    pub(crate) at: Time,
    pub(crate) wall: Time,
    /// True while the clock was set and is not followed.
    pub(crate) refused: bool,
}

impl From<v1::ClockReport> for ClockReport {
    fn from(report: v1::ClockReport) -> ClockReport {
        let (at, wall) = (Time::from_micros(report.at), Time::from_micros(report.wall));
        ClockReport { at, wall, refused: report.refused }
    }
}

/// The free space of the exchange's disk, and the work that is refused for want of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DiskReport {
    pub(crate) free_bytes: u64,
    pub(crate) refuses_uploads: bool,
    pub(crate) refuses_definitions: bool,
    pub(crate) refuses_calls: bool,
}

impl Exchange {
    pub(crate) async fn create_market(&self, name: String) -> Sequence {
        accepted(self.operator.clone().create_market(v1::CreateMarketRequest { name })).await
    }

    pub(crate) async fn delete_market(&self, name: String) -> Sequence {
        let request = v1::DeleteMarketRequest { name: name.clone() };
        self.near_market(accepted(self.operator.clone().delete_market(request)).await, &name).await
    }

    pub(crate) async fn set_market(&self, name: String, terms: MarketTerms) -> Sequence {
        let request = v1::SetMarketRequest { name: name.clone(), terms: Some(terms.into()) };
        self.near_market(accepted(self.operator.clone().set_market(request)).await, &name).await
    }

    /// Reads the market's clock.
    pub(crate) async fn clock(&self) -> Result<ClockReport, ApiError> {
        Ok(answer(self.operator.clone().get_clock(v1::GetClockRequest {})).await?.into())
    }

    /// Reads the free space of the exchange's disk.
    pub(crate) async fn disk(&self) -> Result<DiskReport, ApiError> {
        let v1::DiskReport { free_bytes, refuses_uploads, refuses_definitions, refuses_calls } =
            answer(self.operator.clone().get_disk(v1::GetDiskRequest {})).await?;
        Ok(DiskReport { free_bytes, refuses_uploads, refuses_definitions, refuses_calls })
    }

    /// Follows a wall clock that was set.
    pub(crate) async fn accept_clock(&self) -> Result<ClockReport, ApiError> {
        Ok(answer(self.operator.clone().accept_clock(v1::AcceptClockRequest {})).await?.into())
    }

    pub(crate) async fn open_account(&self, id: String) -> Sequence {
        accepted(self.operator.clone().open_account(v1::OpenAccountRequest { id })).await
    }

    pub(crate) async fn deposit(&self, account: String, amount: Money) -> Sequence {
        accepted(self.operator.clone().deposit(v1::DepositRequest { account, amount: amount.picodollars() })).await
    }

    pub(crate) async fn payout(&self, account: String, amount: Money) -> Sequence {
        accepted(self.operator.clone().payout(v1::PayoutRequest { account, amount: amount.picodollars() })).await
    }

    pub(crate) async fn freeze_account(&self, account: String, frozen: bool) -> Sequence {
        accepted(self.operator.clone().freeze_account(v1::FreezeAccountRequest { account, frozen })).await
    }

    pub(crate) async fn limit_account(&self, account: String, limits: &AccountLimits) -> Sequence {
        accepted(
            self.operator.clone().set_account_limits(v1::SetAccountLimitsRequest {
                account,
                limits: Some(account_limits_message(limits)),
            }),
        )
        .await
    }

    pub(crate) async fn kill_provider(&self, provider: String, reason: String) -> Sequence {
        let request = v1::KillProviderRequest { provider: provider.clone(), reason };
        self.near_provider(accepted(self.operator.clone().kill_provider(request)).await, &provider).await
    }

    pub(crate) async fn revive_provider(&self, provider: String) -> Sequence {
        let request = v1::ReviveProviderRequest { provider: provider.clone() };
        self.near_provider(accepted(self.operator.clone().revive_provider(request)).await, &provider).await
    }

    pub(crate) async fn grant_labels(&self, provider: String, labels: BTreeMap<String, String>) -> Sequence {
        let request = v1::GrantLabelsRequest { provider: provider.clone(), labels };
        self.near_provider(accepted(self.operator.clone().grant_labels(request)).await, &provider).await
    }

    pub(crate) async fn close_lease(&self, lease: LeaseId) -> Sequence {
        accepted(self.operator.clone().close_lease(v1::CloseLeaseRequest { lease: Some(lease.into()) })).await
    }

    pub(crate) async fn correct(&self, entry: Correction) -> Sequence {
        let Correction { refund, from, to, amount, about, reason } = entry;
        let (amount, about) = (amount.picodollars(), about.map(Into::into));
        accepted(self.operator.clone().correct(v1::CorrectRequest { refund, from, to, amount, about, reason })).await
    }

    pub(crate) async fn register_provider(
        &self,
        name: String,
        account: String,
        kind: ProviderKind,
        labels: BTreeMap<String, String>,
    ) -> Sequence {
        let kind = match kind {
            ProviderKind::Own => v1::ProviderKind::Own,
            ProviderKind::Market => v1::ProviderKind::Market,
        };
        let request = v1::RegisterProviderRequest { name, account, kind: kind.into(), labels };
        accepted(self.operator.clone().register_provider(request)).await
    }

    pub(crate) async fn limit_provider(&self, provider: String, limits: ProviderLimits) -> Sequence {
        let ProviderLimits { offers, quotes_per_second, exposure } = limits;
        let limits = Some(v1::ProviderLimits { offers, quotes_per_second, exposure });
        let request = v1::SetProviderLimitsRequest { provider: provider.clone(), limits };
        self.near_provider(accepted(self.operator.clone().set_provider_limits(request)).await, &provider).await
    }
}

async fn accepted(
    command: impl Future<Output = Result<tonic::Response<v1::CommandAccepted>, tonic::Status>>,
) -> Sequence {
    Ok(answer(command).await?.sequence)
}
