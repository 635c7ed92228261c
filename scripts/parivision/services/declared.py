"""Which services there are: what `services.yaml` declares, and nothing else is ever asked."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from parivision.errors import PariVisionError
from parivision.settings import get_settings, workspace_root
from parivision.yaml_file import read_yaml

FILE = "services.yaml"
_NAME = re.compile(r"[a-z][a-z0-9_-]{0,31}")
_INSIDE = ("store", "schedule")  # asked of this workspace, not of an address
_SCHEMES = ("http", "https", "mongodb")


class ServicesError(PariVisionError):
    """services.yaml will not do."""


def _an_address(text: str) -> str:
    if not text or text in _INSIDE:
        return text
    parts = urlsplit(text)
    if parts.scheme not in _SCHEMES or not parts.hostname or not text.isprintable() or " " in text:
        raise ValueError(f"{text!r} is no address to ask; write http://HOST:PORT/PATH, mongodb://HOST:PORT, or one of "
                         f"{', '.join(_INSIDE)}")  # fmt: skip
    if parts.username is not None or parts.password is not None:
        raise ValueError("an address to ask holds no password; ask a page that needs none")
    try:
        no_port = parts.port == 0
    except ValueError:  # no number, too large, or several servers
        no_port = True
    if no_port:
        raise ValueError(f"{text!r} names no port; write one server, with a number from 1 to 65535")
    return text


def _a_link(text: str) -> str:
    own = text.startswith("/") and not text.startswith(("//", "/\\"))  # browsers take both for another server's name
    if text and not own and urlsplit(text).scheme not in ("http", "https"):
        raise ValueError(f"{text!r} is no page to open; write http://…, https://…, or a path that begins with one /")
    return text


def _a_pattern(text: str) -> str:
    try:
        groups = re.compile(text).groups if text else 1
    except re.error as error:
        raise ValueError(f"{text!r} is no regular expression ({error})") from None
    if groups != 1:
        raise ValueError(f"{text!r} has {groups} groups; put round brackets around the one part to show")
    return text


class Service(BaseModel):
    """One service; what each key means is told in services.yaml."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    name: str
    title: Annotated[str, Field(min_length=1, max_length=60)]
    about: str = ""
    open: Annotated[str, AfterValidator(_a_link)] = ""
    start: str = ""
    ask: Annotated[str, AfterValidator(_an_address)] = ""
    says: Annotated[str, AfterValidator(_a_pattern)] = ""
    expected: bool = False

    @property
    def kind(self) -> Literal["", "http", "mongodb", "store", "schedule"]:
        """How it is asked; empty where it is not."""
        if self.ask in ("", "store", "schedule"):
            return self.ask  # type: ignore[return-value]
        return "mongodb" if self.ask.startswith("mongodb:") else "http"


def services_file() -> Path:
    """The file that the settings name, else the workspace's own."""
    return get_settings().services_file or workspace_root() / FILE


def read_services(path: Path | None = None) -> list[Service]:
    """Every declared service, in the order of the file.

    Parameters
    ----------
    path : Path, optional
        The file; `services_file()` where none is given.

    Raises
    ------
    ServicesError
        The file is missing, is no YAML, or has a wrong key or value; the message names the service and the key.
    """
    path = path or services_file()
    content = read_yaml(path, ServicesError, "restore it, or set PARIVISION_SERVICES_FILE")
    if not isinstance(content, dict) or not content:
        raise ServicesError(f"{path} must hold services by their names, each with a title")
    return [_service(path, name, values) for name, values in content.items()]


def _service(path: Path, name: Any, values: Any) -> Service:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ServicesError(f"{path}: {name!r} is no name of a service; use up to 32 small letters, digits, - and _")
    if not isinstance(values, dict) or any(not isinstance(key, str) for key in values) or "name" in values:
        raise ServicesError(f"{path}, {name}: it must hold title and perhaps about, open, start, ask, says, expected")
    try:
        return Service(name=name, **values)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        key = ".".join(str(part) for part in first["loc"])
        said = {"extra_forbidden": "there is no such key", "missing": "it is missing"}.get(
            first["type"], first["msg"].removeprefix("Value error, ")
        )
        raise ServicesError(f"{path}, {name}, {key}: {said}; correct it") from None
