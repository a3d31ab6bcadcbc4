//! The table of routes: each path with its handler and its words for OpenAPI.
//!
//! A route that is not in it does not exist, but for the page's files and the answers to unknown paths.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use axum::{Json, Router};
use http::{Method, StatusCode, header};

use crate::broker::Broker;
use crate::caller::Operator;
use crate::doors::api::{
    accounts, clock, functions, invocations, keys, leases, logs, market_terms, markets, providers, statements, stream,
    tape,
};
use crate::doors::error_shape::Shape;
use crate::doors::{lambda, native, openfaas};
use crate::error::{ApiError, ErrorCode};
use crate::openapi::{Routes, calls, market, operator, registry};

/// Returns the router of the broker.
pub(crate) fn router(broker: Arc<Broker>) -> Result<Router, serde_json::Error> {
    Ok(described()
        .finish()?
        .route("/v1/{*path}", any(no_route))
        .route("/2015-03-31/{*path}", any(no_route))
        .route("/2021-11-15/{*path}", any(no_route))
        .fallback(page)
        .method_not_allowed_fallback(no_method)
        .with_state(broker))
}

fn described() -> Routes {
    Routes::default()
        .get("/v1/functions", functions::list, registry::list_all())
        .get("/v1/functions/{name}", functions::get, registry::get())
        .put("/v1/functions/{name}", functions::put, registry::put())
        .patch("/v1/functions/{name}", functions::patch, registry::patch())
        .delete("/v1/functions/{name}", functions::delete, registry::delete())
        .get("/v1/functions/{name}/revisions", functions::revisions, registry::revisions())
        .put("/v1/functions/{name}/aliases/{alias}", functions::put_alias, registry::put_alias())
        .get("/v1/functions/{name}/module", functions::get_module, registry::get_module())
        .put("/v1/functions/{name}/module", functions::put_module, registry::put_module())
        .post("/v1/functions/{name}/warm", functions::warm, registry::warm())
        .post("/v1/functions/{name}/invocations", native::invoke, calls::invoke())
        .post("/v1/functions/{name}/quote", invocations::quote, calls::quote())
        .get("/v1/functions/{name}/logs", logs::list, calls::logs())
        .get("/v1/invocations", invocations::list, calls::invocations())
        .get("/v1/invocations/{id}", invocations::get, calls::invocation())
        .get("/v1/markets", markets::list, market::markets())
        .post("/v1/markets", market_terms::create, operator::create_market())
        .put("/v1/markets/{region}/{class}", market_terms::put, operator::put_market())
        .delete("/v1/markets/{region}/{class}", market_terms::delete, operator::delete_market())
        .get("/v1/markets/{region}/{class}/book", markets::book, market::book())
        .get("/v1/markets/{region}/{class}/trades", tape::trades, market::trades())
        .get("/v1/markets/{region}/{class}/candles", tape::candles, market::candles())
        .get("/v1/stream", stream::get, market::stream())
        .get("/v1/clock", clock::get, operator::clock())
        .post("/v1/clock/accept", clock::accept, operator::accept_clock())
        .post("/v1/leases/{id}/close", leases::close, operator::close_lease())
        .get("/v1/providers", providers::list, market::providers())
        .post("/v1/providers", providers::register, operator::register_provider())
        .post("/v1/providers/{name}/kill", providers::kill, operator::kill_provider())
        .post("/v1/providers/{name}/revive", providers::revive, operator::revive_provider())
        .put("/v1/providers/{name}/limits", providers::limits, operator::limit_provider())
        .put("/v1/providers/{name}/labels", providers::labels, operator::label_provider())
        .put("/v1/providers/{name}/targets", providers::targets, operator::set_targets())
        .get("/v1/accounts", accounts::list, market::accounts())
        .post("/v1/accounts", accounts::open, operator::open_account())
        .get("/v1/accounts/{id}", accounts::get, market::account())
        .get("/v1/accounts/{id}/statement", statements::get, market::statement())
        .post("/v1/accounts/{id}/deposits", accounts::deposit, operator::deposit())
        .post("/v1/accounts/{id}/payouts", accounts::payout, operator::payout())
        .post("/v1/accounts/{id}/corrections", accounts::correct, operator::correct())
        .post("/v1/accounts/{id}/freeze", accounts::freeze, operator::freeze())
        .put("/v1/accounts/{id}/limits", accounts::limits, operator::limit_account())
        .get("/v1/keys", keys::list, operator::keys())
        .post("/v1/keys", keys::create, operator::create_key())
        .delete("/v1/keys/{id}", keys::revoke, operator::revoke_key())
        .post("/v1/keys/{id}/rotate", keys::rotate, operator::rotate_key())
        .any("/fn/{name}", native::pass_through, calls::pass_through())
        .any("/fn/{name}/", native::pass_through, calls::pass_through().renamed("pass_through_root"))
        .any("/fn/{name}/{*path}", native::pass_through, calls::pass_through_path())
        .post("/2015-03-31/functions/{name}/invocations", lambda::post, calls::lambda_invoke())
        .post(
            "/2021-11-15/functions/{name}/response-streaming-invocations",
            lambda::post_streaming,
            calls::lambda_stream(),
        )
        .get("/2015-03-31/functions", lambda::functions::list, calls::lambda_list())
        .get(
            "/2015-03-31/functions/",
            lambda::functions::list,
            calls::lambda_list().renamed("lambda_list_functions_root"),
        )
        .get("/2015-03-31/functions/{name}", lambda::functions::get, calls::lambda_get())
        .get(
            "/2015-03-31/functions/{name}/configuration",
            lambda::functions::configuration,
            calls::lambda_configuration(),
        )
        .any("/function/{name}", openfaas::invoke, calls::openfaas_invoke())
        .any("/function/{name}/", openfaas::invoke, calls::openfaas_invoke().renamed("openfaas_invoke_root"))
        .any("/function/{name}/{*path}", openfaas::invoke, calls::openfaas_invoke_path())
        .post("/async-function/{name}", openfaas::invoke_async, calls::openfaas_async())
        .post("/async-function/{name}/{*path}", openfaas::invoke_async, calls::openfaas_async_path())
        .get("/system/functions", openfaas::functions::list, calls::openfaas_list())
        .get("/system/function/{name}", openfaas::functions::get, calls::openfaas_get())
        .get("/system/info", openfaas::functions::info, calls::openfaas_info())
        .get("/healthz", || async { "ok\n" }, market::health())
        .get("/readyz", ready, market::ready())
        .get("/metrics", metrics, market::metrics())
}

