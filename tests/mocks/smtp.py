"""aiosmtpd, made to answer one part of a conversation otherwise.

Says `listening PORT`, then takes lines: a part (`greeting`, `ehlo`, `mail`, `rcpt`, `data`, `body`) and the answer that
stands for its own there, or `close` to hang up instead; `none`: all is its own again. Each line is answered with the
number of mails it has taken so far.
"""

import asyncio
import sys

from aiosmtpd.smtp import SMTP


class Plan:
    """What is answered where, and the mails that were taken."""

    part, answer, taken = "none", "", 0


class Hooks:
    """aiosmtpd asks these before it answers for itself."""

    async def handle_MAIL(self, server, session, envelope, address, options):
        return await server.planned("mail") or self.takes(envelope, "mail_from", address)

    async def handle_RCPT(self, server, session, envelope, address, options):
        answer = await server.planned("rcpt")
        return answer or self.takes(envelope, "rcpt_tos", [*envelope.rcpt_tos, address])

    async def handle_DATA(self, server, session, envelope):
        answer = await server.planned("body")
        if answer:
            return answer
        Plan.taken += 1
        return "250 2.0.0 taken"

    @staticmethod
    def takes(envelope, name, value):
        setattr(envelope, name, value)
        return "250 2.0.0 OK"


class Server(SMTP):
    """The parts that have no hook."""

    async def planned(self, part):
        """The answer that is planned for this part, if any; hangs up where that is planned."""
        if Plan.part != part:
            return None
        if Plan.answer == "close":
            self.transport.close()
            raise asyncio.CancelledError
        return Plan.answer

    async def push(self, status):
        greets = isinstance(status, str) and status.startswith("220 ")
        await super().push((await self.planned("greeting") if greets else None) or status)

    async def smtp_EHLO(self, hostname):
        answer = await self.planned("ehlo")
        await (self.push(answer) if answer else super().smtp_EHLO(hostname))

    async def smtp_DATA(self, arg):
        answer = await self.planned("data")
        await (self.push(answer) if answer else super().smtp_DATA(arg))


async def main():
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Server(Hooks(), hostname="mail.example", loop=loop), "127.0.0.1", 0)
    print("listening", server.sockets[0].getsockname()[1], flush=True)
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        Plan.part, _, Plan.answer = line.decode().strip().partition(" ")
        print(Plan.taken, flush=True)


asyncio.run(main())
