//! What is known of a bid, and the whole merit order for it.
//!
//! Changes nothing. Whether one offer may serve is `eligibility`; which offers are looked at, and in what order, is `search`;
//! taking what was found is `leases`.

mod eligibility;
mod search;

use merit_terms::{MarketId, Money, NoOffer, OfferId, Period, Price, ProviderId, Reason, Refusal, Tariff, Time};

use crate::collections::bits::Bits;
use crate::command::{Bid, ProviderKind};
use crate::leases::open::Call;
use crate::market::classes::Class;
use crate::market::{Function, Revision, unknown_function};
use crate::prediction::durations::Reference;
use crate::supply::{Offer, OfferSlot};
use crate::{Account, Engine};

/// An offer that may serve a bid, with what is predicted of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Candidate {
    pub(crate) slot: OfferSlot,
    pub offer: OfferId,
    pub provider: ProviderId,
    pub market: MarketId,
    pub price: Price,
    pub tariff: Tariff,
    pub wall_us: u64,
    pub cold_us: u64,
    pub billed_ms: u64,
    pub cost: Money,
    /// The most that it can cost: what is held.
    pub worst_cost: Money,
    /// The function's timeout, or less where the caller's max cost buys less.
    pub timeout_ms: u32,
    /// Whether the prediction rests on no history of this provider.
    pub on_prior: bool,
    pub(crate) place: u64,
}

/// An offer that may not serve a bid, and why.
#[derive(Clone, Debug, PartialEq)]
pub struct Refused {
    pub offer: OfferId,
    pub provider: ProviderId,
    pub market: MarketId,
    pub reason: Reason,
}

/// The whole decision on a bid: what [`Engine::quote`] answers.
#[derive(Clone, Debug, PartialEq)]
pub struct MeritOrder {
    pub revision: u32,
    /// Cheapest first; the first would serve the bid, unless its account is frozen or `max_concurrency` lets it wait.
    pub offers: Vec<Candidate>,
    /// By market, offer by offer.
    pub refused: Vec<Refused>,
}

/// The part of a decision that a match needs.
pub(crate) struct Best {
    pub(crate) revision: u32,
    pub(crate) winner: Candidate,
    pub(crate) runner_up: Option<Candidate>,
}

/// What is known of a bid before any offer is looked at.
pub(crate) struct Asked<'a> {
    pub(crate) bid: &'a Bid,
    pub(crate) at: Time,
    pub(crate) function: &'a Function,
    pub(crate) number: u32,
    pub(crate) revision: &'a Revision,
    pub(crate) class: &'a Class,
    pub(crate) reference: Option<Reference>,
    /// What the bid alone asks of the provider.
    only: Vec<ProviderId>,
    ignore: Vec<ProviderId>,
    pub(crate) labels: Vec<Option<&'a Bits>>,
    max_cost: [Option<Money>; 2],
    max_price: Option<Price>,
    max_latency_ms: Option<u32>,
    /// What the account may still hold, in picodollars.
    available: i128,
    /// What is held for it even where the worst case is less.
    pub(crate) hold: Money,
    /// What is left of each budget, and its period.
    budgets: Vec<(Period, i128)>,
    shared: Vec<Shared>,
}

/// What an earlier attempt of the invocation holds, which a further one takes over.
struct Shared {
    kind: ProviderKind,
    hold: Money,
    matched_at: Time,
}

fn index(kind: ProviderKind) -> usize {
    match kind {
        ProviderKind::Own => 0,
        ProviderKind::Market => 1,
    }
}

/// So many offers without room are looked at, at most, to say what a bid lacks.
const CLOSED_LOOKED_AT: usize = 256;

