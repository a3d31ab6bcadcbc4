//! Market data: each market's durable book, its latest trades, and the stream of what changes.
//!
//! A projection of durable events. Owns no rule of the market; a reader that is too slow loses its stream and
//! is never waited for.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use merit_engine::{Engine, Event, OfferChange};
use merit_proto::v1;
use merit_proto::v1::market_event::Event as Sent;
use merit_terms::{AccountId, LeaseId, MarketId, Money, OfferId, Price, ProviderId};
use tokio::sync::broadcast;

use crate::intake::Happened;

/// Trades kept for each market; older ones are in the journal.
const TRADES_KEPT: usize = 10_000;
/// Trades shown with a snapshot.
const TRADES_SHOWN: usize = 100;
/// What a reader may fall behind before it is disconnected.
const BACKLOG_MAX: usize = 4096;

/// The books of all markets, as far as they are durable.
pub(crate) struct Books {
    state: Mutex<State>,
    changes: broadcast::Sender<Change>,
}

/// What a subscriber is sent: of which market, and what.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    pub(crate) market: MarketId,
    pub(crate) event: Arc<Sent>,
}

#[derive(Default)]
struct State {
    markets: BTreeMap<MarketId, Book>,
    pools: HashMap<(ProviderId, u32), Pool>,
    /// Names never change.
    names: Names,
}

/// The names that market data shows.
#[derive(Default)]
struct Names {
    markets: HashMap<MarketId, String>,
    providers: HashMap<ProviderId, String>,
}

#[derive(Default)]
struct Book {
    offers: BTreeMap<(Price, OfferId), OfferChange>,
    sequence: u64,
    spot_price: Option<Price>,
    trades: VecDeque<Bought>,
    trade_count: u64,
}

/// What a pool has free, as far as it was told, and the live offers on it.
#[derive(Default)]
struct Pool {
    free_mb: Option<u64>,
    offers: BTreeSet<(MarketId, Price, OfferId)>,
}

/// The offers that one command changed, by market; one that is gone has no capacity.
type Changed = BTreeMap<MarketId, Vec<OfferChange>>;

/// A trade with what only its buyer is told.
struct Bought {
    trade: v1::Trade,
    account: AccountId,
    invocation: LeaseId,
    cost: Money,
}

