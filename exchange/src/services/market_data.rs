//! `merit.v1.MarketData`: durable books, trades, candles and their stream.
//!
//! Never waits for a slow reader: its stream ends.

use std::collections::{HashSet, VecDeque};
use std::pin::Pin;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use merit_listener::{Holder, Share};
use merit_proto::v1;
use merit_proto::v1::market_data_server::MarketData;
use merit_proto::v1::market_event::{Event, Heartbeat};
use merit_terms::{AccountId, MarketId, ProviderId, Time};
use tokio::time::Instant;
use tokio_stream::Stream;
use tonic::{Request, Response, Status};

use super::lookup::{provider_name, unknown};
use super::paging::{limit, past, stretch};
use crate::access::caller;
use crate::archive::{Candle, Interval, Span, Trade};
use crate::books::{Beginning, Follower, Missed};
use crate::exchange::Exchange;

/// Heartbeat interval of a stream, 5 s. A reader may take the stream for dead after three without a message.
const HEARTBEAT: Duration = Duration::from_secs(5);
/// Trades in a snapshot at most.
const TRADES_SHOWN: usize = 100;
/// Limits of a query for trades: by default, and at most.
const TRADES_DEFAULT: usize = 100;
const TRADES_MAX: usize = 1_000;
/// Limits of a query for candles: by default, and at most.
const CANDLES_DEFAULT: usize = 500;
const CANDLES_MAX: usize = 1_500;

#[tonic::async_trait]
impl MarketData for Exchange {
    type SubscribeStream = Pin<Box<dyn Stream<Item = Result<v1::MarketEvent, Status>> + Send>>;

    async fn subscribe(
        &self,
        request: Request<v1::SubscribeRequest>,
    ) -> Result<Response<Self::SubscribeStream>, Status> {
        let share = self.0.quotas.subscriptions.take(self.holder(&request)?)?;
        let request = request.into_inner();
        let markets = request.markets.iter().map(|name| self.market_id(name)).collect::<Result<HashSet<_>, _>>()?;
        let followed = Followed((!markets.is_empty()).then_some(markets));
        let after = (request.after > 0).then_some(request.after);
        let (beginning, follower) = self.0.projections.books.follow(|market| followed.has(market), after);
        let waiting = match beginning {
            Beginning::Resumed => VecDeque::new(),
            Beginning::Snapshots(sequence, snapshots) => self.beginning(sequence, snapshots).await,
        };
        let follow = Follow {
            follower,
            followed,
            waiting,
            quiet_until: Instant::now() + HEARTBEAT,
            ended: false,
            exchange: self.clone(),
            _share: share,
        };
        Ok(Response::new(Box::pin(stream::unfold(follow, Follow::next).boxed())))
    }

    async fn list_markets(
        &self,
        _request: Request<v1::ListMarketsRequest>,
    ) -> Result<Response<v1::ListMarketsResponse>, Status> {
        Ok(Response::new(v1::ListMarketsResponse { markets: self.0.projections.books.markets() }))
    }

    async fn get_book(&self, request: Request<v1::GetBookRequest>) -> Result<Response<v1::BookSnapshot>, Status> {
        let name = request.into_inner().market;
        let book = self.0.projections.books.snapshot(self.market_id(&name)?);
        book.map(Response::new).ok_or_else(|| unknown("market", &name))
    }

    async fn list_trades(
        &self,
        request: Request<v1::ListTradesRequest>,
    ) -> Result<Response<v1::ListTradesResponse>, Status> {
        let caller = caller(&request)?;
        let request = request.into_inner();
        let market = self.market_id(&request.market)?;
        let (from, to) = stretch(request.from, request.to)?;
        let span = Span { from, to, before: (request.before > 0).then_some(request.before), after: None };
        let limit = limit(request.limit, TRADES_DEFAULT, TRADES_MAX)?;
        let viewer = match request.account.as_str() {
            "" => None,
            account => Some(self.own_account(caller, account)?),
        };
        let archive = &self.0.projections.archive;
        let trades = match viewer {
            None => archive.trades(market, span, limit).await,
            Some(account) => archive.trades_of((market, account), span, limit).await,
        };
        let trades = trades.map_err(past)?;
        Ok(Response::new(v1::ListTradesResponse { trades: self.named(market, trades, viewer) }))
    }

    async fn list_candles(
        &self,
        request: Request<v1::ListCandlesRequest>,
    ) -> Result<Response<v1::ListCandlesResponse>, Status> {
        let request = request.into_inner();
        let interval = match request.interval() {
            v1::Interval::Unspecified => return Err(Status::invalid_argument("interval: is missing")),
            v1::Interval::Second => Interval::Second,
            v1::Interval::Minute => Interval::Minute,
            v1::Interval::Hour => Interval::Hour,
            v1::Interval::Day => Interval::Day,
        };
        let market = self.market_id(&request.market)?;
        let stretch = stretch(request.from, request.to)?;
        let limit = limit(request.limit, CANDLES_DEFAULT, CANDLES_MAX)?;
        let candles = self.0.projections.archive.candles(market, interval, stretch, limit).await.map_err(past)?;
        let candles = candles.iter().map(|(at, candle)| candle_to_proto(*at, candle)).collect();
        Ok(Response::new(v1::ListCandlesResponse { candles }))
    }
}

