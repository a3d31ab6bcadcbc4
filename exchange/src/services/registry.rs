//! `merit.v1.Registry`: functions, markets, providers and accounts.
//!
//! Never tells of another account's functions.

use merit_engine::{Command, Engine, Function, PutFunction, Reply, SpendingOf};
use merit_proto::v1;
use merit_proto::v1::registry_server::Registry;
use merit_proto::{refusal_status, required};
use merit_terms::{AccountId, FunctionId, Name, Role};
use tonic::{Request, Response, Status};

use super::lookup::{parse, unavailable, unknown};
use super::standing::{account_to_proto, budgets_to_proto, provider_names_to_proto, providers_to_proto};
use crate::access::caller;
use crate::exchange::Exchange;
use crate::messages::{
    canary_from_proto, canary_to_proto, code_from_proto, code_to_proto, settings_from_proto, settings_to_proto,
    targets_from_proto,
};

#[tonic::async_trait]
impl Registry for Exchange {
    async fn put_function(&self, request: Request<v1::PutFunctionRequest>) -> Result<Response<v1::Function>, Status> {
        let caller = caller(&request)?;
        let request = request.into_inner();
        let account = self.own_account(caller, &request.account)?;
        let name: Name = parse("name", &request.name)?;
        let mut code = code_from_proto(required("code", request.code)?)?;
        match &code.module {
            Some(digest) if !self.may_define_with(account, digest) => {
                return Err(unknown("module", &hex::encode(digest)));
            }
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
        let caller = caller(&request)?;
        let request = request.into_inner();
        let account = self.readable_account(caller, &request.account);
        let found = account.and_then(|account| self.function_id(account, &request.name));
        // A missing function takes as long as another account's: the time tells nothing.
        self.0.sequencer.read_durable(|_| ()).await.map_err(unavailable)?;
        self.answer(found?, 0)
    }

    async fn list_functions(
        &self,
        request: Request<v1::ListFunctionsRequest>,
    ) -> Result<Response<v1::ListFunctionsResponse>, Status> {
        let caller = caller(&request)?;
        let account = self.readable_account(caller, &request.into_inner().account)?;
        let list = |engine: &Engine| {
            let own = engine.functions().filter(|(_, function)| function.account == account);
            own.map(|(id, function)| to_proto(engine, id, function, 0)).collect()
        };
        let functions = self.0.sequencer.read_durable(list).await.map_err(unavailable)?;
        Ok(Response::new(v1::ListFunctionsResponse { functions }))
    }

    async fn delete_function(
        &self,
        request: Request<v1::DeleteFunctionRequest>,
    ) -> Result<Response<v1::DeleteFunctionResponse>, Status> {
        let caller = caller(&request)?;
        let request = request.into_inner();
        let account = self.own_account(caller, &request.account)?;
        let function = self.function_id(account, &request.name)?;
        let (_, sequence) = self.command(&Command::DeleteFunction { function }).await?;
        Ok(Response::new(v1::DeleteFunctionResponse { sequence }))
    }

    async fn put_alias(&self, request: Request<v1::PutAliasRequest>) -> Result<Response<v1::Function>, Status> {
        let caller = caller(&request)?;
        let request = request.into_inner();
        let account = self.own_account(caller, &request.account)?;
        let function = self.function_id(account, &request.name)?;
        let alias = parse("alias", &request.alias)?;
        let canary = request.canary.map(canary_from_proto);
        let command = Command::PutAlias { function, alias, revision: request.revision, canary };
        let (_, sequence) = self.command(&command).await?;
        self.answer(function, sequence)
    }

    async fn list_providers(
        &self,
        request: Request<v1::ListProvidersRequest>,
    ) -> Result<Response<v1::ListProvidersResponse>, Status> {
        let caller = caller(&request)?;
        let request = request.into_inner();
        let viewer = match request.account.as_str() {
            "" => None,
            account => Some(self.readable_account(caller, account)?),
        };
        let list = |engine: &Engine| match request.names_only {
            true => provider_names_to_proto(engine, viewer),
            false => providers_to_proto(engine, viewer),
        };
        let mut providers = self.0.sequencer.read_durable(list).await.map_err(unavailable)?;
        // A pattern may name a host inside its owner's network.
        let reads_all = caller.is_operator() || caller.has(Role::Broker);
        let others = providers.iter_mut().filter(|provider| !reads_all && provider.account != request.account);
        others.for_each(|provider| provider.targets.clear());
        Ok(Response::new(v1::ListProvidersResponse { providers }))
    }

    async fn set_targets(
        &self,
        request: Request<v1::SetTargetsRequest>,
    ) -> Result<Response<v1::SetTargetsResponse>, Status> {
        let caller = caller(&request)?;
        let v1::SetTargetsRequest { account, provider: name, targets } = request.into_inner();
        let owner = match account.as_str() {
            "" if caller.is_operator() || caller.has(Role::Broker) => None,
            "" => caller.account(),
            account => Some(self.own_account(caller, account)?),
        };
        let provider = self.provider_id(&name)?;
        let account = self.0.sequencer.read(|engine| engine.provider(provider).map(|provider| provider.account));
        if owner.is_some() && owner != account {
            return Err(unknown("provider", &name));
        }
        let targets = targets_from_proto(&required("targets", targets)?)?;
        let (_, sequence) = self.command(&Command::SetTargets { provider, targets }).await?;
        Ok(Response::new(v1::SetTargetsResponse { sequence }))
    }

    async fn get_account(&self, request: Request<v1::GetAccountRequest>) -> Result<Response<v1::Account>, Status> {
        let caller = caller(&request)?;
        let id = self.readable_account(caller, &request.into_inner().id)?;
        let look = |engine: &Engine| engine.account(id).map(|account| account_to_proto(engine, id, account));
        let account = self.0.sequencer.read_durable(look).await.map_err(unavailable)?;
        account.map(Response::new).map_err(|refusal| refusal_status(&refusal))
    }

    async fn list_accounts(
        &self,
        _request: Request<v1::ListAccountsRequest>,
    ) -> Result<Response<v1::ListAccountsResponse>, Status> {
        let list = |engine: &Engine| v1::ListAccountsResponse {
            accounts: engine.accounts().map(|(id, account)| account_to_proto(engine, id, account)).collect(),
            sum: engine.balance_sum().picodollars().to_string(),
        };
        self.0.sequencer.read_durable(list).await.map(Response::new).map_err(unavailable)
    }
}

impl Exchange {
    fn answer(&self, id: FunctionId, sequence: u64) -> Result<Response<v1::Function>, Status> {
        let look = |engine: &Engine| engine.function(id).map(|function| to_proto(engine, id, function, sequence));
        let function = self.0.sequencer.read(look);
        function.map(Response::new).ok_or_else(|| Status::internal("the function was registered and is not there"))
    }
}

/// Finds the module of the newest revision: a function redefined without one keeps it.
fn newest_module(engine: &Engine, account: AccountId, name: &Name) -> Option<[u8; 32]> {
    let function = engine.function(engine.find_function(account, name)?)?;
    function.revisions.last()?.code.module
}

fn to_proto(engine: &Engine, id: FunctionId, function: &Function, sequence: u64) -> v1::Function {
    let canaries = function.canaries.iter();
    v1::Function {
        account: engine.account(function.account).map_or_else(|_| String::new(), |account| account.name.clone()),
        name: function.name.to_string(),
        settings: Some(settings_to_proto(&function.settings)),
        revisions: function.revisions.iter().map(|revision| code_to_proto(&revision.code)).collect(),
        aliases: function.aliases.iter().map(|(alias, revision)| (alias.to_string(), *revision)).collect(),
        live: function.resolve(&merit_engine::Qualifier::Live).unwrap_or(0),
        canaries: canaries.map(|(alias, canary)| (alias.to_string(), canary_to_proto(*canary))).collect(),
        running: function.running,
        sequence,
        spending: budgets_to_proto(engine, SpendingOf::Function(id), &function.settings.budgets),
    }
}
