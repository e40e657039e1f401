"""Chatwoot's own SDK drives the mock of Chatwoot: PORT."""

import sys

from chatwoot import ChatwootClient
from chatwoot.exceptions import ChatwootAPIError, ChatwootAuthError, ChatwootNotFoundError

from side import Side

port = int(sys.argv[1])
base = f"http://127.0.0.1:{port}"
side = Side(port)
who = side.get("/_who")
account, conversation = who["account"], who["conversation"]
messages = ChatwootClient(base, who["token"]).messages
first = messages.create(account, conversation, "Oi, Ana", content_attributes={"followupd_send": "snd_1"})
assert (first.content, first.message_type, first.private) == ("Oi, Ana", 1, False), first
note = messages.create(account, conversation, "Só para nós", private=True)
assert note.private and note.id > first.id, note
choice = {"items": [{"title": "Sim", "value": "yes"}, {"title": "Não", "value": "no"}]}
asked = messages.create(account, conversation, "Vem?", content_type="input_select", content_attributes=choice)
template = {
    "name": "aula", "category": "UTILITY", "language": "pt_BR",
    "processed_params": {"body": {"1": "Ana"}, "buttons": [{"type": "url", "parameter": "a/7"}]},
}
filled = messages.create(account, conversation, "Oi, Ana", template_params=template)
listed = messages.list(account, conversation)
assert [one.id for one in listed] == [first.id, note.id, asked.id, filled.id], listed
assert listed[0].content_attributes == {"followupd_send": "snd_1"}, listed[0]

kept = side.get("/_sent")
assert [one["id"] for one in kept] == [one.id for one in listed], kept


def refused(kind, call):
    """The client understands why it is refused."""
    try:
        call()
    except kind:
        return
    sys.exit(f"{kind.__name__} was not raised")


refused(ChatwootAuthError, lambda: ChatwootClient(base, "nonsense").messages.create(account, conversation, "x"))
refused(ChatwootNotFoundError, lambda: messages.create(account, conversation + 1, "x"))
refused(ChatwootAPIError, lambda: messages.create(account, conversation, ""))
refused(ChatwootAPIError, lambda: messages.create(account, conversation, "x", message_type="incoming"))
refused(ChatwootAPIError, lambda: messages.create(account, conversation, "x", echo_id="1"))
refused(ChatwootAPIError, lambda: messages.create(account, conversation, "x", content_type="input_select"))
wrong = {"items": [{"title": "Sim", "colour": "red"}]}
refused(ChatwootAPIError, lambda: messages.create(
    account, conversation, "x", content_type="input_select", content_attributes=wrong,
))
for change in ({"category": "FUN"}, {"processed_params": {"1": "Ana"}}):
    refused(ChatwootAPIError, lambda: messages.create(account, conversation, "x", template_params=template | change))
del template["category"]
refused(ChatwootAPIError, lambda: messages.create(account, conversation, "x", template_params=template))
# What is ordered instead of an answer waits for a message that is right, unless it need not be.
side.post("/_fail", {"next": [{"kind": "refuse", "code": 404}, {"kind": "refuse", "code": 404, "unchecked": True}]})
refused(ChatwootAuthError, lambda: ChatwootClient(base, "nonsense").messages.create(account, conversation, "x"))
refused(ChatwootNotFoundError, lambda: messages.create(account, conversation, "x"))
refused(ChatwootNotFoundError, lambda: ChatwootClient(base, "nonsense").messages.create(account, conversation, "x"))
assert len(side.get("/_sent")) == len(kept), "what is refused is not kept"
print(f"chatwoot-sdk: {len(kept)} accepted")
