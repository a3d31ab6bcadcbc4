"""A call of boto3 whose first answer is lost: the retry gets the first result."""
import boto3
from botocore.config import Config

aws = boto3.client("lambda", config=Config(retries={"mode": "standard"}))
answer = aws.invoke(FunctionName="echo", Payload=b'"once"')
assert answer["Payload"].read() == b'"once"', answer
print(answer["ResponseMetadata"]["RetryAttempts"], answer["ResponseMetadata"]["RequestId"])
