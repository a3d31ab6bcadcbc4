//! The market's time: the wall clock, checked against a clock that nobody sets.
//!
//! The only place in the exchange that reads a clock. A step of the wall clock by more than a minute is refused: the
//! market's time goes on by the other clock, so that leases end when they should, until the wall clock is back or the
//! operator accepts it. Market time never goes back.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use merit_terms::Time;
use rustix::time::{ClockId, clock_gettime};

/// Largest step of the wall clock that is followed, in microseconds: one minute, as the sum of the last day's steps.
const STEP_MAX_US: i128 = 60_000_000;
/// Parts of the time that the sum of steps takes to be forgotten: a minute takes 17 hours. A clock that the network
/// corrects drifts less (NTP: 500 ppm at most).
const FORGET_PARTS: i128 = 1_000;
/// Parts of the time by which market time is slower while it waits for the wall clock to catch up.
const SLOWER_PARTS: i128 = 10;

/// The clock of an exchange.
#[derive(Debug)]
pub struct Clock(Mutex<MarketTime>);

/// The clock, as the operator is told of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockReport {
    /// The market's time.
    pub at: Time,
    /// The wall clock's.
    pub wall: Time,
    /// True while a step of the wall clock is refused.
    pub is_refused: bool,
}

/// A reading of both clocks, in microseconds: the wall clock's since 1970, the other's since the machine's start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reading {
    pub(crate) wall: u64,
    pub(crate) boot: u64,
}

/// Market time, as the readings make it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MarketTime {
    at: i128,
    boot: u64,
    /// Sum of the steps that were followed lately.
    stepped: i128,
    is_refused: bool,
    /// Set by the operator: a wall clock that is behind is waited for.
    waits: bool,
}

impl Reading {
    fn now() -> Reading {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        // Unlike CLOCK_MONOTONIC it goes on while the machine is suspended.
        let boot = clock_gettime(ClockId::Boottime);
        let boot =
            u64::try_from(boot.tv_sec).unwrap_or(0) * 1_000_000 + u64::try_from(boot.tv_nsec).unwrap_or(0) / 1_000;
        Reading { wall: u64::try_from(wall.as_micros()).unwrap_or(u64::MAX), boot }
    }
}

impl MarketTime {
    /// Begins at the wall clock's time, or goes on after `last` if that is later. With the `offset` of an earlier
    /// process since the machine's start, the wall clock is checked against it.
    pub(crate) fn begin(reading: Reading, last: Time, offset: Option<i128>) -> MarketTime {
        let Reading { wall, boot } = reading;
        let last = i128::from(last.micros());
        let at = offset.map_or(i128::from(wall), |offset| i128::from(boot) + offset).max(last);
        let mut time = MarketTime { at, boot, stepped: 0, is_refused: false, waits: false };
        time.read(reading);
        time
    }

    /// Returns the market's time at a reading.
    pub(crate) fn read(&mut self, Reading { wall, boot }: Reading) -> Time {
        let passed = i128::from(boot.saturating_sub(self.boot));
        self.boot = self.boot.max(boot);
        let (expected, forgotten) = (self.at + passed, passed / FORGET_PARTS);
        self.stepped -= self.stepped.clamp(-forgotten, forgotten);
        let step = i128::from(wall) - expected;
        self.is_refused = (self.stepped + step).abs() > STEP_MAX_US && !(self.waits && step < 0);
        let slower = expected - passed / SLOWER_PARTS;
        self.at = match self.is_refused {
            true => expected,
            false if step < 0 => slower.max(i128::from(wall)),
            false => i128::from(wall),
        };
        if !self.is_refused {
            self.stepped = if self.waits { 0 } else { self.stepped + self.at - expected };
            self.waits &= step < 0;
        }
        self.time()
    }

    /// Takes the wall clock for right. Behind it, market time jumps; ahead of it, it goes at nine tenths until it is
    /// caught up with.
    pub(crate) fn accept(&mut self, reading: Reading) {
        self.read(reading);
        self.at = self.at.max(i128::from(reading.wall));
        (self.stepped, self.is_refused) = (0, false);
        self.waits = self.at > i128::from(reading.wall);
    }

    /// Returns market time minus the time since the machine's start, in microseconds.
    pub(crate) fn offset(&self) -> i128 {
        self.at - i128::from(self.boot)
    }

    fn time(&self) -> Time {
        Time::from_micros(u64::try_from(self.at).unwrap_or(0))
    }
}

impl ClockReport {
    fn log(&self) {
        let (market, clock) = (self.at.to_string(), self.wall.to_string());
        match self.is_refused {
            true => tracing::warn!(
                market,
                clock,
                "the clock was set by more than a minute, and is not followed; set it right, or accept it by \
                 `merit exchange clock accept`"
            ),
            false => tracing::info!(market, clock, "the clock is followed"),
        }
    }
}

impl Clock {
    /// Begins after the last time of the market, as [`MarketTime::begin`] does.
    pub fn begin(last: Time, offset: Option<i128>) -> Clock {
        let clock = Clock(Mutex::new(MarketTime::begin(Reading::now(), last, offset)));
        let report = clock.report();
        if report.is_refused {
            report.log();
        }
        clock
    }

    /// Returns the market's time.
    pub fn now(&self) -> Time {
        self.report().at
    }

    /// Accepts the wall clock. Returns what holds now.
    pub fn accept(&self) -> ClockReport {
        self.look(MarketTime::accept)
    }

    pub fn report(&self) -> ClockReport {
        self.look(|_, _| ())
    }

    /// Reads both clocks, and logs it when the wall clock comes to be refused, or followed again.
    fn look(&self, change: impl FnOnce(&mut MarketTime, Reading)) -> ClockReport {
        let (was_refused, report) = {
            let mut time = self.lock();
            let was_refused = time.is_refused;
            // Read under the lock, so that readings come in order.
            let reading = Reading::now();
            change(&mut time, reading);
            let at = time.read(reading);
            (was_refused, ClockReport { at, wall: Time::from_micros(reading.wall), is_refused: time.is_refused })
        };
        if was_refused != report.is_refused {
            report.log();
        }
        report
    }

    /// Returns market time minus the time since the machine's start, in microseconds.
    pub(crate) fn offset(&self) -> i128 {
        self.lock().offset()
    }

    fn lock(&self) -> MutexGuard<'_, MarketTime> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
#[path = "../tests/unit/clock.rs"]
mod tests;
