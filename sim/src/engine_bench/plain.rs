//! The plain book part of the engine beside published order books: the same adds, cancels and matches, in one run.
//!
//! Owns the load: 10,000 offers rest at random prices on 2,000 ticks; half of the operations add one, two fifths cancel
//! one, a tenth buys from the cheapest. Every book gets the same operations in the same order.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use matchcore::{
    CancelCmd, Command, CommandKind, CommandMeta, LimitOrder, NewOrder, OrderFlags, OrderId, OrderKind, Price,
    Quantity, QuantityPolicy, SequenceNumber, Side, SubmitCmd, TimeInForce, Timestamp,
};
use merit_engine::PlainBook;
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use serde::Serialize;

const RESTING: usize = 10_000;
const PRICES: std::ops::Range<u64> = 10_000..12_000;
const QUANTITY: u64 = 10;
/// Operations of one round; rounds repeat until the time is over.
const ROUND: usize = 100_000;

/// What a book did.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Plain {
    pub operations: u64,
    pub operations_per_second: f64,
}

/// One operation; offers are named by the number of their addition.
#[derive(Clone, Copy)]
enum Operation {
    Add { number: u64, price: u64 },
    Cancel { number: u64 },
    Buy { quantity: u64 },
}

/// An order book that can be measured.
trait Book {
    fn add(&mut self, number: u64, price: u64);
    fn cancel(&mut self, number: u64);
    fn buy(&mut self, quantity: u64);
}

/// The engine's own, then the peers by name, each for at most `longest`.
pub(crate) fn run(seed: u64, longest: Duration) -> (Plain, BTreeMap<&'static str, Plain>) {
    let ours = measure(seed, longest, Ours::default);
    let peers = [
        (
            "matchcore",
            measure(seed, longest, || Matchcore {
                book: matchcore::OrderBook::new("bench"),
                sequence: 0,
                ids: Vec::new(),
            }),
        ),
        ("orderbook-rs", measure(seed, longest, || orderbook_rs::OrderBook::<()>::new("bench"))),
    ];
    (ours, peers.into_iter().collect())
}

/// The operations of one round, drawn so that about as many offers rest after it as before.
fn draw(seed: u64) -> (Vec<Operation>, Vec<Operation>) {
    let mut chance = Pcg64::seed_from_u64(seed);
    let (mut number, mut resting) = (0, Vec::new());
    let mut add = |chance: &mut Pcg64, resting: &mut Vec<u64>| {
        number += 1;
        resting.push(number);
        Operation::Add { number, price: chance.random_range(PRICES) }
    };
    let opening = (0..RESTING).map(|_| add(&mut chance, &mut resting)).collect();
    let round = (0..ROUND).map(|_| match chance.random_range(0..10) {
        0..5 => add(&mut chance, &mut resting),
        5..9 => Operation::Cancel { number: resting.swap_remove(chance.random_range(0..resting.len())) },
        _ => Operation::Buy { quantity: QUANTITY },
    });
    (opening, round.collect())
}

fn measure<B: Book>(seed: u64, longest: Duration, new: impl Fn() -> B) -> Plain {
    let (opening, round) = draw(seed);
    let (mut operations, mut inside) = (0, Duration::ZERO);
    while operations == 0 || inside < longest {
        let mut book = new();
        opening.iter().for_each(|operation| apply(&mut book, operation));
        let started = Instant::now();
        round.iter().for_each(|operation| apply(&mut book, operation));
        inside += started.elapsed();
        operations += ROUND as u64;
    }
    Plain { operations, operations_per_second: operations as f64 / inside.as_secs_f64() }
}

fn apply(book: &mut impl Book, operation: &Operation) {
    match *operation {
        Operation::Add { number, price } => book.add(number, price),
        Operation::Cancel { number } => book.cancel(number),
        Operation::Buy { quantity } => book.buy(quantity),
    }
}

/// The engine's, with the handles that it gave out.
#[derive(Default)]
struct Ours {
    book: PlainBook,
    handles: Vec<u32>,
    numbers: Vec<u64>,
    used_up: Vec<u32>,
}

/// Of an offer that is not there any more.
const GONE: u32 = u32::MAX;

impl Book for Ours {
    fn add(&mut self, number: u64, price: u64) {
        let handle = self.book.add(price, QUANTITY);
        self.handles.resize(self.handles.len().max(number as usize + 1), GONE);
        self.handles[number as usize] = handle;
        self.numbers.resize(self.numbers.len().max(handle as usize + 1), 0);
        self.numbers[handle as usize] = number;
    }

    fn cancel(&mut self, number: u64) {
        let handle = std::mem::replace(&mut self.handles[number as usize], GONE);
        if handle != GONE {
            self.book.cancel(handle);
        }
    }

    fn buy(&mut self, quantity: u64) {
        self.book.take(quantity, &mut self.used_up);
        for handle in self.used_up.drain(..) {
            self.handles[self.numbers[handle as usize] as usize] = GONE;
        }
    }
}

struct Matchcore {
    book: matchcore::OrderBook,
    sequence: u64,
    /// The id, which is a sequence number, of each offer.
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

impl Book for orderbook_rs::OrderBook<()> {
    fn add(&mut self, number: u64, price: u64) {
        use orderbook_rs::{Id, Side, TimeInForce};
        let added =
            self.add_limit_order(Id::from_u64(number), price.into(), QUANTITY, Side::Sell, TimeInForce::Gtc, None);
        drop(std::hint::black_box(added));
    }

    fn cancel(&mut self, number: u64) {
        drop(std::hint::black_box(self.cancel_order(orderbook_rs::Id::from_u64(number))));
    }

    fn buy(&mut self, quantity: u64) {
        let bought = self.submit_market_order(orderbook_rs::Id::from_u64(u64::MAX), quantity, orderbook_rs::Side::Buy);
        drop(std::hint::black_box(bought));
    }
}
