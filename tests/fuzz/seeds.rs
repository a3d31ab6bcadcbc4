//! The committed seeds: small inputs that reach deep, made by the code that writes such bytes.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use merit_proto::{prove, sign, v1, write_proof};
use prost::Message;

use crate::seeds_folder;

type Seeds = BTreeMap<&'static str, Vec<u8>>;

#[test]
fn seeds_are_as_this_version_writes_them() {
    for (target, seeds) in [
        ("heads", heads()),
        ("journal", journal()),
        ("modules", modules()),
        ("protocol", protocol()),
        ("signatures", signatures()),
    ] {
        let folder = seeds_folder(target);
        for (name, bytes) in seeds {
            let path = folder.join(name);
            if std::env::var_os("MERIT_REGENERATE").is_some() {
                fs::create_dir_all(&folder).unwrap();
                fs::write(&path, &bytes).unwrap();
            }
            let committed = fs::read(&path).unwrap_or_default();
            assert!(committed == bytes, "{} differs: run this test with MERIT_REGENERATE=1", path.display());
        }
    }
}

fn heads() -> Seeds {
    let texts = [
        ("get", "GET /function/echo?a=b HTTP/1.1\r\nHost: a\r\n\r\n"),
        (
            "pipelined",
            "GET / HTTP/1.1\r\nHost: a\r\n\r\nPOST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi\
             GET / HTTP/1.0\r\n\r\n",
        ),
        (
            "chunks",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;x=\"y\"\r\nhello\r\n0\r\n\
             T: u\r\n\r\nGET / HTTP/1.1\r\n\r\n",
        ),
        ("doubtful", "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n"),
        ("http2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        ("bare_lines", "\r\n\nPOST / HTTP/1.1\nTransfer-Encoding: chunked\n\n1\r\na\r\n0\r\n\r\n"),
        ("expect", "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc"),
    ];
    // The first byte says in parts of how many bytes the rest arrives.
    texts.into_iter().map(|(name, text)| (name, [&[64], text.as_bytes()].concat())).collect()
}

fn journal() -> Seeds {
    let mut seeds = Seeds::new();
    seeds.insert("script_of_segments", vec![1, 9, 30, 200, 0, 77, 254, 12, 13, 140, 8]);
    seeds.insert("script_damaged_last", vec![1, 9, 30, 200, 0xff, 1, 0, 1]);
    seeds.insert("script_damaged_first", vec![1, 9, 30, 200, 77, 140, 0xff, 0, 40, 0]);
    seeds.insert("script_cut", vec![1, 9, 30, 200, 77, 140, 0xff, 1, 255, 255]);
    seeds.insert("segment", [&[0], merit_fuzz::written_segment().as_slice()].concat());
    seeds
}

fn modules() -> Seeds {
    let functions = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../functions");
    let samples = ["echo", "mandelbrot", "sha256", "wait", "wordcount"];
    samples.into_iter().map(|name| (name, fs::read(functions.join(format!("{name}.wasm"))).unwrap())).collect()
}

fn protocol() -> Seeds {
    let lease = Some(v1::LeaseId { run: 3, sequence: 41 });
    let tariff =
        Some(v1::Tariff { per_request: 200_000, per_gb_second: 16_666_700, increment_ms: 1, ..Default::default() });
    let rung = v1::Rung {
        id: 1,
        pool: 1,
        capacity_mb: 4096,
        tariff,
        memory_max_mb: 2048,
        audience: vec!["acme".into()],
        ..Default::default()
    };
    let limits = v1::Limits { ..Default::default() };
    let claims = v1::LeaseClaims { lease, ..Default::default() };
    let terms = v1::LeaseTerms { account: 2, revision: 3, hold: 6_450_013, memory_mb: 128, ..Default::default() };
    let message = |choice: u8, bytes: Vec<u8>| [vec![choice], bytes].concat();
    [
        ("rung", message(4, rung.encode_to_vec())),
        ("limits", message(5, limits.encode_to_vec())),
        ("claims", message(8, claims.encode_to_vec())),
        ("token", message(8, sign(&[8; 32], &claims).into_bytes())),
        ("terms", message(9, terms.encode_to_vec())),
        ("proof", message(9, write_proof(&prove(&[8; 32], &terms)).into_bytes())),
        ("price", message(11, b"0.0000166667".to_vec())),
        ("time", message(11, b"2026-11-24T12:00:00.000001Z".to_vec())),
        ("lease_id", message(11, b"3-41".to_vec())),
        ("market", message(11, b"eu-west/wasm".to_vec())),
    ]
    .into()
}

fn signatures() -> Seeds {
    let signed = "352d489e575f02e16abc752307ad8c76dddca5926347bca66d7e8e4e313b8bee";
    let authorization = |rest: &str| {
        format!("AWS4-HMAC-SHA256 Credential=key-7/20261124/us-east-1/lambda/aws4_request, {rest}, Signature={signed}")
    };
    let path = "/2015-03-31/functions/echo%3Alive/invocations\nQualifier=%24LATEST";
    let seed =
        |headers: &str, authorization: String| format!("{path}\n{authorization}\n{headers}\n\n{{}}").into_bytes();
    [
        ("botocore", seed("x-amz-date: 20261124T120000Z", authorization("SignedHeaders=host;x-amz-date"))),
        (
            "with_type",
            seed(
                "x-amz-date: 20261124T120000Z\nx-amz-invocation-type: Event",
                authorization("SignedHeaders=host;x-amz-date;x-amz-invocation-type"),
            ),
        ),
        (
            "another_service",
            seed("x-amz-date: 20261124T120000Z", "AWS4-HMAC-SHA256 Credential=a/b/c/s3/aws4_request".into()),
        ),
    ]
    .into()
}
