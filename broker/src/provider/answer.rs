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

use super::call::Wanted;
use super::end::AttemptEnd;
use super::http2::StreamShare;
use super::payload::Payload;
use super::time_limit::TimeLimit;
use crate::limits::BUFFERED_MAX_BYTES;

/// Time that an answer of unknown length may take to end before its beginning is passed on.
const PATIENCE: Duration = Duration::from_millis(20);

/// A function's answer: the head, and the whole body or its beginning.
#[derive(Debug, Default)]
pub(crate) struct FunctionAnswer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// The provider's report, if it made one.
    pub(crate) report: Option<Report>,
}

/// The head of an answer, with what the reading of its body needs.
pub(super) struct AnswerHead {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) report: Report,
    pub(super) until: TimeLimit,
    pub(super) payload: Payload,
    pub(super) share: Option<StreamShare>,
    pub(super) gateway_error: bool,
}

/// An answer that streams: the beginning is there, the rest comes part by part.
pub(crate) struct StreamedAnswer {
    /// The answer with the beginning of its body.
    pub(crate) answer: FunctionAnswer,
    rest: Incoming,
    until: TimeLimit,
    bytes: usize,
    max_bytes: usize,
    payload: Payload,
    /// Given back at the end.
    _share: Option<StreamShare>,
}

/// An attempt, ended or with an answer that streams.
pub(crate) enum Attempted {
    /// There is no answer.
    Nothing(AttemptEnd),
    Whole(AttemptEnd, Box<FunctionAnswer>),
    Streams(Box<StreamedAnswer>),
}

/// The next part of an answer that streams.
pub(crate) enum NextPart {
    Part(Bytes),
    /// The whole answer has come.
    Whole(AttemptEnd),
    /// The answer broke off.
    Broken(AttemptEnd),
}

/// Reads an answer whole, or its beginning where it streams. Refuses one whose stated length is above the limit at its
/// head.
pub(super) async fn read(head: AnswerHead, mut body: Incoming, wanted: Wanted) -> Attempted {
    // The output of a function that failed is not passed on.
    let wanted = if head.report.outcome == Outcome::Ok { wanted } else { Wanted::Whole };
    let max_bytes = wanted.answer_max_bytes();
    let length = body.size_hint().exact();
    // None of it is read, and none is charged as egress.
    if length.is_some_and(|length| length > max_bytes as u64) {
        return too_long(head, 0);
    }
    let as_it_comes = wanted == Wanted::AsItComes;
    let at_once = as_it_comes
        && (is_event_stream(&head.headers) || length.is_some_and(|length| length > BUFFERED_MAX_BYTES as u64));
    // An answer of a stated length is nearly always there soon.
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
                Some(Err(error)) => return Attempted::Nothing(broke_off(&error, &head.payload)),
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
                return too_long(head, so_far);
            }
            if so_far > wanted.buffer_bytes() {
                break body.is_end_stream();
            }
        };
    let first = if more.is_empty() { first } else { more.freeze() };
    let bytes = first.len();
    let AnswerHead { status, headers, report, until, payload, share, gateway_error } = head;
    if is_whole {
        let mut input = executed(&report, status, until, bytes);
        if let AttemptEnd::Executed { gateway_error: is_one, .. } = &mut input {
            *is_one = gateway_error;
        }
        let answer = FunctionAnswer { status, headers, body: first, report: Some(report) };
        return Attempted::Whole(input, Box::new(answer));
    }
    let answer = FunctionAnswer { status, headers, body: first, report: Some(report) };
    Attempted::Streams(Box::new(StreamedAnswer { answer, rest: body, until, bytes, max_bytes, payload, _share: share }))
}

impl StreamedAnswer {
    /// Waits for the next part or the end.
    pub(crate) async fn next(&mut self) -> NextPart {
        loop {
            let frame = match tokio::time::timeout_at(self.until.instant(), self.rest.frame()).await {
                Err(_) => return NextPart::Broken(self.ended(self.until.outcome())),
                Ok(None) => return NextPart::Whole(self.executed()),
                Ok(Some(Err(error))) => return NextPart::Broken(broke_off(&error, &self.payload)),
                Ok(Some(Ok(frame))) => frame,
            };
            let Ok(bytes) = frame.into_data() else { continue };
            self.bytes += bytes.len();
            if self.bytes > self.max_bytes {
                return NextPart::Broken(self.ended(Outcome::OutputLimit));
            }
            if !bytes.is_empty() {
                return NextPart::Part(bytes);
            }
        }
    }

    /// Takes a time in which the caller was waited for out of the limit.
    pub(crate) fn waited(&mut self, time: Duration) {
        self.until = self.until.without(time);
    }

    /// Returns the end of an answer that is cut here.
    fn ended(&self, outcome: Outcome) -> AttemptEnd {
        let report = self.answer.report.as_ref();
        AttemptEnd::Executed {
            outcome,
            usage: report.and_then(|report| report.reading).map(|reading| reading.usage),
            observed_us: self.until.observed_us(),
            egress_bytes: self.bytes as u64,
            log: report.map(|report| report.log.clone()).unwrap_or_default(),
            gateway_error: false,
            server_error: self.answer.status.is_server_error(),
        }
    }

    /// Returns the end as of now, also for a caller who went away: what ran is charged.
    pub(crate) fn executed(&self) -> AttemptEnd {
        match &self.answer.report {
            Some(report) => executed(report, self.answer.status, self.until, self.bytes),
            None => AttemptEnd::Unknown { fault: false, reason: "the caller went away".to_owned() },
        }
    }

    /// Returns the length of the whole, if the provider stated it.
    pub(crate) fn length(&self) -> Option<u64> {
        self.rest.size_hint().exact().map(|rest| rest + self.answer.body.len() as u64)
    }
}

fn executed(report: &Report, status: StatusCode, until: TimeLimit, bytes: usize) -> AttemptEnd {
    AttemptEnd::Executed {
        outcome: report.outcome,
        usage: report.reading.map(|reading| reading.usage),
        observed_us: until.observed_us(),
        egress_bytes: bytes as u64,
        log: report.log.clone(),
        gateway_error: false,
        server_error: status.is_server_error(),
    }
}

/// Returns the end of a function that answered more than the limit.
fn too_long(head: AnswerHead, bytes: usize) -> Attempted {
    let AnswerHead { status, headers, report, until, .. } = head;
    let input = executed(&Report { outcome: Outcome::OutputLimit, ..report.clone() }, status, until, bytes);
    let answer = FunctionAnswer { status, headers, body: Bytes::new(), report: Some(report) };
    Attempted::Whole(input, Box::new(answer))
}

/// Returns the end of an answer that broke off. A fault with the payload is not the provider's.
fn broke_off(error: &hyper::Error, payload: &Payload) -> AttemptEnd {
    AttemptEnd::Unknown {
        fault: payload.fault().is_none(),
        reason: format!("the provider's answer broke off: {error}"),
    }
}

fn is_event_stream(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).map(|kind| kind.as_bytes());
    kind.is_some_and(|kind| kind.len() >= 17 && kind[..17].eq_ignore_ascii_case(b"text/event-stream"))
}
