//! The load of the plain book on published order books, beside Merit's own.
//!
//! Its own package, because nobody else is to build the crates of these books.

use std::time::Duration;

use matchcore::{
    CancelCmd, Command, CommandKind, CommandMeta, LimitOrder, NewOrder, OrderFlags, OrderId, OrderKind, Price,
    Quantity, QuantityPolicy, SequenceNumber, Side, SubmitCmd, TimeInForce, Timestamp,
};
use merit_sim::plain_book_bench::{Book, PRICES, Plain, QUANTITY, measure, ours};

/// Measures Merit's book, then each peer, for at least `longest` each. Returns them by name, Merit's first.
pub fn run(seed: u64, longest: Duration) -> [(&'static str, Plain); 3] {
    let matchcore = || Matchcore { book: matchcore::OrderBook::new("bench"), sequence: 0, ids: Vec::new() };
    let orderbook_rs = || OrderbookRs(orderbook_rs::OrderBook::new("bench"));
    [
        ("Merit", ours(seed, longest)),
        ("matchcore", measure(seed, longest, matchcore)),
        ("orderbook-rs", measure(seed, longest, orderbook_rs)),
    ]
}

struct Matchcore {
    book: matchcore::OrderBook,
    sequence: u64,
    /// The id of each offer: the sequence number of its command.
    ids: Vec<u64>,
}

impl Matchcore {
    fn execute(&mut self, kind: CommandKind) -> u64 {
        let sequence = self.sequence;
        self.sequence += 1;
        let meta = CommandMeta { sequence_number: SequenceNumber(sequence), timestamp: Timestamp(sequence) };
        std::hint::black_box(self.book.execute(&Command { meta, kind }));
        sequence
    }

    fn submit(&mut self, price: u64, quantity: u64, side: Side, time_in_force: TimeInForce) -> u64 {
        let quantity = QuantityPolicy::Standard { quantity: Quantity(quantity) };
        let order = LimitOrder::new(Price(price), quantity, OrderFlags::new(side, false, time_in_force));
        self.execute(CommandKind::Submit(SubmitCmd { order: NewOrder::Limit(order) }))
    }
}

impl Book for Matchcore {
    fn add(&mut self, number: u64, price: u64) {
        let id = self.submit(price, QUANTITY, Side::Sell, TimeInForce::Gtc);
        self.ids.resize(self.ids.len().max(number as usize + 1), 0);
        self.ids[number as usize] = id;
    }

    fn cancel(&mut self, number: u64) {
        let order_id = OrderId(self.ids[number as usize]);
        self.execute(CommandKind::Cancel(CancelCmd { order_id, order_kind: OrderKind::Limit }));
    }

    fn buy(&mut self, quantity: u64) {
        self.submit(PRICES.end, quantity, Side::Buy, TimeInForce::Ioc);
    }
}

struct OrderbookRs(orderbook_rs::OrderBook<()>);

impl Book for OrderbookRs {
    fn add(&mut self, number: u64, price: u64) {
        use orderbook_rs::{Id, Side, TimeInForce};
        let added =
            self.0.add_limit_order(Id::from_u64(number), price.into(), QUANTITY, Side::Sell, TimeInForce::Gtc, None);
        drop(std::hint::black_box(added));
    }

    fn cancel(&mut self, number: u64) {
        drop(std::hint::black_box(self.0.cancel_order(orderbook_rs::Id::from_u64(number))));
    }

    fn buy(&mut self, quantity: u64) {
        let bought =
            self.0.submit_market_order(orderbook_rs::Id::from_u64(u64::MAX), quantity, orderbook_rs::Side::Buy);
        drop(std::hint::black_box(bought));
    }
}
