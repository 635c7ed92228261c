"""MLflow's record of every candidate, and of which version is the champion of each kind.

A SQLite file under the data folder, or a server where settings name one. MLflow itself reads who we are to a server
from `MLFLOW_TRACKING_USERNAME` and `MLFLOW_TRACKING_PASSWORD`, or from `MLFLOW_TRACKING_TOKEN`. What serves is the
workspace's own copy (`champions`): no prediction waits for a server.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import tempfile
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from parivision.errors import ModelError, RegistryUnreachable
from parivision.settings import get_settings

# What a server that is down, or just being restarted, and a database that another process is writing to say.
_MAY_PASS = re.compile(
    r"Max retries exceeded|Connection (aborted|reset)|error code 50[234]|database is locked", re.IGNORECASE
)
EXPERIMENT = "parivision"
ALIAS = "champion"

# MLflow retries for minutes by default; a build must say within 15 s that its server is down, or does not answer.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "5")
# Its progress bars and addresses have no place in a report or in a command's output.
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")


@dataclass(frozen=True)
class Registered:
    """The version that MLflow names champion.

    Attributes
    ----------
    name, version : str
        In MLflow.
    sha256, file : str
        Of the model file, as they were registered; empty where somebody else registered it.
    run_id : str
        Of the run that holds the file.
    tags : dict
        What was registered with it: candidate, split.
    """

    name: str
    version: str
    sha256: str
    file: str
    run_id: str
    tags: dict[str, str]


@dataclass(frozen=True)
class Run:
    """One recorded candidate: `parameters` as text, `metrics`, `tags`, and the model's `file` and `sha256`."""

    run_id: str
    parameters: dict[str, str]
    metrics: dict[str, float]
    tags: dict[str, str]

    @property
    def file(self) -> str:
        """Name of its model file, without any folder that a tag may claim."""
        return Path(self.tags.get("file", "unnamed")).name

    @property
    def sha256(self) -> str:
        """Of its model file; empty where it was not recorded by this package."""
        return self.tags.get("sha256", "")


def registered_name(kind: str, simulated: bool) -> str:
    """Name of the registered model: simulated and real data have champions of their own, never each other's."""
    return f"{kind}-{'simulated' if simulated else 'real'}"


