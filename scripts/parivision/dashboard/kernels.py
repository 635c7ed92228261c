"""The kernels behind open pages: forked, counted, and ended when nobody looks at them any more."""

from __future__ import annotations

import asyncio
import os
import select
import signal
import time
from collections import defaultdict
from contextvars import ContextVar
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import zmq.asyncio
from jupyter_client.connect import KernelConnectionInfo
from jupyter_client.provisioning.local_provisioner import LocalProvisioner
from jupyter_server.services.kernels.kernelmanager import AsyncMappingKernelManager, ServerKernelManager
from tornado.ioloop import PeriodicCallback
from tornado.websocket import WebSocketHandler
from traitlets import Any as AnyTrait
from traitlets import Bool, Float, Integer, Unicode, default
from voila.voila_kernel_manager import voila_kernel_manager_factory

from parivision.dashboard.nursery import Nursery
from parivision.settings import get_settings, workspace_root

# All that a kernel may know of the server's environment. No address of a store, no token, no password is among it.
_PASSED_ON = (
    "PATH",
    "HOME",
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "TZ",
    "TMPDIR",
    "PYTHONPATH",
    "VIRTUAL_ENV",
    "LD_LIBRARY_PATH",
)
_ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")
CLOSED_BY_US = 4001  # WebSocket close code: the kernel has ended
_WATCH_SECONDS = 2.0
# Of a unix socket's path, 107 bytes at most; what a kernel's id and channel add is 60.
_LONGEST_SOCKET_FOLDER = 45


def kernel_environment() -> dict[str, str]:
    """The environment of a dashboard kernel: an allow-list, so that a new secret is kept back without a word here."""
    return {
        **{name: os.environ[name] for name in _PASSED_ON if name in os.environ},
        **dict.fromkeys(_ONE_THREAD, "1"),  # many kernels share few cores
        "PARIVISION_HOME": str(workspace_root()),
        "PARIVISION_DATA_DIR": str(get_settings().data_dir),
        "PARIVISION_DOTENV": "",  # nor does it read them from the workspace's .env
        "PYTHONDONTWRITEBYTECODE": "1",
        "JE_ARROW_MALLOC_CONF": "background_thread:false",  # a process with threads can't be forked safely
    }


