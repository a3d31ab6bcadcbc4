//! Providers at https:// endpoints that choose HTTP/2: many calls over one connection, and streams that were not
//! processed.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use http::{Method, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::json;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Barrier, Notify};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::tls::certificate;
use super::{Key, Secured};
use crate::market::Answer;
use crate::process::Process;

/// Number of calls that wait for one another.
const TOGETHER: usize = 40;

/// A certificate for `localhost`, and a server that shows it.
struct Tls {
    directory: TempDir,
    acceptor: TlsAcceptor,
}

impl Tls {
    /// Makes a certificate and a server that offers these protocols.
    fn new(protocols: &[&str]) -> Tls {
        let directory = tempfile::tempdir().unwrap();
        certificate(directory.path());
        let path = |name: &str| directory.path().join(name);
        let chain = vec![CertificateDer::from_pem_file(path("cert.pem")).unwrap()];
        let key = PrivateKeyDer::from_pem_file(path("key.pem")).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config =
            rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let mut config = config.with_no_client_auth().with_single_cert(chain, key).unwrap();
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        Tls { directory, acceptor: TlsAcceptor::from(Arc::new(config)) }
    }

    fn ca(&self) -> String {
        self.directory.path().join("cert.pem").display().to_string()
    }
}

/// Serves every connection, with its number. Returns the port.
async fn listen<F>(
    tls: &Tls,
    tasks: &mut JoinSet<()>,
    serve: impl Fn(usize, TlsStream<TcpStream>) -> F + Send + 'static,
) -> u16
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (port, acceptor) = (listener.local_addr().unwrap().port(), tls.acceptor.clone());
    tasks.spawn(async move {
        for number in 0.. {
            let connection = acceptor.accept(listener.accept().await.unwrap().0).await;
            if let Ok(connection) = connection {
                tokio::spawn(serve(number, connection));
            }
        }
    });
    port
}

/// Starts a market that trusts the certificate, with an account in it.
async fn market(tls: &Tls) -> (Secured, Key) {
    let secured = Secured::start_with(&["--provider-ca", &tls.ca()]).await;
    let team = secured.account("team").await;
    (secured, team)
}

/// Sells the function server at this port, at a price for each call.
async fn sell(secured: &Secured, name: &str, endpoint: &str, price: &str) -> Process {
    let fee = ["--per-gb-second", "0", "--per-request", price, "--slots", "128", "--memory-mb", "65536"];
    secured.provider(name, &[&["--adapter", "http", "--endpoint", endpoint][..], &fee].concat()).await
}

async fn define(secured: &Secured, key: &Key, name: &str, idempotent: bool, providers: &[&str]) {
    deploy(secured, key, name, idempotent, &providers.iter().map(|provider| (*provider, "/")).collect::<Vec<_>>())
        .await;
}

/// Deploys a function with a target at each provider.
async fn deploy(secured: &Secured, key: &Key, name: &str, idempotent: bool, places: &[(&str, &str)]) {
    let deployments: Vec<_> =
        places.iter().map(|(provider, target)| json!({"provider": provider, "target": target})).collect();
    let definition =
        json!({"providers": "any", "timeout_ms": 60_000, "idempotent": idempotent, "deployments": deployments});
    let path = format!("/v1/functions/{name}");
    let put = secured.call_as(key, Method::PUT, &path, &[], definition.to_string()).await;
    assert_eq!(put.status, 200, "{put:?}");
}

async fn call(secured: &Secured, key: &Key, path: &str, payload: &str) -> Answer {
    secured.call_as(key, Method::POST, path, &[], payload.to_owned()).await
}

/// Tells the protocol's version, the host and the payload; at `/together` once enough calls wait there.
async fn tell(request: Request<Incoming>, together: Arc<Barrier>) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let payload = body.collect().await.unwrap().to_bytes();
    if head.uri.path() == "/together" {
        together.wait().await;
    }
    let told = format!("{:?} {} {}", head.version, head.uri, String::from_utf8_lossy(&payload));
    Ok(Response::new(Full::new(told.into())))
}

