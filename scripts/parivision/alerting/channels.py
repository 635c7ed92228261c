"""Ways to reach the operator: a chat's webhook, e-mail, a file. Each takes an alert whole, or says why not."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import re
import smtplib
import socket
import ssl
import time
from dataclasses import dataclass
from datetime import datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, formataddr, getaddresses, parseaddr
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict

from parivision.errors import PariVisionError
from parivision.listening import is_loopback
from parivision.secrets import redact
from parivision.settings import Settings

if TYPE_CHECKING:
    import requests

TIMEOUT_SECONDS = 10.0
ATTEMPTS = 3
# A Discord message holds 2,000 characters, Google Chat's about 4,000, Rocket.Chat's 5,000, Slack's and Mattermost's
# more; what is longer is refused or cut where it hurts.
DISCORD_CHARACTERS, CHAT_CHARACTERS = 1_900, 3_800
SUBJECT_CHARACTERS = 180
# What every server takes; Python's parser of headers fails in many ways over what is only nearly one.
_ADDRESS = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-][A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]*@[A-Za-z0-9][A-Za-z0-9.-]*")
Kind = Literal["failed", "recovered", "silent", "heard", "rolled back", "test"]


class Undelivered(PariVisionError):
    """A channel did not take an alert; it may take another one."""


class Unreachable(Undelivered):
    """A channel takes nothing at present: its server does not answer, or does not let us in."""


class Unanswered(Unreachable):
    """The same, and the alert may have arrived for all that: it must not be sent for ever."""


class Alert(BaseModel):
    """What the operator is told; free of secrets and of control characters.

    Attributes
    ----------
    alert_id : str
        The same event has the same id, so that it is told once.
    at : str
        ISO 8601 in UTC.
    title : str
        One line that says it all.
    facts : dict of str
        What is known, by name, in the order to be read: workspace, run, notebook, error.
    link : str
        Address or path of the page to open first; may be empty.
    advice : list of str
        What to do, one line each; commands can be pasted.
    last_lines : list of str
        What the notebook said last.
    """

    # Alerts that a newer version left behind must not stop this one.
    model_config = ConfigDict(extra="ignore")

    alert_id: str
    kind: Kind
    at: str
    title: str
    facts: dict[str, str] = {}
    link: str = ""
    advice: list[str] = []
    last_lines: list[str] = []

    def body(self) -> str:
        """All but the title, as plain text."""
        facts = self.facts | ({"Report": self.link} if self.link else {})
        parts = ["\n".join(f"{name:<11} {value}" for name, value in facts.items()), "\n".join(self.advice)]
        if self.last_lines:
            parts.append("\n".join(["Last lines:", *(f"    {line}" for line in self.last_lines)]))
        return "\n\n".join(part for part in parts if part)


class Channel(Protocol):
    """A way to reach the operator."""

    @property
    def name(self) -> str:
        """What it is called in the outbox."""

    def send(self, alert: Alert) -> str:
        """Deliver one alert, and return what there is to say of it, which is mostly nothing.

        Raises
        ------
        Undelivered
            It was not taken.
        Unreachable, Unanswered
            No other would be taken either.
        """

    def __str__(self) -> str:
        """Where it leads, without its secrets."""


@dataclass(frozen=True)
class Webhook:
    """Incoming webhook of a chat: Slack, Mattermost, Rocket.Chat and Google Chat read `text`, Discord `content`.

    Not both at once: Google Chat refuses a message with a field that it doesn't know.

    Parameters
    ----------
    url : str
        The secret that lets us in.
    timeout : float
        Seconds to wait for a connection, and for the answer.
    """

    url: str
    timeout: float = TIMEOUT_SECONDS
    name: str = "webhook"

    def __str__(self) -> str:
        try:
            return f"webhook at {urlsplit(self.url).hostname}"
        except ValueError:
            return "webhook"

    def send(self, alert: Alert) -> str:
        """Post the message; a server that fails or can't be reached is asked up to three times.

        One that took the message and never answered may have shown it: it is not asked again at once.
        """
        import requests

        for attempt in range(1, ATTEMPTS + 1):
            try:
                message = self._message(alert)
                # A redirect would turn the POST into a GET, and a page that says 200 into a delivery.
                answer = requests.post(self.url, json=message, timeout=self.timeout, allow_redirects=False, stream=True)
                with answer:
                    status, said = answer.status_code, self._said(answer)
            except (requests.ConnectionError, requests.Timeout) as error:
                if isinstance(error, requests.ReadTimeout):
                    raise Unanswered(
                        f"{self} took an alert and did not answer (ReadTimeout); see that the chat's server is well"
                    ) from None
                why, temporary = type(error).__name__, True
            except (requests.RequestException, ValueError) as error:  # urllib3's own, of an address that is none
                raise Unreachable(f"{self}: {type(error).__name__}; check PARIVISION_ALERT_WEBHOOK_URL") from None
            else:
                if 200 <= status < 300:
                    return ""
                why, temporary = f"HTTP {status}{said}", status >= 500 or status == 429
                if not temporary:
                    raise Undelivered(f"{self} refuses the alert: {why}; check PARIVISION_ALERT_WEBHOOK_URL")
            if not temporary or attempt == ATTEMPTS:
                break
            time.sleep(0.5 * 2 ** (attempt - 1))
        raise Unreachable(f"{self} does not take alerts: {why}; see that the chat's server is up")

    @staticmethod
    def _said(answer: requests.Response) -> str:
        """The beginning of what the server says of a refusal, on one line."""
        first = next(answer.iter_content(200), b"")
        line = one_line(redact(first.decode("utf-8", "replace")), 120)
        return f", {line!r}" if line else ""

    def _message(self, alert: Alert) -> dict[str, object]:
        parts = urlsplit(self.url)
        # Discord also has an entrance for those who speak Slack's language.
        if re.match(r"/api/(v\d+/)?webhooks/", parts.path) and not parts.path.endswith("/slack"):
            return {"content": _chat_text(alert, DISCORD_CHARACTERS, escape=False), "allowed_mentions": {"parse": []}}
        return {"text": _chat_text(alert, CHAT_CHARACTERS, escape=True)}


def _chat_text(alert: Alert, most: int, escape: bool) -> str:
    """The title, then the rest as a block of code, in which a chat finds no names, links or emphasis; then the link.

    `escape`: as Slack asks for, `&`, `<` and `>` become entities, without which "<!channel>" wakes a whole company.
    """

    def safe(text: str, called: str) -> str:
        if escape:
            text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        # A block of code ends at three backticks; the others call people by @name, and make links of [this](that).
        text = text.replace("`", "'").replace("](", "]\u200b(")
        return re.sub(called, lambda found: found[0] + "\u200b", text)

    title = safe(alert.title, r"@(?=\w)|<(?=[@#!:/])")
    body = safe(alert.body(), r"@(?=(?:all|here|channel|everyone)\b)")
    link = f"\n{alert.link}" if re.match(r"https?://", alert.link) else ""
    room = most - len(title) - len(link) - len("\n```\n\n…\n\n```")
    if len(body) > room:
        # The cause is at the end of what was printed: cut in the middle, and never within an entity.
        half = max(room // 2, 1)
        body = re.sub(r"&[a-z]{0,3}$", "", body[:half]) + "\n…\n" + re.sub(r"^[a-z]{0,3};", "", body[-half:])
    return f"{title}\n```\n{body}\n```{link}"


@dataclass(frozen=True)
class Email:
    """Plain text through an SMTP server.

    Parameters
    ----------
    host, port : str, int
        The server.
    sender, recipients : str
        Addresses; recipients separated by commas.
    user, password : str
        Where the server asks for them; empty otherwise.
    security : str
        "starttls" and "tls" check the certificate against the machine's authorities, or those in `SSL_CERT_FILE`.
    timeout : float
        Seconds to wait for each of the server's answers.
    """

    host: str
    port: int
    sender: str
    recipients: str
    user: str = ""
    password: str = ""
    security: Literal["none", "starttls", "tls"] = "none"
    timeout: float = TIMEOUT_SECONDS
    name: str = "email"

    def __str__(self) -> str:
        return f"e-mail to {self.recipients} through {self.host}:{self.port}"

    def send(self, alert: Alert) -> str:
        """Hand the message to the server; each step's refusal says what to set right."""
        message = self._message(alert)
        try:
            server = self._connected()
            with contextlib.closing(server):
                if self.password:
                    server.login(self.user, self.password)
                refused = server.send_message(message)
                with contextlib.suppress(smtplib.SMTPException, OSError):  # it has the message, whatever follows
                    server.quit()
        except ssl.SSLCertVerificationError as error:
            raise Unreachable(
                f"{self}: the server's certificate is not trusted ({error.verify_message}); put its authority's "
                "certificate into the file that SSL_CERT_FILE names, or correct PARIVISION_SMTP_HOST"
            ) from None
        except smtplib.SMTPAuthenticationError as error:
            raise Unreachable(
                f"{self}: the login as {self.user} is refused ({error.smtp_code}); "
                "check PARIVISION_SMTP_USER and PARIVISION_SMTP_PASSWORD"
            ) from None
        except smtplib.SMTPNotSupportedError as error:
            raise Unreachable(f"{self}: {one_line(str(error), 160)}; check PARIVISION_SMTP_SECURITY") from None
        except smtplib.SMTPRecipientsRefused as error:
            raise Undelivered(f"{self}: {_refusal(error.recipients)}; check PARIVISION_ALERT_EMAIL_TO") from None
        except smtplib.SMTPSenderRefused as error:
            said = _line(error.smtp_error)
            raise Undelivered(
                f"{self}: the sender {self.sender} is refused: {error.smtp_code} {said}; check "
                "PARIVISION_ALERT_EMAIL_FROM, and whether the server wants a login or encryption"
            ) from None
        except smtplib.SMTPDataError as error:
            raise Undelivered(f"{self}: the message is refused: {error.smtp_code} {_line(error.smtp_error)}") from None
        except (smtplib.SMTPException, OSError, UnicodeError) as error:  # the last: a name that no host can have
            why = one_line(redact(str(error)), 160) or type(error).__name__
            raise Unreachable(
                f"{self}: {why}; check PARIVISION_SMTP_HOST, _PORT and _SECURITY, and that the server is up"
            ) from None
        # Not undelivered: the others have it, and would get it again.
        return f"{self}: {_refusal(refused)}; check PARIVISION_ALERT_EMAIL_TO" if refused else ""

    def _connected(self) -> smtplib.SMTP:
        if self.password and self.security == "none" and not is_loopback(self.host):
            raise Unreachable(
                f"{self}: the password would cross the network in the open; set PARIVISION_SMTP_SECURITY to "
                "starttls or tls, or leave PARIVISION_SMTP_PASSWORD empty"
            )
        # By default smtplib asks the name service who we are, which may take longer than any timeout.
        own = socket.gethostname()
        own = own if "." in own else "[127.0.0.1]"
        if self.security == "tls":
            context = ssl.create_default_context()
            return smtplib.SMTP_SSL(self.host, self.port, own, timeout=self.timeout, context=context)
        server = smtplib.SMTP(self.host, self.port, own, timeout=self.timeout)
        if self.security == "starttls":
            try:
                server.starttls(context=ssl.create_default_context())
            except BaseException:
                server.close()
                raise
        return server

    def _message(self, alert: Alert) -> EmailMessage:
        name, sender = parseaddr(one_line(self.sender, 200))
        if not _ADDRESS.fullmatch(sender):
            raise Unreachable(f"{self}: PARIVISION_ALERT_EMAIL_FROM holds no address such as me@club.example")
        domain = sender.rpartition("@")[2] or "localhost"
        recipients = [address for _, address in getaddresses([self.recipients]) if _ADDRESS.fullmatch(address)]
        if not recipients:
            raise Unreachable(f"{self}: PARIVISION_ALERT_EMAIL_TO holds no address such as me@club.example")
        message = EmailMessage(policy=SMTP)
        message["Subject"] = one_line(alert.title, SUBJECT_CHARACTERS)
        message["From"] = formataddr((re.sub(r"[^\w .'-]+", " ", name), sender))
        message["To"] = ", ".join(recipients)
        message["Date"] = format_datetime(datetime.fromisoformat(alert.at))
        # Of the alert, not of the attempt: whoever gets it twice after a crash is shown it once.
        message["Message-ID"] = f"<{alert.alert_id}.{_identifier(socket.gethostname())}@{domain}>"
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(f"{alert.title}\n\n{alert.body()}\n", charset="utf-8")
        return message


