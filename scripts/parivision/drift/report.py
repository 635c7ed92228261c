"""Evidently's report of two windows: one page that opens from disk, with nothing in it that can run or phone home."""

from __future__ import annotations

import base64
import hashlib
import html
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy import stats

from parivision.drift.columns import comparable_values, drift_table
from parivision.drift.settings import CHI_SQUARE, DEFAULT_SETTINGS, INSUFFICIENT, KS, DriftSettings, Z
from parivision.errors import PariVisionError

if TYPE_CHECKING:
    from evidently.core.report import Snapshot  # importing Evidently takes 5 s: only where it is used

MAXIMUM_ROWS = 20_000
_SCORED = frozenset({"shot_made", "prediction", "predicted_made"})
_TWO_SAMPLE_CHI_SQUARE = "chisquare_two_sample"

# Look-alikes that no HTML, script or plotly label reads as markup; names stay readable and distinct.
_INERT = str.maketrans({"<": "‹", ">": "›", "&": "＆", '"': "”", "'": "’", "`": "’", "\\": "⧵"})


def clean_label(label: object) -> str:
    """A category's name as inert text, at most 100 characters, for pages that embed it raw."""
    text = "".join(c if c.isprintable() else " " for c in str(label).translate(_INERT))
    return text[:100]


def sample_games(window: pd.DataFrame, maximum_rows: int, seed: int) -> pd.DataFrame:
    """Whole games drawn at random, at most `maximum_rows` rows of them, in their old order; all where they fit."""
    if len(window) <= maximum_rows:
        return window
    sizes = window.groupby("game_id", sort=True).size()
    drawn = sizes.iloc[np.random.default_rng(seed).permutation(len(sizes))]
    return window[window["game_id"].isin(drawn.index[drawn.cumsum() <= maximum_rows])]


def evidently_report(
    reference: pd.DataFrame,
    current: pd.DataFrame,
    path: Path,
    settings: DriftSettings = DEFAULT_SETTINGS,
    maximum_rows: int = MAXIMUM_ROWS,
) -> Path:
    """Write Evidently's data drift and classification quality report of two windows.

    Its tests take each shot by itself and know no smallest effect that matters: it shows the distributions, while
    `drift_table` decides. Of its tests K-S and Z are used as they come; its chi-square takes the reference for the
    exact truth, so the two-sample test stands in for it.

    Parameters
    ----------
    reference, current : DataFrame
        Made by `drift_view`.
    path : Path
        The page to write; what was there stays whole until the new one is.
    maximum_rows : int
        At most this many shots of each window, in whole games drawn by `settings.seed`.

    Returns
    -------
    Path
        `path`. Windows without a column to compare give a page that says so.

    Raises
    ------
    PariVisionError
        The page cannot be written.
    """
    windows = [sample_games(window, maximum_rows, settings.seed) for window in (reference, current)]
    table = drift_table(windows[0], windows[1], settings)
    tested = table[table["state"] != INSUFFICIENT]
    if len(tested):
        page = seal(evidently_snapshot(windows[0], windows[1], tested, settings).get_html_str(as_iframe=False))
    else:
        page = _insufficient_page(table)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(page, encoding="utf-8")
        temporary.replace(path)
    except OSError as error:
        raise PariVisionError(f"drift report {path}: {error.strerror}; free some space or choose another") from error
    finally:
        temporary.unlink(missing_ok=True)
    return path


