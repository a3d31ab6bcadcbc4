//! Invariants after every command, whatever the rules decide: money is conserved, holds and budgets are kept.

use std::collections::{BTreeMap, BTreeSet};

use merit_engine::{Applied, Command, Engine, Event, Lease, ProviderKind, Reply, SpendingOf};
use merit_terms::{AccountId, Budget, FunctionId, LeaseId, OfferId, Period, Time};

use crate::naive::{Spender, Twin};

/// The market before a grant, if nothing was due: the grant is judged by it.
#[derive(Default)]
struct Before {
    was_due: bool,
    free_mb: BTreeMap<OfferId, u64>,
    available: i128,
    /// Sum of the holds of the invocation's unknown attempts.
    shared: u128,
}

#[derive(Default)]
pub(crate) struct Invariants {
    before: Before,
    /// Time of each command that changed something, by its sequence.
    times: BTreeMap<u64, Time>,
    /// Budgets that may be overrun in this period: set below the amount spent, or charged with calls of another period.
    overrun: BTreeSet<(Spender, Period, u32)>,
    /// Count of budgets that were not empty and within their amount.
    pub(crate) within_budget: u64,
}

fn spending_of(spender: Spender) -> SpendingOf {
    match spender {
        Spender::Account(id) => SpendingOf::Account(id),
        Spender::Function(id) => SpendingOf::Function(id),
    }
}

fn holds_money(engine: &Engine, lease: &Lease) -> bool {
    engine.provider(lease.provider).is_some_and(|provider| provider.kind == ProviderKind::Market)
}

impl Invariants {
    pub(crate) fn look(&mut self, engine: &Engine, clock: Time, command: &Command) {
        let was_due = engine.next_due().is_some_and(|due| due <= clock.max(engine.last_at()));
        self.before = Before { was_due, ..Before::default() };
        if let Command::Acquire(bid) = command {
            let books = engine.markets().flat_map(|(market, _)| engine.book(market));
            self.before.free_mb = books.map(|offer| (offer.offer, offer.free_mb)).collect();
            self.before.available = available(engine, bid.account);
            let siblings = engine.open_leases().filter(|lease| {
                let of = (lease.account, lease.function, Some(lease.invocation));
                of == (bid.account, bid.function, bid.invocation)
                    && super::is_unknown(lease)
                    && holds_money(engine, lease)
            });
            self.before.shared = siblings.map(|lease| u128::from(lease.hold.picodollars())).sum();
        }
    }

    pub(crate) fn check(
        &mut self,
        engine: &Engine,
        twin: &Twin,
        command: &Command,
        applied: &Applied,
        events: &[Event],
    ) {
        if let Some(sequence) = applied.sequence {
            self.times.insert(sequence, applied.at);
        }
        assert_eq!(engine.balance_sum().picodollars(), 0);
        check_holds(engine);
        for (id, _) in engine.providers() {
            assert_eq!(engine.pools(id), twin.pools(id), "{id:?}");
        }
        let matches = events.iter().filter(|event| matches!(event, Event::Offered(_))).count();
        assert!(matches <= 1, "{matches} bids matched by one command");
        if let (Ok(Reply::Granted(_)), Some(Event::Granted(lease))) = (&applied.reply, events.first()) {
            self.check_grant(engine, command, lease);
        }
        self.check_budgets(engine, command, applied);
    }

    /// Checks a match: it takes free capacity, holds available funds, and its worst case stays within the max cost.
    fn check_grant(&self, engine: &Engine, command: &Command, lease: &Lease) {
        let Command::Acquire(bid) = command else { return };
        if !self.before.was_due {
            assert!(self.before.free_mb[&lease.offer] >= u64::from(lease.memory_mb), "{lease:?}");
            let held = i128::from(lease.hold.picodollars()) - self.before.shared as i128;
            assert!(!holds_money(engine, lease) || self.before.available >= held, "{lease:?}");
        }
        let function = engine.function(lease.function).unwrap();
        let worst = |ms| lease.tariff.worst_case(lease.memory_mb, lease.vcpus_milli, ms, bid.answer_limit_bytes);
        assert_eq!(worst(lease.timeout_ms), lease.worst_cost, "{lease:?}");
        let asked_ms = function.revision(lease.revision).unwrap().code.timeout_ms;
        if let Some(max_cost) = bid.limits.max_cost.into_iter().chain(function.settings.limits.max_cost).min() {
            assert!(lease.worst_cost <= max_cost, "{lease:?}");
            let is_first = bid.invocation.is_none();
            assert!(!is_first || lease.timeout_ms == asked_ms || worst(lease.timeout_ms + 1) > max_cost, "{lease:?}");
        }
    }

