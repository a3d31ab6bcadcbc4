//! The market as it changes: a subscription's snapshots, deltas, trades and states.

use futures_util::future::ready;
use futures_util::{Stream, StreamExt};
use merit_proto::v1;
use merit_proto::v1::market_event::Event;
use merit_terms::Time;

use super::clients::{Exchange, answer};
use super::markets::{BidLevel, Book, MarketTerms, Offer, Trade};
use crate::error::ApiError;

/// An event of a subscription.
#[derive(Debug)]
pub(crate) struct MarketEvent {
    pub(crate) change: MarketChange,
    /// Set where everything up to this sequence is told: a later subscription may resume from it.
    pub(crate) resume: Option<u64>,
}

#[derive(Debug)]
pub(crate) enum MarketChange {
    Snapshot(Book),
    Delta(BookDelta),
    Trade(Trade),
    State {
        market: String,
        sequence: u64,
        terms: MarketTerms,
        spot_price: Option<u64>,
        at: Time,
    },
    /// Nothing changed for a while.
    Heartbeat(Time),
}

/// The levels of a book that changed, as they now are.
#[derive(Debug)]
pub(crate) struct BookDelta {
    pub(crate) market: String,
    pub(crate) prev_seq: u64,
    pub(crate) seq: u64,
    pub(crate) checksum: u32,
    pub(crate) spot_price: Option<u64>,
    /// Time of the last change in it.
    pub(crate) at: Time,
    pub(crate) offers: Vec<Offer>,
    pub(crate) bids: Vec<BidLevel>,
}

impl Exchange {
    /// Subscribes to markets, or to all if none is named. `after` resumes a subscription; 0 begins with snapshots.
    /// The stream ends where it breaks; unknown events are left out.
    pub(crate) async fn subscribe(
        &self,
        markets: Vec<String>,
        after: u64,
    ) -> Result<impl Stream<Item = MarketEvent> + use<>, ApiError> {
        let events = answer(self.market_data.clone().subscribe(v1::SubscribeRequest { markets, after })).await?;
        Ok(events.filter_map(|event| ready(event.ok().and_then(market_event))))
    }
}

fn market_event(event: v1::MarketEvent) -> Option<MarketEvent> {
    let resume = (event.resume > 0).then_some(event.resume);
    Some(MarketEvent { change: event.event?.into(), resume })
}

impl From<Event> for MarketChange {
    fn from(event: Event) -> MarketChange {
        match event {
            Event::Snapshot(book) => MarketChange::Snapshot(book.into()),
            Event::Delta(delta) => MarketChange::Delta(BookDelta {
                market: delta.market,
                prev_seq: delta.prev_seq,
                seq: delta.seq,
                checksum: delta.checksum,
                spot_price: delta.spot_price,
                at: Time::from_micros(delta.at),
                offers: delta.offers.into_iter().map(Into::into).collect(),
                bids: delta.bids.into_iter().map(Into::into).collect(),
            }),
            Event::Trade(trade) => MarketChange::Trade(trade.into()),
            Event::State(state) => MarketChange::State {
                market: state.market,
                sequence: state.sequence,
                terms: state.terms.into(),
                spot_price: state.spot_price,
                at: Time::from_micros(state.at),
            },
            Event::Heartbeat(heartbeat) => MarketChange::Heartbeat(Time::from_micros(heartbeat.at)),
        }
    }
}
