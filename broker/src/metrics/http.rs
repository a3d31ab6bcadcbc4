//! Requests by entrance: rate, errors, duration, and requests under way. Every counter is made at the start.

use std::time::Instant;

use axum::extract::Request;
use axum::response::Response;
use http::StatusCode;
use prometheus::{Histogram, IntCounter, IntGauge};

use super::{Maker, Metrics, call_seconds};
use crate::door_names::Entrance;

/// The classes of statuses.
const STATUSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// The metrics of one entrance.
struct Requests {
    by_status: [IntCounter; STATUSES.len()],
    duration: Histogram,
    in_flight: IntGauge,
}

pub(super) struct HttpRequests([Requests; Entrance::ALL.len()]);

impl HttpRequests {
    pub(super) fn new(made: &Maker<'_>) -> Result<HttpRequests, prometheus::Error> {
        let requests = made.counters(
            "merit_http_requests_total",
            "HTTP requests by door and class of status.",
            &["door", "status"],
        )?;
        let duration = made.histograms(
            "merit_http_request_duration_seconds",
            "From the head of a request to the head of its answer.",
            call_seconds()?,
            &["door"],
        )?;
        let in_flight =
            made.gauges("merit_http_requests_in_flight", "HTTP requests whose answer has not begun.", &["door"])?;
        let of = |entrance: Entrance| {
            let door = entrance.as_str();
            Requests {
                by_status: STATUSES.map(|status| requests.with_label_values(&[door, status])),
                duration: duration.with_label_values(&[door]),
                in_flight: in_flight.with_label_values(&[door]),
            }
        };
        Ok(HttpRequests(Entrance::ALL.map(of)))
    }
}

/// A request under way, until it is dropped: its client may go away before the answer.
struct UnderWay<'a>(&'a Requests);

impl<'a> UnderWay<'a> {
    fn begin(requests: &'a Requests) -> UnderWay<'a> {
        requests.in_flight.inc();
        UnderWay(requests)
    }

    fn answered(self, status: StatusCode, took: std::time::Duration) {
        let class = usize::from(status.as_u16() / 100).saturating_sub(1).min(STATUSES.len() - 1);
        self.0.by_status[class].inc();
        self.0.duration.observe(took.as_secs_f64());
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.in_flight.dec();
    }
}

/// Counts a request and its answer.
pub(crate) async fn measure(
    metrics: &Metrics,
    request: Request,
    doors: impl AsyncFnOnce(Request) -> Response,
) -> Response {
    let entrance = Entrance::of(request.uri().path());
    let (under_way, began) = (UnderWay::begin(&metrics.http.0[entrance as usize]), Instant::now());
    let response = doors(request).await;
    under_way.answered(response.status(), began.elapsed());
    response
}
