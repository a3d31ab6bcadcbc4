//! Tables of a decision: the ranked offers of a call, and the refused ones.

use crate::output::Kind::{Cost, Number, Price, Text};
use crate::output::{Column, print_table};

/// The columns of ranked offers.
pub(crate) const OFFERS: [Column<'static>; 9] = [
    ("rank", Number),
    ("provider", Text),
    ("market", Text),
    ("price", Price),
    ("predicted ms", Number),
    ("billed ms", Number),
    ("predicted cost", Cost),
    ("worst cost", Cost),
    ("", Text),
];

/// Returns microseconds as milliseconds with three decimal places.
pub(crate) fn millis(us: u64) -> String {
    format!("{}.{:03}", us / 1000, us % 1000)
}

/// Returns the last field of an offer's row: whether it is ranked by a prior.
pub(crate) fn remark(on_prior: bool) -> String {
    if on_prior { "no history: one trial call".to_owned() } else { String::new() }
}

/// Prints refused offers, each by provider, market, code and reason; nothing if there are none. Those of one provider
/// that are refused alike are one line.
pub(crate) fn print_refused(refused: impl IntoIterator<Item = [String; 4]>) {
    let lines = grouped(refused);
    if lines.is_empty() {
        return;
    }
    println!("\nrefused");
    let columns = [("provider", Text), ("market", Text), ("offers", Number), ("code", Text), ("reason", Text)];
    let row = |([provider, market, code, reason], count): ([String; 4], usize)| {
        vec![provider, market, count.to_string(), code, reason]
    };
    print_table(&columns, lines.into_iter().map(row));
}

/// Groups refused offers by provider, market and code, in order of appearance. Each group keeps its first reason.
pub(crate) fn grouped(refused: impl IntoIterator<Item = [String; 4]>) -> Vec<([String; 4], usize)> {
    let mut lines: Vec<([String; 4], usize)> = Vec::new();
    for offer in refused {
        match lines.iter_mut().find(|(line, _)| line[..3] == offer[..3]) {
            Some((_, count)) => *count += 1,
            None => lines.push((offer, 1)),
        }
    }
    lines
}

#[cfg(test)]
#[path = "../tests/unit/decision.rs"]
mod tests;
