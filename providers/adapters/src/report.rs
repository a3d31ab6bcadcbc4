//! A provider's report of an execution, as headers: written by agents and read by brokers.
//!
//! A report comes from a party that is not trusted. A malformed part counts as absent. The size of an answer is the
//! broker's own count and never read from a report.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use merit_terms::{LOG_MAX_BYTES, Outcome, Usage};

const OUTCOME: HeaderName = HeaderName::from_static("merit-outcome");
const USAGE: HeaderName = HeaderName::from_static("merit-usage");
const LOG: HeaderName = HeaderName::from_static("merit-log");
const MESSAGE: HeaderName = HeaderName::from_static("merit-message");

/// Maximum length in bytes of a message in a header; a longer one is cut.
pub const MESSAGE_MAX_BYTES: usize = 512;

/// A provider's report of an execution.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    pub outcome: Outcome,
    /// `None` if it is absent or malformed; the broker then bills what it observed, marked estimated.
    pub reading: Option<MeterReading>,
    /// The cause of a trap or an exit: printable ASCII, at most [`MESSAGE_MAX_BYTES`].
    pub message: Option<String>,
    /// The end of the function's log, at most [`LOG_MAX_BYTES`].
    pub log: Vec<u8>,
}

/// The reading of a provider's meter. The egress is always 0, because the broker counts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MeterReading {
    pub usage: Usage,
    /// Peak memory of the function, rounded up.
    pub peak_memory_mb: u32,
}

impl Report {
    /// Writes the report into the headers of an answer. Cuts the log and the message to their bounds.
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

    /// Reads the report in the headers of an answer. Returns `None` without an outcome.
    pub fn read(headers: &HeaderMap) -> Option<Report> {
        Some(Report {
            outcome: Outcome::parse(text(headers, &OUTCOME)?)?,
            reading: text(headers, &USAGE).and_then(parse_usage),
            message: read_message(headers),
            log: text(headers, &LOG).and_then(parse_log).unwrap_or_default(),
        })
    }
}

/// Writes the value of [`USAGE`], such as `wall_us=40312;cpu_us=12040;cold_us=0;memory_mb=2`.
fn usage_header(reading: &MeterReading) -> String {
    let Usage { wall_us, cpu_us, cold_us, .. } = reading.usage;
    format!("wall_us={wall_us};cpu_us={cpu_us};cold_us={cold_us};memory_mb={}", reading.peak_memory_mb)
}

/// Parses the value of [`USAGE`]: these four fields, in this order, nothing else.
fn parse_usage(text: &str) -> Option<MeterReading> {
    let mut fields = text.split(';');
    let mut field = |name: &str| number(fields.next()?.strip_prefix(name)?.strip_prefix('=')?);
    let usage =
        Usage { wall_us: field("wall_us")?, cpu_us: field("cpu_us")?, cold_us: field("cold_us")?, egress_bytes: 0 };
    let peak_memory_mb = u32::try_from(field("memory_mb")?).ok()?;
    fields.next().is_none().then_some(MeterReading { usage, peak_memory_mb })
}

/// Parses digits alone; `parse` would also take a sign.
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

/// Writes a sentence for people into the headers. Any character but printable ASCII becomes `?`.
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
    // The text of a header is visible ASCII, so any byte is a boundary.
    Some(message[..message.len().min(MESSAGE_MAX_BYTES)].to_owned())
}

/// Returns the one value of a header, or `None` if it stands there twice or is no text.
pub(crate) fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value)
}

/// Inserts a value of printable ASCII, which every header takes.
fn insert(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}
