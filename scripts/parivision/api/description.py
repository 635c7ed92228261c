"""The description of the API (OpenAPI): what FastAPI does not see, and examples that can be asked as they stand."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from parivision.api.access import needs
from parivision.api.problems import ProblemDetails
from parivision.api.questions import BatchQuestion
from parivision.api.strict import errors
from parivision.errors import PariVisionError
from parivision.published import Snapshot

# Whom the examples are about, as written in `questions` and the routes.
_PLAYERS: tuple[tuple[str, int], ...] = (("LeBron James", 2544), ("Kawhi Leonard", 202681))
_OPPONENT = "BOS"


def described(app: FastAPI) -> dict[str, Any]:
    """OpenAPI with keys, bodies that are read by hand, problem details, and examples of the data that serve."""
    snapshot = _snapshot(app)
    about = snapshot.meta.id if snapshot is not None else ""
    if app.openapi_schema and app.openapi_schema["info"].get("x-snapshot") == about:
        return app.openapi_schema
    made = get_openapi(
        title=app.title,
        version=app.version,
        summary=app.summary,
        description=app.description,
        routes=app.routes,
        tags=app.openapi_tags,
    )
    made["info"]["x-snapshot"] = about
    components = made.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    for model in (ProblemDetails, BatchQuestion):
        found = model.model_json_schema(ref_template="#/components/schemas/{model}", mode="validation")
        schemas |= found.pop("$defs", {})
        schemas[model.__name__] = found
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)  # FastAPI's own way of telling, which nobody sees here
    components["securitySchemes"] = {
        "key": {"type": "http", "scheme": "bearer", "description": "`parivision keys add NAME` makes one."}
    }
    for path, operations in made["paths"].items():
        scope = needs(path)
        for operation in operations.values():
            _tell_errors(operation["responses"], path.startswith("/v1/"))
            if scope:
                operation["security"] = [{"key": []}, {}]  # none on the machine itself
                operation["x-scope"] = scope
    app.openapi_schema = made if snapshot is None else _retold(made, _names(snapshot))
    return app.openapi_schema


def _tell_errors(responses: dict[str, Any], is_ours: bool) -> None:
    """Every error of an operation is told as a problem, also those of other rooms' routes."""
    usual = {str(status): said for status, said in errors().items()}
    for status in sorted(usual) if is_ours else ():
        responses.setdefault(status, usual[status])
    for status, said in responses.items():
        if int(status) >= HTTPStatus.BAD_REQUEST:
            said["content"] = usual["500"]["content"]


def _snapshot(app: FastAPI) -> Snapshot | None:
    held = getattr(app.state, "held", None)
    if held is None or held.problem:
        return None
    try:
        snapshot: Snapshot = held.router.current.engine("pre_shot").snapshot
    except PariVisionError:  # nothing serves yet
        return None
    return snapshot


def _names(snapshot: Snapshot) -> dict[Any, Any]:
    """What stands in the examples for what these data have instead."""
    busiest = snapshot.players.head(len(_PLAYERS)).to_dict("records")
    names: dict[Any, Any] = {}
    for (name, id_), found in zip(_PLAYERS, busiest, strict=False):
        names |= {name: str(found["player_name"]), id_: int(found["player_id"])}
    if _OPPONENT not in snapshot.teams:
        names[_OPPONENT] = next((team for team in snapshot.teams if team != busiest[0]["team"]), _OPPONENT)
    return names if snapshot.meta.simulated or _PLAYERS[0][1] not in set(snapshot.players["player_id"]) else {}


def _retold(value: Any, names: dict[Any, Any]) -> Any:
    if isinstance(value, dict):
        return {key: _retold(inner, names) for key, inner in value.items()}
    if isinstance(value, list):
        return [_retold(inner, names) for inner in value]
    return names.get(value, value) if isinstance(value, str | int) and not isinstance(value, bool) else value
