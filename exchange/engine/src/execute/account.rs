//! What only the operator does: markets, money, limits, freezes, and the leases that a crash forgot.

use merit_terms::{AccountId, Execution, Money, OfferId, Outcome, Refusal, Time, Usage};

use crate::Engine;
use crate::command::{
    AccountLimits, Correction, CorrectionKind, Forgotten, LeaseTerms, MarketState, MarketTerms, ProviderKind, Reply,
};
use crate::dues::Due;
use crate::event::{Event, Lease, LeaseState, Why};
use crate::market::{check_budgets, check_reason, invalid, unknown_function, unknown_provider};
use crate::money::OUTSIDE;

impl Engine {
    pub(crate) fn set_market(
        &mut self,
        market: merit_terms::MarketId,
        terms: MarketTerms,
        events: &mut Vec<Event>,
    ) -> Result<Reply, Refusal> {
        let unknown = || Refusal::Unknown { what: "market", name: market.number().to_string() };
        let known = self.registry.markets.get_mut(market.index()).ok_or_else(unknown)?;
        if let Some((low, high)) = terms.bands.filter(|(low, high)| low > high) {
            return Err(invalid("bands", format!("{low} is above {high}")));
        }
        known.terms = terms;
        events.push(Event::MarketChanged { market, terms });
        if terms.state == MarketState::Open {
            self.wake_markets([market]);
        }
        Ok(Reply::Done)
    }

    pub(crate) fn payout(&mut self, id: AccountId, amount: Money, events: &mut Vec<Event>) -> Result<Reply, Refusal> {
        let unheld = self.ledger.unfrozen(id)?.unheld();
        if id == OUTSIDE {
            return Err(invalid("account", "nothing is paid out of the account that payouts go to"));
        }
        if unheld < i128::from(amount.picodollars()) {
            let available = merit_terms::Balance::from_picodollars(unheld).to_string();
            return Err(Refusal::InsufficientFunds { available });
        }
        self.ledger.transfer(id, OUTSIDE, amount);
        events.push(Event::Moved { from: id, to: OUTSIDE, amount, why: Why::Payout });
        Ok(Reply::Done)
    }

    pub(crate) fn correct(&mut self, correction: &Correction, events: &mut Vec<Event>) -> Result<Reply, Refusal> {
        let Correction { kind, from, to, amount, about, reason } = correction;
        check_reason(reason)?;
        if from == to {
            return Err(invalid("to", "the account that it comes from"));
        }
        self.ledger.get(*from)?;
        self.ledger.get(*to)?;
        let (about, reason) = (*about, reason.clone());
        let why = match kind {
            CorrectionKind::Refund if about.is_none() => {
                return Err(invalid("about", "a refund is of an invocation"));
            }
            CorrectionKind::Refund => Why::Refund { about, reason },
            CorrectionKind::Correction => Why::Correction { about, reason },
        };
        self.ledger.transfer(*from, *to, *amount);
        self.wake_account(*to);
        events.push(Event::Moved { from: *from, to: *to, amount: *amount, why });
        Ok(Reply::Done)
    }

    pub(crate) fn freeze(&mut self, id: AccountId, frozen: bool) -> Result<Reply, Refusal> {
        let was_frozen = std::mem::replace(&mut self.ledger.get_mut(id)?.frozen, frozen);
        if was_frozen && !frozen {
            self.wake_all_markets();
        }
        Ok(Reply::Done)
    }

    pub(crate) fn set_account_limits(&mut self, id: AccountId, limits: &AccountLimits) -> Result<Reply, Refusal> {
        let account = self.ledger.get_mut(id)?;
        check_budgets(&limits.budgets)?;
        account.limits = limits.clone();
        self.wake_account(id);
        Ok(Reply::Done)
    }

    /// Settles a lease that a crash forgot. What funds or budgets no longer cover is the operator's loss: the provider
    /// worked for the exchange's word.
    pub(crate) fn settle_forgotten(
        &mut self,
        at: Time,
        forgotten: &Forgotten,
        events: &mut Vec<Event>,
    ) -> Result<Reply, Refusal> {
        let Forgotten { terms, settle } = forgotten;
        if settle.lease != terms.lease {
            return Err(invalid("lease", format!("the token is for {}", terms.lease)));
        }
        if self.not_open(terms.lease) != Refusal::Forgotten || at >= terms.settle_by {
            return Err(Refusal::Closed);
        }
        self.check_terms(terms)?;
        self.leases.late.insert(terms.lease, terms.settle_by);
        self.dues.insert((terms.settle_by, Due::Late(terms.lease)));
        if settle.execution != Execution::Executed {
            return Ok(Reply::Done);
        }
        let lease = remembered(terms);
        let metered = Usage::metered(settle.reported, settle.observed_us, lease.timeout_ms, settle.egress_bytes);
        let settlement = self.bill(&lease, &metered, terms.hold);
        let cost = settlement.cost;
        let is_market = self.kind_of(lease.provider) == ProviderKind::Market;
        let from_buyer = if is_market { self.covered(&lease, cost) } else { cost };
        events.push(Event::Granted(Box::new(lease.clone())));
        if matches!(settle.outcome, Outcome::Ok | Outcome::Timeout) && !metered.estimated {
            self.learn(at, &lease, &metered.usage);
        }
        self.pay(lease, settle.outcome, settlement, from_buyer, events);
        Ok(Reply::Settled(settlement))
    }

    fn check_terms(&self, terms: &LeaseTerms) -> Result<(), Refusal> {
        self.ledger.get(terms.account)?;
        let function = self.registry.functions.get(terms.function.index());
        let function = function.ok_or_else(|| unknown_function(terms.function))?;
        if function.revision(terms.revision).is_none() {
            let name = format!("{}:{}", function.name, terms.revision);
            return Err(Refusal::Unknown { what: "revision", name });
        }
        self.registry.providers.get(terms.provider.index()).ok_or_else(|| unknown_provider(terms.provider))?;
        match self.registry.markets.get(terms.market.index()) {
            Some(_) => Ok(()),
            None => Err(Refusal::Unknown { what: "market", name: terms.market.number().to_string() }),
        }
    }

    /// What of a cost the buyer's funds and budgets cover.
    fn covered(&self, lease: &Lease, cost: Money) -> Money {
        let account = &self.ledger.accounts[lease.account.index()];
        let function = &self.registry.functions[lease.function.index()];
        let left = self.budgets_left(function, account).map(|(_, left)| left);
        let most = left.fold(account.available(), i128::min).clamp(0, i128::from(cost.picodollars()));
        u64::try_from(most).ok().and_then(Money::from_picodollars).unwrap_or(cost)
    }
}

/// The lease as its token remembers it.
fn remembered(terms: &LeaseTerms) -> Lease {
    Lease {
        id: terms.lease,
        invocation: terms.invocation,
        attempt: terms.attempt,
        account: terms.account,
        function: terms.function,
        revision: terms.revision,
        provider: terms.provider,
        market: terms.market,
        offer: OfferId(0),
        price: terms.price,
        tariff: terms.tariff,
        vcpus_milli: terms.vcpus_milli,
        memory_mb: terms.memory_mb,
        timeout_ms: terms.timeout_ms,
        quoted_cost: Money::ZERO,
        worst_cost: terms.hold,
        hold: Money::ZERO,
        matched_at: terms.matched_at,
        capacity_until: terms.settle_by,
        settle_by: terms.settle_by,
        runner_up: None,
        state: LeaseState::Running,
        on_prior: false,
        claim: None,
        request: None,
    }
}
