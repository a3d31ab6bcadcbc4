//! Spending in the present day and month: paid and held, as budgets count it.

use merit_terms::{Budget, Money, Period, Time};
use serde::{Deserialize, Serialize};

/// The spending of an account or a function in the present day and month.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Spending {
    day: PeriodSpending,
    month: PeriodSpending,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct PeriodSpending {
    /// Begin of the period that it counts; one of another period counts as nothing.
    since: Time,
    spent: u128,
    held: u128,
}

/// The begins of the present day and month, in UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Calendar {
    day: Time,
    month: Time,
    next_day: Time,
}

impl Calendar {
    /// Goes to the day and month of `at`.
    pub(crate) fn go_to(&mut self, at: Time) {
        if (self.day..self.next_day).contains(&at) {
            return;
        }
        let day = at.period(Period::Day);
        self.day = Time::start_of(Period::Day, day);
        self.next_day = Time::start_of(Period::Day, day + 1);
        self.month = Time::start_of(Period::Month, at.period(Period::Month));
    }

    /// Returns the begin of the present period.
    pub(crate) fn since(&self, period: Period) -> Time {
        match period {
            Period::Day => self.day,
            Period::Month => self.month,
        }
    }
}

impl PeriodSpending {
    fn now(self, since: Time) -> PeriodSpending {
        if self.since == since { self } else { PeriodSpending { since, ..PeriodSpending::default() } }
    }
}

impl Spending {
    fn each(&mut self, calendar: &Calendar) -> [&mut PeriodSpending; 2] {
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

    /// Gives up an amount that [`Spending::hold`] held.
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

    /// Returns the amounts spent and held in the present period, in picodollars.
    pub(crate) fn of(&self, period: Period, calendar: &Calendar) -> (u128, u128) {
        let counted = match period {
            Period::Day => self.day,
            Period::Month => self.month,
        };
        let counted = counted.now(calendar.since(period));
        (counted.spent, counted.held)
    }

    /// Returns the rest of a budget: below zero if it was lowered to less than is spent and held.
    pub(crate) fn left(&self, budget: &Budget, calendar: &Calendar) -> i128 {
        let (spent, held) = self.of(budget.period, calendar);
        let gone = i128::try_from(spent + held).unwrap_or(i128::MAX);
        i128::from(budget.amount.picodollars()).saturating_sub(gone)
    }
}
