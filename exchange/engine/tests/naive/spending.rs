//! Spending of accounts and functions in a day and a month, and the rest of their budgets.

use merit_engine::Lease;
use merit_terms::{AccountId, FunctionId, Money, Period, Reason, Time};

use super::Twin;
use super::accounts::{money, picodollars};

/// The account or function whose spending is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Spender {
    Account(AccountId),
    Function(FunctionId),
}

/// The payment of one call; it counts in the periods of the match.
#[derive(Clone, Debug)]
pub(super) struct Payment {
    account: AccountId,
    function: FunctionId,
    matched_at: Time,
    cost: Money,
}

impl Spender {
    fn is(self, account: AccountId, function: FunctionId) -> bool {
        self == Spender::Account(account) || self == Spender::Function(function)
    }
}

impl Twin {
    pub(super) fn count_payment(&mut self, at: Time, lease: &Lease, cost: Money) {
        let month = at.period(Period::Month);
        self.payments.retain(|payment| payment.matched_at.period(Period::Month) == month);
        let (account, function, matched_at) = (lease.account, lease.function, lease.matched_at);
        self.payments.push(Payment { account, function, matched_at, cost });
    }

    /// Returns the amounts spent and held in the period of `at`.
    pub(crate) fn spending(&self, of: Spender, period: Period, at: Time) -> (u128, u128) {
        let counts = |counted_at: Time| counted_at.period(period) == at.period(period);
        let paid = self.payments.iter().filter(|paid| of.is(paid.account, paid.function) && counts(paid.matched_at));
        let leases = self.leases.iter().map(|open| &open.lease);
        let leased = leases.filter(|lease| of.is(lease.account, lease.function) && counts(lease.matched_at));
        let bids = self.resting.iter().map(|rested| &rested.resting);
        let resting =
            bids.filter(|bid| of.is(bid.deferred.bid.account, bid.deferred.bid.function) && counts(bid.rested_at));
        let holds = leased.map(|lease| lease.hold).chain(resting.map(|bid| bid.hold));
        (paid.map(|paid| picodollars(paid.cost)).sum(), holds.map(picodollars).sum())
    }

    /// Returns the rest of each budget that a call counts on; below 0 if it was lowered.
    pub(super) fn budgets_left(&self, account: AccountId, function: FunctionId, at: Time) -> Vec<(Period, i128)> {
        let of_function = (Spender::Function(function), &self.functions[function.index()].settings.budgets);
        let of_account = (Spender::Account(account), &self.accounts[account.index()].limits.budgets);
        let budgets = [of_function, of_account].into_iter().flat_map(|(of, all)| all.iter().map(move |one| (of, one)));
        budgets
            .map(|(of, budget)| {
                let (spent, held) = self.spending(of, budget.period, at);
                (budget.period, picodollars(budget.amount) as i128 - (spent + held) as i128)
            })
            .collect()
    }
}

/// Lists the budgets that do not cover their part in its period.
pub(super) fn exceeded(left: &[(Period, i128)], needed: impl Fn(Period) -> u128) -> Vec<Reason> {
    let short = left.iter().filter(|(period, left)| needed(*period) as i128 > *left);
    short.map(|(period, _)| Reason::BudgetExceeded { period: *period, needed: money(needed(*period)) }).collect()
}
