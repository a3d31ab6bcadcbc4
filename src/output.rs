//! Tables for people, JSON for machines.

use std::io::{ErrorKind, Write};
use std::time::Instant;

use clap::ValueEnum;
use comfy_table::presets::NOTHING;
use comfy_table::{Cell, CellAlignment, Table};
use merit_terms::Time;
use rust_decimal::Decimal;
use serde_json::Value;

#[derive(Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    #[default]
    Table,
    Json,
}

/// The form of an answer without amounts, prices and times.
#[derive(Clone, Copy, Default, clap::Args)]
#[group(skip)]
pub(crate) struct OutputArgument {
    /// A table to read, or JSON with every field
    #[arg(long, value_enum, default_value = "table", global = true)]
    pub(crate) output: Output,
}

impl OutputArgument {
    pub(crate) fn is_json(self) -> bool {
        self.output == Output::Json
    }
}

/// The form of a command's answer.
#[derive(Clone, Copy, Default, clap::Args)]
#[group(skip)]
pub(crate) struct Format {
    /// A table to read, or JSON with every field
    #[arg(long, value_enum, default_value = "table", global = true)]
    pub(crate) output: Output,
    /// Print amounts, prices and times in tables exactly as they are in JSON
    #[arg(long, global = true)]
    exact: bool,
}

/// The content of a column, which decides about its alignment and its unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    Number,
    /// A time of RFC 3339.
    Time,
    /// A price in USD per GB-s.
    Price,
    /// The cost of a call, in USD.
    Cost,
    /// An amount in USD.
    Usd,
}

/// A column: its title and its content.
pub(crate) type Column<'a> = (&'a str, Kind);

/// Decimal places of prices and costs per million.
const MILLIONTHS_PLACES: u32 = 4;
/// Significant digits of the least amount of a column.
const AMOUNT_DIGITS: u32 = 3;

impl Format {
    pub(crate) fn is_json(self) -> bool {
        self.output == Output::Json
    }

    /// Prints rows of exact values under their titles: money on one scale a column, with its unit in the head.
    pub(crate) fn print_table(self, columns: &[Column<'_>], rows: impl IntoIterator<Item = Vec<String>>) {
        let mut rows: Vec<Vec<String>> = rows.into_iter().collect();
        if !self.exact {
            for (at, (_, kind)) in columns.iter().enumerate() {
                let values: Vec<&mut String> = rows.iter_mut().filter_map(|row| row.get_mut(at)).collect();
                make_readable(*kind, values);
            }
        }
        print_rows(&self.heads(columns), columns, rows);
    }

    /// Returns a price or an amount with its unit, for a sentence.
    pub(crate) fn with_unit(self, kind: Kind, exact: &str) -> String {
        let mut value = exact.to_owned();
        if !self.exact {
            make_readable(kind, vec![&mut value]);
        }
        match self.unit(kind) {
            "" => value,
            // A word that stands for no value.
            _ if exact.parse::<Decimal>().is_err() => value,
            unit => format!("{value} {unit}"),
        }
    }

    /// Returns the titles. The first of adjacent columns of one kind has the unit in a second line.
    fn heads(self, columns: &[Column<'_>]) -> Vec<String> {
        let mut before = Kind::Text;
        let head = |(title, kind): &Column<'_>| {
            let unit = if *kind == before { "" } else { self.unit(*kind) };
            before = *kind;
            if unit.is_empty() { (*title).to_owned() } else { format!("{title}\n{unit}") }
        };
        columns.iter().map(head).collect()
    }

    const fn unit(self, kind: Kind) -> &'static str {
        match (kind, self.exact) {
            (Kind::Text | Kind::Number | Kind::Time, _) => "",
            (Kind::Price, false) => "$ per million GB-s",
            (Kind::Price, true) => "$ per GB-s",
            (Kind::Cost, false) => "$ per million calls",
            (Kind::Cost, true) | (Kind::Usd, _) => "$",
        }
    }
}

