//! `kill -9` at any moment: an answered call is on the tape at the cost that its caller read, and nothing stays taken.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::Method;
use merit_engine::{Command, Engine, Event};
use merit_exchange::{Durability, Exchange, Replayed, Settings, history, replay};
use merit_terms::{Balance, LeaseId, Money};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg32;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::market::{Market, Shape};
use crate::process::{eventually, merit};

const CALLERS: usize = 24;
/// Room for the leases of killed processes until they expire.
const WIDE: [&str; 4] = ["--slots", "256", "--memory-mb", "32768"];

/// Number of kills in each of the two storms; `make soak` sets `MERIT_KILLS` to more.
const KILLS: usize = 10;

#[tokio::test]
async fn kill_9_of_everything_loses_no_answer() {
    storm(Shape::AllInOne, &[Victim::Exchange], 0xC0FFEE).await;
}

#[tokio::test]
async fn kill_9_of_any_of_three_processes_loses_no_answer() {
    storm(Shape::ThreeProcesses, &[Victim::Exchange, Victim::Broker, Victim::Provider], 0xBEEF).await;
}

/// The process to be killed, by its place in the storm's list.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Victim {
    /// All of the market, if it is one process.
    Exchange,
    Broker,
    Provider,
}

/// Lease and cost of each answered call.
#[derive(Clone, Default)]
struct Receipts(Arc<Mutex<Vec<(LeaseId, Money)>>>);

