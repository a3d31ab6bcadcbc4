//! Requests by the door that they came to: rate, errors, duration, and how many are under way.
//!
//! Every counter is made at the start, so that a request looks nothing up.

use std::time::Instant;

use axum::extract::Request;
use axum::response::Response;
use http::StatusCode;
use prometheus::{Histogram, IntCounter, IntGauge};

use super::{Made, Metrics, call_seconds};

/// The classes of statuses.
const STATUSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// To what a path leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    Native,
    PassThrough,
    Lambda,
    OpenFaas,
    /// Definitions, market data, accounts, the operator's commands.
    Api,
    /// Health, metrics, the description.
    State,
    Page,
}

impl Class {
    const ALL: [Class; 7] =
        [Class::Native, Class::PassThrough, Class::Lambda, Class::OpenFaas, Class::Api, Class::State, Class::Page];

    const fn as_str(self) -> &'static str {
        match self {
            Class::Native => "native",
            Class::PassThrough => "fn",
            Class::Lambda => "lambda",
            Class::OpenFaas => "openfaas",
            Class::Api => "api",
            Class::State => "state",
            Class::Page => "page",
        }
    }

    fn of(path: &str) -> Class {
        let first = path.trim_start_matches('/').split('/').next().unwrap_or_default();
        match first {
            "v1" if path.ends_with("/invocations") => Class::Native,
            "v1" => Class::Api,
            "fn" => Class::PassThrough,
            "2015-03-31" | "2021-11-15" => Class::Lambda,
            "function" | "async-function" | "system" => Class::OpenFaas,
            "healthz" | "readyz" | "metrics" | "openapi.json" => Class::State,
            _ => Class::Page,
        }
    }
}

/// Of one class.
struct Requests {
    by_status: [IntCounter; STATUSES.len()],
    duration: Histogram,
    in_flight: IntGauge,
}

pub(super) struct Http([Requests; Class::ALL.len()]);

impl Http {
    pub(super) fn new(made: &Made<'_>) -> Result<Http, prometheus::Error> {
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
        let of = |class: Class| {
            let door = class.as_str();
            Requests {
                by_status: STATUSES.map(|status| requests.with_label_values(&[door, status])),
                duration: duration.with_label_values(&[door]),
                in_flight: in_flight.with_label_values(&[door]),
            }
        };
        Ok(Http(Class::ALL.map(of)))
    }
}

/// A request under way, until it is dropped: its client may go away before an answer.
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

/// Around everything: counts a request and its answer.
pub(crate) async fn measure(
    metrics: &Metrics,
    request: Request,
    doors: impl AsyncFnOnce(Request) -> Response,
) -> Response {
    let class = Class::of(request.uri().path());
    let (under_way, began) = (UnderWay::begin(&metrics.http.0[class as usize]), Instant::now());
    let response = doors(request).await;
    under_way.answered(response.status(), began.elapsed());
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_leads_to_its_class() {
        let check = |path: &str, class: Class| assert_eq!(Class::of(path), class, "{path}");
        check("/v1/functions/echo/invocations", Class::Native);
        check("/v1/functions/echo", Class::Api);
        check("/fn/echo/v1/invocations", Class::PassThrough);
        check("/2015-03-31/functions/echo/invocations", Class::Lambda);
        check("/async-function/echo", Class::OpenFaas);
        check("/metrics", Class::State);
        check("/", Class::Page);
        for (index, class) in Class::ALL.into_iter().enumerate() {
            assert_eq!(class as usize, index, "it is found by its place");
        }
    }
}