/// Returns the words of a hyper server that offers these protocols, and the number of its connections.
async fn told_by(protocols: &[&str]) -> (Vec<String>, u16, usize) {
    let (tls, mut tasks) = (Tls::new(protocols), JoinSet::new());
    let (connections, together) = (Arc::new(AtomicUsize::new(0)), Arc::new(Barrier::new(TOGETHER)));
    let counted = connections.clone();
    let port = listen(&tls, &mut tasks, move |_, connection| {
        counted.fetch_add(1, Ordering::Relaxed);
        let together = together.clone();
        let service = service_fn(move |request| tell(request, together.clone()));
        async move {
            let server = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
            server.serve_connection(TokioIo::new(connection), service).await.ok();
        }
    })
    .await;
    let (secured, team) = market(&tls).await;
    let _server = sell(&secured, "server", &format!("https://localhost:{port}"), "0.000001").await;
    define(&secured, &team, "f", false, &["server"]).await;
    let mut told = vec![call(&secured, &team, "/fn/f/first", "one").await.text().to_owned()];
    let calls = (0..TOGETHER).map(|number| {
        let (secured, team) = (&secured, &team);
        async move { call(secured, team, "/fn/f/together", &number.to_string()).await.text().to_owned() }
    });
    told.extend(futures_util::future::join_all(calls).await);
    (told, port, connections.load(Ordering::Relaxed))
}

#[tokio::test]
async fn an_http_2_endpoint_gets_many_calls_over_one_connection() {
    let (told, port, connections) = told_by(&["h2", "http/1.1"]).await;
    assert_eq!(told[0], format!("HTTP/2.0 https://localhost:{port}/first one"));
    for (number, told) in told[1..].iter().enumerate() {
        assert_eq!(*told, format!("HTTP/2.0 https://localhost:{port}/together {number}"));
    }
    assert_eq!(connections, 1);
}

#[tokio::test]
async fn an_http_1_endpoint_gets_a_connection_for_each_call() {
    let (told, _, connections) = told_by(&["http/1.1"]).await;
    assert_eq!(told[0], "HTTP/1.1 /first one");
    assert_eq!(connections, TOGETHER);
}

#[tokio::test]
async fn a_certificate_that_nobody_vouches_for_is_not_believed() {
    let (believed, strange, mut tasks) = (Tls::new(&["h2"]), Tls::new(&["h2"]), JoinSet::new());
    let port = listen(&strange, &mut tasks, |_, _| async { panic!("somebody believed it") }).await;
    let (secured, team) = market(&believed).await;
    let _server = sell(&secured, "server", &format!("https://localhost:{port}"), "0.000001").await;
    define(&secured, &team, "f", false, &["server"]).await;
    let answer = call(&secured, &team, "/fn/f", "").await;
    assert_eq!((answer.status.as_u16(), answer.code()), (502, "provider_failed".to_owned()), "{answer:?}");
    assert_eq!(answer.json()["error"]["details"]["execution"], "not_sent", "{answer:?}");
    assert!(answer.message().contains("certificate"), "{answer:?}");
}

/// Behaviour of a server that has read a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reaction {
    Answers,
    /// RST_STREAM: REFUSED_STREAM.
    Refuses,
    /// RST_STREAM: INTERNAL_ERROR.
    Resets,
    /// GOAWAY before it has read anything, as at its limit of connections.
    GoesAwayAtOnce,
    /// GOAWAY with a last stream below the request's.
    GoesAway,
    /// As `GoesAway` on its first connection; on others it answers.
    GoesAwayOnce,
    /// GOAWAY with the request's stream as the last, and the end of the connection.
    GoesAwayWithIt,
    /// The beginning of an answer, then RST_STREAM: REFUSED_STREAM, which comes too late to be true.
    BreaksOff,
}

