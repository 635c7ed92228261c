"""The measurements that the README quotes, for anyone to repeat."""

from __future__ import annotations

import os
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from parivision import etl, evaluation, features, sources, training, tuning
from parivision.errors import ParameterError, SourceError
from parivision.files import read_json, read_table, write_json
from parivision.models import BASELINE, KINDS
from parivision.predictor import Predictor
from parivision.registry import registered_name
from parivision.settings import get_settings
from parivision.shots import place_known
from parivision.store import Store, StoreKind, open_store


def ingest(path: str, store: StoreKind) -> str:
    """Time from archive files to stored shots, then the same files once more; returns what to print.

    The store is new and is removed afterwards: a DuckDB file in a temporary folder, or a database of its own on
    the MongoDB server that settings name.
    """
    steps: dict[str, float] = {}
    now = datetime.now(UTC)
    with _scratch_store(store) as shots:
        started = time.perf_counter()
        raw = sources.collect("archive", path=path, cache_dir=get_settings().data_dir / "cache")
        steps["read"] = time.perf_counter() - started
        accounting, _ = etl.ingest(raw, "archive", shots, now)
        steps["first"] = time.perf_counter() - started
        again = time.perf_counter()
        repeated, _ = etl.ingest(raw, "archive", shots, now)
        steps["second"] = time.perf_counter() - again
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return "\n".join(
        [
            f"{accounting.read:,} rows: {accounting.stored:,} stored, {accounting.duplicates:,} duplicates, "
            f"{accounting.rejected:,} rejected, with {store}",
            f"from file to stored     {steps['first']:.1f} s (reading and proving {steps['read']:.1f} s)",
            f"the same once more      {steps['second']:.1f} s: {repeated.stored:,} stored, "
            f"{repeated.duplicates:,} duplicates",
            f"ratio second to first   {steps['second'] / (steps['first'] - steps['read']):.2f}",
            f"peak memory             {peak_mib:,.0f} MiB",
        ]
    )


@contextmanager
def _scratch_store(kind: StoreKind) -> Iterator[Store]:
    changed = {"PARIVISION_DATA_DIR": "", "PARIVISION_MONGODB_DATABASE": ""}
    before = {name: os.environ.get(name) for name in changed}
    if kind == "mongodb" and get_settings().mongodb_uri is None:
        raise ParameterError("store mongodb needs a server: set PARIVISION_MONGODB_URI")
    with tempfile.TemporaryDirectory(prefix="parivision-benchmark-") as folder:
        name = Path(folder).name.replace("-", "_")
        os.environ.update({"PARIVISION_DATA_DIR": folder, "PARIVISION_MONGODB_DATABASE": name})
        get_settings.cache_clear()
        try:
            with open_store(kind) as store:
                yield store
            if kind == "mongodb":
                _drop_database(name)
        finally:
            for key, value in before.items():
                os.environ.pop(key) if value is None else os.environ.update({key: value})
            get_settings.cache_clear()


def _drop_database(name: str) -> None:
    from pymongo import MongoClient

    uri = get_settings().mongodb_uri
    if uri is not None:
        client: MongoClient[Any] = MongoClient(uri.get_secret_value())
        client.drop_database(name)
        client.close()


def archive_shots(path: str) -> pd.DataFrame:
    """Canonical shots of season archives, straight from the files, without a store, with `place_known`."""
    raw = sources.collect("archive", path=path, cache_dir=get_settings().data_dir / "cache")
    shots = etl.judge(raw, "archive").shots
    if shots.empty:
        raise SourceError(f"{path} holds no sound shots")
    return shots.assign(place_known=place_known(shots)).sort_values(["game_date", "game_id"]).reset_index(drop=True)


