//! The ledger, in double entry: every amount leaves one account and enters another, so all balances sum to zero.
//!
//! Owns balances and holds. Never decides whether an amount may move.

use std::collections::HashMap;

use merit_terms::{AccountId, Balance, Money, Name, Period, Refusal, Time};
use serde::{Deserialize, Serialize};

use super::spending::{Calendar, Spending};
use crate::command::AccountLimits;

/// The account that deposits come from: its balance is minus all that was ever paid in.
pub const OUTSIDE: AccountId = AccountId::new(0);
/// The account of the operator's fees.
pub const FEES: AccountId = AccountId::new(1);
/// The operator's account that pays a seller the part of a forgotten lease's cost beyond the buyer's funds.
pub const LOSSES: AccountId = AccountId::new(2);

/// Names of the exchange's own accounts, by id.
const SYSTEM_ACCOUNTS: [&str; 3] = ["merit-outside", "merit-fees", "merit-losses"];

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Account {
    pub name: String,
    pub balance: Balance,
    /// Holds of open leases and resting bids: owned, but not available.
    pub held: u128,
    pub frozen: bool,
    pub limits: AccountLimits,
    /// Leases whose capacity has not returned.
    pub running: u32,
    spending: Spending,
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

    /// Returns whether it belongs to the exchange itself.
    pub fn is_system(&self) -> bool {
        SYSTEM_ACCOUNTS.contains(&self.name.as_str())
    }

    /// Returns the balance beyond the holds; may be below zero.
    pub fn unheld(&self) -> i128 {
        self.balance.picodollars().saturating_sub(self.held())
    }

    /// Returns the amount that it may still hold: the rest of balance and credit, within its exposure.
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

    /// Counts one more running lease.
    pub(crate) fn begin_lease(&mut self) {
        self.running += 1;
    }

    /// Counts one running lease less.
    pub(crate) fn end_lease(&mut self) {
        self.running -= 1;
    }

    /// Lists the rest of each budget, in picodollars, with its period.
    pub(crate) fn budgets_left(&self, calendar: &Calendar) -> impl Iterator<Item = (Period, i128)> {
        self.limits.budgets.iter().map(move |budget| (budget.period, self.spending.left(budget, calendar)))
    }

    pub(crate) fn spending(&self) -> &Spending {
        &self.spending
    }

    pub(crate) fn spending_mut(&mut self) -> &mut Spending {
        &mut self.spending
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Ledger {
    accounts: Vec<Account>,
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

    pub(crate) fn accounts(&self) -> &[Account] {
        &self.accounts
    }

    /// Returns the account, or refuses an id that nobody has.
    pub(crate) fn known(&self, id: AccountId) -> Result<&Account, Refusal> {
        self.accounts.get(id.index()).ok_or_else(|| unknown(id))
    }

    /// Returns the account to change, or refuses an id that nobody has.
    pub(crate) fn known_mut(&mut self, id: AccountId) -> Result<&mut Account, Refusal> {
        self.accounts.get_mut(id.index()).ok_or_else(|| unknown(id))
    }

    /// Returns the account, or refuses one that the operator has frozen.
    pub(crate) fn unfrozen(&self, id: AccountId) -> Result<&Account, Refusal> {
        let account = self.known(id)?;
        if account.frozen { Err(Refusal::Frozen { account: account.name.clone() }) } else { Ok(account) }
    }

    /// Moves `amount`; the caller has checked that it may.
    pub(crate) fn transfer(&mut self, from: AccountId, to: AccountId, amount: Money) {
        self.accounts[from.index()].balance.debit(amount);
        self.accounts[to.index()].balance.credit(amount);
    }

    /// Returns an account that is known to exist.
    pub(crate) fn account(&self, id: AccountId) -> &Account {
        &self.accounts[id.index()]
    }

    /// Returns an account that is known to exist, to change.
    pub(crate) fn account_mut(&mut self, id: AccountId) -> &mut Account {
        &mut self.accounts[id.index()]
    }

    /// Holds an amount on the account and on its budgets, for a bid that rests since then.
    pub(crate) fn hold(&mut self, id: AccountId, amount: Money, since: Time, calendar: &Calendar) {
        let account = self.account_mut(id);
        account.hold(amount);
        account.spending.hold(amount, since, calendar);
    }

    /// Gives up an amount that [`Ledger::hold`] held.
    pub(crate) fn unhold(&mut self, id: AccountId, amount: Money, since: Time, calendar: &Calendar) {
        let account = self.account_mut(id);
        account.unhold(amount);
        account.spending.unhold(amount, since, calendar);
    }

    /// Returns the sum of all balances: zero, always.
    pub(crate) fn sum(&self) -> Balance {
        Balance::from_picodollars(self.accounts.iter().map(|account| account.balance.picodollars()).sum())
    }
}

fn unknown(id: AccountId) -> Refusal {
    Refusal::Unknown { what: "account", name: id.number().to_string() }
}