/// Provider and number of the attempt that answers; none if the caller is told that it is unknown whether the call ran.
type ServedBy = Option<(&'static str, &'static str)>;

const ELSEWHERE: ServedBy = Some(("good", "2"));

const TABLE: [(Reaction, ServedBy, ServedBy); 8] = [
    (Reaction::Answers, Some(("bad", "1")), Some(("bad", "1"))),
    (Reaction::Refuses, ELSEWHERE, ELSEWHERE),
    (Reaction::Resets, None, ELSEWHERE),
    (Reaction::GoesAwayAtOnce, ELSEWHERE, ELSEWHERE),
    (Reaction::GoesAway, ELSEWHERE, ELSEWHERE),
    (Reaction::GoesAwayOnce, Some(("bad", "1")), Some(("bad", "1"))),
    (Reaction::GoesAwayWithIt, None, ELSEWHERE),
    (Reaction::BreaksOff, None, ELSEWHERE),
];

/// A frame of RFC 9113, section 4.1.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

const NO_ERROR: u32 = 0;
const INTERNAL_ERROR: u32 = 2;
const REFUSED_STREAM: u32 = 7;

/// Returns the frames that a server sends after a whole request on a stream.
fn said(way: Reaction, connection: usize, stream: u32) -> Vec<u8> {
    let head = frame(HEADERS, END_HEADERS, stream, &[0x88]); // `:status: 200`, of the static table.
    let reset = |code: u32| frame(RST_STREAM, 0, stream, &code.to_be_bytes());
    let go_away = |last: u32| frame(GOAWAY, 0, 0, &[last.to_be_bytes(), NO_ERROR.to_be_bytes()].concat());
    match way {
        Reaction::Refuses => reset(REFUSED_STREAM),
        Reaction::Resets => reset(INTERNAL_ERROR),
        Reaction::GoesAway | Reaction::GoesAwayAtOnce => go_away(stream - 1),
        Reaction::GoesAwayOnce if connection == 0 => go_away(stream - 1),
        Reaction::GoesAwayWithIt => go_away(stream),
        Reaction::BreaksOff => [head, frame(DATA, 0, stream, b"hal"), reset(REFUSED_STREAM)].concat(),
        Reaction::Answers | Reaction::GoesAwayOnce => [head, frame(DATA, END_STREAM, stream, b"well")].concat(),
    }
}

/// Speaks HTTP/2 by hand, until the client is gone.
async fn misbehave(way: Reaction, number: usize, mut connection: TlsStream<TcpStream>) -> std::io::Result<()> {
    let mut preface = [0; 24];
    connection.read_exact(&mut preface).await?;
    connection.write_all(&frame(SETTINGS, 0, 0, &[])).await?;
    if way == Reaction::GoesAwayAtOnce {
        connection.write_all(&frame(GOAWAY, 0, 0, &[0; 8])).await?;
        connection.flush().await?;
    }
    loop {
        let mut head = [0; 9];
        connection.read_exact(&mut head).await?;
        let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
        connection.read_exact(&mut payload).await?;
        let (kind, flags, stream) = (head[3], head[4], u32::from_be_bytes([head[5], head[6], head[7], head[8]]));
        if kind == SETTINGS && flags == 0 {
            connection.write_all(&frame(SETTINGS, 1, 0, &[])).await?;
        }
        if matches!(kind, DATA | HEADERS) && flags & END_STREAM != 0 {
            connection.write_all(&said(way, number, stream)).await?;
            connection.flush().await?;
            if way == Reaction::GoesAwayWithIt {
                return connection.shutdown().await;
            }
        }
    }
}

