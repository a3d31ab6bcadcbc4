// Calls of the JavaScript SDK to Lambda, at the broker named by AWS_ENDPOINT_URL_LAMBDA. Fails by an assertion.
import assert from "node:assert/strict";
import {
  GetFunctionCommand,
  InvokeCommand,
  InvokeWithResponseStreamCommand,
  LambdaClient,
  ListFunctionsCommand,
  RequestTooLargeException,
  ResourceNotFoundException,
  TooManyRequestsException,
} from "@aws-sdk/client-lambda";

const options = { region: "eu-west-1", maxAttempts: 1 };
const aws = new LambdaClient(options);
const text = (bytes) => Buffer.from(bytes ?? []).toString();
const echo = (more) => aws.send(new InvokeCommand({ FunctionName: "echo", Payload: '{"a":1}', ...more }));

const answer = await echo();
assert.equal(answer.StatusCode, 200);
assert.equal(answer.ExecutedVersion, "1");
assert.equal(text(answer.Payload), '{"a":1}');
assert.equal(text((await echo({ FunctionName: "echo:live" })).Payload), '{"a":1}');
assert.equal((await echo({ InvocationType: "DryRun" })).StatusCode, 204);
assert.match(Buffer.from((await echo({ LogType: "Tail" })).LogResult, "base64").toString(), /REPORT RequestId/);

const failed = await echo({ FunctionName: "exit_3" });
assert.equal(failed.FunctionError, "Unhandled");
assert.equal(JSON.parse(text(failed.Payload)).errorType, "Runtime.ExitError");

const stream = await aws.send(new InvokeWithResponseStreamCommand({ FunctionName: "echo", Payload: "streamed" }));
let streamed = "";
let complete = false;
for await (const event of stream.EventStream) {
  if (event.PayloadChunk) streamed += text(event.PayloadChunk.Payload);
  if (event.InvokeComplete) complete = true;
}
assert.deepEqual([streamed, complete], ["streamed", true]);

assert.deepEqual((await aws.send(new ListFunctionsCommand({}))).Functions.map((f) => f.FunctionName), ["echo", "exit_3", "wait"]);
assert.equal((await aws.send(new GetFunctionCommand({ FunctionName: "echo" }))).Configuration.MemorySize, 128);

await assert.rejects(echo({ FunctionName: "nothing" }), ResourceNotFoundException);
await assert.rejects(echo({ Payload: Buffer.alloc(6 * 1024 * 1024 + 1) }), RequestTooLargeException);
const credentials = { accessKeyId: process.env.SLOW_KEY, secretAccessKey: process.env.SLOW_SECRET };
const slow = new LambdaClient({ ...options, credentials });
await assert.rejects(slow.send(new InvokeCommand({ FunctionName: "echo" })), TooManyRequestsException);

const named = (name) => (error) => error.name === name && error.$metadata.httpStatusCode === 403;
const own = { accessKeyId: process.env.AWS_ACCESS_KEY_ID, secretAccessKey: process.env.AWS_SECRET_ACCESS_KEY };
const as = (changed) => new LambdaClient({ ...options, ...changed }).send(new InvokeCommand({ FunctionName: "echo", Payload: "1" }));
await assert.rejects(as({ credentials: { ...own, secretAccessKey: "wrong" } }), named("InvalidSignatureException"));
await assert.rejects(as({ credentials: { ...own, accessKeyId: "key-99999" } }), named("InvalidSignatureException"));
await assert.rejects(as({ systemClockOffset: 6 * 60 * 1000 }), named("InvalidSignatureException"));

// The payload that arrives is not the signed one.
const tampered = new LambdaClient(options);
const tamper = (next) => (call) => next({ ...call, request: Object.assign(call.request, { body: "2" }) });
tampered.middlewareStack.add(tamper, { step: "deserialize" });
const altered = tampered.send(new InvokeCommand({ FunctionName: "echo", Payload: "1" }));
await assert.rejects(altered, named("InvalidSignatureException"));
console.log("the JavaScript SDK: done");
