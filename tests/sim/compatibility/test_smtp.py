"""Another family: a line-based protocol of mail, with aiosmtpd serving and aiosmtplib sending."""

import asyncio
from email.message import EmailMessage

import pytest

from tests.sim.compatibility.machines import certificates, forever, on_two_machines

smtp = pytest.importorskip("aiosmtpd.smtp")
aiosmtplib = pytest.importorskip("aiosmtplib")


class Mailbox:
    def __init__(self):
        self.letters = []

    async def handle_RCPT(self, server, session, envelope, address, options):  # noqa: N802 - aiosmtpd's name
        if address == "nobody@server":
            return "550 no such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):  # noqa: N802
        self.letters.append((envelope.mail_from, envelope.rcpt_tos, len(envelope.content), session.ssl is not None))
        return "250 taken"


def serving(mailbox, **options):
    async def serve():
        loop = asyncio.get_running_loop()
        server = await loop.create_server(
            lambda: smtp.SMTP(mailbox, hostname="server", loop=loop, **options), "server", 25
        )
        async with server:
            await forever()

    return serve


def letter(to="somebody@server", size=10):
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "me@client", to, "hello"
    message["Date"], message["Message-ID"] = "Wed, 01 Jan 2025 00:00:00 -0000", "<1@client>"
    message.set_content("x" * size)
    return message


def test_a_letter_is_delivered():
    mailbox = Mailbox()

    async def ask():
        errors, answer = await aiosmtplib.send(letter(), hostname="server", port=25, start_tls=False)
        return errors, answer

    assert on_two_machines(serving(mailbox), ask)[0] == ({}, "taken")
    assert [entry[:2] for entry in mailbox.letters] == [("me@client", ["somebody@server"])]


def test_a_refused_recipient():
    async def ask():
        with pytest.raises(aiosmtplib.SMTPRecipientsRefused):
            await aiosmtplib.send(letter("nobody@server"), hostname="server", port=25, start_tls=False)
        return "refused"

    assert on_two_machines(serving(Mailbox()), ask)[0] == "refused"


def test_starttls():
    mailbox = Mailbox()
    ours, theirs = certificates()

    async def ask():
        await aiosmtplib.send(letter(), hostname="server", port=25, start_tls=True, tls_context=theirs)

    on_two_machines(serving(mailbox, tls_context=ours), ask)
    assert mailbox.letters[0][3]
