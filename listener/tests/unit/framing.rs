//! The framing of requests, read in parts of every size.

use super::*;

/// Reads `sent` in parts of `size` and hands each request over as soon as its head is there. Returns the heads, and the
/// position of the last byte.
fn followed(sent: &str, size: usize, framings: &[Framing]) -> (Vec<String>, Position) {
    let (mut reading, mut framings) = (HeadReader::default(), framings.iter());
    let mut heads = Vec::new();
    for part in sent.as_bytes().chunks(size) {
        reading.read(part);
        while let Some(head) = reading.head() {
            heads.push(String::from_utf8(head.to_vec()).unwrap());
            reading.pass(*framings.next().unwrap());
        }
    }
    assert!(reading.kept.is_empty(), "{reading:?}");
    (heads, reading.position)
}

fn check(sent: &[(&str, Framing, &str)]) {
    let all: String = sent.iter().flat_map(|(head, _, body)| [*head, *body]).collect();
    let heads: Vec<String> = sent.iter().map(|(head, _, _)| (*head).to_owned()).collect();
    let framings: Vec<Framing> = sent.iter().map(|(_, framing, _)| *framing).collect();
    for size in 1..=all.len() {
        assert_eq!(followed(&all, size, &framings), (heads.clone(), Position::Head), "in parts of {size}");
    }
}

const GET: (&str, Framing, &str) = ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", Framing::Length(0), "");

#[test]
fn every_head_is_found_behind_what_stands_before_it() {
    check(&[GET]);
    check(&[GET, GET, GET]);
    check(&[("\r\n\r\nGET / HTTP/1.1\nHost: a\n\n", Framing::Length(0), ""), GET]);
    check(&[("POST / HTTP/1.1\r\n\r\n", Framing::Length(30), "GET / HTTP/1.1\r\nHost: a\r\n\r\n..."), GET]);
    let post = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
    check(&[(post, Framing::Chunks, "0\r\n\r\n"), GET]);
    check(&[(post, Framing::Chunks, "0\r\nA: b\n\nX\nP: 1\nQ: 2\r\n\r\n"), GET]);
    check(&[(post, Framing::Chunks, "5\r\nhello\r\n00A;b=\"c\"\r\n\r\n\r\n\r\n\r\n\r\n\r\n0\r\nA: b\r\n\r\n"), GET]);
    check(&[(post, Framing::Chunks, "1c\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n.\r\n0 ;x\r\n\r\n"), GET, GET]);
}

#[test]
fn what_is_no_http_1_is_not_kept() {
    let mut reading = HeadReader::default();
    for part in HTTP2_PREFACE.chunks(5) {
        reading.read(part);
    }
    assert_eq!((reading.position, reading.kept.capacity()), (Position::Lost, 0));
    let mut reading = HeadReader::default();
    for _ in 0..100 {
        reading.read(&[b'x'; 1024]);
    }
    assert_eq!((reading.position, reading.kept.capacity()), (Position::Lost, 0));
}

#[test]
fn a_length_is_found_wherever_it_stands() {
    let check = |fields: &str, count: usize, expected: bool| {
        assert_eq!(has_fields(format!("\r\nPOST / HTTP/1.1\r\n{fields}\r\n").as_bytes(), count), expected, "{fields}");
    };
    check("Host: a\r\nTransfer-Encoding: chunked\r\n", 2, true);
    check("Host: a\nTransfer-Encoding: chunked\n", 2, true);
    check("Transfer-Encoding: chunked\r\ncontent-LENGTH: 5\r\n", 1, false);
    check("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", 1, false);
    check("X: Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", 2, true);
    check("Transfer-Encoding: chunked\r\n", 2, false);
}
