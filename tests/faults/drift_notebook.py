"""The notebook monitor_drift, run on windows that a test makes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jupytext
import numpy as np
import pandas as pd
import papermill
from faults.projects import ROOT
from unit.simulated_shots import league, truth

from parivision.files import read_json, write_json, write_table

CHOSEN = "logistic"


def scored_league(shots: int = 8000) -> pd.DataFrame:
    """Simulated shots of two seasons, by date, with the probability that made each as its prediction."""
    known = truth(shots)[["game_id", "event_id", "pre_shot_probability"]]
    table = league(shots).merge(known, on=["game_id", "event_id"], validate="one_to_one")
    table = table.sort_values(["game_date", "game_id"], kind="stable")
    return table.rename(columns={"pre_shot_probability": "prediction"}).reset_index(drop=True)


def halves(shots: int = 8000) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The early and the late days of such seasons."""
    table = scored_league(shots)
    days = np.sort(table["game_date"].unique())
    early = table["game_date"] < days[len(days) // 2]
    return table[early].reset_index(drop=True), table[~early].reset_index(drop=True)


@dataclass(frozen=True)
class Looked:
    """What the notebook found, and what it said."""

    verdict: dict[str, Any]
    said: str
    page: str


def look(folder: Path, reference: pd.DataFrame, current: pd.DataFrame) -> Looked:
    """Run the notebook on test games of which `current`, all of them later than `reference`, are watched."""
    folder.mkdir(parents=True, exist_ok=True)
    parts = [reference, current]
    table = pd.concat([part for part in parts if len(part)] or parts, ignore_index=True).assign(part="test")
    predictions = table[["shot_id", "part", "prediction"]].rename(columns={"prediction": f"pre_shot.{CHOSEN}"})
    write_table(predictions, str(folder / "predictions.parquet"))
    write_table(table.drop(columns=["part", "prediction"]), str(folder / "shots.parquet"))
    write_json({"chosen": {"pre_shot": CHOSEN, "review": CHOSEN}}, folder / "training.json")
    given, executed = folder / "given.ipynb", folder / "executed.ipynb"
    jupytext.write(jupytext.read(ROOT / "notebooks" / "monitor_drift.py"), given)
    papermill.execute_notebook(
        str(given),
        str(executed),
        {
            "upstream": {
                "clean_shots": {"shots": str(folder / "shots.parquet")},
                "train_model": {
                    "training": str(folder / "training.json"),
                    "predictions": str(folder / "predictions.parquet"),
                },
            },
            "product": {"evidently": str(folder / "evidently.html"), "drift": str(folder / "drift.json")},
            "drift_current_share": (len(current) - 0.5) / max(1, len(table)),
        },
        progress_bar=False,
        kernel_name="python3",
    )
    outputs = [o for c in jupytext.read(executed).cells if c.cell_type == "code" for o in c.outputs]
    said = "\n".join(o["data"].get("text/markdown", "") for o in outputs if "data" in o)
    page = (folder / "evidently.html").read_text(encoding="utf-8")
    return Looked(read_json(folder / "drift.json"), said, page)
