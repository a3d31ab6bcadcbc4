//! Market data: each market's durable book, and the stream of its changes.
//!
//! A projection of durable events, of public offers and public trades alone: nothing private enters it. It mirrors free
//! capacity by itself (see [`pools`]), so that a lease costs two small events however many rungs share its pool. Owns
//! no rule of the market and keeps no trades; a reader that is too slow loses its stream and is never waited for.
//!
//! ```text
//! durable batch -> Mirror::take, event by event    offers, pools, bids; states and trades are sent one by one
//!               -> Mirror::publish                 one delta a market: its book after the batch
//!               -> Backlog                        one group a batch, which followers read
//! ```

mod backlog;
mod book;
mod names;
mod pools;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use merit_engine::{Engine, Event, Resting};
use merit_proto::v1;
use merit_proto::v1::market_event::Event as Sent;
use merit_terms::{MarketId, OfferId, Price, Time};
use tokio::sync::watch;

use crate::sequencer::Happened;
use crate::spots::Spots;
use backlog::Backlog;
pub(crate) use backlog::{Group, Missed};
use book::{Book, BookChange};
use names::Names;
use pools::Pools;

/// The books of all markets, as far as they are durable. Clones share them.
#[derive(Clone)]
pub(crate) struct Books(Arc<Published>);

struct Published {
    state: Mutex<Mirror>,
    /// The number of the next group: followers wait for it to grow.
    news: watch::Sender<u64>,
}

#[derive(Default)]
struct Mirror {
    markets: BTreeMap<MarketId, Book>,
    pools: Pools,
    spots: Spots,
    names: Names,
    backlog: Backlog,
    /// Groups made since the last follower.
    unread: usize,
}

/// The beginning of a subscription.
pub(crate) enum Beginning {
    /// Snapshots of the books as of this sequence.
    Snapshots(u64, Vec<(MarketId, v1::BookSnapshot)>),
    /// Later changes are still kept, and the follower reads them.
    Resumed,
}

/// One reader of the changes.
pub(crate) struct Follower {
    books: Books,
    /// The number of the group that it reads next.
    next: u64,
    news: watch::Receiver<u64>,
}

impl Books {
    pub(crate) fn new() -> Books {
        Books(Arc::new(Published { state: Mutex::default(), news: watch::Sender::new(0) }))
    }

    /// Begins with the books as they stand in `engine`.
    pub(crate) fn begin(&self, engine: &Engine) {
        *self.lock() = Mirror::of(engine);
    }

    fn lock(&self) -> MutexGuard<'_, Mirror> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Applies durable events, and publishes the changes. Notes the spot prices in each command's events.
    pub(crate) fn apply(&self, happened: &mut [Happened]) {
        let Some(last) = happened.last().map(|last| (last.sequence, last.at)) else { return };
        let mut state = self.lock();
        let mut events = Vec::new();
        for one in happened {
            for event in &one.events {
                state.spots.take(event);
            }
            one.spots = state.spots.changes();
            for event in &one.events {
                state.take(one, event, &mut events);
            }
        }
        let followed = self.0.news.receiver_count() > 0;
        if state.publish(last, events, followed) {
            self.0.news.send_replace(state.backlog.end());
        }
    }

    /// Subscribes to all changes after `after`, if they are still kept; else from now on, beginning with a snapshot of
    /// each market that is `asked` for.
    pub(crate) fn follow(&self, asked: impl Fn(MarketId) -> bool, after: Option<u64>) -> (Beginning, Follower) {
        let state = self.lock();
        let kept = after.and_then(|sequence| state.backlog.group_after(sequence));
        let beginning = match kept {
            Some(_) => Beginning::Resumed,
            None => {
                let asked = state.markets.iter().filter(|(id, _)| asked(**id));
                let snapshots = asked.map(|(id, book)| (*id, state.snapshot(*id, book)));
                Beginning::Snapshots(state.backlog.latest(), snapshots.collect())
            }
        };
        let next = kept.unwrap_or(state.backlog.end());
        (beginning, Follower { books: self.clone(), next, news: self.0.news.subscribe() })
    }

    /// Returns the book of a market, if there is such a market.
    pub(crate) fn snapshot(&self, market: MarketId) -> Option<v1::BookSnapshot> {
        let state = self.lock();
        state.markets.get(&market).map(|book| state.snapshot(market, book))
    }

    pub(crate) fn markets(&self) -> Vec<v1::Market> {
        let state = self.lock();
        state.markets.iter().map(|(id, book)| state.names.summary(*id, book, state.spots.of_market(*id))).collect()
    }
}

impl Follower {
    /// Waits for the next changes. After [`Missed`] the stream is over.
    pub(crate) async fn next(&mut self) -> Result<Arc<Group>, Missed> {
        loop {
            self.news.mark_unchanged();
            let group = self.books.lock().backlog.group(self.next)?;
            if let Some(group) = group {
                self.next += 1;
                return Ok(group);
            }
            // It cannot fail: the sender is in the books that this follower holds.
            drop(self.news.changed().await);
        }
    }

    /// Returns the sequence up to which the follower knows everything; none while more waits.
    pub(crate) fn told(&self) -> Option<u64> {
        let state = self.books.lock();
        (self.next == state.backlog.end()).then_some(state.backlog.latest())
    }
}

