"""A strict mock of Twilio's messages: POST and GET of Accounts/{Sid}/Messages.json, status callbacks, messages in.

From the reference under https://www.twilio.com/docs/messaging/api/message-resource, of errors under
https://www.twilio.com/docs/api/errors and of webhooks under https://www.twilio.com/docs/usage/webhooks. What the
reference names and this does not do (media, templates, schedules) is refused as a parameter that is not known. Beside
the side door that all mocks have: POST /_segments counts the segments of a text.
"""

import base64
import email.utils
import hashlib
import hmac
import re
import urllib.parse

from mock import Provider, Refusal, fields, one_of, parse, run, text

ACCOUNT, API_KEY, SERVICE = "AC" + "a1" * 16, "SK" + "b2" * 16, "MG" + "c3" * 16
TOKEN, KEY_SECRET, NUMBER = "mock-auth-token", "mock-key-secret", "+15005550006"
VERSION = "2010-04-01"

# Code, HTTP status and message, as the reference of errors has them.
ERRORS = {
    20001: (400, "Unknown parameters"),
    20003: (401, "Authenticate"),
    20004: (405, "Method not allowed"),
    20404: (404, "The requested resource was not found"),
    20429: (429, "Too Many Requests"),
    21211: (400, "Invalid 'To' Phone Number"),
    21212: (400, "Invalid From Number (caller ID)"),
    21266: (400, "'To' and 'From' number cannot be the same"),
    21602: (400, "Message body is required."),
    21603: (400, "A 'From' phone number is required."),
    21604: (400, "A 'To' phone number is required."),
    21606: (400, "The 'From' phone number provided is not a valid message-capable Twilio phone number"),
    21608: (400, "The number is unverified"),
    21609: (400, "The 'StatusCallback' URL is not a valid URL."),
    21610: (400, "Attempt to send to unsubscribed recipient"),
    21611: (429, "This 'From' number has exceeded the maximum number of queued messages"),
    21614: (400, "'To' number is not a valid mobile number"),
    21617: (400, "The concatenated message body exceeds the 1600 character limit"),
    21701: (400, "The Messaging Service does not exist"),
    30001: (429, "Queue overflow"),
    30022: (429, "US A2P 10DLC - Rate Limits Exceeded"),
    63038: (429, "Account exceeded the daily messages limit"),
}

# The alphabet of GSM 03.38, and what takes two places in it.
BASIC = (
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿"
    "abcdefghijklmnopqrstuvwxyzäöñüà"
)
EXTENDED = "\f^{}\\[~]|€"


def segments(body):
    """How many SMS a text takes: GSM's 160 septets or 153 each, else UCS-2's 70 units or 67 each."""
    if all(char in BASIC + EXTENDED for char in body):
        places, one, more = [2 if char in EXTENDED else 1 for char in body], 160, 153
    else:
        places, one, more = [2 if ord(char) > 0xFFFF else 1 for char in body], 70, 67
    if sum(places) <= one:
        return 1
    count, room = 1, more
    for place in places:
        if place > room:
            count, room = count + 1, more
        room -= place
    return count


def parameters(body):
    """A form's parameters, each once."""
    pairs = urllib.parse.parse_qsl(
        body.decode("utf-8"), keep_blank_values=True, strict_parsing=bool(body), encoding="utf-8", errors="strict"
    )
    if len({name for name, _ in pairs}) < len(pairs):
        raise ValueError("a parameter stands twice")
    return dict(pairs)


