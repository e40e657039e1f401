"""What messages, templates and webhooks of WhatsApp's Cloud API have to be.

From the reference of messages and of their webhooks under
https://developers.facebook.com/documentation/business-messaging/whatsapp/ and from its OpenAPI document,
https://github.com/facebook/openapi, which has most of the lengths. Whatever is not in the reference is refused, also
where the real API may be more lenient.
"""

import re

from mock import Wrong, anything, each, fields, flag, number, one_of, shape, text

# ------------------------------------------------------------------------------------------------------ what is sent

URL = text(1, 2_048, r"https?://\S+")
PHONE = text(1, 32, r"\+?[1-9][0-9 ()-]{4,30}")


def media(**more):
    """Media by a link or by an id, one of them."""

    def check(value, at):
        fields(value, at, {"link": URL, "id": text(1, 64, "[0-9]+"), **more})
        if ("link" in value) == ("id" in value):
            raise Wrong(f"{at}.link", "missing" if "link" not in value else "value", "a link or an id, one of them")

    return check


# The reference has no length for a file's name; 240 is what partners of Meta's tell.
CAPTION, FILE_NAME = text(1, 1_024), text(1, 240)
MEDIA = {
    "image": media(caption=CAPTION),
    "video": media(caption=CAPTION),
    "document": media(caption=CAPTION, filename=FILE_NAME),
    "audio": media(voice=flag),
}
HEADER_MEDIA = {"image": media(), "video": media(), "document": media(filename=FILE_NAME)}


def kinds(known, always=()):
    """An object whose `type` names the one other field that it has."""

    def check(value, at):
        if not isinstance(value, dict):
            raise Wrong(at, "type", "an object")
        if "type" not in value:
            raise Wrong(f"{at}.type", "missing")
        one_of(*known)(value["type"], f"{at}.type")
        kind = value["type"]
        more = dict(always)
        fields(value, at, {"type": text(), kind: known[kind], **more}, ["type", kind])

    return check


def reply_buttons(value, at):
    """One to three buttons, each with an id and a title of its own; no space around an id."""
    button = shape({"id": text(1, 256, r"(?s)\S(.*\S)?"), "title": text(1, 20)}, ["id", "title"])
    each(kinds({"reply": button}), 1, 3)(value, at)
    for name in ("id", "title"):
        if len({one["reply"][name] for one in value}) < len(value):
            raise Wrong(at, "value", f"each with a {name} of its own")


INTERACTIVE = shape(
    {
        "type": one_of("button"),
        "header": kinds({"text": text(1, 60), **HEADER_MEDIA}),
        "body": shape({"text": text(1, 1_024)}, ["text"]),
        "footer": shape({"text": text(1, 60)}, ["text"]),
        "action": shape({"buttons": reply_buttons}, ["buttons"]),
    },
    ["type", "body", "action"],
)

PLACED = {"parameter_name": text(1, 60, "[a-z0-9_]+")}
MONEY = shape(
    {"fallback_value": text(1), "code": text(3, 3), "amount_1000": number}, ["fallback_value", "code", "amount_1000"]
)
# How long the words of a header and of a body may be together depends on the template: the provider's side looks.
DATE = shape({"fallback_value": text(1)}, ["fallback_value"])
WORDS = {"text": text(1, 32_768), "currency": MONEY, "date_time": DATE}
COMPONENTS = {
    "header": kinds({"text": text(1, 32_768), **HEADER_MEDIA}, PLACED),
    "body": kinds(WORDS, PLACED),
    "quick_reply": kinds({"payload": text(1, 256)}),
    "url": kinds({"text": text(1, 2_000)}),
}


def component(value, at):
    """What fills the header, the body or one button of a template. Its kind may be in capitals, as clients write it."""
    if not isinstance(value, dict):
        raise Wrong(at, "type", "an object")
    if "type" not in value:
        raise Wrong(f"{at}.type", "missing")
    text()(value["type"], f"{at}.type")
    kind = value["type"] = value["type"].lower()
    one_of("header", "body", "button")(kind, f"{at}.type")
    known, required = {"type": text()}, ["type", "parameters"]
    if kind == "button":
        known |= {"sub_type": one_of("quick_reply", "url"), "index": place}
        required += ["sub_type", "index"]
        if isinstance(value.get("sub_type"), str):
            value["sub_type"] = value["sub_type"].lower()
        kind = value.get("sub_type") if value.get("sub_type") in ("quick_reply", "url") else "url"
    most = 1 if kind in ("header", "quick_reply", "url") else 100
    fields(value, at, known | {"parameters": each(COMPONENTS[kind], 1, most)}, required)


