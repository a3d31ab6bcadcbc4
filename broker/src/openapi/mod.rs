//! The OpenAPI 3.1 document of the front doors, made from the table of routes.
//!
//! A route cannot be made without its words: [`Routes`] takes both at once. Tests compare the shapes here with real
//! answers.

pub(crate) mod calls;
pub(crate) mod market;
mod operation;
pub(crate) mod operator;
pub(crate) mod registry;
mod schema;
mod shapes;

use std::sync::Arc;

use axum::Router;
use axum::handler::Handler;
use axum::routing::{MethodRouter, any, delete, get, patch, post, put};
use bytes::Bytes;
use http::header;
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme,
};
use utoipa::openapi::tag::TagBuilder;
use utoipa::openapi::{HttpMethod, InfoBuilder, License, OpenApiBuilder, PathItem, Paths, Tag};

pub(crate) use operation::Operation;

use crate::broker::Broker;

/// Routes with their words.
#[derive(Default)]
pub(crate) struct Routes {
    router: Router<Arc<Broker>>,
    paths: Paths,
}

const GET: &[HttpMethod] = &[HttpMethod::Get];
const POST: &[HttpMethod] = &[HttpMethod::Post];
const PUT: &[HttpMethod] = &[HttpMethod::Put];
const PATCH: &[HttpMethod] = &[HttpMethod::Patch];
const DELETE: &[HttpMethod] = &[HttpMethod::Delete];
/// Methods of calls that are passed through. Others pass too, and no client sends them, but CONNECT, which is refused.
const ANY: &[HttpMethod] = &[
    HttpMethod::Get,
    HttpMethod::Post,
    HttpMethod::Put,
    HttpMethod::Patch,
    HttpMethod::Delete,
    HttpMethod::Head,
    HttpMethod::Options,
];

impl Routes {
    pub(crate) fn get<T: 'static>(self, path: &str, handler: impl Handler<T, Arc<Broker>>, told: Operation) -> Routes {
        self.route(path, GET, get(handler), told)
    }

    pub(crate) fn post<T: 'static>(self, path: &str, handler: impl Handler<T, Arc<Broker>>, told: Operation) -> Routes {
        self.route(path, POST, post(handler), told)
    }

    pub(crate) fn put<T: 'static>(self, path: &str, handler: impl Handler<T, Arc<Broker>>, told: Operation) -> Routes {
        self.route(path, PUT, put(handler), told)
    }

    pub(crate) fn patch<T: 'static>(
        self,
        path: &str,
        handler: impl Handler<T, Arc<Broker>>,
        told: Operation,
    ) -> Routes {
        self.route(path, PATCH, patch(handler), told)
    }

    pub(crate) fn delete<T: 'static>(
        self,
        path: &str,
        handler: impl Handler<T, Arc<Broker>>,
        told: Operation,
    ) -> Routes {
        self.route(path, DELETE, delete(handler), told)
    }

    pub(crate) fn any<T: 'static>(self, path: &str, handler: impl Handler<T, Arc<Broker>>, told: Operation) -> Routes {
        self.route(path, ANY, any(handler), told)
    }

    fn route(
        mut self,
        path: &str,
        methods: &[HttpMethod],
        handler: MethodRouter<Arc<Broker>>,
        told: Operation,
    ) -> Routes {
        self.router = self.router.route(path, handler);
        self.tell(path, methods, told);
        self
    }

    fn tell(&mut self, path: &str, methods: &[HttpMethod], told: Operation) {
        let only = methods.len() == 1;
        let item = self.paths.paths.entry(path.replace("{*", "{")).or_default();
        for method in methods {
            item.merge_operations(PathItem::new(method.clone(), told.clone().told(method, only)));
        }
    }

    /// Returns the router, which also serves the document at `/openapi.json`.
    pub(crate) fn finish(mut self) -> Result<Router<Arc<Broker>>, serde_json::Error> {
        self.tell("/openapi.json", GET, market::document());
        let document = Bytes::from(document(self.paths)?);
        let told = move || {
            let document = document.clone();
            async move { ([(header::CONTENT_TYPE, "application/json")], document) }
        };
        Ok(self.router.route("/openapi.json", get(told)))
    }
}

pub(super) const fn method_name(method: &HttpMethod) -> &'static str {
    match method {
        HttpMethod::Get => "get",
        HttpMethod::Post => "post",
        HttpMethod::Put => "put",
        HttpMethod::Delete => "delete",
        HttpMethod::Options => "options",
        HttpMethod::Head => "head",
        HttpMethod::Patch => "patch",
        HttpMethod::Trace => "trace",
    }
}

fn document(paths: Paths) -> Result<String, serde_json::Error> {
    let info = InfoBuilder::new()
        .title("Merit")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some("A spot market for function execution: its front doors."))
        .license(Some(License::builder().name("Apache-2.0").identifier(Some("Apache-2.0")).build()))
        .build();
    let none: [&str; 0] = [];
    let securities = ["bearer", "basic", "merit_key", "aws_sigv4"].map(|name| SecurityRequirement::new(name, none));
    let schemes = [
        ("bearer", scheme(HttpAuthScheme::Bearer, "A key, `ID.SECRET`.")),
        ("basic", scheme(HttpAuthScheme::Basic, "The key's id and its secret.")),
        ("merit_key", api_key("Merit-Key", "A key, `ID.SECRET`; leaves `Authorization` to the function.")),
        (
            "aws_sigv4",
            api_key(
                "Authorization",
                "AWS Signature Version 4 (`AWS4-HMAC-SHA256 Credential=...`) of the service `lambda` in any region: \
                 the access key id is the key's id, the secret access key its secret. At every door.",
            ),
        ),
    ];
    let components =
        schemes.into_iter().fold(shapes::all(), |components, (name, scheme)| components.security_scheme(name, scheme));
    // Without keys, on loopback, none is needed.
    let securities = [SecurityRequirement::default()].into_iter().chain(securities);
    OpenApiBuilder::new()
        .info(info)
        .paths(paths)
        .components(Some(components.build()))
        .security(Some(securities))
        .tags(Some(tags()))
        .build()
        .to_json()
}

fn scheme(scheme: HttpAuthScheme, text: &str) -> SecurityScheme {
    SecurityScheme::Http(HttpBuilder::new().scheme(scheme).description(Some(text)).build())
}

fn api_key(header: &str, text: &str) -> SecurityScheme {
    SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::with_description(header, text)))
}

fn tags() -> [Tag; 9] {
    [
        ("Invoke", "Calls of functions, their quotes and their records."),
        ("Functions", "Definitions, revisions, aliases and modules."),
        ("Market data", "Markets, books, trades, candles, providers."),
        ("Accounts", "How an account stands, and its statement."),
        ("Keys", "Who may call: keys are made, revoked and rotated by the operator."),
        ("Operator", "What only the operator does. Each is a journaled command."),
        ("AWS Lambda", "What the AWS SDKs and the CLI call, with only an endpoint set."),
        ("OpenFaaS", "What faas-cli and its clients call."),
        ("Health", "How the broker is."),
    ]
    .map(|(name, text)| TagBuilder::new().name(name).description(Some(text)).build())
}
