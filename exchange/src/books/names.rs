//! Books as messages: names in place of numbers. Names never change.

use std::collections::HashMap;

use merit_engine::{Lease, MarketTerms, OfferChange};
use merit_proto::v1;
use merit_proto::v1::market_event;
use merit_terms::{MarketId, MarketName, Name, Price, ProviderId};

use super::book::{Book, BookChange};
use crate::messages::market_terms_to_proto;
use crate::sequencer::Happened;

#[derive(Default)]
pub(super) struct Names {
    markets: HashMap<MarketId, String>,
    providers: HashMap<ProviderId, String>,
}

impl Names {
    pub(super) fn name_market(&mut self, id: MarketId, name: &MarketName) {
        self.markets.insert(id, name.to_string());
    }

    pub(super) fn name_provider(&mut self, id: ProviderId, name: &Name) {
        self.providers.entry(id).or_insert_with(|| name.to_string());
    }

    fn market(&self, id: MarketId) -> String {
        self.markets.get(&id).cloned().unwrap_or_default()
    }

    fn provider(&self, id: ProviderId) -> String {
        self.providers.get(&id).cloned().unwrap_or_default()
    }

    fn offer(&self, offer: &OfferChange) -> v1::Offer {
        v1::Offer {
            offer: offer.offer.to_string(),
            provider: self.provider(offer.provider),
            price: offer.price.picodollars(),
            capacity_mb: offer.capacity_mb,
            free_mb: offer.free_mb,
            tariff: Some((&offer.tariff).into()),
        }
    }

    /// Makes a snapshot of a book as it stands, without trades.
    pub(super) fn snapshot(&self, market: MarketId, book: &Book, spot: Option<Price>) -> v1::BookSnapshot {
        v1::BookSnapshot {
            market: self.market(market),
            sequence: book.sequence,
            checksum: book.checksum(),
            terms: Some(market_terms_to_proto(&book.terms)),
            spot_price: spot.map(Price::picodollars),
            last_price: book.last_price.map(Price::picodollars),
            offers: book.offers().map(|offer| self.offer(&offer)).collect(),
            trades: Vec::new(),
            bids: book.bids().collect(),
        }
    }

    /// Makes a delta, without checksum, spot price and time.
    pub(super) fn delta(&self, market: MarketId, change: BookChange) -> v1::BookDelta {
        v1::BookDelta {
            market: self.market(market),
            prev_seq: change.prev_seq,
            seq: change.seq,
            offers: change.offers.iter().map(|offer| self.offer(offer)).collect(),
            bids: change.bids,
            ..v1::BookDelta::default()
        }
    }

    pub(super) fn state(
        &self,
        market: MarketId,
        one: &Happened,
        terms: &MarketTerms,
        spot: Option<Price>,
    ) -> market_event::State {
        let (sequence, at) = (one.sequence, one.at.micros());
        let (terms, spot_price) = (Some(market_terms_to_proto(terms)), spot.map(Price::picodollars));
        market_event::State { market: self.market(market), sequence, terms, spot_price, at }
    }

    pub(super) fn trade(&self, one: &Happened, lease: &Lease, billed_ms: u64, last_price: Option<Price>) -> v1::Trade {
        v1::Trade {
            market: self.market(lease.market),
            sequence: one.sequence,
            match_sequence: lease.id.sequence,
            at: one.at.micros(),
            provider: self.provider(lease.provider),
            price: lease.price.picodollars(),
            memory_mb: lease.memory_mb,
            billed_ms,
            last_price: last_price.map(Price::picodollars),
            ..v1::Trade::default()
        }
    }

    /// Makes the summary of a market.
    pub(super) fn summary(&self, market: MarketId, book: &Book, spot: Option<Price>) -> v1::Market {
        v1::Market {
            name: self.market(market),
            terms: Some(market_terms_to_proto(&book.terms)),
            spot_price: spot.map(Price::picodollars),
            last_price: book.last_price.map(Price::picodollars),
            offers: book.offers().count() as u32,
            capacity_mb: book.offers().map(|offer| offer.capacity_mb).sum(),
            free_mb: book.offers().map(|offer| offer.free_mb).sum(),
            trades: book.trades,
            bids: book.bids().map(|level| level.bids).sum(),
        }
    }
}
