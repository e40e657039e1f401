"""Whether Standard Webhooks' own code takes requests of ours: lines of JSON with `secrets`, `headers`, `body`.

Each request must be taken by each of its secrets, and by none after one byte of it has changed.
"""

import json
import sys

from standardwebhooks.webhooks import Webhook, WebhookVerificationError


def takes(secret, headers, body):
    try:
        Webhook(secret).verify(body, headers, json_parse=False)
    except (WebhookVerificationError, ValueError):
        return False
    return True


count = 0
for line in sys.stdin:
    request = json.loads(line)
    headers, body = request["headers"], request["body"].encode()
    for secret in request["secrets"]:
        assert takes(secret, headers, body), (headers, body)
        for place in range(len(body)):
            changed = body[:place] + bytes([body[place] ^ 1]) + body[place + 1 :]
            # What is no text is no body either.
            assert not takes(secret, headers, changed.decode(errors="replace").encode()), changed
        for name in ("webhook-id", "webhook-timestamp"):
            value = headers[name]
            last = str((int(value[-1]) + 1) % 10) if value[-1].isdigit() else "x"
            assert not takes(secret, {**headers, name: value[:-1] + last}, body), name
    assert not takes("whsec_" + "A" * 32, headers, body)
    count += 1
print(f"standardwebhooks: {count} taken")
