//! Tables of a decision: the ranked offers of a call, and the refused ones.

use serde_json::Value;

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

/// The peculiarities of the prediction for an offer.
pub(crate) struct Remarks {
    pub(crate) prior: bool,
    pub(crate) observed: bool,
    /// Success over that of the best provider.
    pub(crate) success_percent: u64,
    /// The expected bill of an answer. None: hardly any call succeeds.
    pub(crate) cost_of_answer: Option<String>,
}

impl Remarks {
    /// Returns the last field of an offer's row.
    pub(crate) fn text(self) -> String {
        let mut remarks = Vec::new();
        if self.prior {
            remarks.push("no history: one trial call".to_owned());
        }
        if self.observed {
            remarks.push("observed: it reports no usage".to_owned());
        }
        match (self.success_percent, self.cost_of_answer) {
            (100.., _) => {}
            (percent, Some(cost)) => remarks.push(format!("success {percent} % of the best: {cost} an answer")),
            (_, None) => remarks.push("hardly any call succeeds: ranked last".to_owned()),
        }
        remarks.join("; ")
    }
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

/// Returns the line on refused offers that are not listed, by reason; none if there are none.
pub(crate) fn more_refused(answer: &Value) -> Option<String> {
    let counts = answer["more_refused"].as_object().filter(|counts| !counts.is_empty())?;
    let counts: Vec<String> = counts.iter().map(|(code, count)| format!("{count} {code}")).collect();
    Some(format!("not listed: {}", counts.join(", ")))
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
