"""New champions and new data are taken up while others ask, and what is damaged leaves the old one serving."""

from __future__ import annotations

import json
import shutil
import threading
import time
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from published_workspace import workspace
from simulated_shots import features, league

from parivision.champions import Champion, Champions
from parivision.errors import ModelError, SnapshotError
from parivision.models import CANDIDATES, save_model
from parivision.published import Snapshots
from parivision.serving.current import KINDS, Current

NAME = "pre_shot-simulated"


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return workspace(tmp_path)


def promote(data_dir: Path, *, harm: bool = False) -> Champion:
    """A further version of the pre-shot champion: the zone's rates."""
    model = CANDIDATES["zone_rate"]("pre_shot")
    made = league()["made"].to_numpy(float)
    model.fit(features(), made, np.ones(len(made)))
    path, digest = save_model(model, data_dir / "made")
    champions = Champions(data_dir)
    champions.keep(NAME, path, digest)
    version = len(champions.record(NAME).versions) + 1
    champion = Champion(name=NAME, version=version, sha256=digest, file=path.name)
    with champions.changing(NAME):
        champions.promote(champion, "promoted", "to be tried")
    if harm:
        champions.path(champion).write_bytes(b"{}")
    return champion


def publish(data_dir: Path, id_: str) -> Path:
    """The same data again as a newer snapshot, its last day one later."""
    old = Snapshots(data_dir).open()
    folder = old.folder.parent / id_
    draft = folder.with_name(".draft-of-a-test")
    shutil.copytree(old.folder, draft)
    meta = old.meta.to_json()
    created = datetime.fromisoformat(meta["created_at"]) + timedelta(hours=1)
    (draft / "meta.json").write_text(json.dumps({**meta, "id": id_, "created_at": created.isoformat()}))
    draft.rename(folder)
    return folder


def answer_of(current: Current) -> float:
    engine = current.engine("pre_shot")
    return engine.answer([engine.shot(0, 8.0, 9.0)])[0].probability.value


def test_where_nothing_is_published_nothing_serves_yet(tmp_path: Path) -> None:
    current = Current(tmp_path / ".data")
    with pytest.raises(SnapshotError, match="nothing has been published"):
        current.engine("pre_shot")
    assert current.refresh() == []
    shutil.copytree(workspace(tmp_path / "elsewhere"), tmp_path / ".data")
    assert len(current.refresh()) == len(KINDS)
    assert current.engine("pre_shot").served.champion.version == 1


def test_a_kind_without_a_champion_does_not_keep_the_other_from_serving(data_dir: Path) -> None:
    shutil.rmtree(data_dir / "champions" / "review-simulated")
    current = Current(data_dir)
    assert current.engine("pre_shot").served.champion.name == NAME
    with pytest.raises(ModelError, match="no champion review-simulated"):
        current.engine("review")
    assert any("review" in problem for problem in current.problems)


def test_a_promotion_and_a_rollback_are_taken_up(data_dir: Path) -> None:
    current = Current(data_dir)
    first, was = current.engine("pre_shot"), answer_of(current)
    review = current.engine("review")
    assert current.refresh() == []
    assert current.engine("pre_shot") is first
    promote(data_dir)
    assert current.refresh() == [f"{NAME} version 2 serves"]
    second = current.engine("pre_shot")
    assert (second.served.champion.version, second.snapshot, second.history) == (2, first.snapshot, first.history)
    assert answer_of(current) != was
    assert current.engine("review") is review
    Champions(data_dir).rollback(NAME)
    assert current.refresh() == [f"{NAME} version 1 serves"]
    assert answer_of(current) == was


def test_a_damaged_champion_leaves_the_old_one_serving_and_is_said(data_dir: Path) -> None:
    current = Current(data_dir)
    was = answer_of(current)
    champion = promote(data_dir, harm=True)
    said = current.refresh()
    assert any("version 2 is refused" in text and "version 1 serves" in text for text in said)
    assert current.problems
    assert answer_of(current) == was
    engine = current.engine("pre_shot")
    assert [w.code for w in engine.warnings] == ["simulated_data", "model_fallback"]
    assert current.refresh() == []
    assert current.engine("pre_shot") is engine
    # Restored, it is taken up though nobody promotes it again.
    shutil.copyfile(data_dir / "made" / champion.file, Champions(data_dir).path(champion))
    assert current.refresh() == [f"{NAME} version 2 serves"]
    assert current.problems == []


