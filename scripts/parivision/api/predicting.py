"""From a question to the engine's answer: one shot at a time, all that wait together, or a batch."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from parivision.api import past
from parivision.api.answers import Answer, ModelUsed, Note, answer_of
from parivision.api.batches import Batch
from parivision.api.metrics import Metrics
from parivision.api.problems import Problem, invalid
from parivision.api.questions import ShotQuestion
from parivision.api.roster import Roster, roster
from parivision.api.workers import Gatherer, Workers
from parivision.asked import Player
from parivision.errors import ModelError, ParameterError, PariVisionError
from parivision.hypothetical import Shot
from parivision.serving.engine import Engine, Kind, Scored
from parivision.serving.router import Router

TOGETHER = 64  # single shots of one pass
WAITING = 512


@dataclass(frozen=True)
class Single:
    """A question, and the name of the key that asks it."""

    question: ShotQuestion
    key: str

    @property
    def kind(self) -> Kind:
        """Which model answers."""
        return "review" if self.question.action_type else "pre_shot"


@dataclass(frozen=True)
class _Meant:
    """What a question means on the data of an engine."""

    shot: Shot
    shooter: Player
    notes: list[Note]


@dataclass(frozen=True)
class Told:
    """A batch's answer."""

    id: str
    scored: Scored
    model: ModelUsed
    snapshot: str
    notes: list[Note]


class Desk:
    """Takes questions and gives answers.

    Parameters
    ----------
    router : Router
    metrics : Metrics
    batch_threads : int
    """

    def __init__(self, router: Router, metrics: Metrics, batch_threads: int = 2) -> None:
        self.router = router
        self.metrics = metrics
        self.singles: Gatherer[Single, Answer] = Gatherer(self.answer, TOGETHER, WAITING)
        self.batches = Workers("batch", batch_threads, waiting=8)
        # The counts of a page, and results that are told: beside the batches, so that neither waits for the other.
        self.readers = Workers("reader", 2, waiting=32)

    def close(self) -> None:
        """Finish what was begun."""
        self.singles.close()
        self.batches.close()
        self.readers.close()

    def answer(self, asked: Sequence[Single]) -> list[Answer | Exception]:
        """An answer or an error for each."""
        found: dict[int, Answer | Exception] = {}
        groups: dict[tuple[Kind, str], list[int]] = defaultdict(list)
        for i, single in enumerate(asked):
            groups[single.kind, single.key].append(i)
        for (kind, key), rows in groups.items():
            for i, result in zip(rows, self._group(kind, key, [asked[i].question for i in rows]), strict=True):
                found[i] = result
        return [found[i] for i in range(len(asked))]

    def _group(self, kind: Kind, key: str, questions: Sequence[ShotQuestion]) -> list[Answer | Exception]:
        """Of one kind and one asker."""
        try:
            engine = self.router.current.engine(kind)
        except PariVisionError as error:
            self.metrics.failed(kind, len(questions))
            return [error] * len(questions)
        meant: list[_Meant | Exception] = []
        for question in questions:
            try:
                meant.append(_meant(question, engine))
            except (PariVisionError, Problem) as error:
                meant.append(error)
            except Exception as error:  # ours; the others that wait beside it are answered all the same
                self.metrics.failed(kind)
                meant.append(error)
        good = [one for one in meant if isinstance(one, _Meant)]
        answers = iter(self._answered(engine, key, good))
        return [next(answers) if isinstance(one, _Meant) else one for one in meant]

    def _answered(self, engine: Engine, key: str, meant: Sequence[_Meant]) -> list[Answer | Exception]:
        if not meant:
            return []
        ids = [uuid.uuid4().hex for _ in meant]
        try:
            routed = self.router.answer(engine.kind, [one.shot for one in meant], ids, key, engine)
        except Exception as error:  # one question must not spoil the others' answers: each alone shows whose it is
            if len(meant) > 1:
                return [self._answered(engine, key, [one])[0] for one in meant]
            self.metrics.failed(engine.kind)
            return [error]
        answers: list[Answer | Exception] = []
        for id_, one, given in zip(ids, meant, routed, strict=True):
            model = ModelUsed.of(engine.kind, given.served, given.role)
            self.metrics.predicted(engine.kind, given.role)
            answer = answer_of(id_, one.shot, one.shooter, given.answered, model, engine.snapshot.meta.id)
            answer.warnings += one.notes
            answers.append(answer)
        return answers

    def score(self, batch: Batch, key: str) -> Told:
        """Answer a batch, in the thread that calls.

        Raises
        ------
        Problem
            A row cannot be meant.
        PariVisionError
            Nothing can serve.
        """
        try:
            engine = self.router.current.engine(batch.kind)
            known = roster(engine.snapshot)
            table = batch.table(engine, known)
            id_ = uuid.uuid4().hex
            scored, served, role = self.router.score(batch.kind, table, id_, key, engine)
        except (ModelError, ArithmeticError):
            self.metrics.failed(batch.kind, len(batch))
            raise
        self.metrics.predicted(batch.kind, role, len(batch))
        model = ModelUsed.of(batch.kind, served, role)
        notes = Note.all(scored.warnings)
        notes += strange_teams(known, [*table["team"].categories, *table["opponent"].categories])
        strangers = int((~np.asarray(scored.player_known, bool)).sum())
        if strangers:
            message = f"Nobody knows the players of {strangers:,} of these shots: the league's prior answers for them."
            notes.append(Note(code="unknown_player", message=message))
        return Told(id_, scored, model, engine.snapshot.meta.id, notes)