    /// Checks that nothing is spent and held beyond a budget, unless it was lowered below that afterwards, or a call of
    /// another period is held for or paid in this one.
    fn check_budgets(&mut self, engine: &Engine, command: &Command, applied: &Applied) {
        self.note_overruns(engine, command, applied);
        let at = engine.last_at();
        for (spender, budget) in budgets(engine) {
            let (spent, held) = engine.spending(spending_of(spender), budget.period);
            if self.overrun.contains(&(spender, budget.period, at.period(budget.period))) {
                continue;
            }
            let amount = u128::from(budget.amount.picodollars());
            assert!(spent + held <= amount, "{spender:?}: {spent} + {held} of {budget:?}");
            self.within_budget += u64::from(spent + held > 0);
        }
    }

    fn note_overruns(&mut self, engine: &Engine, command: &Command, applied: &Applied) {
        let at = engine.last_at();
        let both = |account: AccountId, function: FunctionId| [Spender::Account(account), Spender::Function(function)];
        if matches!(command, Command::SetAccountLimits { .. } | Command::PutFunction(_)) && applied.reply.is_ok() {
            for (spender, budget) in budgets(engine) {
                let (spent, held) = engine.spending(spending_of(spender), budget.period);
                if spent + held > u128::from(budget.amount.picodollars()) {
                    self.overrun.insert((spender, budget.period, at.period(budget.period)));
                }
            }
        }
        let leases =
            engine.open_leases().map(|lease| (lease.invocation, lease.matched_at, lease.account, lease.function));
        let bids = engine.resting().map(|resting| {
            (resting.id, resting.rested_at, resting.deferred.bid.account, resting.deferred.bid.function)
        });
        let began = |invocation: LeaseId| self.times.get(&invocation.sequence).copied().unwrap_or_default();
        let mut late = Vec::new();
        for (invocation, counted_at, account, function) in leases.chain(bids) {
            for period in [Period::Day, Period::Month] {
                if began(invocation).period(period) != counted_at.period(period) {
                    late.extend(both(account, function).map(|spender| (spender, period, at.period(period))));
                }
            }
        }
        let mut now = |account, function| {
            for period in [Period::Day, Period::Month] {
                late.extend(both(account, function).map(|spender| (spender, period, at.period(period))));
            }
        };
        if let (Command::SettleForgotten(forgotten), Ok(_)) = (command, &applied.reply) {
            now(forgotten.terms.account, forgotten.terms.function);
        }
        self.overrun.extend(late);
    }
}

fn budgets(engine: &Engine) -> Vec<(Spender, Budget)> {
    let accounts = engine
        .accounts()
        .flat_map(|(id, account)| account.limits.budgets.iter().map(move |budget| (Spender::Account(id), *budget)));
    let functions = engine.functions().flat_map(|(id, function)| {
        function.settings.budgets.iter().map(move |budget| (Spender::Function(id), *budget))
    });
    accounts.chain(functions).collect()
}

fn available(engine: &Engine, id: AccountId) -> i128 {
    engine.account(id).map_or(0, |account| {
        let credit = i128::from(account.limits.credit_limit.picodollars());
        account.balance.picodollars() + credit - account.held as i128
    })
}

/// Checks that an account holds as much as its resting bids and its open leases at market providers.
fn check_holds(engine: &Engine) {
    let mut held: BTreeMap<AccountId, u128> = BTreeMap::new();
    for lease in engine.open_leases().filter(|lease| holds_money(engine, lease)) {
        *held.entry(lease.account).or_default() += u128::from(lease.hold.picodollars());
    }
    for resting in engine.resting() {
        *held.entry(resting.deferred.bid.account).or_default() += u128::from(resting.hold.picodollars());
    }
    for (id, account) in engine.accounts() {
        assert_eq!(account.held, held.get(&id).copied().unwrap_or(0), "{id:?} {account:?}");
    }
}
