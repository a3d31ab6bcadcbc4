//! Sessions of brokers, which own the leases and bids of their requests.

use merit_engine::{BrokerRequest, BrokerSession, Reply};
use merit_terms::{MarketId, Price, Refusal};

use super::{Twin, unknown};

#[derive(Clone, Debug)]
pub(crate) struct Broker {
    pub(crate) session: u64,
    pub(crate) online: bool,
}

impl Twin {
    /// Opens or resumes a session. A resumed one finds its leases and bids, which match again.
    pub(super) fn broker_logon(&mut self, sequence: u64, resumes: Option<u64>) -> Result<Reply, Refusal> {
        let Some(session) = resumes else {
            self.brokers.push(Broker { session: sequence, online: true });
            let session = BrokerSession { session: sequence, leases: Vec::new(), bids: Vec::new() };
            return Ok(Reply::Broker(Box::new(session)));
        };
        let broker = self.brokers.iter_mut().find(|broker| broker.session == session);
        broker.ok_or_else(|| unknown("broker session", session))?.online = true;
        let is_its = |request: Option<BrokerRequest>| request.is_some_and(|request| request.session == session);
        let leases = self.leases.iter().map(|open| &open.lease).filter(|lease| is_its(lease.request));
        let leases = leases.map(|lease| self.grant_of(lease)).collect();
        let bids = self.resting.iter().map(|rested| &rested.resting).filter(|bid| is_its(bid.deferred.bid.request));
        let (mut bids, markets): (Vec<_>, Vec<Vec<MarketId>>) = bids.map(|bid| (bid.id, bid.markets.clone())).unzip();
        bids.sort();
        let is_among = |market: &MarketId| markets.iter().any(|of_bid| of_bid.contains(market));
        for market in self.every_market().filter(is_among) {
            self.trigger(market, Price::ZERO);
        }
        Ok(Reply::Broker(Box::new(BrokerSession { session, leases, bids })))
    }

    pub(super) fn online_broker(&self, session: u64) -> Result<(), Refusal> {
        let is_online = self.brokers.iter().any(|broker| broker.session == session && broker.online);
        if is_online { Ok(()) } else { Err(Refusal::NotInSession) }
    }

    pub(super) fn broker_lost(&mut self, session: u64) -> Result<(), Refusal> {
        self.online_broker(session)?;
        self.lose(session);
        Ok(())
    }

    pub(super) fn lose_all_brokers(&mut self) {
        let sessions: Vec<u64> = self.brokers.iter().map(|broker| broker.session).collect();
        sessions.into_iter().for_each(|session| self.lose(session));
    }

    /// Forgets a lost session that has neither leases nor bids.
    fn lose(&mut self, session: u64) {
        let is_its = |request: Option<BrokerRequest>| request.is_some_and(|request| request.session == session);
        let has_leases = self.leases.iter().any(|open| is_its(open.lease.request));
        let has_bids = self.resting.iter().any(|rested| is_its(rested.resting.deferred.bid.request));
        if has_leases || has_bids {
            self.brokers.iter_mut().filter(|broker| broker.session == session).for_each(|broker| broker.online = false);
        } else {
            self.brokers.retain(|broker| broker.session != session);
        }
    }
}
