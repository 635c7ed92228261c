"""Every setting of the workspace: read from `PARIVISION_*` variables, then from `.env` beside pipeline.yaml."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import Literal

from pydantic import AliasChoices, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, DotEnvSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from parivision.errors import ParameterError


def workspace_root() -> Path:
    """The folder that holds pipeline.yaml: `PARIVISION_HOME` where set, else two levels above this package."""
    home = os.environ.get("PARIVISION_HOME")
    return Path(home).expanduser().resolve() if home else Path(__file__).resolve().parents[2]


def _data_dir() -> Path:
    """Where no variable says otherwise: what `env.yaml` names, for a build takes it from there."""
    import yaml  # who was given the folder, as every kernel is, does without

    root = workspace_root()
    try:
        named = yaml.safe_load((root / "env.yaml").read_text(encoding="utf-8"))["data_dir"]
    except (OSError, ValueError, yaml.YAMLError, TypeError, LookupError, RecursionError):
        named = None  # a build says what is wrong with the file; all else can go on without it
    return root / (named if named and isinstance(named, str) else ".data")


class Settings(BaseSettings):
    """What an installation decides; secrets are wrapped, so that no repr, log or notebook shows them.

    Attributes
    ----------
    data_dir : Path
        Where a build keeps its store, models and metadata; a relative path counts from the workspace root. Where it
        is not set, `data_dir` of `env.yaml`.
    mongodb_uri : SecretStr or None
        Connection string of a MongoDB server; shots are kept there where it is set, in DuckDB otherwise.
    mongodb_database : str
        Database on that server.
    mlflow_tracking_uri : str or None
        An MLflow server; the SQLite file under `data_dir` where it is not set. MLflow's own variable counts too.
    nba_stats_url : str or None
        Address that stands in for the NBA Stats service, such as a proxy or a test server.
    snapshots_kept : int
        Published snapshots to keep for the dashboard, the newest included; a link to an older one no longer opens.
    runs_kept : int
        Runs whose reports are kept in the archive, the newest included; their records are small and all stay.
    cell_timeout_minutes, task_timeout_minutes, run_timeout_minutes : float
        What a cell, a notebook and a run may take before they are ended.
    retries : int
        How often a notebook is tried again where its fault may pass: a server that does not answer.
    retry_wait_seconds : float
        Before the first of these; twice as long before each further one.
    reports_url : str
        Address under which the reports folder is served, for links in alerts; a path of this machine where empty.
    alert_file : Path or None
        Alerts are added to it, one JSON object a line; a relative path counts from the workspace root.
    alert_webhook_url : SecretStr or None
        A chat's incoming webhook.
    alert_email_to, alert_email_from : str
        Addresses, several separated by commas; and the sender.
    smtp_host, smtp_port, smtp_user, smtp_password, smtp_security
        The server that sends alerts by e-mail; security is "none", "starttls" or "tls".
    heartbeat_url : SecretStr or None
        Asked (GET) after every good scheduled run, so that a service elsewhere notices when this machine is gone.
    silent_hours : float
        Without a good scheduled run for so long after one was due, an alert says so.
    retrain_new_games : int
        So many games that the models have not learned from are a reason to train anew.
    retrain_age_days : float
        Models whose newest game is so much older than the newest stored one are trained anew.
    retrain_calibration : float
        Calibration error (ECE) of the champion on newer games, beyond chance, that is a reason to train anew.
    backups_kept : int
        Backups to keep in a folder that `parivision backup` fills by itself.
    dashboard_token, dashboard_password : SecretStr or None
        What lets a reader into the dashboard, at least eight characters; needed wherever it listens on more than
        loopback.
    dashboard_kernels : int
        Most pages of it that are open at once; 0 for what the machine carries.
    dashboard_idle_minutes : float
        A page that was not used for so long is ended.
    dashboard_abandoned_seconds : float
        A page without a connection is ended after so long.
    dashboard_pool : int
        Kernels that wait for visitors of its first page.
    dashboard_hosts : str
        Names besides localhost, separated by commas, that a reverse proxy on this machine serves it under.
    dashboard_embedded_by : str
        Origins that may show it in a frame, separated by spaces.
    api_hosts : str
        Names besides localhost, separated by commas, that the API is asked under.
    api_base_path : str
        What a reverse proxy takes off the API's addresses before it passes them on, such as /api.
    api_body_mb : float
        Largest body of a request to the API.
    api_timeout_seconds : float
        What an answer of the API may take before the asker is told to come again.
    api_requests_per_minute : int
        Of a key that was made without a limit of its own.
    ledger_days_kept : int
        Served predictions are kept so long, graded or not.
    rollout_fewest : int
        Graded predictions of a challenger before its calibration is judged.
    rollout_error_rate, rollout_slowdown, rollout_calibration : float
        A challenger is rolled back whose share of failures is higher, whose 95th percentile of answering times is so
        many times the champion's, or whose graded predictions are off by so much more, each beyond chance.
    feed_token, betsapi_token : SecretStr or None
        What the shot feed that is collected from, and BetsAPI, ask for.
    betsapi_url : str
        BetsAPI, or a server that stands in for it.
    metrics_dir : Path or None
        Folder that node-exporter's textfile collector reads; `metrics` in the data folder where not set.
    hook_token : SecretStr or None
        What Alertmanager shows when it asks for a challenger to be trained.
    services_file : Path or None
        The services that the portal lists and asks; `services.yaml` of the workspace where not set.
    portal_hosts : str
        Names besides localhost, separated by commas, that the portal is asked under.
    """

    # An empty variable (`PARIVISION_MONGODB_URI=`) is how a shell or a compose file says "not set".
    model_config = SettingsConfigDict(env_prefix="PARIVISION_", env_ignore_empty=True, extra="ignore")

    data_dir: Path = Field(default_factory=_data_dir)
    mongodb_uri: SecretStr | None = None
    mongodb_database: str = Field(default="parivision", min_length=1, max_length=63, pattern=r"^[A-Za-z0-9_-]+$")
    mlflow_tracking_uri: str | None = Field(
        default=None, validation_alias=AliasChoices("PARIVISION_MLFLOW_TRACKING_URI", "MLFLOW_TRACKING_URI")
    )
    nba_stats_url: str | None = None
    snapshots_kept: int = Field(default=10, ge=1)
    runs_kept: int = Field(default=10, ge=1)
    cell_timeout_minutes: float = Field(default=120, gt=0)
    task_timeout_minutes: float = Field(default=180, gt=0)
    run_timeout_minutes: float = Field(default=480, gt=0)
    retries: int = Field(default=2, ge=0, le=20)
    retry_wait_seconds: float = Field(default=20, ge=0, le=3600)
    reports_url: str = Field(default="", pattern=r"^(https?://[^\s]+)?$")
    alert_file: Path | None = None
    alert_webhook_url: SecretStr | None = None
    alert_email_to: str = ""
    alert_email_from: str = "parivision@localhost"
    smtp_host: str = ""
    smtp_port: int = Field(default=25, ge=1, le=65535)
    smtp_user: str = ""
    smtp_password: SecretStr | None = None
    smtp_security: Literal["none", "starttls", "tls"] = "none"
    heartbeat_url: SecretStr | None = None
    silent_hours: float = Field(default=12, gt=0)
    retrain_new_games: int = Field(default=150, ge=1)
    retrain_age_days: float = Field(default=45, gt=0)
    retrain_calibration: float = Field(default=0.02, gt=0, lt=1)
    backups_kept: int = Field(default=5, ge=1)
    dashboard_token: SecretStr | None = None
    dashboard_password: SecretStr | None = None
    dashboard_kernels: int = Field(default=0, ge=0, le=1000)
    dashboard_idle_minutes: float = Field(default=20, gt=0, le=1440)
    dashboard_abandoned_seconds: float = Field(default=60, gt=0, le=3600)
    dashboard_pool: int = Field(default=2, ge=0, le=20)
    dashboard_hosts: str = Field(default="", pattern=r"^[A-Za-z0-9.,: -]*$")
    dashboard_embedded_by: str = Field(default="", pattern=r"^[A-Za-z0-9.:/* '-]*$")
    api_hosts: str = Field(default="", pattern=r"^[A-Za-z0-9.,: -]*$")
    api_base_path: str = Field(default="", pattern=r"^(/[A-Za-z0-9_-]+)*$")
    api_body_mb: float = Field(default=16, gt=0, le=1024)
    api_timeout_seconds: float = Field(default=10, gt=0, le=600)
    api_requests_per_minute: int = Field(default=600, ge=1)
    ledger_days_kept: int = Field(default=400, ge=1)
    rollout_fewest: int = Field(default=200, ge=20)
    rollout_error_rate: float = Field(default=0.01, gt=0, lt=1)
    rollout_slowdown: float = Field(default=3, gt=1)
    rollout_calibration: float = Field(default=0.02, gt=0, lt=1)
    feed_token: SecretStr | None = None
    betsapi_token: SecretStr | None = None
    betsapi_url: str = Field(default="https://api.b365api.com", pattern=r"^https?://[^\s]+$")
    metrics_dir: Path | None = None
    hook_token: SecretStr | None = None
    services_file: Path | None = None
    portal_hosts: str = Field(default="", pattern=r"^[A-Za-z0-9.,: -]*$")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The workspace's own `.env`, wherever the process was started from."""
        if os.environ.get("PARIVISION_DOTENV") == "":  # a kernel of the dashboard: what it may know, it was given
            return init_settings, env_settings
        env_file = DotEnvSettingsSource(
            settings_cls, env_file=workspace_root() / ".env", env_file_encoding="utf-8", env_ignore_empty=True
        )
        return init_settings, env_settings, env_file

    @field_validator("data_dir", "alert_file", "metrics_dir", "services_file")
    @classmethod
    def _from_workspace_root(cls, path: Path | None) -> Path | None:
        return None if path is None else workspace_root() / path.expanduser()


@cache
def get_settings() -> Settings:
    """The settings of this process, read once; `get_settings.cache_clear()` reads them anew.

    Raises
    ------
    ParameterError
        A setting has a value that cannot be meant; the message names it without showing the value.
    """
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        name = "PARIVISION_" + "_".join(str(part) for part in first["loc"]).upper()
        raise ParameterError(
            f"{name}: {first['msg']}. Correct it in the environment or in {workspace_root() / '.env'}."
        ) from None
