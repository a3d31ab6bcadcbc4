//! HTTP/1 heads at the broker's edge, as anybody may send them.
//!
//! The first byte says in parts of how many bytes the rest arrives. Promises: no bytes panic; a request of chunks is
//! handed on only if its head says no length; where no length is said anywhere, no request of chunks is taken for
//! doubtful.

use std::sync::LazyLock;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::runtime::{Builder, Runtime};

/// Longest wait for the end of a connection, after all bytes were sent.
const PATIENCE: Duration = Duration::from_secs(20);
const LENGTH: &[u8] = b"content-length";

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Builder::new_current_thread().enable_all().build().unwrap());

/// Runs the target.
pub fn heads(input: &[u8]) {
    let [size, bytes @ ..] = input else { return };
    let parts = bytes.chunks(usize::from(*size).max(1));
    let requests = RUNTIME.block_on(async {
        let (client, server) = tokio::io::duplex(1 << 20);
        let (mut answers, mut said) = tokio::io::split(client);
        let saying = async {
            for part in parts {
                said.write_all(part).await.ok(); // The broker may have closed.
                tokio::task::yield_now().await;
            }
            said.shutdown().await.ok();
        };
        let hearing = async { answers.read_to_end(&mut Vec::new()).await.ok() };
        let all = async { tokio::join!(merit_listener::fuzzing::requests(server), saying, hearing).0 };
        tokio::time::timeout(PATIENCE, all).await.expect("a connection ends when its client has closed")
    });
    let is_length =
        |line: &[u8]| line.split(|byte| *byte == b':').next().is_some_and(|name| name.eq_ignore_ascii_case(LENGTH));
    if let Some(first) = requests.first().filter(|first| first.has_chunks && first_head(bytes).any(is_length)) {
        assert!(!first.is_certain, "a request of chunks that says a length is handed on");
    }
    let says_length = |bytes: &[u8]| bytes.windows(LENGTH.len()).any(|part| part.eq_ignore_ascii_case(LENGTH));
    for request in requests {
        let is_in_doubt = request.has_chunks && !request.is_certain;
        assert!(!is_in_doubt || says_length(bytes), "a request without a length is taken for doubtful");
        assert!(!(request.has_chunks && request.has_length), "the parser keeps a length beside chunks");
    }
}

/// Returns the lines of the first head: empty lines before it are none of it, the first after it ends it.
fn first_head(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let lines = bytes.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    lines.skip_while(|line| line.is_empty()).take_while(|line| !line.is_empty())
}
