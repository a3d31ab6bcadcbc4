//! The demand of the demo: calls that rise and fall, and deferred bids below the market.

use std::f64::consts::TAU;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use http::Method;
use merit_proto::Transport;
use merit_proto::v1;
use merit_proto::v1::broker_message::Message as Said;
use merit_proto::v1::brokerage_client::BrokerageClient;
use rand::{RngExt, SeedableRng};
use tokio::sync::{Semaphore, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;

use super::samples::{SAMPLES, Sample};
use super::sellers;
use crate::client::{Answer, Client};
use crate::exchange::DEV;

/// Time from one peak of the calls to the next.
const PERIOD: Duration = Duration::from_secs(24);
/// Length of a wait, in milliseconds.
const WAITS_MS: std::ops::Range<u32> = 400..1500;
/// Maximum calls under way; above, one is left out. Two of the slots that stay are left to the calls of others.
const CALLS_MAX: usize = 16;

/// Limits of the deferred bids, in picodollars per GB-s: below every seller of the demo, so that they rest.
const BID_LIMITS: [u64; 6] = [2_000_000, 2_500_000, 3_000_000, 3_500_000, 4_000_000, 5_000_000];
/// Time for which a deferred bid rests.
const BID_RESTS: Duration = Duration::from_secs(30);

/// Calls the sample functions through the broker until it is stopped: on average `rate` a second, from none to twice as
/// many and back in each period.
pub(crate) async fn calls(client: Client, rate: f64, stop: CancellationToken) {
    let mut random = rand_pcg::Pcg32::seed_from_u64(1);
    let (client, room) = (Arc::new(client), Arc::new(Semaphore::new(CALLS_MAX)));
    let began = Instant::now();
    loop {
        // Arrivals of a Poisson process at the peak's rate, thinned to the present one.
        let uniform: f64 = random.random();
        let pause = Duration::from_secs_f64((-(1.0 - uniform).ln() / (2.0 * rate)).min(60.0));
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
        // It begins a quarter of a period after the trough.
        let phase = began.elapsed().as_secs_f64() / PERIOD.as_secs_f64() + 0.25;
        if random.random::<f64>() >= (1.0 - (TAU * phase).cos()) / 2.0 {
            continue;
        }
        let Ok(room) = room.clone().try_acquire_owned() else { continue };
        let sample = pick(random.random_range(0..SAMPLES.iter().map(|sample| sample.weight).sum::<u32>()));
        let payload = match sample.payload {
            Some(payload) => payload.to_owned(),
            None => random.random_range(WAITS_MS).to_string(),
        };
        let client = client.clone();
        // Ends with its answer: the broker bounds each call.
        tokio::spawn(async move {
            let path = format!("/v1/functions/{}/invocations", sample.name);
            let answer = client.call(Method::POST, &path, &[], payload).await;
            if let Err(error) = answer.and_then(Answer::success) {
                tracing::debug!("demo call: {error:#}");
            }
            drop(room);
        });
    }
}

/// Returns the sample at this place among the weights of all.
fn pick(mut place: u32) -> &'static Sample {
    for sample in &SAMPLES {
        match place.checked_sub(sample.weight) {
            Some(rest) => place = rest,
            None => return sample,
        }
    }
    &SAMPLES[0]
}

/// Keeps some deferred bids at rest until it is stopped.
pub(crate) async fn deferred_bids(exchange: Transport, stop: CancellationToken) {
    tokio::select! {
        () = stop.cancelled() => {}
        ended = rest_bids(exchange) => {
            if let Err(status) = ended {
                tracing::warn!(message = status.message(), "the demo has no deferred bids any more");
            }
        }
    }
}

async fn rest_bids(exchange: Transport) -> Result<(), tonic::Status> {
    let (says, said) = mpsc::channel(BID_LIMITS.len() * 2);
    let say = |message| v1::BrokerMessage { message: Some(message) };
    // A full queue means that the exchange does not read: the stream is about to end.
    drop(says.try_send(say(Said::Hello(v1::BrokerHello { resumes: None }))));
    let mut hears = BrokerageClient::new(exchange).stream(ReceiverStream::new(said)).await?.into_inner();
    let sellers: Vec<String> = sellers::names().map(str::to_owned).collect();
    let mut turn = tokio::time::interval(BID_RESTS / BID_LIMITS.len() as u32);
    for number in 1_u64.. {
        loop {
            tokio::select! {
                _ = turn.tick() => break,
                heard = hears.message() => drop(heard?),
            }
        }
        let limit = BID_LIMITS[number as usize % BID_LIMITS.len()];
        let bid = v1::Acquire {
            number,
            account: DEV.to_owned(),
            function: "wait".to_owned(),
            // Only there: the demo takes up no match, which would keep another seller's capacity.
            limits: Some(v1::Limits { max_price: Some(limit), only: sellers.clone(), ..v1::Limits::default() }),
            ..v1::Acquire::default()
        };
        let deadline = SystemTime::now() + BID_RESTS;
        let deadline = deadline.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_micros() as u64;
        let defer = v1::Defer { bid: Some(bid), deadline, then: v1::AtDeadline::Expire.into() };
        if says.send(say(Said::Defer(defer))).await.is_err() {
            break;
        }
    }
    Ok(())
}
