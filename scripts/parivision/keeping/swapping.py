"""One folder in the place of another, in one step where the system can; what was there is put aside, not deleted."""

from __future__ import annotations

import ctypes
import errno
import os
from pathlib import Path

from parivision.errors import PariVisionError

_AT_FDCWD, _RENAME_EXCHANGE = -100, 2  # of Linux


def check_movable(folder: Path) -> Path:
    """The folder itself where `folder` is a link to it.

    Raises
    ------
    PariVisionError
        It is where a disk is mounted, so that it can't be renamed.
    """
    real = folder.resolve()
    if real.is_mount():
        raise PariVisionError(
            f"{real} is where a disk is mounted, and can't be replaced as a whole: empty it and name a folder in it "
            "(PARIVISION_DATA_DIR), then try again"
        )
    return real


def swap(new: Path, place: Path, aside: Path) -> None:
    """Put the folder `new` in the place of `place`, which is found as `aside` from then on.

    All three lie in the same file system; `aside` does not exist. Whenever this is killed, `place` holds the old
    content or the new, and the other one is whole under `aside`.

    Raises
    ------
    OSError
        Nothing was changed then.
    """
    new.rename(aside)
    try:
        _exchange(aside, place)
    except OSError:
        aside.rename(new)
        raise


def _exchange(one: Path, other: Path) -> None:
    """Exchange two names; in three steps on a system or disk that can't in one."""
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if rename is not None:
        names = os.fsencode(one), os.fsencode(other)
        if rename(_AT_FDCWD, names[0], _AT_FDCWD, names[1], _RENAME_EXCHANGE) == 0:
            return
        number = ctypes.get_errno()
        if number not in (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP):
            raise OSError(number, os.strerror(number), str(other))
    between = one.with_name(f"{one.name}-old")
    other.rename(between)
    try:
        one.rename(other)
    except OSError:
        between.rename(other)
        raise
    between.rename(one)
