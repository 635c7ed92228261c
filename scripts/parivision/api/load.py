"""How quick the API is, beside `mlflow models serve` with the same model: the measurements that the README quotes."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import numpy as np
import pyarrow as pa

from parivision.api.load_client import Load, Measured
from parivision.api.reading import ARROW, JSON
from parivision.errors import ParameterError
from parivision.files import write_json
from parivision.serving import batch
from parivision.serving.engine import Engine
from parivision.settings import get_settings
from parivision.words import counted

BATCH = 10_000  # shots
_DIFFERENT = 64  # single shots that are asked in turn
_START_SECONDS = 90


def measure(
    seconds: float = 6.0, connections: int = 8, beside_mlflow: bool = True, json_file: str | None = None
) -> str:
    """Run it all on the newest build; returns what to print.

    Parameters
    ----------
    seconds : float
        Of each measurement.
    connections : int
        For the answers a second.
    beside_mlflow : bool
        Also serve the same model with MLflow and ask that.
    json_file : str, optional
        Where to write the figures.

    Raises
    ------
    ParameterError
        A server did not start.
    """
    data_dir = get_settings().data_dir
    engine = Engine.open("pre_shot", data_dir)
    shots = _Shots(engine)
    figures: dict[str, Any] = {
        "snapshot": engine.snapshot.meta.id,
        "shots": engine.snapshot.meta.shots,
        "model": engine.served.model.name,
        "cores": os.cpu_count(),
        "load_average_before": os.getloadavg()[0],
        "connections": connections,
    }
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "server.log"
        # A ledger of its own: what a load test asks is no prediction that anybody was served.
        apart = _apart(data_dir, Path(folder))
        with _running(_api_command, log, {"PARIVISION_DATA_DIR": str(apart)}) as port:
            figures["api"] = {
                "one": _asked(port, "/v1/predict", JSON, shots.singles, 1, seconds),
                "many": _asked(port, "/v1/predict", JSON, shots.singles, connections, seconds),
                "arrow": _asked(port, "/v1/predict/batch", ARROW, [shots.arrow], 2, seconds),
                "json": _asked(port, "/v1/predict/batch", JSON, [shots.json], 2, seconds),
            }
        if beside_mlflow:
            model = _saved(engine, Path(folder) / "model")
            with _running(lambda port: _mlflow_command(model, port), log, {}, "/ping") as port:
                figures["mlflow"] = {
                    "one": _asked(port, "/invocations", JSON, shots.rows, 1, seconds),
                    "many": _asked(port, "/invocations", JSON, shots.rows, connections, seconds),
                    "json": _asked(port, "/invocations", JSON, [shots.table], 2, seconds),
                }
    if json_file:
        write_json(figures, json_file)
    return _said(figures)


class _Shots:
    """The same shots in every form that they are asked in: by players of the data, from all over the court."""

    def __init__(self, engine: Engine) -> None:
        chance = np.random.default_rng(7)
        snapshot = engine.snapshot
        players = snapshot.players.head(300).to_dict("records")
        teams = list(snapshot.teams)
        who = [players[i] for i in chance.integers(0, len(players), BATCH)]
        other = [teams[(teams.index(player["team"]) + 1) % len(teams)] for player in who]
        columns: dict[str, Any] = {
            "player_id": np.array([int(player["player_id"]) for player in who]),
            "x": np.round(chance.uniform(-24, 24, BATCH), 1),
            "y": np.round(chance.uniform(0, 28, BATCH), 1),
            "period": chance.integers(1, 5, BATCH),
            "seconds_left": chance.integers(0, 720, BATCH),
            "opponent": other,
            "home": chance.random(BATCH) < 0.5,
        }
        self.arrow = _stream(pa.table(columns))
        lists = {name: np.asarray(values).tolist() for name, values in columns.items()}
        names = ("player", "x", "y", "period", "clock", "opponent", "home")
        rows = [dict(zip(names, values, strict=True)) for values in zip(*lists.values(), strict=True)]
        asked = [{"place": {"x": row.pop("x"), "y": row.pop("y")}, **row} for row in rows]
        self.json = json.dumps({"shots": asked}).encode()
        self.singles = [json.dumps(row).encode() for row in asked[:_DIFFERENT]]
        table = {
            "x_ft": columns["x"],
            "y_ft": columns["y"],
            "period_seconds_left": columns["seconds_left"],
            "team": [player["team"] for player in who],
            **{name: columns[name] for name in ("player_id", "period", "opponent", "home")},
        }
        self._features(engine, table)

    def _features(self, engine: Engine, table: Mapping[str, Any]) -> None:
        """What MLflow is asked: the finished inputs of the same shots."""
        found = batch.inputs(table, engine.snapshot, engine.history).table
        text = found.to_json(orient="split", index=False, double_precision=9)
        self.table = b'{"dataframe_split": %s}' % text.encode()
        self.rows = [
            b'{"dataframe_split": %s}' % found.iloc[[i]].to_json(orient="split", index=False).encode()
            for i in range(_DIFFERENT)
        ]


def _stream(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    return bytes(sink.getvalue().to_pybytes())


def _apart(data_dir: Path, folder: Path) -> Path:
    """A data folder with the same snapshots and champions, and nothing else."""
    made = folder / ".data"
    made.mkdir()
    for name in ("snapshots", "champions"):
        (made / name).symlink_to((data_dir / name).resolve(), target_is_directory=True)
    return made


def _api_command(port: int) -> list[str]:
    return [sys.executable, "-m", "parivision", "api", "--port", str(port)]


def _mlflow_command(model: Path, port: int) -> list[str]:
    command = [sys.executable, "-m", "mlflow", "models", "serve", "--model-uri", str(model)]
    return [*command, "--port", str(port), "--env-manager", "local", "--host", "127.0.0.1"]


def _saved(engine: Engine, folder: Path) -> Path:
    """The champion as MLflow serves it."""
    os.environ["MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"] = "false"
    import mlflow

    from parivision.champions import Champions

    logging.getLogger("mlflow").setLevel(logging.ERROR)
    champion = engine.served.champion
    # It warns, whatever the filters say, that it cannot derive a schema; none is meant.
    with contextlib.redirect_stderr(io.StringIO()):
        mlflow.pyfunc.save_model(
            str(folder),
            python_model=str(Path(__file__).with_name("load_model.py")),  # its code, so that nothing is pickled
            model_config={"sha256": champion.sha256},
            artifacts={"model": str(Champions(get_settings().data_dir).path(champion))},
            pip_requirements=["parivision"],
        )
    return folder


@contextmanager
def _running(command: Any, log: Path, variables: dict[str, str], health: str = "/health/ready") -> Iterator[int]:
    """A server on a free port, ready to answer; ended afterwards with all that it started."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = int(free.getsockname()[1])
    # MLflow starts the programs of its environment by their names.
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    environment = {**os.environ, "PATH": path, "MLFLOW_DISABLE_TELEMETRY": "true", **variables}
    environment.setdefault("OMP_NUM_THREADS", "1")  # as the API does; for MLflow it is the quicker way as well
    with log.open("w") as output:
        server = subprocess.Popen(command(port), stdout=output, stderr=output, env=environment, start_new_session=True)
    try:
        end = time.monotonic() + _START_SECONDS
        while not _answers(f"http://127.0.0.1:{port}{health}"):
            if server.poll() is not None or time.monotonic() > end:
                raise ParameterError(f"a server did not start: {log.read_text()[-500:]}")
            time.sleep(0.2)
        yield port
    finally:
        _end(server)


