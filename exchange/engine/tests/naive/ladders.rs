//! Ladders as they are quoted, and the books that they make.

use merit_engine::{MarketState, OfferChange, ProviderKind, Quote};
use merit_terms::{AccountId, MarketId, OfferId, Price, ProviderId, Refusal, Rung, Time};

use super::{Twin, invalid, unknown};

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Offer {
    pub(crate) id: OfferId,
    pub(crate) provider: ProviderId,
    pub(crate) market: MarketId,
    pub(crate) rung: Rung,
    /// Sequence of its last match or posting.
    pub(crate) place: u64,
}

impl Offer {
    pub(crate) fn price(&self) -> Price {
        self.rung.tariff.reference_price()
    }
}

/// Returns whether two rungs differ in expiry and labels at most.
fn is_unchanged(one: &Rung, other: &Rung) -> bool {
    let bare = |rung: &Rung| Rung { expires: None, labels: Default::default(), ..rung.clone() };
    bare(one) == bare(other)
}

impl Twin {
    /// Replaces a ladder. A rung with the id, tariff and pool of an earlier one continues that offer; all others go.
    pub(super) fn quote_ladder(&mut self, at: Time, sequence: u64, quote: &Quote) -> Result<(), Refusal> {
        self.check_quote(at, quote)?;
        let provider = &mut self.providers[quote.provider.index()];
        provider.last_quote = quote.number;
        provider.quoted_at.retain(|quoted_at| quoted_at.micros() / 1_000_000 == at.micros() / 1_000_000);
        provider.quoted_at.push(at);
        let is_old = |offer: &Offer| offer.provider == quote.provider && offer.market == quote.market;
        let old: Vec<Offer> = self.offers.iter().filter(|offer| is_old(offer)).cloned().collect();
        self.offers.retain(|offer| !is_old(offer));
        let mut ladder = Vec::new();
        let mut changed = Vec::new();
        for rung in &quote.rungs {
            let stood = old.iter().find(|offer| {
                let was = &offer.rung;
                (was.id, was.pool, was.tariff) == (rung.id, rung.pool, rung.tariff)
            });
            let id = stood.map_or_else(|| self.next_offer(), |offer| offer.id);
            let unchanged = stood.filter(|offer| is_unchanged(&offer.rung, rung));
            let place = unchanged.map_or(sequence, |offer| offer.place);
            let offer = Offer { id, provider: quote.provider, market: quote.market, rung: rung.clone(), place };
            if unchanged.is_none() {
                changed.push(offer.price());
            }
            ladder.push(offer);
        }
        for offer in &ladder {
            let equals = ladder.iter().filter(|other| other.rung.tariff == offer.rung.tariff);
            let place = equals.map(|other| other.place).max().unwrap_or(offer.place);
            self.offers.push(Offer { place, ..offer.clone() });
        }
        for price in changed {
            self.trigger(quote.market, price);
        }
        Ok(())
    }

    fn check_quote(&self, at: Time, quote: &Quote) -> Result<(), Refusal> {
        let provider = self.in_session(quote.provider, quote.session)?;
        if quote.number <= provider.last_quote {
            return Err(Refusal::StaleQuote { last: provider.last_quote });
        }
        let market = self.markets.get(quote.market.index()).filter(|market| !market.deleted);
        let market = market.ok_or_else(|| unknown("market", quote.market.number()))?;
        if market.terms.state == MarketState::CancelOnly && !quote.rungs.is_empty() {
            return Err(Refusal::MarketClosed { state: market.terms.state.as_str() });
        }
        let second = |at: Time| at.micros() / 1_000_000;
        let quoted = provider.quoted_at.iter().filter(|quoted_at| second(**quoted_at) == second(at)).count() as u64;
        if let Some(most) = provider.limits.quotes_per_second.map(u64::from)
            && quoted >= most
        {
            return Err(Refusal::OverLimit { limit: "quotes a second", most });
        }
        if quote.rungs.len() > 64 {
            return Err(invalid("rungs"));
        }
        let mut rungs = Vec::new();
        for (i, rung) in quote.rungs.iter().enumerate() {
            let twice = quote.rungs[..i].iter().any(|other| other.id == rung.id);
            let is_unknown =
                |name: &merit_terms::Name| self.accounts.iter().all(|account| account.name != name.as_str());
            if rung.check().is_err()
                || rung.pool as usize >= provider.pools.len()
                || twice
                || rung.audience.iter().any(is_unknown)
                || rung.quota.as_ref().is_some_and(|name| provider.quota(name).is_none())
                || rung.expires.is_some_and(|expires| expires <= at)
                || market.is_outside_bands(rung.tariff.reference_price())
            {
                rungs.push((rung.id, String::new()));
            }
        }
        if !rungs.is_empty() {
            return Err(Refusal::Rungs { rungs });
        }
        let elsewhere = |offer: &&Offer| offer.provider == quote.provider && offer.market != quote.market;
        let live = self.offers.iter().filter(elsewhere).count() + quote.rungs.len();
        match provider.limits.offers.map(u64::from) {
            Some(most) if live as u64 > most => Err(Refusal::OverLimit { limit: "live offers", most }),
            _ => Ok(()),
        }
    }

    fn next_offer(&mut self) -> OfferId {
        self.offers_posted += 1;
        OfferId(self.offers_posted)
    }

    /// Returns whether strangers see an offer: its provider sells to the market, and it names nobody.
    pub(super) fn is_seen_by_all(&self, offer: &Offer) -> bool {
        self.kind(offer.provider) == ProviderKind::Market && offer.rung.audience.is_empty()
    }

    /// Returns whether an account sees an offer: strangers do, it is the seller's, or it is named.
    pub(crate) fn is_seen_by(&self, offer: &Offer, account: AccountId) -> bool {
        let is_named = offer.rung.audience.iter().any(|name| self.accounts[account.index()].name == name.as_str());
        self.is_seen_by_all(offer) || is_named || self.providers[offer.provider.index()].account == account
    }

    /// Returns a market's live offers, cheapest first, then oldest.
    pub(crate) fn book(&self, market: MarketId) -> Vec<OfferChange> {
        let mut book: Vec<OfferChange> = self
            .offers
            .iter()
            .filter(|offer| offer.market == market)
            .map(|offer| OfferChange {
                market,
                offer: offer.id,
                provider: offer.provider,
                pool: offer.rung.pool,
                price: offer.price(),
                capacity_mb: offer.rung.capacity_mb,
                leased_mb: self.leased_mb(offer),
                free_mb: self.free_mb(offer),
                tariff: offer.rung.tariff,
                is_public: self.is_seen_by_all(offer),
                takes_reference_call: offer.rung.memory_min_mb <= 512 && offer.rung.memory_max_mb >= 512,
            })
            .collect();
        book.sort_by_key(|offer| (offer.price, offer.offer));
        book
    }
}
