"""What a running API holds, and how it keeps up with what is published and promoted."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

from parivision.api.access import Access
from parivision.api.metrics import Metrics
from parivision.api.predicting import Desk
from parivision.champions import Served
from parivision.errors import PariVisionError
from parivision.secrets import redact
from parivision.serving.current import KINDS
from parivision.serving.router import Router

_log = logging.getLogger("parivision.api")
REFRESH_SECONDS = 1.0
_NOT_LOOKED_YET = "the server has just started and reads what is published; ask again in a moment"


class State:
    """One server's; shared by all its requests.

    Attributes
    ----------
    problem : str
        Why no prediction can be answered; empty where all is well.
    detail : str
        What serves, in words.
    """

    def __init__(self, data_dir: Path, router: Router, access: Access, metrics: Metrics) -> None:
        self.data_dir = data_dir
        self.router = router
        self.access = access
        self.metrics = metrics
        self.desk = Desk(router, metrics)
        self.problem = _NOT_LOOKED_YET
        self.detail = ""
        self._said: set[str] = set()

    def refresh(self) -> None:
        """Take up a new champion, snapshot or rollout, and note what serves; whatever is wrong, it is tried again."""
        try:
            said = self.router.refresh()
        except Exception as error:  # the next look may find it mended; requests go on with what serves
            _log.exception("what is published cannot be taken up: %s", type(error).__name__)
            said = []
        for line in said:
            if line not in self._said:  # a fault that stays is said once
                _log.info("taken up", extra={"fields": {"what": redact(line)}})
        self._said = set(said)
        self._look()

    def close(self) -> None:
        """Finish what was begun."""
        self.desk.close()
        self.router.close()

    async def keep_up(self) -> None:
        """Refresh again and again, aside from the requests, until cancelled."""
        while True:
            await asyncio.to_thread(self.refresh)
            await asyncio.sleep(REFRESH_SECONDS)

    def _look(self) -> None:
        serving: dict[str, Served] = {}
        problem = ""
        for kind in KINDS:
            try:
                engine = self.router.current.engine(kind)
            except PariVisionError as error:
                problem = problem or redact(str(error))
            else:
                serving[kind] = engine.served
                self.detail = f"snapshot {engine.snapshot.meta.id}"
        if serving and self.router.ledger.problem:
            self.detail += f"; the ledger cannot be written and lacks {self.router.ledger.unwritten:,} predictions"
        self.metrics.champions = serving
        # Who asks about a shot before it is taken can be answered; labels can wait for their model.
        self.problem = "" if "pre_shot" in serving else problem
        self.metrics.ready.set(0 if self.problem else 1)
