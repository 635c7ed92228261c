"""``scripts/workspace`` run for real: in folders of its own, with a package of a few lines and small wheels."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from parivision import environment

PYPROJECT = """
[build-system]
requires = []
build-backend = "toy_backend"
backend-path = ["."]
[project]
name = "parivision"
version = "0.1.0"
"""
# An editable install in its shortest form: a .pth file that names the folder.
BACKEND = """
import pathlib, zipfile

def build_editable(wheel_directory, config_settings=None, metadata_directory=None):
    info = "parivision-0.1.0.dist-info"
    files = {
        "parivision.pth": str(pathlib.Path("scripts").resolve()) + "\\n",
        f"{info}/METADATA": "Metadata-Version: 2.1\\nName: parivision\\nVersion: 0.1.0\\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\\nGenerator: toy\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
    }
    files[f"{info}/RECORD"] = "".join(f"{path},,\\n" for path in (*files, f"{info}/RECORD"))
    name = "parivision-0.1.0-py3-none-any.whl"
    with zipfile.ZipFile(pathlib.Path(wheel_directory, name), "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)
    return name
"""
MAIN = "import json, os, sys\nprint(json.dumps([sys.argv[1:], sys.prefix, os.getcwd()]))\n"


def wheel(folder: Path, name: str, payload: bytes = b"value = 1\n") -> str:
    """Write a wheel of one module; gives its lines for a lock."""
    info = f"{name}-1.0.dist-info"
    files = {
        f"{name}.py": payload,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n".encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    files[f"{info}/RECORD"] = "".join(f"{path},,\n" for path in (*files, f"{info}/RECORD")).encode()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for member, data in files.items():
            archive.writestr(member, data)
    return f"{name}==1.0 \\\n    --hash=sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}\n    # via a test\n"


class Checkout:
    """A checkout of a project that is small enough to be installed in seconds."""

    def __init__(self, folder: Path, source: Path, packages: dict[str, bytes]) -> None:
        self.folder = folder
        self.wheels = folder / "wheels"
        package = folder / "scripts" / "parivision"
        package.mkdir(parents=True)
        shutil.copy2(source / "scripts" / "workspace", folder / "scripts")
        shutil.copy2(source / "scripts" / "parivision" / "environment.py", package)
        (package / "__init__.py").write_text("")
        (package / "__main__.py").write_text(MAIN)
        (folder / "pyproject.toml").write_text(PYPROJECT)
        (folder / "toy_backend.py").write_text(BACKEND)
        self.lock("".join(wheel(self.wheels, name, payload) for name, payload in packages.items()))

    def lock(self, text: str) -> None:
        (self.folder / "requirements.txt").write_text(text)

    @property
    def state(self) -> dict[str, str]:
        return environment.read_state(self.folder)

    def variables(self, **more: str) -> dict[str, str]:
        """An environment that knows nothing of this machine's package index."""
        plain = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "PARIVISION_"))}
        offline = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": self.wheels.as_uri(), "PIP_CONFIG_FILE": os.devnull}
        return {**plain, **offline, "PARIVISION_PYTHON": sys.executable, **more}

    def start(self, *arguments: str, **more: str) -> subprocess.Popen[str]:
        command = [str(self.folder / "scripts" / "workspace"), *arguments]
        return subprocess.Popen(
            command, env=self.variables(**more), text=True, start_new_session=True, cwd="/",
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            # As in a terminal: where the tests run in the background of a shell, they inherit that SIGINT is ignored.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )  # fmt: skip

    def run(self, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        process = self.start(*arguments, **more)
        out, err = process.communicate(timeout=120)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def fails(self, code: int, *arguments: str, **more: str) -> str:
        """Run and expect an exit code; gives the last line, and expects neither a traceback nor pip's own noise."""
        done = self.run(*(arguments or ("build",)), **more)
        assert done.returncode == code, done.stderr
        assert done.stdout == ""
        lines = done.stderr.splitlines()
        assert all(line.startswith("workspace: ") for line in lines), done.stderr
        return lines[-1]


@pytest.fixture(scope="module")
def ready(root: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Checkout, subprocess.CompletedProcess[str]]:
    """A checkout under a path with spaces after its first run, and that run."""
    folder = tmp_path_factory.mktemp("workspace") / "a folder, with 'quotes' and spaces"
    checkout = Checkout(folder, root, {"alpha": b"value = 1\n", "beta": b"value = 2\n"})
    return checkout, checkout.run("build", "--path", "a b")


@pytest.fixture
def checkout(root: Path, tmp_path: Path) -> Checkout:
    return Checkout(tmp_path / "check out", root, {"alpha": b"value = 1\n"})


def only_tools(folder: Path, *tools: str) -> Path:
    """A folder for PATH that holds nothing but the tools which every machine has."""
    folder.mkdir()
    for tool in ("sh", "dirname", "readlink", "cat", *tools):
        (folder / tool).symlink_to(shutil.which(tool) or tool)
    return folder


def fake_python(path: Path, change: str) -> None:
    """A program that runs what it is given after ``-c`` in a Python changed by some code."""
    code = f"import sys; {change}; exec(sys.argv[1])"
    path.write_text(f'#!/bin/sh\nexec "{sys.executable}" -c "{code}" "$2"\n')
    path.chmod(0o755)


OLD = "sys.version_info = (3, 9, 2, 'final', 0)"


def test_first_run_installs_and_hands_over(ready: tuple[Checkout, subprocess.CompletedProcess[str]]) -> None:
    checkout, first = ready
    assert first.returncode == 0, first.stderr
    arguments, prefix, cwd = json.loads(first.stdout)
    assert arguments == ["build", "--path", "a b"]
    assert Path(prefix) == checkout.folder / ".venv"
    assert cwd == "/"  # the user's relative paths stay what they are
    lines = first.stderr.splitlines()
    assert all(line.startswith("workspace: ") for line in lines)
    assert any("downloading packages" in line and "of 2" in line for line in lines)
    assert "ready in" in lines[-1]
    assert checkout.state["status"] == "ready"


def test_second_run_installs_nothing(
    ready: tuple[Checkout, subprocess.CompletedProcess[str]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    checkout, _ = ready
    log = (checkout.folder / ".venv" / "install.log").stat()
    link = tmp_path / "linked"
    link.symlink_to(os.path.relpath(checkout.folder / "scripts" / "workspace", tmp_path))
    monkeypatch.chdir(tmp_path)
    # No Python on PATH, and a package index that would fail: neither is needed any more.
    variables = checkout.variables(PARIVISION_PYTHON="", PATH=str(only_tools(tmp_path / "bin")), PYTHONPATH="/nowhere")
    done = subprocess.run(["./linked", "test"], env=variables, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout) == [["test"], str(checkout.folder / ".venv"), str(tmp_path)]
    after = (checkout.folder / ".venv" / "install.log").stat()
    assert (after.st_mtime_ns, after.st_size) == (log.st_mtime_ns, log.st_size)


def test_changed_metadata_installs_the_package_again_and_nothing_else(
    ready: tuple[Checkout, subprocess.CompletedProcess[str]],
) -> None:
    checkout, _ = ready
    made = (checkout.folder / ".venv" / "pyvenv.cfg").stat().st_mtime_ns
    with (checkout.folder / "pyproject.toml").open("a") as file:
        file.write("# changed\n")
    done = checkout.run("build")
    assert done.returncode == 0, done.stderr
    assert "parivision itself" in done.stderr
    assert "downloading" not in done.stderr
    assert (checkout.folder / ".venv" / "pyvenv.cfg").stat().st_mtime_ns == made
    assert checkout.run("build").stderr == ""


@pytest.mark.slow
def test_moved_checkout_and_changed_lock_make_it_anew(checkout: Checkout) -> None:
    assert checkout.run("build").returncode == 0
    old = checkout.folder
    checkout.folder = old.with_name("moved")
    checkout.wheels = checkout.folder / "wheels"
    old.rename(checkout.folder)
    done = checkout.run("build")
    assert done.returncode == 0, done.stderr
    assert f"anew: it was made for {old}" in done.stderr
    assert json.loads(done.stdout)[1] == str(checkout.folder / ".venv")

    checkout.lock(wheel(checkout.wheels, "gamma"))
    done = checkout.run("build")
    assert "anew: requirements.txt has changed" in done.stderr
    names = {path.name for path in checkout.folder.glob(".venv/lib/python*/site-packages/*.py")}
    assert "gamma.py" in names
    assert "alpha.py" not in names


@pytest.mark.slow
def test_killed_in_the_middle_goes_on(root: Path, tmp_path: Path) -> None:
    packages = {f"part{number:02d}": b"value = 1\n" * 100_000 for number in range(40)}
    checkout = Checkout(tmp_path / "project", root, packages)
    process = checkout.start("build")
    site = checkout.folder / ".venv" / "lib" / "python{}.{}".format(*sys.version_info) / "site-packages"
    deadline = time.monotonic() + 60
    while not list(site.glob("part*.dist-info")):
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert checkout.state["status"] == "installing"
    assert len(list(site.glob("part*.dist-info"))) < len(packages)
    # A package that was cut short: the folder that makes pip think it is there, without its module.
    name = next(site.glob("part*.dist-info")).name.split("-")[0]
    (site / f"{name}.py").unlink(missing_ok=True)
    (site / f"{name}-1.0.dist-info" / "REQUESTED").unlink(missing_ok=True)
    made = (checkout.folder / ".venv" / "pyvenv.cfg").stat().st_mtime_ns

    done = checkout.run("build")
    assert done.returncode == 0, done.stderr
    assert "going on with a set-up that was interrupted" in done.stderr
    assert (checkout.folder / ".venv" / "pyvenv.cfg").stat().st_mtime_ns == made
    assert {path.stem for path in site.glob("part*.py")} == set(packages)
    assert {path.read_bytes() for path in site.glob("part*.py")} == set(packages.values())
    assert checkout.state["status"] == "ready"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_leaves_nothing_running(checkout: Checkout, number: signal.Signals) -> None:
    process = checkout.start("build")
    deadline = time.monotonic() + 60
    while not (checkout.folder / ".venv" / "pyvenv.cfg").exists():
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.01)
    os.killpg(process.pid, number)
    out, err = process.communicate(timeout=20)  # ends when the last holder of the pipes has
    assert out == ""
    assert process.returncode in (130, -number)
    assert err.splitlines()[-1] == "workspace: interrupted; run the same command again to go on from here"


@pytest.mark.slow
def test_two_at_once_install_once(checkout: Checkout) -> None:
    running = [checkout.start("build") for _ in range(2)]
    results = [process.communicate(timeout=120) for process in running]
    assert [process.returncode for process in running] == [0, 0], results
    assert sum("another set-up is at work" in err for _, err in results) == 1
    assert all(json.loads(out)[0] == ["build"] for out, _ in results)
    log = (checkout.folder / ".venv" / "install.log").read_text()
    assert log.count("Successfully installed alpha") == 1


def test_no_python(checkout: Checkout, tmp_path: Path) -> None:
    tools = only_tools(tmp_path / "bin")
    line = checkout.fails(72, PARIVISION_PYTHON="", PATH=str(tools))
    assert "needs Python 3.11 or newer; found none" in line
    fake_python(tools / "python3", OLD)
    line = checkout.fails(72, PARIVISION_PYTHON="", PATH=str(tools))
    assert f"needs Python 3.11 or newer; found 3.9.2 at {tools}/python3; install it or set PARIVISION_PYTHON" in line
    assert not (checkout.folder / ".venv").exists()


def test_the_first_python_that_runs_and_is_new_enough_is_taken(checkout: Checkout, tmp_path: Path) -> None:
    first, second = only_tools(tmp_path / "first"), tmp_path / "second folder"
    second.mkdir()
    (first / "python3.13").write_text("#!/bin/sh\nexit 127\n")  # what a version manager's shim does
    (first / "python3.13").chmod(0o755)
    fake_python(first / "python3.12", OLD)
    (second / "python3.12").symlink_to(sys.executable)
    # Without metadata the set-up ends as soon as a Python runs it.
    (checkout.folder / "pyproject.toml").unlink()
    line = checkout.fails(73, PARIVISION_PYTHON="", PATH=f"{first}:{second}")
    assert "pyproject.toml" in line


def test_python_without_venv(checkout: Checkout, tmp_path: Path) -> None:
    fake_python(tmp_path / "python", "sys.modules['ensurepip'] = None")
    line = checkout.fails(72, PARIVISION_PYTHON=str(tmp_path / "python"))
    assert "apt install python3-venv" in line


def test_parivision_python_is_not_replaced_by_another(checkout: Checkout, tmp_path: Path) -> None:
    assert "not a program" in checkout.fails(72, PARIVISION_PYTHON=str(tmp_path / "absent"))
    fake_python(tmp_path / "old", OLD)
    assert f"found 3.9.2 at {tmp_path}/old" in checkout.fails(72, PARIVISION_PYTHON=str(tmp_path / "old"))


def test_failed_downloads(checkout: Checkout) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    good = checkout.wheels.rename(checkout.folder / "good wheels")
    index = {"PIP_NO_INDEX": "0", "PIP_FIND_LINKS": "", "PIP_INDEX_URL": f"http://127.0.0.1:{port}/simple"}
    line = checkout.fails(69, **index, PIP_RETRIES="1")
    assert "cannot reach the package index" in line
    line = checkout.fails(69, **index, PIP_RETRIES="0")  # pip then says nothing of the connection
    assert "could not be reached" in line
    assert checkout.state["status"] == "installing"

    wheel(checkout.wheels, "alpha", b"import os  # not what was locked\n")
    line = checkout.fails(65)
    assert "alpha does not match its checksum" in line
    assert not list(checkout.folder.glob(".venv/lib/python*/site-packages/alpha*"))

    made = (checkout.folder / ".venv" / "pyvenv.cfg").stat().st_mtime_ns
    shutil.rmtree(checkout.wheels)
    good.rename(checkout.wheels)
    done = checkout.run("build")  # the network is back, and so is the right file
    assert done.returncode == 0, done.stderr
    assert (checkout.folder / ".venv" / "pyvenv.cfg").stat().st_mtime_ns == made


def test_what_pip_says_becomes_one_line(tmp_path: Path) -> None:
    log = tmp_path / "install.log"
    said = {
        "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device": "space",
        "ERROR: Hashes are required in --require-hashes mode, but they are missing": "lacks a checksum",
        "WARNING: Retrying (Retry(total=0)) after broken by 'NewConnectionError(host='pypi.org')'": "pypi.org",
        "ERROR: something unheard of": f"pip failed: something unheard of ({log} has the details)",
    }
    for line, meaning in said.items():
        assert meaning in str(environment.why_pip_failed(["Collecting alpha", line], log))
    assert "no output" in str(environment.why_pip_failed([], log))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 60 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=60m", "tmpfs", folder], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip("needs the right to mount a small file system")
    yield folder
    subprocess.run(["umount", folder], check=True)


@pytest.mark.slow
def test_disk_full(root: Path, small_disk: Path, tmp_path: Path) -> None:
    checkout = Checkout(small_disk / "project", root, {})
    checkout.wheels = tmp_path / "wheels"
    checkout.lock(wheel(checkout.wheels, "large", b"#" * 100_000_000))
    line = checkout.fails(73)
    assert "the disk is full: .venv" in line
    assert f"needs {environment.NEEDED_MIB} MiB" in line
    assert not (checkout.folder / ".venv").exists()

    # The same when the space was there at the start, and ran out on the way.
    module = checkout.folder / "scripts" / "parivision" / "environment.py"
    module.write_text(module.read_text().replace(f"NEEDED_MIB = {environment.NEEDED_MIB}", "NEEDED_MIB = 1"))
    line = checkout.fails(73)
    assert "the disk is full" in line
    assert "make room and run this again" in line
    assert not (checkout.folder / ".venv").exists()


def test_active_environment_must_hold_the_lock(
    checkout: Checkout, ready: tuple[Checkout, subprocess.CompletedProcess[str]]
) -> None:
    other = str(ready[0].folder / ".venv")
    line = checkout.fails(72, PARIVISION_USE_ACTIVE_ENV="1", VIRTUAL_ENV=other)
    assert other in line
    assert "is not the one of requirements.txt" in line
    line = checkout.fails(72, PARIVISION_USE_ACTIVE_ENV="1", VIRTUAL_ENV="", CONDA_PREFIX="")
    assert "no environment is active" in line
    assert not (checkout.folder / ".venv").exists()


def test_help(checkout: Checkout) -> None:
    done = checkout.run("--help")
    assert done.returncode == 0
    assert "scripts/workspace build" in done.stdout
    alone = checkout.run()
    assert (alone.returncode, alone.stdout) == (2, "")
    assert alone.stderr == done.stdout
    for code in (65, 69, 70, 72, 73, 130):
        assert f"{code} " in done.stdout


def test_progress_rewrites_its_line_only_on_a_terminal() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    streams = {"terminal": Terminal(), "file": io.StringIO()}
    for stream in streams.values():
        progress = environment.Progress(stream)
        for number in range(100):
            progress.show("downloading packages", f", {number} of 100")
        progress.show("installing packages")
        progress.say("ready")
    assert streams["terminal"].getvalue().count("\r\x1b[K") == 102
    assert streams["terminal"].getvalue().count("\n") == 1
    assert streams["file"].getvalue().splitlines() == [
        "workspace: downloading packages, 0 of 100 [0 s]",
        "workspace: installing packages [0 s]",
        "workspace: ready",
    ]