impl Asked<'_> {
    /// Whether the function and the bid let `provider` run it in a market, apart from what changes with time.
    pub(crate) fn permits(&self, provider: ProviderId, by_module: bool) -> bool {
        let by_class = if by_module { &self.class.allowed } else { &self.class.deployed };
        by_class.has(provider.index())
            && self.labels.iter().all(|bits| bits.is_some_and(|bits| bits.has(provider.index())))
            && (self.bid.limits.only.is_empty() || self.only.contains(&provider))
            && !self.ignore.contains(&provider)
            && !self.bid.tried.contains(&provider)
    }

    /// Whether a module is enough in markets of modules.
    pub(crate) fn has_module(&self) -> bool {
        self.revision.code.module.is_some()
    }

    pub(crate) fn max_price(&self) -> Option<Price> {
        self.max_price
    }

    /// The only providers that the bid names; none: all.
    pub(crate) fn only(&self) -> Option<&[ProviderId]> {
        (!self.bid.limits.only.is_empty()).then_some(&self.only)
    }

    /// Whether the max cost may cut the timeout anywhere.
    pub(crate) fn has_max_cost(&self) -> bool {
        self.max_cost.iter().any(Option::is_some)
    }

    /// The least max cost that any offer must keep to.
    pub(crate) fn max_cost(&self) -> Option<Money> {
        self.max_cost.into_iter().flatten().min()
    }

    /// What the siblings of one kind hold.
    pub(crate) fn shared(&self, kind: ProviderKind) -> Money {
        self.sum(|shared| shared.kind == kind)
    }

    fn sum(&self, counts: impl Fn(&Shared) -> bool) -> Money {
        let held = self.shared.iter().filter(|shared| counts(shared)).map(|shared| shared.hold.picodollars());
        Money::from_picodollars(held.fold(0, u64::saturating_add)).unwrap_or(Money::MAX)
    }
}

impl Engine {
    /// The ranked merit order for `bid` as of the last command, and why the other offers are refused. Changes nothing.
    pub fn quote(&self, bid: &Bid) -> Result<MeritOrder, Refusal> {
        let asked = self.asked(bid, self.last_at)?;
        let (mut offers, mut refused) = (Vec::new(), Vec::new());
        let mut slots: Vec<(OfferSlot, &Offer)> = self.live_offers().collect();
        slots.sort_unstable_by_key(|(_, offer)| (offer.market, offer.price, offer.id));
        for (slot, offer) in slots {
            match self.consider(&asked, slot, offer) {
                Ok(candidate) => offers.push(candidate),
                Err(reason) => {
                    refused.push(Refused { offer: offer.id, provider: offer.provider, market: offer.market, reason });
                }
            }
        }
        if offers.iter().any(|offer| !offer.on_prior) {
            let probing =
                |candidate: &Candidate| candidate.on_prior && asked.revision.probes.contains_key(&candidate.provider);
            refused.extend(offers.iter().filter(|candidate| probing(candidate)).map(|candidate| Refused {
                offer: candidate.offer,
                provider: candidate.provider,
                market: candidate.market,
                reason: Reason::Probing,
            }));
            offers.retain(|candidate| !probing(candidate));
        }
        offers.sort_by_key(Candidate::rank);
        Ok(MeritOrder { revision: asked.number, offers, refused })
    }

    /// Every live offer of every market, in no order.
    fn live_offers(&self) -> impl Iterator<Item = (OfferSlot, &Offer)> {
        let steps = self.shelf.sellers.iter().flat_map(|seller| seller.ladders.all());
        steps.filter_map(|step| Some((step.slot, self.shelf.offer(step.slot)?)))
    }

    /// What no offer serves a bid for lack of, given what the search found lacking among offers with room.
    pub(crate) fn lacking(&self, asked: &Asked<'_>, found: NoOffer) -> Refusal {
        let mut class = found;
        let closed = asked.function.markets.iter().flat_map(|market| self.shelf.markets[market.index()].closed());
        for slot in closed.take(CLOSED_LOOKED_AT) {
            if class <= NoOffer::Room {
                break;
            }
            if let Some(offer) = self.shelf.offer(*slot)
                && let Err(reason) = self.consider(asked, *slot, offer)
            {
                class = class.min(reason.class());
            }
        }
        self.no_offer(class)
    }

    /// The refusal of a bid that lacks `class`.
    pub(crate) fn no_offer(&self, class: NoOffer) -> Refusal {
        let indices = &self.shelf.markets;
        let offers = indices.iter().map(|index| index.live).sum();
        let markets = indices.iter().filter(|index| index.live > 0).count() as u32;
        Refusal::NoOffer { class, offers, markets }
    }

