//! The walk through all offers in order of price, as far as they may be cheap enough.

use merit_terms::{MarketId, ProviderId, Usage};

use super::lines::{Bought, Line, greatest_rate_at};
use super::{Search, Who};
use crate::command::ProviderKind;
use crate::prediction::durations::Predicted;
use crate::supply::index::{Entry, Form};
use crate::supply::ladders::Room;

/// What is walked through, and whom it is for.
#[derive(Clone, Copy)]
pub(super) struct Of<'a> {
    pub(super) market: MarketId,
    /// Of the form, in its market.
    pub(super) number: u32,
    pub(super) form: &'a Form,
    pub(super) who: Who,
    pub(super) by_module: bool,
}

/// Rates that are looked at.
#[derive(Clone, Copy)]
struct Span {
    from: u64,
    until: u64,
}

impl<'a> Search<'a> {
    /// Walks through the offers of a form in order of price, as far as they may be cheap enough.
    pub(super) fn walk(&mut self, of: &Of<'a>, least: Predicted) {
        let code = &self.asked.revision.code;
        let terms = &of.form.terms;
        if !(terms.memory_min_mb..=terms.memory_max_mb).contains(&code.memory_mb)
            || (code.timeout_ms > terms.longest_ms && !self.asked.has_max_cost())
        {
            return;
        }
        self.unaffordable_from = None;
        let timeout_us = u64::from(code.timeout_ms) * 1000;
        let least = Usage { wall_us: least.wall_us.min(timeout_us), cpu_us: least.cpu_us, ..Usage::default() };
        let line = Line::of(terms, code.memory_mb, &least);
        let most = self.asked.max_price().map_or(u64::MAX, |price| greatest_rate_at(terms, price));
        match self.asked.max_cost() {
            None => self.walk_through(of, &line, Span { from: 0, until: most }),
            Some(max_cost) => {
                // Up to this rate the max cost buys at least the least duration; beyond it, a part of it.
                let bought = Bought::of(terms, code.memory_mb, &least, self.asked.bid.answer_limit_bytes);
                let whole = bought.greatest_rate_within(max_cost);
                if let Some(whole) = whole {
                    self.walk_through(of, &line, Span { from: 0, until: most.min(whole) });
                }
                let from = self.top.bound().map_or(0, |bound| bought.least_rate_below(max_cost, bound));
                let from = from.max(whole.map_or(0, |whole| whole.saturating_add(1)));
                if from <= most.min(of.form.dearest) {
                    let nothing = Line { fixed: 0, slope: 0 };
                    self.walk_through(of, &nothing, Span { from, until: most });
                }
            }
        }
    }

    fn walk_through(&mut self, of: &Of<'a>, line: &Line, span: Span) {
        let memory_mb = self.asked.revision.code.memory_mb;
        let mut alike: Option<(Predicted, Line)> = None;
        let mut entries = of.form.ranks.iter();
        while let Some(entry) = entries.next() {
            if entry.rate > self.limit(line).min(span.until) {
                return;
            }
            if self.ties_are_settled(line, entry) {
                entries = of.form.ranks.after(|other| other.rate <= entry.rate);
                continue;
            }
            let provider = entry.provider;
            if entry.dearest < span.from
                || !self.asked.permits(provider, of.by_module)
                || !self.is(of.who, provider)
                || self.is_unaffordable(entry)
            {
                continue;
            }
            let mut own = None;
            if of.who != Who::All && !self.asked.has_max_cost() {
                // Most are too dear: that is seen without judging them. Many are predicted alike.
                let predicted = self.engine.predict(self.asked, provider);
                own = match &mut alike {
                    Some((known, line)) if *known == predicted => Some(&*line),
                    other => {
                        let usage = self.within_timeout(predicted);
                        Some(&other.insert((predicted, Line::of(&of.form.terms, memory_mb, &usage))).1)
                    }
                };
            }
            self.judge_ladder(of, provider, own.unwrap_or(line), span);
        }
    }

    /// Judges the rungs of one ladder and form, cheapest first, as far as they may be among the best two.
    fn judge_ladder(&mut self, of: &Of<'a>, provider: ProviderId, line: &Line, span: Span) {
        let mut own = None;
        for step in self.engine.shelf.sellers[provider.index()].ladders.of(of.market) {
            let bound = self.bound().into_iter().chain(own).min();
            if step.rate > span.until || bound.is_some_and(|bound| line.is_above(step.rate, bound)) {
                return;
            }
            if step.form == of.number && step.room == Room::Open && step.rate >= span.from {
                let cost = self.judge(step.slot);
                if !self.asked.has_max_cost() {
                    own = own.into_iter().chain(cost).min();
                }
            }
        }
    }

    /// The greatest rate at which an offer on the line may still be among the best two.
    fn limit(&self, line: &Line) -> u64 {
        self.top.bound().map_or(u64::MAX, |bound| line.greatest_rate_within(bound))
    }

    /// Whether whoever waits behind `entry` at its price can neither be cheaper than the best two nor have waited longer.
    fn ties_are_settled(&self, line: &Line, entry: &Entry) -> bool {
        self.top.second.is_some_and(|second| second.place < entry.place && line.is_at_least(entry.rate, second.cost))
    }

    fn is_unaffordable(&self, entry: &Entry) -> bool {
        let is_market = || self.engine.kind_of(entry.provider) == ProviderKind::Market;
        self.unaffordable_from.is_some_and(|rate| entry.rate >= rate) && is_market()
    }
}
