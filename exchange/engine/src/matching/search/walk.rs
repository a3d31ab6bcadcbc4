//! The walk through the offers of a form in order of price, as far as they may be cheap enough.

use merit_terms::{MarketId, ProviderId};

use super::Search;
use super::cohort::Cohort;
use super::lines::{Bought, Line, greatest_rate_at};
use crate::command::ProviderKind;
use crate::prediction::reference::Predicted;
use crate::supply::index::{Form, RankedFront};
use crate::supply::ladders::Room;

/// The offers of a walk, and the cohort that it looks for.
#[derive(Clone, Copy)]
pub(super) struct Walked<'a> {
    pub(super) market: MarketId,
    /// Number of the form in its market.
    pub(super) number: u32,
    pub(super) form: &'a Form,
    pub(super) cohort: Cohort,
    pub(super) by_module: bool,
}

/// A range of rates.
#[derive(Clone, Copy)]
struct Span {
    from: u64,
    until: u64,
}

impl<'a> Search<'a> {
    /// Walks through the offers of a form in order of price, as far as they may be cheap enough.
    pub(super) fn walk(&mut self, of: &Walked<'a>, least: Predicted) {
        let code = &self.resolved.revision.code;
        let terms = of.form.terms();
        if !(terms.memory_min_mb..=terms.memory_max_mb).contains(&code.memory_mb)
            || (code.timeout_ms > terms.longest_ms && !self.resolved.has_max_cost())
        {
            return;
        }
        self.unaffordable_from = None;
        let line = self.line(terms, &least);
        let most = self.resolved.max_price.map_or(u64::MAX, |price| greatest_rate_at(terms, price));
        match self.resolved.max_cost() {
            None => self.walk_through(of, &line, Span { from: 0, until: most }),
            Some(max_cost) => {
                // Up to this rate the max cost buys the least duration whole; beyond it, a part.
                let bought =
                    Bought::of(terms, code.memory_mb, &self.billed(&least), self.resolved.bid.answer_limit_bytes);
                let whole = bought.greatest_rate_within(max_cost);
                if let Some(whole) = whole {
                    self.walk_through(of, &line, Span { from: 0, until: most.min(whole) });
                }
                let paid_less = 64_u32.div_ceil(least.least_64ths().min(64));
                let bound = self.top.bound().map(|bound| bound.times_eighths(8 * paid_less));
                let from = bound.map_or(0, |bound| bought.least_rate_below(max_cost, bound));
                let from = from.max(whole.map_or(0, |whole| whole.saturating_add(1)));
                if from <= most.min(of.form.dearest()) {
                    let nothing = Line { fixed: 0, slope: 0 };
                    self.walk_through(of, &nothing, Span { from, until: most });
                }
            }
        }
    }

    fn walk_through(&mut self, of: &Walked<'a>, line: &Line, span: Span) {
        let mut alike: Option<(Predicted, Line)> = None;
        let mut entries = of.form.ranks().iter();
        while let Some(entry) = entries.next() {
            if entry.rate > self.limit(line).min(span.until) {
                return;
            }
            if self.ties_are_settled(line, entry) {
                entries = of.form.ranks().after(|other| other.rate <= entry.rate);
                continue;
            }
            let provider = entry.provider;
            if entry.dearest < span.from
                || !self.resolved.permits(provider, of.by_module)
                || !self.is(of.cohort, provider)
                || self.is_unaffordable(entry)
            {
                continue;
            }
            let mut own = None;
            if of.cohort != Cohort::All && !self.resolved.has_max_cost() {
                // Most are too dear, which their prediction tells. Many are predicted alike.
                let predicted = self.engine.predict(self.resolved, provider);
                own = match &mut alike {
                    Some((known, line)) if *known == predicted => Some(&*line),
                    other => Some(&other.insert((predicted, self.line(of.form.terms(), &predicted))).1),
                };
            }
            self.judge_ladder(of, provider, own.unwrap_or(line), span);
        }
    }

    /// Judges the rungs of one ladder and form, cheapest first, as far as they may be among the best two.
    fn judge_ladder(&mut self, of: &Walked<'a>, provider: ProviderId, line: &Line, span: Span) {
        let mut own = None;
        for step in self.engine.shelf.seller(provider).ladders().of(of.market) {
            let bound = self.bound().into_iter().chain(own).min();
            if step.rate > span.until || bound.is_some_and(|bound| line.is_above(step.rate, bound)) {
                return;
            }
            if step.form == of.number && step.room == Room::Open && step.rate >= span.from {
                let cost = self.judge(step.slot);
                if !self.resolved.has_max_cost() {
                    own = own.into_iter().chain(cost).min();
                }
            }
        }
    }

    /// Returns the greatest rate at which an offer on the line may still be among the best two.
    fn limit(&self, line: &Line) -> u64 {
        self.top.bound().map_or(u64::MAX, |bound| line.greatest_rate_within(bound))
    }

    /// Returns whether no front behind `entry` at its price can be cheaper than the best two or have waited longer.
    fn ties_are_settled(&self, line: &Line, entry: &RankedFront) -> bool {
        self.top
            .second
            .is_some_and(|second| second.place < entry.place && line.is_at_least(entry.rate, second.cost_of_answer))
    }

    /// Returns whether the funds are known not to cover a front.
    fn is_unaffordable(&self, entry: &RankedFront) -> bool {
        let is_market = || self.engine.kind_of(entry.provider) == ProviderKind::Market;
        self.unaffordable_from.is_some_and(|rate| entry.rate >= rate) && is_market()
    }
}
