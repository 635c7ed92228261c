"""The comparison over HTTP: games of the market's book, and one of them beside our own probability.

A router for the API's application, which gives `request.app.state.data_dir`. Nothing here asks BetsAPI: what the
command `parivision odds fetch` has kept is shown.
"""

from __future__ import annotations

from dataclasses import asdict
from functools import lru_cache
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Any, Literal

import pandas as pd
from fastapi import APIRouter, HTTPException, Query, Request
from fastapi import Path as InPath
from pydantic import BaseModel, ConfigDict, Field

from parivision.market.book import Book
from parivision.market.compare import Outlook, summary
from parivision.market.shapes import STATUS
from parivision.published import Snapshots

router = APIRouter(prefix="/v1/odds", tags=["odds"])
_MOST = 500
_NAMES = {name: code for code, name in STATUS.items()}
Stage = Literal["not started", "in play", "ended"]


class KnownEvent(BaseModel):
    """A game of the book; its teams in the order in which BetsAPI names them."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "id": "1614163",
                "league": "NBA",
                "starts_at": "2026-01-15T00:30:00+00:00",
                "status": "not started",
                "first_team": "BOS Celtics",
                "second_team": "MIA Heat",
                "score": None,
                "clock": "",
                "updated_at": "2026-01-14T22:00:00+00:00",
            }
        }
    )

    id: str
    league: str
    starts_at: str = Field(description="UTC.")
    status: str
    first_team: str
    second_team: str
    score: list[int] | None = Field(description="Points of the team named first, and of the other.")
    clock: str
    updated_at: str = Field(description="When it last changed, UTC.")


class KnownEvents(BaseModel):
    """Games of the book, the next to start last."""

    events: list[KnownEvent]
    total: int = Field(description="How many there are; the newest are shown.")


class Compared(BaseModel):
    """A game beside the stored shots, and what the comparison stands on."""

    basis: dict[str, Any] = Field(description="Snapshot, what the probability is of, how it did, and what is missing.")
    comparison: dict[str, Any] = Field(
        description="The game; `not_compared` says why there are no `offers`. Probabilities are between 0 and 1, "
        "prices decimal odds, `edge` is profit per unit staked and zero where `withheld` says why."
    )


@router.get("/events", summary="Games that the market's book knows")
def events(
    request: Request,
    league: Annotated[str, Query(max_length=120, description="Its name, exactly; all leagues where empty.")] = "",
    status: Annotated[Stage | None, Query(description="Only games of this status.")] = None,
    limit: Annotated[int, Query(ge=1, le=_MOST, description="Games to show, the latest to start.")] = 100,
) -> KnownEvents:
    """What `parivision odds fetch` has kept; an empty list where it was never run."""
    table = Book(_data_dir(request)).events(league=league)
    if status is not None:
        table = table[table["status"] == _NAMES[status]]
    rows = table.tail(limit).to_dict("records")
    return KnownEvents(events=[_known(row) for row in rows], total=len(table))


@router.get(
    "/events/{event_id}",
    summary="A game's prices beside our own probability",
    responses={HTTPStatus.NOT_FOUND: {"description": "The book knows no such game."}},
)
def compared(
    request: Request, event_id: Annotated[str, InPath(pattern=r"^\d{1,20}$", description="BetsAPI's id.")]
) -> Compared:
    """Fair odds, the market's probability without its margin, and an edge where it may be shown."""
    data_dir = _data_dir(request)
    book = Book(data_dir)
    if book.events(event_id).empty:
        raise HTTPException(
            HTTPStatus.NOT_FOUND, f"the book knows no game {event_id}: `GET /v1/odds/events` lists them"
        )
    newest = Snapshots(data_dir).open()
    outlook = _outlook(data_dir, newest.meta.id, book.state())
    (found,) = outlook.compare(event_id)
    return Compared(basis=summary(outlook), comparison=asdict(found))


@lru_cache(maxsize=2)
def _outlook(data_dir: Path, snapshot_id: str, _book_state: tuple[Any, ...]) -> Outlook:
    """Made anew when there is a new snapshot or the book has changed, not for every request."""
    return Outlook(Snapshots(data_dir).open(snapshot_id), Book(data_dir), data_dir, make=False)


def _data_dir(request: Request) -> Path:
    found: Path = request.app.state.data_dir
    return found


def _known(row: dict[Any, Any]) -> KnownEvent:
    known = pd.notna(row["first_score"]) and pd.notna(row["second_score"])
    return KnownEvent(
        id=row["id"],
        league=row["league"],
        starts_at=row["starts_at"].isoformat(),
        status=STATUS.get(int(row["status"]), "unknown"),
        first_team=row["first_team"],
        second_team=row["second_team"],
        score=[int(row["first_score"]), int(row["second_score"])] if known else None,
        clock=row["clock"],
        updated_at=row["updated_at"].isoformat(),
    )
