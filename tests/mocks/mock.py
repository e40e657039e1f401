"""What the mocks of providers share: a server on loopback that keeps what it accepted, its side door, and checks.

A mock is started with the path of a file, where it writes its port; then it says so on a line. Its side door is the
paths that begin with an underscore:

  GET  /_who     who may call it: tokens, ids, secrets.
  GET  /_sent    what it accepted so far, in order.
  POST /_fail    {"next": [..]}: what it does with the next calls that are right instead, one each, see FAIL.
  POST /_status  posts a signed webhook to a URL and says what came back; its fields are the provider's, and how often
                 it is told, see TOLD.
"""

import http
import http.client
import http.server
import json
import os
import re
import socketserver
import stat
import sys
import threading
import time
import urllib.parse

BODY_BYTES = 1 << 20
WEBHOOK_SECONDS = 30


class Refusal(Exception):
    """An answer that is no yes: its status, its body as a value, and further headers."""

    def __init__(self, status, body, headers=None):
        super().__init__(status, body)
        self.status, self.body, self.headers = status, body, headers or {}


class Wrong(Exception):
    """A field that is wrong: where it is, how (`unknown`, `missing`, `type`, `value`), and what would be right."""

    def __init__(self, at, how, right=""):
        super().__init__(f"{at}: {how} {right}")
        self.at, self.how, self.right = at, how, right


# ---------------------------------------------------------------------------------------------------- checks of values


def fields(value, at, known, required=()):
    """An object that has these fields and no others; each is checked by what stands beside its name."""
    if not isinstance(value, dict):
        raise Wrong(at, "type", "an object")
    for name in value:
        if name not in known:
            raise Wrong(f"{at}.{name}".lstrip("."), "unknown")
    for name in required:
        if name not in value:
            raise Wrong(f"{at}.{name}".lstrip("."), "missing")
    for name, check in known.items():
        if name in value:
            check(value[name], f"{at}.{name}".lstrip("."))


def text(least=0, most=None, pattern=None, most_bytes=None):
    """A string of so many characters."""

    def check(value, at):
        if not isinstance(value, str):
            raise Wrong(at, "type", "a string")
        is_long = (most is not None and len(value) > most) or (most_bytes and len(value.encode()) > most_bytes)
        if len(value) < least or is_long:
            raise Wrong(at, "value", f"from {least} to {most or most_bytes} long")
        if pattern and not re.fullmatch(pattern, value):
            raise Wrong(at, "value", pattern)

    return check


def one_of(*words):
    """One of these strings."""

    def check(value, at):
        if not isinstance(value, str):
            raise Wrong(at, "type", "a string")
        if value not in words:
            raise Wrong(at, "value", "one of " + ", ".join(words))

    return check


def flag(value, at):
    """True or false."""
    if not isinstance(value, bool):
        raise Wrong(at, "type", "a boolean")


def number(value, at):
    """A whole number from 0 on."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise Wrong(at, "type", "a whole number")
    if value < 0:
        raise Wrong(at, "value", "from 0")


def either(*checks):
    """Whatever one of these takes; the last one says what would be right."""

    def check_one(value, at):
        for check in checks[:-1]:
            try:
                return check(value, at)
            except Wrong:
                continue
        return checks[-1](value, at)

    return check_one


def anything(*_):
    """Whatever it is, it is the caller's."""


def each(check, least, most):
    """A list of so many items."""

    def check_all(value, at):
        if not isinstance(value, list):
            raise Wrong(at, "type", "a list")
        if not least <= len(value) <= most:
            raise Wrong(at, "value", f"from {least} to {most} of them")
        for place, item in enumerate(value):
            check(item, f"{at}[{place}]")

    return check_all


def shape(known, required=()):
    """An object as `fields` checks it."""
    return lambda value, at: fields(value, at, known, required)


def parse(body):
    """JSON, without what JSON does not have and without a name twice."""

    def once(pairs):
        if len({name for name, _ in pairs}) < len(pairs):
            raise ValueError("a name stands twice")
        return dict(pairs)

    def never(word):
        raise ValueError(f"{word} is no JSON")

    return json.loads(body, object_pairs_hook=once, parse_constant=never)


