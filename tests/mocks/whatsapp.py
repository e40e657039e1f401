"""A strict mock of WhatsApp's Cloud API: messages out, statuses and messages in.

From the reference of messages, of their webhooks and of error codes under
https://developers.facebook.com/documentation/business-messaging/whatsapp/. Messages are text, template, image, video,
audio, document and interactive with reply buttons; marking as read. What they have to be stands in whatsapp_shapes.py.
Beside the side door that all mocks have: POST /_templates puts templates in place of those it has, POST /_verify asks a
URL whether it is the endpoint that is meant.

A webhook is delivered only where it is answered with 200: whatever else is answered, Meta tells it again, for up to
seven days. So does this, as often as `tries` lets it.
"""

import base64
import hashlib
import hmac
import json
import re
import urllib.error
import urllib.parse
import urllib.request

from mock import Provider, Refusal, Wrong, anything, each, fields, now, one_of, parse, run
from whatsapp_shapes import AROUND, KINDS, PARTS, READ, TELLS, TEMPLATES, a_template

PHONE_NUMBER_ID, DISPLAY_NUMBER, ACCOUNT = "106540352242922", "15550783881", "102290129340398"
TOKEN, EXPIRED_TOKEN, APP_SECRET = "EAAGmockTOKEN", "EAAGmockEXPIRED", "mock-app-secret"
VERSIONS = r"v(1[7-9]|2[0-9])\.0"

# Code, HTTP status and title, as the reference of error codes has them.
ERRORS = {
    0: (401, "AuthException"),
    1: (400, "API Unknown"),
    2: (503, "API Service"),
    3: (500, "API Method"),
    4: (400, "API Too Many Calls"),
    10: (403, "Permission Denied"),
    33: (400, "Parameter value is not valid"),
    100: (400, "Invalid parameter"),
    190: (401, "Access token has expired"),
    368: (403, "Temporarily blocked for policies violations"),
    80007: (400, "Rate limit issues"),
    130429: (429, "Rate limit hit"),
    130472: (400, "User's number is part of an experiment"),
    131000: (500, "Something went wrong"),
    131005: (403, "Access denied"),
    131008: (400, "Required parameter is missing"),
    131009: (400, "Parameter value is not valid"),
    131016: (500, "Service unavailable"),
    131021: (400, "Recipient cannot be sender"),
    131026: (400, "Message Undeliverable"),
    131031: (403, "Account has been locked"),
    131042: (400, "Business eligibility payment issue"),
    131045: (500, "Message failed to send because of an issue with the phone number's registration"),
    131047: (400, "Re-engagement message"),
    131048: (400, "Spam rate limit hit"),
    131049: (400, "Meta chose not to deliver"),
    131050: (400, "User stopped marketing messages"),
    131051: (400, "Unsupported message type"),
    131052: (400, "Media download error"),
    131053: (400, "Media upload error"),
    131056: (400, "Pair rate limit hit"),
    131057: (500, "Business account is in maintenance mode"),
    132000: (400, "Template Param Count Mismatch"),
    132001: (404, "Template does not exist"),
    132005: (400, "Template Hydrated Text Too Long"),
    132007: (400, "Template Format Character Policy Violated"),
    132012: (400, "Template Parameter Format Mismatch"),
    132015: (400, "Template is Paused"),
    132016: (400, "Template is Disabled"),
    132018: (400, "There's an issue with the parameters in your template"),
    133004: (503, "Server Temporarily Unavailable"),
    133010: (400, "Phone number not registered on the WhatsApp Business Platform"),
}


def user_id(number):
    """The id by which this business knows whoever has a number."""
    return f"BR.{int(number) * 7:020}"


def param(at):
    """A path as the API's messages write it: text['body']."""
    first, *rest = re.findall(r"[^.\[\]]+", at)
    return first + "".join(f"[{part}]" if part.isdigit() else f"['{part}']" for part in rest)


