//! The plain book part of the engine, by itself: adds, cancels and matches without ledger and prediction.
//!
//! Owns the load: 10,000 offers rest at random prices on 2,000 ticks; half of the operations add one, two fifths cancel
//! one, a tenth buys from the cheapest. Every book gets the same operations in the same order. Published books are
//! measured by the package `merit-peers`, so that nobody else builds them.

use std::time::{Duration, Instant};

use merit_engine::PlainBook;
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use serde::Serialize;

const RESTING: usize = 10_000;
/// The prices of the offers, in ticks.
pub const PRICES: std::ops::Range<u64> = 10_000..12_000;
/// The quantity of each offer.
pub const QUANTITY: u64 = 10;
/// Operations of one round; rounds repeat until the time is over.
const ROUND: usize = 100_000;

/// The result of one book.
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
pub trait Book {
    fn add(&mut self, number: u64, price: u64);
    fn cancel(&mut self, number: u64);
    fn buy(&mut self, quantity: u64);
}

/// Measures the engine's own book for at least one round, then until `longest` is over.
pub fn ours(seed: u64, longest: Duration) -> Plain {
    measure(seed, longest, Ours::default)
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

/// Measures a book for at least one round, then until `longest` is over.
pub fn measure<B: Book>(seed: u64, longest: Duration, new: impl Fn() -> B) -> Plain {
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
