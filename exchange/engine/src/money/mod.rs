//! Accounts in double entry: every amount leaves one account and enters another, so all balances sum to zero.
//!
//! Owns balances, holds and what is spent in each day and month. Never decides whether an amount may move.

use std::collections::HashMap;

use merit_terms::{AccountId, Balance, Budget, Money, Name, Period, Refusal, Time};
use serde::{Deserialize, Serialize};

use crate::command::AccountLimits;

/// Where deposits come from: its balance is minus all that was ever paid in.
pub const OUTSIDE: AccountId = AccountId::new(0);
/// What the operator's fees go to.
pub const FEES: AccountId = AccountId::new(1);
/// The operator's account that pays a seller what a forgotten lease cost beyond what its buyer has.
pub const LOSSES: AccountId = AccountId::new(2);

/// Names of the exchange's own accounts, by id.
const SYSTEM_ACCOUNTS: [&str; 3] = ["merit-outside", "merit-fees", "merit-losses"];

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Account {
    pub name: String,
    pub balance: Balance,
    /// Worst cases of open leases, and what resting bids may cost: owned, but not available.
    pub held: u128,
    pub frozen: bool,
    pub limits: AccountLimits,
    /// Leases whose capacity has not returned.
    pub running: u32,
    pub(crate) spending: Spending,
}

/// What the calls of an account or a function cost, and may still cost, in the present day and month.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Spending {
    day: Counted,
    month: Counted,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Counted {
    /// When the period began that this counts.
    since: Time,
    spent: u128,
    held: u128,
}

/// When the present day and month began, in UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Calendar {
    day: Time,
    month: Time,
    next_day: Time,
}

impl Calendar {
    /// Goes to `at`.
    pub(crate) fn go_to(&mut self, at: Time) {
        if (self.day..self.next_day).contains(&at) {
            return;
        }
        let day = at.period(Period::Day);
        self.day = Time::start_of(Period::Day, day);
        self.next_day = Time::start_of(Period::Day, day + 1);
        self.month = Time::start_of(Period::Month, at.period(Period::Month));
    }

    /// When the present period began.
    pub(crate) fn since(&self, period: Period) -> Time {
        match period {
            Period::Day => self.day,
            Period::Month => self.month,
        }
    }
}

impl Counted {
    fn now(self, since: Time) -> Counted {
        if self.since == since { self } else { Counted { since, ..Counted::default() } }
    }
}

impl Spending {
    fn each(&mut self, calendar: &Calendar) -> [&mut Counted; 2] {
        self.day = self.day.now(calendar.day);
        self.month = self.month.now(calendar.month);
        [&mut self.day, &mut self.month]
    }

    /// Holds `amount` in the periods of `since`, as far as they are the present ones.
    pub(crate) fn hold(&mut self, amount: Money, since: Time, calendar: &Calendar) {
        for counted in self.each(calendar) {
            if since >= counted.since {
                counted.held += u128::from(amount.picodollars());
            }
        }
    }

    /// Gives up what [`Spending::hold`] held.
    pub(crate) fn unhold(&mut self, amount: Money, since: Time, calendar: &Calendar) {
        for counted in self.each(calendar) {
            if since >= counted.since {
                counted.held -= u128::from(amount.picodollars());
            }
        }
    }

    pub(crate) fn spend(&mut self, amount: Money, since: Time, calendar: &Calendar) {
        for counted in self.each(calendar) {
            if since >= counted.since {
                counted.spent += u128::from(amount.picodollars());
            }
        }
    }

    /// What is spent and held in the present period, in picodollars.
    pub(crate) fn of(&self, period: Period, calendar: &Calendar) -> (u128, u128) {
        let counted = match period {
            Period::Day => self.day,
            Period::Month => self.month,
        };
        let counted = counted.now(calendar.since(period));
        (counted.spent, counted.held)
    }

    /// What is left of a budget; below zero, if it was lowered to less than is spent and held.
    pub(crate) fn left(&self, budget: &Budget, calendar: &Calendar) -> i128 {
        let (spent, held) = self.of(budget.period, calendar);
        let gone = i128::try_from(spent + held).unwrap_or(i128::MAX);
        i128::from(budget.amount.picodollars()).saturating_sub(gone)
    }
}

