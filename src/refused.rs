//! The refused offers of a call, in a table: those of one seller that are refused alike are one line.

use crate::output::Kind::{Number, Text};
use crate::output::print_table;

/// Prints refused offers, each by provider, market, code and reason; nothing if there are none.
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

/// Counts the offers of one provider, market and code, with the reason of the first, in the order of the first of each.
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
#[path = "../tests/unit/refused.rs"]
mod tests;
