//! Calls of the Rust SDK to Lambda, at the broker named by AWS_ENDPOINT_URL_LAMBDA. Fails by an assertion.

use aws_sdk_lambda::Client;
use aws_sdk_lambda::config::Credentials;
use aws_sdk_lambda::error::ProvideErrorMetadata;
use aws_sdk_lambda::primitives::Blob;
use aws_sdk_lambda::types::{InvocationType, LogType};

#[tokio::main]
async fn main() {
    let config = aws_config::load_from_env().await;
    let aws = Client::new(&config);
    let echo = || aws.invoke().function_name("echo:live").payload(Blob::new("{\"rust\":1}"));

    let answer = echo().log_type(LogType::Tail).send().await.unwrap();
    assert_eq!((answer.status_code(), answer.executed_version()), (200, Some("1")));
    assert_eq!(answer.payload().unwrap().as_ref(), b"{\"rust\":1}");
    assert!(answer.log_result().is_some());
    assert_eq!(echo().invocation_type(InvocationType::DryRun).send().await.unwrap().status_code(), 204);

    let failed = aws.invoke().function_name("exit_3").send().await.unwrap();
    assert_eq!(failed.function_error(), Some("Unhandled"));

    let nothing = aws.invoke().function_name("nothing").send().await.unwrap_err();
    assert!(nothing.as_service_error().unwrap().is_resource_not_found_exception(), "{nothing:?}");
    let large = aws.invoke().function_name("echo").payload(Blob::new(vec![0; (6 << 20) + 1])).send().await.unwrap_err();
    assert!(large.as_service_error().unwrap().is_request_too_large_exception(), "{large:?}");

    let id = std::env::var("AWS_ACCESS_KEY_ID").unwrap();
    let wrong = Credentials::new(id, "wrong", None, None, "a test");
    let wrong = Client::from_conf(aws_sdk_lambda::config::Builder::from(&config).credentials_provider(wrong).build());
    let refused = wrong.invoke().function_name("echo").send().await.unwrap_err();
    assert_eq!(refused.as_service_error().unwrap().code(), Some("InvalidSignatureException"), "{refused:?}");

    let mut stream = aws.invoke_with_response_stream().function_name("echo").payload(Blob::new("streamed"));
    stream = stream.invocation_type(aws_sdk_lambda::types::ResponseStreamingInvocationType::RequestResponse);
    let mut events = stream.send().await.unwrap().event_stream;
    let (mut streamed, mut complete) = (Vec::new(), false);
    while let Some(event) = events.recv().await.unwrap() {
        if let Ok(chunk) = event.as_payload_chunk() {
            streamed.extend_from_slice(chunk.payload().map(Blob::as_ref).unwrap_or_default());
        }
        complete |= event.is_invoke_complete();
    }
    assert_eq!((streamed.as_slice(), complete), (&b"streamed"[..], true));
    println!("the Rust SDK: done");
}