def evidently_snapshot(
    reference: pd.DataFrame, current: pd.DataFrame, tested: pd.DataFrame, settings: DriftSettings = DEFAULT_SETTINGS
) -> Snapshot:
    """Evidently's own comparison of the columns in `tested`, rows of `drift_table` that could be tested."""
    from evidently import BinaryClassification, DataDefinition, Dataset, Report
    from evidently.presets import ClassificationPreset, DataDriftPreset

    _register_two_sample_chi_square()
    numeric = tested.loc[tested["test"] == KS, "column"].tolist()
    categories = tested.loc[tested["test"] != KS, "column"].tolist()
    shown = [_shown(window, tested) for window in (reference, current)]
    scored = set(tested["column"]) >= _SCORED and all(
        window[list(_SCORED)].notna().all(axis=1).sum() >= settings.minimum_rows for window in shown
    )
    definition = DataDefinition(
        numerical_columns=numeric,
        categorical_columns=categories,
        classification=[
            BinaryClassification(
                target="shot_made",
                prediction_labels="predicted_made",
                prediction_probas="prediction",
            )
        ]
        if scored
        else None,
    )
    methods = {KS: "ks", CHI_SQUARE: _TWO_SAMPLE_CHI_SQUARE, Z: "z"}
    presets = [
        DataDriftPreset(
            columns=numeric + categories,
            per_column_method=dict(zip(tested["column"], tested["test"].map(methods), strict=True)),
            # Bonferroni: Evidently corrects for nothing itself.
            threshold=settings.significance / len(tested),
            drift_share=max(settings.drifted_share_above, 1 / len(tested)),
        )
    ]
    if scored:
        presets.append(ClassificationPreset())
        shown = [
            window.dropna(subset=sorted(_SCORED)).astype({"shot_made": int, "predicted_made": int}) for window in shown
        ]
    datasets = [Dataset.from_pandas(window, data_definition=definition) for window in shown]
    return Report(presets).run(current_data=datasets[1], reference_data=datasets[0])


def _shown(window: pd.DataFrame, tested: pd.DataFrame) -> pd.DataFrame:
    """The columns that Evidently compares: finite numbers, and categories under inert names."""
    columns = {c: comparable_values(window, c) for c in tested["column"]}
    for column in tested.loc[tested["kind"] == "category", "column"]:
        columns[column] = columns[column].map(clean_label, na_action="ignore")
    return pd.DataFrame(columns).reset_index(drop=True)


def _register_two_sample_chi_square() -> None:
    """Teach Evidently the chi-square test of homogeneity, under its own name; once more changes nothing."""
    from evidently.legacy.calculations.stattests import StatTest, register_stattest
    from evidently.legacy.core import ColumnType

    test = StatTest(_TWO_SAMPLE_CHI_SQUARE, "chi-square p_value", allowed_feature_types=[ColumnType.Categorical])
    register_stattest(test, default_impl=_two_sample_chi_square)


def _two_sample_chi_square(
    reference: pd.Series[Any], current: pd.Series[Any], feature_type: object, threshold: float
) -> tuple[float, bool]:
    counts = pd.concat([reference.value_counts(), current.value_counts()], axis=1).fillna(0).to_numpy()
    p_value = float(stats.chi2_contingency(counts[counts.sum(axis=1) > 0], correction=False)[1])
    return p_value, p_value < threshold


def seal(page: str) -> str:
    """Forbid a page everything but the scripts and styles that it already holds, by a content security policy.

    Scripts are named by their hashes, so that no event handler runs that a label might smuggle in, and no address
    may be fetched.
    """
    scripts = re.findall(r"<script[^>]*>(.*?)</script>", page, flags=re.DOTALL)
    hashes = " ".join(f"'sha256-{base64.b64encode(hashlib.sha256(s.encode()).digest()).decode()}'" for s in scripts)
    policy = (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; font-src data:; img-src data: blob:; "
        "base-uri 'none'; form-action 'none'"
    )
    return page.replace("<head>", f'<head>\n<meta http-equiv="Content-Security-Policy" content="{policy}">', 1)


def _insufficient_page(table: pd.DataFrame) -> str:
    notes = "".join("<li>" + (table["column"] + ": " + table["note"]).map(html.escape) + "</li>")
    return seal(
        f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>Drift: {INSUFFICIENT}</title></head>'
        f"<body><h1>{INSUFFICIENT.capitalize()}</h1><p>No column could be compared:</p><ul>{notes}</ul></body></html>"
    )
