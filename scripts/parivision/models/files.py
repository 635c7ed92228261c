"""Model files: written whole, known by their SHA-256, and never unpickled."""

from __future__ import annotations

import hashlib
from pathlib import Path

from parivision.errors import ModelError
from parivision.files import replacing
from parivision.models.base import KINDS, Model
from parivision.models.candidates import CANDIDATES

# How every pickle of protocol 2 and later begins; the loaders would refuse one too, with words about JSON.
_PICKLE = b"\x80"
_PICKLE_PROTOCOLS = tuple(bytes([protocol]) for protocol in range(2, 6))


def sha256(data: bytes) -> str:
    """Hex digest by which a model file is known."""
    return hashlib.sha256(data).hexdigest()


def save_model(model: Model, folder: Path) -> tuple[Path, str]:
    """Write a model whole or not at all; returns the file and its SHA-256. Raises as `files.replacing`."""
    data = model.dump()
    path = folder / f"{model.kind}-{model.name}{model.suffix}"
    with replacing(path) as temporary:
        temporary.write_bytes(data)
    return path, sha256(data)


def load_model(path: Path, expected_sha256: str) -> Model:
    """Read a model that is exactly the file that was registered.

    Nothing is unpickled and no code is loaded: JSON and XGBoost's UBJSON are data.

    Raises
    ------
    ModelError
        Where the file is missing, is not the registered one, or is of a kind that is not loaded.
    """
    # Judged by its name before a byte is read: a kind of file that is never loaded needs no look inside.
    kind, _, name = path.stem.partition("-")
    if name not in CANDIDATES or kind not in KINDS or CANDIDATES[name].suffix != path.suffix:
        raise ModelError(f"{path.name} is not a kind of model that is loaded: only {', '.join(CANDIDATES)}")
    if not path.exists():
        raise ModelError(f"model file {path.name} is missing from {path.parent}; build again to train it")
    if not path.is_file():
        raise ModelError(f"{path} is no file, where model file {path.name} belongs; remove it and build again")
    data = path.read_bytes()
    if sha256(data) != expected_sha256:
        raise ModelError(
            f"model file {path.name} is not the registered one (SHA-256 {sha256(data)[:12]}, registered "
            f"{expected_sha256[:12]}); it is not loaded. Build again, or restore the file"
        )
    if data[:1] == _PICKLE and data[1:2] in _PICKLE_PROTOCOLS:
        raise ModelError(f"{path.name} is a pickle, which can run code when it is read; it is not loaded. Build again")
    model = CANDIDATES[name](kind)
    try:
        model.load(data)
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:  # XGBoost's is a ValueError
        said = (str(error).splitlines() or [""])[0]
        raise ModelError(f"{path.name} cannot be used as a {name} model ({said[:100]}); build again") from None
    return model
