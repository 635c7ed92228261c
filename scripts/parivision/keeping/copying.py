"""What of a workspace's files goes into a backup: copies as of one moment, with every secret blotted out."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from parivision import secrets

_SQLITE = b"SQLite format 3\0"
_PIECE, _LONGEST_SECRET = 8_000_000, 65_536  # bytes
_TEXTS = {".json", ".jsonl", ".metadata", ".yaml", ".yml", ".txt", ".md", ".log", ".csv", ".html", ".ipynb", ".svg", ""}
_JSON = {".json", ".metadata", ".ipynb"}
# Models are known by their SHA-256, so they are taken as they are.
_MODELS = ("data/champions/*/files/*/*", "data/build/models/*", "data/mlflow-artifacts/*/artifacts/model/*")


def as_kept(name: str, path: Path, copy: Path) -> tuple[Path, bool]:
    """The file to put into the archive: itself, or a copy where it may change meanwhile or holds a secret.

    Parameters
    ----------
    name : str
        Its path in the archive.
    path : Path
    copy : Path
        Where a copy may be made.

    Returns
    -------
    file : Path
        `path` or `copy`.
    redacted : bool
        Whether a secret was taken out.
    """
    with path.open("rb") as file:
        head = file.read(len(_SQLITE))
    if head == _SQLITE:
        return copy, _copy_database(path, copy)
    if path.suffix not in _TEXTS or any(Path(name).match(pattern) for pattern in _MODELS):
        return path, False
    content = path.read_bytes()
    clean = _redacted(content, path.suffix)
    copy.write_bytes(clean)
    return copy, clean != content


def _redacted(content: bytes, suffix: str) -> bytes:
    text = content.decode("utf-8", "surrogateescape")  # one broken byte in a log must not let a secret through
    if suffix in _JSON:
        try:
            values = json.loads(text)
        except ValueError:
            return _redacted(content, ".txt")
        clean = secrets.redact_values(values)
        return content if clean == values else json.dumps(clean, indent=1).encode()
    return secrets.redact(text).encode("utf-8", "surrogateescape")


def _copy_database(path: Path, copy: Path) -> bool:
    """Copy a SQLite file as of one moment, whoever writes to it; gives whether a secret had to be taken out."""
    with closing(sqlite3.connect(copy)) as target:
        try:
            _copy_pages(path, "ro", target)
        except sqlite3.OperationalError as error:
            if error.sqlite_errorname != "SQLITE_READONLY_ROLLBACK":
                raise
            _copy_pages(path, "rw", target)  # a killed build's write is undone first, as by the next build
        if not _holds_a_secret(copy):
            return False
        target.create_function("redact", 1, secrets.redact, deterministic=True)
        for (table,) in target.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            for _, column, *_ in target.execute(f'PRAGMA table_info("{table}")').fetchall():
                where = f'typeof("{column}") = \'text\' AND redact("{column}") <> "{column}"'
                target.execute(f'UPDATE "{table}" SET "{column}" = redact("{column}") WHERE {where}')  # noqa: S608
        target.commit()
        target.execute("VACUUM")  # what was replaced is still in free pages
    return True


def _copy_pages(path: Path, mode: str, target: sqlite3.Connection) -> None:
    with closing(sqlite3.connect(f"file:{quote(str(path))}?mode={mode}", uri=True)) as source:
        source.backup(target)


def _holds_a_secret(path: Path) -> bool:
    """Whether a secret stands in a file, which may be too large to be read at once."""
    kept = b""
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            text = (kept + piece).decode("utf-8", "replace")
            if secrets.redact(text) != text:
                return True
            kept = (kept + piece)[-_LONGEST_SECRET:]
    return False
