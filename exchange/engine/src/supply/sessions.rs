//! Providers' sessions: logon, ladders, pools, and the ways in which a session ends.

use merit_terms::{PoolSize, Protection, ProviderId, Refusal, Time};

use crate::Engine;
use crate::command::{Logon, MarketState, Quote, Reply};
use crate::event::{Event, SessionEnding};
use crate::market::{check_reason, invalid, unknown_provider};
use crate::supply::quotas;
use crate::supply::{self, Counter};

/// The most leases that a protection counts.
const PROTECTION_LEASES_MAX: u32 = 1_000;

impl Engine {
    /// Begins a session; a session that was on is over, and its offers with it.
    pub(crate) fn logon(&mut self, logon: &Logon, events: &mut Vec<Event>) -> Result<Reply, Refusal> {
        let id = logon.provider;
        let provider = self.registry.providers.get(id.index()).ok_or_else(|| unknown_provider(id))?;
        if let Some(reason) = &provider.killed {
            return Err(Refusal::Killed { reason: reason.clone() });
        }
        supply::check_pools(&logon.pools)?;
        quotas::check(&provider.quotas, &logon.quotas)?;
        check_protection(logon.protection)?;
        if provider.online {
            self.end_session(id, SessionEnding::Fenced, events);
        }
        let provider = &mut self.registry.providers[id.index()];
        provider.session += 1;
        provider.online = true;
        provider.last_quote = 0;
        provider.endpoint.clone_from(&logon.endpoint);
        provider.protection = logon.protection;
        provider.endpoint_trusted = logon.endpoint_trusted;
        quotas::state(id, &mut provider.quotas, &logon.quotas, &mut self.dues);
        let (session, name) = (provider.session, provider.name.clone());
        self.registry.set_adapter(id, logon.adapter);
        self.shelf.state_pools(id, &logon.pools, events);
        self.wake_bids();
        // What a logout left may draw on quotas that are stated higher now.
        self.wake_provider(id);
        events.push(Event::SessionBegan { provider: id, name, session });
        Ok(Reply::Session(session))
    }

    pub(crate) fn end_session(&mut self, id: ProviderId, why: SessionEnding, events: &mut Vec<Event>) {
        self.shelf.cancel(id, |_| true, &mut self.dues, events);
        self.go_offline(id, why, events);
    }

    fn go_offline(&mut self, id: ProviderId, why: SessionEnding, events: &mut Vec<Event>) {
        let provider = &mut self.registry.providers[id.index()];
        provider.online = false;
        events.push(Event::SessionEnded { provider: id, session: provider.session, why });
    }

    /// Leaves the offers that expire to their expiry.
    pub(crate) fn logout(&mut self, id: ProviderId, session: u32, events: &mut Vec<Event>) -> Result<Reply, Refusal> {
        self.registry.in_session(id, session)?;
        self.shelf.cancel(id, |offer| offer.expires.is_none(), &mut self.dues, events);
        self.go_offline(id, SessionEnding::Logout, events);
        Ok(Reply::Done)
    }

    pub(crate) fn kill(&mut self, id: ProviderId, reason: &str, events: &mut Vec<Event>) -> Result<Reply, Refusal> {
        check_reason(reason)?;
        let provider = self.registry.provider_mut(id)?;
        provider.killed = Some(reason.to_owned());
        if provider.online {
            self.end_session(id, SessionEnding::Killed, events);
        } else {
            self.shelf.cancel(id, |_| true, &mut self.dues, events);
        }
        Ok(Reply::Done)
    }

    pub(crate) fn state_pools(
        &mut self,
        id: ProviderId,
        session: u32,
        pools: &[PoolSize],
        events: &mut Vec<Event>,
    ) -> Result<Reply, Refusal> {
        supply::check_pools(pools)?;
        self.registry.in_session(id, session)?;
        self.shelf.state_pools(id, pools, events);
        self.wake_bids();
        Ok(Reply::Done)
    }

    pub(crate) fn busy(
        &mut self,
        id: ProviderId,
        session: u32,
        pool: u32,
        events: &mut Vec<Event>,
    ) -> Result<Reply, Refusal> {
        self.registry.in_session(id, session)?;
        let unknown = || Refusal::Unknown { what: "pool", name: pool.to_string() };
        let slot = *self.shelf.sellers[id.index()].pools.get(pool as usize).ok_or_else(unknown)?;
        self.shelf.busy(slot, events);
        Ok(Reply::Done)
    }

    pub(crate) fn quote_ladder(
        &mut self,
        at: Time,
        sequence: u64,
        quote: &Quote,
        events: &mut Vec<Event>,
    ) -> Result<Reply, Refusal> {
        let provider = self.registry.in_session(quote.provider, quote.session)?;
        if quote.number <= provider.last_quote {
            return Err(Refusal::StaleQuote { last: provider.last_quote });
        }
        let (limits, (second, quoted)) = (provider.limits, provider.quoted);
        let Some(market) = self.registry.markets.get(quote.market.index()) else {
            return Err(Refusal::Unknown { what: "market", name: quote.market.number().to_string() });
        };
        if market.terms.state == MarketState::CancelOnly && !quote.rungs.is_empty() {
            return Err(Refusal::MarketClosed { state: market.terms.state.as_str() });
        }
        let now = at.micros() / 1_000_000;
        let quoted = if second == now { quoted } else { 0 };
        if let Some(most) = limits.quotes_per_second.filter(|most| quoted >= *most) {
            return Err(Refusal::OverLimit { limit: "quotes a second", most: most.into() });
        }
        let provider = &self.registry.providers[quote.provider.index()];
        let seller = &self.shelf.sellers[quote.provider.index()];
        let counter = Counter { at, pools: seller.pools.len(), quotas: &provider.quotas, bands: market.terms.bands };
        let postings = supply::postings(&quote.rungs, &counter, |name| self.ledger.find(name.as_str()))?;
        if let Some(most) = limits.offers {
            let elsewhere = seller.ladders.len() - seller.ladders.of(quote.market).len();
            if elsewhere + quote.rungs.len() > most as usize {
                return Err(Refusal::OverLimit { limit: "live offers", most: most.into() });
            }
        }
        let provider = &mut self.registry.providers[quote.provider.index()];
        provider.last_quote = quote.number;
        provider.quoted = (now, quoted + 1);
        self.shelf.replace_ladder(quote, &postings, sequence, &mut self.dues, events);
        self.wake_bids();
        Ok(Reply::Done)
    }
}

fn check_protection(protection: Option<Protection>) -> Result<(), Refusal> {
    match protection {
        Some(Protection { leases, within_ms }) if !(1..=PROTECTION_LEASES_MAX).contains(&leases) || within_ms == 0 => {
            let message =
                format!("{leases} leases within {within_ms} ms; 1 to {PROTECTION_LEASES_MAX}, within 1 ms or more");
            Err(invalid("protection", message))
        }
        _ => Ok(()),
    }
}
