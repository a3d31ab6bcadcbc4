//! One operation in words: its parameters, its answers, and its errors in the shape of its door.

use http::StatusCode;
use utoipa::openapi::content::ContentBuilder;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::path::{Operation as Told, OperationBuilder, Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::response::ResponseBuilder;
use utoipa::openapi::{HttpMethod, Required, Response};

use super::schema::{Schema, bytes, count, named, text};
use crate::doors::error_shape::Shape;

const JSON: &str = "application/json";

/// Statuses of every operation: those of the front before every door, and of an exchange that does not answer.
const ALWAYS: [u16; 6] = [400, 401, 403, 408, 413, 503];

/// An operation of the document.
#[derive(Clone)]
pub(crate) struct Operation {
    id: &'static str,
    errors: Shape,
    told: Told,
}

impl Operation {
    pub(super) fn new(id: &'static str, tag: &str, summary: &str) -> Operation {
        Operation::at(id, tag, summary, Shape::Native)
    }

    /// Makes an operation of the door whose errors have this shape.
    pub(super) fn at(id: &'static str, tag: &str, summary: &str, errors: Shape) -> Operation {
        let told = OperationBuilder::new().tag(tag).summary(Some(summary)).build();
        Operation { id, errors, told }.errors(ALWAYS)
    }

    /// Returns the same words for another path, under an id of its own.
    pub(crate) fn renamed(mut self, id: &'static str) -> Operation {
        self.id = id;
        self
    }

    fn with(mut self, change: impl FnOnce(OperationBuilder) -> OperationBuilder) -> Operation {
        self.told = change(self.told.into()).build();
        self
    }

    pub(super) fn describe(self, text: &str) -> Operation {
        self.with(|operation| operation.description(Some(text)))
    }

    pub(super) fn path(self, name: &str, shape: Schema, text: &str) -> Operation {
        self.parameter(ParameterIn::Path, name, shape, text)
    }

    pub(super) fn query(self, name: &str, shape: Schema, text: &str) -> Operation {
        self.parameter(ParameterIn::Query, name, shape, text)
    }

    pub(super) fn header(self, name: &str, shape: Schema, text: &str) -> Operation {
        self.parameter(ParameterIn::Header, name, shape, text)
    }

    fn parameter(self, place: ParameterIn, name: &str, shape: Schema, text: &str) -> Operation {
        let required = if place == ParameterIn::Path { Required::True } else { Required::False };
        let parameter: Parameter = ParameterBuilder::new()
            .name(name)
            .parameter_in(place)
            .required(required)
            .description(Some(text))
            .schema(Some(shape))
            .build();
        self.with(|operation| operation.parameter(parameter))
    }

    /// Adds a JSON body.
    pub(super) fn takes(self, shape: Schema) -> Operation {
        self.takes_content(JSON, shape, Required::True)
    }

    /// Takes a JSON body, or none.
    pub(super) fn may_take(self, shape: Schema) -> Operation {
        self.takes_content(JSON, shape, Required::False)
    }

    /// Adds a payload of any content.
    pub(super) fn takes_payload(self) -> Operation {
        self.takes_content("*/*", bytes(), Required::False)
    }

    /// Adds a WebAssembly module, under either content type.
    pub(super) fn takes_module(self) -> Operation {
        let content = || ContentBuilder::new().schema(Some(bytes())).build();
        let body = RequestBodyBuilder::new()
            .required(Some(Required::True))
            .content("application/wasm", content())
            .content("application/octet-stream", content())
            .build();
        self.with(|operation| operation.request_body(Some(body)))
    }

    pub(super) fn takes_content(self, kind: &str, shape: Schema, required: Required) -> Operation {
        let content = ContentBuilder::new().schema(Some(shape)).build();
        let body = RequestBodyBuilder::new().required(Some(required)).content(kind, content).build();
        self.with(|operation| operation.request_body(Some(body)))
    }

    /// Adds the answer 200 with JSON.
    pub(super) fn answers(self, shape: Schema) -> Operation {
        self.answers_content(JSON, shape)
    }

    pub(super) fn answers_content(self, kind: &str, shape: Schema) -> Operation {
        let content = ContentBuilder::new().schema(Some(shape)).build();
        self.response("200", ResponseBuilder::new().description("As asked.").content(kind, content).build())
    }

    pub(super) fn response(self, status: &str, response: Response) -> Operation {
        self.with(|operation| operation.response(status, response))
    }

    /// Adds errors, in the shape of the door.
    pub(super) fn errors<const N: usize>(mut self, statuses: [u16; N]) -> Operation {
        for status in statuses {
            let (status, response) = error(self.errors, status);
            self = self.response(&status.to_string(), response);
        }
        self
    }

    /// Returns the operation of one method, under an id of its own.
    pub(super) fn told(self, method: &HttpMethod, only: bool) -> Told {
        let id = match only {
            true => self.id.to_owned(),
            false => format!("{}_{}", self.id, super::method_name(method)),
        };
        OperationBuilder::from(self.told).operation_id(Some(id)).build()
    }
}

/// Returns an error of a door, and the status under which it goes out there.
fn error(errors: Shape, status: u16) -> (u16, Response) {
    let status = match (errors, status) {
        // Lambda's clients know no 401, and try 5xx again.
        (Shape::Lambda, 401) => 403,
        (Shape::Lambda, 503) => 500,
        (Shape::Lambda, 408 | 422 | 508) => 400,
        (_, status) => status,
    };
    let reason = StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason()).unwrap_or("Error");
    let mut response = ResponseBuilder::new().description(reason);
    let content = |shape| ContentBuilder::new().schema(Some(shape)).build();
    response = match errors {
        Shape::Native => response.content(JSON, content(named("Error"))),
        Shape::Lambda => response.content(JSON, content(named("LambdaError"))).header("x-amzn-errortype", said(text())),
        Shape::OpenFaas => {
            response.content("text/plain; charset=utf-8", content(text())).header("x-merit-error", said(text()))
        }
    };
    if matches!(status, 429 | 503) {
        response = response.header("retry-after", said(count()));
    }
    (status, response.build())
}

/// Returns a header of an answer.
pub(super) fn said(shape: Schema) -> utoipa::openapi::Header {
    HeaderBuilder::new().schema(Some(shape)).build()
}
