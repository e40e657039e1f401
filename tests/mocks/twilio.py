"""A strict mock of Twilio's messages: POST and GET of Accounts/{Sid}/Messages.json, status callbacks, messages in.

From the reference under https://www.twilio.com/docs/messaging/api/message-resource, of errors under
https://www.twilio.com/docs/api/errors and of webhooks under https://www.twilio.com/docs/usage/webhooks and
https://www.twilio.com/docs/messaging/guides. What the reference names and this does not do (schedules, shortened links,
channels) is refused as a parameter that is not known. Beside the side door that all mocks have: POST /_segments counts
the segments of a text.

A callback that is answered is told once, whatever the answer, unless its URL says behind its # to tell it again.
"""

import base64
import email.utils
import hashlib
import hmac
import re
import time
import urllib.parse

from mock import Provider, Refusal, Wrong, each, either, fields, number, one_of, parse, run, shape, text

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
    21619: (400, "A Message Body, Media URL or Content SID is required"),
    21620: (400, "Invalid media URL(s)"),
    21623: (400, "Number of media files exceeds allowed limit"),
    21624: (400, "Invalid validity period value"),
    21654: (400, "ContentSid Required"),
    21655: (400, "The ContentSid is Invalid"),
    21656: (400, "The ContentVariables Parameter is invalid"),
    21701: (400, "The Messaging Service does not exist"),
    30001: (429, "Queue overflow"),
    30002: (400, "Account suspended"),
    30003: (400, "Unreachable destination handset"),
    30004: (400, "Message blocked"),
    30005: (400, "Unknown destination handset"),
    30006: (400, "Landline or unreachable carrier"),
    30007: (400, "Message filtered"),
    30008: (400, "Unknown error"),
    30022: (429, "US A2P 10DLC - Rate Limits Exceeded"),
    30023: (400, "US A2P 10DLC - Daily Message Cap Reached"),
    30034: (400, "US A2P 10DLC - Message from an Unregistered Number"),
    63038: (429, "Account exceeded the daily messages limit"),
}

E164 = r"\+[1-9][0-9]{6,14}"
KNOWN = {
    "To", "From", "MessagingServiceSid", "Body", "MediaUrl", "ContentSid", "ContentVariables", "StatusCallback",
    "ValidityPeriod",
}

