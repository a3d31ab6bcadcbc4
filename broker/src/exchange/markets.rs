//! Market data: markets, books, trades and candles.

use merit_proto::v1;
use merit_terms::{LeaseId, Tariff, Time};

use super::clients::{Exchange, answer};
use super::past::{Past, micros};
use crate::error::ApiError;

/// A market as it stands. Prices are picodollars per GB-s.
#[derive(Debug)]
pub(crate) struct Market {
    pub(crate) name: String,
    pub(crate) terms: MarketTerms,
    /// Price of the cheapest public offer with room for the reference call.
    pub(crate) spot_price: Option<u64>,
    /// Price of the latest public trade.
    pub(crate) last_price: Option<u64>,
    pub(crate) offers: u32,
    pub(crate) capacity_mb: u64,
    pub(crate) free_mb: u64,
    pub(crate) bids: u32,
    pub(crate) trades: u64,
}

/// The terms that the operator sets for a market.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct MarketTerms {
    pub(crate) state: MarketState,
    pub(crate) bands: Option<Bands>,
    pub(crate) self_dealing: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum MarketState {
    #[default]
    Open,
    CancelOnly,
    Halted,
}

/// The least and the highest reference price, in picodollars per GB-s.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bands {
    pub(crate) low: u64,
    pub(crate) high: u64,
}

/// The book of a market, offers cheapest first, bids dearest first.
#[derive(Debug)]
pub(crate) struct Book {
    pub(crate) market: String,
    pub(crate) sequence: u64,
    pub(crate) checksum: u32,
    pub(crate) terms: MarketTerms,
    pub(crate) spot_price: Option<u64>,
    pub(crate) last_price: Option<u64>,
    pub(crate) offers: Vec<Offer>,
    pub(crate) bids: Vec<BidLevel>,
    pub(crate) trades: Vec<Trade>,
}

#[derive(Debug)]
pub(crate) struct Offer {
    pub(crate) offer: String,
    pub(crate) provider: String,
    pub(crate) price: u64,
    pub(crate) capacity_mb: u64,
    pub(crate) free_mb: u64,
    pub(crate) tariff: Tariff,
}

/// The deferred bids that rest at one limit.
#[derive(Debug)]
pub(crate) struct BidLevel {
    pub(crate) price: u64,
    pub(crate) memory_mb: u64,
    pub(crate) bids: u32,
}

#[derive(Debug)]
pub(crate) struct Trade {
    pub(crate) market: String,
    pub(crate) sequence: u64,
    pub(crate) match_sequence: u64,
    pub(crate) at: Time,
    pub(crate) provider: String,
    pub(crate) price: u64,
    pub(crate) memory_mb: u32,
    pub(crate) billed_ms: u64,
    /// Last price of the market after it.
    pub(crate) last_price: Option<u64>,
    /// Invocation and cost in picodollars, for the buyer's own account only.
    pub(crate) own: Option<(LeaseId, u64)>,
    /// True if only its buyer and its seller see it.
    pub(crate) private: bool,
}

#[derive(Debug)]
pub(crate) struct Candle {
    pub(crate) at: Time,
    pub(crate) open: Option<u64>,
    pub(crate) high: Option<u64>,
    pub(crate) low: Option<u64>,
    pub(crate) close: Option<u64>,
    /// MB-ms, as a decimal integer of up to 128 bits.
    pub(crate) energy_mb_ms: String,
    pub(crate) trades: u64,
}

/// The length of a candle.
#[derive(Clone, Copy, Debug)]
pub(crate) enum CandleInterval {
    Second,
    Minute,
    Hour,
    Day,
}

impl Exchange {
    pub(crate) async fn markets(&self) -> Result<Vec<Market>, ApiError> {
        let listed = answer(self.market_data.clone().list_markets(v1::ListMarketsRequest {})).await?;
        Ok(listed.markets.into_iter().map(Into::into).collect())
    }

    pub(crate) async fn book(&self, market: String) -> Result<Book, ApiError> {
        let request = v1::GetBookRequest { market: market.clone() };
        let book = answer(self.market_data.clone().get_book(request)).await;
        self.near_market(book, &market).await.map(Into::into)
    }

    /// Returns trades, newest first: the public ones, and the private ones of `account`. Those that it paid come with
    /// invocation and cost.
    pub(crate) async fn trades(&self, market: String, account: &str, past: Past) -> Result<Vec<Trade>, ApiError> {
        let request = v1::ListTradesRequest {
            market: market.clone(),
            limit: past.limit.unwrap_or(0),
            account: account.to_owned(),
            from: micros(past.from),
            to: micros(past.to),
            before: past.before.unwrap_or(0),
        };
        let listed = answer(self.market_data.clone().list_trades(request)).await;
        let listed = self.near_market(listed, &market).await?;
        Ok(listed.trades.into_iter().map(Into::into).collect())
    }

