"""A client whose events the SDK of CloudEvents makes and writes, in each mode of HTTP: ADDRESS KEY OUTBOX."""

import json
import sys
import urllib.error
import urllib.request

from cloudevents.core.bindings.http import HTTPMessage, to_binary_event, to_structured_event
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent

from checks import STEPS, check, mails_to, until

TENANT, SEQUENCE = "acme", "welcome"
PATIENCE_SECONDS = 60
address, key, outbox = sys.argv[1:]


def post(path, headers, body):
    """The status and the answer."""
    headers = {**headers, "authorization": f"Bearer {key}"}
    request = urllib.request.Request(f"http://{address}{path}", data=body, headers=headers, method="POST")
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE_SECONDS) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def call(method, **request):
    """Makes a call that must be answered."""
    headers = {"content-type": "application/json"}
    body = json.dumps({"tenant": TENANT, **request}).encode()
    status, answer = post(f"/followupd.v1.{method}", headers, body)
    if status != 200:
        sys.exit(f"{method}: {status} {answer}")
    return answer


def send(message):
    """Posts what the SDK made of an event."""
    return post(f"/v1/tenants/{TENANT}/events", message.headers, message.body)


def reply(contact, by_subject=True, kind="message.received", **more):
    """A reply that names its contact as its subject or in its data; the SDK gives it an id and a time."""
    attributes = {"type": kind, "source": "inbox", "datacontenttype": "application/json"}
    data = {"text": "not now, thanks", **more}
    if by_subject:
        attributes["subject"] = f"contact/{contact}"
    else:
        data["contact"] = contact
    return CloudEvent(attributes=attributes, data=data)


def batch(*made):
    """Several events in one message. The SDK writes no batches: one is an array of what it writes (JSON format, 4)."""
    written = b",".join(JSONFormat().write(event) for event in made)
    return HTTPMessage({"content-type": "application/cloudevents-batch+json"}, b"[" + written + b"]")


def set_up():
    request = {"name": TENANT, "settings": {"on": True, "timeZone": "UTC"}}
    headers = {"content-type": "application/json"}
    status, answer = post("/followupd.v1.TenantService/PutTenant", headers, json.dumps(request).encode())
    check("the tenant", (status, answer.get("name")), (200, TENANT))
    call("TenantService/PutChannel", name="mail", settings={"kind": "email", "transport": "outbox"})
    call("SequenceService/PutSequence", name=SEQUENCE, sequence={"steps": STEPS})
    check("the version", call("SequenceService/Publish", sequence=SEQUENCE)["version"], 1)


def enroll(contact):
    wish = {"contact": contact, "profile": {"email": f"{contact}@mail.example"}}
    result = call("EnrollmentService/Enroll", sequence=SEQUENCE, enroll=wish)["result"]
    check(contact, result["outcome"], "ENROLL_OUTCOME_ENROLLED")
    return result["enrollmentId"]


def timeline(enrollment):
    return call("EnrollmentService/GetTimeline", enrollmentId=enrollment)


def end(ids):
    """A reply in each mode ends one; the same event in another mode is the same."""
    ended = lambda contact: [{"enrollmentId": ids[contact], "reason": "replied"}]
    ana, bo, cy, di = reply("ana"), reply("bo", by_subject=False), reply("cy"), reply("di", by_subject=False)
    status, says = send(to_structured_event(ana))
    check("structured", (status, says["result"].get("exited")), (200, ended("ana")))
    status, says = send(to_binary_event(bo))
    check("binary", (status, says["result"].get("exited")), (200, ended("bo")))
    status, says = send(batch(cy, reply("di", kind="message.recieved"), di, ana))
    outcomes = ["ACCEPTED", "REFUSED", "ACCEPTED", "DUPLICATE"]
    wanted = (200, [f"EVENT_OUTCOME_{outcome}" for outcome in outcomes])
    check("batch", (status, [result["outcome"] for result in says["results"]]), wanted)
    check("cy and di", [says["results"][at]["exited"] for at in (0, 2)], [ended("cy"), ended("di")])
    for mode, again in (("structured", to_structured_event(bo)), ("binary", to_binary_event(ana))):
        check(f"{mode} again", send(again)[1]["result"]["outcome"], "EVENT_OUTCOME_DUPLICATE")


def compare(ids):
    """The timelines, the funnel and the outbox say the same."""
    for contact, enrollment in ids.items():
        found = timeline(enrollment)
        last = found["entries"][-1]
        check(f"{contact}'s end", (found["enrollment"]["state"], last["kind"], last["reason"]),
              ("exited", "exited", "replied"))
        check(f"{contact}'s mails", mails_to(outbox, f"{contact}@mail.example"), ["one", "two"])
    [funnel] = call("SequenceService/GetFunnel", sequence=SEQUENCE)["versions"]
    check("the funnel", (funnel["enrolled"], funnel.get("active", 0), funnel["exited"]),
          (4, 0, [{"reason": "replied", "count": 4}]))


def be_refused():
    status, says = send(to_structured_event(reply("ana", kind="message.recieved")))
    check("a type that is none", (status, says["code"]), (400, "invalid_argument"))
    check("it says what would be right", "message.received" in says["message"], True)
    status, says = send(to_binary_event(reply("ana", contct="ana")))
    check("data that is none", (status, says["code"]), (400, "invalid_argument"))
    check("it says which", "data.contct" in says["message"], True)


set_up()
ids = {contact: enroll(contact) for contact in ("ana", "bo", "cy", "di")}
for contact, enrollment in ids.items():
    sent = lambda: [one["status"] for one in timeline(enrollment)["enrollment"]["sends"]]
    until(f"{contact} has two", ["sent", "sent", "pending"], sent)
end(ids)
compare(ids)
be_refused()
