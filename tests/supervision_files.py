"""Our Prometheus and Alertmanager files for a test: as they are, but with other addresses and shorter waits."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from pathlib import Path

SUPERVISION = Path(__file__).resolve().parents[1] / "dashboards" / "supervision"
_SECRETS = "/etc/alertmanager/secrets"
_FOR = re.compile(r"^( +for:) \w+$", re.MULTILINE)
_EVERY = re.compile(r"^( *(?:scrape_interval|evaluation_interval|interval):) \w+$", re.MULTILINE)
_WAIT = re.compile(r"^( *(?:group_wait|group_interval):) \w+$", re.MULTILINE)


def prometheus_files(folder: Path, targets: Mapping[str, int], interval: str = "1s") -> Path:
    """A copy of the folder of Prometheus, with keys, that asks these ports of loopback alone; its configuration.

    Parameters
    ----------
    targets : mapping
        Job -> port; jobs that are not named have no targets.
    interval : str
        In place of every interval and of every `for`.
    """
    copy = folder / "prometheus"
    shutil.copytree(SUPERVISION / "prometheus", copy, ignore=shutil.ignore_patterns("secrets"))
    for file in (copy / "targets").glob("*.yml"):
        at = targets.get(file.stem)
        file.write_text(f'- targets: ["127.0.0.1:{at}"]\n' if at else "[]\n")
    (copy / "secrets").mkdir()
    for name in ("api_key", "dashboard_token"):
        (copy / "secrets" / name).write_text("a-key-for-tests")
    config = copy / "prometheus.yml"
    text = _EVERY.sub(rf"\1 {interval}", config.read_text())
    config.write_text(text.replace("scrape_timeout: 10s", f"scrape_timeout: {interval}"))
    for file in (copy / "rules").glob("*.yml"):
        file.write_text(_FOR.sub(rf"\1 {interval}", _EVERY.sub(rf"\1 {interval}", file.read_text())))
    return config


def alertmanager_files(
    folder: Path, *, chat: str = "", mail_port: int = 0, hook: str = "", token: str = "", interval: str = "1s"
) -> Path:
    """A copy of the folder of Alertmanager, with secrets, that tells these receivers; its configuration.

    Parameters
    ----------
    chat, hook : str
        Addresses; where nothing listens, by default.
    interval : str
        In place of every wait before a message.
    """
    copy = folder / "alertmanager_files"
    shutil.copytree(SUPERVISION / "alertmanager", copy, ignore=shutil.ignore_patterns("secrets"))
    (copy / "secrets").mkdir()
    nowhere = "http://127.0.0.1:9"
    for name, held in (("alert_webhook", chat or nowhere), ("smtp_password", "none"), ("hook_token", token)):
        (copy / "secrets" / name).write_text(held)
    config = copy / "alertmanager.yml"
    text = _WAIT.sub(rf"\1 {interval}", config.read_text()).replace(_SECRETS, str(copy / "secrets"))
    for old, new in (
        ("localhost:25", f"127.0.0.1:{mail_port or 9}"),
        ("http://127.0.0.1:9181/alertmanager", hook or nowhere),
    ):
        assert text.count(old) == 1, f"{old} stands {text.count(old)} times in {config.name}"
        text = text.replace(old, new)
    config.write_text(text)
    return config
