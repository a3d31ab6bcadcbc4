//! The sending half of a stream: messages to a broker or provider, within a bound on how slowly they are read.

use std::time::Duration;

use tokio::sync::mpsc;
use tonic::Status;

/// Messages to one reader.
pub(super) struct Outgoing<M> {
    sender: mpsc::Sender<Result<M, Status>>,
    /// The time that the reader has to make room for the next message.
    read_within: Duration,
}

/// The reader no longer reads.
pub(super) struct Gone;

impl<M> Outgoing<M> {
    pub(super) fn new(sender: mpsc::Sender<Result<M, Status>>, read_within: Duration) -> Outgoing<M> {
        Outgoing { sender, read_within }
    }

    pub(super) async fn tell(&self, message: M) -> Result<(), Gone> {
        let message = match self.sender.try_send(Ok(message)) {
            Ok(()) => return Ok(()),
            Err(mpsc::error::TrySendError::Closed(_)) => return Err(Gone),
            Err(mpsc::error::TrySendError::Full(message)) => message,
        };
        let sent = tokio::time::timeout(self.read_within, self.sender.send(message)).await;
        if matches!(sent, Ok(Ok(()))) { Ok(()) } else { Err(Gone) }
    }

    /// Ends the stream with a reason, if the reader still reads.
    pub(super) fn end(&self, status: Status) {
        drop(self.sender.try_send(Err(status)));
    }
}
