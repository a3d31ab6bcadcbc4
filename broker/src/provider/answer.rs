//! Reading a provider's answer: whole where it is small, else its beginning, with the rest as it comes.
//!
//! Decides when an answer streams; never what it costs.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, StatusCode, header};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use merit_adapters::Report;
use merit_terms::Outcome;

use super::attempt::{Came, Until};
use super::http2::Place;
use crate::invocation::dispatch::Input;
use crate::provider::payload::Payload;
use crate::{BUFFERED_MAX_BYTES, PAYLOAD_MAX_BYTES, STREAMED_MAX_BYTES};

/// How long an answer of unknown length may take to end before what is there of it is passed on.
const PATIENCE: Duration = Duration::from_millis(20);

/// How a door wants its answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// Whole, up to 6 MB.
    Whole,
    /// As it comes, unless it is small.
    AsItComes,
}

impl Wanted {
    /// The most bytes that an answer may have.
    pub(crate) const fn answer_max_bytes(self) -> usize {
        match self {
            Wanted::Whole => PAYLOAD_MAX_BYTES,
            Wanted::AsItComes => STREAMED_MAX_BYTES,
        }
    }

    const fn kept_bytes(self) -> usize {
        match self {
            Wanted::Whole => PAYLOAD_MAX_BYTES,
            Wanted::AsItComes => BUFFERED_MAX_BYTES,
        }
    }
}

/// What a function answered: the head, and all of the body or its beginning.
#[derive(Debug, Default)]
pub(crate) struct FunctionAnswer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// What the provider says of it; none: a provider that says nothing.
    pub(crate) report: Option<Report>,
}

/// The head of an answer.
pub(super) struct Began {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) report: Report,
    pub(super) until: Until,
    pub(super) payload: Payload,
    pub(super) place: Option<Place>,
}

/// An answer of which the beginning is there.
pub(crate) struct Streams {
    /// Its body is the beginning.
    pub(crate) answer: FunctionAnswer,
    rest: Incoming,
    until: Until,
    bytes: usize,
    max_bytes: usize,
    payload: Payload,
    /// Given back when it is over.
    _place: Option<Place>,
}

/// The next part of an answer that streams.
pub(crate) enum Next {
    Part(Bytes),
    /// The whole of it has come.
    Whole(Input),
    /// It is over before its end.
    Broken(Input),
}

pub(super) async fn read(began: Began, mut body: Incoming, wanted: Wanted) -> Came {
    // What a function that failed has written is not passed on.
    let wanted = if began.report.outcome == Outcome::Ok { wanted } else { Wanted::Whole };
    let max_bytes = wanted.answer_max_bytes();
    let length = body.size_hint().exact();
    let as_it_comes = wanted == Wanted::AsItComes;
    let at_once = as_it_comes
        && (is_event_stream(&began.headers) || length.is_some_and(|length| length > BUFFERED_MAX_BYTES as u64));
    // Of a stated length it is nearly always there soon; else nobody knows.
    let patient = tokio::time::sleep(PATIENCE);
    tokio::pin!(patient);
    let mut first = Bytes::new();
    let mut more = BytesMut::new();
    let is_whole = !at_once
        && loop {
            if body.is_end_stream() {
                break true;
            }
            let frame = tokio::select! {
                biased;
                frame = body.frame() => frame,
                () = &mut patient, if as_it_comes && length.is_none() => break false,
            };
            let bytes = match frame {
                None => break true,
                Some(Err(error)) => return Came::Nothing(broke_off(&error, &began.payload)),
                Some(Ok(frame)) => frame.into_data().unwrap_or_default(),
            };
            if first.is_empty() && more.is_empty() {
                first = bytes;
            } else {
                if more.is_empty() {
                    more.extend_from_slice(&std::mem::take(&mut first));
                }
                more.extend_from_slice(&bytes);
            }
            let so_far = first.len() + more.len();
            if so_far > max_bytes {
                return too_long(began, so_far);
            }
            if so_far > wanted.kept_bytes() {
                break body.is_end_stream();
            }
        };
    let first = if more.is_empty() { first } else { more.freeze() };
    let bytes = first.len();
    let Began { status, headers, report, until, payload, place } = began;
    if is_whole {
        let input = executed(&report, until, bytes);
        let answer = FunctionAnswer { status, headers, body: first, report: Some(report) };
        return Came::Whole(input, Box::new(answer));
    }
    let answer = FunctionAnswer { status, headers, body: first, report: Some(report) };
    Came::Streams(Box::new(Streams { answer, rest: body, until, bytes, max_bytes, payload, _place: place }))
}

impl Streams {
    /// What comes next, or how it ended.
    pub(crate) async fn next(&mut self) -> Next {
        loop {
            let frame = match tokio::time::timeout_at(self.until.instant(), self.rest.frame()).await {
                Err(_) => return Next::Broken(self.ended(self.until.outcome())),
                Ok(None) => return Next::Whole(self.executed()),
                Ok(Some(Err(error))) => return Next::Broken(broke_off(&error, &self.payload)),
                Ok(Some(Ok(frame))) => frame,
            };
            let Ok(bytes) = frame.into_data() else { continue };
            self.bytes += bytes.len();
            if self.bytes > self.max_bytes {
                return Next::Broken(self.ended(Outcome::OutputLimit));
            }
            if !bytes.is_empty() {
                return Next::Part(bytes);
            }
        }
    }

    /// A time in which the caller was waited for is not the function's.
    pub(crate) fn waited(&mut self, time: Duration) {
        self.until = self.until.without(time);
    }

    /// It ran, and ended before its end.
    fn ended(&self, outcome: Outcome) -> Input {
        let usage = self.answer.report.as_ref().and_then(|report| report.reading).map(|reading| reading.usage);
        let (observed_us, egress_bytes) = (self.until.observed_us(), self.bytes as u64);
        Input::Executed { outcome, usage, observed_us, egress_bytes }
    }

    /// How it ended for a caller who went away: what ran is charged.
    pub(crate) fn executed(&self) -> Input {
        match &self.answer.report {
            Some(report) => executed(report, self.until, self.bytes),
            None => Input::Unknown { fault: false, reason: "the caller went away".to_owned() },
        }
    }

    /// The length of the whole, if the provider said it.
    pub(crate) fn length(&self) -> Option<u64> {
        self.rest.size_hint().exact().map(|rest| rest + self.answer.body.len() as u64)
    }
}

fn executed(report: &Report, until: Until, bytes: usize) -> Input {
    Input::Executed {
        outcome: report.outcome,
        usage: report.reading.map(|reading| reading.usage),
        observed_us: until.observed_us(),
        egress_bytes: bytes as u64,
    }
}

/// The function ran, and answered more than it may.
fn too_long(began: Began, bytes: usize) -> Came {
    let Began { status, headers, report, until, .. } = began;
    let input = executed(&Report { outcome: Outcome::OutputLimit, ..report.clone() }, until, bytes);
    let answer = FunctionAnswer { status, headers, body: Bytes::new(), report: Some(report) };
    Came::Whole(input, Box::new(answer))
}

/// What goes wrong with the payload meanwhile is not the provider's fault.
fn broke_off(error: &hyper::Error, payload: &Payload) -> Input {
    Input::Unknown { fault: payload.fault().is_none(), reason: format!("the provider's answer broke off: {error}") }
}

fn is_event_stream(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).map(|kind| kind.as_bytes());
    kind.is_some_and(|kind| kind.len() >= 17 && kind[..17].eq_ignore_ascii_case(b"text/event-stream"))
}
