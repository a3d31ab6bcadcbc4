//! End to end, with real parts: processes on free ports, sockets, files, WebAssembly modules, a browser.
//!
//! One body tests both shapes of the market, all in one process and three processes, where the start does not matter.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod access_log;
mod archive;
mod bad_input;
mod bench;
mod budgets;
mod buyer;
mod calls;
mod clock;
mod connections;
mod control;
mod crash;
mod demo;
mod doors;
mod drain;
mod events;
mod evidence;
mod fixture;
mod full_disk;
mod function_pages;
mod functions;
mod health;
mod http_adapter;
mod journal;
mod keys_grpc;
mod logs;
mod lost_providers;
mod market;
mod market_stream;
mod metrics;
mod modules;
mod offers;
mod openapi;
mod operator;
mod outlived;
mod page;
mod pages;
mod permits;
mod pools;
mod prices;
mod privacy;
mod process;
mod raw_session;
mod resumption;
mod seller;
mod sessions;
mod status;
mod streams;
mod targets;
mod tokens;

/// Makes two tests of one body, one for each shape of the market.
macro_rules! in_both_shapes {
    ($($(#[$doc:meta])* $name:ident)*) => {
        mod all_in_one {
            $(#[tokio::test] async fn $name() { super::$name(crate::market::Shape::AllInOne).await; })*
        }
        mod three_processes {
            $(#[tokio::test] async fn $name() { super::$name(crate::market::Shape::ThreeProcesses).await; })*
        }
    };
}
pub(crate) use in_both_shapes;