impl Books {
    pub(crate) fn new() -> Books {
        Books { state: Mutex::default(), changes: broadcast::Sender::new(BACKLOG_MAX) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins with the books of this state, and goes on with the events after it.
    pub(crate) fn begin(&self, engine: &Engine) {
        let mut state = self.lock();
        for (id, provider) in engine.providers().filter(|(_, provider)| provider.session > 0) {
            state.names.providers.insert(id, provider.name.to_string());
            for (pool, view) in (0..).zip(engine.pools(id)) {
                let free_mb = if view.leases < view.size.slots { view.size.memory_mb - view.leased_mb } else { 0 };
                state.pools.entry((id, pool)).or_default().free_mb = Some(free_mb);
            }
        }
        for (id, market) in engine.markets() {
            state.names.markets.insert(id, market.name.to_string());
            let book = state.markets.entry(id).or_default();
            (book.sequence, book.spot_price, book.trade_count) = (engine.sequence(), market.spot_price, market.trades);
            for offer in engine.book(id) {
                state.post(offer, &mut Changed::default());
            }
        }
    }

    /// Takes durable events in.
    pub(crate) fn apply(&self, happened: &[Happened]) {
        let mut state = self.lock();
        for one in happened {
            let mut changed = Changed::default();
            for event in &one.events {
                match event {
                    Event::SessionBegan { provider, name, .. } => {
                        state.names.providers.entry(*provider).or_insert_with(|| name.to_string());
                    }
                    Event::MarketCreated { market, name } => {
                        state.names.markets.insert(*market, name.to_string());
                        state.markets.entry(*market).or_default().sequence = one.sequence;
                    }
                    Event::Offer(offer) => state.post(*offer, &mut changed),
                    Event::OfferGone { market, offer, price, .. } => state.take(*market, *price, *offer, &mut changed),
                    Event::OfferLeased { market, offer, price, leased_mb } => {
                        state.lease(*market, *price, *offer, *leased_mb, &mut changed);
                    }
                    Event::Pool { provider, pool, free_mb } => state.free((*provider, *pool), *free_mb, &mut changed),
                    Event::Settled { lease, settlement, spot_price, .. } => {
                        let trade = v1::Trade {
                            market: state.names.market(lease.market),
                            sequence: one.sequence,
                            match_sequence: lease.id.sequence,
                            at: one.at.micros(),
                            provider: state.names.provider(lease.provider),
                            price: lease.price.picodollars(),
                            memory_mb: lease.memory_mb,
                            billed_ms: settlement.billed_ms,
                            spot_price: spot_price.map(Price::picodollars),
                            ..v1::Trade::default()
                        };
                        let book = state.markets.entry(lease.market).or_default();
                        let (account, invocation, cost) = (lease.account, lease.invocation, settlement.cost);
                        book.record(Bought { trade: trade.clone(), account, invocation, cost }, *spot_price);
                        self.send(lease.market, Sent::Trade(trade));
                    }
                    _ => {}
                }
            }
            for (market, offers) in changed {
                let delta = state.change(market, one.sequence, &offers);
                self.send(market, Sent::Delta(delta));
            }
        }
    }

    fn send(&self, market: MarketId, event: Sent) {
        // Nobody listening is no failure.
        drop(self.changes.send(Change { market, event: Arc::new(event) }));
    }

    /// A snapshot of each market asked for (none asked: all), and everything that comes after them.
    pub(crate) fn subscribe(
        &self,
        markets: &[MarketId],
    ) -> (Vec<(MarketId, v1::BookSnapshot)>, broadcast::Receiver<Change>) {
        let state = self.lock();
        let asked = |id: &MarketId| markets.is_empty() || markets.contains(id);
        let snapshots = state.markets.keys().filter(|id| asked(id)).map(|id| (*id, state.snapshot(*id))).collect();
        (snapshots, self.changes.subscribe())
    }

    pub(crate) fn snapshot(&self, market: MarketId) -> v1::BookSnapshot {
        self.lock().snapshot(market)
    }

    /// The latest trades, newest first, with what `viewer` may see of them.
    pub(crate) fn trades(&self, market: MarketId, limit: usize, viewer: Option<AccountId>) -> Vec<v1::Trade> {
        self.lock().markets.get(&market).map_or_else(Vec::new, |book| book.latest(limit, viewer))
    }

    pub(crate) fn markets(&self) -> Vec<v1::Market> {
        let state = self.lock();
        let summary = |(id, book): (&MarketId, &Book)| v1::Market {
            name: state.names.market(*id),
            state: OPEN.to_owned(),
            spot_price: book.spot_price.map(Price::picodollars),
            offers: book.offers.len() as u32,
            capacity_mb: book.offers.values().map(|offer| offer.capacity_mb).sum(),
            free_mb: book.offers.values().map(|offer| offer.free_mb).sum(),
            trades: book.trade_count,
        };
        state.markets.iter().map(summary).collect()
    }
}

/// The only state of a market until it can be halted.
const OPEN: &str = "open";

impl Names {
    fn market(&self, id: MarketId) -> String {
        self.markets.get(&id).cloned().unwrap_or_default()
    }

    fn provider(&self, id: ProviderId) -> String {
        self.providers.get(&id).cloned().unwrap_or_default()
    }

    fn offer(&self, change: &OfferChange) -> v1::Offer {
        v1::Offer {
            offer: change.offer.to_string(),
            provider: self.provider(change.provider),
            price: change.price.picodollars(),
            capacity_mb: change.capacity_mb,
            free_mb: change.free_mb,
            tariff: Some((&change.tariff).into()),
        }
    }
}

impl State {
    fn post(&mut self, offer: OfferChange, changed: &mut Changed) {
        if offer.capacity_mb == 0 {
            return self.take(offer.market, offer.price, offer.offer, changed);
        }
        self.markets.entry(offer.market).or_default().offers.insert((offer.price, offer.offer), offer);
        let key = (offer.market, offer.price, offer.offer);
        self.pools.entry((offer.provider, offer.pool)).or_default().offers.insert(key);
        changed.entry(offer.market).or_default().push(offer);
    }

    fn take(&mut self, market: MarketId, price: Price, offer: OfferId, changed: &mut Changed) {
        let book = self.markets.entry(market).or_default();
        let Some(gone) = book.offers.remove(&(price, offer)) else { return };
        if let Some(pool) = self.pools.get_mut(&(gone.provider, gone.pool)) {
            pool.offers.remove(&(market, price, offer));
        }
        changed.entry(market).or_default().push(OfferChange { capacity_mb: 0, free_mb: 0, ..gone });
    }

    fn lease(&mut self, market: MarketId, price: Price, offer: OfferId, leased_mb: u64, changed: &mut Changed) {
        let book = self.markets.entry(market).or_default();
        let Some(offer) = book.offers.get_mut(&(price, offer)) else { return };
        let pool_mb = self.pools.get(&(offer.provider, offer.pool)).and_then(|pool| pool.free_mb);
        offer.leased_mb = leased_mb;
        offer.free_mb = free_mb(offer, pool_mb);
        changed.entry(market).or_default().push(*offer);
    }

    fn free(&mut self, key: (ProviderId, u32), pool_mb: u64, changed: &mut Changed) {
        let pool = self.pools.entry(key).or_default();
        pool.free_mb = Some(pool_mb);
        for (market, price, offer) in &pool.offers {
            let book = self.markets.entry(*market).or_default();
            let Some(offer) = book.offers.get_mut(&(*price, *offer)) else { continue };
            let free_mb = free_mb(offer, Some(pool_mb));
            if free_mb != std::mem::replace(&mut offer.free_mb, free_mb) {
                changed.entry(*market).or_default().push(*offer);
            }
        }
    }

    fn change(&mut self, market: MarketId, sequence: u64, offers: &[OfferChange]) -> v1::BookDelta {
        let book = self.markets.entry(market).or_default();
        let prev_seq = std::mem::replace(&mut book.sequence, sequence);
        v1::BookDelta {
            market: self.names.market(market),
            prev_seq,
            seq: sequence,
            offers: offers.iter().map(|offer| self.names.offer(offer)).collect(),
        }
    }

    fn snapshot(&self, market: MarketId) -> v1::BookSnapshot {
        let empty = Book::default();
        let book = self.markets.get(&market).unwrap_or(&empty);
        v1::BookSnapshot {
            market: self.names.market(market),
            sequence: book.sequence,
            checksum: book.checksum(),
            state: OPEN.to_owned(),
            spot_price: book.spot_price.map(Price::picodollars),
            offers: book.offers.values().map(|offer| self.names.offer(offer)).collect(),
            trades: book.latest(TRADES_SHOWN, None),
        }
    }
}

/// What is free of an offer on a pool with so much free.
fn free_mb(offer: &OfferChange, pool_mb: Option<u64>) -> u64 {
    let rung_mb = offer.capacity_mb.saturating_sub(offer.leased_mb);
    pool_mb.map_or(rung_mb, |pool_mb| rung_mb.min(pool_mb))
}

impl Book {
    fn record(&mut self, bought: Bought, spot_price: Option<Price>) {
        self.spot_price = spot_price;
        self.trade_count += 1;
        if self.trades.len() == TRADES_KEPT {
            self.trades.pop_front();
        }
        self.trades.push_back(bought);
    }

    /// The latest trades, newest first; to their buyer with invocation and cost.
    fn latest(&self, limit: usize, viewer: Option<AccountId>) -> Vec<v1::Trade> {
        let told = |bought: &Bought| match viewer {
            Some(viewer) if viewer == bought.account => v1::Trade {
                invocation: Some(bought.invocation.into()),
                cost: Some(bought.cost.picodollars()),
                ..bought.trade.clone()
            },
            _ => bought.trade.clone(),
        };
        self.trades.iter().rev().take(limit).map(told).collect()
    }

    /// CRC32C over the price levels, best first: price and free MB, each as a little-endian 64-bit integer.
    fn checksum(&self) -> u32 {
        let mut levels: BTreeMap<Price, u64> = BTreeMap::new();
        for offer in self.offers.values() {
            *levels.entry(offer.price).or_default() += offer.free_mb;
        }
        levels.into_iter().fold(0, |crc, (price, free_mb)| {
            let crc = crc32c::crc32c_append(crc, &price.picodollars().to_le_bytes());
            crc32c::crc32c_append(crc, &free_mb.to_le_bytes())
        })
    }
}
