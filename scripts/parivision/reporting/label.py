"""What a report says of itself: whether its data are simulated, from where, and when it was built."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from parivision import slots

LABEL_MIMETYPE = "application/vnd.parivision.label+json"


@dataclass(frozen=True)
class ReportLabel:
    """Shown as the value of a notebook cell, it puts the badge "Simulated data" or "Real data" on the report.

    Attributes
    ----------
    simulated : bool
    source_label : str
        Where the shots come from, in words.
    built_at : str
        When, in UTC.
    run_id : str
        Which run of the pipeline.
    slot : str
        The time that the run is for, ISO 8601 in UTC; empty for a run by hand.
    """

    simulated: bool
    source_label: str = ""
    built_at: str = ""
    run_id: str = ""
    slot: str = ""

    @property
    def words(self) -> str:
        """The badge's text."""
        return "Simulated data" if self.simulated else "Real data"

    @property
    def slot_words(self) -> str:
        """The slot for readers; what is none is shown as it is."""
        try:
            return slots.short(self.slot)
        except ValueError:
            return self.slot

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        detail = f": {self.source_label}" if self.source_label else ""
        return {LABEL_MIMETYPE: asdict(self), "text/plain": f"{self.words}{detail}"}

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> ReportLabel | None:
        """The label that notebook metadata holds; None where it does not say if the data are simulated."""
        if not isinstance(values.get("simulated"), bool):
            return None
        texts = {k: str(values.get(k) or "") for k in ("source_label", "built_at", "run_id", "slot")}
        return cls(simulated=values["simulated"], **texts)