impl Account {
    fn new(name: &str) -> Account {
        Account {
            name: name.to_owned(),
            balance: Balance::ZERO,
            held: 0,
            frozen: false,
            limits: AccountLimits::default(),
            running: 0,
            spending: Spending::default(),
        }
    }

    /// Whether it belongs to the exchange itself.
    pub fn is_system(&self) -> bool {
        SYSTEM_ACCOUNTS.contains(&self.name.as_str())
    }

    /// What it owns beyond its holds; may be below zero.
    pub fn unheld(&self) -> i128 {
        self.balance.picodollars().saturating_sub(self.held())
    }

    /// What it may still hold: what is left of its balance and its credit, within its exposure.
    pub fn available(&self) -> i128 {
        let credit = i128::from(self.limits.credit_limit.picodollars());
        let funds = self.unheld().saturating_add(credit);
        match self.limits.exposure {
            Some(exposure) => funds.min(i128::from(exposure.picodollars()) - self.held()),
            None => funds,
        }
    }

    fn held(&self) -> i128 {
        i128::try_from(self.held).unwrap_or(i128::MAX)
    }

    pub(crate) fn hold(&mut self, amount: Money) {
        self.held += u128::from(amount.picodollars());
    }

    pub(crate) fn unhold(&mut self, amount: Money) {
        self.held -= u128::from(amount.picodollars());
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Ledger {
    pub(crate) accounts: Vec<Account>,
    #[serde(skip)]
    by_name: HashMap<String, AccountId>,
}

impl Ledger {
    pub(crate) fn new() -> Ledger {
        let mut ledger = Ledger { accounts: Vec::new(), by_name: HashMap::new() };
        for name in SYSTEM_ACCOUNTS {
            ledger.insert(name);
        }
        ledger
    }

    /// Builds the index by name anew.
    pub(crate) fn rebuild(&mut self) {
        self.by_name = (0..).map(AccountId::new).zip(&self.accounts).map(|(id, of)| (of.name.clone(), id)).collect();
    }

    fn insert(&mut self, name: &str) -> AccountId {
        let id = AccountId::new(self.accounts.len() as u32);
        self.accounts.push(Account::new(name));
        self.by_name.insert(name.to_owned(), id);
        id
    }

    pub(crate) fn open(&mut self, name: &Name) -> Result<AccountId, Refusal> {
        if self.by_name.contains_key(name.as_str()) {
            return Err(Refusal::Exists { what: "account", name: name.to_string() });
        }
        Ok(self.insert(name.as_str()))
    }

    pub(crate) fn find(&self, name: &str) -> Option<AccountId> {
        self.by_name.get(name).copied()
    }

    pub(crate) fn get(&self, id: AccountId) -> Result<&Account, Refusal> {
        self.accounts.get(id.index()).ok_or_else(|| Refusal::Unknown { what: "account", name: id.number().to_string() })
    }

    /// The account, unless the operator has frozen it.
    pub(crate) fn unfrozen(&self, id: AccountId) -> Result<&Account, Refusal> {
        let account = self.get(id)?;
        if account.frozen { Err(Refusal::Frozen { account: account.name.clone() }) } else { Ok(account) }
    }

    pub(crate) fn get_mut(&mut self, id: AccountId) -> Result<&mut Account, Refusal> {
        self.accounts
            .get_mut(id.index())
            .ok_or_else(|| Refusal::Unknown { what: "account", name: id.number().to_string() })
    }

    /// Moves `amount`; the caller has checked that it may.
    pub(crate) fn transfer(&mut self, from: AccountId, to: AccountId, amount: Money) {
        self.accounts[from.index()].balance.debit(amount);
        self.accounts[to.index()].balance.credit(amount);
    }

    pub(crate) fn of(&mut self, id: AccountId) -> &mut Account {
        &mut self.accounts[id.index()]
    }

    /// The sum of all balances: zero, always.
    pub(crate) fn sum(&self) -> Balance {
        Balance::from_picodollars(self.accounts.iter().map(|account| account.balance.picodollars()).sum())
    }
}
