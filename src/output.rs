//! Tables for people, JSON for machines.

use std::io::{ErrorKind, Write};

use clap::ValueEnum;
use comfy_table::presets::NOTHING;
use comfy_table::{Cell, CellAlignment, Table};
use serde_json::Value;

#[derive(Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    #[default]
    Table,
    Json,
}

/// A column: its title, and whether it holds numbers.
pub(crate) type Column<'a> = (&'a str, bool);

/// Prints rows under their titles; numbers to the right.
pub(crate) fn print_table(columns: &[Column<'_>], rows: impl IntoIterator<Item = Vec<String>>) {
    let mut table = Table::new();
    table.load_style(NOTHING);
    table.set_header(columns.iter().map(|(title, number)| cell(title, *number)));
    for row in rows {
        table.add_row(row.iter().zip(columns).map(|(text, (_, number))| cell(text, *number)));
    }
    for line in table.lines() {
        say(line.trim_end());
    }
}

fn cell(text: &str, number: bool) -> Cell {
    Cell::new(text).set_alignment(if number { CellAlignment::Right } else { CellAlignment::Left })
}

pub(crate) fn print_json(value: &Value) {
    say(&format!("{value:#}"));
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
pub(crate) fn print_done(output: Output, answer: &Value, done: &str) {
    match output {
        Output::Json => print_json(answer),
        Output::Table => println!("{done} (sequence {})", text(answer, "sequence")),
    }
}

/// Returns the objects of an array field.
pub(crate) fn objects<'a>(value: &'a Value, field: &str) -> &'a [Value] {
    value[field].as_array().map_or(&[], Vec::as_slice)
}
