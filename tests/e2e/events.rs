//! A reader of server-sent events, like a browser.

use std::collections::VecDeque;

use http::Request;
use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

use crate::process::PATIENCE;

pub(crate) struct Events {
    body: Incoming,
    buffer: String,
    heard: VecDeque<ServerEvent>,
    /// Id with which a browser would resume.
    pub(crate) last_id: Option<String>,
}

/// One event.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ServerEvent {
    pub(crate) name: String,
    pub(crate) data: Value,
}

impl Events {
    pub(crate) async fn open(url: &str, last_id: Option<&str>) -> Events {
        let mut request = Request::get(url).header("accept", "text/event-stream");
        if let Some(id) = last_id {
            request = request.header("last-event-id", id);
        }
        let client = Client::builder(TokioExecutor::new()).build_http();
        let response = client.request(request.body(Empty::<Bytes>::new()).unwrap()).await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        let last_id = last_id.map(str::to_owned);
        Events { body: response.into_body(), buffer: String::new(), heard: VecDeque::new(), last_id }
    }

    /// Returns the next event that is no heartbeat.
    pub(crate) async fn next(&mut self) -> ServerEvent {
        loop {
            match self.heard.pop_front() {
                Some(heard) if heard.name != "heartbeat" => return heard,
                Some(_) => {}
                None => self.read().await,
            }
        }
    }

    /// Reads on until an event of this name passes the check.
    pub(crate) async fn until(&mut self, name: &str, asked: impl Fn(&Value) -> bool) -> Value {
        loop {
            let heard = self.next().await;
            if heard.name == name && asked(&heard.data) {
                return heard.data;
            }
        }
    }

    async fn read(&mut self) {
        let frame = tokio::time::timeout(PATIENCE, self.body.frame()).await.expect("nothing came");
        let bytes = frame.expect("the stream ended").unwrap().into_data().unwrap();
        self.buffer.push_str(std::str::from_utf8(&bytes).unwrap());
        while let Some(end) = self.buffer.find("\n\n") {
            let event: String = self.buffer.drain(..end + 2).collect();
            let field =
                |name: &str| event.lines().find_map(|line| line.strip_prefix(name)).map(|text| text.trim_start());
            if let Some(id) = field("id:") {
                self.last_id = Some(id.to_owned());
            }
            if let (Some(name), Some(data)) = (field("event:"), field("data:")) {
                let data = serde_json::from_str(data).unwrap();
                self.heard.push_back(ServerEvent { name: name.to_owned(), data });
            }
        }
    }
}