impl Mirror {
    fn of(engine: &Engine) -> Mirror {
        let sequence = engine.sequence();
        let (backlog, spots) = (Backlog::starting(0, sequence), Spots::of(engine));
        let mut state = Mirror { backlog, spots, ..Mirror::default() };
        for (id, provider) in engine.providers() {
            state.names.name_provider(id, &provider.name);
        }
        for (id, market) in engine.markets() {
            state.names.name_market(id, &market.name);
            let mut book = Book::new(sequence);
            (book.terms, book.last_price, book.trades) = (market.terms, market.last_price, market.trades);
            for offer in engine.book(id).iter().filter(|offer| offer.is_public) {
                state.pools.add(offer);
                book.post(offer);
            }
            state.markets.insert(id, book);
        }
        for resting in engine.resting() {
            state.with_books_of(resting, Book::rest);
        }
        state.changed(sequence);
        state
    }

    /// Applies one event. Trades and states are appended to `events`; offers and bids are left to [`Mirror::publish`].
    fn take(&mut self, one: &Happened, event: &Event, events: &mut Vec<(MarketId, Sent)>) {
        match event {
            Event::Offer(offer) if offer.capacity_mb > 0 && offer.is_public => {
                self.pools.add(offer);
                self.with_book(offer.market, |book| book.post(offer));
            }
            Event::Offer(gone) => self.withdraw(gone.market, gone.price, gone.offer),
            Event::OfferGone { market, offer, price, .. } => self.withdraw(*market, *price, *offer),
            Event::OfferLeased { market, offer, price, leased_mb } => {
                self.with_book(*market, |book| book.lease(*price, *offer, *leased_mb));
            }
            Event::Pool { provider, pool, free_mb } => self.pools.set((*provider, *pool), *free_mb),
            Event::BidRested(resting) => self.with_books_of(resting, Book::rest),
            Event::BidGone { resting, .. } => self.with_books_of(resting, Book::unrest),
            Event::Settled { lease, settlement, last_price, .. } if !lease.private => {
                self.with_book(lease.market, |book| {
                    (book.last_price, book.trades) = (*last_price, book.trades + 1);
                });
                let trade = self.names.trade(one, lease, settlement.billed_ms, *last_price);
                events.push((lease.market, Sent::Trade(trade)));
            }
            Event::MarketCreated { market, name } => {
                self.names.name_market(*market, name);
                let book = Book::new(one.sequence);
                events.push((*market, Sent::Snapshot(self.snapshot(*market, &book))));
                self.markets.insert(*market, book);
            }
            Event::MarketChanged { market, terms } => {
                self.with_book(*market, |book| book.terms = *terms);
                events
                    .push((*market, Sent::State(self.names.state(*market, one, terms, self.spots.of_market(*market)))));
            }
            // Its followers hear nothing more of it.
            Event::MarketDeleted { market } => drop(self.markets.remove(market)),
            Event::SessionBegan { provider, name, .. } | Event::ProviderRegistered { provider, name, .. } => {
                self.names.name_provider(*provider, name);
            }
            _ => {}
        }
    }

    fn snapshot(&self, market: MarketId, book: &Book) -> v1::BookSnapshot {
        self.names.snapshot(market, book, self.spots.of_market(market))
    }

    fn with_book(&mut self, market: MarketId, change: impl FnOnce(&mut Book)) {
        if let Some(book) = self.markets.get_mut(&market) {
            change(book);
        }
    }

    fn with_books_of(&mut self, resting: &Resting, change: fn(&mut Book, Price, u32)) {
        for market in &resting.markets {
            self.with_book(*market, |book| change(book, resting.limit, resting.memory_mb));
        }
    }

    fn withdraw(&mut self, market: MarketId, price: Price, offer: OfferId) {
        let pool = self.markets.get_mut(&market).and_then(|book| book.withdraw(price, offer));
        if let Some(pool) = pool {
            self.pools.remove(pool, (market, price, offer));
        }
    }

    /// Makes a group of the changes up to the command at `sequence`, if there is a follower or one may come back soon.
    /// Returns true if it did.
    fn publish(&mut self, (sequence, at): (u64, Time), mut events: Vec<(MarketId, Sent)>, followed: bool) -> bool {
        let changed = self.changed(sequence);
        self.unread = if followed { 0 } else { self.unread + 1 };
        if self.unread > backlog::UNREAD_MAX {
            self.backlog = Backlog::starting(self.backlog.end(), sequence);
            return false;
        }
        for (market, sent) in &mut events {
            // Later commands of the group may have changed it, and changed the book back.
            if let Sent::State(state) = sent {
                state.spot_price = self.spots.of_market(*market).map(Price::picodollars);
            }
        }
        for (market, change) in changed {
            let checksum = self.markets.get(&market).map_or(0, Book::checksum);
            let spot_price = self.spots.of_market(market).map(Price::picodollars);
            let delta = self.names.delta(market, change);
            let delta = v1::BookDelta { checksum, spot_price, at: at.micros(), ..delta };
            events.push((market, Sent::Delta(delta)));
        }
        self.backlog.push(sequence, events)
    }

    /// Takes the changes of all books since their last publication, and counts them as published as of `sequence`.
    fn changed(&mut self, sequence: u64) -> Vec<(MarketId, BookChange)> {
        for ((market, price, offer), pool_mb) in self.pools.changed() {
            self.with_book(market, |book| book.cap(price, offer, pool_mb));
        }
        self.markets.iter_mut().filter_map(|(id, book)| Some((*id, book.changed(sequence)?))).collect()
    }
}

#[cfg(test)]
#[path = "../../tests/unit/books.rs"]
mod tests;
