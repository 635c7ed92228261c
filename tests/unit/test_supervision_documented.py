"""docs/metrics.md names each metric that is exposed, with its labels, and no other."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from prometheus_client import Metric

from parivision.api.metrics import Metrics
from parivision.care.checks import Place
from parivision.dashboard.metrics import families
from parivision.hook.memory import Memory
from parivision.hook.server import Meter
from parivision.settings import get_settings
from parivision.supervision.exporter import Sources, sources

ROOT = Path(__file__).resolve().parents[2]
_ROW = re.compile(r"^\| `(parivision_\w+)(?:\{([\w,]+)\})?` \| (gauge|counter|histogram)", re.MULTILINE)


class _Answers:
    """A MongoDB client that answers, so that the names of its metrics are known where there is no server."""

    def __init__(self) -> None:
        counted = dict.fromkeys(("current", "available", "active"), 1)
        operations = dict.fromkeys(("insert", "query", "update", "delete", "getmore", "command"), 1)
        status = {"connections": counted, "opcounters": operations, "mem": {"resident": 1}, "uptime": 1}
        self.admin = SimpleNamespace(command=lambda *_: status)

    def __getitem__(self, name: str) -> Any:
        return self

    def command(self, *_: Any) -> dict[str, int]:
        return {"storageSize": 1, "indexSize": 1}

    def estimated_document_count(self) -> int:
        return 1


def documented() -> dict[str, tuple[str, set[str]]]:
    """Name -> type and labels."""
    text = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
    return {name: (kind, set(filter(None, labels.split(",")))) for name, labels, kind in _ROW.findall(text)}


def as_documented(metrics: Iterable[Metric]) -> dict[str, str]:
    """Name, as Prometheus shows it, -> type."""
    return {f"{m.name}_total" if m.type == "counter" else m.name: m.type for m in metrics}


@pytest.fixture
def exposed(tmp_path: Path, enter: Any, monkeypatch: pytest.MonkeyPatch) -> list[Metric]:
    """Every metric of ours, with the samples that an almost empty workspace has."""
    from parivision.supervision import run_metrics, store_metrics

    for name in ("env.yaml", "pipeline.yaml"):
        shutil.copyfile(ROOT / name, tmp_path / name)
    enter(tmp_path)
    monkeypatch.setattr(store_metrics, "MongoClient", lambda *_, **__: _Answers())
    monkeypatch.setenv("PARIVISION_MONGODB_URI", "mongodb://127.0.0.1/")
    get_settings.cache_clear()
    data_dir = get_settings().data_dir
    data_dir.mkdir()
    place = Place.of_workspace()
    asked = sources(place, runs=True)
    gathered = Sources(asked)
    kernels: Any = SimpleNamespace(counted=lambda: {"busy": 1}, limit=1, refused=0, opened=0)
    found = [metric for source in asked.values() for metric in source()]
    found += [*gathered.collect(), *run_metrics.collect(place), *families(kernels, 1.0)]
    found += [*Metrics().registry.collect(), *Meter(Memory(data_dir)).registry.collect()]
    gathered.close()
    (data_dir / "shots.duckdb").write_bytes(b"\0" * 8 + b"DUCK")
    return [*found, *store_metrics.duckdb(place)]


def test_each_exposed_metric_is_documented_and_no_other(exposed: list[Metric]) -> None:
    known = {name: kind for name, (kind, _) in documented().items()}
    assert as_documented(exposed) == known


def test_the_labels_are_those_documented(exposed: list[Metric]) -> None:
    known, seen = documented(), 0
    for metric in exposed:
        name = f"{metric.name}_total" if metric.type == "counter" else metric.name
        for sample in metric.samples:
            if sample.name == name:
                assert set(sample.labels) == known[name][1], name
                seen += 1
    assert seen > 20


def test_a_metric_is_documented_once() -> None:
    text = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
    names = [name for name, _, _ in _ROW.findall(text)]
    assert len(names) == len(set(names)) > 40
