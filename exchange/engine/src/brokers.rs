//! Brokers' sessions: which streams are on, and what each answers for.

use std::collections::{BTreeMap, BTreeSet};

use merit_terms::Refusal;
use serde::{Deserialize, Serialize};

use crate::Engine;
use crate::command::{BrokerSession, Reply};

/// Sessions by the sequence at which they began, and whether their stream is on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Brokers(pub(crate) BTreeMap<u64, bool>);

impl Brokers {
    pub(crate) fn is_online(&self, session: u64) -> bool {
        self.0.get(&session).copied().unwrap_or(false)
    }

    /// A new run of the exchange: all streams are gone.
    pub(crate) fn lose_all(&mut self) {
        self.0.values_mut().for_each(|online| *online = false);
    }
}

impl Engine {
    pub(crate) fn online(&self, session: u64) -> Result<(), Refusal> {
        if self.brokers.is_online(session) { Ok(()) } else { Err(Refusal::NotInSession) }
    }

    pub(crate) fn broker_logon(&mut self, sequence: u64, resumes: Option<u64>) -> Result<Reply, Refusal> {
        let session = resumes.unwrap_or(sequence);
        if resumes.is_some() && !self.brokers.0.contains_key(&session) {
            return Err(Refusal::Unknown { what: "broker session", name: session.to_string() });
        }
        self.brokers.0.insert(session, true);
        let of_session =
            |request: Option<crate::BrokerRequest>| request.is_some_and(|request| request.session == session);
        let open = self.leases.open.values().map(|open| &open.lease).filter(|lease| of_session(lease.request));
        let leases = open.map(|lease| self.grant_of(lease)).collect();
        let resting = self.bids.resting.values().filter(|resting| of_session(resting.deferred.bid.request));
        let (bids, markets): (Vec<_>, Vec<_>) = resting.map(|resting| (resting.id, resting.markets.clone())).unzip();
        if resumes.is_some() {
            self.wake_markets(markets.into_iter().flatten().collect::<BTreeSet<_>>());
        }
        Ok(Reply::Broker(Box::new(BrokerSession { session, leases, bids })))
    }

    /// A stream ended; a session that answers for nothing is forgotten.
    pub(crate) fn broker_lost(&mut self, session: u64) -> Result<Reply, Refusal> {
        self.online(session)?;
        let leases = self.leases.by_request.range(first(session)..=last(session)).next().is_some();
        let mut bids = self.bids.resting.values().filter_map(|resting| resting.deferred.bid.request);
        if leases || bids.any(|request| request.session == session) {
            self.brokers.0.insert(session, false);
        } else {
            self.brokers.0.remove(&session);
        }
        Ok(Reply::Done)
    }
}

fn first(session: u64) -> crate::BrokerRequest {
    crate::BrokerRequest { session, number: 0 }
}

fn last(session: u64) -> crate::BrokerRequest {
    crate::BrokerRequest { session, number: u64::MAX }
}
