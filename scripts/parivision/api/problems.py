"""What goes wrong, said the same way everywhere: problem details as in RFC 9457, naming the field."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError, ResponseValidationError
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException

from parivision.errors import ModelError, ParameterError, PariVisionError, SnapshotError
from parivision.secrets import redact

MEDIA_TYPE = "application/problem+json"
_TYPE = "urn:parivision:problem:"
_MOST_ERRORS = 20  # of a batch in which every row is wrong
# What the court computes from the place.
COMPUTED = {
    "zone": "computed from the place; leave it out",
    "distance": "computed from the place; leave it out",
    "distance_ft": "computed from the place; leave it out",
    "value": "computed from the place; leave it out",
    "shot_value": "computed from the place; leave it out",
}
RETRY_SECONDS = 2
_NAMED = re.compile(r"([a-z_]+(?:\.[a-z0-9_]+)*): ")


class FieldError(BaseModel):
    """What is wrong with one field."""

    field: str = Field(description="Where in the request, such as `place.x`; `shots.17.period` in a batch.")
    message: str = Field(description="What is wrong with it.")


class ProblemDetails(BaseModel):
    """Problem details as in RFC 9457."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "type": "urn:parivision:problem:validation",
                "title": "The request has a field that cannot be meant",
                "status": 422,
                "detail": "place.unit: Input should be 'ft', 'm' or 'nba'",
                "instance": "urn:parivision:request:0f8c2b6e9d3a4c51",
                "errors": [{"field": "place.unit", "message": "Input should be 'ft', 'm' or 'nba'"}],
            }
        }
    )

    type: str = Field(description="Names the kind of problem; programs may rely on it.")
    title: str
    status: int
    detail: str = Field(description="What, where, and what to do.")
    instance: str = Field(description="The request's id, which the log has too.")
    errors: list[FieldError] = Field(default=[], description="Each field that is wrong.")


class Problem(HTTPException):
    """Ends a request with problem details; an HTTPException, since FastAPI hides others that a body raises.

    Parameters
    ----------
    code : str
        The last part of `type`.
    errors : sequence of (field, message)
    """

    def __init__(
        self,
        status: int,
        code: str,
        title: str,
        detail: str,
        errors: Sequence[tuple[str, str]] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(status, detail, dict(headers or {}))
        self.code = code
        self.title = title
        self.errors = tuple(errors)

    def body(self, request_id: str) -> bytes:
        """As sent; nothing in it repeats a secret of the settings."""
        content = {
            "type": _TYPE + self.code,
            "title": self.title,
            "status": self.status_code,
            "detail": redact(self.detail),
            "instance": f"urn:parivision:request:{request_id}",
            "errors": [{"field": field, "message": redact(message)} for field, message in self.errors],
        }
        # What cannot be UTF-8, such as half a surrogate pair from an escape, is sent as a question mark.
        return json.dumps(content, ensure_ascii=False).encode("utf-8", "replace")

    def response(self, request_id: str) -> Response:
        """The answer."""
        return Response(self.body(request_id), self.status_code, self.headers, MEDIA_TYPE)


def invalid(errors: Sequence[tuple[str, str]]) -> Problem:
    """422: these fields cannot be meant."""
    first = "; ".join(f"{field}: {message}" for field, message in errors[:3])
    more = f"; and {len(errors) - 3} more" if len(errors) > 3 else ""
    title = "The request has a field that cannot be meant"
    return Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "validation", title, first + more, errors[:_MOST_ERRORS])


def malformed(detail: str) -> Problem:
    """400: the body is not what its type says."""
    return Problem(HTTPStatus.BAD_REQUEST, "malformed", "The body cannot be read", detail, [("body", detail)])


def unsupported(detail: str) -> Problem:
    """415: a body of this kind is not read."""
    title = "This kind of body is not read here"
    return Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "media-type", title, detail, [("Content-Type", detail)])


def not_ready(detail: str) -> Problem:
    """503: nothing can serve yet."""
    headers = {"Retry-After": str(RETRY_SECONDS)}
    return Problem(HTTPStatus.SERVICE_UNAVAILABLE, "not-ready", "Nothing can serve yet", detail, headers=headers)


