//! Answers that are delivered, and answers that are dropped.

use http_body_util::BodyExt;
use tokio::sync::mpsc;

use super::*;

const LEASE: LeaseId = LeaseId { run: 1, sequence: 7 };

fn output(bytes: &'static str) -> (AnswerBody, mpsc::Receiver<RunEvent>) {
    let (runs, ran) = mpsc::channel(1);
    (AnswerBody::new(Bytes::from_static(bytes.as_bytes()), Delivery::of(LEASE, runs)), ran)
}

#[tokio::test]
async fn an_answer_that_was_taken_is_delivered() {
    let (output, mut ran) = output("done");
    assert_eq!(HttpBody::size_hint(&output).exact(), Some(4));
    assert_eq!(output.collect().await.unwrap().to_bytes(), "done");
    assert!(ran.recv().await.is_none());
}

#[tokio::test]
async fn a_dropped_answer_is_reported_undelivered() {
    let (output, mut ran) = output("done");
    drop(output);
    assert!(matches!(ran.recv().await, Some(RunEvent::Undelivered(LEASE))));
}
