"""A strict mock of Chatwoot's application API: messages of a conversation, made and listed.

From the reference under https://developers.chatwoot.com/api-reference/messages; errors have the form the server gives
them, {"error": ".."}. What the server ignores, and the reference does not name, is refused; so are attachments, which
come as another kind of body.
"""

import re
import urllib.parse

from mock import Provider, Refusal, Wrong, anything, each, fields, flag, number, now, one_of, parse, run, shape, text

TOKEN, OTHER_TOKEN = "mockChatwootToken", "mockTokenOfAnotherAccount"
ACCOUNT, CONVERSATION, INBOX = 1, 42, 7
KINDS = "text", "input_email", "cards", "input_select", "form", "article"
STATUSES = {"400": 400, "401": 401, "402": 402, "403": 403, "404": 404, "422": 422, "429": 429, "500": 500}


def an_object(check=anything):
    """An object with any names, the application's."""
    return lambda value, at: fields(value, at, {name: check for name in value} if isinstance(value, dict) else {})


# What a template of WhatsApp's is filled with. All of it is required by the reference, and so is what it is called.
TEMPLATE = {
    "name": text(1),
    "category": one_of("UTILITY", "MARKETING", "SHIPPING_UPDATE", "TICKET_UPDATE", "ISSUE_RESOLUTION"),
    "language": text(2),
    "processed_params": shape(
        {
            "body": an_object(text()),
            "header": shape({"media_url": text(1), "media_type": one_of("image", "video", "document")}),
            "buttons": each(shape({"type": one_of("url", "copy_code"), "parameter": text()}), 0, 10),
        }
    ),
}
MESSAGE = {
    "content": text(1, 150_000),
    "message_type": one_of("outgoing", "incoming"),
    "private": flag,
    "content_type": one_of(*KINDS),
    "content_attributes": an_object(),
    "campaign_id": number,
    "template_params": shape(TEMPLATE, list(TEMPLATE)),
}
# Some kinds are lists: their items stand in the attributes, one at least, and may have these fields alone.
ACTIONS = each(shape({name: text() for name in ("text", "type", "payload", "uri")}), 1, 100)
FORM = "type", "placeholder", "label", "name", "options", "default", "required", "pattern", "title", "pattern_error"
ITEMS = {
    "input_select": shape({"title": text(), "value": anything}),
    "cards": shape({"title": text(), "description": text(), "media_url": text(), "actions": ACTIONS}, ["actions"]),
    "form": shape({name: anything for name in FORM}),
    "article": shape({"title": text(), "description": text(), "link": text()}),
}


def a_message(value, at):
    """A message, with the items its kind has."""
    fields(value, at, MESSAGE, ["content"])
    if item := ITEMS.get(value.get("content_type")):
        attributes = value.get("content_attributes", {})
        others = {name: anything for name in attributes}
        fields(attributes, "content_attributes", others | {"items": each(item, 1, 1_000)}, ["items"])


class Chatwoot(Provider):
    """One account with one conversation, in an inbox that is not of the API's own kind."""

    def __init__(self):
        super().__init__()
        self.messages = []

    def who(self):
        return {
            "token": TOKEN, "other_token": OTHER_TOKEN,
            "account": ACCOUNT, "conversation": CONVERSATION, "inbox": INBOX,
        }

    def refusal(self, code, status=None, error=None):
        return Refusal(status or STATUSES.get(str(code), 400), {"error": error or f"Refused with {code}"})

    def check(self, request):
        path = re.fullmatch(r"/api/v1/accounts/([^/]+)/conversations/([^/]+)/messages", request.path)
        self.authorize(request.headers)
        if not path or path[1] != str(ACCOUNT) or path[2] != str(CONVERSATION):
            raise self.refusal(404, error="Resource could not be found")
        if request.headers["api_access_token"] == OTHER_TOKEN:
            raise self.refusal(401, error="You are not authorized to access this account")
        match request.method:
            case "GET":
                after, before = self.span(request.query)
                return lambda: (200, self.list(after, before))
            case "POST":
                message = self.right(request)
                return lambda: (200, self.create(message))
        raise self.refusal(404, error="Resource could not be found")

    def authorize(self, headers):
        given = headers.get("api_access_token")
        if given is None:
            raise Refusal(401, {"errors": ["You need to sign in or sign up before continuing."]})
        if given not in (TOKEN, OTHER_TOKEN):
            raise self.refusal(401, error="Invalid Access Token")

    def right(self, request):
        """A message that is right."""
        if request.headers.get_content_type() != "application/json" or request.query:
            raise self.refusal(422, error="The body is JSON, and there is no query")
        try:
            message = parse(request.body)
            a_message(message, "")
        except Wrong as wrong:
            raise self.refusal(422, error=f"{wrong.at or 'message'}: {wrong.how} {wrong.right}".strip()) from wrong
        except ValueError as error:
            raise self.refusal(400, error=str(error)) from error
        if message.get("message_type") == "incoming":
            raise self.refusal(422, error="Incoming messages are only allowed in Api inboxes")
        return message

    def create(self, message):
        with self.lock:
            made = self.made(message, len(self.messages) + 1)
            self.messages.append(made)
        self.keep({"id": made["id"], "message": message})
        return made

    def made(self, message, id):
        return {
            "id": id,
            "content": message["content"],
            "inbox_id": INBOX,
            "conversation_id": CONVERSATION,
            "message_type": 1,
            "content_type": message.get("content_type", "text"),
            "status": "sent",
            "content_attributes": message.get("content_attributes", {}),
            "created_at": now(),
            "private": message.get("private", False),
            "source_id": None,
            "sender": {"id": 3, "name": "Agent", "available_name": "Agent", "avatar_url": "", "type": "user"},
        }

    def span(self, query):
        """Between which messages to list."""
        known = dict(urllib.parse.parse_qsl(query, strict_parsing=bool(query)))
        if set(known) - {"after", "before"} or not all(value.isdigit() for value in known.values()):
            raise self.refusal(422, error="Only after and before, each the id of a message")
        return int(known.get("after", 0)), int(known.get("before", 1 << 62))

    def list(self, after, before):
        meta = {"labels": [], "additional_attributes": {}, "contact": {"id": 5, "name": "Ana"}, "assignee": None}
        with self.lock:
            return {"meta": meta, "payload": [one for one in self.messages if after < one["id"] < before][-100:]}

    def webhook(self, order):
        """Nothing is told by this one."""
        raise Refusal(404, {"wrong": "this mock has no webhooks"})


if __name__ == "__main__":
    run(Chatwoot())
