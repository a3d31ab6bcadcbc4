//! Brokers' sessions begin, end, and are resumed with their leases and bids; repeated requests are answered alike.

use std::collections::BTreeSet;

use merit_terms::{LeaseId, Refusal};

use crate::Engine;
use crate::command::Bid;
use crate::event::{Lease, LeaseState, Resting};
use crate::reply::{BrokerSession, Grant, Reply};
use crate::turn::Turn;

impl Engine {
    /// Ends the streams of all brokers: a new run of the exchange.
    pub(crate) fn lose_all_brokers(&mut self) {
        let (leases, bids) = (&self.leases, &self.bids);
        self.brokers.lose_all(|session| {
            leases.of_session(session).next().is_some() || bids.of_session(session).next().is_some()
        });
    }

    /// Answers a broker's request that is repeated; refuses one of a stream that is off. An offered lease is not
    /// granted by asking again: it is taken up.
    pub(crate) fn answered(&self, bid: &Bid) -> Result<Option<Reply>, Refusal> {
        let Some(request) = bid.request else { return Ok(None) };
        self.brokers.online(request.session)?;
        let granted = self.leases.of_request(request).map(|lease| match lease.state {
            LeaseState::Offered => Reply::Resting(lease.invocation),
            _ => Reply::Granted(Box::new(self.grant_of(lease))),
        });
        Ok(granted.or(self.bids.of_request(request).map(|resting| Reply::Resting(resting.id))))
    }

    pub(crate) fn broker_logon(&mut self, turn: &Turn<'_>, resumes: Option<u64>) -> Result<Reply, Refusal> {
        let session = resumes.unwrap_or(turn.sequence);
        self.brokers.log_on(session, resumes.is_some())?;
        let mut leases: Vec<&Lease> = self.leases.of_session(session).collect();
        leases.sort_unstable_by_key(|lease| lease.id.sequence);
        let leases: Vec<Grant> = leases.into_iter().map(|lease| self.grant_of(lease)).collect();
        let mut resting: Vec<&Resting> = self.bids.of_session(session).collect();
        resting.sort_unstable_by_key(|resting| resting.id.sequence);
        let bids: Vec<LeaseId> = resting.iter().map(|resting| resting.id).collect();
        if resumes.is_some() {
            let markets: BTreeSet<_> = resting.iter().flat_map(|resting| &resting.markets).copied().collect();
            self.wake_markets(markets);
        }
        Ok(Reply::Broker(Box::new(BrokerSession { session, leases, bids })))
    }

    /// Ends a broker's stream. A session that answers for nothing is forgotten.
    pub(crate) fn broker_lost(&mut self, session: u64) -> Result<Reply, Refusal> {
        self.brokers.online(session)?;
        let leases = self.leases.of_session(session).next().is_some();
        let bids = self.bids.of_session(session).next().is_some();
        self.brokers.lose(session, leases || bids);
        Ok(Reply::Done)
    }
}
