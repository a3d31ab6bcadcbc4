//! Accounts: balances, holds on them, and the operator's hand.

use merit_engine::{AccountLimits, Correction, CorrectionKind, Event, OUTSIDE, ProviderKind, Reply, Why};
use merit_terms::{AccountId, Budget, Money, Name, Price, Refusal};

use super::{Twin, invalid, unknown};

#[derive(Clone, Debug)]
pub(crate) struct Account {
    pub(crate) name: String,
    pub(crate) balance: i128,
    pub(crate) frozen: bool,
    pub(crate) limits: AccountLimits,
}

impl Account {
    pub(super) fn new(name: &str) -> Account {
        Account { name: name.to_owned(), balance: 0, frozen: false, limits: AccountLimits::default() }
    }
}

pub(super) fn picodollars(amount: Money) -> u128 {
    u128::from(amount.picodollars())
}

/// Converts an amount that is known to be in range.
pub(super) fn money(picodollars: u128) -> Money {
    u64::try_from(picodollars).ok().and_then(Money::from_picodollars).unwrap_or(Money::MAX)
}

/// Refuses a second budget of one period.
pub(super) fn check_budgets(budgets: &[Budget]) -> Result<(), Refusal> {
    let again = |(i, budget): (usize, &Budget)| budgets[..i].iter().any(|other| other.period == budget.period);
    if budgets.iter().enumerate().any(again) { Err(invalid("budgets")) } else { Ok(()) }
}

impl Twin {
    pub(crate) fn account(&self, id: AccountId) -> Result<&Account, Refusal> {
        self.accounts.get(id.index()).ok_or_else(|| unknown("account", id.number()))
    }

    fn account_mut(&mut self, id: AccountId) -> Result<&mut Account, Refusal> {
        self.account(id)?;
        Ok(&mut self.accounts[id.index()])
    }

    pub(super) fn open_account(&mut self, name: &Name) -> Result<Reply, Refusal> {
        if self.accounts.iter().any(|account| account.name == name.as_str()) {
            return Err(Refusal::Exists { what: "account", name: name.to_string() });
        }
        self.accounts.push(Account::new(name.as_str()));
        Ok(Reply::Account(AccountId::new(self.accounts.len() as u32 - 1)))
    }

    pub(super) fn deposit(&mut self, id: AccountId, amount: Money) -> Result<(), Refusal> {
        self.account(id)?;
        self.transfer(OUTSIDE, id, amount, Why::Deposit);
        self.wake_account(id, "woken by money");
        Ok(())
    }

    /// Pays out of the balance; credit is not paid out.
    pub(super) fn payout(&mut self, id: AccountId, amount: Money) -> Result<(), Refusal> {
        let account = self.account(id)?;
        if account.frozen {
            return Err(Refusal::Frozen { account: String::new() });
        }
        if id == OUTSIDE {
            return Err(invalid("account"));
        }
        if picodollars(amount) as i128 > account.balance - self.held(id) as i128 {
            return Err(Refusal::InsufficientFunds { available: String::new() });
        }
        self.transfer(id, OUTSIDE, amount, Why::Payout);
        Ok(())
    }

    pub(super) fn correct(&mut self, correction: &Correction) -> Result<(), Refusal> {
        let Correction { kind, from, to, amount, about, reason } = correction;
        if reason.len() > 256 {
            return Err(invalid("reason"));
        }
        if from == to {
            return Err(invalid("to"));
        }
        self.account(*from)?;
        self.account(*to)?;
        let (about, reason) = (*about, reason.clone());
        let why = match kind {
            CorrectionKind::Correction => Why::Correction { about, reason },
            CorrectionKind::Refund if about.is_none() => return Err(invalid("about")),
            CorrectionKind::Refund => Why::Refund { about, reason },
        };
        self.transfer(*from, *to, *amount, why);
        self.wake_account(*to, "woken by money");
        Ok(())
    }

    /// Freezes an account or thaws it. Bids that were skipped meanwhile are examined again.
    pub(super) fn freeze(&mut self, id: AccountId, frozen: bool) -> Result<(), Refusal> {
        let was = std::mem::replace(&mut self.account_mut(id)?.frozen, frozen);
        if was && !frozen {
            for market in self.every_market() {
                self.trigger(market, Price::ZERO);
            }
        }
        Ok(())
    }

    pub(super) fn set_account_limits(&mut self, id: AccountId, limits: &AccountLimits) -> Result<(), Refusal> {
        self.account(id)?;
        check_budgets(&limits.budgets)?;
        self.account_mut(id)?.limits = limits.clone();
        self.wake_account(id, "woken by limits of an account");
        Ok(())
    }

    pub(super) fn transfer(&mut self, from: AccountId, to: AccountId, amount: Money, why: Why) {
        self.accounts[from.index()].balance -= picodollars(amount) as i128;
        self.accounts[to.index()].balance += picodollars(amount) as i128;
        self.events.push(Event::Moved { from, to, amount, why });
    }

    /// Returns the sum of the account's resting bids and of its open leases but those on own providers.
    pub(crate) fn held(&self, id: AccountId) -> u128 {
        let leases = self.leases.iter().map(|open| &open.lease);
        let leased = leases.filter(|lease| lease.account == id && self.kind(lease.provider) == ProviderKind::Market);
        let bids = self.resting.iter().map(|rested| &rested.resting).filter(|bid| bid.deferred.bid.account == id);
        let holds = leased.map(|lease| lease.hold).chain(bids.map(|bid| bid.hold));
        holds.map(picodollars).sum()
    }

    /// Returns the amount that it may still hold: with its credit, and within its exposure.
    pub(super) fn available(&self, id: AccountId) -> i128 {
        let (account, held) = (&self.accounts[id.index()], self.held(id) as i128);
        let funds = account.balance + picodollars(account.limits.credit_limit) as i128 - held;
        let exposure = account.limits.exposure.map(|exposure| picodollars(exposure) as i128 - held);
        exposure.into_iter().fold(funds, i128::min)
    }
}
