//! Brokers for the tests of other floors, at an exchange that nobody runs.

use super::*;
use crate::caller::DEV;
use crate::quota::rates::tests::cache_unlimited;

/// Makes a server with this access.
async fn server(access: Access) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let settings = Settings {
        exchange: Transport::network("http://127.0.0.1:1").unwrap(),
        page: Page::Folder("nowhere".into()),
        access,
        tls: None,
        addresses: Policy::default(),
        provider_authorities: Vec::new(),
        access_log: 0.0,
    };
    Server::new(listener, settings).unwrap()
}

/// Makes the front of a broker without keys, whose account has no limit.
pub(crate) async fn front() -> Front {
    let front = server(Access::KeylessLoopback).await.front;
    cache_unlimited(&front.broker().rates, DEV);
    front
}
