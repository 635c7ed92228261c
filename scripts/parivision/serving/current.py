"""What serves now: the newest snapshot and its champions, exchanged for newer ones while others are asking.

Everything new is read aside, by whoever calls `refresh`, and put in place by exchanging one reference: a request that
has begun ends with the engine it began with, whole. What cannot be read leaves the old one serving.
"""

from __future__ import annotations

import threading
from pathlib import Path

from parivision.champions import Champions
from parivision.errors import ModelError, SnapshotError
from parivision.features import History
from parivision.nearby import nearby
from parivision.published import Snapshot, Snapshots
from parivision.published.snapshots import FOLDER, HISTORY_FILE
from parivision.serving.engine import Engine, Kind, champion_name

KINDS: tuple[Kind, ...] = ("pre_shot", "review")
_Stamp = frozenset[tuple[str, int, int, int]]


class Current:
    """The engines of a workspace; any number of threads may ask for one.

    Parameters
    ----------
    data_dir : Path
        Of the workspace.

    Attributes
    ----------
    problems : list of str
        What could not be taken up at the last look that found something new.
    """

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self.problems: list[str] = []
        self._engines: dict[Kind, Engine] = {}
        self._missing: dict[Kind, ModelError | SnapshotError] = {}
        self._seen: _Stamp | None = None
        self._lock = threading.Lock()

    def engine(self, kind: Kind) -> Engine:
        """What answers for a kind.

        Raises
        ------
        ModelError, SnapshotError
            Nothing can serve yet.
        """
        if self._seen is None:
            self.refresh()
        found = self._engines.get(kind)
        if found is None:
            raise self._missing.get(kind) or ModelError(f"there is no kind of model {kind}")
        return found

    def refresh(self) -> list[str]:
        """Take up a new champion or a new snapshot; where nothing changed, a look at a few files' times is all.

        Returns
        -------
        list of str
            What changed, and what could not be taken up; nothing where no file has changed since the last look.
        """
        with self._lock:
            # What comes while this reads is seen the next time.
            stamp = self._stamp()
            if stamp == self._seen:
                return []
            changed, self.problems = self._take_up()
            self._seen = stamp
            return changed + self.problems

    def _take_up(self) -> tuple[list[str], list[str]]:
        """What changed, and what could not be taken up."""
        said: list[str] = []
        snapshot, history = self._data(said)
        if snapshot is None or history is None:
            return [], said
        changed, engines = [], dict(self._engines)
        for kind in KINDS:
            try:
                engine = self._engine(kind, snapshot, history)
            except (ModelError, SnapshotError) as error:
                self._missing[kind] = error
                said.append(f"{self._label(kind)}{error}")
                continue
            before = self._engines.get(kind)
            if engine is not before:
                engines[kind] = engine
                changed.append(_change(before, engine))
            if engine.served.note:
                said.append(f"{kind}: {engine.served.note}")
        self._engines = engines
        return changed, said

    def _label(self, kind: Kind) -> str:
        """How a message begins about what cannot be taken up."""
        before = self._engines.get(kind)
        return f"{kind}: version {before.served.champion.version} serves on: " if before else f"{kind}: "

    def _data(self, said: list[str]) -> tuple[Snapshot | None, History | None]:
        """The newest snapshot that can be read; the one that serves is not read again."""
        served = {engine.snapshot.meta.id: engine for engine in self._engines.values()}
        try:
            newest = Snapshots(self.data_dir).open()
            if newest.meta.id in served:
                engine = served[newest.meta.id]
                return engine.snapshot, engine.history
            nearby(newest).load()  # nothing of it may turn out to be damaged when a champion is to serve on it
            return newest, History.load(newest.folder / HISTORY_FILE)
        except (ModelError, SnapshotError) as error:
            said.append(f"the newest snapshot cannot be taken up: {error}")
            if not served:
                self._missing = dict.fromkeys(KINDS, error)
                return None, None
            engine = next(iter(served.values()))
            return engine.snapshot, engine.history

    def _engine(self, kind: Kind, snapshot: Snapshot, history: History) -> Engine:
        """The engine that a kind should have, read where it is new; the one it has where that is the same."""
        before, champions = self._engines.get(kind), Champions(self.data_dir)
        name = champion_name(kind, snapshot)
        if before is not None and before.served.champion == champions.current(name):
            served = before.served  # in memory and whole, whatever became of its file
        else:
            served = champions.serve(name)
        if before is None or before.snapshot is not snapshot:
            return Engine(kind, snapshot, history, served).ready()
        same = (before.served.champion, before.served.note) == (served.champion, served.note)
        return before if same else before.with_model(served).ready()

    def _stamp(self) -> _Stamp:
        """Time, size and number of every file that says what should serve."""
        champions, snapshots = self.data_dir / "champions", self.data_dir / FOLDER
        paths = (*champions.glob("*/record.json"), *champions.glob("*/files/*/*"), *snapshots.glob("*/*"))
        found = set()
        for path in paths:
            try:
                about = path.stat()
            except OSError:  # it was taken away meanwhile
                continue
            found.add((str(path), about.st_mtime_ns, about.st_size, about.st_ino))
        return frozenset(found)


def _change(before: Engine | None, now: Engine) -> str:
    champion = now.served.champion
    data = "" if before is not None and before.snapshot is now.snapshot else f" on snapshot {now.snapshot.meta.id}"
    return f"{champion.name} version {champion.version} serves{data}"
