//! The connections of every port: accepted within quotas, over TLS or not, served as HTTP/1.1 or HTTP/2 within bounds,
//! and drained at a stop.
//!
//! ```text
//! serve         the accept loop of a port, and its drain
//! slots         connections at once, in all and of one peer; the idlest make room when all are taken
//! connection    one connection: handshake, timeouts, bounds of heads and streams, idle close
//! framing       refuses HTTP/1 requests whose end another server may see elsewhere
//! slow_readers  cuts clients that do not read their answers
//! tls           certificates, reloaded when their files change
//! shares        quotas of a shared resource: a limit per holder and one for all
//! descriptors   the limit on open files
//! ```
//!
//! It never reads what a request says.

mod connection;
pub mod descriptors;
mod framing;
#[doc(hidden)]
pub mod fuzzing;
mod limits;
mod serve;
mod shares;
mod slots;
mod slow_readers;
mod tls;

pub use connection::{Answer, AnswerBody, UnderWay};
pub use limits::{Limits, Protocols};
pub use serve::serve;
pub use shares::{Full, Holder, Share, Shares, network};
pub use tls::{HandshakeError, ServerTls, TlsError, TlsFiles};