def _end(server: subprocess.Popen[bytes]) -> None:
    """End a server and all that it started."""
    for sent in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):  # it has ended
            os.killpg(server.pid, sent)
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.wait(timeout=30)
            return


def _answers(url: str) -> bool:
    try:
        with urlopen(url, timeout=5):  # noqa: S310 - our own server on loopback
            return True
    except OSError:
        return False


def _asked(port: int, path: str, kind: str, bodies: list[bytes], connections: int, seconds: float) -> dict[str, Any]:
    """Ask from another process.

    Raises
    ------
    ParameterError
        The asker failed, or an answer was not 200.
    """
    load = Load(
        port, path, {"Content-Type": kind}, [base64.b64encode(b).decode() for b in bodies], connections, seconds
    )
    done = subprocess.run(
        [sys.executable, "-m", "parivision.api.load_client"],
        input=json.dumps(asdict(load)),
        capture_output=True,
        text=True,
        check=False,
        timeout=120 + 3 * seconds,
    )
    if done.returncode:
        raise ParameterError(f"the load test could not ask: {done.stderr.splitlines()[-1:]}")
    found = Measured(**json.loads(done.stdout))
    if found.failed or not found.answers:
        raise ParameterError(f"{found.failed} of the answers of {path} were errors, {found.answers} were not")
    return {**asdict(found), "load_average": os.getloadavg()[0]}


def _said(figures: dict[str, Any]) -> str:
    api, other, many = figures["api"], figures.get("mlflow"), figures["connections"]
    lines = [
        f"{figures['model']} on {figures['shots']:,} shots, {counted(figures['cores'], 'core')} shared with the asker, "
        f"load average {figures['load_average_before']:.1f} before"
    ]

    def latency(name: str, of: dict[str, Any]) -> str:
        one = of["one"]
        return f"{name:<24} p50 {one['p50_ms']:.2f} ms, p95 {one['p95_ms']:.2f} ms, p99 {one['p99_ms']:.2f} ms"

    def throughput(name: str, of: dict[str, Any]) -> str:
        found = of["many"]
        return f"{name:<24} {found['per_second']:,.0f} predictions/s, p99 {found['p99_ms']:.1f} ms"

    def shots(name: str, found: dict[str, Any]) -> str:
        return f"{name:<24} {BATCH * found['per_second']:,.0f} shots/s, p50 {found['p50_ms']:.0f} ms for {BATCH:,}"

    lines += [
        latency("one shot", api),
        throughput(f"single shots, {many} at once", api),
        shots("batches, Arrow", api["arrow"]),
        shots("batches, JSON", api["json"]),
    ]
    if other:
        lines += [
            latency("MLflow, one row", other),
            throughput(f"MLflow, {many} at once", other),
            shots("MLflow, batches, JSON", other["json"]),
            "MLflow is given finished inputs and answers a bare probability; the API makes the inputs from what a "
            "person knows, adds intervals and comparable shots, and writes its ledger.",
            f"ratio to MLflow          p50 {other['one']['p50_ms'] / api['one']['p50_ms']:.1f} times as quick, "
            f"{api['many']['per_second'] / other['many']['per_second']:.1f} times the predictions/s, "
            f"{api['arrow']['per_second'] / other['json']['per_second']:.1f} times the shots/s "
            f"({api['json']['per_second'] / other['json']['per_second']:.1f} with JSON)",
        ]
    return "\n".join(lines)