class WhatsApp(Provider):
    """One number of one account."""

    def __init__(self):
        super().__init__()
        self.templates = TEMPLATES

    def who(self):
        return {
            "phone_number_id": PHONE_NUMBER_ID,
            "display_phone_number": DISPLAY_NUMBER,
            "token": TOKEN,
            "expired_token": EXPIRED_TOKEN,
            "app_secret": APP_SECRET,
        }

    def refusal(self, code, status=None, details=None, **more):
        known, title = ERRORS.get(code, (400, "Unknown"))
        error = {
            "message": f"(#{code}) {title}",
            "type": "OAuthException",
            "code": code,
            "error_data": {"messaging_product": "whatsapp", "details": details or title},
            "fbtrace_id": "Amock" + hashlib.sha256(f"{code}{details}".encode()).hexdigest()[:17],
        }
        return Refusal(status or known, {"error": error | more})

    def side_door(self, request):
        match request.method, request.path:
            case "POST", "/_templates":
                order = parse(request.body)
                fields(order, "", {"templates": each(a_template, 0, 1_000)}, ["templates"])
                self.templates = order["templates"]
                return 200, {}
            case "POST", "/_verify":
                return 200, self.verify(**parse(request.body))
        return super().side_door(request)

    def check(self, request):
        parts = request.path.strip("/").split("/")
        if len(parts) != 3 or not re.fullmatch(VERSIONS, parts[0]) or parts[2] != "messages":
            unknown = f"Unknown path components: {request.path}"
            raise self.refusal(2500, 400, unknown, message=unknown)
        self.authorize(request.headers.get("authorization"))
        if parts[1] != PHONE_NUMBER_ID or request.method != "POST":
            gone = (
                f"Unsupported {request.method.lower()} request. Object with ID '{parts[1]}' does not exist, cannot be "
                "loaded due to missing permissions, or does not support this operation"
            )
            raise self.refusal(100, 400, gone, message=gone, error_subcode=33, type="GraphMethodException")
        if request.query:
            raise self.refusal(100, 400, f"Unexpected key \"{request.query}\"")
        if request.headers.get_content_type() != "application/json":
            raise self.refusal(100, 400, "The body is no JSON by its content type")
        try:
            message = parse(request.body)
        except ValueError as error:
            raise self.refusal(100, 400, f"The body is no JSON: {error}") from error
        try:
            return self.right(message)
        except Wrong as wrong:
            raise self.wrong(wrong) from wrong

    def authorize(self, given):
        if not given:
            raise self.refusal(104, 401, "An access token is required to request this resource.")
        if given == f"Bearer {EXPIRED_TOKEN}":
            raise self.refusal(190, 401, "Session has expired", error_subcode=463)
        if given != f"Bearer {TOKEN}":
            raise self.refusal(190, 401, "Invalid OAuth access token - Cannot parse access token")

    def wrong(self, wrong):
        """The API's error for a field that is wrong."""
        name = param(wrong.at) if wrong.at else "messages"
        head, _, last = wrong.at.rpartition(".")
        match wrong.how:
            case "unknown":
                details = f'Unexpected key "{last}" on param "{param(head) if head else "messages"}".'
                return self.refusal(100, 400, details)
            case "missing" if not head:
                return self.refusal(100, 400, f"The parameter {last} is required.")
            case "missing":
                return self.refusal(131008, 400, f"Required parameter is missing: {name}")
            case "type":
                return self.refusal(100, 400, f"Param {name} must be {wrong.right}.")
        return self.refusal(131009, 400, f"Parameter value is not valid: {name} ({wrong.right})")

    def right(self, message):
        """What answers a message that is right."""
        if isinstance(message, dict) and "status" in message:
            fields(message, "", READ, ["messaging_product", "status", "message_id"])
            return lambda: self.mark(message["message_id"])
        if not isinstance(message, dict):
            raise Wrong("", "type", "an object")
        # By the reference a message without a type is a text.
        kind = message.get("type", "text")
        known = dict(AROUND)
        if isinstance(kind, str) and kind in KINDS:
            known[kind] = KINDS[kind]
        else:
            one_of(*KINDS)(kind, "type")
        fields(message, "", known, ["messaging_product", "to", kind])
        to = re.sub("[^0-9]", "", message["to"])
        if to == DISPLAY_NUMBER:
            raise self.refusal(131021)
        if kind == "template":
            self.template(message["template"])
        return lambda: self.accept(to, kind, message)

    def mark(self, id):
        self.keep({"read": id})
        return 200, {"success": True}

    def accept(self, to, kind, message):
        sent = {"id": "wamid." + base64.b64encode(f"{to} {self.next()}".encode()).decode()}
        self.keep({**sent, "to": to, "message": message})
        if kind == "template":
            sent["message_status"] = "accepted"
        contact = {"input": message["to"], "wa_id": to}
        return 200, {"messaging_product": "whatsapp", "contacts": [contact], "messages": [sent]}

    def template(self, sent):
        """A template of the account, filled as it wants to be."""
        is_it = lambda one: one["name"] == sent["name"] and one["language"] == sent["language"]["code"]
        known = next(filter(is_it, self.templates), None)
        if known is None:
            details = f"template name ({sent['name']}) does not exist in {sent['language']['code']}"
            raise self.refusal(132001, 404, details)
        parts = sent.get("components", [])
        # The reference has no code for what stands there twice: it is the one for whatever does not fit the template.
        if len({(part["type"], str(part.get("index"))) for part in parts}) < len(parts):
            raise self.refusal(132012, 400, "components: one header, one body, and each button once")
        header = [one for part in parts if part["type"] == "header" for one in part["parameters"]]
        body = [one for part in parts if part["type"] == "body" for one in part["parameters"]]
        buttons = [part for part in parts if part["type"] == "button"]
        if len(header) != bool(known["header"]) or len(body) != known["body"]:
            details = f"body: number of localizable_params ({len(body)}) does not match ({known['body']})"
            raise self.refusal(132000, 400, details)
        if [one["type"] for one in header] != ([known["header"]] if known["header"] else []):
            raise self.refusal(132012, 400, f"header: Format mismatch, expected {known['header'].upper()}")
        if {int(part["index"]): part["sub_type"] for part in buttons} != dict(enumerate(known["buttons"])):
            raise self.refusal(132012, 400, f"buttons: Format mismatch, expected {known['buttons']}")
        self.names(known, header, body)
        self.words(known, header, body, [one for part in buttons for one in part["parameters"]])

    def names(self, known, header, body):
        """Parameters with a name each where the template's are named, and with none where they are counted."""
        named = known.get("names", {"header": [], "body": []})
        for part, parameters in [("header", header), ("body", body)]:
            given = [one.get("parameter_name") for one in parameters]
            if not named[part] and any(given):
                raise self.refusal(100, 400, f"{part}: the parameters of this template have no names")
            if named[part] and not all(given):
                raise self.refusal(100, 400, "Parameter name is missing or empty")
            if named[part] and sorted(given) != sorted(named[part]):
                raise self.refusal(132012, 400, f"{part}: the names of its parameters are {named[part]}")

    def words(self, known, header, body, buttons):
        """Words without what no parameter may have, and together no longer than their place."""
        for one in header + body + buttons:
            if re.search(r"[\r\n\t]| {5}", one.get("text", "")):
                details = "Param text cannot have new-line/tab characters or more than 4 consecutive spaces"
                raise self.refusal(132018, 400, details)
        # A body that has its template to itself may be longer.
        alone = not known["header"] and not known["buttons"]
        for part, parameters, most in [("header", header, 60), ("body", body, 32_768 if alone else 1_024)]:
            words = [one.get("text") or one[one["type"]].get("fallback_value", "") for one in parameters]
            if len("".join(words)) > most:
                raise self.refusal(132005, 400, f"{part}: the translated text is longer than {most} characters")

    # -------------------------------------------------------------------------------------------- what is told

    def takes(self, status):
        return status == 200

    def webhook(self, order):
        """A status {url, id, status, code?, title?, details?}, a message {url, from, type, part, context?}, or any
        {url, value, field?}, each as TELLS has it."""
        kind = next((name for name in TELLS if name in order), "value")
        TELLS[kind](order, "")
        if kind == "status" and order["status"] != "failed" and {"code", "title", "details"} & set(order):
            raise Wrong("code", "value", "of a message that failed")
        if kind == "from":
            PARTS.get(order["type"], anything)(order["part"], "part")
        value = {"status": self.status, "from": self.message, "value": lambda one: one["value"]}[kind](order)
        field = order.get("field", "messages")
        around = {
            "messaging_product": "whatsapp",
            "metadata": {"display_phone_number": DISPLAY_NUMBER, "phone_number_id": PHONE_NUMBER_ID},
        } if field == "messages" else {}
        entry = {"id": ACCOUNT, "changes": [{"field": field, "value": {**around, **value}}]}
        # With what is not ASCII escaped, as Meta sends it.
        body = json.dumps({"object": "whatsapp_business_account", "entry": [entry]}).encode()
        secret = order.get("secret", APP_SECRET).encode()
        signature = "sha256=" + hmac.new(secret, body, hashlib.sha256).hexdigest()
        return order["url"], {"content-type": "application/json", "x-hub-signature-256": signature}, body

    def status(self, order):
        with self.lock:
            sent = next((one for one in self.sent if one.get("id") == order.get("id")), None)
        to, message = (sent["to"], sent["message"]) if sent else ("5511999990000", {})
        status = {
            "id": order["id"],
            "status": order["status"],
            "timestamp": str(order.get("timestamp", now())),
            "recipient_id": to,
            "recipient_user_id": user_id(to),
        }
        if "biz_opaque_callback_data" in message:
            status["biz_opaque_callback_data"] = message["biz_opaque_callback_data"]
        if order["status"] == "failed":
            code = order.get("code", 131000)
            title = order.get("title", ERRORS.get(code, (400, "Unknown"))[1])
            status["errors"] = [{
                "code": code, "title": title, "message": title,
                "error_data": {"details": order.get("details", title)},
                "href": "https://developers.facebook.com/docs/whatsapp/cloud-api/support/error-codes/",
            }]
        else:
            status["pricing"] = {"billable": True, "pricing_model": "PMP", "category": "utility", "type": "regular"}
        return {"contacts": [self.contact(to)], "statuses": [status]}

    def message(self, order):
        kind = order["type"]
        message = {
            "from": order["from"],
            "from_user_id": user_id(order["from"]),
            "id": order.get("id", f"wamid.IN{self.next()}"),
            "timestamp": str(order.get("timestamp", now())),
            "type": kind,
            kind: order["part"],
        }
        if "context" in order:
            message["context"] = {"from": DISPLAY_NUMBER, "id": order["context"]}
        return {"contacts": [self.contact(order["from"])], "messages": [message]}

    def contact(self, number):
        return {"profile": {"name": "Ana"}, "wa_id": number, "user_id": user_id(number)}

    def verify(self, url, token, challenge="1158201444", mode="subscribe"):
        query = {"hub.mode": mode, "hub.challenge": challenge, "hub.verify_token": token}
        try:
            with urllib.request.urlopen(f"{url}?{urllib.parse.urlencode(query)}", timeout=30) as answer:
                return {"status": answer.status, "body": answer.read().decode()}
        except urllib.error.HTTPError as error:
            return {"status": error.code, "body": error.read().decode()}


if __name__ == "__main__":
    run(WhatsApp())
