//! The market of the fairness bench: one buyer with one function, three honest sellers and the one under test.
//!
//! Owns the engine, the virtual clock, and the sums that each seller was paid. Never decides what a seller does.

use std::collections::BTreeMap;

use merit_engine::{
    Adapter, Audience, Bid, Code, Command, Engine, Event, FunctionSettings, Grant, Logon, ProviderKind, PutFunction,
    Qualifier, Quote, RegisterProvider, Reply,
};
use merit_terms::{
    AccountId, FunctionId, LeaseId, Limits, MarketId, Money, PoolSize, Price, ProviderId, Refusal, Rung, Tariff, Time,
};

use crate::fairness::FairnessError;

/// The beginning of the virtual time.
const BEGIN: Time = Time::from_micros(1_000_000_000_000_000);
const DEPOSIT_PICODOLLARS: u64 = 1_000_000_000_000_000_000;
const MEMORY_MB: u32 = 512;
const TIMEOUT_MS: u32 = 10_000;
/// Maximum answer in bytes, by which egress is held.
const ANSWER_LIMIT_BYTES: u64 = 6 << 20;
/// Rates of AWS Lambda in picodollars.
const PER_GB_SECOND: u64 = 16_666_700;
const PER_REQUEST: u64 = 200_000;
/// Rate of egress alone at which 1,000 bytes cost 20 times an honest call of 100 ms, in picodollars per GB.
const EGRESS_ALONE: u64 = 22_190_000_000_000;
/// Room of each seller: never full, so that price and history alone decide.
const ROOM: PoolSize = PoolSize { memory_mb: 512 * 1024, slots: 1024 };
/// CPU share of a call, in thousandths of a virtual CPU.
const VCPUS_MILLI: u32 = 1_000;
/// Sellers by percent of the rates of AWS Lambda; the one under test is last.
const SELLERS: [(&str, u64); 4] = [("honest-a", 100), ("honest-b", 100), ("honest-c", 120), ("tested", 90)];
/// Position of the seller under test.
const TESTED: usize = 3;
/// Time for which offers rest after a logout, in milliseconds.
const OFFERS_REST_MS: u64 = 60_000;

/// The market, and its clock.
pub(crate) struct FairnessFloor {
    engine: Engine,
    events: Vec<Event>,
    at: Time,
    buyer: AccountId,
    function: FunctionId,
    market: MarketId,
    tested: SellerSession,
    quotes: u64,
    /// Paid to all sellers, and to the one under test, in picodollars.
    pub(crate) paid: u128,
    pub(crate) paid_to_tested: u128,
}

/// A seller and its session.
#[derive(Clone, Copy)]
struct SellerSession {
    provider: ProviderId,
    session: u32,
}

/// Returns the tariff of an honest seller, at a percentage of the rates of AWS Lambda.
fn lambda(percent: u64) -> Tariff {
    Tariff {
        per_request: Price::from_picodollars(PER_REQUEST * percent / 100),
        per_gb_second: Price::from_picodollars(PER_GB_SECOND * percent / 100),
        per_cpu_ms: Price::from_picodollars(0),
        per_gb_egress: Price::from_picodollars(0),
        increment_ms: 1,
        minimum_ms: 0,
        memory_step_mb: 1,
        bills_cold_start: false,
    }
}

/// Returns the bill of the dearest honest seller.
pub(crate) fn dearest_bill(usage: &merit_terms::Usage) -> Money {
    lambda(SELLERS[2].1).cost(MEMORY_MB, VCPUS_MILLI, usage)
}

fn logon(provider: ProviderId) -> Command {
    Command::Logon(Box::new(Logon {
        provider,
        endpoint: "http://seller.invalid".to_owned(),
        pools: vec![ROOM],
        quotas: Vec::new(),
        protection: None,
        adapter: Adapter::Agent,
        endpoint_trusted: false,
        targets: None,
    }))
}

impl FairnessFloor {
    /// Opens the market with every seller's honest offer.
    pub(crate) fn open() -> Result<FairnessFloor, FairnessError> {
        let mut floor = FairnessFloor {
            engine: Engine::new(),
            events: Vec::new(),
            at: BEGIN,
            buyer: AccountId::new(0),
            function: FunctionId::new(0),
            market: MarketId::new(0),
            tested: SellerSession { provider: ProviderId::new(0), session: 0 },
            quotes: 0,
            paid: 0,
            paid_to_tested: 0,
        };
        floor.must(Command::Start { run: 1 })?;
        let Reply::Market(market) = floor.must(Command::CreateMarket { name: "fair/wasm".parse()? })? else {
            return Err(FairnessError::Reply);
        };
        floor.market = market;
        floor.buyer = floor.account("buyer")?;
        let amount = Money::from_picodollars(DEPOSIT_PICODOLLARS).unwrap_or(Money::MAX);
        floor.must(Command::Deposit { account: floor.buyer, amount })?;
        for (name, percent) in SELLERS {
            floor.tested = floor.seller(name)?;
            floor.quote(floor.tested, lambda(percent), None)?;
        }
        floor.put_function()?;
        Ok(floor)
    }

    /// Moves the clock to so many microseconds after the beginning.
    pub(crate) fn go_to(&mut self, at_us: u64) {
        self.at = Time::from_micros(BEGIN.micros() + at_us);
    }

    pub(crate) fn is_tested(&self, provider: ProviderId) -> bool {
        provider == self.tested.provider
    }

