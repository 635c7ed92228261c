"""Many shots at once: from rows of JSON to the columns that an engine scores, and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import ValidationError
from pydantic_core import to_json as to_json_bytes

from parivision import asked, court
from parivision.api.problems import invalid, of_validation
from parivision.api.questions import FEET_PER_UNIT, MOST_SHOTS, BatchRow, Context
from parivision.api.roster import POSITIONS, Roster
from parivision.errors import ParameterError
from parivision.serving.engine import Engine, Kind, Scored
from parivision.shots import PERIOD_SECONDS

_MOST_NAMED = 20  # rows that are told to be wrong
UNTOLD = -1  # of `made`
Numbers = dict[str, npt.NDArray[Any]]
Texts = dict[str, pd.Categorical]
TEXTS = ("opponent", "team", "season", "position", "action_type", "game_id")


class Batch:
    """Shots as columns of one length n, each checked by itself but not yet against any data.

    Parameters
    ----------
    numbers : mapping of arrays, shape (n,)
        `x`, `y` (ft), `period`, `seconds_left`, `home`, `day` (NaT where nobody said), `made` (1, 0 or `UNTOLD`), and
        `player_id`, or `player` with ids and names; `before` and the other columns of a context where rows have one.
    texts : mapping of pd.Categorical
        Some of `TEXTS`; "" or missing where nobody said.

    Raises
    ------
    Problem
        422 where only some rows have a label.
    """

    def __init__(self, numbers: Numbers, texts: Texts) -> None:
        self._numbers = numbers
        self._texts = texts
        self.kind: Kind = "pre_shot"
        if "action_type" in texts:
            labelled = _said(texts["action_type"])
            if labelled.any():
                self.kind = "review"
                refuse("action_type", ~labelled, "other rows have a label and this has none: one model answers a batch")

    def __len__(self) -> int:
        return len(self._numbers["x"])

    def table(self, engine: Engine, known: Roster) -> dict[str, Any]:
        """What `Engine.score` takes, on the data of that engine.

        Raises
        ------
        Problem
            422 where a row cannot be meant on them.
        """
        given, texts = self._numbers, self._texts
        ids = given["player_id"] if "player_id" in given else self._ids(known)
        codes = list(known.codes)
        usual = known.usual_teams(ids)
        team = usual
        if "team" in texts:
            named = self._team_numbers("team", codes)
            team = np.where(named > 0, named, usual)
        opponent = self._team_numbers("opponent", codes)
        refuse("opponent", team == opponent, "a team cannot meet itself")
        next_day = np.datetime64(asked.next_day(engine.snapshot), "D")
        day = np.where(np.isnat(given["day"]), next_day, given["day"])
        last = engine.snapshot.meta.last_day
        refuse("day", day < next_day, f"the data know all games up to {last}: give a later day, or none")
        self._check_results()
        context = {name: given[name] for name in _CONTEXT if name in given}
        more: dict[str, Any] = {name: texts[name] for name in ("action_type", "game_id") if name in texts}
        return {
            "player_id": ids,
            "x_ft": given["x"],
            "y_ft": given["y"],
            "team": _named(team, codes),
            "opponent": _named(opponent, codes),
            "home": given["home"],
            "period": given["period"],
            "period_seconds_left": given["seconds_left"],
            "day": day,
            "made": given["made"] == 1,
            "place_known": engine.history.place_known(given["x"], given["y"]),
            "position": _named(self._positions(known.usual_positions(ids)), POSITIONS),
            **({"season": self._seasons(engine.snapshot.seasons[-1])} if "season" in texts else {}),
            **context,
            **more,
        }

    def _ids(self, known: Roster) -> npt.NDArray[np.int64]:
        ids = np.empty(len(self), np.int64)
        wrong: list[tuple[str, str]] = []
        for row, who in enumerate(self._numbers["player"].tolist()):
            try:
                ids[row] = known.id_of(who)
            except ParameterError as error:
                wrong.append((f"shots.{row}.player", str(error)))
                if len(wrong) == _MOST_NAMED:
                    break
        if wrong:
            raise invalid(wrong)
        return ids

    def _team_numbers(self, field: str, codes: list[str]) -> npt.NDArray[np.int64]:
        """Number in `codes` of each row's team, 0 where nobody said; teams that are new are added to them."""
        column = self._texts[field]
        numbers = {code: number for number, code in enumerate(codes)}
        for code in column.categories.tolist():
            if numbers.setdefault(code.upper(), len(codes)) == len(codes):
                codes.append(code.upper())
        found = np.array([*(numbers[code.upper()] for code in column.categories.tolist()), 0])
        return np.asarray(found[column.codes])  # a missing one points to the last

    def _positions(self, usual: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Number in `POSITIONS` of what is said, or else is usual."""
        if "position" not in self._texts:
            return usual
        column = self._texts["position"]
        said = np.array([*(POSITIONS.index(name) for name in column.categories.tolist()), 0])[column.codes]
        return np.where(said > 0, said, usual)

    def _seasons(self, latest: str) -> pd.Categorical:
        column = self._texts["season"]
        return pd.Categorical(np.where(_said(column), np.asarray(column, dtype=object), latest))

    def _check_results(self) -> None:
        """Every attempt that others of its game come after must have its result."""
        given = self._numbers
        if "game_id" not in self._texts:
            return
        game = self._texts["game_id"]
        open_ = (given["made"] == UNTOLD) & _said(game)
        if not open_.any():
            return
        time = given["period"] * (PERIOD_SECONDS + 1) - given["seconds_left"]
        last = pd.Series(time).groupby(game.codes).transform("max").to_numpy()
        refuse("made", open_ & (time < last), "other shots of its game come after it: say whether it went in")


_CONTEXT = ("before", "seconds_since", "field_goal_margin", "attempts_in_game", "makes_in_game")


def _said(column: pd.Categorical) -> npt.NDArray[np.bool_]:
    """Where a text is given, shape (n,)."""
    empty = column.categories.get_loc("") if "" in column.categories else -1
    return np.asarray((column.codes >= 0) & (column.codes != empty))


def _named(numbers: npt.NDArray[np.int64], names: Sequence[str]) -> pd.Categorical:
    return pd.Categorical.from_codes(numbers, pd.Index(names))  # type: ignore[arg-type]


def refuse(field: str, wrong: npt.NDArray[np.bool_], message: str) -> None:
    """Raise a problem that names the rows of a field that are wrong, where some are."""
    if wrong.any():
        raise invalid([(f"shots.{row}.{field}", message) for row in np.flatnonzero(wrong)[:_MOST_NAMED].tolist()])


def check_number(shots: int) -> None:
    """Raise a problem where a batch is empty or too long."""
    if not 1 <= shots <= MOST_SHOTS:
        raise invalid([("shots", f"a batch has 1 to {MOST_SHOTS:,} shots, not {shots:,}")])


def of_json(content: Any) -> Batch:
    """A batch of rows.

    Row by row, so that other threads have their turn in between.

    Raises
    ------
    Problem
        422 naming row and field.
    """
    if not isinstance(content, dict) or "shots" not in content:
        raise invalid([("shots", "a batch is an object with a list of shots")])
    others = sorted(set(content) - {"shots"})
    if others:
        raise invalid([(str(name)[:40], "there is no such field here; leave it out") for name in others[:_MOST_NAMED]])
    given = content["shots"]
    if not isinstance(given, list):
        raise invalid([("shots", "it must be a list of shots")])
    check_number(len(given))
    rows: list[BatchRow] = []
    wrong: list[tuple[str, str]] = []
    for number, row in enumerate(given):
        try:
            rows.append(BatchRow.model_validate(row))
        except ValidationError as error:
            wrong += of_validation(error.errors(include_url=False, include_input=False), ("shots", number))
            if len(wrong) >= _MOST_NAMED:
                break
    if wrong:
        raise invalid(wrong)
    return Batch(_numbers(rows), {name: _text(rows, name) for name in TEXTS if _anybody(rows, name)})


def _anybody(rows: list[BatchRow], name: str) -> bool:
    return name == "opponent" or any(getattr(row, name) is not None for row in rows)


def _text(rows: list[BatchRow], name: str) -> pd.Categorical:
    return pd.Categorical([getattr(row, name) or "" for row in rows])


def _numbers(rows: list[BatchRow]) -> Numbers:
    x, y = np.array([(row.place.x, row.place.y) for row in rows]).T
    factor = np.array([FEET_PER_UNIT[row.place.unit] for row in rows])
    days = [np.datetime64("NaT") if row.day is None else np.datetime64(row.day, "D") for row in rows]
    return {
        "player": np.array([row.player for row in rows], dtype=object),
        "x": court.snap(factor * x),
        "y": court.snap(factor * y),
        "period": np.array([row.period for row in rows], np.int64),
        "seconds_left": np.array([row.seconds_left for row in rows], np.int64),
        "home": np.array([row.home for row in rows], bool),
        "made": np.array([UNTOLD if row.made is None else int(row.made) for row in rows], np.int8),
        "day": np.array(days, "datetime64[D]"),
        **(_contexts(rows) if any(row.context is not None for row in rows) else {}),
    }


def _contexts(rows: list[BatchRow]) -> Numbers:
    usual = Context()
    found = [row.context or usual for row in rows]
    return {
        "before": np.array([context.previous for context in found], dtype=object),
        "seconds_since": np.array([context.seconds_since for context in found]),
        "field_goal_margin": np.array([float(context.margin) for context in found]),
        "attempts_in_game": np.array([context.attempts for context in found]),
        "makes_in_game": np.array([context.makes for context in found]),
    }


def to_json(id_: str, scored: Scored, about: Mapping[str, Any]) -> bytes:
    """The answer as JSON, see `answers.BatchAnswer`.

    Parameters
    ----------
    about : mapping
        Model, snapshot and warnings.
    """
    names = ("probability", "low_80", "high_80", "low_95", "high_95", "expected_points", "value", "distance_ft")
    lists = [getattr(scored, name).tolist() for name in names]
    rows = [
        {"id": f"{id_}:{i}", "zone": court.ZONES[zone], "player_known": known, **dict(zip(names, row, strict=True))}
        for i, (zone, known, row) in enumerate(
            zip(scored.zone.tolist(), scored.player_known.tolist(), zip(*lists, strict=True), strict=True)
        )
    ]
    return to_json_bytes({"id": id_, **about, "predictions": rows})