def model(path: str, test_from: str, json_file: str | None, seed: int, budget: str) -> str:
    """Tune and train on all games before a day, test on all from it on; returns what to print.

    Parameters
    ----------
    path : str
        Season archives.
    test_from : str
        First day of the test games, YYYY-MM-DD.
    json_file : str, optional
        Where to write the same as JSON: `models` by kind, with the chosen candidate's scores, `fit_seconds`, and
        those of every other candidate under `candidates`.
    budget : str
        Of the search for settings; see `tuning.run`.
    """
    shots = archive_shots(path)
    started = time.perf_counter()
    inputs = features.build_features(shots)
    feature_seconds = time.perf_counter() - started
    try:
        split = evaluation.split_by_time(shots, test_from)
    except ValueError as error:
        raise ParameterError(f"test_from {test_from}: {error}") from None
    started = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="parivision-benchmark-") as folder:
        studies, _ = tuning.run(budget, inputs, shots, split, Path(folder), seed)
    tuning_seconds = time.perf_counter() - started
    settings = tuning.settings_of(studies)
    made, games = shots["made"].to_numpy(float)[split.test], shots["game_id"].to_numpy()[split.test]
    lines = [
        f"{int(split.fitting.sum()):,} shots before {test_from}, {int(split.test.sum()):,} from it on; "
        f"features in {feature_seconds:.1f} s, tuning ({budget}) in {tuning_seconds:.1f} s",
        f"{'model':<23}{'log loss':>9}  {'95 % interval':<18}{'gain on zone rate':<28}{'AUC':>6}{'acc.':>7}"
        f"{'Brier':>8}{'ECE':>7}{'fit s':>7}",
    ]
    result: dict[str, Any] = {}
    reasons = [study.reason for study in studies]
    for kind in KINDS:
        trained = training.train(kind, inputs, shots, split, seed, settings=settings[kind])
        base = trained.candidates[BASELINE]
        entries = {}
        for name, candidate in trained.candidates.items():
            gain = evaluation.paired_gain(candidate.test, base.test, made, games, seed)
            scores = candidate.test_scores
            entries[name] = {
                **scores,
                **{k: gain[k] for k in ("gain", "gain_ci")},
                "baseline_log_loss": base.test_scores["log_loss"],
                "fit_seconds": candidate.fit_seconds,
                "settings": settings[kind].get(name, {}),
            }
            low, high = scores["log_loss_ci"]
            mark = "*" if name == trained.chosen else " "
            lines.append(
                f"{kind + ' ' + name + mark:<23}{scores['log_loss']:>9.4f}  [{low:.4f}, {high:.4f}]  "
                f"{gain['gain']:.4f} [{gain['gain_ci'][0]:.4f}, {gain['gain_ci'][1]:.4f}]    "
                f"{scores['auc']:>6.3f}{scores['accuracy']:>7.3f}{scores['brier']:>8.4f}{scores['ece']:>7.4f}"
                f"{candidate.fit_seconds:>7.1f}"
            )
        reasons += [f"{kind}: {reason}" for reason in trained.reasons]
        total = sum(candidate.fit_seconds for candidate in trained.candidates.values())
        result[kind] = {
            "candidate": trained.chosen,
            **entries[trained.chosen],
            "all_fits_seconds": total,
            "reasons": trained.reasons,
            "candidates": entries,
        }
    lines.append("* chosen on the validation games, the last tenth of the shots before the test")
    if json_file:
        about = {"test_from": test_from, "test_shots": int(split.test.sum()), "tuning": budget, "seed": seed}
        about |= {"features_seconds": feature_seconds, "tuning_seconds": tuning_seconds}
        write_json({**about, "models": result}, json_file)
    return "\n".join([*lines, *reasons])


def scoring(shots_at_once: int, repeats: int) -> str:
    """Time the last build's champions: many shots at once, and one shot with all that serving does for it.

    Parameters
    ----------
    shots_at_once : int
        Of the build's snapshot, over again where it has fewer.
    repeats : int
        Single shots timed.
    """
    folder = get_settings().data_dir / "build"
    if not (folder / "training.json").is_file():
        raise ParameterError(
            f"there is no build in {folder} whose champions could be timed; run parivision build first"
        )
    trained, table = read_json(folder / "training.json"), read_table(folder / "features.parquet")
    shots = read_table(folder / "shots.parquet")
    table = pd.concat([table] * (1 + shots_at_once // len(table)), ignore_index=True).head(shots_at_once)
    game = shots[shots["game_id"] == shots["game_id"].iloc[-1]]
    lines = []
    for kind in KINDS:
        predictor = Predictor.of_champion(registered_name(kind, trained["simulated"]))
        best = min(_seconds(lambda p=predictor: p.model.predict(table)) for _ in range(3))  # type: ignore[misc]
        later = game.assign(game_date=pd.Timestamp("1940-01-01") + pd.Timedelta(days=predictor.history.last_day + 1))
        so_far = features.attempts(later)
        predictor.predict(so_far)
        single = sorted(_seconds(lambda p=predictor, a=so_far: p.predict(a)) for _ in range(repeats))  # type: ignore[misc]
        p50_ms, p99_ms = (1000 * single[int(len(single) * share)] for share in (0.5, 0.99))
        lines.append(
            f"{kind:<9} {predictor.model.name:<12} {shots_at_once / best:>9,.0f} shots/s ({shots_at_once:,} at once, "
            f"best of 3); one shot after {len(later) - 1} others of its game: p50 {p50_ms:.2f} ms, p99 {p99_ms:.2f} ms"
        )
    return "\n".join(lines)


def _seconds(work: Callable[[], Any]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started
