//! Tests of the sequencer with a real journal, whose thread a test can hold up.

use std::sync::mpsc;
use std::time::Duration;

use futures_util::FutureExt;
use merit_engine::{Adapter, Logon, ProviderKind, RegisterProvider, Reply};
use merit_terms::{AccountId, PoolSize, ProviderId};

use super::*;
use crate::recorded::Market;

/// A projection that sees no batch before the other end is dropped.
struct Held(Mutex<mpsc::Receiver<()>>);

impl Projection for Held {
    fn checkpoint(&self) -> u64 {
        u64::MAX
    }

    fn begin(&self, _engine: &Engine) {}

    fn apply(&self, _happened: &mut Vec<Happened>) {
        self.0.lock().unwrap().recv().unwrap_err();
    }
}

/// A projection that sends the number of commands of each batch.
struct Counted(Mutex<mpsc::Sender<usize>>);

impl Projection for Counted {
    fn checkpoint(&self) -> u64 {
        u64::MAX
    }

    fn begin(&self, _engine: &Engine) {}

    fn apply(&self, happened: &mut Vec<Happened>) {
        self.0.lock().unwrap().send(happened.len()).unwrap();
    }
}

fn must(sequencer: &Sequencer, command: Command) -> Reply {
    sequencer.submit(&command).unwrap().applied.reply.unwrap()
}

/// Logs a provider on. Returns it with its session.
fn log_on(sequencer: &Sequencer) -> (ProviderId, u32) {
    let registered = RegisterProvider {
        name: "edge-1".parse().unwrap(),
        account: AccountId::new(0),
        kind: ProviderKind::Own,
        labels: Default::default(),
    };
    let Reply::Provider(provider) = must(sequencer, Command::RegisterProvider(registered)) else { panic!() };
    let endpoint = "http://127.0.0.1:9".to_owned();
    let pools = vec![PoolSize { memory_mb: 1024, slots: 8 }];
    let logon = Logon {
        provider,
        endpoint,
        pools,
        quotas: Vec::new(),
        protection: None,
        adapter: Adapter::Agent,
        endpoint_trusted: false,
        targets: None,
    };
    let Reply::Session(session) = must(sequencer, Command::Logon(Box::new(logon))) else { panic!() };
    (provider, session)
}

#[test]
fn sessions_end_also_while_the_journal_is_behind() {
    let Market { directory: _directory, engine, journal, .. } = Market::new();
    let (held_up, held) = mpsc::channel();
    let sequencer =
        Sequencer::start(engine, journal, Arc::new(Held(Mutex::new(held))), Clock::begin(Time::default(), None))
            .unwrap();
    let (provider, session) = log_on(&sequencer);
    let Reply::Broker(broker) = must(&sequencer, Command::BrokerLogon { resumes: None }) else { panic!() };

    let labels = (0..64).map(|number| (format!("label-{number}"), "x".repeat(4000))).collect();
    let long = Command::GrantLabels { provider, labels };
    while sequencer.submit(&long).is_ok() {}
    let endings = [Command::Disconnect { provider, session }, Command::BrokerLost { session: broker.session }];
    for ending in &endings {
        assert_eq!(sequencer.submit(ending).unwrap_err(), SubmitError::Behind);
        sequencer.submit_ending(ending).unwrap().applied.reply.unwrap();
    }
    assert!(!sequencer.read(|engine| engine.provider(provider).unwrap().online));

    drop(held_up);
    sequencer.close();
    assert!(matches!(sequencer.submit_ending(&endings[0]), Err(SubmitError::Stopped(_))));
}

#[test]
fn a_batch_without_a_waiting_caller_is_written() {
    let Market { directory: _directory, engine, journal, .. } = Market::new();
    let (batches, written) = mpsc::channel();
    let sequencer =
        Sequencer::start(engine, journal, Arc::new(Counted(Mutex::new(batches))), Clock::begin(Time::default(), None))
            .unwrap();
    for number in 0..3 {
        must(&sequencer, Command::OpenAccount { name: format!("account-{number}").parse().unwrap() });
        assert_eq!(written.recv_timeout(Duration::from_secs(10)), Ok(1));
    }
}

#[test]
fn an_answer_waits_for_the_journal_unless_relaxed() {
    let Market { directory: _directory, engine, journal, .. } = Market::new();
    let (held_up, held) = mpsc::channel();
    let sequencer =
        Sequencer::start(engine, journal, Arc::new(Held(Mutex::new(held))), Clock::begin(Time::default(), None))
            .unwrap();
    let open = Command::OpenAccount { name: "team".parse().unwrap() };
    let durable = sequencer.submit(&open).unwrap().durable;
    assert_eq!(durable.clone().wait().now_or_never(), None, "its batch is held up");
    sequencer.relax();
    assert_eq!(durable.clone().wait().now_or_never(), Some(Ok(())));

    drop(held_up);
    sequencer.close();
    assert_eq!(durable.wait().now_or_never(), Some(Ok(())), "and is written all the same");
}