def place(value, at):
    """A button's place, from 0: a string of digits by the reference, a number in its examples."""
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise Wrong(at, "type", "a place")
    if not re.fullmatch("[0-9]", str(value)):
        raise Wrong(at, "value", "from 0 to 9")


TEMPLATE = shape(
    {
        "name": text(1, 512, "[a-z0-9_]+"),
        "language": shape(
            {"code": text(2, 15, "[a-z]{2,3}(_[A-Za-z]{2,4})?"), "policy": one_of("deterministic")}, ["code"]
        ),
        "components": each(component, 0, 12),
    },
    ["name", "language"],
)

KINDS = {
    "text": shape({"body": text(1, 4_096), "preview_url": flag}, ["body"]),
    "template": TEMPLATE,
    "interactive": INTERACTIVE,
    **MEDIA,
}
AROUND = {
    "messaging_product": one_of("whatsapp"),
    "recipient_type": one_of("individual"),
    "to": PHONE,
    "type": one_of(*KINDS),
    "context": shape({"message_id": text(1, 256, r"wamid\..+")}, ["message_id"]),
    "biz_opaque_callback_data": text(0, None, None, 512),
}
READ = {
    "messaging_product": one_of("whatsapp"),
    "status": one_of("read"),
    "message_id": text(1, 256, r"wamid\..+"),
    "typing_indicator": shape({"type": one_of("text")}, ["type"]),
}

# What a template of the account wants: the kind of its header, how many words its body has, its buttons in order, and
# where its parameters are named and not counted, the names of its header's word and of its body's.
TEMPLATES = [
    {"name": "hello_world", "language": "en_US", "header": "", "body": 0, "buttons": []},
    {"name": "aula", "language": "pt_BR", "header": "image", "body": 2, "buttons": ["quick_reply", "url"]},
    {
        "name": "lembrete", "language": "pt_BR", "header": "text", "body": 2, "buttons": [],
        "names": {"header": ["curso"], "body": ["aluno", "hora"]},
    },
]
NAMES = each(text(1, 60, "[a-z0-9_]+"), 0, 100)


def a_template(value, at):
    """A template of the account."""
    known = {
        "name": text(1),
        "language": text(1),
        "header": one_of("", "text", "image", "video", "document"),
        "body": number,
        "buttons": each(one_of("quick_reply", "url"), 0, 10),
        "names": shape({"header": NAMES, "body": NAMES}, ["header", "body"]),
    }
    fields(value, at, known, ["name", "language", "header", "body", "buttons"])
    names = value.get("names")
    if names and [len(names["header"]), len(names["body"])] != [value["header"] == "text", value["body"]]:
        raise Wrong(f"{at}.names", "value", "a name for each word")


# --------------------------------------------------------------------------------------------------- what is told

# What an order tells: the status of a message, what a contact wrote, or any field of the account's webhooks.
TELLS = {
    "status": shape(
        {
            "url": text(1), "id": text(1), "status": one_of("sent", "delivered", "read", "failed"), "code": number,
            "title": text(1), "details": text(1), "timestamp": number, "secret": text(),
        },
        ["url", "id", "status"],
    ),
    "from": shape(
        {
            "url": text(1), "from": text(1, 20, "[0-9]+"), "type": text(1), "part": anything, "context": text(1),
            "id": text(1), "timestamp": number, "secret": text(),
        },
        ["url", "from", "type", "part"],
    ),
    "value": shape({"url": text(1), "value": anything, "field": text(1), "secret": text()}, ["url", "value"]),
}
# The parts of some messages. One that was corrected or taken back names the message it was, and has an id of its own.
ORIGINAL = text(1, 256, r"wamid\..+")
MEDIA_TOLD = {
    "id": text(1), "mime_type": text(1), "sha256": text(1), "caption": text(1), "filename": text(1), "url": text(1),
}
CORRECTED = {
    "text": shape({"body": text(1)}, ["body"]),
    **{kind: shape(MEDIA_TOLD, ["id", "mime_type"]) for kind in ("image", "video", "document")},
}
PARTS = {
    "text": CORRECTED["text"],
    "edit": shape(
        {"original_message_id": ORIGINAL, "message": kinds(CORRECTED, {"context": anything})},
        ["original_message_id", "message"],
    ),
    "revoke": shape({"original_message_id": ORIGINAL}, ["original_message_id"]),
}
