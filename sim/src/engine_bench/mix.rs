//! Commands mixed as a market mixes them: 45 % ladders quoted again, 45 % acquires and settles, 10 % cancels.
//!
//! The number of resting offers stays, because a cancelled ladder is the next to be quoted, and so does the number of
//! open leases, because acquires and settles take turns. Never times the drawing of a command.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use merit_terms::{FunctionId, LeaseId, Limits, ProviderId};
use rand::RngExt;

use crate::engine_bench::market::{BenchMarket, Ladder};
use crate::engine_bench::memory::resident_bytes;
use crate::engine_bench::{EngineBenchError, Kind, Settings, count, nanoseconds};

/// Rungs of every ladder.
const RUNGS: u32 = 4;
/// Number of open leases.
const LEASES: u32 = 256;
/// Quotes in a hundred commands.
const QUOTES: u32 = 45;
/// Acquires and settles in a hundred commands.
const INVOCATIONS: u32 = 45;

/// The measurements of the mix.
pub(crate) struct Mixed {
    pub(crate) markets: u32,
    pub(crate) leases: u32,
    pub(crate) all: Histogram<u64>,
    pub(crate) kinds: Vec<Kind>,
    /// Time inside the engine.
    pub(crate) inside: Duration,
    pub(crate) bytes_per_offer: u64,
}

struct Mix {
    market: BenchMarket,
    functions: Vec<FunctionId>,
    open: VecDeque<(LeaseId, ProviderId)>,
    cancelled: VecDeque<Ladder>,
    acquires_next: bool,
}

#[derive(Clone, Copy)]
enum Step {
    Quote,
    Acquire,
    Settle,
    Cancel,
}

const STEPS: [(Step, &str); 4] =
    [(Step::Quote, "quote"), (Step::Acquire, "acquire"), (Step::Settle, "settle"), (Step::Cancel, "cancel")];

/// Posts the offers, then mixes commands for the settings' time.
pub(crate) fn run(settings: &Settings) -> Result<Mixed, EngineBenchError> {
    let mut market = BenchMarket::new(settings.seed, settings.offers, settings.providers, RUNGS)?;
    let mut functions = Vec::new();
    for i in 0..settings.functions {
        functions.push(market.put_function(format!("f-{i}"), true)?);
    }
    let before = resident_bytes()?;
    market.post()?;
    let bytes_per_offer = resident_bytes()?.saturating_sub(before) / u64::from(settings.offers);

    let markets = market.markets();
    let mut mix = Mix { market, functions, open: VecDeque::new(), cancelled: VecDeque::new(), acquires_next: false };
    for _ in 0..LEASES {
        mix.step(Step::Acquire)?;
    }
    let (mut all, mut inside) = (nanoseconds()?, Duration::ZERO);
    let mut each = [nanoseconds()?, nanoseconds()?, nanoseconds()?, nanoseconds()?];
    let ends = Instant::now() + Duration::from_secs_f64(settings.seconds);
    while Instant::now() < ends {
        let step = mix.draw();
        let took = mix.step(step)?;
        inside += took;
        count(&mut all, took);
        count(&mut each[step as usize], took);
    }
    let kind = |(histogram, (_, name)): (&Histogram<u64>, (Step, &'static str))| Kind {
        name,
        commands: histogram.len(),
        p50_ns: histogram.value_at_quantile(0.5),
        p999_ns: histogram.value_at_quantile(0.999),
    };
    let kinds = each.iter().zip(STEPS).map(kind).collect();
    Ok(Mixed { markets, leases: LEASES, all, kinds, inside, bytes_per_offer })
}

impl Mix {
    fn draw(&mut self) -> Step {
        let percent = self.market.chance.random_range(0..100);
        if percent < QUOTES {
            return Step::Quote;
        }
        if percent >= QUOTES + INVOCATIONS {
            return Step::Cancel;
        }
        self.acquires_next = !self.acquires_next;
        if self.acquires_next { Step::Settle } else { Step::Acquire }
    }

    /// Makes one command and applies it. Returns its time.
    fn step(&mut self, step: Step) -> Result<Duration, EngineBenchError> {
        match step {
            Step::Quote => {
                let ladder = match self.cancelled.pop_front() {
                    Some(ladder) => ladder,
                    None => self.any_ladder(),
                };
                let quote = self.market.quote(ladder);
                Ok(self.market.timed(&quote)?.1)
            }
            Step::Cancel => {
                let Some(ladder) = self.posted_ladder() else {
                    return self.step(Step::Quote);
                };
                self.cancelled.push_back(ladder);
                let cancel = self.market.cancel(ladder);
                Ok(self.market.timed(&cancel)?.1)
            }
            Step::Acquire => {
                let function = self.functions[self.market.chance.random_range(0..self.functions.len())];
                let acquire = self.market.acquire(function, Limits::default());
                let (lease, provider, took) = self.market.granted(&acquire)?;
                self.open.push_back((lease, provider));
                Ok(took)
            }
            Step::Settle => {
                let Some((lease, provider)) = self.open.pop_front() else {
                    return self.step(Step::Acquire);
                };
                let settle = BenchMarket::settle(lease, self.wall_us(provider));
                Ok(self.market.timed(&settle)?.1)
            }
        }
    }

    fn any_ladder(&mut self) -> Ladder {
        self.market.ladders[self.market.chance.random_range(0..self.market.ladders.len())]
    }

    /// Picks a posted ladder. Returns `None` if every try was a cancelled one.
    fn posted_ladder(&mut self) -> Option<Ladder> {
        for _ in 0..self.market.ladders.len() {
            let ladder = self.any_ladder();
            if !self.cancelled.contains(&ladder) {
                return Some(ladder);
            }
        }
        None
    }

    /// Draws a wall time in microseconds: the provider's own speed, up to twice another's, and some noise.
    fn wall_us(&mut self, provider: ProviderId) -> u64 {
        let speed = 10_000 + u64::from(provider.number() % 100) * 100;
        speed + self.market.chance.random_range(0..500)
    }
}
