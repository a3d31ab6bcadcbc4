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
        host: "127.0.0.1:8080",
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
    assert_eq!(check(&headers(), |request| request.host = "127.0.0.1:8081", SECRET), mismatch);
    assert_eq!(check(&headers(), |request| request.method = "PUT", SECRET), mismatch);
    let mut said = headers();
    said.insert(CONTENT_SHA256, "00".parse().unwrap());
    let signed = authorization(BY_BOTOCORE).replace("host;", "host;x-amz-content-sha256;");
    let signed = Signed::read(&signed, &said).unwrap();
    assert_eq!(signed.check(&request(&said, b"{}"), SECRET), Err(SignatureError::Body));
    // What asks for something is signed.
    for name in ["x-amz-invocation-type", "merit-idempotent"] {
        let mut added = headers();
        added.insert(name, "true".parse().unwrap());
        assert!(matches!(check(&added, |_| {}, SECRET), Err(SignatureError::Malformed(_))), "{name}");
    }
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
        authorization(BY_BOTOCORE).replace("lambda", "s3"),
        authorization(BY_BOTOCORE).replace("SignedHeaders=host;", "SignedHeaders="),
        authorization(BY_BOTOCORE).replace("20261124", "20261123"),
    ];
    bad.push("AWS4-HMAC-SHA256 ".repeat(1000));
    for authorization in bad {
        let read = Signed::read(&authorization, &headers());
        assert!(matches!(read, Err(SignatureError::Malformed(_))), "{authorization}");
    }
}
