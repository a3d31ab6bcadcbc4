//! `merit.v1.Operator`: each call is one journaled command.
//!
//! Never decides whether a command is allowed: the guard and the engine do.

use merit_engine::{Command, Correction, CorrectionKind, RegisterProvider};
use merit_proto::required;
use merit_proto::v1;
use merit_proto::v1::operator_server::Operator;
use merit_terms::AccountId;
use tonic::{Request, Response, Status};

use super::lookup::{parse, unknown};
use crate::clock::ClockReport;
use crate::disk_space::{DiskReport, Growth};
use crate::error_chain::chain;
use crate::exchange::Exchange;
use crate::messages::{
    account_limits_from_proto, kind_from_proto, market_terms_from_proto, money, provider_limits_from_proto,
};

fn clock_report_to_proto(report: ClockReport) -> v1::ClockReport {
    v1::ClockReport { at: report.at.micros(), wall: report.wall.micros(), refused: report.is_refused }
}

type Accepted = Result<Response<v1::CommandAccepted>, Status>;

#[tonic::async_trait]
impl Operator for Exchange {
    async fn create_market(&self, request: Request<v1::CreateMarketRequest>) -> Accepted {
        let name = parse("name", &request.into_inner().name)?;
        self.accept(Command::CreateMarket { name }).await
    }

    async fn set_market(&self, request: Request<v1::SetMarketRequest>) -> Accepted {
        let request = request.into_inner();
        let market = self.market_id(&request.name)?;
        let terms = market_terms_from_proto(&required("terms", request.terms)?)?;
        self.accept(Command::SetMarket { market, terms }).await
    }

    async fn delete_market(&self, request: Request<v1::DeleteMarketRequest>) -> Accepted {
        let market = self.market_id(&request.into_inner().name)?;
        self.accept(Command::DeleteMarket { market }).await
    }

    async fn open_account(&self, request: Request<v1::OpenAccountRequest>) -> Accepted {
        let name = parse("id", &request.into_inner().id)?;
        self.accept(Command::OpenAccount { name }).await
    }

    async fn deposit(&self, request: Request<v1::DepositRequest>) -> Accepted {
        let request = request.into_inner();
        let account = self.account_id(&request.account)?;
        self.accept(Command::Deposit { account, amount: money("amount", request.amount)? }).await
    }

    async fn payout(&self, request: Request<v1::PayoutRequest>) -> Accepted {
        let request = request.into_inner();
        let account = self.account_id(&request.account)?;
        self.accept(Command::Payout { account, amount: money("amount", request.amount)? }).await
    }

    async fn correct(&self, request: Request<v1::CorrectRequest>) -> Accepted {
        let request = request.into_inner();
        let correction = Correction {
            kind: if request.refund { CorrectionKind::Refund } else { CorrectionKind::Correction },
            from: self.any_account_id(&request.from)?,
            to: self.any_account_id(&request.to)?,
            amount: money("amount", request.amount)?,
            about: request.about.map(Into::into),
            reason: request.reason,
        };
        self.accept(Command::Correct(Box::new(correction))).await
    }

    async fn freeze_account(&self, request: Request<v1::FreezeAccountRequest>) -> Accepted {
        let request = request.into_inner();
        let account = self.account_id(&request.account)?;
        self.accept(Command::FreezeAccount { account, frozen: request.frozen }).await
    }

    async fn set_account_limits(&self, request: Request<v1::SetAccountLimitsRequest>) -> Accepted {
        let request = request.into_inner();
        let account = self.account_id(&request.account)?;
        let limits = account_limits_from_proto(&required("limits", request.limits)?)?;
        self.accept(Command::SetAccountLimits { account, limits }).await
    }

    async fn register_provider(&self, request: Request<v1::RegisterProviderRequest>) -> Accepted {
        let request = request.into_inner();
        let kind = kind_from_proto(request.kind())?;
        let account = self.account_id(&request.account)?;
        let name = parse("name", &request.name)?;
        self.accept(Command::RegisterProvider(RegisterProvider { name, account, kind, labels: request.labels })).await
    }

    async fn set_provider_limits(&self, request: Request<v1::SetProviderLimitsRequest>) -> Accepted {
        let request = request.into_inner();
        let provider = self.provider_id(&request.provider)?;
        let limits = provider_limits_from_proto(&required("limits", request.limits)?)?;
        self.accept(Command::SetProviderLimits { provider, limits }).await
    }

    async fn grant_labels(&self, request: Request<v1::GrantLabelsRequest>) -> Accepted {
        let request = request.into_inner();
        let provider = self.provider_id(&request.provider)?;
        self.accept(Command::GrantLabels { provider, labels: request.labels }).await
    }

    async fn kill_provider(&self, request: Request<v1::KillProviderRequest>) -> Accepted {
        let request = request.into_inner();
        let provider = self.provider_id(&request.provider)?;
        self.accept(Command::Kill { provider, reason: request.reason }).await
    }

    async fn revive_provider(&self, request: Request<v1::ReviveProviderRequest>) -> Accepted {
        let provider = self.provider_id(&request.into_inner().provider)?;
        self.accept(Command::Revive { provider }).await
    }

    async fn get_clock(&self, _: Request<v1::GetClockRequest>) -> Result<Response<v1::ClockReport>, Status> {
        Ok(Response::new(clock_report_to_proto(self.0.sequencer.clock().report())))
    }

    async fn accept_clock(&self, _: Request<v1::AcceptClockRequest>) -> Result<Response<v1::ClockReport>, Status> {
        let report = self.accept_clock_step().map_err(|error| Status::internal(chain(&error)))?;
        tracing::warn!(market = report.at.to_string(), clock = report.wall.to_string(), "the clock was accepted");
        Ok(Response::new(clock_report_to_proto(report)))
    }

    async fn get_disk(&self, _: Request<v1::GetDiskRequest>) -> Result<Response<v1::DiskReport>, Status> {
        let DiskReport { free, refused } = self.0.disk.report();
        let refuses = |growth| refused.is_some_and(|refused| refused <= growth);
        Ok(Response::new(v1::DiskReport {
            free_bytes: free,
            refuses_uploads: refuses(Growth::Uploads),
            refuses_definitions: refuses(Growth::Definitions),
            refuses_calls: refuses(Growth::Calls),
        }))
    }

    async fn set_fee(&self, request: Request<v1::SetFeeRequest>) -> Accepted {
        self.accept(Command::SetFee { basis_points: request.into_inner().basis_points }).await
    }

    async fn close_lease(&self, request: Request<v1::CloseLeaseRequest>) -> Accepted {
        let lease = required("lease", request.into_inner().lease)?.into();
        self.accept(Command::CloseLease { lease }).await
    }
}

impl Exchange {
    async fn accept(&self, command: Command) -> Accepted {
        let (_, sequence) = self.command(&command).await?;
        Ok(Response::new(v1::CommandAccepted { sequence }))
    }

    /// Finds an account, also one of the exchange's own.
    fn any_account_id(&self, name: &str) -> Result<AccountId, Status> {
        self.0.sequencer.read(|engine| engine.find_account(name)).ok_or_else(|| unknown("account", name))
    }
}