def test_a_champion_in_memory_outlives_its_file(data_dir: Path) -> None:
    current = Current(data_dir)
    was, engine = answer_of(current), current.engine("pre_shot")
    champions = Champions(data_dir)
    champions.path(engine.served.champion).write_bytes(b"{}")
    assert current.refresh() == []
    assert (answer_of(current), current.engine("pre_shot")) == (was, engine)


def test_a_damaged_record_leaves_all_serving(data_dir: Path) -> None:
    current = Current(data_dir)
    engine = current.engine("pre_shot")
    (data_dir / "champions" / NAME / "record.json").write_text("{")
    said = current.refresh()
    assert len(said) == 1
    assert "version 1 serves on" in said[0]
    assert current.engine("pre_shot") is engine


def test_new_data_are_taken_up_whole(data_dir: Path) -> None:
    current = Current(data_dir)
    old = {kind: current.engine(kind) for kind in KINDS}
    publish(data_dir, "0123456789ab")
    assert current.refresh() == [f"{kind}-simulated version 1 serves on snapshot 0123456789ab" for kind in KINDS]
    for kind in KINDS:
        engine = current.engine(kind)
        assert engine.snapshot.meta.id == "0123456789ab"
        assert engine.history is not old[kind].history
        assert engine.served is old[kind].served
    assert current.engine("pre_shot").snapshot is current.engine("review").snapshot


@pytest.mark.parametrize("file", ["history.npz", "shots.duckdb"])
def test_damaged_data_leave_the_old_ones_serving(data_dir: Path, file: str) -> None:
    current = Current(data_dir)
    engine = current.engine("pre_shot")
    folder = publish(data_dir, "0123456789ab")
    whole = (folder / file).read_bytes()
    (folder / file).write_bytes(b"x" * 100)
    promote(data_dir)
    assert current.refresh() == [f"{NAME} version 2 serves", *current.problems]
    assert [text.split(":")[0] for text in current.problems] == ["the newest snapshot cannot be taken up"]
    assert current.engine("pre_shot").snapshot is engine.snapshot
    answer_of(current)
    (folder / file).write_bytes(whole)
    assert any("serves on snapshot 0123456789ab" in text for text in current.refresh())
    assert current.problems == []
    assert current.engine("pre_shot").served.champion.version == 2


def test_every_answer_during_a_swap_is_of_one_model_and_whole(data_dir: Path) -> None:
    """Threads ask without a pause while champions and snapshots change twenty times."""
    current = Current(data_dir)
    values = {1: answer_of(current)}
    promote(data_dir)
    current.refresh()
    values[2] = answer_of(current)
    seen: set[int] = set()
    wrong: list[str] = []
    over = threading.Event()

    def ask() -> None:
        while not over.is_set():
            try:
                engine = current.engine("pre_shot")
                answered = engine.answer([engine.shot(0, 8.0, 9.0)] * 3)
            except Exception as error:
                wrong.append(repr(error))
                return
            version = engine.served.champion.version
            # To the last bit a sum depends on how many shots are summed at once.
            if any(abs(a.probability.value - values[version]) > 1e-12 for a in answered):
                wrong.append(f"version {version} said {answered}")
            seen.add(version)

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    champions = Champions(data_dir)
    for swap in range(20):
        if swap % 10 == 4:
            publish(data_dir, f"{swap:012x}")
        champions.rollback(NAME, 1 + swap % 2)
        assert current.refresh() != []
        deadline = time.monotonic() + 60
        while 1 + swap % 2 not in seen and not wrong and time.monotonic() < deadline:
            time.sleep(0.01)
    over.set()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert seen == {1, 2}
