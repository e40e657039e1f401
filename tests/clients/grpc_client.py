"""A client with nothing but grpcio and the stubs that protoc makes of the protos: ADDRESS KEY OUTBOX."""

import queue
import sys

import grpc
from google.rpc import error_details_pb2

import status_pb2
from checks import STEPS, check, mails_to, until
from followupd.v1 import enrollment_pb2, enrollment_pb2_grpc, event_pb2, event_pb2_grpc
from followupd.v1 import sequence_pb2, sequence_pb2_grpc, tenant_pb2, tenant_pb2_grpc

TENANT, SEQUENCE = "acme", "welcome"
PATIENCE_SECONDS = 60
address, key, outbox = sys.argv[1:]
channel = grpc.insecure_channel(address)
with_key = {"metadata": [("authorization", f"Bearer {key}")], "timeout": PATIENCE_SECONDS}
tenants = tenant_pb2_grpc.TenantServiceStub(channel)
sequences = sequence_pb2_grpc.SequenceServiceStub(channel)
enrollments = enrollment_pb2_grpc.EnrollmentServiceStub(channel)
events = event_pb2_grpc.EventServiceStub(channel)


def set_up():
    settings = tenant_pb2.TenantSettings(on=True, time_zone="UTC")
    made = tenants.PutTenant(tenant_pb2.PutTenantRequest(name=TENANT, settings=settings), **with_key)
    check("the tenant", (made.name, made.on), (TENANT, True))
    settings = tenant_pb2.ChannelSettings(kind="email", transport="outbox")
    put = tenant_pb2.PutChannelRequest(tenant=TENANT, name="mail", settings=settings)
    check("the channel", tenants.PutChannel(put, **with_key).kind, "email")
    draft = sequence_pb2.Draft(steps=[sequence_pb2.Step(**step) for step in STEPS])
    put = sequence_pb2.PutSequenceRequest(tenant=TENANT, name=SEQUENCE, sequence=draft)
    check("the sequence", sequences.PutSequence(put, **with_key).status, "unpublished")
    publish = sequence_pb2.PublishRequest(tenant=TENANT, sequence=SEQUENCE)
    check("the version", sequences.Publish(publish, **with_key).version, 1)


def wish(contact):
    profile = enrollment_pb2.Profile(name=contact, email=f"{contact}@mail.example")
    return enrollment_pb2.Enroll(contact=contact, profile=profile)


def reply(contact):
    kind = "message.received"
    return event_pb2.Event(source="inbox", id=f"reply-{contact}", type=kind, contact=contact, text="not now")


def in_turns(call, batches):
    """Sends each batch of a stream once the results of the one before are there; the results, batch by batch."""
    to_send = queue.SimpleQueue()
    answers = call(iter(to_send.get, None), **with_key)
    results = []
    for batch in batches:
        to_send.put(batch)
        results.append(list(next(answers).results))
    to_send.put(None)
    check("messages after the last batch", list(answers), [])
    return results


def enroll():
    """Enrolls one by a call, and two in the second batch of a stream whose first names the one again."""
    request = enrollment_pb2.EnrollRequest(tenant=TENANT, sequence=SEQUENCE, enroll=wish("ana"))
    ana = enrollments.Enroll(request, **with_key).result
    check("ana", ana.outcome, enrollment_pb2.ENROLL_OUTCOME_ENROLLED)
    first = enrollment_pb2.EnrollStreamRequest(tenant=TENANT, sequence=SEQUENCE, enrolls=[wish("ana")])
    second = enrollment_pb2.EnrollStreamRequest(enrolls=[wish("bo"), wish("cy")])
    [again], others = in_turns(enrollments.EnrollStream, [first, second])
    known = enrollment_pb2.ENROLL_OUTCOME_ALREADY_ENROLLED
    check("ana again", (again.outcome, again.enrollment_id), (known, ana.enrollment_id))
    check("bo and cy", [one.outcome for one in others], [enrollment_pb2.ENROLL_OUTCOME_ENROLLED] * 2)
    return {"ana": ana.enrollment_id, "bo": others[0].enrollment_id, "cy": others[1].enrollment_id}


def timeline(enrollment):
    request = enrollment_pb2.GetTimelineRequest(tenant=TENANT, enrollment_id=enrollment)
    return enrollments.GetTimeline(request, **with_key)


