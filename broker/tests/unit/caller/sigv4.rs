//! Signatures of botocore, and changes of the signed request.

use super::*;

const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

/// Headers that botocore 1.x signs for `lambda.invoke(FunctionName="echo:live", Payload=b"{}")` with this secret.
fn headers() -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert("host", "127.0.0.1:8080".parse().unwrap());
    headers.insert("x-amz-date", "20261124T120000Z".parse().unwrap());
    headers
}

fn request<'a>(headers: &'a HeaderMap, body: &'a [u8]) -> SignedRequest<'a> {
    SignedRequest {
        method: "POST",
        path: "/2015-03-31/functions/echo%3Alive/invocations",
        query: "Qualifier=%24LATEST",
        headers,
        host: b"127.0.0.1:8080",
        body,
    }
}

fn authorization(signature: &str) -> String {
    format!(
        "AWS4-HMAC-SHA256 Credential=key-7/20261124/us-east-1/lambda/aws4_request, SignedHeaders=host;x-amz-date, \
         Signature={signature}"
    )
}

const BY_BOTOCORE: &str = "352d489e575f02e16abc752307ad8c76dddca5926347bca66d7e8e4e313b8bee";

fn check(headers: &HeaderMap, change: impl Fn(&mut SignedRequest<'_>), secret: &str) -> Result<(), SignatureError> {
    let signed = Signed::read(&authorization(BY_BOTOCORE), headers)?;
    let mut request = request(headers, b"{}");
    change(&mut request);
    signed.check(&request, secret)
}

#[test]
fn what_botocore_signs_is_accepted() {
    assert_eq!(check(&headers(), |_| {}, SECRET), Ok(()));
}

#[test]
fn whatever_is_changed_is_found() {
    let mismatch = Err(SignatureError::Mismatch);
    assert_eq!(check(&headers(), |_| {}, "another"), mismatch);
    assert_eq!(check(&headers(), |request| request.body = b"[]", SECRET), mismatch);
    assert_eq!(
        check(&headers(), |request| request.path = "/2015-03-31/functions/echo:live/invocations", SECRET),
        mismatch
    );
    assert_eq!(check(&headers(), |request| request.query = "Qualifier=1", SECRET), mismatch);
    assert_eq!(check(&headers(), |request| request.host = b"127.0.0.1:8081", SECRET), mismatch);
    assert_eq!(check(&headers(), |request| request.method = "PUT", SECRET), mismatch);
    let mut said = headers();
    said.insert(CONTENT_SHA256, "00".parse().unwrap());
    let signed = authorization(BY_BOTOCORE).replace("host;", "host;x-amz-content-sha256;");
    let signed = Signed::read(&signed, &said).unwrap();
    assert_eq!(signed.check(&request(&said, b"{}"), SECRET), Err(SignatureError::Body));
    // What asks for something is signed.
    for name in ["x-amz-invocation-type", "x-amz-security-token", "merit-idempotent", "prefer", "x-callback-url"] {
        let mut added = headers();
        added.insert(name, "true".parse().unwrap());
        assert!(matches!(check(&added, |_| {}, SECRET), Err(SignatureError::Malformed(_))), "{name}");
    }
    // A proxy's own names ask for nothing.
    let mut proxied = headers();
    proxied.insert("x-amz-cf-id", "abc".parse().unwrap());
    assert_eq!(check(&proxied, |_| {}, SECRET), Ok(()));
}

/// Checks a signature by botocore of this path and query with further headers.
fn by_botocore(path: &str, query: &str, more: &[(&'static str, &[u8])], signature: &str) -> Result<(), SignatureError> {
    let mut headers = headers();
    let mut names = vec!["host", "x-amz-date"];
    for (name, value) in more {
        headers.append(*name, http::HeaderValue::from_bytes(value).unwrap());
        names.push(name);
    }
    names.dedup();
    let authorization = authorization(signature).replace("host;x-amz-date", &names.join(";"));
    let signed = Signed::read(&authorization, &headers)?;
    signed.check(&SignedRequest { path, query, ..request(&headers, b"{}") }, SECRET)
}

const INVOKE: &str = "/2015-03-31/functions/echo/invocations";

#[test]
fn signed_values_are_compared_as_bytes() {
    let signature = "31f48cff33e76ad44bfdef5e78756145f17451a87a1c23876f8e97a46223ff57";
    let check = |note: &[u8]| by_botocore(INVOKE, "", &[("x-note", note)], signature);
    assert_eq!(check("\u{fffd}".as_bytes()), Ok(()));
    // Each is U+FFFD where text is read with losses.
    for other in [&b"\xff"[..], b"\xfe", b"\x80", b"\xef\xbf"] {
        assert_eq!(check(other), Err(SignatureError::Mismatch), "{other:?}");
    }
    let tab = by_botocore(INVOKE, "", &[("x-custom", b"b,a\tc")], TWICE);
    assert_eq!(tab, Err(SignatureError::Mismatch), "a tab is no space");
    let query = |query: &str| by_botocore("/fn/echo", query, &[], BY_BOTOCORE);
    assert_eq!(query("q=%FF"), Err(SignatureError::Mismatch));
    let as_bytes = |query| (canonical::query(query), canonical::query_as_sent(query));
    assert_eq!(as_bytes("q=%ff&a=%41+"), ("a=A%20&q=%FF".to_owned(), "a=%41+&q=%ff".to_owned()));
}

const TWICE: &str = "838b81dc3199fc7b1b00ab40a30ec74b5175f5c75ac6b204c2476f07ddbd668c";

#[test]
fn a_repeated_header_is_joined_unless_it_asks_for_something() {
    let check = |more: &[(&'static str, &[u8])]| by_botocore(INVOKE, "", more, TWICE);
    assert_eq!(check(&[("x-custom", b"b"), ("x-custom", b"a   c")]), Ok(()));
    assert_eq!(check(&[("x-custom", b"b,a c")]), Ok(()), "one list, in one line or in two");
    assert_eq!(check(&[("x-custom", b"a   c"), ("x-custom", b"b")]), Err(SignatureError::Mismatch), "in this order");
    assert_eq!(check(&[("x-custom", b"b")]), Err(SignatureError::Mismatch));
    for name in ["x-amz-security-token", "merit-only", "x-amz-invocation-type"] {
        let twice = check(&[(name, b"b"), (name, b"b")]);
        assert!(matches!(twice, Err(SignatureError::Malformed(_))), "{name}: {twice:?}");
    }
    let mut dates = headers();
    dates.append("x-amz-date", "20261124T120000Z".parse().unwrap());
    let twice = Signed::read(&authorization(BY_BOTOCORE), &dates);
    assert!(matches!(twice, Err(SignatureError::Malformed(_))), "{twice:?}");
}

#[test]
fn a_session_token_is_signed_or_refused() {
    let signature = "a377c98cb0be478a29939f3254d696749c6d0bae004301872db9d04ffc746077";
    assert_eq!(by_botocore(INVOKE, "", &[("x-amz-security-token", b"to/ken")], signature), Ok(()));
    let another = by_botocore(INVOKE, "", &[("x-amz-security-token", b"t0/ken")], signature);
    assert_eq!(another, Err(SignatureError::Mismatch));
}

#[test]
fn paths_and_queries_are_signed_as_sdks_sign_them() {
    let path = "f638f6dfcafea9bac0f65e0d24dcd870c3954b015af2822658038c3bb9d8aab6";
    for same in [INVOKE, "/2015-03-31/x/..//./functions/echo/invocations", "//2015-03-31/functions//echo/./invocations"]
    {
        assert_eq!(by_botocore(same, "", &[], path), Ok(()), "{same}");
        assert_eq!(normalized_path(same), INVOKE, "what was signed is what is served");
    }
    assert_eq!(by_botocore(&format!("{INVOKE}/"), "", &[], path), Err(SignatureError::Mismatch));
    for (raw, normal) in
        [("/", "/"), ("/a/", "/a/"), ("/a//", "/a/"), ("//", "/"), ("/..", "/"), ("/a/%2e%2e/b", "/a/%2e%2e/b")]
    {
        assert_eq!(normalized_path(raw), normal, "{raw}");
    }
    let query = "fc4a72a442eaf873e304610369b9676071491e9c48d0663b482b2dfdfef2b72d";
    assert_eq!(by_botocore(INVOKE, "b=a+b&a=/:&&c=%2f", &[], query), Ok(()));
    // Doors read a plus as a space, so it is not what was signed as %2B.
    assert_eq!((canonical::query("a=b+c"), canonical::query("a=b%2Bc")), ("a=b%20c".into(), "a=b%2Bc".into()));
    assert_eq!(by_botocore(INVOKE, "b=a%20b&a=/:&&c=%2f", &[], query), Err(SignatureError::Mismatch));
}

/// The query of a URL that botocore presigned for 60 seconds.
const PRESIGNED: &str = "Qualifier=%24LATEST&X-Amz-Algorithm=AWS4-HMAC-SHA256&\
    X-Amz-Credential=key-7%2F20261124%2Fus-east-1%2Flambda%2Faws4_request&X-Amz-Date=20261124T120000Z&\
    X-Amz-Expires=60&X-Amz-SignedHeaders=host&\
    X-Amz-Signature=a14c8c147c0f00886860e8f6aedb33dc42d063e48f2c255d6e5628ed6e25c164";

/// Checks a call by a presigned URL. botocore signs it without a body.
fn check_presigned(query: &str, body: &[u8]) -> Result<(), SignatureError> {
    let headers = HeaderMap::new();
    let signed = Signed::read_presigned(query, &headers)?;
    signed.check(&SignedRequest { path: INVOKE, query, ..request(&headers, body) }, SECRET)
}

#[test]
fn a_presigned_url_is_checked_as_a_signed_request() {
    assert!(Signed::is_presigned(PRESIGNED) && !Signed::is_presigned("Qualifier=1&x-amz-signature=a"));
    assert_eq!(check_presigned(PRESIGNED, b""), Ok(()));
    assert_eq!(check_presigned(PRESIGNED, b"{}"), Err(SignatureError::Mismatch), "the body is signed too");
    assert_eq!(without_signature(PRESIGNED), "Qualifier=%24LATEST", "nobody behind sees the signature");
    for (from, to) in [("LATEST", "1"), ("Expires=60", "Expires=61"), ("us-east-1", "eu-west-1"), ("key-7", "key-8")] {
        assert_eq!(check_presigned(&PRESIGNED.replace(from, to), b""), Err(SignatureError::Mismatch), "{to}");
    }
    for expires in ["0", "604801", "-1", "+60", "", "60.0", "18446744073709551616"] {
        let read = Signed::read_presigned(&PRESIGNED.replace("Expires=60", &format!("Expires={expires}")), &headers());
        assert_eq!(read, Err(SignatureError::Malformed("X-Amz-Expires is not 1 to 604800 seconds")), "{expires}");
    }
    for (from, to) in [
        ("SHA256&", "SHA1&"),
        ("X-Amz-Expires=60&", ""),
        ("SignedHeaders=host", "SignedHeaders=x-note"),
        ("20261124T", "20261123T"),
        ("X-Amz-Expires=60", "X-Amz-Expires=60&X-Amz-Expires=60"),
        ("lambda", "s3"),
        ("X-Amz-Date=20261124T120000Z&", ""),
    ] {
        let read = check_presigned(&PRESIGNED.replace(from, to), b"");
        assert!(matches!(read, Err(SignatureError::Malformed(_))), "{from}: {read:?}");
    }
}

#[test]
fn a_presigned_url_is_valid_from_date_to_end() {
    let noon = seconds("20261124T120000Z").unwrap();
    let valid = |query: &str, now| Signed::read_presigned(query, &HeaderMap::new()).unwrap().check_time(now);
    assert_eq!(valid(PRESIGNED, noon - 300), Ok(()), "clocks may differ");
    assert!(matches!(valid(PRESIGNED, noon - 301), Err(SignatureError::Skewed { .. })));
    assert_eq!(valid(PRESIGNED, noon + 60), Ok(()));
    assert!(matches!(valid(PRESIGNED, noon + 61), Err(SignatureError::Expired { .. })));
    let week = PRESIGNED.replace("Expires=60", "Expires=604800");
    assert_eq!(valid(&week, noon + 604_800), Ok(()));
    assert!(matches!(valid(&week, noon + 604_801), Err(SignatureError::Expired { .. })));
    assert_eq!(seconds("2026112T1200000Z"), None);
}

#[test]
fn a_clock_may_be_off_by_five_minutes() {
    let signed = Signed::read(&authorization(BY_BOTOCORE), &headers()).unwrap();
    let noon = seconds("20261124T120000Z").unwrap();
    assert_eq!(noon, 1_795_521_600);
    assert_eq!(signed.check_time(noon + 300), Ok(()));
    assert_eq!(signed.check_time(noon - 300), Ok(()));
    assert!(matches!(signed.check_time(noon + 301), Err(SignatureError::Skewed { .. })));
    assert!(matches!(signed.check_time(noon - 301), Err(SignatureError::Skewed { .. })));
}

#[test]
fn what_is_no_signature_is_said() {
    let mut bad = vec![
        String::new(),
        "AWS4-HMAC-SHA256 Credential=a".to_owned(),
        authorization("zz"),
        authorization(&BY_BOTOCORE.to_uppercase()),
        authorization(BY_BOTOCORE).replace("lambda", "s3"),
        authorization(BY_BOTOCORE).replace("SignedHeaders=host;", "SignedHeaders="),
        authorization(BY_BOTOCORE).replace("20261124", "20261123"),
    ];
    for names in ["x-amz-date;host", "host;host;x-amz-date", "Host;host;x-amz-date", "host;x-amz-date;x-note", "host"] {
        bad.push(authorization(BY_BOTOCORE).replace("host;x-amz-date", names));
    }
    bad.push(format!("{}, Signature={BY_BOTOCORE}", authorization(BY_BOTOCORE)));
    bad.push("AWS4-HMAC-SHA256 ".repeat(1000));
    for authorization in bad {
        let read = Signed::read(&authorization, &headers());
        assert!(matches!(read, Err(SignatureError::Malformed(_))), "{authorization}");
    }
}
