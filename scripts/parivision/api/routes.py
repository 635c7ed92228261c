"""Predictions, what serves, who plays, results that are told, and how the server is."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from parivision.api import batches, columnar
from parivision.api.access import LOCAL, SHOTS_PER_REQUEST, Asker
from parivision.api.answers import (
    Answer,
    BatchAnswer,
    ChampionAnswer,
    Health,
    ModelUsed,
    OutcomesTaken,
    PlayersFound,
    Serving,
    TeamOf,
)
from parivision.api.metrics import CONTENT_TYPE
from parivision.api.predicting import Desk, Single, Told
from parivision.api.problems import not_ready, unsupported
from parivision.api.questions import Outcomes, ShotQuestion, Unit
from parivision.api.reading import ARROW, JSON, media_type, read_json, wants_arrow
from parivision.api.state import State
from parivision.api.strict import StrictRoute, errors
from parivision.champions import Champions
from parivision.errors import PariVisionError
from parivision.serving.current import KINDS
from parivision.serving.engine import Kind

v1 = APIRouter(prefix="/v1", route_class=StrictRoute)
service = APIRouter()
_ARROW_DOC = (
    "An Arrow IPC stream with the columns `player_id`, `x`, `y` (in `unit`), `period`, `seconds_left`, `opponent`, "
    "`home` and, where known, `team`, `day`, `season`, `position`, `action_type`, `game_id`, `made`."
)
_ARROW_ANSWER = (
    "An Arrow IPC stream with a row a shot: `row`, `probability`, `low_80`, `high_80`, `low_95`, `high_95`, "
    "`expected_points`, `distance_ft`, `value`, `zone`, `player_known`. Id, model, snapshot and warnings are JSON in "
    "the schema's metadata under `parivision`; the prediction's id is `<id>:<row>`."
)
_BINARY = {"type": "string", "format": "binary"}


def state_of(request: Request) -> State:
    """What the application holds."""
    found: State = request.app.state.held
    return found


def asker_of(request: Request) -> Asker:
    """Who asks."""
    found: Asker = request.scope.get("state", {}).get("asker") or Asker(LOCAL)
    return found


def _key_of(request: Request) -> str:
    asker = asker_of(request)
    return asker.name if asker.key is not None else ""


@v1.post("/predict", responses=errors(400), tags=["predictions"], summary="One shot")
async def predict(question: ShotQuestion, request: Request) -> Answer:
    """How likely a shot is to go in, how sure that is, what it is worth, and which real shots are like it.

    Zone, distance and value follow from the place; asking for them is an error.
    """
    desk: Desk = state_of(request).desk
    answer = await desk.singles.ask(Single(question, _key_of(request)))
    return Response(answer.model_dump_json(), media_type=JSON)  # type: ignore[return-value]


@v1.post(
    "/predict/batch",
    response_model=BatchAnswer,
    responses={
        200: {
            "description": "Predictions in the order asked.",
            "content": {ARROW: {"schema": {**_BINARY, "description": _ARROW_ANSWER}}},
        },
        **errors(400),
    },
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                JSON: {"schema": {"$ref": "#/components/schemas/BatchQuestion"}},
                ARROW: {"schema": {**_BINARY, "description": _ARROW_DOC}},
            },
        }
    },
    tags=["predictions"],
    summary="Up to 10,000 shots",
)
async def predict_batch(
    request: Request,
    unit: Annotated[Unit, Query(description="Of `x` and `y` in an Arrow body; rows of JSON say it each.")] = "ft",
) -> Response:
    """Many shots at once, as JSON or as Arrow columns; `Content-Type` says what is sent, `Accept` what is wanted.

    Rows of one `game_id` are a game: what came before a shot in it is worked out from them. One model answers a batch,
    so either all rows have an `action_type` or none has. Counts as one request and one more for every 100 shots.
    """
    state, asker = state_of(request), asker_of(request)
    sent = media_type(request.headers.get("content-type", ""))
    if sent not in (JSON, ARROW):
        raise unsupported(f"send {JSON} or {ARROW}")
    as_arrow = wants_arrow(request.headers.get("accept", ""), by_default=sent == ARROW)
    body = await request.body()
    desk = state.desk

    def read() -> batches.Batch:
        return columnar.of_arrow(body, unit) if sent == ARROW else batches.of_json(read_json(body))

    def answered(batch: batches.Batch) -> bytes:
        told = desk.score(batch, _key_of(request))
        write = columnar.to_arrow if as_arrow else batches.to_json
        return write(told.id, told.scored, _about(told))

    if asker.key is None:
        return Response(await desk.batches.run(lambda: answered(read())), media_type=ARROW if as_arrow else JSON)
    batch = await desk.batches.run(read)
    state.access.charge(asker, len(batch) // SHOTS_PER_REQUEST)
    return Response(await desk.batches.run(answered, batch), media_type=ARROW if as_arrow else JSON)


def _about(told: Told) -> dict[str, Any]:
    return {
        "model": told.model.model_dump(),
        "snapshot": told.snapshot,
        "warnings": [warning.model_dump() for warning in told.notes],
    }


@v1.get("/champion", responses=errors(), tags=["what serves"], summary="The models that answer")
async def champion(request: Request) -> ChampionAnswer:
    """Snapshot and champions, why each was promoted, and its numbers on test games."""
    state = state_of(request)
    return await state.desk.readers.run(_champions, state)


def _champions(state: State) -> ChampionAnswer:
    current = state.router.current
    meta = current.engine("pre_shot").snapshot.meta
    return ChampionAnswer(
        snapshot=meta.id,
        source=meta.source,
        simulated=meta.simulated,
        shots=meta.shots,
        first_day=meta.first_day.isoformat(),
        last_day=meta.last_day.isoformat(),
        champions=[found for kind in KINDS if (found := _serving(state, kind)) is not None],
    )


def _serving(state: State, kind: Kind) -> Serving | None:
    try:
        engine = state.router.current.engine(kind)
        events = Champions(state.data_dir).record(engine.served.champion.name).events
    except PariVisionError:
        return None  # of this kind nothing serves; the other may
    served = engine.served
    made = next(
        (e for e in events[::-1] if e.version == served.champion.version and e.action != "registry not told"), None
    )
    tested = engine.snapshot.meta.champions.get(kind) or {}
    numbers = {name: tested[name] for name in ("log_loss", "log_loss_low", "log_loss_high") if name in tested}
    return Serving(
        model=ModelUsed.of(kind, served, "champion"),
        promoted_at=made.at if made else None,
        reason=made.reason if made else "",
        test=numbers if tested.get("sha256") == served.champion.sha256 else {},
        note=served.note,
    )


@v1.get("/players", responses=errors(), tags=["what serves"], summary="Who plays")
async def players(
    request: Request,
    q: Annotated[str, Query(max_length=100, description="A part of the name or the team; all by default.")] = "",
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
    offset: Annotated[int, Query(ge=0, le=1_000_000)] = 0,
) -> PlayersFound:
    """Players whose name holds a text, the busiest first, page by page."""
    state = state_of(request)
    return await state.desk.readers.run(_players, state, q, limit, offset)


def _players(state: State, q: str, limit: int, offset: int) -> PlayersFound:
    table = state.router.current.engine("pre_shot").snapshot.players
    if q.strip():
        table = table[table["label"].str.casefold().str.contains(q.strip().casefold(), regex=False)]
    page = table.iloc[offset : offset + limit]
    rows = page.to_dict("records")
    following = offset + len(page)
    return PlayersFound(
        total=len(table),
        limit=limit,
        offset=offset,
        next_offset=following if following < len(table) else None,
        players=[
            TeamOf(
                id=int(row["player_id"]),
                name=str(row["player_name"]),
                label=str(row["label"]),
                team=str(row["team"]),
                position=row["position"] if isinstance(row["position"], str) else None,
                attempts=int(row["attempts"]),
                first_season=str(row["first_season"]),
                last_season=str(row["last_season"]),
            )
            for row in rows
        ],
    )


@v1.post("/outcomes", responses=errors(400), tags=["predictions"], summary="What became of predictions")
async def outcomes(told: Outcomes, request: Request) -> OutcomesTaken:
    """Tell whether predicted shots went in, by the ids of their predictions; told again, a result is corrected."""
    state = state_of(request)
    pairs = [(outcome.id, outcome.made) for outcome in told.outcomes]
    return OutcomesTaken(**await state.desk.readers.run(state.router.record_outcomes, pairs))


@service.get("/health/live", tags=["service"], summary="Whether the process answers")
async def live() -> Health:
    """It does where this is read."""
    return Health(status="live")


@service.get(
    "/health/ready", responses={503: errors()[503]}, tags=["service"], summary="Whether predictions can be asked"
)
async def ready(request: Request) -> Health:
    """503 where nothing has been published yet, or no champion can be loaded."""
    state = state_of(request)
    if state.problem:
        raise not_ready(state.problem)
    return Health(status="ready", detail=state.detail)


@service.get(
    "/metrics",
    response_class=Response,
    responses={
        200: {"content": {"text/plain": {"schema": {"type": "string"}}}, "description": "Prometheus' text format."},
        **{status: said for status, said in errors().items() if status in (401, 403, 429)},
    },
    tags=["service"],
    summary="Metrics",
)
async def metrics(request: Request) -> Response:
    """What Prometheus scrapes."""
    return Response(state_of(request).metrics.text(), media_type=CONTENT_TYPE)
