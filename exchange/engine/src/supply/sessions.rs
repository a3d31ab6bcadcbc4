//! Providers' sessions: logon, pools, ladders, and the ways in which a session ends.

use merit_terms::{PoolSize, ProviderId, Refusal};

use super::pools::check_pools;
use super::quotas;
use super::quoting::{QuoteChecks, postings};
use crate::Engine;
use crate::command::{Logon, MarketState, Quote};
use crate::event::{Event, SessionEnding};
use crate::market::check_reason;
use crate::market::providers::{check_protection, check_targets};
use crate::reply::Reply;
use crate::turn::Turn;

impl Engine {
    /// Begins a session; a session that was on ends, and its offers with it.
    pub(crate) fn logon(&mut self, turn: &mut Turn<'_>, logon: &Logon) -> Result<Reply, Refusal> {
        let id = logon.provider;
        let provider = self.registry.known_provider(id)?;
        if let Some(reason) = &provider.killed {
            return Err(Refusal::Killed { reason: reason.clone() });
        }
        check_pools(&logon.pools)?;
        quotas::check(self.shelf.seller(id).quotas(), &logon.quotas)?;
        check_protection(logon.protection)?;
        check_targets(logon.targets.as_deref().unwrap_or_default())?;
        if provider.online {
            self.end_session(turn, id, SessionEnding::Fenced);
        }
        let provider = self.registry.begin_session(logon);
        let (session, name) = (provider.session, provider.name.clone());
        quotas::state(id, &mut self.shelf.sellers[id.index()].quotas, &logon.quotas, &mut turn.deadlines);
        self.shelf.state_pools(turn, id, &logon.pools);
        self.wake_bids();
        // Offers that a logout left may draw on quotas that are stated higher now.
        self.wake_provider(id);
        turn.tell(Event::SessionBegan { provider: id, name, session });
        Ok(Reply::Session(session))
    }

    /// Ends a session and cancels its offers.
    pub(crate) fn end_session(&mut self, turn: &mut Turn<'_>, id: ProviderId, why: SessionEnding) {
        self.shelf.cancel_all(turn, id);
        self.go_offline(turn, id, why);
    }

    fn go_offline(&mut self, turn: &mut Turn<'_>, id: ProviderId, why: SessionEnding) {
        let session = self.registry.provider_mut(id).end_session();
        turn.tell(Event::SessionEnded { provider: id, session, why });
    }

    /// Ends a session and leaves the offers with an expiry until then.
    pub(crate) fn logout(&mut self, turn: &mut Turn<'_>, id: ProviderId, session: u32) -> Result<Reply, Refusal> {
        self.registry.in_session(id, session)?;
        self.shelf.cancel_unlimited(turn, id);
        self.go_offline(turn, id, SessionEnding::Logout);
        Ok(Reply::Done)
    }

    pub(crate) fn disconnect(&mut self, turn: &mut Turn<'_>, id: ProviderId, session: u32) -> Result<Reply, Refusal> {
        self.registry.in_session(id, session)?;
        self.end_session(turn, id, SessionEnding::Lost);
        Ok(Reply::Done)
    }

    pub(crate) fn kill(&mut self, turn: &mut Turn<'_>, id: ProviderId, reason: &str) -> Result<Reply, Refusal> {
        check_reason(reason)?;
        let provider = self.registry.known_provider_mut(id)?;
        provider.kill(reason);
        if provider.online {
            self.end_session(turn, id, SessionEnding::Killed);
        } else {
            self.shelf.cancel_all(turn, id);
        }
        Ok(Reply::Done)
    }

    pub(crate) fn cancel_all(&mut self, turn: &mut Turn<'_>, id: ProviderId, session: u32) -> Result<Reply, Refusal> {
        self.registry.in_session(id, session)?;
        self.shelf.cancel_all(turn, id);
        Ok(Reply::Done)
    }

    pub(crate) fn state_pools(
        &mut self,
        turn: &mut Turn<'_>,
        id: ProviderId,
        session: u32,
        pools: &[PoolSize],
    ) -> Result<Reply, Refusal> {
        check_pools(pools)?;
        self.registry.in_session(id, session)?;
        self.shelf.state_pools(turn, id, pools);
        self.wake_bids();
        Ok(Reply::Done)
    }

    pub(crate) fn busy(
        &mut self,
        turn: &mut Turn<'_>,
        id: ProviderId,
        session: u32,
        pool: u32,
    ) -> Result<Reply, Refusal> {
        self.registry.in_session(id, session)?;
        let unknown = || Refusal::Unknown { what: "pool", name: pool.to_string() };
        let slot = self.shelf.pool_slot(id, pool).ok_or_else(unknown)?;
        self.shelf.busy(turn, slot);
        Ok(Reply::Done)
    }

    /// Replaces a ladder, all or nothing.
    pub(crate) fn quote_ladder(&mut self, turn: &mut Turn<'_>, quote: &Quote) -> Result<Reply, Refusal> {
        let provider = self.registry.in_session(quote.provider, quote.session)?;
        provider.check_number(quote.number)?;
        let terms = self.registry.live_market(quote.market)?.terms;
        if terms.state == MarketState::CancelOnly && !quote.rungs.is_empty() {
            return Err(Refusal::MarketClosed { state: terms.state.as_str() });
        }
        provider.check_rate(turn.at)?;
        let seller = self.shelf.seller(quote.provider);
        let checks = QuoteChecks { at: turn.at, pools: seller.pools.len(), quotas: seller.quotas(), terms };
        let postings = postings(&quote.rungs, &checks, |name| self.ledger.find(name.as_str()))?;
        if let Some(most) = provider.limits.offers {
            let elsewhere = seller.ladders.len() - seller.ladders.of(quote.market).len();
            if elsewhere + quote.rungs.len() > most as usize {
                return Err(Refusal::OverLimit { limit: "live offers", most: most.into() });
            }
        }
        self.registry.provider_mut(quote.provider).count_quote(quote.number, turn.at);
        self.shelf.replace_ladder(turn, quote, &postings);
        self.wake_bids();
        Ok(Reply::Done)
    }
}
