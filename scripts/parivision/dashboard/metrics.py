"""What Prometheus is told of the dashboard: its kernels, what memory they take, who came and who was turned away."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from typing import Any

import psutil
import tornado.web
from jupyter_server.auth.decorator import allow_unauthenticated
from prometheus_client import CollectorRegistry, Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import choose_encoder

from parivision.dashboard.handlers import Ours
from parivision.dashboard.kernels import Kernels
from parivision.listening import is_loopback

_PREFIX = "parivision_dashboard"


def families(kernels: Kernels, memory_bytes: float | None) -> Iterator[Metric]:
    """The metrics of a dashboard.

    Parameters
    ----------
    kernels : Kernels
    memory_bytes : float or None
        See `memory`; no sample where it is not known.
    """
    counts = kernels.counted()
    by_state = GaugeMetricFamily(f"{_PREFIX}_kernels", "Kernels, by what they do.", labels=["state"])
    for state, number in counts.items():
        by_state.add_metric([state], number)
    yield by_state
    limit = float(kernels.limit)
    yield GaugeMetricFamily(f"{_PREFIX}_kernels_limit", "Most pages open at once; the pool is not counted.", limit)
    said = "Memory of all kernels; what several share is counted once."
    yield GaugeMetricFamily(f"{_PREFIX}_kernel_memory_bytes", said, memory_bytes)
    yield CounterMetricFamily(f"{_PREFIX}_refused", "Visitors turned away because the house was full.", kernels.refused)
    yield CounterMetricFamily(f"{_PREFIX}_pages_opened", "Pages that were opened.", kernels.opened)


def memory(pids: list[int]) -> float | None:
    """Bytes that these processes take: their proportional set size, so that shared pages are counted once among them.

    None where the system does not tell it. A process that has just ended takes nothing.
    """
    total = 0.0
    for pid in pids:
        with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            found = getattr(psutil.Process(pid).memory_full_info(), "pss", None)
            if found is None:
                return None
            total += found
    return total


class Metrics(Ours):
    """The metrics: for who shows the token, and for this machine where the dashboard has none."""

    @allow_unauthenticated
    async def prepare(self) -> None:  # type: ignore[override]
        """Not as pages do it: whoever shows the token there is remembered by a cookie."""
        if not self.check_host():
            raise tornado.web.HTTPError(403)

    @allow_unauthenticated
    async def get(self) -> None:
        """All of them, in Prometheus' text format."""
        if not self._may_see():
            self.set_status(401)
            self.set_header("WWW-Authenticate", 'Bearer realm="metrics"')
            self.set_header("Content-Type", "text/plain; charset=utf-8")
            self.finish("metrics are for who shows the token: Authorization: Bearer ...\n")
            return
        kernels: Kernels = self.kernel_manager
        # It takes milliseconds a kernel, in which the pages of all readers would stand still.
        taken = await asyncio.get_running_loop().run_in_executor(None, memory, kernels.pids())

        class Now:
            def collect(self) -> Iterator[Metric]:
                return families(kernels, taken)

        registry = CollectorRegistry()
        registry.register(Now())
        encode, kind = choose_encoder(self.request.headers.get("Accept", ""))
        self.set_header("Content-Type", kind)
        self.set_header("Cache-Control", "no-store")
        self.finish(encode(registry))

    def _may_see(self) -> bool:
        """A reader's cookie is no pass: what the operator may see is not for everyone who may look at shots."""
        identity: Any = self.identity_provider
        if identity.auth_enabled:
            given = identity.in_header(self)
            return bool(given) and bool(identity.knows(given))
        # A proxy in front of us is on this machine too, so what it passes on must not count as this machine's.
        passed_on = any(name in self.request.headers for name in ("X-Forwarded-For", "X-Real-Ip", "Forwarded"))
        return is_loopback(self.request.remote_ip or "") and not passed_on
