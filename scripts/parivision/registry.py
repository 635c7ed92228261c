"""MLflow's record of every candidate, and the champion: the one model of each kind that is to be used."""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from parivision.errors import ModelError
from parivision.models import Model, load_model
from parivision.settings import get_settings

EXPERIMENT = "parivision"
ALIAS = "champion"

# MLflow retries for minutes by default; a build must say within 15 s that its server is down, or does not answer.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "5")


@dataclass(frozen=True)
class Champion:
    """The registered champion of one kind.

    Attributes
    ----------
    name, version : str
        In the registry.
    sha256 : str
        Of the model file; nothing else is loaded.
    path : Path
        The file, local.
    tags : dict
        What was registered with it: candidate, split, scores.
    """

    name: str
    version: str
    sha256: str
    path: Path
    tags: dict[str, str]

    def load(self) -> Model:
        """The model, if its file is the registered one; ModelError otherwise."""
        return load_model(self.path, self.sha256)


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

    def champion(self, name: str) -> Champion | None:
        """The champion registered under a name, or None where there is none yet.

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
                if error.error_code in {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}:
                    return None
                raise
            tags = dict(version.tags)
            # A version that somebody else registered names no file of ours: it is a champion that does not load.
            return Champion(
                name=name,
                version=str(version.version),
                sha256=tags.get("sha256", ""),
                path=self._file(version.run_id, Path(tags.get("file", "unnamed")).name),
                tags=tags,
            )

    def promote(self, name: str, run_id: str, file: str, sha256: str, tags: dict[str, str]) -> Champion:
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
            self.client.set_registered_model_alias(name, ALIAS, version.version)
        champion = self.champion(name)
        if champion is None:
            raise ModelError(f"{name} was registered in {self.tracking_uri}, but no champion can be read back")
        return champion

    def _experiment(self) -> str:
        found = self.client.get_experiment_by_name(EXPERIMENT)
        if found is not None:
            return str(found.experiment_id)
        local = self.tracking_uri.startswith("sqlite:")
        return str(self.client.create_experiment(EXPERIMENT, str(self._artifacts) if local else None))

    def _file(self, run_id: str | None, file: str) -> Path:
        """The file of a run: where it lies if that is on this machine, else a copy under the data folder."""
        if not run_id:
            return self._artifacts / "no run" / file
        kept_at = str(self.client.get_run(run_id).info.artifact_uri)
        if "://" not in kept_at:
            return Path(kept_at) / "model" / file
        copies = self._artifacts.parent / "mlflow-downloads" / run_id
        copies.mkdir(parents=True, exist_ok=True)
        return Path(self.client.download_artifacts(run_id, f"model/{file}", str(copies)))

    @contextlib.contextmanager
    def _asked(self) -> Iterator[None]:
        """Says in one line, without secrets, what went wrong between us and MLflow."""
        from mlflow.exceptions import MlflowException
        from sqlalchemy.exc import SQLAlchemyError  # MLflow passes on what its database says

        try:
            yield
        except (MlflowException, SQLAlchemyError) as error:
            said = (str(error).splitlines() or [type(error).__name__])[0]
            advice = (
                "Restore that file, or move it away to start a new registry"
                if self.tracking_uri.startswith("sqlite:")
                else "Check that the server runs, or unset PARIVISION_MLFLOW_TRACKING_URI"
            )
            text = f"MLflow at {self.tracking_uri} failed: {said[:300]}. {advice}"
            raise ModelError(re.sub(r"://[^/@\s]*@", "://", text)) from None
