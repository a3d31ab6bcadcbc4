//! The opening of the world: markets, sellers with their ladders, buyers with their money, functions. Never runs a
//! call.

use std::collections::{BTreeMap, HashMap};

use merit_engine::{
    Adapter, Audience, Code, Command, Engine, FunctionSettings, Logon, ProviderKind, PutFunction, Quote,
    RegisterProvider, Reply,
};
use merit_terms::{AccountId, FunctionId, MarketName, Money, Name};

use crate::world::WorldError;
use crate::world::sellers::{self, Seller};
use crate::world::trace::{self, TracedFunction};
use crate::world::trading::World;

/// Deposit of each account in picodollars: 1,000 USD, more than it can spend.
const DEPOSIT_PICODOLLARS: u64 = 1_000_000_000_000_000;

impl World {
    /// Opens the world before its first call.
    pub(crate) fn open() -> Result<World, WorldError> {
        let (functions, sellers) = (trace::read()?, sellers::read()?);
        let mut world = World::empty(Engine::new(), sellers.len());
        world.must(Command::Start { run: 1 })?;
        for seller in &sellers {
            world.open_seller(seller)?;
        }
        let mut owners = HashMap::new();
        for function in &functions {
            let account = match owners.get(&function.owner) {
                Some(account) => *account,
                None => {
                    let account = world.open_buyer(&function.owner)?;
                    owners.insert(function.owner.clone(), account);
                    account
                }
            };
            let function = world.put_function(function, account, &sellers)?;
            world.bidders.push((account, function));
        }
        world.accounts = owners.len();
        (world.functions, world.sellers) = (functions, sellers);
        Ok(world)
    }

    fn open_account(&mut self, name: &Name) -> Result<AccountId, WorldError> {
        match self.must(Command::OpenAccount { name: name.clone() })? {
            Reply::Account(account) => Ok(account),
            _ => Err(WorldError::Reply),
        }
    }

    fn open_buyer(&mut self, owner: &Name) -> Result<AccountId, WorldError> {
        let account = self.open_account(owner)?;
        let amount = Money::from_picodollars(DEPOSIT_PICODOLLARS).unwrap_or(Money::MAX);
        self.must(Command::Deposit { account, amount })?;
        Ok(account)
    }

    fn open_seller(&mut self, seller: &Seller) -> Result<(), WorldError> {
        let market: MarketName = seller.market.parse()?;
        let market = match self.engine.find_market(&market) {
            Some(market) => market,
            None => match self.must(Command::CreateMarket { name: market })? {
                Reply::Market(market) => market,
                _ => return Err(WorldError::Reply),
            },
        };
        let name: Name = seller.name.parse()?;
        let account = self.open_account(&name)?;
        let register = RegisterProvider { name, account, kind: ProviderKind::Market, labels: BTreeMap::new() };
        let Reply::Provider(provider) = self.must(Command::RegisterProvider(register))? else {
            return Err(WorldError::Reply);
        };
        let endpoint = format!("http://{}.invalid", seller.name);
        let logon = Logon {
            provider,
            endpoint,
            pools: vec![seller.pool],
            quotas: Vec::new(),
            protection: None,
            adapter: Adapter::Agent,
            endpoint_trusted: false,
            targets: None,
        };
        let Reply::Session(session) = self.must(Command::Logon(Box::new(logon)))? else {
            return Err(WorldError::Reply);
        };
        let quote = Quote { provider, session, market, number: 1, rungs: seller.rungs.clone() };
        self.must(Command::Quote(quote)).map(drop)
    }

    /// Defines a function that is deployed at every seller.
    fn put_function(
        &mut self,
        function: &TracedFunction,
        account: AccountId,
        sellers: &[Seller],
    ) -> Result<FunctionId, WorldError> {
        let deployed = |seller: &Seller| Ok((seller.name.parse()?, function.name.to_string()));
        let code = Code {
            memory_mb: function.memory_mb,
            timeout_ms: function.timeout_ms,
            environment: BTreeMap::new(),
            module: None,
            deployments: sellers.iter().map(deployed).collect::<Result<_, WorldError>>()?,
        };
        let settings = FunctionSettings { audience: Audience::Any, ..FunctionSettings::default() };
        let put = PutFunction { account, name: function.name.clone(), code, settings };
        match self.must(Command::PutFunction(Box::new(put)))? {
            Reply::Function { function, .. } => Ok(function),
            _ => Err(WorldError::Reply),
        }
    }
}