class Registry:
    """A thin layer over MLflow: SQLite under the data folder, or the server that settings name."""

    def __init__(self, tracking_uri: str | None = None, data_dir: Path | None = None) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a progress bar that no report could show
            import mlflow

        settings = get_settings()
        folder = data_dir or settings.data_dir
        folder.mkdir(parents=True, exist_ok=True)
        self._downloads = folder / "mlflow-downloads"
        self.tracking_uri = tracking_uri or settings.mlflow_tracking_uri or f"sqlite:///{folder.resolve()}/mlflow.db"
        self._artifacts = (folder / "mlflow-artifacts").resolve()
        with self._asked():
            # Both addresses given, none set for the process: that would outlive this registry, in the environment.
            self.client = mlflow.MlflowClient(self.tracking_uri, registry_uri=self.tracking_uri)

    def record(
        self,
        run_name: str,
        parameters: dict[str, Any],
        metrics: dict[str, float],
        tags: dict[str, str],
        model_file: Path,
        images: dict[str, bytes] | None = None,
    ) -> str:
        """One MLflow run for one candidate, with its model file and PNG images; returns the run's id.

        Raises
        ------
        ModelError
            Where MLflow cannot be reached or refuses.
        """
        from mlflow.entities import Metric, Param

        with self._asked():
            run = self.client.create_run(self._experiment(), run_name=run_name, tags=tags)
            run_id = str(run.info.run_id)
            # One write for all: a call for each takes seconds on SQLite.
            now_ms = int(time.time() * 1000)
            self.client.log_batch(
                run_id,
                metrics=[Metric(key, number, now_ms, 0) for key, number in metrics.items()],
                params=[Param(key.replace("(", "").replace(")", ""), str(value)) for key, value in parameters.items()],
            )
            self.client.log_artifact(run_id, str(model_file), "model")
            for name, image in (images or {}).items():
                with tempfile.TemporaryDirectory() as folder:
                    path = Path(folder) / f"{name}.png"
                    path.write_bytes(image)
                    self.client.log_artifact(run_id, str(path), "figures")
            self.client.set_terminated(run_id)
        return run_id

    def champion(self, name: str) -> Registered | None:
        """The version that MLflow names champion, or None where there is none yet.

        Raises
        ------
        ModelError
            Where MLflow cannot be reached.
        """
        from mlflow.exceptions import MlflowException

        with self._asked():
            try:
                version = self.client.get_model_version_by_alias(name, ALIAS)
            except MlflowException as error:
                # Only these words: a server of another kind answers 404 too, and that is no empty registry.
                if re.search(
                    r"alias \S+ not found|Registered Model with name=\S+ not found", str(error), re.IGNORECASE
                ):
                    return None
                raise
            tags = dict(version.tags)
            file = Path(tags.get("file", "unnamed")).name
            found = (tags.get("sha256", ""), file, str(version.run_id or ""), tags)
            return Registered(name, str(version.version), *found)

    def promote(self, name: str, run_id: str, file: str, sha256: str, tags: dict[str, str]) -> Registered:
        """Register a run's model file as a new version, and make that version the champion.

        Raises
        ------
        ModelError
            Where MLflow cannot be reached or refuses; the old champion is then still the champion.
        """
        from mlflow.exceptions import MlflowException

        with self._asked():
            try:
                self.client.create_registered_model(name)
            except MlflowException as error:
                if error.error_code != "RESOURCE_ALREADY_EXISTS":
                    raise
            artifact_uri = self.client.get_run(run_id).info.artifact_uri
            version = self.client.create_model_version(
                name, source=f"{artifact_uri}/model", run_id=run_id, tags={**tags, "sha256": sha256, "file": file}
            )
        # The alias moves last: until then the old champion is the champion.
        self.point(name, str(version.version), sha256)
        champion = self.champion(name)
        if champion is None:
            raise ModelError(f"{name} was registered in {self.said_uri}, but no champion can be read back")
        return champion

    def point(self, name: str, version: str, sha256: str) -> None:
        """Make a version the champion that exists already.

        Raises
        ------
        ModelError
            Where MLflow cannot be reached, or has no such version, or one of another file.
        """
        with self._asked():
            found = self.client.get_model_version(name, version)
            if dict(found.tags).get("sha256") != sha256:
                raise ModelError(f"version {version} of {name} in MLflow at {self.said_uri} is another file")
            self.client.set_registered_model_alias(name, ALIAS, version)

    def run(self, run_id: str) -> Run:
        """One recorded candidate; ModelError where there is no such run, or MLflow cannot be reached."""
        with self._asked():
            found = self.client.get_run(run_id)
        return Run(run_id, dict(found.data.params), dict(found.data.metrics), dict(found.data.tags))

    def note(self, run_id: str, metrics: dict[str, float], tags: dict[str, str]) -> None:
        """Add figures and tags to a run, as the gate does; ModelError where MLflow cannot be reached."""
        from mlflow.entities import Metric, RunTag

        now_ms = int(time.time() * 1000)
        with self._asked():
            self.client.log_batch(
                run_id,
                metrics=[Metric(key, number, now_ms, 0) for key, number in metrics.items()],
                tags=[RunTag(key, value) for key, value in tags.items()],
            )

    def model_file(self, run_id: str, file: str) -> Path:
        """The model file of a run: where it lies if that is on this machine, else a copy under the data folder.

        Raises
        ------
        ModelError
            Where there is no such run, or MLflow cannot be reached. A file that is missing is for `load_model` to say.
        """
        with self._asked():
            kept_at = str(self.client.get_run(run_id).info.artifact_uri)
            if not re.match(r"[a-z][a-z0-9+.-]*:", kept_at):  # a plain path; mlflow-artifacts: and s3: are asked for
                own = self._artifacts / run_id / "artifacts"  # also where the workspace was moved since
                return (own if own.is_dir() else Path(kept_at)) / "model" / file
            copies = self._downloads / run_id
            copies.mkdir(parents=True, exist_ok=True)
            return Path(self.client.download_artifacts(run_id, f"model/{file}", str(copies)))

    def check(self) -> None:
        """Ask for nothing in particular; ModelError, within 15 s, where MLflow does not answer."""
        with self._asked():
            self.client.search_experiments(max_results=1)

    @property
    def said_uri(self) -> str:
        """The address without the secrets that it may hold."""
        return _masked(self.tracking_uri)

    def _experiment(self) -> str:
        """The experiment that this workspace writes to, made where it does not exist."""
        if not self.tracking_uri.startswith("sqlite:"):
            return self._named_experiment(EXPERIMENT, None)
        # MLflow keeps the folder of an experiment's files as an absolute path: after a move that is the old place.
        found = self.client.get_experiment_by_name(EXPERIMENT)
        own = found is None or Path(str(found.artifact_location)) == self._artifacts
        place = hashlib.sha256(str(self._artifacts).encode()).hexdigest()[:8]
        return self._named_experiment(EXPERIMENT if own else f"{EXPERIMENT}-{place}", str(self._artifacts))

    def _named_experiment(self, name: str, folder: str | None) -> str:
        found = self.client.get_experiment_by_name(name)
        return str(found.experiment_id if found is not None else self.client.create_experiment(name, folder))

    @contextlib.contextmanager
    def _asked(self) -> Iterator[None]:
        """Says in one line, without secrets, what went wrong between us and MLflow."""
        from mlflow.exceptions import MlflowException
        from sqlalchemy.exc import SQLAlchemyError  # MLflow passes on what its database says

        try:
            yield
        except (MlflowException, SQLAlchemyError) as error:
            said = _short(str(error)) or type(error).__name__
            if "not found" in said or "Invalid value" in said:
                advice = "`parivision mlflow` shows what there is"
            elif self.tracking_uri.startswith("sqlite:"):
                advice = "Restore that file, or move it away to start a new registry"
            elif re.search(r"error code 40[13]|permission_denied|unauthenticated", said, re.IGNORECASE):
                advice = "Set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN"
            else:
                advice = "Check that the server runs, or unset PARIVISION_MLFLOW_TRACKING_URI and MLFLOW_TRACKING_URI"
            kind = RegistryUnreachable if _MAY_PASS.search(str(error)) else ModelError
            raise kind(_masked(f"MLflow at {self.tracking_uri} failed: {said}. {advice}")) from None


def _masked(text: str) -> str:
    return re.sub(r"://[^/@\s]*@", "://", text)


def _short(said: str) -> str:
    """The first line of an error, and of a connection that failed no more than how."""
    for sign, how in (("refused", "the connection is refused"), ("timed out", "it does not answer in time")):
        if "Max retries exceeded" in said and sign in said:
            return how
    return (said.splitlines() or [""])[0][:300].rstrip(".")
