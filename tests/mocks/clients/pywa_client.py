"""pywa drives the mock of WhatsApp: PORT. It is told only where the API is; what it sends is its own."""

import sys

import httpx
from pywa import WhatsApp, handlers, types
from pywa.errors import WhatsAppError
from pywa.types.templates import BodyText, HeaderImage, HeaderText, QuickReplyButton, TemplateLanguage, URLButton

from side import Side

port = int(sys.argv[1])
TO = "5511999990000"


class ToTheMock(httpx.HTTPTransport):
    """Every request goes to the mock, whatever host it names."""

    def handle_request(self, request):
        request.url = request.url.copy_with(scheme="http", host="127.0.0.1", port=port)
        return super().handle_request(request)


def client(token):
    session = httpx.Client(transport=ToTheMock())
    return WhatsApp(who["phone_number_id"], token, session=session, app_secret=who["app_secret"])


side = Side(port)
who = side.get("/_who")
wa = client(who["token"])
sent = [
    wa.send_message(TO, "Olá, *Ana*!", preview_url=True, tracker="snd_1"),
    wa.send_message(TO, "Vem?", header="Aula", footer="Escola", tracker="snd_2", buttons=[
        types.Button("Sim", callback_data="yes"), types.Button("Não", callback_data="no"),
    ]),
    wa.send_image(TO, "https://cdn.example/a.png", caption="Plano", tracker="snd_3"),
    wa.send_video(TO, "https://cdn.example/a.mp4", tracker="snd_4"),
    wa.send_document(TO, "https://cdn.example/a.pdf", filename="plano.pdf", caption="Plano", tracker="snd_5"),
    wa.send_audio(TO, "https://cdn.example/a.ogg", tracker="snd_6"),
    wa.send_image(TO, "1037543291543636", tracker="snd_7"),
    wa.send_template(TO, "hello_world", TemplateLanguage.ENGLISH_US, params=[], tracker="snd_8"),
    wa.send_template(TO, "aula", TemplateLanguage.PORTUGUESE_BR, tracker="snd_9", params=[
        HeaderImage.params(image="https://cdn.example/a.png"),
        BodyText.params("Ana", "19h"),
        QuickReplyButton.params(callback_data="yes", index=0),
        URLButton.params(url_variable="a/7", index=1),
    ]),
    wa.send_message(TO, "De novo", reply_to_message_id="wamid.IN1", tracker="x" * 512),
    wa.send_template(TO, "lembrete", TemplateLanguage.PORTUGUESE_BR, tracker="snd_11", params=[
        HeaderText.params(curso="Violão"), BodyText.params(aluno="Ana    Lu", hora="19h"),
    ]),
]
assert wa.mark_message_as_read("wamid.IN1").success

kept = side.get("/_sent")
assert [one.get("id") for one in kept] == [one.id for one in sent] + [None], kept
keys = [one["message"]["biz_opaque_callback_data"] for one in kept[:-1]]
assert keys == [f"snd_{n}" for n in range(1, 10)] + ["x" * 512, "snd_11"], keys
assert kept[-1] == {"read": "wamid.IN1"}, kept[-1]


def refused(code, call):
    """The client understands why it is refused."""
    try:
        call()
    except WhatsAppError as error:
        assert error.code == code, error
    else:
        sys.exit(f"{code} was not said")


refused(131009, lambda: wa.send_message(TO, "x" * 4_097))
refused(131009, lambda: wa.send_message(TO, "x", tracker="x" * 513))
refused(132001, lambda: wa.send_template(TO, "aula", TemplateLanguage.ENGLISH_US, params=[]))
refused(132000, lambda: wa.send_template(TO, "aula", TemplateLanguage.PORTUGUESE_BR, params=[]))


def aula(*words, image="https://cdn.example/a.png"):
    """The template, filled with these words."""
    return lambda: wa.send_template(TO, "aula", TemplateLanguage.PORTUGUESE_BR, params=[
        HeaderImage.params(image=image),
        BodyText.params(*words),
        QuickReplyButton.params(callback_data="yes", index=0),
        URLButton.params(url_variable="a/7", index=1),
    ])


def lembrete(header, body):
    """The template whose words are named."""
    return lambda: wa.send_template(TO, "lembrete", TemplateLanguage.PORTUGUESE_BR, params=[header, body])


