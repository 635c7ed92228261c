"""The champions of a workspace: the good file or none, a record that only grows, and no word of a server needed."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import stat
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simulated_shots import features, league

from parivision.champions import Action, Champion, Champions, Event, Record
from parivision.errors import ModelError
from parivision.models import CANDIDATES, Model, save_model, sha256
from parivision.registry import Registered, Registry

NAME = "pre_shot-simulated"


class Silent:
    """A registry whose server is gone."""

    def champion(self, name: str) -> Registered | None:
        raise ModelError("MLflow at http://nowhere failed")


class Says(Silent):
    """A registry that names a champion of its own."""

    def __init__(self, registered: Registered | None) -> None:
        self.registered = registered

    def champion(self, name: str) -> Registered | None:
        return self.registered


def model(shots: int = 1000, name: str = "zone_rate") -> Model:
    fitted = CANDIDATES[name]("pre_shot")
    made = league()["made"].to_numpy(float)[:shots]
    fitted.fit(features().head(shots), made, np.ones(len(made)))
    return fitted


@pytest.fixture
def champions(tmp_path: Path) -> Champions:
    return Champions(tmp_path / "data")


@pytest.fixture
def crown(champions: Champions, tmp_path: Path) -> Callable[..., Champion]:
    """Makes a model the champion."""

    def crown(fitted: Model, name: str = NAME) -> Champion:
        path, digest = save_model(fitted, tmp_path / "made")
        champions.keep(name, path, digest)
        with champions.changing(name):
            version = len(champions.record(name).versions) + 1
            champion = Champion(
                name=name, version=version, sha256=digest, file=path.name, run_id=f"run {version}",
                registry_version=str(version), tags={"test_from": "2020-02-01"},
            )  # fmt: skip
            champions.promote(champion, "promoted", "better", {"gain": 0.01})
        return champion

    return crown


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-5])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def become_a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()
    (path / "MLmodel").write_text("flavors: {python_function: {loader_module: os}}")


def become_a_pickle(path: Path) -> None:
    path.write_bytes(pickle.dumps({"rates": [0.5] * 7}))


def test_the_champion_serves_and_all_is_well(champions: Champions, crown: Callable[..., Champion]) -> None:
    fitted = model()
    champion = crown(fitted)
    served = champions.serve(NAME)
    assert served.champion == champion
    assert served.note == ""
    assert np.array_equal(served.model.predict(features()), fitted.predict(features()))
    assert champions.names() == [NAME]


@pytest.mark.parametrize("harm", [flip, truncate, empty, become_a_folder, become_a_pickle, Path.unlink])
def test_a_harmed_champion_is_refused_and_the_one_before_it_serves(
    harm: Callable[[Path], Any], champions: Champions, crown: Callable[..., Champion]
) -> None:
    before, harmed = crown(model(1000)), crown(model(2000))
    harm(champions.path(harmed))
    served = champions.serve(NAME)
    assert served.champion == before
    assert "version 2 is refused" in served.note
    assert "version 1 serves instead" in served.note
    assert "\n" not in served.note
    with pytest.raises(ModelError):
        champions.load(harmed)


def test_the_last_good_one_of_several_serves(champions: Champions, crown: Callable[..., Champion]) -> None:
    versions = [crown(model(n)) for n in (1000, 2000, 3000)]
    for harmed in versions[1:]:
        flip(champions.path(harmed))
    served = champions.serve(NAME)
    assert served.champion == versions[0]
    assert "version 3 is refused" in served.note
    assert "version 2 is refused" in served.note


def test_where_none_loads_it_says_what_to_do(champions: Champions, crown: Callable[..., Champion]) -> None:
    truncate(champions.path(crown(model())))
    with pytest.raises(ModelError, match=r"no version of pre_shot-simulated can be loaded.*Build again$"):
        champions.serve(NAME)


def test_a_withdrawn_version_does_not_serve_by_itself(champions: Champions, crown: Callable[..., Champion]) -> None:
    """Somebody took it out: that the one before it is harmed does not bring it back, but the way is named."""
    first = crown(model(1000))
    crown(model(2000))
    champions.rollback(NAME)
    flip(champions.path(first))
    with pytest.raises(ModelError, match=r"parivision model rollback pre_shot-simulated --to VERSION` \(2\)"):
        champions.serve(NAME)
    champions.rollback(NAME, to=2)
    assert champions.serve(NAME).champion.version == 2


def test_no_champion_at_all(champions: Champions, crown: Callable[..., Champion]) -> None:
    with pytest.raises(ModelError, match=r"no champion pre_shot-real; there are none yet.*parivision build"):
        champions.serve("pre_shot-real")
    crown(model())
    with pytest.raises(ModelError, match="there is pre_shot-simulated"):
        champions.serve("pre_shot-real")
    assert champions.current("pre_shot-real") is None


@pytest.mark.parametrize("name", ["../elsewhere", "", "a/b", ".", "a\nb"])
def test_a_name_is_no_path(champions: Champions, name: str) -> None:
    with pytest.raises(ModelError, match="is no name of a champion"):
        champions.serve(name)


def test_the_registry_may_disagree_or_be_silent(champions: Champions, crown: Callable[..., Champion]) -> None:
    champion = crown(model())
    same = Registered(NAME, "1", champion.sha256, champion.file, "run 1", {})
    other = Registered(NAME, "7", "f" * 64, champion.file, "run 7", {})

    def note(registry: Silent) -> str:
        served = champions.serve(NAME, cast(Registry, registry))
        assert served.champion == champion
        return served.note

    assert note(Says(same)) == ""
    assert "version 7" in note(Says(other))
    assert "names no champion" in note(Says(None))
    assert note(Silent()) == "the registry could not be asked: MLflow at http://nowhere failed"
    assert "no copy" in champions.difference("pre_shot-real", other)
    assert champions.difference("pre_shot-real", None) == ""


def test_a_moved_workspace_keeps_its_champion(champions: Champions, crown: Callable[..., Champion]) -> None:
    champion = crown(model())
    new = champions.folder.parent.with_name("moved")
    shutil.move(champions.folder.parent, new)
    assert str(new.parent) not in (new / "champions" / NAME / "record.json").read_text()
    assert Champions(new).serve(NAME).champion == champion


def test_a_rollback_leaves_a_record_and_what_was_written_stays(
    champions: Champions, crown: Callable[..., Champion]
) -> None:
    versions = [crown(model(n)) for n in (1000, 2000, 3000)]
    before = champions.record(NAME)
    assert champions.rollback(NAME, reason="it smells") == versions[1]
    after = champions.record(NAME)
    assert after.events[:-1] == before.events
    assert after.versions == before.versions
    last = after.events[-1]
    assert (last.action, last.version, last.reason) == ("rolled back", 2, "from version 3: it smells")
    assert last.at.endswith("+00:00")
    assert champions.rollback(NAME) == versions[0]  # and not back to 3
    with pytest.raises(ModelError, match="no earlier version"):
        champions.rollback(NAME)
    fourth = crown(model(4000))
    assert champions.rollback(NAME) == versions[0]  # what was withdrawn stays withdrawn
    assert champions.rollback(NAME, to=4) == fourth
    champions.note(NAME, 4, "the server is down")
    assert champions.current(NAME) == fourth
    with pytest.raises(ModelError, match="is the champion already"):
        champions.rollback(NAME, to=4)
    for wrong in (0, 5, -1):
        with pytest.raises(ModelError, match="there are 1 to 4"):
            champions.rollback(NAME, to=wrong)
    assert all(path.is_file() for path in map(champions.path, champions.record(NAME).versions))


def test_a_rollback_skips_what_does_not_load_and_refuses_to_return_to_it(
    champions: Champions, crown: Callable[..., Champion]
) -> None:
    versions = [crown(model(n)) for n in (1000, 2000, 3000)]
    flip(champions.path(versions[1]))
    record = champions.record(NAME)
    with pytest.raises(ModelError, match="not the registered one"):
        champions.rollback(NAME, to=2)
    assert champions.record(NAME) == record
    assert champions.rollback(NAME) == versions[0]


def test_a_file_that_does_not_load_is_neither_kept_nor_crowned(champions: Champions, tmp_path: Path) -> None:
    planted = tmp_path / "pre_shot-zone_rate.json"
    planted.write_bytes(pickle.dumps({"any": "thing"}))
    with pytest.raises(ModelError, match="is a pickle"):
        champions.keep(NAME, planted, sha256(planted.read_bytes()))
    assert not list(champions.folder.rglob("*.json"))
    champion = Champion(name=NAME, version=1, sha256="a" * 64, file="pre_shot-zone_rate.json")
    with champions.changing(NAME), pytest.raises(ModelError, match="is missing"):
        champions.promote(champion, "promoted", "never kept")
    assert champions.current(NAME) is None


@pytest.mark.parametrize(
    "harm",
    [
        lambda text: text[: len(text) // 2],
        lambda text: "",
        lambda text: "[]",
        lambda text: text.replace('"pre_shot-zone_rate.json"', '"../../../etc/passwd"'),
        lambda text: text.replace('"version": 1', '"version": 2'),
        lambda text: text.replace('"promoted"', '"planted"'),
        lambda text: "\udcff\udcfe",
    ],
)
def test_a_damaged_record_is_refused_and_never_written_over(
    harm: Callable[[str], str], champions: Champions, crown: Callable[..., Champion]
) -> None:
    crown(model(1000))
    path = champions.folder / NAME / "record.json"
    path.write_text(harm(path.read_text()), encoding="utf-8", errors="surrogateescape")
    harmed = path.read_bytes()
    for call in (lambda: champions.serve(NAME), lambda: champions.rollback(NAME), lambda: crown(model(2000))):
        with pytest.raises(ModelError, match=r"record\.json is damaged .*restore it") as caught:
            call()
        assert "\n" not in str(caught.value)
    assert path.read_bytes() == harmed


def test_the_record_can_be_read_by_people_and_programs(champions: Champions, crown: Callable[..., Champion]) -> None:
    champion = crown(model())
    content = json.loads((champions.folder / NAME / "record.json").read_text())
    assert content["versions"][0]["sha256"] == champion.sha256
    assert content["events"][0] | {"at": ""} == {
        "action": "promoted", "at": "", "version": 1, "reason": "better", "numbers": {"gain": 0.01},
    }  # fmt: skip


def test_two_who_change_at_once_wait_for_each_other(champions: Champions, crown: Callable[..., Champion]) -> None:
    crown(model(1000))
    crown(model(2000))
    threads = [threading.Thread(target=champions.note, args=(NAME, 1, f"note {i}")) for i in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    reasons = [event.reason for event in champions.record(NAME).events]
    assert sorted(reasons[2:]) == sorted(f"note {i}" for i in range(20))


def test_serving_writes_nothing(champions: Champions, crown: Callable[..., Champion]) -> None:
    """As from a disk that may be read only."""
    crown(model())
    everything = [champions.folder, *champions.folder.rglob("*")]
    before = {path: (path.stat().st_mtime_ns, path.stat().st_mode) for path in everything}
    for path in everything:
        path.chmod(path.stat().st_mode & ~(stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH))
    try:
        champions.serve(NAME)
        assert {p: p.stat().st_mtime_ns for p in everything} == {p: m for p, (m, _) in before.items()}
        if os.geteuid() != 0:
            with pytest.raises(ModelError, match="cannot be written"):
                champions.rollback(NAME)
    finally:
        for path, (_, mode) in before.items():
            path.chmod(mode)


@given(
    st.lists(
        st.tuples(st.sampled_from(["promoted", "rolled back", "registry not told"]), st.integers(0, 9)), max_size=30
    )
)
@settings(deadline=None)
def test_the_champion_is_always_one_of_those_in_use_and_no_version_is_lost(steps: list[tuple[Action, int]]) -> None:
    """Whatever is promoted and rolled back, in whatever order."""
    record = Record()
    for action, pick in steps:
        versions = list(record.versions)
        if action == "promoted" or not versions:
            number, action = len(versions) + 1, "promoted"
            versions.append(
                Champion(name=NAME, version=number, sha256=f"{number:064x}", file="pre_shot-zone_rate.json")
            )
        else:
            number = pick % len(versions) + 1
        event = Event(action=action, at="", version=number, reason="")
        was = record.current
        record = Record(versions=versions, events=[*record.events, event])
        assert record.current is not None
        assert record.current == was if action == "registry not told" else record.current.version == number
        numbers = [c.version for c in record.in_use]
        assert len(numbers) == len(set(numbers))
    assert Record.model_validate_json(record.model_dump_json()) == record
