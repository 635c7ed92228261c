"""Files are written whole or not at all."""

from __future__ import annotations

import errno
import os
import stat
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from parivision.errors import PariVisionError
from parivision.files import read_json, read_table, replacing, write_atomically, write_json, write_table


def test_a_file_and_its_folders_are_made(tmp_path: Path) -> None:
    path = tmp_path / "a folder" / "b" / "page.html"
    assert write_atomically(path, "é\r\n") == path
    assert path.read_bytes() == "é\r\n".encode()
    assert [p.name for p in path.parent.iterdir()] == ["page.html"]


@pytest.mark.parametrize(
    "error", [OSError(errno.ENOSPC, "No space left on device"), ValueError("x"), KeyboardInterrupt()]
)
def test_what_fails_half_way_leaves_the_old_file_and_nothing_else(tmp_path: Path, error: BaseException) -> None:
    path = write_atomically(tmp_path / "report.html", "old")

    def half_way() -> None:
        with replacing(path) as temporary:
            temporary.write_text("ne")
            raise error

    expected = PariVisionError if isinstance(error, OSError) else type(error)
    with pytest.raises(expected) as caught:
        half_way()
    if expected is PariVisionError:
        assert "report.html" in str(caught.value)
        assert "disk is full" in str(caught.value)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_reader_sees_the_old_file_until_the_new_one_is_whole(tmp_path: Path) -> None:
    path = write_atomically(tmp_path / "x.json", "old")
    with replacing(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
        assert temporary.suffix == path.suffix  # writers that go by the name work
    assert path.read_text() == "new"


def test_a_folder_that_cannot_be_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(PariVisionError, match="cannot write"):
        write_atomically(tmp_path / "file" / "inside", "x")


def test_files_may_be_read_by_whom_the_umask_says(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        path = write_atomically(tmp_path / "x", "")
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


def test_a_table_comes_back_as_it_was(tmp_path: Path) -> None:
    table = pd.DataFrame(
        {
            "number": pd.array([1, None], dtype="Int32"),
            "text": ["a", None],
            "day": pd.to_datetime(["2020-01-01", None]),
            "zone": pd.Categorical(["x", "y"]),
            "p": [0.1, np.nan],
        },
        index=pd.Index(["one", "two"], name="shot_id"),
    )
    pd.testing.assert_frame_equal(read_table(write_table(table, tmp_path / "t.parquet")), table)


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(json_values)
def test_json_comes_back_as_it_was(tmp_path: Path, content: object) -> None:
    try:
        str(content).encode()
    except UnicodeEncodeError:
        return  # half a surrogate pair is no text
    assert read_json(write_json(content, tmp_path / "x.json")) == content


def test_json_of_what_json_cannot_hold(tmp_path: Path) -> None:
    content = {
        "nan": float("nan"),
        "infinite": [np.inf, -np.inf],
        "numpy": np.float32(0.5),
        "count": np.int64(3),
        "day": date(2020, 1, 2),
        "path": Path("a/b"),
    }
    expected = {"nan": None, "infinite": [None, None], "numpy": 0.5, "count": 3, "day": "2020-01-02", "path": "a/b"}
    path = write_json(content, tmp_path / "x.json")
    assert read_json(path) == expected
    assert "NaN" not in path.read_text()