# -------------------------------------------------------------------------------------------------------- the side door

FAIL = {
    # refuse: the provider's error for `code`; ok_error: the same body under 200; status: `status` with `body` as it
    # is; hang: no answer until the caller goes; garbage: no HTTP; close: it ends within the body of its yes.
    "kind": one_of("refuse", "ok_error", "status", "hang", "garbage", "close"),
    # Whether the message was accepted all the same: it stands in /_sent.
    "taken": flag,
    # The call need not be right: by default a call is checked first, with its login and all that it has to be, and one
    # that is wrong is refused as it always is and uses up no failure.
    "unchecked": flag,
    "code": number,
    "status": number,
    "body": text(),
    "headers": lambda value, at: fields(value, at, {name: text() for name in value}),
}

# How a webhook is told beside what it says, one of them: `times` over, whatever is answered; or again while the answer
# is none that the provider takes, at most `tries` times in all.
TOLD = {"times": number, "tries": number}


def a_failure(value, at):
    """What to do with one call: a call that nobody checked cannot be accepted."""
    fields(value, at, FAIL, ["kind"])
    if value.get("taken") and value.get("unchecked"):
        raise Wrong(f"{at}.taken", "value", "false where it is unchecked")


class Provider:
    """A provider's side of a mock. `refusal(code, status)` is its error for a code."""

    def __init__(self):
        self.lock, self.sent, self.fails, self.count = threading.Lock(), [], [], 0

    def who(self):
        raise NotImplementedError

    def refusal(self, code, status):
        raise NotImplementedError

    def check(self, request):
        """Refuses a request that is wrong; of any other, a function that does what it asks: a status and a body."""
        raise NotImplementedError

    def webhook(self, order):
        """The URL, the headers and the body of a webhook."""
        raise NotImplementedError

    def takes(self, status):
        """Whether a webhook that is answered so was delivered."""
        return 200 <= status < 300

    def tries(self, url, status):
        """How often a webhook is told at most that is answered so and not delivered, unless its order says so."""
        return 1

    def admit(self, request):
        """What was ordered instead of an answer, if anything, and what the answer would be."""
        with self.lock:
            if self.fails and self.fails[0].get("unchecked"):
                return self.fails.pop(0), None
        work = self.check(request)
        with self.lock:
            return (self.fails.pop(0) if self.fails else None), work

    def next(self):
        """A number that no other message of this mock has, sent or told."""
        with self.lock:
            self.count += 1
            return self.count

    def keep(self, record):
        """Keeps a message that is accepted."""
        with self.lock:
            self.sent.append(record)

    def side_door(self, request):
        match request.method, request.path:
            case "GET", "/_who":
                return 200, self.who()
            case "GET", "/_sent":
                with self.lock:
                    return 200, list(self.sent)
            case "POST", "/_fail":
                order = parse(request.body)
                fields(order, "", {"next": each(a_failure, 0, 10_000)}, ["next"])
                with self.lock:
                    self.fails = order["next"]
                return 200, {}
            case "POST", "/_status":
                return 200, self.post(parse(request.body))
        raise Refusal(404, {"wrong": "no such side door"})

    def post(self, order):
        """Posts a webhook as often as it is ordered; the last answer counts."""
        if not isinstance(order, dict):
            raise Wrong("", "type", "an object")
        again = {name: order.pop(name) for name in TOLD if name in order}
        fields(again, "", TOLD)
        if len(again) > 1 or 0 in again.values():
            raise Wrong("tries", "value", "times or tries, one of them, from 1")
        url, headers, body = self.webhook(order)
        told, most, is_taken = 0, 1, False
        while told < most and (not is_taken or "times" in again):
            told, said = told + 1, self.tell(url, headers, body)
            is_taken = self.takes(said["status"])
            most = again.get("times") or again.get("tries") or self.tries(url, said["status"])
        return said | {"taken": is_taken, "told": told}

    def tell(self, url, headers, body):
        """Posts a webhook once, and says what is answered: 0 is nothing. What stands behind the URL's # is not sent."""
        parts = urllib.parse.urlsplit(url)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection = http.client.HTTPConnection(parts.hostname, parts.port or 80, timeout=WEBHOOK_SECONDS)
        try:
            connection.request("POST", target, body, headers)
            answer = connection.getresponse()
            return {"status": answer.status, "body": answer.read().decode(errors="replace")}
        except (OSError, http.client.HTTPException):
            return {"status": 0, "body": ""}
        finally:
            connection.close()