def end(ids):
    """Ends one by a call and two by a stream, whose second batch says all of it again."""
    ended = events.Send(event_pb2.SendRequest(tenant=TENANT, event=reply("ana")), **with_key).result
    exited = [(one.enrollment_id, one.reason) for one in ended.exited]
    check("ana's reply", (ended.outcome, exited), (event_pb2.EVENT_OUTCOME_ACCEPTED, [(ids["ana"], "replied")]))
    replies = [reply("bo"), reply("cy")]
    first = event_pb2.SendStreamRequest(tenant=TENANT, events=replies)
    accepted, again = in_turns(events.SendStream, [first, event_pb2.SendStreamRequest(events=replies)])
    exited = [(one.enrollment_id, one.reason) for result in accepted for one in result.exited]
    check("the others' replies", exited, [(ids["bo"], "replied"), (ids["cy"], "replied")])
    check("all again", [one.outcome for one in again], [event_pb2.EVENT_OUTCOME_DUPLICATE] * 2)


def compare(ids):
    """The timelines, the funnel and the outbox say the same."""
    for contact, enrollment in ids.items():
        found = timeline(enrollment)
        check(f"{contact}'s end", (found.enrollment.state, found.enrollment.reason), ("exited", "replied"))
        check(f"{contact}'s last line", (found.entries[-1].kind, found.entries[-1].reason), ("exited", "replied"))
        kinds = [entry.kind for entry in found.entries]
        wanted = ["enrolled", *["planned", "intended", "sent"] * 2, "planned", "received", "exited"]
        check(f"{contact}'s timeline", kinds, wanted)
        check(f"{contact}'s mails", mails_to(outbox, f"{contact}@mail.example"), ["one", "two"])
    request = sequence_pb2.GetFunnelRequest(tenant=TENANT, sequence=SEQUENCE)
    [funnel] = sequences.GetFunnel(request, **with_key).versions
    exited = [(one.reason, one.count) for one in funnel.exited]
    check("the funnel", (funnel.enrolled, funnel.active, exited), (3, 0, [("replied", 3)]))
    check("the funnel's steps", [step.accepted for step in funnel.steps][:2], [3, 3])


def refused(call, request, **how):
    """The status of a call that must be refused, and its details as the library of grpc hands them out."""
    try:
        sys.exit(f"it has to be refused and is answered: {call(request, **how)}")
    except grpc.RpcError as error:
        trailers = dict(error.trailing_metadata())
        status = status_pb2.Status.FromString(trailers["grpc-status-details-bin"])
        check("status and message again", (status.code, status.message), (error.code().value[0], error.details()))
        info, wrong = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
        for detail in status.details:
            if not (detail.Unpack(info) or detail.Unpack(wrong)):
                sys.exit(f"a detail that the protos do not know: {detail}")
        return error.code(), info, [fault.field for fault in wrong.field_violations]


def be_refused():
    steps = [sequence_pb2.Step(**STEPS[0]), sequence_pb2.Step(**{**STEPS[1], "wait": "1 fortnight"})]
    draft = sequence_pb2.Draft(steps=steps, target="chrage")
    put = sequence_pb2.PutSequenceRequest(tenant=TENANT, name=SEQUENCE, sequence=draft)
    code, info, fields = refused(sequences.PutSequence, put, **with_key)
    check("a wrong draft", (code, info.domain, info.reason), (grpc.StatusCode.INVALID_ARGUMENT, "followupd", "INVALID"))
    check("its wrong fields", sorted(fields), ["sequence.steps[1].wait", "sequence.target"])
    request = enrollment_pb2.EnrollRequest(tenant=TENANT, sequence="nothing", enroll=wish("ana"))
    code, info, fields = refused(enrollments.Enroll, request, **with_key)
    named = (code, info.reason, info.metadata["what"], info.metadata["name"], fields)
    check("no such sequence", named, (grpc.StatusCode.NOT_FOUND, "NOT_FOUND", "sequence", "nothing", []))
    code, info, fields = refused(enrollments.Enroll, request, timeout=PATIENCE_SECONDS)
    check("no key", (code, info.reason, fields), (grpc.StatusCode.UNAUTHENTICATED, "KEY_MISSING", []))


set_up()
ids = enroll()
for contact, enrollment in ids.items():
    sent = lambda: [one.status for one in timeline(enrollment).enrollment.sends]
    until(f"{contact} has two", ["sent", "sent", "pending"], sent)
end(ids)
compare(ids)
be_refused()
