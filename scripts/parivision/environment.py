"""Makes ``.venv`` from the lock; ``scripts/workspace`` runs this file by its path.

It runs before anything is installed, so it imports the standard library alone and nothing of the package.
``.venv/workspace.json`` says how far an install has come: no file (nothing to trust), "installing" (interrupted, to
be resumed) or "ready", which is written last.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import importlib.metadata
import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn, TextIO

ROOT = Path(__file__).resolve().parents[2]

# Measured on Linux with 255 packages: 1.5 GB installed, 0.4 GB of downloads beside it until pip has finished,
# 0.2 GB of byte code.
NEEDED_MIB = 2200

DATA_ERROR, UNAVAILABLE, FAILED, NO_PYTHON, CANNOT_CREATE, INTERRUPTED = 65, 69, 70, 72, 73, 130

# Importing these compiles what a build, the tests and JupyterLab use, in a quarter of the time that compiling every
# package takes. Two groups of about equal weight: most machines have two cores to spare.
COMPILED_FIRST = (
    ("evidently", "plotly.express", "nba_api.stats.endpoints", "pymongoarrow.monkey", "pytest", "duckdb"),
    ("mlflow", "ploomber", "papermill", "xgboost", "pandera.pandas", "jupyterlab.labapp", "ipykernel.kernelapp"),
)
IMPORT_EACH = """
import importlib, sys
for name in sys.argv[1:]:
    try:
        importlib.import_module(name)
    except Exception as error:
        print("not compiled yet:", name, type(error).__name__, error)
"""

NO_NETWORK = re.compile(
    r"NewConnectionError|ConnectTimeoutError|ReadTimeoutError|ConnectionResetError|RemoteDisconnected|ProxyError|SSLError"
    r"|name resolution|getaddrinfo|Name or service not known|Network is unreachable|connection broken|timed out"
)
DISK_FULL = re.compile(r"No space left on device|\[Errno 28\]|Disk quota exceeded")
# Where pip would put packages elsewhere than in .venv.
DIVERTING = ("PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_USER", "PIP_DRY_RUN", "PIP_REQUIRE_VIRTUALENV")


class SetupError(Exception):
    """One line for the user, and the exit code that goes with it."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class Progress:
    """What the set-up is doing: one line rewritten in place on a terminal, a plain line now and then elsewhere."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._terminal = stream.isatty()
        self._start = time.monotonic()
        self._phase = ""
        self._printed_at = 0.0

    @property
    def elapsed(self) -> str:
        """Time since the start, as "1 min 05 s"."""
        minutes, seconds = divmod(int(time.monotonic() - self._start), 60)
        return f"{minutes} min {seconds:02d} s" if minutes else f"{seconds} s"

    def show(self, phase: str, detail: str = "") -> None:
        """Say where the set-up is; without a terminal only at a new phase and every 15 s."""
        text = f"workspace: {phase}{detail} [{self.elapsed}]"
        if self._terminal:
            self._stream.write(f"\r\x1b[K{text}")
        elif phase != self._phase or time.monotonic() - self._printed_at > 15:
            self._stream.write(f"{text}\n")
            self._printed_at = time.monotonic()
        self._phase = phase
        self._stream.flush()

    def say(self, text: str) -> None:
        """Print a line that stays."""
        self._stream.write(f"\r\x1b[Kworkspace: {text}\n" if self._terminal else f"workspace: {text}\n")
        self._stream.flush()


def fingerprint(root: Path, python: str) -> dict[str, str]:
    """What an environment depends on: its folder, its Python ("3.11"), the lock and the package's metadata."""
    return {
        "root": str(root),
        "python": python,
        "lock": hashlib.sha256((root / "requirements.txt").read_bytes()).hexdigest(),
        "project": hashlib.sha256((root / "pyproject.toml").read_bytes()).hexdigest(),
    }


