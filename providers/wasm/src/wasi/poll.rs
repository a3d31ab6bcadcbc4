//! `poll_oneoff`: waits for clocks and streams, until the first is ready. A guest sleeps by it.
//!
//! Streams are always ready, so a wait lasts only where it is for clocks alone.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use wasmtime::{Caller, Linker};

use super::memory::{Memory, Result, Stop, behind, element};
use super::process::{MONOTONIC, real_time};
use super::streams::{Stream, Wasi};
use super::{BAD_DESCRIPTOR, INVALID, PREVIEW_1, Process, errno, flags, parts};

/// The most subscriptions of one call: the host holds something for each.
const SUBSCRIPTIONS: u32 = 1021;

/// Bytes of preview 1's `subscription` and `event`.
const SUBSCRIPTION_BYTES: u32 = 48;
const EVENT_BYTES: u32 = 32;

/// Preview 1's types of events.
const CLOCK: u8 = 0;
const READ: u8 = 1;
const WRITE: u8 = 2;

const REAL_TIME: u32 = 0;
/// A clock's time is one, and not a while from now.
const ABSOLUTE: u16 = 1;

struct Subscription {
    user_data: [u8; 8],
    kind: u8,
    /// None is ready at once.
    due: Option<Due>,
}

enum Due {
    At(Instant),
    /// Beyond all time.
    Never,
}

impl Subscription {
    fn read(wasi: &Wasi, memory: &Memory<'_>, at: u32) -> Result<Subscription> {
        let user_data = memory.read(at)?;
        let [kind] = memory.read(behind(at, 8)?)?;
        let due = match kind {
            CLOCK => due(wasi, memory, at)?,
            READ | WRITE => {
                let descriptor = i32::from_le_bytes(memory.read(behind(at, 16)?)?);
                let input = wasi.stream(descriptor)? == Stream::Input;
                if input != (kind == READ) {
                    return Err(Stop::Errno(BAD_DESCRIPTOR));
                }
                None
            }
            _ => return Err(Stop::Errno(INVALID)),
        };
        Ok(Subscription { user_data, kind, due })
    }

    fn is_ready(&self, now: Instant) -> bool {
        match self.due {
            None => true,
            Some(Due::At(due)) => due <= now,
            Some(Due::Never) => false,
        }
    }

    fn put_event(&self, memory: &mut Memory<'_>, at: u32) -> Result<()> {
        let bytes = if self.kind == CLOCK { 0u64 } else { 1 };
        memory.write(at, self.user_data)?;
        memory.write(behind(at, 8)?, 0u16.to_le_bytes())?;
        memory.write(behind(at, 10)?, [self.kind])?;
        memory.write(behind(at, 16)?, bytes.to_le_bytes())?;
        memory.write(behind(at, 24)?, 0u16.to_le_bytes())
    }
}

/// Returns when a subscribed clock is due, none if that is past.
fn due(wasi: &Wasi, memory: &Memory<'_>, at: u32) -> Result<Option<Due>> {
    let clock = u32::from_le_bytes(memory.read(behind(at, 16)?)?);
    let time = u64::from_le_bytes(memory.read(behind(at, 24)?)?);
    let given = u16::from_le_bytes(memory.read(behind(at, 40)?)?);
    flags(given.into(), ABSOLUTE.into())?;
    let past = match (clock, given & ABSOLUTE != 0) {
        (REAL_TIME, true) => real_time()?,
        (clock, true) if clock == MONOTONIC as u32 => wasi.monotonic(),
        (clock, false) if clock <= MONOTONIC as u32 => 0,
        _ => return Err(Stop::Errno(INVALID)),
    };
    let wait = Duration::from_nanos(time.saturating_sub(past));
    if wait.is_zero() {
        return Ok(None);
    }
    Ok(Some(Instant::now().checked_add(wait).map_or(Due::Never, Due::At)))
}

pub(super) fn link<T: Process>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    linker.func_wrap_async(
        PREVIEW_1,
        "poll_oneoff",
        |mut host: Caller<'_, T>, (at, events, count, ready): (i32, i32, i32, i32)| {
            Box::new(async move {
                let (memory, wasi) = parts(&mut host)?;
                let subscribed = match subscriptions(wasi, &mut Memory::new(memory), at as u32, count as u32) {
                    Ok(subscribed) => subscribed,
                    Err(stop) => return errno(Err(stop)),
                };
                let now = wait(&subscribed).await;
                let (memory, _) = parts(&mut host)?;
                errno(put_events(&mut Memory::new(memory), &subscribed, now, events as u32, ready as u32))
            })
        },
    )?;
    Ok(())
}

fn subscriptions(wasi: &Wasi, memory: &mut Memory<'_>, at: u32, count: u32) -> Result<Vec<Subscription>> {
    if count == 0 {
        return Err(Stop::Errno(INVALID)); // A wait for nothing has no end.
    }
    memory.count(count as usize * (SUBSCRIPTION_BYTES + EVENT_BYTES) as usize)?;
    if count > SUBSCRIPTIONS {
        return Err(Stop::Trap(wasmtime::Error::msg("resource table has no free keys")));
    }
    (0..count).map(|index| Subscription::read(wasi, memory, element(at, index, SUBSCRIPTION_BYTES)?)).collect()
}

/// Waits until one is ready. Returns the time at which it was.
async fn wait(subscribed: &[Subscription]) -> Instant {
    let now = Instant::now();
    if subscribed.iter().any(|subscription| subscription.is_ready(now)) {
        tokio::task::yield_now().await; // A guest that polls in a loop does not keep the deadline from being seen.
        return now;
    }
    let due = |subscription: &Subscription| match subscription.due {
        Some(Due::At(due)) => Some(due),
        _ => None,
    };
    match subscribed.iter().filter_map(due).min() {
        Some(first) => {
            sleep_until(first).await;
            Instant::now().max(first)
        }
        None => std::future::pending().await,
    }
}

fn put_events(
    memory: &mut Memory<'_>,
    subscribed: &[Subscription],
    now: Instant,
    events: u32,
    ready: u32,
) -> Result<()> {
    let happened = subscribed.iter().filter(|subscription| subscription.is_ready(now));
    let mut count = 0u32;
    for subscription in happened {
        subscription.put_event(memory, element(events, count, EVENT_BYTES)?)?;
        count += 1;
    }
    memory.write(ready, count.to_le_bytes())
}
