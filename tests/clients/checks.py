"""What the clients written in Python share: checks that say what was wanted, and waiting within a bound."""

import email
import pathlib
import sys
import time

# The cadence of these tests: a mail at once, one after a second, and one that the reply comes before.
STEPS = [
    {"channel": "mail", "subject": "one", "body": "first for {{ contact.id }}"},
    {"wait": "1 second", "channel": "mail", "subject": "two", "body": "second for {{ contact.id }}"},
    {"wait": "1 hour", "channel": "mail", "subject": "three", "body": "nobody gets this"},
]
PATIENCE_SECONDS = 60


def check(what, found, wanted):
    """Prints what was found, and ends the program where that is not what was wanted."""
    print(f"{what}: {found}", flush=True)
    if found != wanted:
        sys.exit(f"{what}: found {found!r}, wanted {wanted!r}")


def until(what, wanted, look):
    """Looks until it finds what is wanted, and ends the program where it does not within its patience."""
    gives_up_at = time.monotonic() + PATIENCE_SECONDS
    while (found := look()) != wanted and time.monotonic() < gives_up_at:
        time.sleep(0.02)
    check(what, found, wanted)


def mails_to(outbox, address):
    """The subjects of the mails to an address that lie in the outbox, in the order of their steps."""
    mails = [email.message_from_bytes(path.read_bytes()) for path in (pathlib.Path(outbox) / "new").iterdir()]
    mails = [mail for mail in mails if address in mail["To"]]
    return [mail["Subject"] for mail in sorted(mails, key=lambda mail: int(mail["X-Followup-Step"]))]
