"""A mail server (aiosmtpd) that tells what it takes and refuses, one JSON object a line.

Its only argument is a JSON object: port; certificate, key and tls ("none", "starttls", "tls"); user and password, if
it wants to know who sends; refuse: the answer to a recipient, and how often (0: always)."""

import asyncio
import email
import email.policy
import json
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult

options = json.loads(sys.argv[1])


def tell(**what):
    print(json.dumps(what), flush=True)


class Handler:
    async def handle_RCPT(self, server, session, envelope, address, rcpt_options):
        answer, times = options.get("refuse", {}).get(address, (None, 0))
        if answer:
            if times == 1:
                del options["refuse"][address]
            elif times:
                options["refuse"][address] = (answer, times - 1)
            tell(refused=address)
            return answer
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        mail = email.message_from_bytes(envelope.content, policy=email.policy.default)
        tell(
            sender=envelope.mail_from,
            to=envelope.rcpt_tos,
            tls=server.transport.get_extra_info("sslcontext") is not None,
            user=session.auth_data.login.decode() if session.authenticated else None,
            headers=[[name, str(value)] for name, value in mail.items()],
            body=mail.get_content(),
        )
        return "250 taken"


def authenticate(server, session, envelope, mechanism, auth_data):
    known = (options["user"].encode(), options["password"].encode())
    right = (auth_data.login, auth_data.password) == known
    tell(login=auth_data.login.decode(), right=right)
    return AuthResult(success=right, handled=False, auth_data=auth_data)


async def main():
    context = None
    if options.get("certificate"):
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(options["certificate"], options["key"])
    mode = options.get("tls", "none")
    settings = dict(hostname="mail.example.com", auth_require_tls=False)
    if options.get("user"):
        settings.update(authenticator=authenticate, auth_required=True)
    if mode == "starttls":
        settings.update(tls_context=context, require_starttls=True)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: SMTP(Handler(), loop=loop, **settings),
        "127.0.0.1",
        options["port"],
        ssl=context if mode == "tls" else None,
    )
    tell(ready=True)
    await server.serve_forever()


asyncio.run(main())
