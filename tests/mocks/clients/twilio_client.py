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
media = messages.create(to=TO, from_=who["number"], media_url=["https://a.example/1.png", "https://a.example/2.png"])
assert (media.num_media, media.body, media.sid[:2]) == ("2", "", "MM"), media.num_media
template = {"content_sid": "HX" + "d4" * 16, "content_variables": '{"1":"Ana"}'}
assert messages.create(to=TO, messaging_service_sid=who["service"], **template).status == "accepted"
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
refused(21619, 400, lambda: messages.create(to=TO, messaging_service_sid=who["service"]))
refused(21620, 400, lambda: messages.create(to=TO, from_=number, media_url=["a.example/1.png"]))
refused(21623, 400, lambda: messages.create(to=TO, from_=number, media_url=["https://a.example/1.png"] * 11))
refused(21654, 400, lambda: messages.create(to=TO, from_=number, body="x", content_variables="{}"))
refused(21655, 400, lambda: messages.create(to=TO, from_=number, content_sid="HX1"))
refused(21656, 400, lambda: messages.create(to=TO, from_=number, content_sid="HX" + "0" * 32, content_variables="x"))
for period in (0, 36_001):
    refused(21624, 400, lambda: messages.create(to=TO, from_=number, body="x", validity_period=period))
for callback in ("my_app.example/", "a.example/#top", "a.example/#rc=6", "a.example/#rp=3xx"):
    callback = "https://" + callback
    refused(21609, 400, lambda: messages.create(to=TO, from_=number, body="x", status_callback=callback))
refused(20001, 400, lambda: messages.create(to=TO, from_=number, body="x", shorten_urls=True))
refused(21617, 400, lambda: messages.create(to=TO, from_=number, body="x" * 1_601))
refused(20003, 401, lambda: client(who["account"], "nonsense").messages.create(to=TO, from_=number, body="x"))
refused(20404, 404, lambda: messages("SM" + "0" * 32).fetch())
# What is ordered instead of an answer waits for a message that is right, unless it need not be.
side.post("/_fail", {"next": [{"kind": "refuse", "code": 20429}, {"kind": "refuse", "code": 30001, "unchecked": True}]})
refused(20003, 401, lambda: client(who["account"], "nonsense").messages.create(to=TO, from_=number, body="x"))
refused(21602, 400, lambda: messages.create(to=TO, from_=number))
refused(20429, 429, lambda: messages.create(to=TO, from_=number, body="x"))
refused(30001, 429, lambda: messages.create(to=TO, from_=number))
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
assert len(form["RawDlrDoneDate"]) == 10 and "MessagingServiceSid" not in form, form
fetched = messages(first.sid).fetch()
assert (fetched.status, fetched.error_code) == ("undelivered", 30_005), fetched.error_code
form = tells(sid=second.sid, status="failed", code=99_999)
assert (form["MessageStatus"], form["ErrorCode"]) == ("failed", "99999"), form
assert form["MessagingServiceSid"] == who["service"], form
form = tells(sid=second.sid, status="sent")
assert "ErrorCode" not in form and "RawDlrDoneDate" not in form, form
form = tells(**{"from": TO, "text": "Oi", "media": [{"url": "https://api.twilio.com/1", "type": "image/png"}]})
assert (form["NumMedia"], form["MediaContentType0"]) == ("1", "image/png"), form
assert form["MediaUrl0"] == "https://api.twilio.com/1", form
assert (form["NumSegments"], form["FromCountry"], form["MessageSid"][:2]) == ("1", "BR", "MM"), form
form = tells(**{"from": TO, "text": "PARAR & já", "opt_out": "STOP"})
assert (form["From"], form["To"], form["Body"], form["OptOutType"]) == (TO, number, "PARAR & já", "STOP"), form
refused(21610, 400, lambda: messages.create(to=TO, from_=number, body="x"))

# Where nobody listens, a callback is told again, as often as its URL says.
OTHER = "+5511999990001"
for overrides, told in [("", 2), ("#rc=3", 4), ("#rc=2&rp=5xx,4xx", 1), ("#rc=0", 1), ("#rc=5&rp=all", 6)]:
    callback = f"http://127.0.0.1:1/twilio?send=snd_1{overrides}"
    sent = messages.create(to=OTHER, from_=number, body="x", status_callback=callback)
    said = side.post("/_status", {"sid": sent.sid, "status": "delivered"})
    assert said == {"status": 0, "body": "", "taken": False, "told": told}, said
print(f"twilio: {len(kept)} accepted")