class ForkedKernel(LocalProvisioner):  # type: ignore[misc]
    """A kernel's process, forked from the nursery and watched through its pidfd: it is not our child.

    Parameters
    ----------
    nursery : Nursery
        Where it comes from.
    """

    def __init__(self, nursery: Nursery, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._nursery = nursery
        self._descriptor = -1

    @property
    def has_process(self) -> bool:
        """Whether there is one that has not been waited for."""
        return self._descriptor >= 0

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> KernelConnectionInfo:
        """Fork; the command is not used, because its interpreter runs already."""
        self.pid, self._descriptor = await self._nursery.fork(
            self.parent.connection_file, str(kwargs["cwd"]), kwargs["env"]
        )
        return self.connection_info

    async def poll(self) -> int | None:
        """None while it runs. The status of its end is the nursery's to know; 0 stands for any."""
        return 0 if not self.has_process or _readable(self._descriptor) else None

    async def wait(self) -> int | None:
        """Wait for its end."""
        while await self.poll() is None:
            await asyncio.sleep(0.02)
        self._close()
        return 0

    async def send_signal(self, signum: int) -> None:
        """Send it a signal; none reaches a stranger that was given the same process id."""
        if self.has_process and not _readable(self._descriptor):
            signal.pidfd_send_signal(self._descriptor, signum)

    async def kill(self, restart: bool = False) -> None:
        """End it at once."""
        await self.send_signal(signal.SIGKILL)

    async def terminate(self, restart: bool = False) -> None:
        """Ask it to end."""
        await self.send_signal(signal.SIGTERM)

    async def cleanup(self, restart: bool = False) -> None:
        """Give back what its watching took."""
        await super().cleanup(restart)
        self._close()

    def _close(self) -> None:
        if self.has_process:
            os.close(self._descriptor)
            self._descriptor = -1


def _readable(descriptor: int) -> bool:
    return bool(select.select([descriptor], [], [], 0)[0])


class PageKernel(ServerKernelManager):  # type: ignore[misc]
    """One kernel. It is never restarted: a new one would know nothing of the page."""

    autorestart = Bool(False)

    async def _async_pre_start_kernel(self, **kw: Any) -> tuple[list[str], dict[str, Any]]:
        nursery = self.parent.nursery
        if nursery is not None and self.provisioner is None:
            self.kernel_id = self.kernel_id or kw["kernel_id"]
            self.provisioner = ForkedKernel(
                nursery, kernel_id=self.kernel_id, kernel_spec=self.kernel_spec, parent=self
            )
        made: tuple[list[str], dict[str, Any]] = await super()._async_pre_start_kernel(**kw)
        return made


class _Kernels(AsyncMappingKernelManager):  # type: ignore[misc]
    nursery = AnyTrait(None, allow_none=True)
    folder = Unicode()

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)  # type: ignore[no-untyped-call]
        self.kernel_manager_class = f"{PageKernel.__module__}.{PageKernel.__name__}"

    @default("context")  # type: ignore[untyped-decorator]
    def _of_the_process(self) -> zmq.asyncio.Context:
        # Not one of the manager's own: at the interpreter's end that waits, without end, for the sockets of a page
        # that was being made when the server was stopped.
        return zmq.asyncio.Context.instance()

    async def start_kernel(self, **kwargs: Any) -> str:  # type: ignore[override]
        # Not the environment that Voila made up: it is the server's, and what a visitor's request says besides.
        started: str = await super().start_kernel(
            kernel_name=kwargs.get("kernel_name"), env=kernel_environment(), cwd=self.folder
        )
        return started

    def pre_start_kernel(self, kernel_name: str | None, kwargs: Any) -> Any:
        made = super().pre_start_kernel(kernel_name, kwargs)
        if self.nursery is not None and len(self.connection_dir) <= _LONGEST_SOCKET_FOLDER:
            made[
                0
            ].transport = "ipc"  # sockets in our private folder rather than ports that all of the machine can reach
        return made


_Pooled: Any = voila_kernel_manager_factory(_Kernels, True, 0)
_arrival: ContextVar[object] = ContextVar("arrival")


