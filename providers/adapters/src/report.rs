//! What a provider says of an execution, as headers: written by agents, read by brokers, defined here once.
//!
//! A report comes from a party that is not trusted. What is malformed counts as not said; the bytes of an answer are
//! the broker's own count and are never read from it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use merit_terms::{Outcome, Usage};

const OUTCOME: HeaderName = HeaderName::from_static("merit-outcome");
const USAGE: HeaderName = HeaderName::from_static("merit-usage");
const LOG: HeaderName = HeaderName::from_static("merit-log");
const MESSAGE: HeaderName = HeaderName::from_static("merit-message");

/// The most bytes of a function's log that a report carries: its end.
pub const LOG_MAX_BYTES: usize = 4096;
/// The most bytes of a message in a header: its beginning.
pub const MESSAGE_MAX_BYTES: usize = 512;

/// What a provider says of an execution.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    pub outcome: Outcome,
    /// None if it was not said, or malformed: the broker then bills what it observed, marked estimated.
    pub reading: Option<Reading>,
    /// What a trap or an exit was about. Printable ASCII, at most [`MESSAGE_MAX_BYTES`].
    pub message: Option<String>,
    /// The end of what the function wrote to its log, at most [`LOG_MAX_BYTES`].
    pub log: Vec<u8>,
}

/// What the provider's meter says. The egress is always 0: the broker counts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    pub usage: Usage,
    /// The most memory the function had, rounded up.
    pub peak_memory_mb: u32,
}

impl Report {
    /// Puts the report into the headers of an answer; cuts the log and the message to their bounds.
    pub fn write(&self, headers: &mut HeaderMap) {
        headers.insert(OUTCOME, HeaderValue::from_static(self.outcome.as_str()));
        if let Some(reading) = &self.reading {
            insert(headers, USAGE, &usage_header(reading));
        }
        if let Some(message) = &self.message {
            write_message(headers, message);
        }
        if !self.log.is_empty() {
            let end = self.log.len().saturating_sub(LOG_MAX_BYTES);
            insert(headers, LOG, &STANDARD.encode(&self.log[end..]));
        }
    }

    /// The report in the headers of an answer; none without an outcome.
    pub fn read(headers: &HeaderMap) -> Option<Report> {
        Some(Report {
            outcome: Outcome::parse(text(headers, &OUTCOME)?)?,
            reading: text(headers, &USAGE).and_then(parse_usage),
            message: read_message(headers),
            log: text(headers, &LOG).and_then(parse_log).unwrap_or_default(),
        })
    }
}

/// Text of [`USAGE`], such as `wall_us=40312;cpu_us=12040;cold_us=0;memory_mb=2`.
fn usage_header(reading: &Reading) -> String {
    let Usage { wall_us, cpu_us, cold_us, .. } = reading.usage;
    format!("wall_us={wall_us};cpu_us={cpu_us};cold_us={cold_us};memory_mb={}", reading.peak_memory_mb)
}

/// What [`usage_header`] writes: these four fields, in this order, nothing else.
fn parse_usage(text: &str) -> Option<Reading> {
    let mut fields = text.split(';');
    let mut field = |name: &str| number(fields.next()?.strip_prefix(name)?.strip_prefix('=')?);
    let usage =
        Usage { wall_us: field("wall_us")?, cpu_us: field("cpu_us")?, cold_us: field("cold_us")?, egress_bytes: 0 };
    let peak_memory_mb = u32::try_from(field("memory_mb")?).ok()?;
    fields.next().is_none().then_some(Reading { usage, peak_memory_mb })
}

/// Digits alone; `parse` would also take a sign.
fn number(digits: &str) -> Option<u64> {
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
}

fn parse_log(text: &str) -> Option<Vec<u8>> {
    let longest = LOG_MAX_BYTES.div_ceil(3) * 4;
    if text.len() > longest {
        return None;
    }
    STANDARD.decode(text).ok().filter(|log| log.len() <= LOG_MAX_BYTES)
}

/// Puts a sentence for people into the headers; what is not printable ASCII becomes `?`.
pub(crate) fn write_message(headers: &mut HeaderMap, message: &str) {
    let mut printable = String::with_capacity(message.len().min(MESSAGE_MAX_BYTES));
    for character in message.chars().take(MESSAGE_MAX_BYTES) {
        printable.push(match character {
            ' '..='~' => character,
            '\n' | '\t' => ' ',
            _ => '?',
        });
    }
    insert(headers, MESSAGE, printable.trim());
}

pub(crate) fn read_message(headers: &HeaderMap) -> Option<String> {
    let message = text(headers, &MESSAGE)?;
    // Text of a header is visible ASCII, so that any byte is a boundary.
    Some(message[..message.len().min(MESSAGE_MAX_BYTES)].to_owned())
}

/// The one value of a header; none if it stands there twice or is no text.
pub(crate) fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value)
}

/// `value` is printable ASCII at every caller, which every header takes.
fn insert(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading() -> Reading {
        let usage = Usage { wall_us: 40_312, cpu_us: 12_040, cold_us: 7, egress_bytes: 0 };
        Reading { usage, peak_memory_mb: 2 }
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
    fn what_is_written_is_read() {
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
            assert_eq!(parse_usage(text), good.then(reading), "{text}");
        }
    }

    #[test]
    fn a_header_that_stands_twice_is_not_said() {
        let mut twice = headers(&report());
        twice.append(USAGE, HeaderValue::from_static("wall_us=1;cpu_us=1;cold_us=0;memory_mb=1"));
        assert_eq!(Report::read(&twice).and_then(|report| report.reading), None);
        twice.append(OUTCOME, HeaderValue::from_static("ok"));
        assert_eq!(Report::read(&twice), None);
    }

    #[test]
    fn an_outcome_that_is_not_one_is_no_report() {
        let mut headers = headers(&report());
        headers.insert(OUTCOME, HeaderValue::from_static("fine"));
        assert_eq!(Report::read(&headers), None);
    }

    #[test]
    fn the_end_of_a_long_log_is_kept_and_a_longer_one_is_not_read() {
        let mut log = vec![b'a'; LOG_MAX_BYTES];
        log.push(b'b');
        let long = Report { log: log.clone(), ..report() };
        let read = Report::read(&headers(&long)).unwrap();
        assert_eq!(read.log, log[1..]);
        let mut headers = headers(&long);
        headers.insert(LOG, STANDARD.encode(&log).parse().unwrap());
        assert_eq!(Report::read(&headers).unwrap().log, b"");
    }

    #[test]
    fn a_message_is_one_printable_line_of_bounded_length() {
        let with = |message: String| Report { message: Some(message), ..report() };
        let read = |report: &Report| Report::read(&headers(report)).unwrap().message.unwrap();
        assert_eq!(read(&with("a\r\nb\u{e9}\u{0}".into())), "a? b??");
        assert_eq!(read(&with("x".repeat(2 * MESSAGE_MAX_BYTES))).len(), MESSAGE_MAX_BYTES);
        let mut headers = headers(&report());
        headers.insert(MESSAGE, "y".repeat(2 * MESSAGE_MAX_BYTES).parse().unwrap());
        assert_eq!(read_message(&headers).unwrap().len(), MESSAGE_MAX_BYTES);
    }
}
