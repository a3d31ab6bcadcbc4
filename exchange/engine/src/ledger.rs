//! Accounts in double entry: every amount leaves one account and enters another, so all balances sum to zero.

use std::collections::HashMap;

use merit_terms::{AccountId, Balance, Money, Name, Refusal};

/// Where deposits come from: its balance is minus all that was ever paid in.
pub const OUTSIDE: AccountId = AccountId::new(0);
/// What the operator's fees go to.
pub const FEES: AccountId = AccountId::new(1);

const SYSTEM_ACCOUNTS: [&str; 2] = ["merit-outside", "merit-fees"];

#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Account {
    pub name: String,
    pub balance: Balance,
    /// Worst cases of open leases: owned, but not available.
    pub held: u128,
    pub frozen: bool,
    pub limits: crate::AccountLimits,
}

impl Account {
    fn new(name: &str) -> Account {
        Account {
            name: name.to_owned(),
            balance: Balance::ZERO,
            held: 0,
            frozen: false,
            limits: crate::AccountLimits::default(),
        }
    }

    /// Whether it belongs to the exchange itself.
    pub fn is_system(&self) -> bool {
        SYSTEM_ACCOUNTS.contains(&self.name.as_str())
    }

    /// Whether `amount` is there beyond what is held.
    pub(crate) fn affords(&self, amount: Money) -> bool {
        let held = i128::try_from(self.held).unwrap_or(i128::MAX);
        self.balance.picodollars().saturating_sub(held) >= i128::from(amount.picodollars())
    }

    pub(crate) fn hold(&mut self, amount: Money) {
        self.held += u128::from(amount.picodollars());
    }

    pub(crate) fn unhold(&mut self, amount: Money) {
        self.held -= u128::from(amount.picodollars());
    }
}

#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub(crate) struct Ledger {
    pub(crate) accounts: Vec<Account>,
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
