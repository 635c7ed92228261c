"""One shot that nobody has taken yet: how likely it goes in, how sure that is, and what it would be otherwise."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from pydantic import Field, field_validator

from parivision import asked, betting, comparables, court, doubt, hypothetical, what_if
from parivision.asked import Player, find_player
from parivision.charts import prediction
from parivision.contributions import explain
from parivision.dashboard import shot_words as words
from parivision.dashboard.page import Page, PageState, Shown
from parivision.dashboard.rendering import clock, number, percent
from parivision.dashboard.session import Kind, Session
from parivision.errors import ModelError, ParameterError
from parivision.hypothetical import Before, Estimate, Shot
from parivision.predictor import Predictor
from parivision.published import Snapshot
from parivision.what_if import Answer

_BEFORE: dict[Before, str] = {
    "opponent make": "the opponent scored",
    "opponent miss": "the opponent missed",
    "own miss": "own miss: a put-back",
    "own make": "own make",
    "nothing": "nothing yet in this period",
}
_TICKS = (5, 25, 50, 75, 95)  # percentiles at which a shooter is named
_MOST_RIVALS = 6


class PredictState(PageState):
    """The shot in question, and how it is looked at.

    Attributes
    ----------
    player : int, optional
        Id; none for a well-known shooter of the snapshot, 0 for somebody unknown.
    x_ft, y_ft : float
        Place, as in `court`.
    clock : str
        Time left in the period, m:ss.
    percentile : int
        Of shooters, for "what if he were better than this share".
    rivals : tuple of int
        Players to put in his place.
    price : str
        Odds offered on a make, decimal or American.
    """

    player: int | None = Field(default=None, ge=0, le=2**53)
    x_ft: float = Field(default=16.0, ge=-26, le=26, allow_inf_nan=False)
    y_ft: float = Field(default=19.5, ge=-6.25, le=89.75, allow_inf_nan=False)
    opponent: str = Field(default="", max_length=4)
    side: Literal["home", "away"] = "home"
    period: int = Field(default=2, ge=1, le=5)
    clock: str = Field(default="6:00", pattern=r"^\d{1,2}:[0-5]\d$")
    margin: int = Field(default=0, ge=-99, le=99)
    before: Before = "opponent make"
    since: int = Field(default=16, ge=1, le=60)
    attempts: int = Field(default=0, ge=0, le=60)
    makes: int = Field(default=0, ge=0, le=60)
    action: str = Field(default="", max_length=100)
    shades: Literal["probability", "points"] = "probability"
    percentile: int = Field(default=90, ge=0, le=100)
    rivals: tuple[int, ...] = ()
    price: str = Field(default="", max_length=12)

    @field_validator("x_ft", "y_ft")
    @classmethod
    def _on_the_grid(cls, value: float) -> float:
        return float(court.snap(value))  # places are recorded to a tenth of a foot

    @property
    def seconds_left(self) -> int:
        """In the period."""
        minutes, seconds = self.clock.split(":")
        return 60 * int(minutes) + int(seconds)


class Predict(Page):
    """The court, the answer beside it, and what stands behind the answer."""

    name = "predict"
    title = "Predict"
    template = "predict.html.j2"
    State = PredictState

    def show(self, state: PredictState, session: Session) -> Shown:
        """See `Page.show`."""
        snapshot, notes = session.snapshot, list[str]()
        shooter = _shooter(state, snapshot)
        shot = _shot(state, shooter, snapshot, notes)
        kind: Kind = "review" if shot.action_type else "pre_shot"
        context: dict[str, Any] = {
            "shot": shot,
            "shooter": shooter,
            "kind": kind,
            "actions": comparables.known_actions(snapshot),
            "before": _BEFORE,
            "periods": words.PERIODS,
            "missing": "",
            "off_court": "",
            "caveat": betting.CAVEAT,
            "simulated": betting.CAVEAT_SIMULATED if snapshot.meta.simulated else "",
        }
        try:
            shot.checked()
        except ParameterError as error:
            figures = {"court": _court(shot, state, None)}
            said = f"{error}."
            return Shown(context | {"off_court": said, "court_alt": said}, figures, {}, "", said, notes)
        described = words.describe(shot, shooter.label, session.units)
        past = what_if.place(shot, session.history)
        like = comparables.comparables(shot, snapshot)
        context |= {
            "place": past,
            "like": like,
            "average_points": past.league_rate * shot.value,
            "shooter_points": past.shooter.times(shot.value),
            "doubts": comparables.doubts(shot, like, snapshot, state.units),
            "rate_table": _rate_rows(like, shooter.name),
        }
        try:
            predictor = session.predictor(kind)
        except ModelError as error:
            context["missing"] = str(error)
            context["court_alt"] = (
                f"Half court. The shot is taken {session.units.length(shot.distance_ft)} from the hoop."
            )
            sentence = f"{described}: an average shooter makes {percent(past.league_rate)}."
            return Shown(context, {"court": _court(shot, state, None)}, {}, "", sentence, notes)

        error_of_model, unscored = _model_error(snapshot, kind)
        if unscored:
            notes.append(unscored)
        usual = comparables.usual_log_odds(snapshot)
        answer = what_if.answer(shot, predictor, error_of_model, usual)
        surface = what_if.surface(shot, predictor)
        distances = what_if.by_distance(shot, predictor)
        clocks = what_if.by_clock(shot, predictor)
        shooters = what_if.by_shooter(shot, predictor, comparables.shooters(snapshot, shot.zone))
        chosen, named = _percentile(shooters, state.percentile)
        rivals = _rivals(state, shot, session, predictor)
        points = answer.probability.times(shot.value)
        moved = answer.moved.points().iloc[0] if answer.moved else pd.Series(dtype=float)
        context |= {
            "answer": answer,
            "points": points,
            "explained": explain(answer.moved)[0] if answer.moved else "",
            "court_alt": words.court(shot, answer, session.units),
            "moved": words.moved_rows(moved),
            "moved_alt": words.moved(moved),
            "distance_alt": words.distance(distances, session.units),
            "clock_alt": f"Probability by time left: {words.ends(clocks['probability'])} over the last minute.",
            "shooters_alt": f"The same shot by {len(shooters):,} shooters: {words.ends(shooters['probability'])}.",
            "shooters": shooters,
            "chosen": chosen,
            "named": named.to_dict("records"),
            "rivals": rivals,
            "standing": _standing(shooters, answer.probability.value),
            "fair": betting.fair_price(answer.probability),
            "american": betting.american,
            **_bet(state, kind, answer.probability),
        }
        figures = {
            "court": _court(shot, state, surface),
            "moved": prediction.moved_bars(moved),
            **_what_if_figures(state, session, shot, answer, distances, clocks, shooters, named, shooter.name),
        }
        tables = _tables(context, shot, shooter, distances, clocks, shooters)
        ends = answer.probability
        sentence = (
            f"{described}: {percent(ends.value)} "
            f"(95 % interval {percent(ends.low[95])} to {percent(ends.high[95])}), {number(points.value, 2)} points."
        )
        return Shown(context, figures, tables, "", sentence, notes)

    def act(self, state: PredictState, name: str, value: str, session: Session) -> PageState:
        """ "player" and "rival" look a name up, "drop" takes a rival out, "inside" puts the place on the court."""
        if name == "player":
            return state.changed(player=find_player(session.snapshot, value) if value.strip() else None)
        if name == "rival":
            if not value.strip():
                return state
            found = find_player(session.snapshot, value)
            kept = [r for r in state.rivals if r != found][-(_MOST_RIVALS - 1) :]
            return state.changed(rivals=(*kept, found))
        if name == "drop":
            return state.changed(rivals=tuple(r for r in state.rivals if str(r) != value))
        if name == "inside":
            half = court.COURT_WIDTH_FT / 2
            y = float(np.clip(state.y_ft, court.BASELINE_Y_FT, court.HALF_COURT_Y_FT))
            return state.changed(x_ft=float(np.clip(state.x_ft, -half, half)), y_ft=y)
        return super().act(state, name, value, session)


def _shooter(state: PredictState, snapshot: Snapshot) -> Player:
    return asked.player(snapshot, comparables.well_known(snapshot) if state.player is None else state.player)


def _shot(state: PredictState, shooter: Player, snapshot: Snapshot, notes: list[str]) -> Shot:
    """The shot of a state; what contradicts itself is set right, and said."""
    others = asked.opponents(snapshot, shooter.team)
    opponent = state.opponent if state.opponent in others else others[0]
    if state.opponent and state.opponent != opponent:
        notes.append(f"{shooter.name} does not play against {state.opponent[:4]}; the opponent is {opponent}.")
    seconds, length = state.seconds_left, hypothetical.period_length(state.period)
    if seconds > length:
        notes.append(f"This period lasts {clock(length)}; the clock is set to its start.")
        seconds = length
    makes = min(state.makes, state.attempts)
    if makes < state.makes:
        notes.append("More makes than attempts so far: the makes are set to the attempts.")
    action = state.action if state.action in comparables.known_actions(snapshot) else ""
    if state.action and not action:
        notes.append("The models do not know this label; it is left out.")
    return asked.shot(
        snapshot,
        shooter,
        state.x_ft,
        state.y_ft,
        opponent=opponent,
        home=state.side == "home",
        period=state.period,
        period_seconds_left=seconds,
        before=state.before,
        seconds_since=float(state.since),
        field_goal_margin=float(state.margin),
        attempts_in_game=state.attempts,
        makes_in_game=makes,
        action_type=action,
    )


def _model_error(snapshot: Snapshot, kind: Kind) -> tuple[float, str]:
    evaluated = snapshot.document("evaluation") or {}
    try:
        return doubt.model_error(evaluated[kind]), ""
    except (KeyError, TypeError, IndexError):
        return 0.0, (
            "The build that published these data did not say how far its model was off on its test games, so the "
            "interval holds the doubt about the players alone. Run `parivision build`."
        )


def _court(shot: Shot, state: PredictState, surface: np.ndarray[Any, Any] | None) -> go.Figure:
    x, y = what_if.cells()
    points = state.shades == "points"
    if surface is None:
        return prediction.probability_court(x, y, np.zeros((0, 0)), (shot.x_ft, shot.y_ft))
    if points:
        grid_x, grid_y = np.meshgrid(x, y)
        surface = surface * court.shot_value(court.zone(grid_x, grid_y))
    return prediction.probability_court(x, y, surface, (shot.x_ft, shot.y_ft), points=points)


def _what_if_figures(
    state: PredictState,
    session: Session,
    shot: Shot,
    answer: Answer,
    distances: pd.DataFrame,
    clocks: pd.DataFrame,
    shooters: pd.DataFrame,
    named: pd.DataFrame,
    name: str,
) -> dict[str, go.Figure]:
    p, units = answer.probability, session.units
    from_hoop = f"distance from the hoop ({units.name})"
    here = (min(shot.distance_ft, float(distances["distance_ft"].max())), p.value)
    last_minute = (float(shot.period_seconds_left), p.value) if shot.period_seconds_left <= 60 else None
    found = {
        "by_distance": prediction.curve(
            distances, "distance_ft", x_title=from_hoop, here=here, scale=units.scale, breaks="value"
        ),
        "by_points": prediction.curve(
            distances,
            "distance_ft",
            y="points",
            x_title=from_hoop,
            here=(here[0], p.value * shot.value),
            scale=units.scale,
            breaks="value",
        ),
        "by_clock": prediction.curve(
            clocks, "seconds_left", x_title="seconds left in the period", here=last_minute, reversed_x=True
        ),
    }
    if len(shooters):
        found["shooters"] = prediction.shooters_curve(
            shooters, named, float(state.percentile), p.value, name, (p.low[95], p.high[95])
        )
    return found


def _percentile(shooters: pd.DataFrame, percentile: int) -> tuple[dict[str, Any] | None, pd.DataFrame]:
    """What a shooter better than this share makes of it, and a well-known name near each of some percentiles."""
    if shooters.empty:
        return None, shooters
    at = float(np.interp(percentile, shooters["percentile"], shooters["probability"]))
    near = shooters[(shooters["percentile"] - percentile).abs() <= 4]
    like = near.sort_values("attempts").iloc[-1] if len(near) else None
    names = []
    for tick in _TICKS:
        close = shooters[(shooters["percentile"] - tick).abs() <= 3]
        if len(close):
            names.append(close.sort_values("attempts").iloc[-1])
    named = pd.DataFrame(names).drop_duplicates("player_id") if names else shooters.head(0)
    return {"probability": at, "like": "" if like is None else str(like["player_name"])}, named


def _rivals(state: PredictState, shot: Shot, session: Session, predictor: Predictor) -> list[dict[str, Any]]:
    players = session.snapshot.players
    chosen = players[players["player_id"].isin(state.rivals[:_MOST_RIVALS])]
    if chosen.empty:
        return []
    table = chosen.assign(position=chosen["position"].fillna(""))
    found = what_if.by_shooter(shot, predictor, table[["player_id", "label", "position", "attempts"]])
    rows: list[dict[str, Any]] = found.sort_values("probability", ascending=False).to_dict("records")  # type: ignore[assignment]
    return rows


def _standing(shooters: pd.DataFrame, probability: float) -> float | None:
    return float((shooters["probability"] < probability).mean()) if len(shooters) else None


def _bet(state: PredictState, kind: Kind, probability: Estimate) -> dict[str, Any]:
    if not state.price.strip() or kind == "review":  # a label is written when the shot is over
        return {"bet": None, "price_error": ""}
    try:
        return {"bet": betting.judge(probability, betting.parse_price(state.price)), "price_error": ""}
    except ParameterError as error:
        return {"bet": None, "price_error": f"{error}."}


def _rate_rows(like: comparables.Comparables, name: str) -> list[dict[str, Any]]:
    return [
        {"who": who, **{k: getattr(rate, k) for k in ("attempts", "made", "rate", "low", "high")}}
        for who, rate in (("Everybody", like.league), (name, like.player))
    ]


def _tables(
    context: dict[str, Any],
    shot: Shot,
    shooter: Player,
    distances: pd.DataFrame,
    clocks: pd.DataFrame,
    shooters: pd.DataFrame,
) -> dict[str, pd.DataFrame]:
    answer, place, points = context["answer"], context["place"], context["points"]
    row = {
        "player_id": shooter.player_id,
        "player_name": shooter.name,
        "x_ft": shot.x_ft,
        "y_ft": shot.y_ft,
        "distance_ft": shot.distance_ft,
        "zone": shot.zone,
        "opponent": shot.opponent,
        "home": shot.home,
        "period": shot.period,
        "period_seconds_left": shot.period_seconds_left,
        "field_goal_margin": shot.field_goal_margin,
        "action_type": shot.action_type,
        "model": context["kind"],
        **_flat("probability", answer.probability),
        **_flat("points", points),
        "average_shooter_probability": place.league_rate,
        **_flat("above_average_shooter", place.shooter),
    }
    return {
        "shot": pd.DataFrame([row]),
        "comparables": pd.DataFrame(context["rate_table"]),
        "what_moved_it": pd.DataFrame(context["moved"], columns=["group", "points"]),
        "by_distance": distances,
        "by_clock": clocks,
        "shooters": shooters.drop(columns=["position"], errors="ignore"),
    }


def _flat(name: str, estimate: Estimate) -> dict[str, float]:
    ends = {f"{name}_low_{k}": v for k, v in estimate.low.items()}
    return {name: estimate.value, **ends, **{f"{name}_high_{k}": v for k, v in estimate.high.items()}}
