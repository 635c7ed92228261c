"""Routes whose bodies are read strictly, and what every route says of its errors."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute

from parivision.api.problems import MEDIA_TYPE, malformed, unsupported
from parivision.api.reading import EMPTY, JSON, media_type, read_json

_SAID = {
    400: "The body is not what its type says.",
    401: "No key, or one that is not known.",
    403: "The key does not allow this, or the server is asked under a name that is not its own.",
    404: "There is no such thing.",
    413: "The body is too large.",
    415: "The body is compressed, or of a kind that is not read here.",
    422: "A field cannot be meant; `errors` names it.",
    429: "The key asked too often; `Retry-After` says when to come again.",
    500: "A fault of the API.",
    503: "Nothing can serve yet, or too much is in hand; `Retry-After` says when to come again.",
    504: "It took too long.",
}
_ALWAYS = (401, 403, 413, 415, 422, 429, 500, 503, 504)


def errors(*more: int) -> dict[int | str, dict[str, Any]]:
    """The errors that a route documents: those of all, and these."""
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemDetails"}}}
    wait = {"Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer"}}}
    return {
        status: {
            "description": _SAID[status],
            "content": content,
            **({"headers": wait} if status in (429, 503) else {}),
        }
        for status in sorted({*_ALWAYS, *more})
    }


class _StrictRequest(Request):
    """A request whose body is JSON and nothing else."""

    async def body(self) -> bytes:
        """As it came.

        Raises
        ------
        Problem
            415 where it is not said to be JSON, 400 where it is empty.
        """
        if media_type(self.headers.get("content-type", "")) != JSON:
            raise unsupported(f"send {JSON}")
        found = await super().body()
        if not found:
            raise malformed(EMPTY)
        return found

    async def json(self) -> Any:
        """The value that it holds; see `reading.read_json`."""
        return read_json(await self.body())


class StrictRoute(APIRoute):
    """A route that reads JSON strictly."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """See `APIRoute`."""
        handle = super().get_route_handler()
        if self.body_field is None:
            return handle

        async def strictly(request: Request) -> Response:
            return await handle(_StrictRequest(request.scope, request.receive))

        return strictly
