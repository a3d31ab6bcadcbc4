//! A ladder in one market, as the machine quotes it. Pure. Never decides when to quote it again by a clock of its own.

use std::time::Duration;

use merit_proto::v1;
use merit_terms::MarketName;

use super::RefusedLadder;

pub(crate) struct Ladder {
    pub(crate) market: MarketName,
    rungs: Vec<v1::Rung>,
    /// Number of the last quote in this session.
    pub(crate) number: u64,
    pub(crate) quoted: Quoted,
    /// Time at which its offers are quoted again, before they expire.
    renew_at: Option<Duration>,
}

/// The exchange's answer to the last quote.
pub(crate) enum Quoted {
    Open,
    Accepted,
    Refused { again_at: Duration, code: String, message: String },
}

/// Expiry of offers that are quoted now, by the exchange's clock, and the time to quote them again.
#[derive(Clone, Copy)]
pub(crate) struct Expiry {
    pub(crate) at: u64,
    pub(crate) renew_at: Duration,
}

impl Ladder {
    pub(crate) fn new(market: MarketName, rungs: Vec<v1::Rung>) -> Ladder {
        Ladder { market, rungs, number: 0, quoted: Quoted::Open, renew_at: None }
    }

    /// Replaces the rungs, and forgets the last quote.
    pub(crate) fn replace(&mut self, rungs: Vec<v1::Rung>) {
        self.rungs = rungs;
        self.cancel();
    }

    /// Forgets the last quote; a late answer to it is ignored.
    pub(crate) fn cancel(&mut self) {
        (self.number, self.quoted, self.renew_at) = (0, Quoted::Open, None);
    }

    /// Makes the next quote, with a number above the last.
    pub(crate) fn quote(&mut self, last_number: &mut u64, expiry: Option<Expiry>) -> v1::QuoteLadder {
        *last_number += 1;
        self.number = *last_number;
        // An accepted ladder stands until the answer.
        if self.is_refused() {
            self.quoted = Quoted::Open;
        }
        self.renew_at = expiry.map(|expiry| expiry.renew_at);
        if let Some(Expiry { at, .. }) = expiry {
            self.rungs.iter_mut().for_each(|rung| rung.expires = at);
        }
        v1::QuoteLadder { market: self.market.to_string(), number: self.number, rungs: self.rungs.clone() }
    }

    /// Returns the time at which it is to be quoted again.
    pub(crate) fn due(&self) -> Option<Duration> {
        match self.quoted {
            Quoted::Refused { again_at, .. } => Some(again_at),
            Quoted::Open | Quoted::Accepted => self.renew_at,
        }
    }

    pub(crate) fn is_refused(&self) -> bool {
        matches!(self.quoted, Quoted::Refused { .. })
    }

    pub(crate) fn refused(&self) -> Option<RefusedLadder> {
        let Quoted::Refused { code, message, .. } = &self.quoted else {
            return None;
        };
        Some(RefusedLadder { market: self.market.clone(), code: code.clone(), message: message.clone() })
    }
}