# What may stand behind a callback's #, and within which bounds: how long to connect and to read and all in all, in
# milliseconds, how often to try again and after what, where from, and whether the host's name is told.
MILLISECONDS = re.compile("[1-9][0-9]{2,4}")
OVERRIDES = {
    "ct": lambda value: MILLISECONDS.fullmatch(value) and int(value) <= 10_000,
    "rt": lambda value: MILLISECONDS.fullmatch(value) and int(value) <= 15_000,
    "tt": lambda value: MILLISECONDS.fullmatch(value) and int(value) <= 15_000,
    "rc": lambda value: re.fullmatch("[0-5]", value),
    "rp": lambda value: set(value.split(",")) <= {"4xx", "5xx", "ct", "rt", "all"},
    "e": lambda value: re.fullmatch("[a-z0-9,-]+", value),
    "sni": lambda value: value in ("y", "n"),
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
    """A form's parameters, each once but `MediaUrl`, which is a list."""
    pairs = urllib.parse.parse_qsl(
        body.decode("utf-8"), keep_blank_values=True, strict_parsing=bool(body), encoding="utf-8", errors="strict"
    )
    media = [value for name, value in pairs if name == "MediaUrl"]
    others = [(name, value) for name, value in pairs if name != "MediaUrl"]
    if len({name for name, _ in others}) < len(others):
        raise ValueError("a parameter stands twice")
    return dict(others) | ({"MediaUrl": media} if media else {})


def is_callback(url):
    """A URL with the name of a host, without underscores in it; behind # only what overrides the connection."""
    url, _, overrides = url.partition("#")
    pairs = [pair.partition("=") for pair in overrides.split("&")] if overrides else []
    return re.fullmatch(r"https?://[^\s/?#_]+(/\S*)?", url) and all(
        name in OVERRIDES and OVERRIDES[name](value) for name, _, value in pairs
    )


# What an order tells: the status of a message, what a contact wrote, or any form.
STATES = "accepted queued sending sent delivered undelivered failed read canceled".split()
SIGNED = {"url": text(1), "signed_url": text(1), "token": text()}
TELLS = {
    "status": shape(
        {"sid": text(1), "status": one_of(*STATES), "code": either(text(1, 5, "[0-9]+"), number), **SIGNED},
        ["sid", "status"],
    ),
    "from": shape(
        {
            "from": text(1), "text": text(), "sid": text(1), "opt_out": one_of("STOP", "START", "HELP"),
            "media": each(shape({"url": text(1), "type": text(1)}, ["url", "type"]), 0, 10), **SIGNED,
        },
        ["url", "from", "text"],
    ),
    "form": shape(
        {"form": lambda value, at: fields(value, at, {name: text() for name in value}), **SIGNED}, ["url", "form"]
    ),
}


class Twilio(Provider):
    """One account with a number and a messaging service."""

    def __init__(self):
        super().__init__()
        self.messages, self.stopped = {}, set()

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

    def check(self, request):
        path = re.fullmatch(rf"/{VERSION}/Accounts/([^/]+)/Messages(?:/([^/]+))?\.json", request.path)
        self.authorize(request.headers.get("authorization"))
        if not path or path[1] != ACCOUNT:
            raise self.refusal(20404, 404, f"The requested resource {request.path} was not found")
        match request.method, path[2]:
            case "POST", None:
                form = self.form(request)
                return lambda: (201, self.create(form))
            case "GET", str(sid):
                with self.lock:
                    if sid in self.messages:
                        message = self.messages[sid]
                        return lambda: (200, message)
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

    def form(self, request):
        """A form that is right."""
        if request.headers.get_content_type() != "application/x-www-form-urlencoded" or request.query:
            # What is no form has no parameters.
            raise self.refusal(21604)
        try:
            form = parameters(request.body)
        except ValueError as error:
            raise self.refusal(20001, 400, str(error)) from error
        for name in form:
            if name not in KNOWN:
                raise self.refusal(20001, 400, f"Unknown parameter {name}")
        self.check_numbers(form)
        self.check_content(form)
        if not is_callback(form.get("StatusCallback", "https://a.example/")):
            raise self.refusal(21609)
        period = form.get("ValidityPeriod", "36000")
        if not re.fullmatch("[0-9]{1,5}", period):
            raise self.refusal(20001, 400, "ValidityPeriod is a number of seconds")
        if not 1 <= int(period) <= 36_000:
            raise self.refusal(21624)
        if form["To"] in self.stopped:
            raise self.refusal(21610)
        return form

    def create(self, form):
        sid = f"{'MM' if 'MediaUrl' in form else 'SM'}{self.next():032x}"
        by_service, body = "MessagingServiceSid" in form, form.get("Body", "")
        made = email.utils.formatdate(usegmt=False)
        message = {
            "account_sid": ACCOUNT,
            "api_version": VERSION,
            "body": body,
            "date_created": made,
            "date_sent": None,
            "date_updated": made,
            "direction": "outbound-api",
            "error_code": None,
            "error_message": None,
            "from": form.get("From"),
            "messaging_service_sid": form.get("MessagingServiceSid"),
            "num_media": str(len(form.get("MediaUrl", []))),
            "num_segments": "0" if by_service else str(segments(body)),
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

    def check_numbers(self, form):
        """Who gets it, and who it is from."""
        if not form.get("To"):
            raise self.refusal(21604)
        if not re.fullmatch(E164, form["To"]):
            raise self.refusal(21211, 400, f"The 'To' number {form['To']} is not a valid phone number.")
        if not form.get("From") and not form.get("MessagingServiceSid"):
            raise self.refusal(21603)
        if form.get("From") == form["To"]:
            raise self.refusal(21266)
        # A number, a short code, or a name with a letter in it.
        sender = rf"{E164}|[0-9]{{3,8}}|(?=.*[A-Za-z])[A-Za-z0-9 +_&-]{{1,11}}"
        if "From" in form and not re.fullmatch(sender, form["From"]):
            raise self.refusal(21212, 400, f"The 'From' number {form['From']} is not a valid phone number.")
        if "From" in form and form["From"] != NUMBER:
            raise self.refusal(21606)
        if "MessagingServiceSid" in form and form["MessagingServiceSid"] != SERVICE:
            raise self.refusal(21701)

    def check_content(self, form):
        """What it says: a text, media or a template, one of them at least."""
        if not any(form.get(name) for name in ("Body", "MediaUrl", "ContentSid")):
            raise self.refusal(21619 if "MessagingServiceSid" in form else 21602)
        if len(form.get("Body", "")) > 1_600:
            raise self.refusal(21617)
        media = form.get("MediaUrl", [])
        if len(media) > 10:
            raise self.refusal(21623)
        if not all(re.fullmatch(r"https?://[^\s/?#]+(/\S*)?", url) for url in media):
            raise self.refusal(21620)
        if "ContentVariables" in form and "ContentSid" not in form:
            raise self.refusal(21654)
        if not re.fullmatch("HX[0-9a-fA-F]{32}", form.get("ContentSid", "HX" + "0" * 32)):
            raise self.refusal(21655)
        try:
            variables = parse(form.get("ContentVariables", "{}"))
            fields(variables, "", {name: text(1) for name in variables} if isinstance(variables, dict) else {})
        except (Wrong, ValueError) as wrong:
            raise self.refusal(21656) from wrong

    # ------------------------------------------------------------------------------------------------ what is told

    def tries(self, url, status):
        """As often more as `rc` says, if `rp` has what failed: by default once, where there was no connection."""
        overrides = dict(urllib.parse.parse_qsl(url.partition("#")[2]))
        failed = {f"{status // 100}xx"} if status else {"ct", "rt"}
        is_again = (failed | {"all"}) & set(overrides.get("rp", "ct").split(","))
        return 1 + int(overrides.get("rc", "1")) if is_again else 1

    def webhook(self, order):
        """A status {sid, status, code?, url?}: the message's own callback unless a URL is given; a message {url, from,
        text, opt_out?, media?, sid?}; or any form {url, form}. The URL is signed as it is without what stands behind
        its #, or as `signed_url`, by the account's token or by `token`."""
        kind = next((name for name in TELLS if name in order), "form")
        TELLS[kind](order, "")
        url, form = order.get("url"), order.get("form")
        if kind == "status":
            url, form = self.status(order)
        if kind == "from":
            form = self.message(order)
        signed = order.get("signed_url", url.partition("#")[0])
        signed += "".join(name + form[name] for name in sorted(form))
        token = order.get("token", TOKEN).encode()
        signature = base64.b64encode(hmac.new(token, signed.encode(), hashlib.sha1).digest()).decode()
        headers = {"content-type": "application/x-www-form-urlencoded; charset=UTF-8", "x-twilio-signature": signature}
        return url, headers, urllib.parse.urlencode(form).encode()

    def status(self, order):
        """What became of a message: the URL that is called, and what it is told."""
        has_failed = order["status"] in ("failed", "undelivered")
        if "code" in order and not has_failed:
            raise Wrong("code", "value", "of a message that failed or was not delivered")
        code = str(order.get("code", 30008)) if has_failed else None
        with self.lock:
            message = self.messages.get(order["sid"])
            sent = next((one["form"] for one in self.sent if one["id"] == order["sid"]), {})
            url = order.get("url", sent.get("StatusCallback"))
            if message is None or url is None:
                raise Wrong("sid" if message is None else "url", "value", "of a message, with a callback")
            message["status"], message["date_updated"] = order["status"], email.utils.formatdate(usegmt=False)
            if has_failed:
                message["error_code"], message["error_message"] = int(code), ERRORS.get(int(code), (400, "Unknown"))[1]
        form = {
            "SmsSid": order["sid"], "SmsStatus": order["status"], "MessageStatus": order["status"],
            "To": message["to"], "MessageSid": order["sid"], "AccountSid": ACCOUNT,
            "From": message["from"] or NUMBER, "ApiVersion": VERSION,
        }
        if message["messaging_service_sid"]:
            form["MessagingServiceSid"] = message["messaging_service_sid"]
        # What the carrier's receipt has for its moment, in minutes.
        if order["status"] in ("delivered", "undelivered"):
            form["RawDlrDoneDate"] = time.strftime("%y%m%d%H%M", time.gmtime())
        return url, form | ({"ErrorCode": code} if has_failed else {})

    def message(self, order):
        """What a contact wrote. Who said STOP is not written to until START."""
        media = order.get("media", [])
        sid = order.get("sid", f"{'MM' if media else 'SM'}{self.next():032x}")
        match order.get("opt_out"):
            case "STOP":
                self.stopped.add(order["from"])
            case "START":
                self.stopped.discard(order["from"])
        form = {
            "ToCountry": "US", "ToState": "", "SmsMessageSid": sid, "NumMedia": str(len(media)), "ToCity": "",
            "FromZip": "", "SmsSid": sid, "FromState": "", "SmsStatus": "received", "FromCity": "",
            "Body": order["text"], "FromCountry": "BR", "To": NUMBER, "ToZip": "",
            "NumSegments": str(segments(order["text"])), "MessageSid": sid, "AccountSid": ACCOUNT,
            "From": order["from"], "ApiVersion": VERSION,
        }
        for place, one in enumerate(media):
            form |= {f"MediaUrl{place}": one["url"], f"MediaContentType{place}": one["type"]}
        # Words are understood as a wish only by a messaging service.
        if "opt_out" in order:
            form |= {"OptOutType": order["opt_out"], "MessagingServiceSid": SERVICE}
        return form


if __name__ == "__main__":
    run(Twilio())
