"""A process that has imported all that a dashboard kernel needs, and forks kernels from itself.

A kernel of its own takes seconds to import and 300 MiB; a forked one takes milliseconds and shares the memory of what
was imported. The nursery opens no database, no socket but its line to the server, and starts no thread: what is forked
from it is as good as new. It runs as `python -m parivision.dashboard.nursery FD` and lives as long as the server at the
other end of FD; when the server goes, the kernels go with it.

The line carries one JSON object a message. The server asks `{"connection_file", "folder", "environment"}` and gets
`{"pid"}` together with a file descriptor of the process (pidfd), or `{"error"}`.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import importlib
import json
import logging
import os
import pkgutil
import select
import signal
import socket
import subprocess
import sys
import threading
import traceback
from pathlib import Path
from typing import Any

# Everything that a page may need. What is missing here is merely imported by each kernel for itself.
MODULES = (
    "anywidget",
    "duckdb",
    "ipykernel.ipkernel",
    "ipykernel.kernelapp",
    "IPython.core.completerlib",
    "IPython.core.debugger",
    "IPython.core.logger",
    "IPython.core.oinspect",
    "IPython.extensions.storemagic",
    "ipykernel.debugger",
    "tornado.platform.asyncio",
    "jinja2",
    "numpy.random",
    "pandas",
    "plotly.graph_objects",
    "xgboost",
    "parivision.dashboard.view",
    "parivision.predictor",
)
_LEARNT_FROM = ("parivision", "pandas", "numpy", "plotly", "jinja2", "xgboost", "duckdb", "pydantic")
_LONGEST = 1 << 18  # bytes of one message
_START_SECONDS = 60
_FORK_SECONDS = 20
_PR_SET_PDEATHSIG = 1


class NurseryError(OSError):
    """No kernel can be forked: the nursery did not start, or it does not answer."""


def available() -> bool:
    """Whether this system can fork kernels and watch them: Linux with pidfd."""
    return sys.platform == "linux" and hasattr(os, "pidfd_open") and hasattr(signal, "pidfd_send_signal")


class Nursery:
    """The server's end: starts the process when first asked, and again should it have died.

    Parameters
    ----------
    environment : dict
        Of the process; what a kernel may see, and no more.
    folder : Path
        To stand in.
    """

    def __init__(self, environment: dict[str, str], folder: Path) -> None:
        self._environment, self._folder = environment, folder
        self._process: subprocess.Popen[bytes] | None = None
        self._line: socket.socket | None = None
        self._lock = threading.Lock()

    @property
    def pid(self) -> int | None:
        """Of the process, where it runs."""
        return self._process.pid if self._process and self._process.poll() is None else None

    def start(self) -> None:
        """Start the process and wait until it has imported everything.

        Raises
        ------
        NurseryError
            It ended, said nothing in time, or can't fork safely.
        """
        self.close()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", __spec__.name, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                env=self._environment,
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C in the terminal is for the server alone
            )
        self._line = ours
        ours.settimeout(_START_SECONDS)
        try:
            self._received()
        except OSError:
            self.close()
            raise
        ours.settimeout(_FORK_SECONDS)

    async def fork(self, connection_file: str, folder: str, environment: dict[str, str]) -> tuple[int, int]:
        """A new kernel: its process id and its pidfd, which the caller closes.

        Raises
        ------
        NurseryError
        """
        question = {"connection_file": connection_file, "folder": folder, "environment": environment}
        return await asyncio.to_thread(self._ask, question)

    def _ask(self, question: dict[str, Any]) -> tuple[int, int]:
        with self._lock:
            if self.pid is None or self._line is None:
                self.start()
            assert self._line is not None
            try:
                self._line.send(json.dumps(question).encode())
                answer, descriptors = self._received()
            except OSError:
                self.close()  # what it would still answer belongs to this question, not to the next
                raise
            return int(answer["pid"]), descriptors[0]

    def _received(self) -> tuple[dict[str, Any], list[int]]:
        assert self._line is not None
        try:
            data, descriptors, _, _ = socket.recv_fds(self._line, _LONGEST, 1)
        except TimeoutError:
            raise NurseryError("the nursery of the dashboard's kernels does not answer") from None
        if not data:
            raise NurseryError("the nursery of the dashboard's kernels has ended; its output above says why")
        answer = json.loads(data)
        if "error" in answer:
            raise NurseryError(answer["error"])
        return answer, descriptors

    def close(self) -> None:
        """End the process and all kernels that it forked."""
        if self._line is not None:
            self._line.close()
        if self._process is not None:
            try:
                self._process.wait(timeout=5)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._line = self._process = None


def _die_with_parent(parent: int) -> None:
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it was gone before we asked
        os._exit(1)


def _serve(line: socket.socket) -> None:
    """Fork what is asked for and reap what ended, until the server hangs up."""
    poll = select.poll()
    poll.register(line, select.POLLIN)
    children: dict[int, int] = {}
    parent = os.getpid()
    rehearsal, rehearsing = _rehearse(line)
    poll.register(rehearsal, select.POLLIN)
    while True:
        for descriptor, _ in poll.poll():
            if descriptor == rehearsal:
                poll.unregister(rehearsal)
                _learn(rehearsal, rehearsing)
                rehearsal = -1  # its number goes to the next kernel's pidfd
                continue
            if descriptor in children:
                poll.unregister(descriptor)
                os.waitpid(children.pop(descriptor), 0)
                os.close(descriptor)
                continue
            data = line.recv(_LONGEST)
            if not data:
                for kernel in children:
                    signal.pidfd_send_signal(kernel, signal.SIGKILL)
                return
            try:
                pid = os.fork()
            except OSError as error:
                line.send(json.dumps({"error": f"no kernel could be forked: {error.strerror}"}).encode())
                continue
            if pid == 0:
                _become_kernel(json.loads(data), [line.fileno(), *children], parent)
            child = os.pidfd_open(pid)
            children[child] = pid
            poll.register(child, select.POLLIN)
            socket.send_fds(line, [json.dumps({"pid": pid}).encode()], [child])


def _rehearse(line: socket.socket) -> tuple[int, int]:
    """Show every page once in a process of its own; returns where to read what that imported, and the process.

    Much is imported only when it is first used, and would be by every kernel anew. The rehearsal may open databases and
    start threads; it ends, and only the names of the modules are left of it.
    """
    reading, writing = os.pipe()
    parent = os.getpid()
    if pid := os.fork():
        os.close(writing)
        return reading, pid
    try:
        line.close()
        os.close(reading)
        _die_with_parent(parent)
        known = set(sys.modules)
        view = importlib.import_module("parivision.dashboard.view").View()
        for page in importlib.import_module("parivision.dashboard.pages").TITLES:
            view.answer({"type": "open", "page": page, "query": ""})
        found = sorted(name for name in sys.modules.keys() - known if name.partition(".")[0] in _LEARNT_FROM)
        os.write(writing, json.dumps(found).encode())
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(0)


def _learn(rehearsal: int, rehearsing: int) -> None:
    with os.fdopen(rehearsal, "rb") as heard:
        said = heard.read()
    os.waitpid(rehearsing, 0)
    for module in json.loads(said or b"[]"):
        try:
            importlib.import_module(module)
        except ImportError:
            continue  # a name that a package gave to something that is no module of its own
    gc.collect()
    gc.freeze()


def _become_kernel(question: dict[str, Any], descriptors: list[int], parent: int) -> None:
    """Run as a kernel to its end; does not return."""
    status = 1
    try:
        for descriptor in descriptors:
            os.close(descriptor)
        os.setsid()
        _die_with_parent(parent)
        os.environ.clear()
        os.environ.update(question["environment"])
        os.chdir(question["folder"])
        _run_kernel(question["connection_file"])
        status = 0
    except SystemExit:
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)  # the interpreter's own end would wait for threads that are not ours


def _run_kernel(connection_file: str) -> None:
    import numpy as np
    from ipykernel.kernelapp import IPKernelApp
    from traitlets.config import Config

    np.random.seed()  # noqa: NPY002 - the one thing in NumPy that forks would share
    config = Config()
    config.IPKernelApp.connection_file = connection_file
    # The user's own IPython start-up files and history are not part of the dashboard.
    own = Path(connection_file).parent / "ipython"
    own.mkdir(exist_ok=True)
    config.IPKernelApp.ipython_dir = str(own)
    config.HistoryManager.enabled = False
    # What libraries print goes to the server's log, not to the reader.
    config.IPKernelApp.outstream_class = None
    config.IPKernelApp.capture_fd_output = False
    config.IPKernelApp.log_level = logging.CRITICAL
    config.InteractiveShell.colors = "NoColor"
    app = IPKernelApp.instance(config=config)
    app.initialize([])
    app.start()


def _import_everything() -> None:
    # Two packages that others import where they find them, for what no page does: 60 MiB of estimators, and a debugger.
    for name in ("sklearn", "debugpy"):
        sys.modules[name] = None  # type: ignore[assignment]
    pages = importlib.import_module("parivision.dashboard.pages").__path__
    for module in (*MODULES, *(f"parivision.dashboard.pages.{page.name}" for page in pkgutil.iter_modules(pages))):
        importlib.import_module(module)
    compiled = importlib.import_module("parivision.dashboard.rendering").environment()
    for template in compiled.list_templates(extensions="j2"):
        compiled.get_template(template)
    del sys.modules["sklearn"]  # who asks for it by name still gets it


def main(descriptor: int) -> int:
    """Import everything, say so, and serve the line on a file descriptor."""
    _die_with_parent(os.getppid())
    line = socket.socket(fileno=descriptor)
    _import_everything()
    if (threads := len(list(Path("/proc/self/task").iterdir()))) > 1:
        line.send(json.dumps({"error": f"importing started {threads - 1} threads: forking is not safe"}).encode())
        return 1
    gc.collect()
    gc.freeze()  # a collection in a kernel would otherwise write to, and so copy, every shared page
    line.send(json.dumps({"pid": os.getpid()}).encode())
    _serve(line)
    return 0


if __name__ == "__main__":
    os._exit(main(int(sys.argv[1])))  # DuckDB's binding would list what it keeps, on the server's terminal