impl Exchange {
    /// Makes the first events: snapshots, each with the trades before it. An archive that is behind delays no stream:
    /// its trades are left out then.
    async fn beginning(
        &self,
        sequence: u64,
        snapshots: Vec<(MarketId, v1::BookSnapshot)>,
    ) -> VecDeque<v1::MarketEvent> {
        let mut events = VecDeque::new();
        for (market, mut snapshot) in snapshots {
            let span = Span { before: Some(sequence + 1), ..Span::default() };
            match self.0.projections.archive.trades(market, span, TRADES_SHOWN).await {
                Ok(trades) => snapshot.trades = self.named(market, trades, None),
                Err(error) => tracing::warn!("a snapshot of {} goes without trades: {error}", snapshot.market),
            }
            events.push_back(sent(Event::Snapshot(snapshot)));
        }
        if let Some(last) = events.back_mut() {
            last.resume = sequence;
        }
        events
    }

    /// Makes trades with names; for their buyer with invocation and cost.
    fn named(&self, market: MarketId, trades: Vec<Trade>, viewer: Option<AccountId>) -> Vec<v1::Trade> {
        self.0.sequencer.read(|engine| {
            let market = engine.market(market).map_or_else(String::new, |market| market.name.to_string());
            let told = |Trade { sequence, at, row, private }: Trade| {
                let own = viewer.is_some_and(|viewer| viewer.number() == row.account);
                v1::Trade {
                    market: market.clone(),
                    sequence,
                    match_sequence: row.lease.map_or(0, |lease| lease.sequence),
                    at: at.micros(),
                    provider: provider_name(engine, ProviderId::new(row.provider)),
                    price: row.price,
                    memory_mb: row.memory_mb,
                    billed_ms: row.billed_ms,
                    last_price: row.last_price,
                    invocation: row.invocation.filter(|_| own),
                    cost: own.then_some(row.cost),
                    private,
                }
            };
            trades.into_iter().map(told).collect()
        })
    }
}

fn candle_to_proto(at: Time, candle: &Candle) -> v1::Candle {
    let price = |i: usize| candle.range.map(|range| range[i]);
    v1::Candle {
        at: at.micros(),
        open: price(0),
        high: price(1),
        low: price(2),
        close: candle.close,
        energy_mb_ms: candle.energy_mb_ms.to_string(),
        trades: candle.trades,
    }
}

fn sent(event: Event) -> v1::MarketEvent {
    v1::MarketEvent { event: Some(event), resume: 0 }
}

/// The markets of one subscription; none for all, also later ones.
struct Followed(Option<HashSet<MarketId>>);

impl Followed {
    fn has(&self, market: MarketId) -> bool {
        self.0.as_ref().is_none_or(|markets| markets.contains(&market))
    }
}

/// One running subscription.
struct Follow {
    follower: Follower,
    followed: Followed,
    /// Events that are not sent yet.
    waiting: VecDeque<v1::MarketEvent>,
    /// The time of the next heartbeat.
    quiet_until: Instant,
    ended: bool,
    exchange: Exchange,
    _share: Option<Share<Holder>>,
}

impl Follow {
    async fn next(mut self) -> Option<(Result<v1::MarketEvent, Status>, Follow)> {
        if self.ended {
            return None;
        }
        while self.waiting.is_empty() {
            match tokio::time::timeout_at(self.quiet_until, self.follower.next()).await {
                Ok(Ok(group)) => {
                    let followed = group.events.iter().filter(|(market, _)| self.followed.has(*market));
                    self.waiting.extend(followed.map(|(_, event)| sent(event.clone())));
                    if let Some(last) = self.waiting.back_mut() {
                        last.resume = group.sequence;
                    }
                }
                Ok(Err(Missed)) => {
                    self.ended = true;
                    let message = "the reader fell behind, and changes that it had not read are gone; subscribe again";
                    return Some((Err(Status::resource_exhausted(message)), self));
                }
                Err(_) => self.waiting.push_back(v1::MarketEvent {
                    event: Some(Event::Heartbeat(Heartbeat { at: self.exchange.0.sequencer.now().micros() })),
                    resume: self.follower.told().unwrap_or(0),
                }),
            }
        }
        let next = self.waiting.pop_front()?;
        self.quiet_until = Instant::now() + HEARTBEAT;
        Some((Ok(next), self))
    }
}
