//! `merit.v1.Registry`: functions, markets, providers and accounts.
//!
//! Never tells of another account's functions.

use merit_engine::{Command, Engine, Function, PutFunction, Reply, SpendingOf, Viewer};
use merit_proto::v1;
use merit_proto::v1::registry_server::Registry;
use merit_proto::{refusal_status, required};
use merit_terms::{AccountId, FunctionId, Name, Refusal, Role};
use prost::Message;
use tonic::{Request, Response, Status};

use super::lookup::{parse, unavailable, unknown};
use super::standing::{account_to_proto, budgets_to_proto, provider_names_to_proto, providers_to_proto};
use crate::access::caller;
use crate::disk_space::Growth;
use crate::exchange::Exchange;
use crate::messages::{
    canary_from_proto, canary_to_proto, code_from_proto, code_to_proto, settings_from_proto, settings_to_proto,
    targets_from_proto,
};

/// Most functions on a page.
const FUNCTIONS_MAX: u32 = 1_000;
/// Functions on a page whose request has no limit.
const FUNCTIONS_DEFAULT: u32 = 100;
/// Size at which a page of functions ends, in bytes.
const PAGE_MAX_BYTES: usize = 1 << 20;

#[tonic::async_trait]
impl Registry for Exchange {
    async fn put_function(&self, request: Request<v1::PutFunctionRequest>) -> Result<Response<v1::Function>, Status> {
        let caller = caller(&request)?;
        self.0.disk.check(Growth::Definitions).map_err(|refusal| refusal_status(&refusal))?;
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
        let request = request.into_inner();
        let account = self.readable_account(caller, &request.account)?;
        let limit = match request.limit {
            0 => FUNCTIONS_DEFAULT,
            limit if limit <= FUNCTIONS_MAX => limit,
            limit => return Err(Status::invalid_argument(format!("limit: {limit}; at most {FUNCTIONS_MAX}"))),
        };
        let list = |engine: &Engine| match request.names_only {
            true => function_names(engine, account),
            false => function_page(engine, account, &request.after, limit as usize),
        };
        self.0.sequencer.read_durable(list).await.map(Response::new).map_err(unavailable)
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
            _ if request.all => caller.sees_all().then_some(Viewer::Operator).ok_or_else(not_for_all)?,
            "" if caller.is_operators_key() => Viewer::Operator,
            "" => Viewer::Anybody,
            account => Viewer::Account(self.readable_account(caller, account)?),
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

/// Lists the names of an account's functions.
fn function_names(engine: &Engine, account: AccountId) -> v1::ListFunctionsResponse {
    let own = engine.functions().filter(|(_, function)| function.account == account);
    let named = |(_, function): (_, &Function)| v1::Function { name: function.name.to_string(), ..Default::default() };
    v1::ListFunctionsResponse { functions: own.map(named).collect(), next: String::new() }
}

/// Lists an account's functions after a name, up to a limit and a size, at least one.
fn function_page(engine: &Engine, account: AccountId, after: &str, limit: usize) -> v1::ListFunctionsResponse {
    let is_later = |function: &Function| function.account == account && function.name.as_str() > after;
    let mut later: Vec<_> = engine.functions().filter(|(_, function)| is_later(function)).collect();
    later.sort_unstable_by(|(_, a), (_, b)| a.name.cmp(&b.name));
    let (mut functions, mut bytes) = (Vec::new(), 0);
    for (id, function) in later.iter().take(limit) {
        let told = listed_to_proto(engine, *id, function);
        bytes += told.encoded_len();
        if bytes > PAGE_MAX_BYTES && !functions.is_empty() {
            break;
        }
        functions.push(told);
    }
    let last = functions.last().filter(|_| functions.len() < later.len());
    let next = last.map_or_else(String::new, |last: &v1::Function| last.name.clone());
    v1::ListFunctionsResponse { functions, next }
}

/// Returns a function as a list tells it: of its revisions only the newest and the live one have their content.
fn listed_to_proto(engine: &Engine, id: FunctionId, function: &Function) -> v1::Function {
    let told = [function.revisions.len(), live_revision(function) as usize];
    to_proto_with(engine, id, function, |number| told.contains(&number))
}

/// Makes the refusal of a list of everything to a caller who does not run the market.
fn not_for_all() -> Status {
    let message = "only an operator sees every provider; name an account, or leave `all` out".to_owned();
    refusal_status(&Refusal::Forbidden { message })
}

/// Finds the module of the newest revision: a function redefined without one keeps it.
fn newest_module(engine: &Engine, account: AccountId, name: &Name) -> Option<[u8; 32]> {
    let function = engine.function(engine.find_function(account, name)?)?;
    function.revisions.last()?.code.module
}

fn live_revision(function: &Function) -> u32 {
    function.resolve(&merit_engine::Qualifier::Live).unwrap_or(0)
}

fn to_proto(engine: &Engine, id: FunctionId, function: &Function, sequence: u64) -> v1::Function {
    v1::Function { sequence, ..to_proto_with(engine, id, function, |_| true) }
}

/// Returns a function with the content of the revisions whose numbers are chosen.
fn to_proto_with(engine: &Engine, id: FunctionId, function: &Function, chosen: impl Fn(usize) -> bool) -> v1::Function {
    let canaries = function.canaries.iter();
    let revision = |(revision, number): (&merit_engine::Revision, usize)| match chosen(number) {
        true => code_to_proto(&revision.code),
        false => v1::Code::default(),
    };
    v1::Function {
        account: engine.account(function.account).map_or_else(|_| String::new(), |account| account.name.clone()),
        name: function.name.to_string(),
        settings: Some(settings_to_proto(&function.settings)),
        revisions: function.revisions.iter().zip(1..).map(revision).collect(),
        aliases: function.aliases.iter().map(|(alias, revision)| (alias.to_string(), *revision)).collect(),
        live: live_revision(function),
        canaries: canaries.map(|(alias, canary)| (alias.to_string(), canary_to_proto(*canary))).collect(),
        running: function.running,
        sequence: 0,
        spending: budgets_to_proto(engine, SpendingOf::Function(id), &function.settings.budgets),
    }
}