    /// Applies a command, and counts the bills that it settles.
    fn apply(&mut self, command: &Command) -> Result<Reply, Refusal> {
        let reply = self.engine.apply(self.at, command, &mut self.events).reply;
        for event in self.events.drain(..) {
            if let Event::Settled { lease, settlement, .. } = event {
                let cost = u128::from(settlement.cost.picodollars());
                self.paid += cost;
                self.paid_to_tested += if lease.provider == self.tested.provider { cost } else { 0 };
            }
        }
        reply
    }

    /// Applies a command that must not be refused.
    pub(crate) fn must(&mut self, command: Command) -> Result<Reply, FairnessError> {
        self.apply(&command).map_err(FairnessError::Refused)
    }

    /// Claims a lease's whole timeout. A lease that is closed by then is not claimed.
    pub(crate) fn claim(&mut self, lease: LeaseId, timeout_us: u64) {
        let usage = merit_terms::Usage { wall_us: timeout_us, ..merit_terms::Usage::default() };
        drop(self.apply(&Command::Claim { lease, usage }));
    }

    fn account(&mut self, name: &str) -> Result<AccountId, FairnessError> {
        match self.must(Command::OpenAccount { name: name.parse()? })? {
            Reply::Account(account) => Ok(account),
            _ => Err(FairnessError::Reply),
        }
    }

    fn seller(&mut self, name: &str) -> Result<SellerSession, FairnessError> {
        let account = self.account(name)?;
        let register =
            RegisterProvider { name: name.parse()?, account, kind: ProviderKind::Market, labels: BTreeMap::new() };
        let Reply::Provider(provider) = self.must(Command::RegisterProvider(register))? else {
            return Err(FairnessError::Reply);
        };
        self.session_of(provider)
    }

    fn session_of(&mut self, provider: ProviderId) -> Result<SellerSession, FairnessError> {
        match self.must(logon(provider))? {
            Reply::Session(session) => Ok(SellerSession { provider, session }),
            _ => Err(FairnessError::Reply),
        }
    }

    fn quote(&mut self, seller: SellerSession, tariff: Tariff, expires: Option<Time>) -> Result<(), FairnessError> {
        self.quotes += 1;
        let rung = Rung {
            id: 0,
            pool: 0,
            capacity_mb: ROOM.memory_mb,
            tariff,
            vcpus_milli: VCPUS_MILLI,
            memory_min_mb: MEMORY_MB,
            memory_max_mb: MEMORY_MB,
            longest_ms: TIMEOUT_MS,
            enforces_timeout: true,
            labels: BTreeMap::new(),
            audience: Vec::new(),
            quota: None,
            expires,
        };
        let SellerSession { provider, session } = seller;
        let quote = Quote { provider, session, market: self.market, number: self.quotes, rungs: vec![rung] };
        self.must(Command::Quote(quote)).map(drop)
    }

    fn put_function(&mut self) -> Result<(), FairnessError> {
        let code = Code {
            memory_mb: MEMORY_MB,
            timeout_ms: TIMEOUT_MS,
            environment: BTreeMap::new(),
            module: Some([7; 32]),
            deployments: BTreeMap::new(),
        };
        let settings = FunctionSettings { idempotent: true, audience: Audience::Any, ..FunctionSettings::default() };
        let put = PutFunction { account: self.buyer, name: "function".parse()?, code, settings };
        match self.must(Command::PutFunction(Box::new(put)))? {
            Reply::Function { function, .. } => {
                self.function = function;
                Ok(())
            }
            _ => Err(FairnessError::Reply),
        }
    }

    /// Asks for a lease. None: the market refuses.
    pub(crate) fn acquire(
        &mut self,
        tried: &[ProviderId],
        invocation: Option<LeaseId>,
    ) -> Result<Option<Grant>, FairnessError> {
        let bid = Bid {
            account: self.buyer,
            function: self.function,
            qualifier: Qualifier::Live,
            answer_limit_bytes: ANSWER_LIMIT_BYTES,
            limits: Limits::default(),
            tried: tried.to_vec(),
            invocation,
            request: None,
        };
        match self.apply(&Command::Acquire(Box::new(bid))) {
            Ok(Reply::Granted(grant)) => Ok(Some(*grant)),
            Ok(_) => Err(FairnessError::Reply),
            Err(_) => Ok(None),
        }
    }

    /// Quotes the tariff of the seller under test that bills egress alone.
    pub(crate) fn bill_egress(&mut self) -> Result<(), FairnessError> {
        let none = lambda(0);
        let tariff = Tariff { per_gb_egress: Price::from_picodollars(EGRESS_ALONE), ..none };
        self.quote(self.tested, tariff, None)
    }

    /// States the whole room of the seller under test again.
    pub(crate) fn state_room(&mut self) -> Result<(), FairnessError> {
        let SellerSession { provider, session } = self.tested;
        self.must(Command::StatePools { provider, session, pools: vec![ROOM] }).map(drop)
    }

    /// Takes the seller under test off. After a logout its offers rest.
    pub(crate) fn leave(&mut self, by_logout: bool) -> Result<(), FairnessError> {
        let SellerSession { provider, session } = self.tested;
        if by_logout {
            let expires = self.at.after_millis(OFFERS_REST_MS);
            self.quote(self.tested, lambda(SELLERS[TESTED].1), Some(expires))?;
            return self.must(Command::Logout { provider, session }).map(drop);
        }
        self.must(Command::Disconnect { provider, session }).map(drop)
    }

    /// Brings the seller under test back, with its honest offer.
    pub(crate) fn come_back(&mut self) -> Result<(), FairnessError> {
        self.tested = self.session_of(self.tested.provider)?;
        self.quote(self.tested, lambda(SELLERS[TESTED].1), None)
    }

    /// Returns the digest of the whole state.
    pub(crate) fn digest(&self) -> u128 {
        self.engine.digest()
    }
}
