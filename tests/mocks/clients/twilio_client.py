"""Twilio's own client drives the mock of Twilio: PORT. It is told only where the API is."""

import sys
from urllib.parse import parse_qsl, urlsplit

from twilio.base.exceptions import TwilioRestException
from twilio.http.http_client import TwilioHttpClient
from twilio.request_validator import RequestValidator
from twilio.rest import Client

from side import Side

port = int(sys.argv[1])
TO = "+5511999990000"


class ToTheMock(TwilioHttpClient):
    """Every request goes to the mock, whatever host it names."""

    def request(self, method, url, *arguments, **more):
        path = urlsplit(url)._replace(scheme="http", netloc=f"127.0.0.1:{port}").geturl()
        return super().request(method, path, *arguments, **more)


side = Side(port)
who = side.get("/_who")


def client(user, password):
    return Client(user, password, who["account"], http_client=ToTheMock())


messages = client(who["account"], who["token"]).messages
first = messages.create(
    to=TO, from_=who["number"], body="Olá & até já+", status_callback="https://f.example/twilio?send=snd_1",
    validity_period=3_600,
)
assert (first.status, first.num_segments, first.error_code) == ("queued", "1", None), first.num_segments
by_key = client(who["api_key"], who["key_secret"]).messages
second = by_key.create(to=TO, messaging_service_sid=who["service"], body="ç" * 71)
assert (second.status, second.num_segments) == ("accepted", "0"), second.num_segments
assert messages.create(to=TO, from_=who["number"], body="x" * 161).num_segments == "2"
fetched = messages(first.sid).fetch()
assert (fetched.body, fetched.to, fetched.date_created) == ("Olá & até já+", TO, first.date_created), fetched.body

kept = side.get("/_sent")
assert [one["id"] for one in kept][:2] == [first.sid, second.sid], kept
assert kept[0]["form"]["StatusCallback"] == "https://f.example/twilio?send=snd_1", kept[0]


def refused(code, status, call):
    """The client understands why it is refused."""
    try:
        call()
    except TwilioRestException as error:
        assert (error.code, error.status) == (code, status), error
    else:
        sys.exit(f"{code} was not said")


number = who["number"]
refused(21604, 400, lambda: messages.create(to="", from_=number, body="x"))
refused(21211, 400, lambda: messages.create(to="123", from_=number, body="x"))
refused(21603, 400, lambda: messages.create(to=TO, body="x"))
refused(21606, 400, lambda: messages.create(to=TO, from_="+15005550001", body="x"))
refused(21602, 400, lambda: messages.create(to=TO, from_=number))
refused(21617, 400, lambda: messages.create(to=TO, from_=number, body="x" * 1_601))
refused(20003, 401, lambda: client(who["account"], "nonsense").messages.create(to=TO, from_=number, body="x"))
refused(20404, 404, lambda: messages("SM" + "0" * 32).fetch())
assert len(side.get("/_sent")) == len(kept), "what is refused is not kept"

validator = RequestValidator(who["token"])


def tells(**order):
    """The form that the mock posts, once the validator has taken it, and taken no other."""
    url, headers, body = side.posted("/twilio?for=acme&send=snd_1", **order)
    form = dict(parse_qsl(body.decode(), keep_blank_values=True))
    signature = headers["x-twilio-signature"]
    assert validator.validate(url, form, signature), form
    assert not validator.validate(url, form | {"MessageSid": "SM0"}, signature)
    assert not validator.validate(url + "1", form, signature)
    return form


form = tells(sid=first.sid, status="undelivered", code="30005")
assert (form["MessageSid"], form["MessageStatus"], form["ErrorCode"]) == (first.sid, "undelivered", "30005"), form
assert messages(first.sid).fetch().status == "undelivered"
form = tells(**{"from": TO, "text": "PARAR & já", "opt_out": "STOP"})
assert (form["From"], form["To"], form["Body"], form["OptOutType"]) == (TO, number, "PARAR & já", "STOP"), form
refused(21610, 400, lambda: messages.create(to=TO, from_=number, body="x"))
print(f"twilio: {len(kept)} accepted")
