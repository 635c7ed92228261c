"""The dashboard's numbers: the same functions on the same snapshot, so that both say the same."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
from fastapi import APIRouter, Path, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from parivision import court
from parivision.api.problems import invalid, unknown
from parivision.api.routes import state_of
from parivision.api.strict import StrictRoute, errors
from parivision.published import Filters, Snapshot, tallies
from parivision.scouting import TeamShots
from parivision.shooting import leaders as rank
from parivision.shooting.rates import COLUMNS

shooting = APIRouter(prefix="/v1/shooting", route_class=StrictRoute, tags=["shooting"])
_Season = Annotated[str, Query(max_length=20, description="Such as 2019-20; all by default.", examples=["2019-20"])]
_MEANINGS = "; ".join(f"`{name}`: {said}" for name, said in COLUMNS.items())


class Table(BaseModel):
    """Rows of numbers."""

    model_config = ConfigDict(extra="forbid")

    snapshot: str = Field(description="Id of the data.")
    what: str = Field(description="Which shots, in words.")
    rows: list[dict[str, Any]]


class Leaders(Table):
    """A ranking by the lower end of the interval."""

    qualified: int = Field(description="How many have enough attempts.")


class PlayerShooting(BaseModel):
    """A player's shooting."""

    snapshot: str
    what: str
    player_id: int
    name: str
    summary: dict[str, Any] = Field(description=_MEANINGS)
    zones: list[dict[str, Any]] = Field(description="The same by zone.")


class TeamShooting(BaseModel):
    """A team's shooting, and what it allows."""

    snapshot: str
    what: str
    team: str
    summary: dict[str, Any] | None = Field(description="Null where it took no shots.")
    zones: list[dict[str, Any]] = Field(description="What it takes by zone, beside the league.")
    allowed: list[dict[str, Any]] = Field(description="The same of the shots against it.")
    diet_gap: dict[str, Any] = Field(
        description="Worth of its choice of zones against the league's, points per 100 shots."
    )
    within_reach: dict[str, Any] = Field(description="What clear changes would bring, points per 100 shots.")


@shooting.get("/leaders", responses=errors(), summary="Who leads")
async def leaders(
    request: Request,
    measure: Annotated[Literal["making", "quality", "volume"], Query(description="What is ranked.")] = "making",
    among: Annotated[Literal["players", "teams"], Query()] = "players",
    season: _Season = "",
    zone: Annotated[str, Query(max_length=40, description=f"One of {', '.join(court.ZONES)}; all by default.")] = "",
    minimum: Annotated[int, Query(ge=1, le=100_000, description="Fewest attempts.")] = 300,
    level: Annotated[Literal["80", "95"], Query(description="Of the interval whose lower end ranks, %.")] = "95",
    top: Annotated[int, Query(ge=1, le=1000)] = 20,
) -> Leaders:
    """Players or teams by shot making (points per shot above an average shooter), shot quality or volume."""
    state = state_of(request)

    def found() -> Leaders:
        snapshot = state.router.current.engine("pre_shot").snapshot
        filters = chosen(snapshot, seasons=season, zones=zone)
        table = tallies.by(snapshot, filters, "player_id" if among == "players" else "team")
        ranked = rank(table, measure, minimum, top=None, level=int(level))
        return Leaders(
            snapshot=snapshot.meta.id,
            what=filters.sentence(snapshot),
            rows=plain(ranked.head(top)),
            qualified=len(ranked),
        )

    return await state.desk.readers.run(found)


@shooting.get("/players/{player_id}", responses=errors(404), summary="A player's shooting")
async def player(
    request: Request,
    player_id: Annotated[int, Path(ge=0, le=2**53, description="As `/v1/players` has it.", examples=[2544])],
    season: _Season = "",
) -> PlayerShooting:
    """A player's rates with intervals, in all and by zone, shrunk as the dashboard shrinks them."""
    state = state_of(request)

    def found() -> PlayerShooting:
        snapshot = state.router.current.engine("pre_shot").snapshot
        if player_id not in set(snapshot.players["player_id"].tolist()):
            raise unknown("player", f"these data have no player {player_id}; /v1/players lists them", "player_id")
        filters = chosen(snapshot, seasons=season).changed(players=(player_id,))
        zones = tallies.by(snapshot, filters, "zone", snapshot.spreads["player_zone"])
        return PlayerShooting(
            snapshot=snapshot.meta.id,
            what=filters.sentence(snapshot),
            player_id=player_id,
            name=snapshot.names([player_id])[0],
            summary=_plain_row(tallies.summary(snapshot, filters)),
            zones=plain(zones),
        )

    return await state.desk.readers.run(found)


@shooting.get("/teams/{team}", responses=errors(404), summary="A team's shooting")
async def team(
    request: Request,
    team: Annotated[str, Path(pattern=r"^[A-Za-z]{2,4}$", description="Code.", examples=["BOS"])],
    season: Annotated[
        str, Query(max_length=20, description="Such as 2019-20, or `all`; the newest by default.", examples=["2019-20"])
    ] = "",
    minimum: Annotated[int, Query(ge=60, le=10_000, description="Attempts of a player before he is judged.")] = 300,
) -> TeamShooting:
    """A team beside its league: what it takes by zone, what that is worth, what it allows, and what is within reach."""
    state = state_of(request)

    def found() -> TeamShooting:
        snapshot = state.router.current.engine("pre_shot").snapshot
        code = team.upper()
        if code not in snapshot.teams:
            raise unknown("team", f"these data have no team {code}; there are {', '.join(snapshot.teams)}", "team")
        # As the page of the team does where no season is chosen.
        filters = chosen(snapshot, seasons="" if season == "all" else season or snapshot.seasons[-1])
        own = TeamShots(snapshot, filters, code, minimum)
        return TeamShooting(
            snapshot=snapshot.meta.id,
            what=own.own.sentence(snapshot),
            team=code,
            summary=_plain_row(own.row) if own.row else None,
            zones=plain(own.zones) if own.row else [],
            allowed=plain(own.allowed) if own.row else [],
            diet_gap=_plain_row(vars(own.gap)) if own.row else {},
            within_reach=_plain_row({**vars(own.reach), "gain": _plain_row(vars(own.reach.gain))}) if own.row else {},
        )

    return await state.desk.readers.run(found)


def chosen(snapshot: Snapshot, **values: str) -> Filters:
    """Filters of texts, "" for all; a value that the data do not know is an error here, where nobody reads a note."""
    filters, notes = Filters.of(**{name: (value,) if value else () for name, value in values.items()}).checked(snapshot)
    if notes:
        field = next(name for name, value in values.items() if value and not getattr(filters, name))
        raise invalid([(field.removesuffix("s"), notes[0])])
    return filters


def plain(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows as JSON holds them; what is no number is null."""
    return [_plain_row(row) for row in table.to_dict("records")]


def _plain_row(row: dict[Any, Any]) -> dict[str, Any]:
    return {str(name): _plain(value) for name, value in row.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return value if np.isfinite(value) else None
    return value if isinstance(value, str | int | bool | dict) or value is None else str(value)
