//! A seller's report: a line a minute on a terminal, and a total at the end.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use merit_agent::Standing;
use merit_terms::Balance;
use tokio::sync::watch;

use crate::output::announce;

/// Interval of the lines.
const LINE_EVERY: Duration = Duration::from_secs(60);
/// Sampling interval of the pool's utilisation.
const SAMPLE_EVERY: Duration = Duration::from_secs(1);

/// Sales since the last line and since the start.
pub(super) struct SalesReport {
    name: String,
    pool_mb: u64,
    standing: watch::Receiver<Standing>,
    started: Instant,
    /// The figures at the last line.
    last: Figures,
    /// Samples of the pool since the last line, and their sum in MB.
    samples: u64,
    leased_mb: u64,
}

/// Figures that only grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Figures {
    sold: u64,
    revenue: Balance,
}

impl Figures {
    fn of(standing: &Standing) -> Figures {
        Figures { sold: standing.sold, revenue: standing.revenue }
    }
}

impl SalesReport {
    pub(super) fn new(name: String, pool_mb: u64, standing: watch::Receiver<Standing>) -> SalesReport {
        let last = Figures::default();
        SalesReport { name, pool_mb, standing, started: Instant::now(), last, samples: 0, leased_mb: 0 }
    }

    /// Prints a line a minute if standard output is a terminal; never returns.
    pub(super) async fn run(&mut self) {
        if !std::io::stdout().is_terminal() {
            return std::future::pending().await;
        }
        let (mut samples, mut lines) = (tokio::time::interval(SAMPLE_EVERY), tokio::time::interval(LINE_EVERY));
        lines.reset();
        loop {
            tokio::select! {
                _ = samples.tick() => self.sample(),
                _ = lines.tick() => announce(&self.line()),
            }
        }
    }

    fn sample(&mut self) {
        self.samples += 1;
        self.leased_mb += self.standing.borrow().leased_mb;
    }

    /// Returns the line of the sales since the last one.
    fn line(&mut self) -> String {
        let standing = self.standing.borrow().clone();
        let now = Figures::of(&standing);
        let (sold, earned) = (now.sold - self.last.sold, difference(now.revenue, self.last.revenue));
        let fill = self.leased_mb * 100 / (self.samples * self.pool_mb).max(1);
        (self.last, self.samples, self.leased_mb) = (now, 0, 0);
        let name = &self.name;
        format!(
            "{name} sold {} for {earned} $, {fill} % of its memory leased on average{}",
            calls(sold),
            trouble(&standing)
        )
    }

    /// Returns the line of all sales.
    pub(super) fn total(&self) -> String {
        let standing = self.standing.borrow();
        let seconds = self.started.elapsed().as_secs();
        let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
        let claimed = match standing.claimed {
            0 => String::new(),
            claimed => format!("; {} claimed and not settled yet", calls(claimed as u64)),
        };
        format!(
            "{} sold {} for {} $ in {hours}:{minutes:02}:{seconds:02}{claimed}",
            self.name,
            calls(standing.sold),
            standing.revenue
        )
    }
}

fn calls(count: u64) -> String {
    if count == 1 { "1 call".to_owned() } else { format!("{count} calls") }
}

/// Returns the reason for which it sells less than it could.
fn trouble(standing: &Standing) -> String {
    if standing.session.is_none() {
        return "; not connected".to_owned();
    }
    if standing.paused {
        return "; paused".to_owned();
    }
    let refused = standing.refused.iter().map(|ladder| format!("; refused in {}: {}", ladder.market, ladder.message));
    refused.collect()
}

/// Returns what a balance that only grows has grown by.
fn difference(now: Balance, before: Balance) -> Balance {
    Balance::from_picodollars(now.picodollars() - before.picodollars())
}

#[cfg(test)]
#[path = "../../tests/unit/provider/sales_report.rs"]
mod tests;