async fn check(secured: &Secured, team: &Key, name: &str, answered: ServedBy) {
    let answer = call(secured, team, &format!("/v1/functions/{name}/invocations"), "1").await;
    let place = format!("{name}: {answer:?}");
    let Some((by, attempts)) = answered else {
        assert_eq!(answer.status, 502, "{place}");
        return assert_eq!(answer.json()["error"]["details"]["execution"], "unknown", "{place}");
    };
    assert_eq!(answer.status, 200, "{place}");
    let by = if by == "bad" { name } else { by };
    let said = [answer.header("merit-provider"), answer.header("merit-attempts")];
    assert_eq!((said, answer.text()), ([by, attempts], "well"), "{place}");
}

#[tokio::test]
async fn only_unprocessed_http_2_streams_are_tried_elsewhere() {
    let (tls, mut tasks) = (Tls::new(&["h2"]), JoinSet::new());
    let (secured, team) = market(&tls).await;
    let mut sellers = Vec::new();
    let good = listen(&tls, &mut tasks, |number, connection| async move {
        misbehave(Reaction::Answers, number, connection).await.ok();
    });
    sellers.push(sell(&secured, "good", &format!("https://localhost:{}", good.await), "0.000002").await);
    let cases = TABLE.into_iter().flat_map(|(way, once, twice)| [(way, false, once), (way, true, twice)]);
    // Each case has a provider of its own: the effect on a provider, such as its being full, lasts for a while.
    for (way, idempotent, answered) in cases {
        let bad = listen(&tls, &mut tasks, move |number, connection| async move {
            misbehave(way, number, connection).await.ok();
        });
        let name = format!("{way:?}-{idempotent}").to_lowercase();
        sellers.push(sell(&secured, &name, &format!("https://localhost:{}", bad.await), "0.000001").await);
        define(&secured, &team, &name, idempotent, &["good", &name]).await;
        check(&secured, &team, &name, answered).await;
    }
}

/// Passes bytes on between the broker and a server, until it is frozen.
async fn relay(mut from: TcpStream, port: u16, freeze: Arc<Notify>) {
    let mut to = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    tokio::select! {
        _ = tokio::io::copy_bidirectional(&mut from, &mut to) => {}
        () = freeze.notified() => std::future::pending().await,
    }
}

#[tokio::test]
async fn a_silently_dead_connection_is_replaced_for_later_calls() {
    let (tls, mut tasks, freeze) = (Tls::new(&["h2"]), JoinSet::new(), Arc::new(Notify::new()));
    let port = listen(&tls, &mut tasks, |number, connection| async move {
        misbehave(Reaction::Answers, number, connection).await.ok();
    })
    .await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    let frozen = freeze.clone();
    tasks.spawn(async move {
        while let Ok((connection, _)) = listener.accept().await {
            tokio::spawn(relay(connection, port, frozen.clone()));
        }
    });
    let (secured, team) = market(&tls).await;
    let _server = sell(&secured, "server", &endpoint, "0.000001").await;
    // The timeout is longer than HTTP/2's keep-alive.
    define(&secured, &team, "f", false, &["server"]).await;
    assert_eq!(call(&secured, &team, "/fn/f", "").await.text(), "well");
    freeze.notify_waiters();
    let began = Instant::now();
    let lost = call(&secured, &team, "/fn/f", "").await;
    assert_eq!((lost.status.as_u16(), lost.code()), (502, "provider_failed".to_owned()), "{lost:?}");
    assert_eq!(lost.json()["error"]["details"]["execution"], "unknown", "{lost:?}");
    assert!(began.elapsed() < Duration::from_secs(40), "its own timeout ended it, not the silence");
    crate::process::eventually("a new connection is made", || async {
        (call(&secured, &team, "/fn/f", "").await.status == 200).then_some(())
    })
    .await;
}

/// A long answer at `/long`, a short one elsewhere.
async fn long_or_short(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let is_long = request.uri().path() == "/long";
    request.into_body().collect().await.unwrap();
    let answer = if is_long { Bytes::from(vec![b'x'; 19 << 20]) } else { Bytes::from_static(b"short") };
    Ok(Response::new(Full::new(answer)))
}