    /// Returns candles, oldest first.
    pub(crate) async fn candles(
        &self,
        market: String,
        interval: CandleInterval,
        past: Past,
    ) -> Result<Vec<Candle>, ApiError> {
        let interval = match interval {
            CandleInterval::Second => v1::Interval::Second,
            CandleInterval::Minute => v1::Interval::Minute,
            CandleInterval::Hour => v1::Interval::Hour,
            CandleInterval::Day => v1::Interval::Day,
        };
        let request = v1::ListCandlesRequest {
            market: market.clone(),
            interval: interval.into(),
            from: micros(past.from),
            to: micros(past.to),
            limit: past.limit.unwrap_or(0),
        };
        let listed = answer(self.market_data.clone().list_candles(request)).await;
        let listed = self.near_market(listed, &market).await?;
        Ok(listed.candles.into_iter().map(Into::into).collect())
    }
}

impl From<v1::Market> for Market {
    fn from(market: v1::Market) -> Market {
        Market {
            name: market.name,
            terms: market.terms.into(),
            spot_price: market.spot_price,
            last_price: market.last_price,
            offers: market.offers,
            capacity_mb: market.capacity_mb,
            free_mb: market.free_mb,
            bids: market.bids,
            trades: market.trades,
        }
    }
}

impl From<Option<v1::MarketTerms>> for MarketTerms {
    fn from(terms: Option<v1::MarketTerms>) -> MarketTerms {
        let terms = terms.unwrap_or_default();
        MarketTerms {
            state: match terms.state() {
                v1::MarketState::Open => MarketState::Open,
                v1::MarketState::CancelOnly => MarketState::CancelOnly,
                // Also a state that a later exchange added: nothing is promised of it.
                v1::MarketState::Halted | v1::MarketState::Unspecified => MarketState::Halted,
            },
            bands: terms.bands.map(|bands| Bands { low: bands.low, high: bands.high }),
            self_dealing: terms.self_dealing,
        }
    }
}

impl From<MarketTerms> for v1::MarketTerms {
    fn from(terms: MarketTerms) -> v1::MarketTerms {
        let state = match terms.state {
            MarketState::Open => v1::MarketState::Open,
            MarketState::CancelOnly => v1::MarketState::CancelOnly,
            MarketState::Halted => v1::MarketState::Halted,
        };
        v1::MarketTerms {
            state: state.into(),
            bands: terms.bands.map(|Bands { low, high }| v1::market_terms::Bands { low, high }),
            self_dealing: terms.self_dealing,
        }
    }
}

impl From<v1::BookSnapshot> for Book {
    fn from(book: v1::BookSnapshot) -> Book {
        Book {
            market: book.market,
            sequence: book.sequence,
            checksum: book.checksum,
            terms: book.terms.into(),
            spot_price: book.spot_price,
            last_price: book.last_price,
            offers: book.offers.into_iter().map(Into::into).collect(),
            bids: book.bids.into_iter().map(Into::into).collect(),
            trades: book.trades.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<v1::Offer> for Offer {
    fn from(offer: v1::Offer) -> Offer {
        Offer {
            tariff: (&offer.tariff.unwrap_or_default()).into(),
            offer: offer.offer,
            provider: offer.provider,
            price: offer.price,
            capacity_mb: offer.capacity_mb,
            free_mb: offer.free_mb,
        }
    }
}

impl From<v1::BidLevel> for BidLevel {
    fn from(level: v1::BidLevel) -> BidLevel {
        BidLevel { price: level.price, memory_mb: level.memory_mb, bids: level.bids }
    }
}

impl From<v1::Trade> for Trade {
    fn from(trade: v1::Trade) -> Trade {
        Trade {
            market: trade.market,
            sequence: trade.sequence,
            match_sequence: trade.match_sequence,
            at: Time::from_micros(trade.at),
            provider: trade.provider,
            price: trade.price,
            memory_mb: trade.memory_mb,
            billed_ms: trade.billed_ms,
            last_price: trade.last_price,
            own: trade.invocation.map(Into::into).zip(trade.cost),
            private: trade.private,
        }
    }
}

impl From<v1::Candle> for Candle {
    fn from(candle: v1::Candle) -> Candle {
        let v1::Candle { at, open, high, low, close, energy_mb_ms, trades } = candle;
        Candle { at: Time::from_micros(at), open, high, low, close, energy_mb_ms, trades }
    }
}
