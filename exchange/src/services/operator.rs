//! `merit.v1.Operator`: each call is one journaled command.

use merit_engine::{Command, RegisterProvider};
use merit_proto::v1;
use merit_proto::v1::operator_server::Operator;
use merit_terms::Money;
use tonic::{Request, Response, Status};

use super::parse;
use crate::codec::kind_from_proto;
use crate::open::Exchange;

#[tonic::async_trait]
impl Operator for Exchange {
    async fn create_market(
        &self,
        request: Request<v1::CreateMarketRequest>,
    ) -> Result<Response<v1::CommandAccepted>, Status> {
        let name = parse("name", &request.into_inner().name)?;
        self.accept(Command::CreateMarket { name }).await
    }

    async fn open_account(
        &self,
        request: Request<v1::OpenAccountRequest>,
    ) -> Result<Response<v1::CommandAccepted>, Status> {
        let name = parse("id", &request.into_inner().id)?;
        self.accept(Command::OpenAccount { name }).await
    }

    async fn deposit(&self, request: Request<v1::DepositRequest>) -> Result<Response<v1::CommandAccepted>, Status> {
        let request = request.into_inner();
        let account = self.account_id(&request.account)?;
        let amount = Money::from_picodollars(request.amount)
            .ok_or_else(|| Status::invalid_argument(format!("amount: at most {} USD at once", Money::MAX)))?;
        self.accept(Command::Deposit { account, amount }).await
    }

    async fn register_provider(
        &self,
        request: Request<v1::RegisterProviderRequest>,
    ) -> Result<Response<v1::CommandAccepted>, Status> {
        let request = request.into_inner();
        let kind = kind_from_proto(request.kind())?;
        let account = self.account_id(&request.account)?;
        let name = parse("name", &request.name)?;
        self.accept(Command::RegisterProvider(RegisterProvider { name, account, kind, labels: request.labels })).await
    }

    async fn set_fee(&self, request: Request<v1::SetFeeRequest>) -> Result<Response<v1::CommandAccepted>, Status> {
        self.accept(Command::SetFee { basis_points: request.into_inner().basis_points }).await
    }
}

impl Exchange {
    async fn accept(&self, command: Command) -> Result<Response<v1::CommandAccepted>, Status> {
        let (_, sequence) = self.command(&command).await?;
        Ok(Response::new(v1::CommandAccepted { sequence }))
    }
}