#[tokio::test]
async fn slow_readers_hold_up_nobody_on_their_connection() {
    let (tls, mut tasks) = (Tls::new(&["h2"]), JoinSet::new());
    let port = listen(&tls, &mut tasks, |_, connection| async move {
        let server = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
        server.serve_connection(TokioIo::new(connection), service_fn(long_or_short)).await.ok();
    })
    .await;
    let (secured, team) = market(&tls).await;
    let _server = sell(&secured, "server", &format!("https://localhost:{port}"), "0.000001").await;
    define(&secured, &team, "f", false, &["server"]).await;
    let address = secured.market.http.trim_start_matches("http://").to_owned();
    let mut unread = Vec::new();
    for _ in 0..8 {
        let mut caller = TcpStream::connect(&address).await.unwrap();
        let head = format!("GET /fn/f/long HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {}\r\n\r\n", team.text());
        caller.write_all(head.as_bytes()).await.unwrap();
        let mut begun = [0; 12];
        caller.read_exact(&mut begun).await.unwrap();
        assert_eq!(&begun, b"HTTP/1.1 200");
        unread.push(caller);
    }
    let began = Instant::now();
    assert_eq!(call(&secured, &team, "/fn/f/short", "").await.text(), "short");
    assert!(began.elapsed() < Duration::from_secs(30), "as long as nobody reads");
}

/// Counts the calls there, and answers at `/` alone.
async fn hold(request: Request<Incoming>, held: Arc<AtomicUsize>) -> Result<Response<Full<Bytes>>, Infallible> {
    if request.uri().path() != "/" {
        held.fetch_add(1, Ordering::Relaxed);
        std::future::pending::<()>().await;
    }
    Ok(Response::new(Full::default()))
}

#[tokio::test]
async fn a_full_named_target_leaves_the_providers_own_alone() {
    let (tls, mut tasks, held) = (Tls::new(&["h2"]), JoinSet::new(), Arc::new(AtomicUsize::new(0)));
    let mut ports = Vec::new();
    for _ in 0..2 {
        let held = held.clone();
        let serve = move |_, connection| {
            let held = held.clone();
            async move {
                let server = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
                let service = service_fn(move |request| hold(request, held.clone()));
                server.serve_connection(TokioIo::new(connection), service).await.ok();
            }
        };
        ports.push(listen(&tls, &mut tasks, serve).await);
    }
    let [named, own] = [0, 1].map(|server| format!("https://localhost:{}/", ports[server]));
    let (secured, team) = market(&tls).await;
    let _server = sell(&secured, "server", own.trim_end_matches('/'), "0.000001").await;
    let allowed = json!({"targets": [format!("{named}*")]});
    secured.operate(Method::PUT, "/v1/providers/server/targets", allowed).await;
    deploy(&secured, &team, "named", false, &[("server", &named)]).await;
    define(&secured, &team, "f", false, &["server"]).await;
    assert_eq!(call(&secured, &team, "/fn/named", "").await.status, 200, "it tells that it speaks HTTP/2");
    let full = async {
        futures_util::future::join_all((0..100).map(|_| call(&secured, &team, "/fn/named/hold", ""))).await;
    };
    let tried = async {
        crate::process::eventually("a hundred calls are there", || async {
            (held.load(Ordering::Relaxed) == 100).then_some(())
        })
        .await;
        let refused = call(&secured, &team, "/fn/named", "").await;
        assert_eq!((refused.status.as_u16(), &*refused.code()), (502, "provider_failed"), "{refused:?}");
        assert!(refused.text().contains("as many calls as one connection"), "{refused:?}");
        assert_eq!(call(&secured, &team, "/fn/f", "").await.status, 200);
    };
    tokio::select! {
        () = full => panic!("what never answers answered"),
        () = tried => {}
    }
}
