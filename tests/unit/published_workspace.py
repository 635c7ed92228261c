"""A small workspace as a build leaves it for the dashboard: a snapshot with everything, and champions of both kinds.

One player and one label are hostile text, and some records are refused, so that whatever shows names or values from
the data can be held against them.
"""

from __future__ import annotations

import functools
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from temporary import shared_folder

from parivision import drift, etl, evaluation, report_card, sources, training
from parivision.champions import Champion, Champions
from parivision.features import features_and_history
from parivision.files import read_json, write_json
from parivision.models import CANDIDATES, save_model
from parivision.published.publishing import publish
from parivision.shots import place_known
from parivision.sources.virtual import League
from parivision.store.duckdb_store import DuckDBStore

HOSTILE = "</script><img src=x onerror=document.title='hacked'>"
PATH = "/etc/passwd"
FORMULA = '=HYPERLINK("http://x.test","y")'
REFUSED = 7  # records
SHOTS = 12_000
KINDS = ("pre_shot", "review")


def workspace(folder: Path) -> Path:
    """A copy of the workspace; returns its data folder."""
    return Path(shutil.copytree(_made(), folder / ".data"))


@functools.cache
def _made() -> Path:
    data_dir = shared_folder("published") / ".data"
    data_dir.mkdir()
    raw = _hostile(sources.collect("virtual", league=League(seed=7, shots=SHOTS), cache_dir=data_dir))
    with DuckDBStore(data_dir / "shots.duckdb") as store:
        accounting, judged = etl.ingest(raw, "virtual", store, datetime(2026, 1, 2, tzinfo=UTC))
        table = judged.shots.reset_index(drop=True)
        shots = table.assign(place_known=place_known(table))
        features, history = features_and_history(shots)
        history.save(data_dir / "history.npz")
        documents = {
            "collected": {"source": "virtual", "label": "a small league", "notes": raw.notes},
            "accounting": accounting.to_dict(),
            **_measured(shots, features, data_dir),
        }
        publish(shots, data_dir / "history.npz", documents, store, raw.frame, judged.rejects, data_dir)
    return data_dir


def _hostile(raw: sources.RawShots) -> sources.RawShots:
    """The same records with names that attack, and seven that no schema lets pass."""
    frame = raw.frame.astype({c: object for c in raw.frame.columns if c != "_line"})
    busiest = frame["Player ID"].value_counts().index[:3]
    for player, name in zip(busiest, (HOSTILE, PATH, FORMULA), strict=True):
        frame.loc[frame["Player ID"] == player, "Player Name"] = name
    broken = frame.index[100:100 + REFUSED]  # fmt: skip
    frame.loc[broken[:4], "X Location"] = HOSTILE
    frame.loc[broken[4:], "Period"] = "=1+1"
    raw.frame = frame.astype({c: "category" for c in frame.columns if c != "_line"})
    return raw


def _measured(shots: pd.DataFrame, features: pd.DataFrame, data_dir: Path) -> dict[str, Any]:
    """What the notebooks conclude, of two quick candidates; the better one becomes the champion."""
    split, best = evaluation.split_by_time(shots), dict.fromkeys(KINDS, "logistic")
    trained = {k: training.train(k, features, shots, split, names=("constant", "zone_rate", "logistic")) for k in KINDS}
    predictions = training.prediction_table(trained, shots, split)
    test = report_card.with_context(
        report_card.test_games(shots, predictions), features.assign(shot_id=shots["shot_id"])
    )
    test = test.assign(**{f"pre_shot.{report_card.FOREST}": test["pre_shot.constant"]})
    scores, curves = report_card.score_all(test, 1), report_card.reliability_all(test, best, 1)
    gains = {kind: report_card.gain_on_baseline(test, kind, "logistic", 1) for kind in KINDS}
    chosen = report_card.chosen_scores(scores, {"chosen": best})
    summary = report_card.with_findings(
        report_card.summarise(chosen, scores, gains, {}),
        report_card.gains_on_baselines(test, best, 1),
        report_card.brier_table(test, best, 1),
        best,
        {},
    )
    cut = {kind: report_card.slices(test, "logistic", 1, kind) for kind in KINDS}
    documents = {
        "evaluation": report_card.with_tables(summary, scores, curves, cut, best),
        "drift": _drift(shots, predictions, best),
        "training": {
            "split": {"fitting": int(split.fitting.sum()), "fitted_to": "2024-01-01", "test_from": "2024-01-02"}
        },
        "decisions": {kind: _promoted(kind, shots, features, data_dir) for kind in KINDS},
    }
    kept = read_json(write_json(documents, data_dir / "documents.json"))  # as it travels between notebooks
    return dict(kept)


def _drift(shots: pd.DataFrame, predictions: pd.DataFrame, best: dict[str, str]) -> dict[str, Any]:
    scored = report_card.scored_games(shots, predictions, best)
    reference, current = report_card.windows(scored, 0.5)
    views = [drift.drift_view(window, window["prediction"]) for window in (reference, current)]
    columns = drift.drift_table(*views, drift.DriftSettings(seed=1))
    # So small a league hardly plays five games a week: months stand in for weeks.
    month = scored["game_date"].dt.to_period("M").dt.start_time
    found = evaluation.calibration_by({"week": month}, scored["prediction"], scored["made"], scored["game_id"], 1, 1)
    weeks = found.rename(columns={"value": "week"})
    tables = {"columns": report_card.effects(columns).to_dict("records"), "weeks": weeks.to_dict("records")}
    return {**drift.verdict(columns), **tables, "reference_days": report_card.span(reference)}


def _promoted(kind: str, shots: pd.DataFrame, features: pd.DataFrame, data_dir: Path) -> dict[str, Any]:
    model = CANDIDATES["logistic"](kind, 1)
    model.fit(features, shots["made"].to_numpy(float), np.ones(len(shots)))
    path, digest = save_model(model, data_dir / "made")
    champions, name = Champions(data_dir), f"{kind}-simulated"
    champions.keep(name, path, digest)
    tags = {"kind": kind, "candidate": "logistic", "test_from": "2024-01-02"}
    champion = Champion(name=name, version=1, sha256=digest, file=path.name, registry_version="3", tags=tags)
    with champions.changing(name):
        champions.promote(champion, "promoted", "the first one")
    return {"challenger_sha256": digest, "promoted": True, "forced": False, "reason": "log loss lower by 0.02"}