impl Receipts {
    fn len(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    fn all(&self) -> Vec<(LeaseId, Money)> {
        self.0.lock().unwrap().clone()
    }
}

/// Calls without a pause while processes are killed at random points and started again.
async fn storm(shape: Shape, victims: &[Victim], seed: u64) {
    let wanted = std::env::var("MERIT_KILLS").map_or(KILLS, |kills| kills.parse().unwrap());
    println!("{shape:?}: seed {seed:#x}, {wanted} kills");
    let started = std::time::Instant::now();
    let mut random = Pcg32::seed_from_u64(seed);
    let mut market = Market::start(shape).await;
    let provider = market.provider("edge-1", &WIDE).await;
    market.deploy("echo", json!({"timeout_ms": 1000})).await;
    let mut processes = std::mem::take(&mut market.processes);
    if shape == Shape::AllInOne {
        processes.push(provider);
    } else {
        processes.insert(Victim::Provider as usize, provider);
    }

    let (market, answered, stop) = (Arc::new(market), Receipts::default(), CancellationToken::new());
    let mut callers = JoinSet::new();
    for caller in 0..CALLERS {
        callers.spawn(call_until(stop.clone(), market.clone(), answered.clone(), caller));
    }
    for _ in 0..wanted {
        let target = answered.len() + random.random_range(200..1000);
        eventually("calls are answered", || async { (answered.len() >= target).then_some(()) }).await;
        tokio::time::sleep(Duration::from_micros(random.random_range(0..20_000))).await;
        let victim = victims[random.random_range(0..victims.len())];
        let killed = processes.remove(victim as usize).kill().await;
        if victim == Victim::Exchange {
            assert_on_the_tape(&market.data_dir(), &answered.all());
        }
        processes.insert(victim as usize, killed.start_again().await);
    }
    let target = answered.len() + CALLERS;
    eventually("calls are answered again", || async { (answered.len() >= target).then_some(()) }).await;
    stop.cancel();
    callers.join_all().await;

    let (data, answered) = (market.data_dir(), answered.all());
    let provider = processes.pop().unwrap();
    assert!(provider.stop().await.success());
    for process in processes.into_iter().rev() {
        let log = process.log();
        assert!(process.stop().await.success(), "{log}");
    }
    let replayed = assert_on_the_tape(&data, &answered);
    let left = replayed.engine.open_leases().count();
    println!(
        "{shape:?}: {} calls answered over {wanted} kills in {:.0} s, none lost and none charged twice; {} commands in \
         {} runs, {} snapshots, {left} leases left open and gone once their deadlines passed",
        answered.len(),
        started.elapsed().as_secs_f64(),
        replayed.engine.sequence(),
        replayed.engine.run(),
        snapshots(&data).len(),
    );
    assert_nothing_stays_taken(replayed.engine.clone());
    assert_one_digest(&data, &replayed).await;
}

async fn call_until(stop: CancellationToken, market: Arc<Market>, answered: Receipts, caller: usize) {
    while !stop.is_cancelled() {
        let payload = format!("caller {caller}");
        let path = "/v1/functions/echo/invocations";
        match market.try_call(Method::POST, path, &[], payload.clone()).await {
            Ok(answer) if answer.status == 200 => {
                assert_eq!(answer.text(), payload);
                let id = answer.header("merit-invocation-id").parse().unwrap();
                let cost = answer.header("merit-cost").parse().unwrap();
                answered.0.lock().unwrap().push((id, cost));
            }
            // A process is dead, or not yet back.
            _ => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}

/// Asserts that every answered invocation was settled once, at the cost that its caller read, and that money only
/// moved.
fn assert_on_the_tape(data: &Path, answered: &[(LeaseId, Money)]) -> Replayed {
    let mut tape: BTreeMap<LeaseId, Vec<Money>> = BTreeMap::new();
    let replayed = replay(data, |_, _, events| {
        for event in events {
            if let Event::Settled { lease, settlement, .. } = event {
                tape.entry(lease.invocation).or_default().push(settlement.cost);
            }
        }
    })
    .unwrap();
    let ids: BTreeSet<LeaseId> = answered.iter().map(|(id, _)| *id).collect();
    assert_eq!(ids.len(), answered.len(), "an id was answered twice");
    for (id, cost) in answered {
        assert_eq!(tape.get(id), Some(&vec![*cost]), "{id}");
    }
    let engine = &replayed.engine;
    assert_eq!(engine.balance_sum(), Balance::ZERO);
    let paid: i128 = tape.values().flatten().map(|cost| i128::from(cost.picodollars())).sum();
    assert_eq!(balance(engine, "dev"), i128::from("1000".parse::<Money>().unwrap().picodollars()) - paid);
    assert_eq!(balance(engine, "edge-1"), paid);
    replayed
}

fn balance(engine: &Engine, name: &str) -> i128 {
    engine.account(engine.find_account(name).unwrap()).unwrap().balance.picodollars()
}

/// Asserts that no lease, hold or capacity is left over once every deadline has passed.
fn assert_nothing_stays_taken(mut engine: Engine) {
    let long_after = engine.last_at().after_millis(3_600_000);
    while engine.next_due().is_some_and(|due| due <= long_after) {
        engine.apply(long_after, &Command::Tick, &mut Vec::new());
    }
    assert_eq!(engine.open_leases().count(), 0);
    for (_, account) in engine.accounts() {
        assert_eq!(account.held, 0, "{}", account.name);
    }
    for (id, provider) in engine.providers() {
        for pool in engine.pools(id) {
            assert_eq!((pool.leased_mb, pool.leases), (0, 0), "{}", provider.name);
        }
    }
    for (_, function) in engine.functions() {
        assert_eq!(function.running, 0, "{}", function.name);
    }
    assert_eq!(engine.balance_sum(), Balance::ZERO);
}

/// Asserts that every reader of a stopped directory finds one digest, and that an exchange goes on from it.
async fn assert_one_digest(data: &Path, replayed: &Replayed) {
    let digest = replayed.engine.digest();
    assert_eq!(replay(data, |_, _, _| {}).unwrap().engine.digest(), digest);
    // A replay begins with the snapshot, if there is one.
    assert_eq!(history::replay_to(data, replayed.engine.sequence()).unwrap().engine.digest(), digest);
    let verified = verify(data).await;
    assert_eq!(verified["digest"], format!("{digest:032x}"), "{verified}");
    assert_eq!(verified["last_sequence"], replayed.engine.sequence());
    assert_eq!(verified["damage"], Value::Null);
    for snapshot in verified["snapshots"].as_array().unwrap() {
        assert_eq!(snapshot["verdict"], "equals the replay", "{verified}");
    }

    let settings = Settings {
        data_dir: data.to_owned(),
        keyless: true,
        master_key: None,
        new_master_key: false,
        accept_loss: None,
        disk_reserve: 0,
        heartbeat_ms: 1000,
        durability: Durability::Durable,
    };
    let exchange = Exchange::open(settings).await.unwrap();
    let live = exchange.digest();
    exchange.close();
    let again = replay(data, |_, _, _| {}).unwrap().engine;
    assert_eq!(live, (again.digest(), again.sequence()));
    assert_eq!(again.run(), replayed.engine.run() + 1);
}

async fn verify(data: &Path) -> Value {
    let output = merit().args(["journal", "verify", "--output", "json"]).arg(data).output().await.unwrap();
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

/// Returns a data directory after some calls and a `kill -9`, and the callers' answers.
async fn killed() -> (tempfile::TempDir, Vec<(LeaseId, Money)>) {
    let mut market = Market::start(Shape::AllInOne).await;
    let _edge = market.provider("edge-1", &[]).await;
    market.deploy("echo", json!({})).await;
    let mut answered = Vec::new();
    for _ in 0..20 {
        let answer = market.invoke("echo", "x").await;
        answered.push((
            answer.header("merit-invocation-id").parse().unwrap(),
            answer.header("merit-cost").parse().unwrap(),
        ));
    }
    market.processes.remove(0).kill().await;
    (market.dir, answered)
}

fn snapshots(data: &Path) -> Vec<PathBuf> {
    let files = std::fs::read_dir(data).unwrap().map(|entry| entry.unwrap().path());
    files.filter(|path| path.extension().is_some_and(|extension| extension == "merit")).collect()
}

pub(crate) fn newest_segment(data: &Path) -> PathBuf {
    let files = std::fs::read_dir(data).unwrap().map(|entry| entry.unwrap().path());
    files.filter(|path| path.extension().is_some_and(|extension| extension == "segment")).max().unwrap()
}

/// A way to damage a segment; its second argument is the end of the last batch.
type Tear = fn(&mut Vec<u8>, usize);

#[tokio::test]
async fn a_torn_tail_is_cut_and_the_market_goes_on() {
    // Damage from the last batch on, and the number of answers lost with it.
    let tears: [(&str, Tear, usize); 3] = [
        ("cut off within the last batch", |bytes, end| bytes.truncate(end - 3), 1),
        ("scribbled into the last batch", |bytes, end| bytes[end - 5..end].fill(0xA5), 1),
        ("the beginning of one more batch", |bytes, end| bytes[end..end + 20].fill(0x5A), 0),
    ];
    let (dir, answered) = killed().await;
    for (what, tear, lost) in tears {
        let torn = tempfile::tempdir().unwrap();
        copy(&dir.path().join("data"), &torn.path().join("data"));
        let segment = newest_segment(&torn.path().join("data"));
        let mut bytes = std::fs::read(&segment).unwrap();
        let end = bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1;
        tear(&mut bytes, end);
        std::fs::write(&segment, bytes).unwrap();
        let damage = verify(&torn.path().join("data")).await["damage"].to_string();
        assert!(damage.contains("journal-0000000001.segment, byte "), "{what}: {damage}");

        let market = Market::start_in(Shape::AllInOne, torn).await;
        let log = market.processes[0].log();
        assert!(log.contains("WARN the journal's damaged end was cut off: journal-0000000001.segment, byte "), "{log}");
        let _edge = market.provider("edge-1", &[]).await;
        assert_eq!(market.invoke("echo", "still there").await.text(), "still there", "{what}");
        let torn = market.stop().await;
        let kept = &answered[..answered.len() - lost];
        let mut tape = BTreeSet::new();
        let replayed = replay(&torn.path().join("data"), |_, _, events| {
            tape.extend(events.iter().filter_map(|event| match event {
                Event::Settled { lease, .. } => Some(lease.invocation),
                _ => None,
            }));
        });
        assert!(kept.iter().all(|(id, _)| tape.contains(id)), "{what}");
        assert_nothing_stays_taken(replayed.unwrap().engine);
    }
}

#[tokio::test]
async fn damage_in_the_middle_refuses_to_start_and_changes_nothing() {
    let (dir, _) = killed().await;
    let data = dir.path().join("data");
    let segment = newest_segment(&data);
    let whole = std::fs::read(&segment).unwrap();
    // In the first batch's payload, in its header, and in the segment's own header.
    for (position, named) in [(32 + 24 + 5, 32), (32 + 9, 32), (9, 0)] {
        let mut bytes = whole.clone();
        bytes[position] ^= 0x40;
        std::fs::write(&segment, bytes).unwrap();
        let before = contents(&data);

        let up = ["up", "--no-demo", "--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0", "--data-dir"];
        let started = tokio::time::timeout(crate::process::PATIENCE, merit().args(up).arg(&data).output());
        let refused = started.await.unwrap().unwrap();
        let said = String::from_utf8(refused.stderr).unwrap();
        assert!(!refused.status.success() && refused.stdout.is_empty(), "{said}");
        assert!(said.contains(&format!("journal-0000000001.segment, byte {named}: ")), "{said}");
        assert!(said.contains("Nothing was changed") && said.contains("merit journal verify"), "{said}");
        assert!(contents(&data) == before, "the refused start changed {}", data.display());
    }
}

/// Lists every file but the lock, which names its process.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.file_name().is_some_and(|name| name != "lock") {
            found.push(path);
        }
    }
    found
}

fn contents(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    files(folder).into_iter().map(|path| (path.clone(), std::fs::read(path).unwrap())).collect()
}

fn copy(from: &Path, to: &Path) {
    for file in files(from) {
        let copied = to.join(file.strip_prefix(from).unwrap());
        std::fs::create_dir_all(copied.parent().unwrap()).unwrap();
        std::fs::copy(file, copied).unwrap();
    }
}