refused(132018, aula("Ana\nLu", "19h"))
refused(132018, aula("Ana\tLu", "19h"))
refused(132018, aula("Ana", "19     h"))
refused(132005, aula("x" * 1_000, "y" * 25))
refused(100, lambda: wa.send_template(TO, "aula", TemplateLanguage.PORTUGUESE_BR, params=[
    HeaderImage.params(image="https://cdn.example/a.png"), BodyText.params(aluno="Ana", hora="19h"),
    QuickReplyButton.params(callback_data="yes", index=0), URLButton.params(url_variable="a/7", index=1),
]))
refused(100, lembrete(HeaderText.params("Violão"), BodyText.params("Ana", "19h")))
refused(132012, lembrete(HeaderText.params(curso="Violão"), BodyText.params(aluno="Ana", dia="sábado")))
refused(132005, lembrete(HeaderText.params(curso="x" * 61), BodyText.params(aluno="Ana", hora="19h")))
refused(131009, lambda: wa.send_message(TO, "x" * 1_025, buttons=[types.Button("Sim", callback_data="yes")]))
refused(131009, lambda: wa.send_message(TO, "x", footer="x" * 61, buttons=[types.Button("Sim", callback_data="y")]))
refused(131009, lambda: wa.send_message(TO, "x", header="x" * 61, buttons=[types.Button("Sim", callback_data="y")]))
refused(131009, lambda: wa.send_message(TO, "x", buttons=[types.Button("Sim", callback_data="yes ")]))
refused(131021, lambda: wa.send_message(who["display_phone_number"], "x"))
refused(190, lambda: client("nonsense").send_message(TO, "x"))
refused(190, lambda: client(who["expired_token"]).send_message(TO, "x"))
# What is ordered instead of an answer waits for a message that is right, unless it need not be.
side.post("/_fail", {"next": [{"kind": "refuse", "code": 131056}, {"kind": "refuse", "code": 4, "unchecked": True}]})
refused(190, lambda: client("nonsense").send_message(TO, "x"))
refused(131009, lambda: wa.send_message(TO, "x" * 4_097))
refused(131056, lambda: wa.send_message(TO, "x"))
refused(4, lambda: client("nonsense").send_message(TO, "x"))
assert len(side.get("/_sent")) == len(kept), "what is refused is not kept"

told = []


def tell(_, update):
    """Keeps what matters of an update as the client understands it."""
    match update:
        case types.MessageStatus():
            told.append((update.id, update.status.value, update.tracker, update.error))
        case types.EditedMessage():
            told.append((update.from_user.wa_id, update.original_message_id, update.message.text))
        case types.DeletedMessage():
            told.append((update.from_user.wa_id, update.original_message_id))
        case types.CallbackButton():
            told.append((update.from_user.wa_id, update.data, update.title))
        case types.Message():
            told.append((update.from_user.wa_id, update.text))


wa.add_handlers(
    handlers.MessageStatusHandler(tell), handlers.MessageHandler(tell), handlers.CallbackButtonHandler(tell),
    handlers.EditedMessageHandler(tell), handlers.DeletedMessageHandler(tell),
)


def tells(**order):
    """What the client understands of what the mock posts, once it has checked that the app's secret signs it."""
    _, headers, body = side.posted(**order)
    signature = headers["x-hub-signature-256"]
    assert wa.webhook_update_validator(body, signature) is None, headers
    assert wa.webhook_update_validator(body + b" ", signature) is not None
    assert wa.webhook_update_handler(body) == ("ok", 200), body
    return told.pop()


for status in ("sent", "delivered", "read"):
    assert tells(id=sent[0].id, status=status) == (sent[0].id, status, "snd_1", None)
*_, tracker, error = tells(id=sent[1].id, status="failed", code=131_049)
assert (tracker, error.code) == ("snd_2", 131_049), error
*_, error = tells(id=sent[1].id, status="failed", code=999_999, title="New", details="Nobody knows it")
assert (error.code, error.message, error.details) == (999_999, "New", "Nobody knows it"), error
assert error.raw["title"] == "New" and error.href.startswith("https://developers.facebook.com/"), error.raw
assert tells(**{"from": TO, "type": "text", "part": {"body": "Quero, já"}}) == (TO, "Quero, já")
corrected = {"original_message_id": "wamid.IN1", "message": {"type": "text", "text": {"body": "Quero"}}}
assert tells(**{"from": TO, "type": "edit", "part": corrected}) == (TO, "wamid.IN1", "Quero")
assert tells(**{"from": TO, "type": "revoke", "part": {"original_message_id": "wamid.IN1"}}) == (TO, "wamid.IN1")
pressed = {"type": "button_reply", "button_reply": {"id": "yes", "title": "Sim"}}
order = {"from": TO, "type": "interactive", "part": pressed, "context": sent[1].id}
assert tells(**order) == (TO, "yes", "Sim")

# Where nobody listens, a webhook is told as often as is tried.
said = side.post("/_status", {"url": "http://127.0.0.1:1/", "id": sent[0].id, "status": "read", "tries": 3})
assert said == {"status": 0, "body": "", "taken": False, "told": 3}, said
print(f"pywa: {len(kept)} accepted")
