"""Requests signed by the vendors' own code, as lines of JSON: SEED COUNT.

`twilio` are signed by the validator of Twilio's package, `meta` are what pywa's validator takes. Each line has what
our checks get: `url`, `content_type`, `body`, `secret`, `signature`.
"""

import hashlib
import hmac
import json
import random
import sys
from urllib.parse import quote, quote_plus, urlencode

from pywa.utils import webhook_updates_validator
from twilio.request_validator import RequestValidator

seed, count = map(int, sys.argv[1:])
dice = random.Random(seed)
ODD = "aZ09 +&=%?#/:;,.~-_*'()\"\\<>éßñΔЖ你👍\u0301\u200d\n\t\x00\x7f"
FORM = "application/x-www-form-urlencoded"


def some(least, most):
    return "".join(dice.choice(ODD) for _ in range(dice.randint(least, most)))


class Pairs(dict):
    """Parameters of which one name may have several values, as web frameworks give them."""

    def getall(self, name):
        return self[name]


def url():
    host = dice.choice(["f.example", "münchen.example", "127.0.0.1", "a-b.c.example"])
    port = dice.choice(["", "", ":443", ":80", ":8443"])
    path = dice.choice(["", "/", "/twilio", "/a/b%20c"])
    query = dice.choice(["", "?send=snd_1", "?for=acme&send=snd_1", "?a=%26&b=é&c="])
    return f"{dice.choice(['http', 'https'])}://{host}{port}{path}{query}"


def twilio():
    secret, at = some(1, 40), url()
    validator = RequestValidator(secret)
    if dice.random() < 0.25:
        body = json.dumps({some(0, 5): some(0, 20)}, ensure_ascii=dice.random() < 0.5)
        at += ("&" if "?" in at else "?") + "bodySHA256=" + hashlib.sha256(body.encode()).hexdigest()
        signature, kind = validator.compute_signature(at, {}), "application/json"
        assert validator.validate(at, body, signature)
    else:
        known = ["MessageSid", "MessageStatus", "From", "To", "Body", "AccountSid", "ErrorCode", ""]
        names = dice.sample(known, dice.randint(0, 7)) + [some(1, 6) for _ in range(dice.randint(0, 3))]
        form = Pairs({name: [some(0, 30) for _ in range(dice.choice([1, 1, 1, 2, 3]))] for name in names})
        signature, kind = validator.compute_signature(at, form), dice.choice([FORM, f"{FORM}; charset=UTF-8"])
        assert validator.validate(at, form, signature)
        pairs = [(name, value) for name, values in form.items() for value in values]
        dice.shuffle(pairs)
        body = urlencode(pairs, quote_via=dice.choice([quote, quote_plus]))
    return {"by": "twilio", "url": at, "content_type": kind, "body": body, "secret": secret, "signature": signature}


def meta():
    secret, body = some(1, 40), json.dumps({some(0, 5): some(0, 60)}, ensure_ascii=dice.random() < 0.5)
    signature = "sha256=" + hmac.new(secret.encode(), body.encode(), hashlib.sha256).hexdigest()
    assert webhook_updates_validator(secret, body.encode(), signature)
    return {"by": "meta", "url": "", "content_type": "application/json", "body": body, "secret": secret,
            "signature": signature}


for _ in range(count):
    print(json.dumps(dice.choice([twilio, meta])()))
