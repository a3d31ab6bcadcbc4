//! `merit.v1.MarketData`: books, trades and their streams, as far as they are durable.

use std::collections::HashSet;
use std::pin::Pin;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use merit_proto::v1;
use merit_proto::v1::market_data_server::MarketData;
use merit_proto::v1::market_event::{Event, Heartbeat};
use merit_terms::MarketId;
use tokio::sync::broadcast::{self, error::RecvError};
use tokio_stream::Stream;
use tonic::{Request, Response, Status};

use super::{parse, unknown};
use crate::book::Change;
use crate::clock;
use crate::open::Exchange;

/// A reader that hears nothing for three of these may take the stream for dead.
const HEARTBEAT: Duration = Duration::from_secs(5);
const TRADES_DEFAULT: usize = 100;
const TRADES_MAX: usize = 1_000;

#[tonic::async_trait]
impl MarketData for Exchange {
    type SubscribeStream = Pin<Box<dyn Stream<Item = Result<v1::MarketEvent, Status>> + Send>>;

    async fn subscribe(
        &self,
        request: Request<v1::SubscribeRequest>,
    ) -> Result<Response<Self::SubscribeStream>, Status> {
        let names = request.into_inner().markets;
        let markets = names.iter().map(|name| self.market_id(name)).collect::<Result<Vec<_>, _>>()?;
        let (snapshots, changes) = self.0.projections.books.subscribe(&markets);
        let followed = snapshots.iter().map(|(id, _)| *id).collect();
        let first = stream::iter(snapshots).map(|(_, snapshot)| Ok(sent(Event::Snapshot(snapshot))));
        let then = stream::unfold(Follow { changes, followed, ended: false }, Follow::next);
        Ok(Response::new(Box::pin(first.chain(then))))
    }

    async fn list_markets(
        &self,
        _request: Request<v1::ListMarketsRequest>,
    ) -> Result<Response<v1::ListMarketsResponse>, Status> {
        Ok(Response::new(v1::ListMarketsResponse { markets: self.0.projections.books.markets() }))
    }

    async fn get_book(&self, request: Request<v1::GetBookRequest>) -> Result<Response<v1::BookSnapshot>, Status> {
        let market = self.market_id(&request.into_inner().market)?;
        Ok(Response::new(self.0.projections.books.snapshot(market)))
    }

    async fn list_trades(
        &self,
        request: Request<v1::ListTradesRequest>,
    ) -> Result<Response<v1::ListTradesResponse>, Status> {
        let request = request.into_inner();
        let market = self.market_id(&request.market)?;
        let limit = match request.limit as usize {
            0 => TRADES_DEFAULT,
            limit if limit <= TRADES_MAX => limit,
            limit => {
                return Err(Status::invalid_argument(format!("limit: {limit}; at most {TRADES_MAX}")));
            }
        };
        let viewer = match request.account.as_str() {
            "" => None,
            account => Some(self.account_id(account)?),
        };
        let trades = self.0.projections.books.trades(market, limit, viewer);
        Ok(Response::new(v1::ListTradesResponse { trades }))
    }
}

impl Exchange {
    pub(super) fn market_id(&self, name: &str) -> Result<MarketId, Status> {
        let parsed = parse("market", name)?;
        self.0.sequencer.read(|engine| engine.find_market(&parsed)).ok_or_else(|| unknown("market", name))
    }
}

fn sent(event: Event) -> v1::MarketEvent {
    v1::MarketEvent { event: Some(event) }
}

/// What comes after the snapshots.
struct Follow {
    changes: broadcast::Receiver<Change>,
    followed: HashSet<MarketId>,
    ended: bool,
}

impl Follow {
    async fn next(mut self) -> Option<(Result<v1::MarketEvent, Status>, Follow)> {
        if self.ended {
            return None;
        }
        loop {
            match tokio::time::timeout(HEARTBEAT, self.changes.recv()).await {
                Ok(Ok(change)) if self.followed.contains(&change.market) => {
                    return Some((Ok(sent((*change.event).clone())), self));
                }
                Ok(Ok(_)) => {}
                Ok(Err(RecvError::Lagged(missed))) => {
                    self.ended = true;
                    let message = format!("the reader fell {missed} changes behind; subscribe again");
                    return Some((Err(Status::resource_exhausted(message)), self));
                }
                Ok(Err(RecvError::Closed)) => return None,
                Err(_) => {
                    return Some((Ok(sent(Event::Heartbeat(Heartbeat { at: clock::now().micros() }))), self));
                }
            }
        }
    }
}
