//! Names and definitions: accounts, markets, providers, functions with their revisions and aliases.

use merit_engine::{Audience, LIVE, PutFunction, Qualifier, RegisterProvider, Reply};
use merit_terms::{
    AccountId, FunctionId, MEMORY_MAX_MB, MarketId, MarketName, Name, ProviderId, Refusal, TIMEOUT_MAX_MS,
};

use super::{Account, Function, Market, Provider, Revision, Twin, invalid, unknown};

impl Twin {
    pub(super) fn open_account(&mut self, name: &Name) -> Result<Reply, Refusal> {
        if self.accounts.iter().any(|account| account.name == name.as_str()) {
            return Err(Refusal::Exists { what: "account", name: name.to_string() });
        }
        self.accounts.push(Account { name: name.to_string(), balance: 0 });
        Ok(Reply::Account(AccountId::new(self.accounts.len() as u32 - 1)))
    }

    pub(super) fn create_market(&mut self, name: &MarketName) -> Result<Reply, Refusal> {
        if self.markets.iter().any(|market| market.name == *name) {
            return Err(Refusal::Exists { what: "market", name: name.to_string() });
        }
        self.markets.push(Market { name: name.clone(), spot_price: None, trades: 0 });
        Ok(Reply::Market(MarketId::new(self.markets.len() as u32 - 1)))
    }

    pub(super) fn register_provider(&mut self, register: &RegisterProvider) -> Result<Reply, Refusal> {
        self.account(register.account)?;
        if self.providers.iter().any(|provider| provider.name == register.name) {
            return Err(Refusal::Exists { what: "provider", name: register.name.to_string() });
        }
        self.providers.push(Provider {
            name: register.name.clone(),
            account: register.account,
            kind: register.kind,
            labels: register.labels.clone(),
            session: 0,
            online: false,
            endpoint: String::new(),
            pools: Vec::new(),
            last_quote: 0,
            general_ratio: 0,
        });
        Ok(Reply::Provider(ProviderId::new(self.providers.len() as u32 - 1)))
    }

    /// The provider, if it is in this very session.
    pub(super) fn in_session(&mut self, id: ProviderId, session: u32) -> Result<&mut Provider, Refusal> {
        match self.providers.get_mut(id.index()) {
            Some(provider) if provider.online && provider.session == session => Ok(provider),
            _ => Err(Refusal::NotInSession),
        }
    }

    pub(super) fn put_function(&mut self, put: &PutFunction) -> Result<Reply, Refusal> {
        self.account(put.account)?;
        check(put)?;
        let same_name = |function: &Function| function.account == put.account && function.name == put.name;
        let index = self.functions.iter().position(same_name).unwrap_or(self.functions.len());
        if index == self.functions.len() {
            self.functions.push(Function {
                account: put.account,
                name: put.name.clone(),
                settings: put.settings.clone(),
                revisions: Vec::new(),
                aliases: Default::default(),
                live: None,
                deleted: false,
            });
        }
        let function = &mut self.functions[index];
        function.deleted = false;
        function.settings = put.settings.clone();
        if function.revisions.last().map(|revision| &revision.code) != Some(&put.code) {
            function.revisions.push(Revision { code: put.code.clone(), histories: Vec::new() });
        }
        Ok(Reply::Function { function: FunctionId::new(index as u32), revision: function.revisions.len() as u32 })
    }

    pub(super) fn function(&mut self, id: FunctionId) -> Result<&mut Function, Refusal> {
        match self.functions.get_mut(id.index()) {
            Some(function) if !function.deleted => Ok(function),
            _ => Err(unknown("function", id.number())),
        }
    }

    pub(super) fn delete_function(&mut self, id: FunctionId) -> Result<(), Refusal> {
        let function = self.function(id)?;
        function.deleted = true;
        function.aliases.clear();
        function.live = None;
        Ok(())
    }

    pub(super) fn put_alias(&mut self, id: FunctionId, alias: &Name, revision: u32) -> Result<(), Refusal> {
        let function = self.function(id)?;
        function.resolve(&Qualifier::Revision(revision))?;
        if alias.as_str() == LIVE {
            function.live = Some(revision);
        } else {
            function.aliases.insert(alias.clone(), revision);
        }
        Ok(())
    }
}

impl Function {
    /// The number of the revision asked for; revisions count from 1, `live` is the newest until it is put.
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
    let wrong = [
        ("memory_mb", code.memory_mb == 0 || code.memory_mb > MEMORY_MAX_MB),
        ("timeout_ms", code.timeout_ms == 0 || code.timeout_ms > TIMEOUT_MAX_MS),
        ("max_concurrency", settings.max_concurrency == Some(0)),
        ("limits", settings.limits.check().is_err()),
        ("providers", listed > 64),
    ];
    match wrong.into_iter().find(|(_, wrong)| *wrong) {
        Some((field, _)) => Err(invalid(field)),
        None => Ok(()),
    }
}