def _identifier(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9-]+", "-", text) or "unknown"


def _line(said: bytes | str) -> str:
    return one_line(redact(said.decode("utf-8", "replace") if isinstance(said, bytes) else said), 120)


def _refusal(refused: dict[str, tuple[int, bytes]]) -> str:
    return ", ".join(f"{address} is refused: {code} {_line(said)}" for address, (code, said) in refused.items())


@dataclass(frozen=True)
class File:
    """Lines of JSON added to a file, for a program that watches it.

    Parameters
    ----------
    path : Path
    """

    path: Path
    name: str = "file"

    def __str__(self) -> str:
        return f"file {self.path}"

    def send(self, alert: Alert) -> str:
        """Add one whole line, and wait until the disk has it; a line that found no room is taken back."""
        line = json.dumps({**alert.model_dump(), "text": alert.body()}, ensure_ascii=False).encode() + b"\n"
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
            try:
                self._append(handle, line)
            finally:
                os.close(handle)
        except OSError as error:
            why = error.strerror or error
            raise Unreachable(f"{self}: {why}; correct PARIVISION_ALERT_FILE or make room") from None
        return ""

    @staticmethod
    def _append(handle: int, line: bytes) -> None:
        fcntl.flock(handle, fcntl.LOCK_EX)  # with one write alone, another writer's half line could be taken back
        size = os.fstat(handle).st_size
        if size and os.pread(handle, 1, size - 1) != b"\n":  # the machine went down within a line
            line = b"\n" + line
        try:
            written = os.write(handle, line)
            if written < len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(handle)
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(handle, size)
            raise


def configured(settings: Settings) -> list[Channel]:
    """The channels that settings name, quickest first."""
    found: list[Channel] = []
    if settings.alert_file is not None:
        found.append(File(settings.alert_file))
    if settings.alert_webhook_url is not None:
        found.append(Webhook(settings.alert_webhook_url.get_secret_value()))
    if settings.smtp_host and settings.alert_email_to:
        password = settings.smtp_password.get_secret_value() if settings.smtp_password else ""
        found.append(
            Email(
                settings.smtp_host,
                settings.smtp_port,
                settings.alert_email_from,
                settings.alert_email_to,
                settings.smtp_user,
                password,
                settings.smtp_security,
            )
        )
    return found


def clean(text: str) -> str:
    """Without what a terminal or a mail program obeys: colours, carriage returns, characters that turn a line round."""
    text = re.sub(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])", "", text)
    return re.sub(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]", "", text)


def one_line(text: str, most: int) -> str:
    """A clean text on one line of at most so many characters."""
    line = " ".join(clean(text.replace("\r", "\n")).split())
    return line if len(line) <= most else line[: most - 1].rstrip() + "…"