def busy(detail: str) -> Problem:
    """503: as much as can be done is being done."""
    headers = {"Retry-After": str(RETRY_SECONDS)}
    return Problem(HTTPStatus.SERVICE_UNAVAILABLE, "busy", "The API is busy", detail, headers=headers)


def unknown(what: str, detail: str, field: str) -> Problem:
    """404: there is no such thing."""
    return Problem(HTTPStatus.NOT_FOUND, "unknown", f"There is no such {what}", detail, [(field, detail)])


def of_validation(errors: Iterable[Mapping[str, Any]], within: Sequence[str | int] = ()) -> list[tuple[str, str]]:
    """Pydantic's errors as pairs of field and message; never the value itself.

    Parameters
    ----------
    within : sequence
        Where the checked object stands in the request.
    """
    found: dict[str, list[str]] = {}
    for error in errors:
        loc = [str(part) for part in (*within, *error["loc"])]
        loc = loc[1:] if loc[:1] in (["body"], ["query"], ["path"], ["header"]) else loc
        message = str(error["msg"]).removeprefix("Value error, ")
        if error["type"] == "extra_forbidden":
            message = COMPUTED.get(loc[-1], "there is no such field here; leave it out")
        if error["type"] == "value_error" and (named := _NAMED.match(message)):  # of a check over several fields
            loc, message = [*loc, named[1]], message[named.end() :]
        # A field that may be one of several types is named once, and not with the types.
        field = ".".join(part for part in loc if not _names_a_type(part))[:200]
        said = found.setdefault(field or "body", [])
        if message not in said:
            said.append(message)
    return [(field, ", or ".join(said)) for field, said in found.items()]


def _names_a_type(part: str) -> bool:
    return part in ("int", "str", "constrained-int", "constrained-str", "float") or "[" in part or "(" in part


def of_error(error: PariVisionError) -> Problem:
    """A user's error as a problem: 422 where the request is to blame, 503 where it is what serves."""
    if isinstance(error, ParameterError):
        return Problem(
            HTTPStatus.UNPROCESSABLE_ENTITY, "validation", "The request has a field that cannot be meant", str(error)
        )
    if isinstance(error, ModelError | SnapshotError):
        return not_ready(str(error))
    headers = {"Retry-After": str(RETRY_SECONDS)}
    return Problem(HTTPStatus.SERVICE_UNAVAILABLE, "unavailable", "It cannot be done now", str(error), headers=headers)


def fault() -> Problem:
    """500: a fault of ours; the log says which."""
    detail = "this is a fault of the API, not of the request: the log of the server has it under the id of `instance`"
    return Problem(HTTPStatus.INTERNAL_SERVER_ERROR, "fault", "The API failed", detail)


def request_id(request: Request) -> str:
    """Of the request, as the boundary chose it."""
    found: str = request.scope.get("state", {}).get("request_id", "")
    return found


def install(app: FastAPI) -> None:
    """Answer every error of an application with problem details."""

    async def problem(request: Request, error: Exception) -> Response:
        told = _told(error)
        request.scope.setdefault("state", {})["problem"] = told.code
        return told.response(request_id(request))

    for kind in (Problem, HTTPException, RequestValidationError, PariVisionError):
        app.add_exception_handler(kind, problem)
    # Our own answer is wrong: a fault, which the boundary logs.
    app.add_exception_handler(ResponseValidationError, _raise)


async def _raise(_request: Request, error: Exception) -> Response:
    raise error


def _told(error: Exception) -> Problem:
    if isinstance(error, Problem):
        return error
    if isinstance(error, RequestValidationError):
        return invalid(of_validation(error.errors()))
    if isinstance(error, PariVisionError):
        return of_error(error)
    assert isinstance(error, HTTPException)
    status = HTTPStatus(error.status_code)
    code, detail = status.phrase.lower().replace(" ", "-"), str(error.detail)
    if detail == HTTPStatus.NOT_FOUND.phrase:
        detail = "there is nothing at this address; /docs lists what there is"
    elif status == HTTPStatus.METHOD_NOT_ALLOWED:
        detail = f"not with this method; {(error.headers or {}).get('Allow', 'another one')} is answered here"
    return Problem(status, code, status.phrase, detail, headers=error.headers)