async fn no_route(request: Request) -> Response {
    let path = request.uri().path();
    Shape::of(path).respond(ApiError::not_found(format!("there is nothing at {path}")))
}

async fn no_method(request: Request) -> Response {
    let message = format!("{} has no method {}", request.uri().path(), request.method());
    Shape::of(request.uri().path()).respond(ApiError::new(ErrorCode::MethodNotAllowed, message))
}

async fn ready(State(broker): State<Arc<Broker>>) -> Result<&'static str, ApiError> {
    if broker.stopping.is_cancelled() {
        return Err(ApiError::unavailable("draining"));
    }
    broker.exchange.check_ready().await.map(|()| "ready\n")
}

/// Handles `GET /metrics`, for the operator: it shows the earnings of every market and provider.
async fn metrics(_: Operator, State(broker): State<Arc<Broker>>) -> Response {
    match broker.metrics.text(&broker.gauges().await) {
        Ok(text) => ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response(),
        Err(error) => {
            tracing::error!(%error, "the metrics could not be written");
            (StatusCode::INTERNAL_SERVER_ERROR, Json("the metrics could not be written")).into_response()
        }
    }
}

/// Handles every path without a route: files of the page, which are read and nothing else.
async fn page(State(broker): State<Arc<Broker>>, request: Request) -> Response {
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    match broker.page.serve(request.uri().path()).await {
        Some(file) if is_read => file,
        Some(_) => ([(header::ALLOW, "GET,HEAD")], no_method(request).await).into_response(),
        None => no_route(request).await,
    }
}
