//! Readable numbers: one scale a column, aligned; and the exact ones.

use super::Kind::{Cost, Price, Text, Time, Usd};
use super::{Format, escaped, in_clear, make_readable};

fn column(kind: super::Kind, values: &[&str]) -> Vec<String> {
    let mut values: Vec<String> = values.iter().map(|value| (*value).to_owned()).collect();
    make_readable(kind, values.iter_mut().collect());
    values
}

#[test]
fn prices_and_costs_read_per_million_on_one_scale() {
    assert_eq!(column(Price, &["0.0000166667", "0.00002", "-"]), ["16.6667", "20.0000", "-"]);
    assert_eq!(column(Cost, &["0.000000208", "0", "12"]), ["0.2080", "0.0000", "12000000.0000"]);
    // A value that rounds to nothing says that it is not nothing.
    assert_eq!(column(Price, &["0.000000000001"]), ["<0.0001"]);
}

#[test]
fn amounts_have_the_places_that_the_least_needs() {
    assert_eq!(column(Usd, &["1000", "-2.5", "none"]), ["1000.00", "-2.50", "none"]);
    assert_eq!(column(Usd, &["100", "-0.000000208"]), ["100.000000000", "-0.000000208"]);
    assert_eq!(column(Usd, &["99.999999792", "5"]), ["100.00", "5.00"]);
    assert_eq!(column(Usd, &["0"]), ["0.00"]);
}

#[test]
fn times_have_one_width() {
    let times = ["2026-11-30T10:00:00Z", "2026-11-30T10:00:00.1Z", "2026-11-30T10:00:00.123456Z"];
    let short = ["2026-11-30T10:00:00.000Z", "2026-11-30T10:00:00.100Z", "2026-11-30T10:00:00.123Z"];
    assert_eq!(column(Time, &times), short);
    assert_eq!(column(Time, &["-"]), ["-"]);
}

#[test]
fn a_unit_stands_under_the_first_title_of_its_kind() {
    let columns = [("at", Time), ("open", Price), ("close", Price), ("name", Text), ("cost", Cost)];
    let heads = Format::default().heads(&columns);
    assert_eq!(heads, ["at", "open\n$ per million GB-s", "close", "name", "cost\n$ per million calls"]);
    let exact = Format { exact: true, ..Format::default() };
    assert_eq!(exact.heads(&columns)[1], "open\n$ per GB-s");
    assert_eq!(exact.with_unit(Price, "0.0000166667"), "0.0000166667 $ per GB-s");
    assert_eq!(Format::default().with_unit(Price, "0.0000166667"), "16.6667 $ per million GB-s");
    assert_eq!(Format::default().with_unit(Price, "-"), "-");
}

#[test]
fn a_line_of_a_function_does_not_steer_the_terminal() {
    assert_eq!(in_clear("a\tb\u{1b}[2J\u{7}\0 \u{202e}c\u{2028}d é"), "a\tb[2J cd é");
}

#[test]
fn json_does_not_steer_the_terminal() {
    assert_eq!(escaped("{\n \"a\": \"\u{9b}2J\u{202e}é\u{7f}\"}"), "{\n \"a\": \"\\u009b2J\\u202eé\\u007f\"}");
}