class Kernels(_Pooled):  # type: ignore[misc]
    """All kernels: those in use, up to a limit, and a small pool that waits for visitors.

    Attributes
    ----------
    limit : int
        Most kernels in use at once; the pool is not counted.
    idle_seconds : float
        After so long without a message of its reader, a kernel is ended even though the tab is open.
    abandoned_seconds : float
        After so long without any connection it is ended: its tab was closed, or never arrived.
    opened, refused : int
        Pages that were let in, and those that were not because the house was full, since the server started.
    """

    limit = Integer(24)
    idle_seconds = Float(1200)
    abandoned_seconds = Float(60)

    def __init__(self, **kwargs: Any) -> None:
        self.seated: set[str] = set()
        self.sockets: dict[str, set[WebSocketHandler]] = defaultdict(set)
        self.opened = self.refused = 0
        self._arriving: set[object] = set()
        self._alone_since: dict[str, float] = {}
        super().__init__(**kwargs)
        self._watch = PeriodicCallback(self._end_unused, 1000 * _WATCH_SECONDS)
        self._watch.start()

    @property
    def in_use(self) -> int:
        """Kernels that a page has, or is about to get."""
        return len(self.seated) + len(self._arriving)

    def counted(self) -> dict[str, int]:
        """How many kernels work for a page, have a page and nothing to do, and wait for visitors in the pool."""
        states = [getattr(self._kernels[i], "execution_state", "") for i in self.seated if i in self._kernels]
        busy = sum(state == "busy" for state in states)
        return {"busy": busy, "idle": len(states) - busy, "pool": len(self._kernels) - len(states)}

    def pids(self) -> list[int]:
        """The processes of all kernels."""
        found = (getattr(kernel.provisioner, "pid", None) for kernel in self._kernels.values())
        return [pid for pid in found if pid]

    def arrive(self) -> object | None:
        """A place for a page that is asked for; None where the house is full. To be given back with `leave`."""
        if self.in_use >= self.limit:
            self.refused += 1
            return None
        self.opened += 1
        arrival = object()
        self._arriving.add(arrival)
        _arrival.set(arrival)
        return arrival

    def leave(self, arrival: object) -> None:
        """The page has its kernel, which counts for itself, or never got one."""
        self._arriving.discard(arrival)

    def _seat(self, kernel_id: str) -> None:
        self.seated.add(kernel_id)
        self._alone_since[kernel_id] = time.monotonic()
        # What it did in the pool, perhaps hours ago, was no message of this reader.
        self._kernels[kernel_id].last_activity = datetime.now(UTC)
        self._arriving.discard(_arrival.get(None))

    async def start_kernel(self, **kwargs: Any) -> str:
        """A kernel for a page."""
        kernel_id: str = await super().start_kernel(**kwargs)
        self._seat(kernel_id)
        return kernel_id

    async def get_rendered_notebook(self, notebook_name: str, **kwargs: Any) -> tuple[Any, list[str], str]:
        """A page with its kernel, from the pool."""
        render_task, rendered, kernel_id = await super().get_rendered_notebook(notebook_name)
        self._seat(kernel_id)
        return render_task, rendered, kernel_id

    def notify_connect(self, kernel_id: str) -> None:
        """A browser has connected."""
        super().notify_connect(kernel_id)
        self._alone_since.pop(kernel_id, None)

    def notify_disconnect(self, kernel_id: str) -> None:
        """A browser has gone."""
        super().notify_disconnect(kernel_id)
        if kernel_id in self.seated and not self._kernel_connections.get(kernel_id):
            self._alone_since[kernel_id] = time.monotonic()

    def remove_kernel(self, kernel_id: str) -> Any:
        """Forget an ended kernel, and tell its page."""
        self.seated.discard(kernel_id)
        self._alone_since.pop(kernel_id, None)
        for socket in self.sockets.pop(kernel_id, set()):
            socket.close(CLOSED_BY_US, "this page's session has ended")
        return super().remove_kernel(kernel_id)

    async def shutdown_kernel(self, kernel_id: str, *_: Any, **__: Any) -> None:
        """End a kernel at once: it has nothing to save."""
        if kernel_id in self:
            await super().shutdown_kernel(kernel_id, now=True)

    async def _end_unused(self) -> None:
        for kernel_id in list(self._kernels):
            try:
                reason = await self._why_end(kernel_id)
                if reason:
                    self.log.info("ending kernel %s: %s", kernel_id, reason)
                    await self.shutdown_kernel(kernel_id)
            except Exception:
                self.log.exception("kernel %s could not be ended", kernel_id)

    async def _why_end(self, kernel_id: str) -> str:
        kernel = self._kernels[kernel_id]
        if not await kernel.is_alive():
            return "its process has ended by itself"
        if kernel_id not in self.seated:
            return ""
        alone = self._alone_since.get(kernel_id)
        if alone is not None and time.monotonic() - alone > self.abandoned_seconds:
            return "nobody is connected"
        idle = time.time() - kernel.last_activity.timestamp()
        return f"no message for {idle:.0f} s" if idle > self.idle_seconds else ""

    async def close(self) -> None:
        """End everything."""
        self._watch.stop()
        for kernel_id in list(self._kernels):
            await self.shutdown_kernel(kernel_id)


def default_limit() -> int:
    """Kernels in use at once that this machine carries: 120 MiB each of half the memory, and twelve to a core."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**20
    return int(max(4, min(memory / 2 / 120, 12 * (os.cpu_count() or 1), 200)))


def folder_for(connection_dir: str) -> str:
    """An empty folder for kernels to stand in."""
    made = Path(connection_dir) / "kernels"
    made.mkdir(mode=0o700, exist_ok=True)
    return str(made)
