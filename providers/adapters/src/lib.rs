//! The request to a provider, and the meaning of its answer.
//!
//! One module for each [`Adapter`], each with a `request` and an `answer`: the Merit [`agent`], and any function server
//! over [`http`]. Pure functions over `http` types. Never does IO, reads no clock, decides no retry and computes no
//! cost.

pub mod agent;
mod answer;
mod call;
mod headers;
pub mod http;
mod report;

use ::http::Request;
use ::http::response::Parts;
use merit_terms::Adapter;

pub use answer::{NotTaken, ProviderAnswer};
pub use call::{INVOCATION_ID, Passed, ProviderCall, RequestError, VIA};
pub use headers::{forwarded_answer_headers, forwarded_request_headers, is_merit_header};
pub use report::{MESSAGE_MAX_BYTES, MeterReading, Report};

/// Makes the request of a call with `body` as its payload, as the adapter shapes it.
pub fn request<B>(adapter: Adapter, call: &ProviderCall<'_>, body: B) -> Result<Request<B>, RequestError> {
    match adapter {
        Adapter::Agent => agent::request(call, body),
        Adapter::Http => http::request(call, body),
    }
}

/// Reads the head of an answer, as the adapter understands it.
pub fn answer(adapter: Adapter, head: &Parts) -> ProviderAnswer {
    match adapter {
        Adapter::Agent => agent::answer(head),
        Adapter::Http => http::answer(head),
    }
}