# -------------------------------------------------------------------------------------------------------- the server


class Request:
    """A request as it came."""

    def __init__(self, handler, body):
        self.method, self.headers, self.body = handler.command, handler.headers, body
        self.path, _, self.query = handler.path.partition("?")


class Handler(http.server.BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    provider = None

    def log_message(self, *_):
        """A mock is quiet."""

    def any(self):
        """Answers a request, in whatever way is ordered."""
        length = int(self.headers.get("content-length", 0))
        if length > BODY_BYTES or "transfer-encoding" in self.headers:
            self.close_connection = True
            return self.answer(413, {"wrong": "too long, or without a length"})
        request = Request(self, self.rfile.read(length))
        try:
            if request.path.startswith("/_"):
                return self.answer(*self.provider.side_door(request))
            fail, work = self.provider.admit(request)
            if fail:
                return self.fail(fail, work)
            self.answer(*work())
        except Refusal as refusal:
            self.answer(refusal.status, refusal.body, refusal.headers)
        except (Wrong, ValueError) as wrong:
            self.answer(400, {"wrong": str(wrong)})

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = any

    def fail(self, fail, work):
        """Does what was ordered instead."""
        status, yes = work() if fail.get("taken") else (200, {})
        match fail["kind"]:
            case "refuse":
                raise self.provider.refusal(fail.get("code", 0), fail.get("status"))
            case "ok_error":
                self.answer(200, self.provider.refusal(fail.get("code", 0), 200).body)
            case "status":
                headers = fail.get("headers", {})
                self.raw(fail.get("status", 500), fail.get("body", "").encode(), headers, "text/plain")
            case "hang":
                # Until the caller goes away.
                self.rfile.read(1)
            case "garbage":
                self.wfile.write(b"\x00\xff no such thing as HTTP\r\n\r\n")
            case "close":
                body = json.dumps(yes).encode()
                line = f"HTTP/1.1 {status} {http.HTTPStatus(status).phrase}"
                head = f"{line}\r\ncontent-type: application/json\r\ncontent-length: {len(body) + 100}"
                self.wfile.write(head.encode() + b"\r\n\r\n" + body[: len(body) // 2])
        if fail["kind"] in ("hang", "garbage", "close"):
            self.close_connection = True

    def answer(self, status, body, headers=None):
        self.raw(status, json.dumps(body).encode(), headers or {}, "application/json; charset=UTF-8")

    def raw(self, status, body, headers, kind):
        self.send_response(status)
        for name, value in {"content-type": kind, **headers, "content-length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    """As many connections as come."""

    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request, client_address):
        """A caller that goes away is none."""
        if not isinstance(sys.exception() if hasattr(sys, "exception") else sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


def run(provider):
    """Serves until it is killed, or until what it was started by has gone and with it the other end of its stdin."""
    server = Server(("127.0.0.1", 0), type("Bound", (Handler,), {"provider": provider}))
    port_file = sys.argv[1]
    with open(port_file + ".new", "w", encoding="ascii") as file:
        file.write(str(server.server_address[1]))
    os.rename(port_file + ".new", port_file)
    print("listening", flush=True)
    if stat.S_ISFIFO(os.fstat(0).st_mode):
        threading.Thread(target=lambda: (sys.stdin.buffer.read(), os._exit(0)), daemon=True).start()
    server.serve_forever()


def now():
    """Seconds since 1970."""
    return int(time.time())
