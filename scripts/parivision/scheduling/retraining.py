"""When a run that kept its models is a reason to train anew, and why. The gate alone promotes what comes of it.

Everything is counted from the last training: from the newest day that it knew of, whether it learned from that day's
games or was tested on them. So a training answers "new games", "age" and a calibration error by itself, also where the
gate refused its challenger: another of the same games would fare no better, and counted from the champion's own
training a limit once passed would train every night. The next attempt comes with as much news again. Drift is
found within the newest games, where it stays for weeks whatever is trained; what the last training's own run had
already found is therefore no reason again before `REST_DAYS` have passed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from parivision.errors import ModelError, PariVisionError
from parivision.files import read_json, read_table
from parivision.runs import RunRecord
from parivision.scheduling.schedule import Reason
from parivision.settings import Settings

if TYPE_CHECKING:  # seconds to import, and most looks at the schedule find nothing due
    import pandas as pd

REST_DAYS = 7
# On fewer shots the calibration error of a right model is so large by chance that nothing can be told.
MIN_SHOTS = 2_500
TRAINING = "train_model"
_DRIFTED = ("columns_drifted", "recording_changed")
_CALIBRATION = ("calibration_drifted",)
_LONGEST = 400  # of what stands in a run's record and report


@dataclass(frozen=True)
class LastTraining:
    """What is known of the last training.

    Attributes
    ----------
    seen_to : str
        Newest day that it knew of, YYYY-MM-DD.
    at : datetime or None
        When it ended; None where no record tells.
    drift : mapping
        What its own run found; see `RunRecord.drift`.
    """

    seen_to: str
    at: datetime | None = None
    drift: Mapping[str, Any] = field(default_factory=dict)


def kept_its_models(record: RunRecord) -> bool:
    """Whether a run ended well and scored new games with models that were there before."""
    try:
        outcome = record.task(TRAINING).outcome
    except KeyError:
        return False
    asked = record.parameters.get("training") == "keep"
    return record.outcome == "ok" and asked and outcome in ("ok", "up to date", "held")


def is_to_train(record: RunRecord) -> bool:
    """Whether a run was asked to train anew."""
    return bool(record.parameters.get("training", "anew") == "anew")


def has_trained(record: RunRecord) -> bool:
    """Whether a run ended well and trained anew."""
    trained = any(task.task == TRAINING and task.outcome == "ok" for task in record.tasks)
    return record.outcome == "ok" and trained and is_to_train(record)


def last_training(records: Iterable[RunRecord], training: Mapping[str, Any]) -> LastTraining:
    """The last good run that trained, or what the training's own product tells where no record does.

    Parameters
    ----------
    records : iterable of RunRecord
        Newest first.
    training : mapping
        The product of the notebook that trains; see `training.record`.
    """
    for record in records:
        if has_trained(record) and record.data.get("last_day"):
            return LastTraining(str(record.data["last_day"]), datetime.fromisoformat(record.finished_at), record.drift)
    return LastTraining(str(training["split"]["fitted_to"]))


def reasons(
    wanted: Iterable[Reason], data_dir: Path, records: Iterable[RunRecord], settings: Settings, now: datetime
) -> list[str]:
    """Why to train anew, in words; empty where nothing asks for it.

    Parameters
    ----------
    wanted : iterable of str
        The reasons that count.
    data_dir : Path
        With the products of the run that kept its models.
    records : iterable of RunRecord
        Newest first.

    Raises
    ------
    PariVisionError
        A product that the answer needs is missing or damaged.
    """
    wanted, folder = list(wanted), data_dir / "build"
    if not wanted:
        return []
    try:
        drift, training = read_json(folder / "drift.json"), read_json(folder / "training.json")
        last = last_training(records, training)
        shots = read_table(folder / "shots.parquet")[["game_id", "game_date"]]
    except (OSError, ValueError, KeyError) as error:
        missing = getattr(error, "filename", None) or folder
        raise PariVisionError(f"whether to train anew cannot be told: {missing} cannot be read; build again") from error
    found = {
        "drift": lambda: moved("drift", drift, last, _DRIFTED, now),
        "calibration": lambda: (
            moved("calibration moved", drift, last, _CALIBRATION, now) or miscalibrated(last, settings)
        ),
        "new_games": lambda: new_games(shots, last, settings),
        "age": lambda: age(shots, last, settings),
    }
    return [said for name in dict.fromkeys(wanted) if (said := found[name]())]


def in_one_line(why: list[str]) -> str:
    """Reasons as a run's record and report show them."""
    text = "; ".join(why)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3].rstrip()}..."


def moved(what: str, drift: Mapping[str, Any], last: LastTraining, keys: tuple[str, ...], now: datetime) -> str:
    """What has drifted since the last training; what that training's run found already counts only after the rest."""

    def named(found: Mapping[str, Any]) -> list[str]:
        return [str(name) for key in keys for name in found.get(key) or ()]

    resting = last.at is not None and timedelta() <= now - last.at < timedelta(days=REST_DAYS)
    known = set(named(last.drift)) if resting else set()
    new = [name for name in named(drift) if name not in known]
    return f"{what}: {', '.join(new)}" if new else ""


def drifted_anew(drift: Mapping[str, Any], last: LastTraining, now: datetime) -> bool:
    """Whether anything has drifted, in whatever way, that `moved` counts."""
    return bool(moved("drift", drift, last, (*_DRIFTED, *_CALIBRATION), now))


def miscalibrated(last: LastTraining, settings: Settings) -> str:
    """Whether a champion's calibration error on the games since the last training is beyond chance and the limit.

    The limit is on the error (ECE) less what a perfectly calibrated model stays below in 95 % of samples of that
    size; see `gate.ece_by_chance`.
    """
    import pandas as pd

    from parivision import evaluation, promotion
    from parivision.champions import Champions
    from parivision.gate import ece_by_chance
    from parivision.registry import registered_name

    build, champions = promotion.last_build(), Champions()
    after = f"{pd.Timestamp(last.seen_to) + pd.Timedelta(days=1):%Y-%m-%d}"
    for kind in build.training["chosen"]:
        try:
            served = champions.serve(registered_name(kind, build.training["simulated"]))
            first_day = served.champion.tags.get("test_from", build.training["split"]["test_from"])
            test = build.later_games(after, first_day)
            if len(test) < MIN_SHOTS:
                continue
            predicted = build.predict(served.model, test)
        except ModelError:  # there is no champion, or it cannot score today's inputs: the gate's matter, not ours
            continue
        error = evaluation.ece(predicted, test["made"].to_numpy(float)) - ece_by_chance(predicted, seed=0)
        if error > settings.retrain_calibration:
            return f"calibration: the {kind} champion is off by {error:.3f} beyond chance on {len(test):,} newer shots"
    return ""


def new_games(shots: pd.DataFrame, last: LastTraining, settings: Settings) -> str:
    """Whether enough games were played since the last training."""
    count = int(shots.loc[shots["game_date"] > last.seen_to, "game_id"].nunique())
    return f"{count:,} new games since {last.seen_to}" if count >= settings.retrain_new_games else ""


def age(shots: pd.DataFrame, last: LastTraining, settings: Settings) -> str:
    """Whether the last training is too far behind the newest game."""
    import pandas as pd

    days = (shots["game_date"].max() - pd.Timestamp(last.seen_to)).days
    return f"age: the newest game is {days} days after {last.seen_to}" if days > settings.retrain_age_days else ""
