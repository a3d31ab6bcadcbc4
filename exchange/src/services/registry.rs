//! `merit.v1.Registry`: functions, providers and accounts.

use merit_engine::{Account, Command, Engine, Function, ProviderKind, PutFunction, Reply};
use merit_proto::v1;
use merit_proto::v1::registry_server::Registry;
use merit_proto::{refusal_status, required};
use merit_terms::{AccountId, FunctionId, Name};
use tonic::{Request, Response, Status};

use super::{parse, unavailable, unknown};
use crate::codec::{code_from_proto, code_to_proto, kind_to_proto, settings_from_proto, settings_to_proto};
use crate::open::Exchange;

#[tonic::async_trait]
impl Registry for Exchange {
    async fn put_function(&self, request: Request<v1::PutFunctionRequest>) -> Result<Response<v1::Function>, Status> {
        let request = request.into_inner();
        let account = self.account_id(&request.account)?;
        let name: Name = parse("name", &request.name)?;
        let mut code = code_from_proto(required("code", request.code)?)?;
        match &code.module {
            Some(digest) if !self.0.modules.has(digest) => return Err(unknown("module", &hex::encode(digest))),
            Some(_) => {}
            None => code.module = self.0.sequencer.read(|engine| newest_module(engine, account, &name)),
        }
        let command = PutFunction {
            account,
            name,
            code,
            settings: settings_from_proto(required("settings", request.settings)?)?,
        };
        match self.command(&Command::PutFunction(Box::new(command))).await? {
            (Reply::Function { function, .. }, sequence) => self.answer(function, sequence),
            _ => Err(Status::internal("the registry answered something else than a function")),
        }
    }

    async fn get_function(&self, request: Request<v1::GetFunctionRequest>) -> Result<Response<v1::Function>, Status> {
        let request = request.into_inner();
        let account = self.account_id(&request.account)?;
        let function = self.function_id(account, &request.name)?;
        self.0.sequencer.read_durable(|_| ()).await.map_err(unavailable)?;
        self.answer(function, 0)
    }

    async fn list_functions(
        &self,
        request: Request<v1::ListFunctionsRequest>,
    ) -> Result<Response<v1::ListFunctionsResponse>, Status> {
        let account = self.account_id(&request.into_inner().account)?;
        let list = |engine: &Engine| {
            let own = engine.functions().filter(|(_, function)| function.account == account);
            own.map(|(_, function)| to_proto(engine, function, 0)).collect()
        };
        let functions = self.0.sequencer.read_durable(list).await.map_err(unavailable)?;
        Ok(Response::new(v1::ListFunctionsResponse { functions }))
    }

    async fn delete_function(
        &self,
        request: Request<v1::DeleteFunctionRequest>,
    ) -> Result<Response<v1::DeleteFunctionResponse>, Status> {
        let request = request.into_inner();
        let account = self.account_id(&request.account)?;
        let function = self.function_id(account, &request.name)?;
        let (_, sequence) = self.command(&Command::DeleteFunction { function }).await?;
        Ok(Response::new(v1::DeleteFunctionResponse { sequence }))
    }

    async fn put_alias(&self, request: Request<v1::PutAliasRequest>) -> Result<Response<v1::Function>, Status> {
        let request = request.into_inner();
        let account = self.account_id(&request.account)?;
        let function = self.function_id(account, &request.name)?;
        let alias = parse("alias", &request.alias)?;
        let command = Command::PutAlias { function, alias, revision: request.revision };
        let (_, sequence) = self.command(&command).await?;
        self.answer(function, sequence)
    }

    async fn list_providers(
        &self,
        request: Request<v1::ListProvidersRequest>,
    ) -> Result<Response<v1::ListProvidersResponse>, Status> {
        let account = self.account_id(&request.into_inner().account)?;
        let list = |engine: &Engine| providers(engine, account);
        let providers = self.0.sequencer.read_durable(list).await.map_err(unavailable)?;
        Ok(Response::new(v1::ListProvidersResponse { providers }))
    }

    async fn get_account(&self, request: Request<v1::GetAccountRequest>) -> Result<Response<v1::Account>, Status> {
        let id = self.account_id(&request.into_inner().id)?;
        let look = |engine: &Engine| engine.account(id).map(account_to_proto);
        let account = self.0.sequencer.read_durable(look).await.map_err(unavailable)?;
        account.map(Response::new).map_err(|refusal| refusal_status(&refusal))
    }

    async fn list_accounts(
        &self,
        _request: Request<v1::ListAccountsRequest>,
    ) -> Result<Response<v1::ListAccountsResponse>, Status> {
        let list = |engine: &Engine| v1::ListAccountsResponse {
            accounts: engine.accounts().map(|(_, account)| account_to_proto(account)).collect(),
            sum: engine.balance_sum().picodollars().to_string(),
        };
        self.0.sequencer.read_durable(list).await.map(Response::new).map_err(unavailable)
    }
}

impl Exchange {
    fn answer(&self, id: FunctionId, sequence: u64) -> Result<Response<v1::Function>, Status> {
        let look = |engine: &Engine| engine.function(id).map(|function| to_proto(engine, function, sequence));
        let function = self.0.sequencer.read(look);
        function.map(Response::new).ok_or_else(|| Status::internal("the function was registered and is not there"))
    }
}

/// The module of the newest revision: a function redefined without one keeps it.
fn newest_module(engine: &Engine, account: AccountId, name: &Name) -> Option<[u8; 32]> {
    let function = engine.function(engine.find_function(account, name)?)?;
    function.revisions.last()?.code.module
}

fn to_proto(engine: &Engine, function: &Function, sequence: u64) -> v1::Function {
    v1::Function {
        account: engine.account(function.account).map_or_else(|_| String::new(), |account| account.name.clone()),
        name: function.name.to_string(),
        settings: Some(settings_to_proto(&function.settings)),
        revisions: function.revisions.iter().map(|revision| code_to_proto(&revision.code)).collect(),
        aliases: function.aliases.iter().map(|(alias, revision)| (alias.to_string(), *revision)).collect(),
        live: function.resolve(&merit_engine::Qualifier::Live).unwrap_or(0),
        running: function.running,
        sequence,
    }
}

fn account_to_proto(account: &Account) -> v1::Account {
    v1::Account {
        id: account.name.clone(),
        balance: account.balance.picodollars().to_string(),
        held: account.held.to_string(),
    }
}

/// Who sells; own providers are seen by their account only.
fn providers(engine: &Engine, viewer: AccountId) -> Vec<v1::Provider> {
    let mut offers = vec![0_u32; engine.providers().count()];
    for (market, _) in engine.markets() {
        for offer in engine.book(market) {
            offers[offer.provider.index()] += 1;
        }
    }
    let visible = engine.providers().filter(|(_, p)| p.kind == ProviderKind::Market || p.account == viewer);
    visible
        .map(|(id, provider)| v1::Provider {
            name: provider.name.to_string(),
            account: engine.account(provider.account).map_or_else(|_| String::new(), |account| account.name.clone()),
            kind: kind_to_proto(provider.kind).into(),
            online: provider.online,
            labels: provider.labels.clone(),
            pools: engine
                .pools(id)
                .iter()
                .map(|pool| v1::Pool {
                    size: Some((&pool.size).into()),
                    leased_mb: pool.leased_mb,
                    leases: pool.leases,
                })
                .collect(),
            offers: offers[id.index()],
        })
        .collect()
}
