"""What Prometheus reads of the API: one registry an application, routes as templates, no name of a player in it."""

from __future__ import annotations

import collections
from collections.abc import Iterable, Mapping

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from parivision.champions import Served

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Metrics:
    """The API's own metrics.

    Attributes
    ----------
    champions : mapping of str to Served
        What serves by kind, as last looked up.
    challenged : mapping
        The router's count of failures by kind and role.
    """

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # as many series again, which nobody asks for
        self.registry = CollectorRegistry()
        self.champions: dict[str, Served] = {}
        self.challenged: Mapping[tuple[str, str], int] = {}
        self._requests = Counter(
            "parivision_api_requests_total",
            "Requests answered, by route and status.",
            ["method", "route", "status"],
            registry=self.registry,
        )
        # From the start: what appears with its first fault has no rise that Prometheus could see.
        for route in ("/v1/predict", "/v1/predict/batch"):
            for status in ("200", "500", "503", "504"):
                self._requests.labels("POST", route, status)
        self._duration = Histogram(
            "parivision_api_request_duration_seconds",
            "From the request's head to the end of its answer.",
            ["method", "route"],
            buckets=BUCKETS,
            registry=self.registry,
        )
        self.in_progress = Gauge(
            "parivision_api_requests_in_progress", "Requests that wait for their answer.", registry=self.registry
        )
        self._predictions = Counter(
            "parivision_api_predictions_total",
            "Shots answered, by kind of model and who answered.",
            ["kind", "role"],
            registry=self.registry,
        )
        self._failed: collections.Counter[tuple[str, str]] = collections.Counter()
        self._refused = Counter(
            "parivision_api_refused_total",
            "Requests refused before they reached a model, by reason.",
            ["reason"],
            registry=self.registry,
        )
        self.ready = Gauge("parivision_api_ready", "1 where predictions can be answered.", registry=self.registry)
        self.registry.register(_Serving(self))

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count a request."""
        method = method if method in _METHODS else "other"
        self._requests.labels(method, route, str(status)).inc()
        self._duration.labels(method, route).observe(seconds)

    def predicted(self, kind: str, role: str, shots: int = 1) -> None:
        """Count shots that were answered."""
        self._predictions.labels(kind, role).inc(shots)

    def failed(self, kind: str, shots: int = 1) -> None:
        """Count shots that the champion could not answer."""
        self._failed[kind, "champion"] += shots

    @property
    def failures(self) -> dict[tuple[str, str], int]:
        """What could not be answered, by kind and role: the champion's shots, and a challenger's passes."""
        others = {(kind, role): n for (kind, role), n in self.challenged.items() if role != "champion"}
        return {**self._failed, **others}

    def refused(self, reason: str) -> None:
        """Count a request that was turned away."""
        self._refused.labels(reason).inc()

    def text(self) -> bytes:
        """In Prometheus' text format."""
        return generate_latest(self.registry)


class _Serving(Collector):
    """The champions that serve, by their hash (a gauge of its own would keep those that no longer do), and failures."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        family = GaugeMetricFamily(
            "parivision_champion_info", "The model that serves.", labels=["kind", "name", "version", "sha256"]
        )
        for kind, served in sorted(self._metrics.champions.items()):
            champion = served.champion
            family.add_metric([kind, champion.name, str(champion.version), champion.sha256], 1)
        yield family
        failed = CounterMetricFamily(
            "parivision_api_prediction_errors",
            "Shots that the champion could not answer, and requests that a challenger could not.",
            labels=["kind", "role"],
        )
        for (kind, role), n in sorted(self._metrics.failures.items()):
            failed.add_metric([kind, role], n)
        yield failed
