"""CloudEvents by their own SDK, in both modes, to the function echo. Fails by an assertion."""
import json
import os
import urllib.error
import urllib.request

from cloudevents.v1.conversion import to_binary, to_structured
from cloudevents.v1.http import CloudEvent

key = f"{os.environ['AWS_ACCESS_KEY_ID']}.{os.environ['AWS_SECRET_ACCESS_KEY']}"
url = os.environ["BROKER"] + "/v1/functions/echo/invocations"


def send(headers, body):
    request = urllib.request.Request(url, body, {**headers, "Authorization": f"Bearer {key}"}, method="POST")
    with urllib.request.urlopen(request) as answer:
        return answer.read()


event = CloudEvent({"type": "photo.added", "source": "/photos", "datacontenttype": "application/json"}, {"id": 7})
for form in [to_binary, to_structured]:
    headers, body = form(event)
    assert json.loads(send(headers, body)) == {"id": 7}, form

headers, body = to_structured(event)
try:
    send(headers, body.replace(b'"1.0"', b'"0.2"'))
except urllib.error.HTTPError as error:
    assert error.code == 400 and b"0.2" in error.read()
else:
    raise AssertionError("another version is refused")
print("CloudEvents: done")