class Twilio(Provider):
    """One account with a number and a messaging service."""

    def __init__(self):
        super().__init__()
        self.messages, self.stopped, self.count = {}, set(), 0

    def who(self):
        return {
            "account": ACCOUNT, "token": TOKEN, "api_key": API_KEY, "key_secret": KEY_SECRET,
            "number": NUMBER, "service": SERVICE,
        }

    def side_door(self, request):
        if (request.method, request.path) == ("POST", "/_segments"):
            return 200, {"segments": segments(parse(request.body)["text"])}
        return super().side_door(request)

    def refusal(self, code, status=None, message=None):
        known, title = ERRORS.get(code, (400, "Unknown"))
        return Refusal(
            status or known,
            {
                "code": code,
                "message": message or title,
                "more_info": f"https://www.twilio.com/docs/errors/{code}",
                "status": status or known,
            },
        )

    def serve(self, request):
        path = re.fullmatch(rf"/{VERSION}/Accounts/([^/]+)/Messages(?:/([^/]+))?\.json", request.path)
        self.authorize(request.headers.get("authorization"))
        if not path or path[1] != ACCOUNT:
            raise self.refusal(20404, 404, f"The requested resource {request.path} was not found")
        match request.method, path[2]:
            case "POST", None:
                return 201, self.create(request)
            case "GET", str(sid):
                with self.lock:
                    if sid in self.messages:
                        return 200, self.messages[sid]
                raise self.refusal(20404, 404, f"The requested resource {request.path} was not found")
        raise self.refusal(20004)

    def authorize(self, given):
        scheme, _, login = (given or "").partition(" ")
        try:
            user, _, password = base64.b64decode(login, validate=True).decode().partition(":")
        except ValueError:
            user = password = ""
        if scheme.lower() != "basic" or (user, password) not in [(ACCOUNT, TOKEN), (API_KEY, KEY_SECRET)]:
            raise self.refusal(20003, 401, "Authentication Error - invalid username")

    def create(self, request):
        if request.headers.get_content_type() != "application/x-www-form-urlencoded" or request.query:
            # What is no form has no parameters.
            raise self.refusal(21604)
        try:
            form = parameters(request.body)
        except ValueError as error:
            raise self.refusal(20001, 400, str(error)) from error
        for name in form:
            if name not in ("To", "From", "MessagingServiceSid", "Body", "StatusCallback", "ValidityPeriod"):
                raise self.refusal(20001, 400, f"Unknown parameter {name}")
        self.check(form)
        with self.lock:
            self.count += 1
            sid = f"SM{self.count:032x}"
        by_service = "MessagingServiceSid" in form
        made = email.utils.formatdate(usegmt=False)
        message = {
            "account_sid": ACCOUNT,
            "api_version": VERSION,
            "body": form["Body"],
            "date_created": made,
            "date_sent": None,
            "date_updated": made,
            "direction": "outbound-api",
            "error_code": None,
            "error_message": None,
            "from": form.get("From"),
            "messaging_service_sid": form.get("MessagingServiceSid"),
            "num_media": "0",
            "num_segments": "0" if by_service else str(segments(form["Body"])),
            "price": None,
            "price_unit": None,
            "sid": sid,
            "status": "accepted" if by_service else "queued",
            "subresource_uris": {"media": f"/{VERSION}/Accounts/{ACCOUNT}/Messages/{sid}/Media.json"},
            "to": form["To"],
            "uri": f"/{VERSION}/Accounts/{ACCOUNT}/Messages/{sid}.json",
        }
        with self.lock:
            self.messages[sid] = message
        self.keep({"id": sid, "form": form})
        return message

    def check(self, form):
        """What each parameter has to be."""
        e164 = r"\+[1-9][0-9]{6,14}"
        if not form.get("To"):
            raise self.refusal(21604)
        if not re.fullmatch(e164, form["To"]):
            raise self.refusal(21211, 400, f"The 'To' number {form['To']} is not a valid phone number.")
        if not form.get("From") and not form.get("MessagingServiceSid"):
            raise self.refusal(21603)
        if form.get("From") == form["To"]:
            raise self.refusal(21266)
        if "From" in form and not re.fullmatch(rf"{e164}|[0-9]{{3,8}}|[A-Za-z0-9 ]{{1,11}}", form["From"]):
            raise self.refusal(21212, 400, f"The 'From' number {form['From']} is not a valid phone number.")
        if "From" in form and form["From"] != NUMBER:
            raise self.refusal(21606)
        if "MessagingServiceSid" in form and form["MessagingServiceSid"] != SERVICE:
            raise self.refusal(21701)
        if not form.get("Body"):
            raise self.refusal(21602)
        if len(form["Body"]) > 1_600:
            raise self.refusal(21617)
        callback = form.get("StatusCallback", "https://a.example/")
        if not re.fullmatch(r"https?://[^\s/?#]+(/\S*)?", callback):
            raise self.refusal(21609)
        if not re.fullmatch("[0-9]{1,5}", form.get("ValidityPeriod", "14400")):
            raise self.refusal(20001, 400, "ValidityPeriod is a number of seconds")
        if form["To"] in self.stopped:
            raise self.refusal(21610)

    # ------------------------------------------------------------------------------------------------ what is told

    def webhook(self, order):
        """A status {sid, status, code?, url?}: the message's own callback unless a URL is given; a message {url, from,
        text, opt_out?}; or any form {url, form}. The URL is signed as it is, or as `signed_url`."""
        states = "accepted queued sending sent delivered undelivered failed read canceled".split()
        known = {
            "url": text(1), "sid": text(1), "status": one_of(*states), "code": text(1), "from": text(1), "text": text(),
            "opt_out": one_of("STOP", "START", "HELP"), "form": lambda *_: None, "token": text(), "signed_url": text(1),
        }
        fields(order, "", known)
        url = order.get("url")
        if "form" in order:
            form = order["form"]
        elif "status" in order:
            message = self.messages[order["sid"]]
            sent = next(one for one in self.sent if one["id"] == order["sid"])
            url = url or sent["form"]["StatusCallback"]
            message["status"] = order["status"]
            form = {
                "SmsSid": order["sid"], "SmsStatus": order["status"], "MessageStatus": order["status"],
                "To": message["to"], "MessageSid": order["sid"], "AccountSid": ACCOUNT,
                "From": message["from"] or NUMBER, "ApiVersion": VERSION,
            }
            if "code" in order:
                form["ErrorCode"] = order["code"]
        else:
            form = self.message(order)
        signed = (order.get("signed_url") or url) + "".join(name + form[name] for name in sorted(form))
        token = order.get("token", TOKEN).encode()
        signature = base64.b64encode(hmac.new(token, signed.encode(), hashlib.sha1).digest()).decode()
        headers = {"content-type": "application/x-www-form-urlencoded; charset=UTF-8", "x-twilio-signature": signature}
        return url, headers, urllib.parse.urlencode(form).encode()

    def message(self, order):
        """What a contact wrote. Who said STOP is not written to until START."""
        sid = order.get("sid", "SM" + "f" * 32)
        match order.get("opt_out"):
            case "STOP":
                self.stopped.add(order["from"])
            case "START":
                self.stopped.discard(order["from"])
        form = {
            "ToCountry": "US", "ToState": "", "SmsMessageSid": sid, "NumMedia": "0", "SmsSid": sid,
            "SmsStatus": "received", "Body": order["text"], "To": NUMBER, "NumSegments": "1", "MessageSid": sid,
            "AccountSid": ACCOUNT, "From": order["from"], "ApiVersion": VERSION,
        }
        return form | ({"OptOutType": order["opt_out"]} if "opt_out" in order else {})


if __name__ == "__main__":
    run(Twilio())
