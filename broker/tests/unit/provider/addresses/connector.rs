//! Connections to real listeners under policies.

use std::future::{Ready, ready};
use std::sync::Mutex;

use tokio::net::TcpListener;

use super::*;

/// Answers each question with the next of these.
#[derive(Clone)]
struct Names(Arc<Mutex<std::vec::IntoIter<Vec<SocketAddr>>>>);

impl Names {
    fn new(answers: Vec<Vec<SocketAddr>>) -> Names {
        Names(Arc::new(Mutex::new(answers.into_iter())))
    }
}

impl Service<Name> for Names {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = std::io::Error;
    type Future = Ready<Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Name) -> Self::Future {
        ready(Ok(self.0.lock().unwrap().next().unwrap().into_iter()))
    }
}

fn public() -> SocketAddr {
    "8.8.8.8:80".parse().unwrap()
}

async fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

async fn connect<R>(connector: &mut Connector<R>, url: String) -> Result<(), String>
where
    Connector<R>: Service<Uri, Error = ConnectFailure>,
{
    let text = |error: &ConnectFailure| {
        let causes = std::iter::successors(Some(error.as_ref() as &dyn std::error::Error), |error| error.source());
        causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
    };
    connector.call(url.parse().unwrap()).await.map(drop).map_err(|error| text(&error))
}

#[tokio::test]
async fn a_name_that_turns_to_loopback_does_not_reach_it() {
    let (listener, local) = listener().await;
    let names = Names::new(vec![vec![public()], vec![local], vec![local, public()]]);
    let mut resolver = Resolver { names: names.clone(), policy: Arc::default(), trust: Trust::Anybody };
    let mut connector = connector_of(names, Arc::default(), Trust::Anybody, |_| {});
    let name = |name: &str| name.parse::<Name>().unwrap();
    let first: Vec<SocketAddr> = resolver.call(name("rebinds.example")).await.unwrap().collect();
    assert_eq!(first, [public()]);
    let refused = connect(&mut connector, format!("http://rebinds.example:{}/", local.port())).await.unwrap_err();
    assert!(refused.contains("127.0.0.1 is no address that may be called"), "{refused}");
    let mixed: Vec<SocketAddr> = resolver.call(name("rebinds.example")).await.unwrap().collect();
    assert_eq!(mixed, [public()], "only what passed is handed on");
    let nobody = tokio::time::timeout(std::time::Duration::from_millis(50), listener.accept()).await;
    assert!(nobody.is_err(), "somebody connected");
}

#[tokio::test]
async fn a_metadata_service_is_never_called_however_written() {
    let open = Policy { allowed: vec!["0.0.0.0/0".parse().unwrap(), "::/0".parse().unwrap()], allow_loopback: true };
    let literals = [
        "169.254.169.254",
        "168.63.129.16",
        "192.0.0.192",
        "100.100.100.200",
        "[fd00:ec2::254]",
        "[fd20:ce::254]",
        "[::ffff:169.254.169.254]",
        "[::ffff:a9fe:a9fe]",
        "[64:ff9b::a9fe:a9fe]",
    ];
    // Only a resolver takes these for addresses.
    let numbers = ["2852039166", "0xa9fea9fe", "0251.0376.0251.0376", "169.254.43518"];
    for trust in [Trust::Anybody, Trust::Operator] {
        let mut connector = connector(Arc::new(open.clone()), trust, |_| {});
        for host in literals.iter().chain(&numbers) {
            let refused = connect(&mut connector, format!("http://{host}/latest/meta-data/")).await.unwrap_err();
            assert!(refused.contains("is no address that may be called"), "{trust:?}, {host}: {refused}");
        }
        let names = Names::new(vec![vec!["169.254.169.254:80".parse().unwrap()]]);
        let mut connector = connector_of(names, Arc::new(open.clone()), trust, |_| {});
        let refused = connect(&mut connector, "http://metadata.google.internal/".to_owned()).await.unwrap_err();
        assert!(refused.contains("is no address that may be called"), "{trust:?}: {refused}");
    }
}

#[tokio::test]
async fn an_address_in_the_url_is_checked_as_well() {
    let (listener, local) = listener().await;
    let mut strict = connector(Arc::default(), Trust::Anybody, |_| {});
    for host in ["127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "10.0.0.1", "[fe80::1]", "0.0.0.0", "169.254.169.254"] {
        let refused = connect(&mut strict, format!("http://{host}:{}/", local.port())).await.unwrap_err();
        assert!(refused.contains("is no address that may be called"), "{host}: {refused}");
    }
    // What only a resolver takes for an address is resolved, and then checked.
    for host in ["127.1", "2130706433", "0x7f000001", "localhost"] {
        assert!(connect(&mut strict, format!("http://{host}:{}/", local.port())).await.is_err(), "{host}");
    }
    let mut trusting = connector(Arc::default(), Trust::Operator, |_| {});
    connect(&mut trusting, format!("http://{local}/")).await.unwrap();
    let open = Policy { allow_loopback: true, ..Policy::default() };
    let mut local_too = connector(Arc::new(open), Trust::Anybody, |_| {});
    connect(&mut local_too, format!("http://{local}/")).await.unwrap();
    drop(listener);
}
