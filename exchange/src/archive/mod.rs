//! The archive on disk: tape, candles, statements, invocation records and functions' logs, to be asked for by time.
//!
//! A projection of durable events into one file beside the journal (see [`store`]), kept by a thread of its own (see
//! [`keeper`]) from a queue that never holds the journal up (see [`feed`]). It can always be made again from the
//! journal as far as that reaches back, so it is never repaired: an unusable file is set aside. Functions' logs are the
//! exception: they are in no journal, and those of the last seconds before a crash are lost.
//!
//! A reader finds everything that was answered before its query: the query waits for the commands that were durable
//! then.

mod candles;
mod feed;
mod invocations;
mod keeper;
mod log;
mod logs;
mod rows;
mod statements;
mod store;
mod tape;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use merit_proto::v1;
use merit_terms::{AccountId, FunctionId, LeaseId, MarketId, Time};
use redb::{ReadTransaction, ReadableDatabase};

pub(crate) use candles::{Candle, Interval};
pub(crate) use feed::ArchiveError;
use feed::Feed;
use keeper::Keeper;
pub(crate) use log::{Page, Span};
pub(crate) use logs::FunctionLog;
pub(crate) use statements::Line;
pub(crate) use store::Checkpoint;
pub(crate) use tape::Trade;

use crate::sequencer::{Happened, Progress};

pub(crate) struct Archive {
    feed: Arc<Feed>,
    keeper: Mutex<Option<JoinHandle<()>>>,
}

impl Archive {
    /// Makes an archive that queues commands until it is started.
    pub(crate) fn new() -> Archive {
        Archive { feed: Arc::new(Feed::new(feed::QUEUE_MAX)), keeper: Mutex::default() }
    }

    /// Reads the sequence up to which the archive of a directory is durable; none if there is none.
    pub(crate) fn durable_in(data_dir: &Path) -> Option<u64> {
        store::Store::furthest_in(&data_dir.join(keeper::FILE))
    }

    /// Starts the keeper in a data directory that this process has locked, with the end of its journal at the opening.
    pub(crate) fn start(&self, data_dir: &Path, progress: Arc<Progress>, opened_at: Checkpoint) -> std::io::Result<()> {
        let before_last_batch = Box::new(move || progress.before_last_batch().0);
        let data_dir = data_dir.to_owned();
        self.spawn(Keeper { feed: self.feed.clone(), data_dir, opened_at, before_last_batch })
    }

    fn spawn(&self, keeper: Keeper) -> std::io::Result<()> {
        let thread = std::thread::Builder::new().name("archive".to_owned()).spawn(move || keeper.run())?;
        *self.keeper.lock().unwrap_or_else(PoisonError::into_inner) = Some(thread);
        Ok(())
    }

    /// Takes durable commands; never waits.
    pub(crate) fn take(&self, happened: impl IntoIterator<Item = Happened>) {
        self.feed.take(happened);
    }

    /// Returns the sequence up to which all rows survive any crash: the journal is needed after it.
    pub(crate) fn checkpoint(&self) -> u64 {
        self.feed.durable()
    }

    /// Writes all rows that cannot be cut from the journal, and closes the file.
    pub(crate) fn close(&self) {
        self.feed.close();
        let keeper = self.keeper.lock().unwrap_or_else(PoisonError::into_inner).take();
        // Its panic is in the log, and the market does not depend on it.
        drop(keeper.map(JoinHandle::join));
    }

    /// Reads the latest public trades of a market within `span`, newest first; those of one sequence are never parted.
    pub(crate) async fn trades(&self, market: MarketId, span: Span, limit: usize) -> Result<Vec<Trade>, ArchiveError> {
        self.read(move |transaction| tape::trades(transaction, market, span, limit)).await
    }

    /// Reads the latest trades of a market within `span` as an account sees them: with its private ones.
    pub(crate) async fn trades_of(
        &self,
        (market, account): (MarketId, AccountId),
        span: Span,
        limit: usize,
    ) -> Result<Vec<Trade>, ArchiveError> {
        self.read(move |transaction| tape::trades_of(transaction, (market, account), span, limit)).await
    }

    /// Reads the latest candles of a market that begin in a stretch of time, oldest first.
    pub(crate) async fn candles(
        &self,
        market: MarketId,
        interval: Interval,
        stretch: (Option<Time>, Option<Time>),
        limit: usize,
    ) -> Result<Vec<(Time, Candle)>, ArchiveError> {
        self.read(move |transaction| candles::candles(transaction, market, interval, stretch, limit)).await
    }

    /// Reads the latest lines of an account within `span`, newest first; those of one sequence are never parted.
    pub(crate) async fn lines(&self, account: AccountId, span: Span, limit: usize) -> Result<Vec<Line>, ArchiveError> {
        self.read(move |transaction| statements::lines(transaction, account, span, limit)).await
    }

    /// Reads the record of an invocation, if it is kept, and the end of its log.
    pub(crate) async fn invocation(&self, id: LeaseId) -> Result<Option<(v1::InvocationRow, Vec<u8>)>, ArchiveError> {
        self.read(move |transaction| {
            let Some(row) = invocations::invocation(transaction, id)? else { return Ok(None) };
            let log = logs::of_invocation(transaction, &row)?;
            Ok(Some((row, log)))
        })
        .await
    }

    /// Reads the latest records of an account within `span`, or of one function, that are wanted, newest first.
    pub(crate) async fn invocations(
        &self,
        account: AccountId,
        function: Option<FunctionId>,
        span: Span,
        limit: usize,
        wanted: impl Fn(&v1::InvocationRow) -> bool + Send + 'static,
    ) -> Result<Page<(LeaseId, v1::InvocationRow)>, ArchiveError> {
        self.read(move |transaction| invocations::invocations(transaction, (account, function), span, limit, wanted))
            .await
    }

    /// Reads the latest logs of an account's functions, or of one, within `span`, newest first.
    pub(crate) async fn logs(
        &self,
        account: AccountId,
        function: Option<FunctionId>,
        span: Span,
        limit: usize,
    ) -> Result<Page<FunctionLog>, ArchiveError> {
        self.read(move |transaction| logs::logs(transaction, account, function, span, limit)).await
    }

    async fn read<T: Send + 'static>(
        &self,
        look: impl FnOnce(&ReadTransaction) -> Result<T, redb::Error> + Send + 'static,
    ) -> Result<T, ArchiveError> {
        let database = self.feed.caught_up().await?;
        let read = move || look(&database.begin_read()?);
        match tokio::task::spawn_blocking(read).await {
            Ok(found) => found.map_err(|error| ArchiveError::Read(Box::new(error))),
            Err(_) => Err(ArchiveError::Failed("reading it panicked".to_owned())),
        }
    }
}

impl Drop for Archive {
    fn drop(&mut self) {
        self.close();
    }
}

#[cfg(test)]
#[path = "../../tests/unit/archive/mod.rs"]
mod tests;
