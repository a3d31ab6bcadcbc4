//! A broker's stream: its asks, the engine's answers, and the grants that it dispatches.

mod asks;
mod grant;
mod stream;
