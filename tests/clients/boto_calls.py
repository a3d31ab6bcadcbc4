"""Calls of boto3 to Lambda in every way, at the broker named by AWS_ENDPOINT_URL_LAMBDA.

The environment says the rest: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY of an account with the functions echo, exit_3
and wait, SLOW_KEY and SLOW_SECRET of one that may make no calls at all, RATED_KEY and RATED_SECRET of one that may make
two a second. Fails by an assertion.
"""
import base64
import datetime
import json
import os
import urllib.error
import urllib.request

import boto3
import botocore
import botocore.auth
from botocore.config import Config
from botocore.exceptions import ClientError


def client(**more):
    return boto3.client("lambda", config=Config(retries={"total_max_attempts": 1}), **more)


def refused(code, status, call):
    try:
        call()
    except ClientError as error:
        said = error.response
        assert said["Error"]["Code"] == code, said
        assert said["ResponseMetadata"]["HTTPStatusCode"] == status, said
        return error
    raise AssertionError(f"{code} was expected")


aws = client()
echo = lambda **more: aws.invoke(**{"FunctionName": "echo", "Payload": b'{"a": 1}', **more})

answer = echo()
assert (answer["StatusCode"], answer["ExecutedVersion"]) == (200, "1"), answer
assert answer["Payload"].read() == b'{"a": 1}'
headers = answer["ResponseMetadata"]["HTTPHeaders"]
assert float(headers["merit-cost"]) > 0 and headers["merit-provider"] == "edge", headers
assert answer["ResponseMetadata"]["RequestId"] == headers["merit-invocation-id"], headers

for name in ["echo:live", "echo:1", "arn:aws:lambda:us-east-1:123456789012:function:echo:live", "123456789012:function:echo"]:
    assert echo(FunctionName=name)["Payload"].read() == b'{"a": 1}', name
assert echo(Qualifier="live")["StatusCode"] == 200
assert echo(Qualifier="$LATEST")["StatusCode"] == 200

dry = echo(InvocationType="DryRun")
assert dry["StatusCode"] == 204 and "merit-quoted-cost" in dry["ResponseMetadata"]["HTTPHeaders"], dry

log = base64.b64decode(echo(LogType="Tail")["LogResult"]).decode()
assert log.startswith("START RequestId: ") and "\nEND RequestId: " in log and "\tBilled Duration: " in log, log

failed = aws.invoke(FunctionName="exit_3", Payload=b"{}")
assert failed["StatusCode"] == 200 and failed["FunctionError"] == "Unhandled", failed
assert json.loads(failed["Payload"].read())["errorType"] == "Runtime.ExitError"

events = list(aws.invoke_with_response_stream(FunctionName="echo", Payload=b"streamed")["EventStream"])
assert b"".join(event["PayloadChunk"]["Payload"] for event in events[:-1]) == b"streamed", events
assert "InvokeComplete" in events[-1] and "ErrorCode" not in events[-1]["InvokeComplete"], events

names = [f["FunctionName"] for page in aws.get_paginator("list_functions").paginate(PaginationConfig={"PageSize": 1}) for f in page["Functions"]]
assert names == ["echo", "exit_3", "wait"], names
found = aws.get_function(FunctionName="echo")["Configuration"]
assert (found["MemorySize"], found["Timeout"]) == (128, 10), found
assert aws.get_function_configuration(FunctionName="echo", Qualifier="live")["Version"] == "1"

not_found = refused("ResourceNotFoundException", 404, lambda: echo(FunctionName="nothing"))
assert isinstance(not_found, aws.exceptions.ResourceNotFoundException)
refused("ResourceNotFoundException", 404, lambda: aws.get_function(FunctionName="nothing"))
refused("ResourceNotFoundException", 404, lambda: echo(Qualifier="7"))
too_large = refused("RequestTooLargeException", 413, lambda: echo(Payload=b"x" * (6 * 1024 * 1024 + 1)))
assert isinstance(too_large, aws.exceptions.RequestTooLargeException)
refused("NotImplementedException", 501, lambda: echo(InvocationType="Event"))

slow = client(aws_access_key_id=os.environ["SLOW_KEY"], aws_secret_access_key=os.environ["SLOW_SECRET"])
throttled = refused("TooManyRequestsException", 429, lambda: slow.invoke(FunctionName="echo"))
assert isinstance(throttled, slow.exceptions.TooManyRequestsException)
assert "retry-after" in throttled.response["ResponseMetadata"]["HTTPHeaders"]

rated = client(aws_access_key_id=os.environ["RATED_KEY"], aws_secret_access_key=os.environ["RATED_SECRET"])
for number in range(1000):
    try:
        assert rated.invoke(FunctionName="echo", Payload=b"1")["Payload"].read() == b"1"
    except rated.exceptions.TooManyRequestsException as error:
        assert number >= 2 and error.response["Reason"] == "CallerRateLimitExceeded", (number, error.response)
        assert error.response["ResponseMetadata"]["HTTPHeaders"]["retry-after"] == "1", error.response
        break
else:
    raise AssertionError("a rate of two a second lets a thousand through")

key, secret = os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"]
wrong = client(aws_access_key_id=key, aws_secret_access_key="not" + secret)
refused("InvalidSignatureException", 403, lambda: wrong.invoke(FunctionName="echo"))
stranger = client(aws_access_key_id="key-99999", aws_secret_access_key=secret)
refused("InvalidSignatureException", 403, lambda: stranger.invoke(FunctionName="echo"))
# A presigned URL is the call, until it ends: nothing else is needed, and nothing in it may be changed.
url = aws.generate_presigned_url("invoke", {"FunctionName": "echo", "Qualifier": "live"}, ExpiresIn=60)
assert "X-Amz-Signature=" in url, url


def post(url, body=b""):
    try:
        return urllib.request.urlopen(urllib.request.Request(url, data=body, method="POST")).status
    except urllib.error.HTTPError as error:
        return error.code


assert post(url) == 200
pairs = [("live", "1"), ("Expires=60", "Expires=600"), ("Expires=60", "Expires=604801"), (key, "key-99999")]
for changed in [url.replace(*pair) for pair in pairs] + [url + "&a=1"]:
    assert changed != url and post(changed) == 403, changed
assert post(url, b"{}") == 403

unsigned = Config(signature_version=botocore.UNSIGNED, retries={"total_max_attempts": 1})
nobody = boto3.client("lambda", config=unsigned)
refused("MissingAuthenticationTokenException", 403, lambda: nobody.invoke(FunctionName="echo"))

tampering = client()


def tamper(request, **_):
    request.body = b'{"a": 2}'


tampering.meta.events.register("before-send.lambda", tamper)
refused("InvalidSignatureException", 403, lambda: tampering.invoke(FunctionName="echo", Payload=b'{"a": 1}'))

for off in [datetime.timedelta(minutes=6), datetime.timedelta(minutes=-6)]:
    now = botocore.auth.get_current_datetime
    botocore.auth.get_current_datetime = lambda *rest: now(*rest) + off
    refused("InvalidSignatureException", 403, lambda: client().invoke(FunctionName="echo"))
    botocore.auth.get_current_datetime = now

print("boto3: done")