def _meant(question: ShotQuestion, engine: Engine) -> _Meant:
    """What a question means on an engine's data.

    Raises
    ------
    Problem
        422: a name that nobody has, a day that is in the data.
    """
    known = roster(engine.snapshot)
    with naming("player"):
        shooter = known.player(question.player)
    opponent = question.opponent.upper()
    team = question.team.upper() if question.team is not None else shooter.team
    if team == opponent:
        raise invalid([("opponent", f"{opponent} is the team of {shooter.name}: a team cannot meet itself")])
    last = engine.snapshot.meta.last_day
    if question.day is not None and question.day <= last:
        raise invalid([("day", f"the data know all games up to {last}: give a later day, or none")])
    notes = strange_teams(known, (team, opponent))
    said: dict[str, Any] = {
        "team": team,
        "opponent": opponent,
        "day": question.day,
        "season": question.season or "",
        "position": question.position or "",
        "home": question.home,
        "period": question.period,
        "period_seconds_left": question.seconds_left,
        "action_type": question.action_type or "",
    }
    if question.context is not None:
        given = question.context
        said |= {
            "before": given.previous,
            "seconds_since": given.seconds_since,
            "field_goal_margin": float(given.margin),
            "attempts_in_game": given.attempts,
            "makes_in_game": given.makes,
        }
    x_ft, y_ft = question.place.feet
    shot = engine.shot(shooter.player_id, x_ft, y_ft, **said)
    if question.game is not None:
        return _Meant(past.after(shot, _earlier(question, known), engine.history), shooter, notes)
    measured = bool(engine.history.place_known(np.array([x_ft]), np.array([y_ft]))[0])
    return _Meant(replace(shot, place_known=measured).checked(), shooter, notes)


def strange_teams(known: Roster, codes: Iterable[str]) -> list[Note]:
    """What to say of teams that the data do not know."""
    found = known.strange_teams(codes)
    if not found:
        return []
    message = f"These data have no team {', '.join(found[:5])}: nothing is known of its shooting or its defence."
    return [Note(code="unknown_team", message=message)]


def _earlier(question: ShotQuestion, known: Roster) -> list[past.Attempt]:
    found = []
    for number, earlier in enumerate(question.game or ()):
        with naming(f"game.{number}.player"):
            id_ = known.id_of(earlier.player)
        x_ft, y_ft = earlier.place.feet
        found.append(past.Attempt(id_, earlier.home, x_ft, y_ft, earlier.period, earlier.seconds_left, earlier.made))
    return found


@contextmanager
def naming(field: str) -> Iterator[None]:
    """A user's error within is a problem that names this field."""
    try:
        yield
    except ParameterError as error:
        raise invalid([(field, str(error))]) from None
