"""How the predictions that were served have done, and which challenger runs beside a champion, as metrics."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily

from parivision.serving.rollout import Rollouts
from parivision.supervision.run_metrics import gauge

KINDS = ("pre_shot", "review")
_SCORES = {  # key of a score in `serving.grading.summary` -> the metric's name and meaning
    "log_loss": ("parivision_serving_log_loss_nats", "Log loss of served predictions whose result is known."),
    "baseline_log_loss": ("parivision_serving_baseline_log_loss_nats", "Log loss of the zone rate on the same shots."),
    "calibration_error": ("parivision_serving_calibration_error_ratio", "Calibration error (ECE), from 0 to 1."),
    "edge": ("parivision_serving_edge_nats", "How much better than the zone rate, on average."),
    "n": ("parivision_serving_graded_predictions", "Predictions of the window that these figures rest on."),
}


def ledger(data_dir: Path) -> Iterator[Metric]:
    """Of the predictions that were served: how many have their result, and how good those were.

    Raises
    ------
    LedgerError
        The ledger is damaged.
    """
    from parivision.serving.grading import summary  # scikit-learn takes a second to import

    found = summary(data_dir)
    states = {state: float(found[state]) for state in ("graded", "waiting")}
    yield gauge("parivision_ledger_predictions", "Served, by whether the result is known.", states, "state")
    labels = ["kind", "role", "window"]
    for key, (name, meaning) in _SCORES.items():
        family = GaugeMetricFamily(name, meaning, labels=labels)
        for score in found["scores"]:
            family.add_metric([score[label] for label in labels], float(score[key]))
        yield family


def rollouts(data_dir: Path) -> Iterator[Metric]:
    """Of each kind's last rollout.

    Raises
    ------
    RolloutError
        Their file is damaged.
    """
    share = GaugeMetricFamily(
        "parivision_rollout_share_ratio", "Share of requests that a challenger sees.", labels=["kind", "mode"]
    )
    rolled_back: dict[str, float | None] = {}
    for kind in KINDS:
        last = Rollouts(data_dir).last(kind)
        if last is not None and last.state == "running":
            share.add_metric([kind, last.mode], last.share)
        rolled_back[kind] = float(last is not None and last.state == "rolled back")
    yield share
    yield gauge("parivision_rollout_rolled_back", "Whether the last rollout was rolled back.", rolled_back, "kind")