    /// Refuses a bid whose limits are out of bounds, or whose account the operator has frozen.
    pub(crate) fn check_bidder(&self, bid: &Bid) -> Result<(), Refusal> {
        check_limits(bid)?;
        self.ledger.unfrozen(bid.account).map(drop)
    }

    pub(crate) fn asked<'a>(&'a self, bid: &'a Bid, at: Time) -> Result<Asked<'a>, Refusal> {
        check_limits(bid)?;
        let buyer = self.ledger.get(bid.account)?;
        let function = self.registry.function(bid.function)?;
        if function.account != bid.account {
            return Err(unknown_function(bid.function)); // its name is not theirs to learn
        }
        // The number of its first attempt: that of the next command, unless it has been made.
        let call = bid.invocation.map_or(self.sequence + 1, |first| first.sequence);
        let number = function.revision_of(&bid.qualifier, call)?;
        let revision = function
            .revision(number)
            .ok_or_else(|| Refusal::Unknown { what: "revision", name: format!("{}:{number}", function.name) })?;
        let (limits, own) = (&bid.limits, &function.settings.limits);
        let ids =
            |names: &[merit_terms::Name]| names.iter().filter_map(|name| self.registry.find_provider(name)).collect();
        let mut asked = Asked {
            bid,
            at,
            function,
            number,
            revision,
            class: &self.registry.classes.all[revision.class as usize],
            reference: revision.durations.reference(),
            only: ids(&limits.only),
            ignore: ids(&limits.ignore),
            labels: limits.labels.iter().map(|label| self.registry.classes.with_label(label)).collect(),
            max_cost: [limits.max_cost.into_iter().chain(own.max_cost).min(); 2],
            max_price: limits.max_price.into_iter().chain(own.max_price).min(),
            max_latency_ms: limits.max_latency_ms.into_iter().chain(own.max_latency_ms).min(),
            available: buyer.available(),
            hold: Money::ZERO,
            budgets: self.budgets_left(function, buyer).collect(),
            shared: Call::of_bid(bid).map_or_else(Vec::new, |call| self.held_by_siblings(call)),
        };
        for (kind, other) in [(ProviderKind::Own, ProviderKind::Market), (ProviderKind::Market, ProviderKind::Own)] {
            let taken = asked.shared(other);
            asked.max_cost[index(kind)] = asked.max_cost[index(kind)].map(|most| most.saturating_sub(taken));
        }
        Ok(asked)
    }

    /// What is left of each budget of a function and its account, in picodollars; below 0 where a budget was lowered.
    pub(crate) fn budgets_left<'a>(
        &'a self,
        function: &'a Function,
        buyer: &'a Account,
    ) -> impl Iterator<Item = (Period, i128)> + 'a {
        let of_function = function.settings.budgets.iter().map(|budget| (budget, &function.spending));
        let of_account = buyer.limits.budgets.iter().map(|budget| (budget, &buyer.spending));
        let left = of_function.chain(of_account);
        left.map(|(budget, spending)| (budget.period, spending.left(budget, &self.calendar)))
    }

    fn held_by_siblings(&self, call: Call) -> Vec<Shared> {
        let shared = self.unknown(call).map(|lease| Shared {
            kind: self.kind_of(lease.provider),
            hold: lease.hold,
            matched_at: lease.matched_at,
        });
        shared.collect()
    }

    pub(crate) fn kind_of(&self, provider: ProviderId) -> ProviderKind {
        self.registry.providers[provider.index()].kind
    }
}

fn check_limits(bid: &Bid) -> Result<(), Refusal> {
    bid.limits.check().map_err(|error| Refusal::Invalid { field: "limits".to_owned(), message: error.to_string() })
}

impl Candidate {
    /// Least predicted cost, then longest wait, then the older offer.
    pub(crate) fn rank(&self) -> (Money, u64, OfferId) {
        (self.cost, self.place, self.offer)
    }
}
