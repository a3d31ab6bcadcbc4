//! Brokers' sessions: which streams are on, and what each answers for.

use std::collections::{BTreeMap, BTreeSet};

use merit_terms::Refusal;
use serde::{Deserialize, Serialize};

use crate::Engine;
use crate::command::{Bid, BrokerRequest, BrokerSession, Reply};
use crate::event::LeaseState;

/// Sessions by the sequence at which they began, and whether their stream is on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Brokers(pub(crate) BTreeMap<u64, bool>);

impl Brokers {
    pub(crate) fn is_online(&self, session: u64) -> bool {
        self.0.get(&session).copied().unwrap_or(false)
    }
}

impl Engine {
    /// A new run of the exchange: all streams are gone, and sessions that answer for nothing are forgotten.
    pub(crate) fn lose_all_brokers(&mut self) {
        let (leases, bids) = (&self.leases.by_request, &self.bids.by_request);
        self.brokers.0.retain(|session, online| {
            *online = false;
            of_session(leases, *session).chain(of_session(bids, *session)).next().is_some()
        });
    }

    pub(crate) fn online(&self, session: u64) -> Result<(), Refusal> {
        if self.brokers.is_online(session) { Ok(()) } else { Err(Refusal::NotInSession) }
    }

    /// What a broker's request was answered, if it is repeated; refuses one of a stream that is off. A lease that is offered
    /// is not granted by asking again: it is to be taken up.
    pub(crate) fn answered(&self, bid: &Bid) -> Result<Option<Reply>, Refusal> {
        let Some(request) = bid.request else { return Ok(None) };
        self.online(request.session)?;
        let leased = self.leases.by_request.get(&request).map(|sequence| &self.leases.open[sequence].lease);
        let granted = leased.map(|lease| match lease.state {
            LeaseState::Offered => Reply::Resting(lease.invocation),
            _ => Reply::Granted(Box::new(self.grant_of(lease))),
        });
        let resting = self.bids.by_request.get(&request).map(|sequence| self.bids.resting[sequence].id);
        Ok(granted.or(resting.map(Reply::Resting)))
    }

    pub(crate) fn broker_logon(&mut self, sequence: u64, resumes: Option<u64>) -> Result<Reply, Refusal> {
        let session = resumes.unwrap_or(sequence);
        if resumes.is_some() && !self.brokers.0.contains_key(&session) {
            return Err(Refusal::Unknown { what: "broker session", name: session.to_string() });
        }
        self.brokers.0.insert(session, true);
        let leases = in_order(&self.leases.by_request, session);
        let leases = leases.iter().map(|sequence| self.grant_of(&self.leases.open[sequence].lease)).collect();
        let resting = in_order(&self.bids.by_request, session);
        let resting = resting.iter().map(|sequence| &self.bids.resting[sequence]);
        let (bids, markets): (Vec<_>, Vec<_>) = resting.map(|resting| (resting.id, resting.markets.clone())).unzip();
        if resumes.is_some() {
            self.wake_markets(markets.into_iter().flatten().collect::<BTreeSet<_>>());
        }
        Ok(Reply::Broker(Box::new(BrokerSession { session, leases, bids })))
    }

    /// A stream ended; a session that answers for nothing is forgotten.
    pub(crate) fn broker_lost(&mut self, session: u64) -> Result<Reply, Refusal> {
        self.online(session)?;
        if of_session(&self.leases.by_request, session)
            .chain(of_session(&self.bids.by_request, session))
            .next()
            .is_some()
        {
            self.brokers.0.insert(session, false);
        } else {
            self.brokers.0.remove(&session);
        }
        Ok(Reply::Done)
    }
}

fn of_session(by_request: &BTreeMap<BrokerRequest, u64>, session: u64) -> impl Iterator<Item = u64> {
    let first = BrokerRequest { session, number: 0 };
    let last = BrokerRequest { session, number: u64::MAX };
    by_request.range(first..=last).map(|(_, sequence)| *sequence)
}

fn in_order(by_request: &BTreeMap<BrokerRequest, u64>, session: u64) -> Vec<u64> {
    let mut sequences: Vec<u64> = of_session(by_request, session).collect();
    sequences.sort_unstable();
    sequences
}
