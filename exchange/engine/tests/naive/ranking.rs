//! The whole decision on a bid: eligible offers in order, and the reasons against the others.

use merit_engine::{Bid, Resting};
use merit_terms::{FunctionId, NoOffer, OfferId, ProviderId, Reason, Refusal, Time};

use super::eligibility::{Asked, Ranked};
use super::{Function, Twin, invalid, unknown};

/// The reasons against an offer.
type Reasons = (OfferId, Vec<Reason>);

#[derive(Clone, Debug)]
pub(crate) struct Decision {
    pub(crate) revision: u32,
    pub(super) memory_mb: u32,
    /// Eligible offers; the first serves the bid.
    pub(crate) ranked: Vec<Ranked>,
    /// Every reason against each other offer.
    pub(crate) refused: Vec<(OfferId, Vec<Reason>)>,
    /// Refusal class of the nearest miss.
    pub(super) lacks: NoOffer,
    /// The first time at which a provider is back, if all that else may serve are away.
    pub(super) behind_until: Option<Time>,
}

/// Returns the refusal class of these reasons: money only if nothing else stands against the offer.
pub(crate) fn lacks(reasons: &[Reason]) -> NoOffer {
    reasons.iter().map(Reason::class).max().unwrap_or(NoOffer::Eligible)
}

impl Twin {
    /// Returns the function of a bid, if it is the bidder's, and the number of the revision.
    pub(super) fn asked(&self, bid: &Bid) -> Result<(&Function, u32), Refusal> {
        if bid.limits.check().is_err() {
            return Err(invalid("limits"));
        }
        self.account(bid.account)?;
        let function = self.functions.get(bid.function.index()).filter(|f| !f.deleted && f.account == bid.account);
        let function = function.ok_or_else(|| unknown("function", bid.function.number()))?;
        let call = bid.invocation.map_or(self.sequence + 1, |first| first.sequence);
        Ok((function, function.drawn(&bid.qualifier, call)?))
    }

    pub(crate) fn decide(&self, at: Time, bid: &Bid, resting: Option<&Resting>) -> Result<Decision, Refusal> {
        let (function, revision) = self.asked(bid)?;
        let asked = Asked {
            at,
            bid,
            function,
            revision,
            covers: self.covers(bid, resting),
            available: self.available(bid.account),
            budgets_left: self.budgets_left(bid.account, bid.function, at),
        };
        let (mut ranked, mut refused) = self.judge_all(&asked, false);
        if ranked.is_empty() {
            (ranked, refused) = self.judge_all(&asked, true);
        }
        if ranked.iter().any(|(_, candidate)| !candidate.on_prior()) {
            ranked.retain(|(_, candidate)| {
                let probing = candidate.on_prior() && self.is_tried(bid.function, revision, candidate.provider);
                if probing {
                    refused.push((candidate.offer, vec![Reason::Probing]));
                }
                !probing
            });
        }
        ranked.sort_by_key(|(place, candidate)| (candidate.cost_of_answer, *place, candidate.offer));
        let nearest = refused.iter().map(|(_, reasons)| lacks(reasons)).min().unwrap_or(NoOffer::Eligible);
        let away = refused.iter().filter(|(_, reasons)| nearest == NoOffer::Behind && lacks(reasons) == nearest);
        let behind_until = away.filter_map(|(_, reasons)| reasons.iter().filter_map(Reason::behind_until).max()).min();
        Ok(Decision {
            revision,
            memory_mb: asked.memory_mb(),
            ranked: ranked.into_iter().map(|(_, candidate)| candidate).collect(),
            refused,
            lacks: nearest,
            behind_until,
        })
    }

    /// Judges every offer. Providers that are behind may serve where nobody else is left.
    fn judge_all(&self, asked: &Asked<'_>, nobody_else: bool) -> (Vec<(u64, Ranked)>, Vec<Reasons>) {
        let (mut ranked, mut refused) = (Vec::new(), Vec::new());
        for offer in &self.offers {
            match self.judge(asked, offer, nobody_else) {
                Ok(candidate) => ranked.push((offer.place, candidate)),
                Err(reasons) => refused.push((offer.id, reasons)),
            }
        }
        (ranked, refused)
    }

    /// Returns whether a running lease of the revision tries the provider without history.
    fn is_tried(&self, function: FunctionId, revision: u32, provider: ProviderId) -> bool {
        self.leases.iter().any(|open| {
            let lease = &open.lease;
            let same = (lease.function, lease.revision, lease.provider) == (function, revision, provider);
            same && lease.on_prior && open.has_capacity
        })
    }
}
