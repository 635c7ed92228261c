"""Servers on loopback that stand where alerts arrive: a chat's webhook, and a mail server."""

from __future__ import annotations

import datetime
import http.server
import json
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

USER, PASSWORD = "watchman", "correct-horse-9"


@dataclass
class Chat:
    """What arrived at a webhook, and how it answers.

    Attributes
    ----------
    answers : list of int or None
        Statuses, one a request, the last one for all that follow; None for a request that is never answered.
    on_request : callable
        Called with each message before it is answered.
    """

    answers: list[int | None]
    on_request: Callable[[dict[str, Any]], None] = lambda message: None
    url: str = ""
    messages: list[dict[str, Any]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    closing: threading.Event = field(default_factory=threading.Event)


@contextmanager
def chat(*answers: int | None, path: str = "/hooks/a1b2c3d4e5", port: int = 0) -> Iterator[Chat]:
    """A webhook that records what it is sent."""
    state = Chat(list(answers) or [200])

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            state.messages.append(message)
            self.answer()

        def do_GET(self) -> None:
            self.answer()

        def answer(self) -> None:
            state.paths.append(self.path)
            status = state.answers.pop(0) if len(state.answers) > 1 else state.answers[0]
            if self.command == "POST":
                state.on_request(state.messages[-1])
            if status is None:
                state.closing.wait(60)
                return
            body = b"no_text\n<b>" if status >= 400 else b"ok"
            self.send_response(status)
            if status in (301, 302):
                self.send_header("Location", "/elsewhere")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler) as server:
        server.daemon_threads = True
        state.url = f"http://127.0.0.1:{server.server_port}{path}"
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        try:
            yield state
        finally:
            state.closing.set()
            server.shutdown()


@dataclass
class Mailbox:
    """What a mail server took, and where it listens."""

    port: int = 0
    messages: list[EmailMessage] = field(default_factory=list)
    recipients: list[list[str]] = field(default_factory=list)
    logins: list[str] = field(default_factory=list)
    unknown: tuple[str, ...] = ()

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Take all but those who are unknown."""
        if address in self.unknown:
            return "550 5.1.1 nobody of that name"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        """Keep the message."""
        assert isinstance(envelope.content, bytes)
        message = message_from_bytes(envelope.content, policy=default)
        assert isinstance(message, EmailMessage)
        self.messages.append(message)
        self.recipients.append(list(envelope.rcpt_tos))
        return "250 OK"

    def let_in(self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, given: Any) -> AuthResult:
        """Whether user and password are right."""
        assert isinstance(given, LoginPassword)
        self.logins.append(given.login.decode())
        right = (given.login, given.password) == (USER.encode(), PASSWORD.encode())
        return AuthResult(success=right, handled=False)


class _AnyPort(Controller):
    """Listens on the port that the system gives it; as it comes, it would look for itself on port 0."""

    def _trigger_server(self) -> None:
        assert self.server is not None
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()


@contextmanager
def mail_server(
    *, login: bool = False, certificate: Path | None = None, unknown: tuple[str, ...] = ()
) -> Iterator[Mailbox]:
    """A real SMTP server; with a certificate it offers STARTTLS, and takes nothing without it."""
    box = Mailbox(unknown=unknown)
    more: dict[str, Any] = {}
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        more |= {"tls_context": context, "require_starttls": True}
    if login:
        more |= {"authenticator": box.let_in, "auth_required": True, "auth_require_tls": False}
    server = _AnyPort(box, hostname="127.0.0.1", port=0, ready_timeout=30, **more)
    server.start()
    try:
        box.port = server.port
        yield box
    finally:
        server.stop()


def self_signed(folder: Path) -> Path:
    """A certificate for 127.0.0.1 that no authority has signed, with its key, as one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / "certificate.pem"
    encoding = serialization.Encoding.PEM
    own_key = key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.write_bytes(own_key + certificate.public_bytes(encoding))
    return path
