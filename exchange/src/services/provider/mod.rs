//! A provider's session: from a new stream to its logon, while it is on, and its end.

mod endpoint;
mod gateway;
mod session;
