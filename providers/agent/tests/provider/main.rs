//! The provider's program against an exchange over real sockets and with real modules.
//!
//! The exchange here is a peer that says what a test wants it to; the real one is in the tests of the whole.

#[cfg(test)]
mod invocations;
#[cfg(test)]
mod kit;
#[cfg(test)]
mod peer;
#[cfg(test)]
mod session;
