//! A provider's report as headers.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{HeaderMap, HeaderValue};
use merit_adapters::{MESSAGE_MAX_BYTES, MeterReading, Report};
use merit_terms::{LOG_MAX_BYTES, Outcome, Usage};

fn reading() -> MeterReading {
    let usage = Usage { wall_us: 40_312, cpu_us: 12_040, cold_us: 7, egress_bytes: 0 };
    MeterReading { usage, peak_memory_mb: 2 }
}

fn report() -> Report {
    Report {
        outcome: Outcome::Trap,
        reading: Some(reading()),
        message: Some("unreachable".into()),
        log: b"line\n\xff".to_vec(),
    }
}

fn headers(of: &Report) -> HeaderMap {
    let mut headers = HeaderMap::new();
    of.write(&mut headers);
    headers
}

#[test]
fn a_report_is_read_as_it_is_written() {
    for outcome in Outcome::ALL {
        let report = Report { outcome, ..report() };
        assert_eq!(Report::read(&headers(&report)), Some(report));
    }
    let bare = Report { outcome: Outcome::Ok, reading: None, message: None, log: Vec::new() };
    assert_eq!(headers(&bare).len(), 1);
    assert_eq!(Report::read(&headers(&bare)), Some(bare));
}

#[test]
fn the_usage_is_written_as_documented() {
    assert_eq!(headers(&report())["merit-usage"], "wall_us=40312;cpu_us=12040;cold_us=7;memory_mb=2");
}

#[test]
fn malformed_usage_is_no_usage() {
    for (text, good) in [
        ("wall_us=40312;cpu_us=12040;cold_us=7;memory_mb=2", true),
        ("wall_us=40312;cpu_us=12040;cold_us=7", false),
        ("wall_us=40312;cpu_us=12040;cold_us=7;memory_mb=2;", false),
        ("wall_us=40312;cpu_us=12040;cold_us=7;memory_mb=2;more=1", false),
        ("cpu_us=12040;wall_us=40312;cold_us=7;memory_mb=2", false),
        ("wall_us=40312; cpu_us=12040;cold_us=7;memory_mb=2", false),
        ("wall_us=+40312;cpu_us=12040;cold_us=7;memory_mb=2", false),
        ("wall_us=-1;cpu_us=12040;cold_us=7;memory_mb=2", false),
        ("wall_us=;cpu_us=12040;cold_us=7;memory_mb=2", false),
        ("wall_us=18446744073709551616;cpu_us=12040;cold_us=7;memory_mb=2", false),
        ("wall_us=40312;cpu_us=12040;cold_us=7;memory_mb=4294967296", false),
        ("", false),
    ] {
        let mut headers = headers(&report());
        headers.insert("merit-usage", HeaderValue::from_static(text));
        assert_eq!(Report::read(&headers).unwrap().reading, good.then(reading), "{text}");
    }
}

#[test]
fn a_header_that_stands_twice_counts_as_absent() {
    let mut twice = headers(&report());
    twice.append("merit-usage", HeaderValue::from_static("wall_us=1;cpu_us=1;cold_us=0;memory_mb=1"));
    assert_eq!(Report::read(&twice).and_then(|report| report.reading), None);
    twice.append("merit-outcome", HeaderValue::from_static("ok"));
    assert_eq!(Report::read(&twice), None);
}

#[test]
fn an_outcome_that_is_not_one_is_no_report() {
    let mut headers = headers(&report());
    headers.insert("merit-outcome", HeaderValue::from_static("fine"));
    assert_eq!(Report::read(&headers), None);
}

#[test]
fn a_long_log_is_cut_and_a_longer_ignored() {
    let mut log = vec![b'a'; LOG_MAX_BYTES];
    log.push(b'b');
    let long = Report { log: log.clone(), ..report() };
    let read = Report::read(&headers(&long)).unwrap();
    assert_eq!(read.log, log[1..]);
    let mut headers = headers(&long);
    headers.insert("merit-log", STANDARD.encode(&log).parse().unwrap());
    assert_eq!(Report::read(&headers).unwrap().log, b"");
}

#[test]
fn a_message_is_one_printable_line_of_bounded_length() {
    let with = |message: String| Report { message: Some(message), ..report() };
    let read = |report: &Report| Report::read(&headers(report)).unwrap().message.unwrap();
    assert_eq!(read(&with("a\r\nb\u{e9}\u{0}".into())), "a? b??");
    assert_eq!(read(&with("x".repeat(2 * MESSAGE_MAX_BYTES))).len(), MESSAGE_MAX_BYTES);
    let mut headers = headers(&report());
    headers.insert("merit-message", "y".repeat(2 * MESSAGE_MAX_BYTES).parse().unwrap());
    assert_eq!(Report::read(&headers).unwrap().message.unwrap().len(), MESSAGE_MAX_BYTES);
}