/// Prints rows under their titles as they are; numbers to the right.
pub(crate) fn print_table(columns: &[Column<'_>], rows: impl IntoIterator<Item = Vec<String>>) {
    Format { exact: true, ..Format::default() }.print_table(columns, rows);
}

fn print_rows(heads: &[String], columns: &[Column<'_>], rows: Vec<Vec<String>>) {
    let mut table = Table::new();
    table.load_style(NOTHING);
    table.set_header(heads.iter().zip(columns).map(|(head, (_, kind))| cell(head, *kind)));
    for row in rows {
        table.add_row(row.iter().zip(columns).map(|(text, (_, kind))| cell(&in_clear(text), *kind)));
    }
    for line in table.lines() {
        say(line.trim_end());
    }
}

fn cell(text: &str, kind: Kind) -> Cell {
    let is_left = matches!(kind, Kind::Text | Kind::Time);
    Cell::new(text).set_alignment(if is_left { CellAlignment::Left } else { CellAlignment::Right })
}

/// Rewrites the exact values of a column; any other text stays.
fn make_readable(kind: Kind, mut values: Vec<&mut String>) {
    let places = match kind {
        Kind::Text | Kind::Number => return,
        Kind::Time => 0,
        Kind::Price | Kind::Cost => MILLIONTHS_PLACES,
        Kind::Usd => amount_places(values.iter().filter_map(|value| value.parse().ok())),
    };
    for value in &mut values {
        if kind == Kind::Time {
            **value = value.parse().map_or_else(|_| value.clone(), short_time);
        } else if let Ok(exact) = value.parse::<Decimal>() {
            let scale = if kind == Kind::Usd { Decimal::ONE } else { Decimal::from(1_000_000) };
            **value = rounded(exact * scale, places);
        }
    }
}

/// Returns the decimal places that show three significant digits of the least amount: 2 to 12.
fn amount_places(amounts: impl Iterator<Item = Decimal>) -> u32 {
    let Some(least) = amounts.map(|amount| amount.abs()).filter(|amount| !amount.is_zero()).min() else { return 2 };
    let mut places = 2;
    while places < 12 && least < Decimal::new(10_i64.pow(AMOUNT_DIGITS - 1), places) && least.scale() > places {
        places += 1;
    }
    places
}

/// Rounds to `places` decimal places. A non-zero value that rounds to 0 becomes `<0.0001`, or the like.
fn rounded(value: Decimal, places: u32) -> String {
    let mut shown = value.round_dp(places);
    if shown.is_zero() && !value.is_zero() {
        return format!("<{}", Decimal::new(1, places));
    }
    shown.rescale(places);
    shown.to_string()
}

/// Returns a time in UTC to the millisecond, always of one width.
fn short_time(time: Time) -> String {
    let text = Time::from_micros(time.micros() / 1_000 * 1_000).to_string();
    let (head, fraction) = text.trim_end_matches('Z').split_once('.').unwrap_or((text.trim_end_matches('Z'), ""));
    format!("{head}.{fraction:0<3}Z")
}

pub(crate) fn print_json(value: &Value) {
    say(&escaped(&format!("{value:#}")));
}

/// Prints JSON in one line.
pub(crate) fn print_json_line(value: &Value) {
    say(&escaped(&value.to_string()));
}

/// Escapes the characters of JSON that control a terminal; they can only be in its strings.
fn escaped(json: &str) -> String {
    json.chars().fold(String::with_capacity(json.len()), |mut escaped, it| {
        if it != '\n' && controls_terminal(it) {
            escaped.push_str(&format!("\\u{:04x}", u32::from(it)));
        } else {
            escaped.push(it);
        }
        escaped
    })
}

/// Prints a line. Ends the program if the reader is gone, as after `| head`, or if the line cannot be written.
pub(crate) fn say(line: &str) {
    match writeln!(std::io::stdout().lock(), "{line}") {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::BrokenPipe => std::process::exit(0),
        Err(error) => {
            eprintln!("merit: could not write the output: {error}");
            std::process::exit(1);
        }
    }
}

/// Prints a line of a server, which goes on if nobody reads it.
pub(crate) fn announce(line: &str) {
    drop(writeln!(std::io::stdout().lock(), "{line}"));
}

/// Prints the first line of a server: where it serves, and how long its start took.
pub(crate) fn announce_ready(addresses: &str, started: Instant) {
    announce(&format!("ready {addresses} in {:.1} s", started.elapsed().as_secs_f64()));
}

/// Returns the value of a JSON object's `field` as plain text.
pub(crate) fn text(value: &Value, field: &str) -> String {
    match &value[field] {
        Value::String(text) => text.clone(),
        Value::Null => "-".to_owned(),
        other => other.to_string(),
    }
}

/// Returns the values of several fields: a row of a table.
pub(crate) fn cells<const COUNT: usize>(value: &Value, fields: [&str; COUNT]) -> Vec<String> {
    fields.map(|field| text(value, field)).to_vec()
}

/// Prints what was done, with the sequence that the broker answered.
pub(crate) fn print_done(format: Format, answer: &Value, done: &str) {
    match format.output {
        Output::Json => print_json(answer),
        Output::Table => println!("{done} (sequence {})", text(answer, "sequence")),
    }
}

/// Removes the characters that control a terminal, so that neither a function nor a provider does.
pub(crate) fn in_clear(line: &str) -> String {
    line.chars().filter(|it| *it == '\t' || !controls_terminal(*it)).collect()
}

/// Does the same with a text of several lines.
pub(crate) fn lines_in_clear(text: &str) -> String {
    text.lines().map(in_clear).collect::<Vec<_>>().join("\n")
}

/// Returns true for control characters, line separators and bidirectional controls.
fn controls_terminal(it: char) -> bool {
    it.is_control() || matches!(it, '\u{200e}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Returns the objects of an array field.
pub(crate) fn objects<'a>(value: &'a Value, field: &str) -> &'a [Value] {
    value[field].as_array().map_or(&[], Vec::as_slice)
}

#[cfg(test)]
#[path = "../tests/unit/output.rs"]
mod tests;
