//! Sessions over a real socket: logon, quotes, heartbeats, loss and return, and the end.

use std::time::Duration;

use merit_agent::{SessionEnd, SessionError, StartError};
use merit_proto::v1;
use tokio::net::TcpSocket;
use tokio::time::timeout;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::Status;

use crate::kit::{World, network, sample, sees, settings, start};
use crate::peer::{Peer, Seen};

fn logon(seen: Seen) -> Option<v1::Logon> {
    match seen {
        Seen::Logon(logon) => Some(logon),
        _ => None,
    }
}

fn quote(seen: Seen) -> Option<(u32, v1::QuoteLadder)> {
    match seen {
        Seen::Quote { session, quote } => Some((session, quote)),
        _ => None,
    }
}

fn heartbeat(seen: Seen) -> Option<Vec<v1::PoolSize>> {
    match seen {
        Seen::Heartbeat(pools) => Some(pools),
        _ => None,
    }
}

#[tokio::test]
async fn logs_on_quotes_its_ladder_and_beats() {
    let mut world = World::new(sample("echo"), 2).await;
    let logon = sees(&mut world.seen, logon).await;
    assert_eq!((logon.provider.as_str(), logon.endpoint.as_str()), ("edge-1", world.provider.endpoint()));
    let pools = [v1::PoolSize { memory_mb: 1024, slots: 2 }];
    assert_eq!(logon.pools, pools);
    let (session, quote) = sees(&mut world.seen, quote).await;
    assert_eq!((session, quote.market.as_str(), quote.rungs.len()), (1, "local/wasm", 4));
    assert_eq!(sees(&mut world.seen, heartbeat).await, pools);

    let mut standing = world.provider.standing();
    let quoted = timeout(Duration::from_secs(20), standing.wait_for(|standing| standing.markets == 1)).await;
    assert_eq!(quoted.unwrap().unwrap().session, Some(1));
}

#[tokio::test]
async fn a_lost_stream_is_replaced_by_one_that_runs_calls() {
    let mut world = World::new(sample("echo"), 1).await;
    assert_eq!(sees(&mut world.seen, quote).await.1.number, 1);
    let of_first = world.token(1);
    world.peer.end(Status::unavailable("the exchange restarts"));
    sees(&mut world.seen, logon).await;
    let (session, quote) = sees(&mut world.seen, quote).await;
    assert_eq!((session, quote.number), (2, 2));
    assert_eq!(world.broker.invoke(&world.token(2), "again").await.body, "again");
    assert_eq!(world.broker.invoke(&of_first, "late").await.code(), "token_forged");
}

#[tokio::test]
async fn an_exchange_that_comes_late_is_waited_for() {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap(); // Until it listens, connections are refused.
    let address = socket.local_addr().unwrap();
    let transport = merit_proto::Transport::network(&format!("http://{address}")).unwrap();
    let starting = tokio::spawn(start(settings(1), transport));
    let (peer, mut seen) = Peer::new(sample("echo"));
    let incoming = TcpListenerStream::new(socket.listen(16).unwrap());
    tokio::spawn(tonic::transport::Server::builder().add_routes(peer.routes()).serve_with_incoming(incoming));
    sees(&mut seen, logon).await;
    assert!(starting.await.unwrap().is_ok());
}

#[tokio::test]
async fn a_refused_logon_keeps_a_provider_from_starting() {
    let (peer, _seen) = Peer::new(sample("echo"));
    peer.refuse(Status::permission_denied("the provider `edge-1` is not registered"));
    let error = start(settings(1), network(&peer).await).await.err().unwrap();
    assert!(matches!(&error, StartError::Session(SessionEnd::Session(SessionError::Refused { .. }))), "{error:?}");
    assert_eq!(error.to_string(), "the exchange refused the logon: the provider `edge-1` is not registered");
}

#[tokio::test]
async fn settings_that_cannot_sell_keep_a_provider_from_starting() {
    let (peer, _seen) = Peer::new(sample("echo"));
    let transport = network(&peer).await;
    let mut settings = settings(1);
    settings.markets.clear();
    assert!(matches!(start(settings, transport).await, Err(StartError::Settings(_))));
}

#[tokio::test]
async fn another_session_of_the_provider_ends_this_one_for_good() {
    let mut world = World::new(sample("echo"), 1).await;
    sees(&mut world.seen, quote).await;
    world.peer.end(Status::aborted("another session of the provider has logged on"));
    let ended = timeout(Duration::from_secs(20), world.provider.ended()).await.unwrap();
    assert!(matches!(ended, Err(SessionEnd::Session(SessionError::Superseded { .. }))));
    assert!(world.provider.ended().await.is_ok(), "it is told once");
    while let Ok(seen) = world.seen.try_recv() {
        assert!(logon(seen).is_none());
    }
}

#[tokio::test]
async fn a_stop_cancels_offers_drains_calls_and_ends_the_session() {
    let World { peer, mut seen, provider, broker } = World::new(sample("echo"), 1).await;
    peer.hold_modules_back();
    let running = tokio::spawn({
        let (broker, token) = (broker.clone(), peer.sign(&peer.claims(1)));
        async move { broker.invoke(&token, "last").await }
    });
    sees(&mut seen, |seen| matches!(seen, Seen::ModuleAsked).then_some(())).await;
    let stopping = tokio::spawn(provider.stop(Duration::from_secs(20)));
    sees(&mut seen, |seen| {
        assert!(!matches!(seen, Seen::Ended { .. }), "the session hears of the last settlements");
        matches!(seen, Seen::CancelledAll).then_some(())
    })
    .await;
    peer.let_modules_go();
    assert_eq!(running.await.unwrap().body, "last");
    let session = sees(&mut seen, |seen| match seen {
        Seen::Ended { session } => Some(session),
        _ => None,
    });
    assert_eq!(session.await, 1);
    assert!(stopping.await.unwrap().is_ok());
}

#[tokio::test]
async fn a_call_past_a_stop_s_deadline_is_cut_off() {
    let World { peer, mut seen, provider, broker } = World::new(sample("echo"), 1).await;
    peer.hold_modules_back();
    let running = tokio::spawn({
        let token = peer.sign(&peer.claims(1));
        async move { broker.invoke(&token, "late").await }
    });
    sees(&mut seen, |seen| matches!(seen, Seen::ModuleAsked).then_some(())).await;
    let stopped = provider.stop(Duration::from_millis(50)).await;
    assert!(matches!(stopped, Err(merit_agent::StopError::CutOff)));
    assert!(running.await.is_err(), "its connection breaks");
}