def read_state(root: Path) -> dict[str, str]:
    """What ``.venv/workspace.json`` says; empty where it is absent or unreadable."""
    try:
        state = json.loads((root / ".venv" / "workspace.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return state if isinstance(state, dict) else {}


def is_ready(root: Path) -> bool:
    """Whether ``.venv`` was finished, for this folder and this lock; to be asked by the Python in it."""
    python = "{}.{}".format(*sys.version_info)
    return read_state(root) == {**fingerprint(root, python), "status": "ready"}


def pins(lock: Path) -> list[str]:
    """The lock's requirements without their hashes: ``name==1.2.3 ; marker``."""
    lines = lock.read_text(encoding="utf-8").splitlines()
    return [line.rstrip("\\ ") for line in lines if re.match(r"[A-Za-z0-9]", line)]


def differences(root: Path) -> list[str]:
    """How the running environment falls short of the lock; empty where it satisfies it. More packages are no fault."""
    try:
        from packaging.requirements import Requirement
    except ImportError:
        return ["packaging is absent"]
    found = []
    for pin in pins(root / "requirements.txt"):
        requirement = Requirement(pin)
        if requirement.marker is not None and not requirement.marker.evaluate():
            continue
        try:
            version = importlib.metadata.version(requirement.name)
        except importlib.metadata.PackageNotFoundError:
            found.append(f"{requirement.name} is absent")
            continue
        if not requirement.specifier.contains(version, prereleases=True):
            found.append(f"{requirement.name} is {version}, not {str(requirement.specifier).lstrip('=')}")
    spec = importlib.util.find_spec("parivision")
    if spec is None or spec.origin is None or root not in Path(spec.origin).resolve().parents:
        found.append("parivision is not installed from this folder")
    return found


def empty(folder: Path) -> None:
    """Remove what a folder holds, but not the folder: it may be the user's link to another disk."""
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


@contextlib.contextmanager
def only_one(root: Path, progress: Progress) -> Iterator[int]:
    """Hold the set-up's lock, waiting for another set-up to end; gives the file descriptor that holds it.

    The system drops it with its last holder, so that it cannot go stale. pip inherits the descriptor: where this
    process alone is killed, the next set-up waits for the pip that was left behind.
    """
    with (root / "pyproject.toml").open("r+b") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress.say("another set-up is at work in this folder; waiting for it to end")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield file.fileno()


def why_pip_failed(lines: list[str], log: Path) -> Exception:
    """Turn what pip printed into one line and an exit code."""
    text = "\n".join(lines)
    if DISK_FULL.search(text):
        return OSError(errno.ENOSPC, "pip ran out of space")
    mismatch = re.search(r"DO NOT MATCH THE HASHES[^\n]*\n\s*([A-Za-z0-9._-]+)", text)
    if mismatch:
        return SetupError(
            DATA_ERROR,
            f"{mismatch[1]} does not match its checksum in requirements.txt: the file was altered or cut short. "
            "Run this again; if it stays so, do not install it and look at the package index that pip uses",
        )
    errors = (
        [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")] or lines[-1:] or ["no output"]
    )
    if "require-hashes" in text:
        return SetupError(DATA_ERROR, f"requirements.txt lacks a checksum: {errors[0]}")
    if NO_NETWORK.search(text):
        host = re.search(r"host='([^']+)'", text)
        return SetupError(
            UNAVAILABLE,
            f"cannot reach the package index{f' at {host[1]}' if host else ''}: check the network and the proxy, "
            f"or set PIP_INDEX_URL to a mirror, and run this again ({log} has the details)",
        )
    if "(from versions: none)" in text:  # pip passes over an index that does not answer when told not to retry
        return SetupError(
            UNAVAILABLE,
            f"{errors[-1]}: the package index lacks it or could not be reached; check the network and the proxy, "
            f"or set PIP_INDEX_URL to a mirror, and run this again ({log} has the details)",
        )
    return SetupError(FAILED, f"pip failed: {errors[-1]} ({log} has the details)")


class Setup:
    """One run of the set-up in the folder ``root``, under the lock that the file descriptor ``lock`` holds."""

    def __init__(self, root: Path, progress: Progress, lock: int) -> None:
        self._root = root
        self._venv = root / ".venv"
        self._python = self._venv / "bin" / "python"
        self._log = self._venv / "install.log"
        self._progress = progress
        self._lock = lock

    def run(self) -> None:
        """Bring ``.venv`` to "ready", doing only what is still to be done."""
        self._venv.mkdir(exist_ok=True)
        state = read_state(self._root)
        version = self._version()
        now = fingerprint(self._root, version)
        if state == {**now, "status": "ready"}:  # another set-up has finished while this one waited
            return
        if not state and version and self._run_quietly("-I", __file__, "--compare"):
            self._progress.say("the .venv that is here holds what requirements.txt asks for, and is taken over")
        elif all(state.get(key) == now[key] for key in ("root", "python", "lock")):
            if state["status"] == "installing":
                self._progress.say("going on with a set-up that was interrupted")
                self._install_packages(version)
        else:
            if any(self._venv.iterdir()):
                self._progress.say(f"making .venv anew: {self._why_anew(state, now)}")
                empty(self._venv)
            self._make()
            version = self._version()
            self._install_packages(version)
        self._install_project()
        self._compile()
        self._write_state("ready", version)
        self._progress.say(f"ready in {self._progress.elapsed}")

    @staticmethod
    def _why_anew(state: dict[str, str], now: dict[str, str]) -> str:
        if not state:
            return "the one here is not finished, or was not made by this script"
        if not now["python"]:
            return "its Python no longer runs"
        if state.get("root") != now["root"]:
            return f"it was made for {state.get('root')}"
        if state.get("lock") != now["lock"]:
            return "requirements.txt has changed"
        return f"it was made for Python {state.get('python')} and now runs {now['python']}"

    def _write_state(self, status: str, version: str) -> None:
        path = self._venv / "workspace.json"
        partial = path.with_suffix(".part")
        state = {**fingerprint(self._root, version), "status": status}
        partial.write_text(json.dumps(state, indent=1) + "\n", encoding="utf-8")
        partial.replace(path)

    def _version(self) -> str:
        """Version of the Python in ``.venv`` as "3.11"; empty where it does not run or has no pip."""
        command = [str(self._python), "-I", "-c", "import sys, pip; print('{}.{}'.format(*sys.version_info))"]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        except OSError:
            return ""
        return done.stdout.strip() if done.returncode == 0 else ""

    def _run_quietly(self, *arguments: str) -> bool:
        return subprocess.run([str(self._python), *arguments], capture_output=True, check=False).returncode == 0

    def _make(self) -> None:
        self._check_space()
        phase = f"making .venv with Python {sys.version.split()[0]}"
        status, lines = self._watch([sys.executable, "-I", "-m", "venv", str(self._venv)], lambda _: (phase, ""))
        if status != 0:
            raise why_pip_failed(lines, self._log)

    def _check_space(self) -> None:
        held = sum(path.lstat().st_size for path in self._venv.rglob("*")) >> 20
        free = shutil.disk_usage(self._venv).free >> 20
        if free < NEEDED_MIB - held:
            raise OSError(errno.ENOSPC, f"{free} MiB are free")

    def _install_packages(self, version: str) -> None:
        self._write_state("installing", version)
        self._check_space()
        site = self._venv / "lib" / f"python{version}" / "site-packages"
        for folder in site.glob("*.dist-info"):
            # pip writes REQUESTED after all files of a package; without it the package would pass for installed.
            if not (folder / "REQUESTED").exists():
                shutil.rmtree(folder)

        def describe(lines: list[str]) -> tuple[str, str]:
            total = len(pins(self._root / "requirements.txt")) - sum(line.startswith("Ignoring ") for line in lines)
            if any(line.startswith("Installing collected") for line in lines):
                done = sum(1 for _ in site.glob("*.dist-info"))  # pip's own among them
                return "installing packages", f", {min(done, total)} of {total}"
            if lines and "Retrying (" in lines[-1]:
                return "the package index does not answer, pip tries again", ""
            seen = sum(line.startswith(("Collecting ", "Processing ", "Requirement already")) for line in lines)
            return "downloading packages", f", {seen} of {total}"

        # Wheels alone: a source package would run its own code, and need compilers that a fresh machine lacks.
        # Byte code is made later for what is used: making all of it takes a minute.
        self._pip("--require-hashes", "--no-deps", "--only-binary=:all:", "-r", "requirements.txt", describe=describe)

    def _install_project(self) -> None:
        def describe(_: list[str]) -> tuple[str, str]:
            return "installing parivision itself", ""

        # setuptools comes from the lock, so that nothing is fetched.
        self._pip("--no-deps", "--no-index", "--no-build-isolation", "-e", ".", describe=describe)

    def _pip(self, *arguments: str, describe: Callable[[list[str]], tuple[str, str]]) -> None:
        pip = [str(self._python), "-I", "-u", "-m", "pip", "--no-input", "--disable-pip-version-check", "install"]
        status, lines = self._watch([*pip, "--no-user", "--no-compile", "--progress-bar=off", *arguments], describe)
        if status != 0:
            raise why_pip_failed(lines, self._log)

    def _compile(self) -> None:
        self._progress.show("compiling what is used most")
        with self._log.open("a", encoding="utf-8") as log:
            # parivision first: it switches off the usage statistics of the others.
            commands = [[str(self._python), "-I", "-c", IMPORT_EACH, "parivision", *names] for names in COMPILED_FIRST]
            running = [subprocess.Popen(command, stdout=log, stderr=log, cwd=self._venv) for command in commands]
            try:
                for process in running:
                    process.wait()
            finally:
                for process in running:
                    process.kill()

    def _watch(self, command: list[str], describe: Callable[[list[str]], tuple[str, str]]) -> tuple[int, list[str]]:
        """Run a command, showing what ``describe`` makes of its output so far; its status and its output."""
        temporary = self._venv / "tmp"  # on the same disk as .venv, whose free space was looked at; /tmp may be small
        temporary.mkdir(exist_ok=True)
        environment = {name: value for name, value in os.environ.items() if name not in DIVERTING}
        environment |= {"TMPDIR": str(temporary), "LC_ALL": "C.UTF-8"}  # English messages: why_pip_failed reads them
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, pass_fds=[self._lock],
            cwd=self._root, env=environment, encoding="utf-8", errors="replace",
        )  # fmt: skip
        lines: list[str] = []
        assert process.stdout is not None  # PIPE was asked for
        reader = threading.Thread(target=lambda out=process.stdout: lines.extend(map(str.rstrip, out)), daemon=True)
        reader.start()
        logged = 0
        try:
            with self._log.open("a", encoding="utf-8") as log:
                while reader.is_alive():
                    self._progress.show(*describe(lines))
                    reader.join(timeout=0.5)
                    new = lines[logged:]
                    log.writelines(f"{line}\n" for line in new)
                    log.flush()
                    logged += len(new)
            return process.wait(), lines
        finally:
            process.kill()
            process.wait()
            shutil.rmtree(temporary, ignore_errors=True)


def interrupt(*_: object) -> NoReturn:
    """Let SIGTERM end the set-up as Ctrl-C does, so that pip is not left behind."""
    raise KeyboardInterrupt


def main(arguments: list[str]) -> int:
    """Run the set-up, or answer a question about the running environment (``--ready``, ``--compare``)."""
    if arguments == ["--ready"]:
        return 0 if is_ready(ROOT) else 1
    progress = Progress(sys.stderr)
    if arguments == ["--compare"]:
        found = differences(ROOT)
        if found:
            progress.say(
                f"the environment in {sys.prefix} is not the one of requirements.txt ({len(found)} differences; "
                f"{found[0]}); in {ROOT} run: python -m pip install -r requirements.txt "
                "&& python -m pip install --no-deps --no-build-isolation -e ."
            )
        return NO_PYTHON if found else 0
    signal.signal(signal.SIGTERM, interrupt)
    try:
        with only_one(ROOT, progress) as lock:
            Setup(ROOT, progress, lock).run()
    except SetupError as error:
        progress.say(str(error))
        return error.code
    except KeyboardInterrupt:
        progress.say("interrupted; run the same command again to go on from here")
        return INTERRUPTED
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            progress.say(f"cannot make .venv in {ROOT}: {error}")
            return CANNOT_CREATE
        with contextlib.suppress(OSError):
            empty(ROOT / ".venv")
            (ROOT / ".venv").rmdir()
        progress.say(
            f"the disk is full: .venv in {ROOT} needs {NEEDED_MIB} MiB ({error.strerror}); make room and run this again"
        )
        return CANNOT_CREATE
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
