"""What a page of the dashboard is: a state that is exactly its link, and what it shows for that state."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Self, get_origin
from urllib.parse import urlencode

import pandas as pd
import plotly.graph_objects as go
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from parivision.dashboard.session import Session
from parivision.errors import ParameterError

Query = Mapping[str, Sequence[str]]
# The values of a form or a link are text from outside: longer than any name, and cut before anything reads them.
_LONGEST_VALUE = 200
_MOST_VALUES = 60


class PageState(BaseModel):
    """What a page shows: every field is a parameter of its link, and nothing else decides what is seen.

    A field's default is what the bare address shows, so defaults are left out of links. A field that is a tuple may
    appear many times; a bool is "1".

    Attributes
    ----------
    units : str
        "ft" or "m", for lengths on the page; the state itself is in feet.
    snapshot, model : str
        What a shared link pins: a snapshot's id, and the champions' versions; empty for the newest.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    units: Literal["ft", "m"] = "ft"
    snapshot: str = Field(default="", pattern=r"^[0-9a-f]{0,64}$")
    model: str = Field(default="", pattern=r"^[0-9.]{0,20}$")

    @classmethod
    def from_query(cls, query: Query) -> tuple[Self, list[str]]:
        """The state of a link or a form, and a sentence for each value that could not be meant and was left out."""
        given: dict[str, Any] = {}
        for name, info in cls.model_fields.items():
            values = [str(v)[:_LONGEST_VALUE] for v in query.get(name, ()) if str(v).strip()][:_MOST_VALUES]
            if values:
                given[name] = tuple(values) if get_origin(info.annotation) is tuple else values[-1]
        notes: list[str] = []
        while True:
            try:
                return cls.model_validate(given), notes
            except ValidationError as error:
                wrong = {str(e["loc"][0]) for e in error.errors() if e["loc"]} & given.keys()
                if not wrong:  # what is left contradicts itself as a whole
                    return cls(), [*notes, "The link's values don't fit together; the page shows its defaults."]
                for name in sorted(wrong):
                    del given[name]
                    notes.append(f"The value of {name.replace('_', ' ')} can't be read and was left out.")

    def to_query(self, **changes: Any) -> str:
        """The link's parameters, without defaults, such as "player=201939&units=m"."""
        state = self.model_copy(update=changes)
        pairs: list[tuple[str, str]] = []
        for name, info in type(self).model_fields.items():
            value = getattr(state, name)
            if value == info.get_default(call_default_factory=True) or value is None:
                continue
            each = value if isinstance(value, tuple) else (value,)
            pairs += [(name, "1" if v is True else str(v)) for v in each]
        return urlencode(pairs)

    def changed(self, **changes: Any) -> Self:
        """The state with some fields replaced, checked."""
        return type(self).model_validate({**self.model_dump(), **changes})


@dataclass(frozen=True)
class Shown:
    """What a page answers for a state.

    Attributes
    ----------
    context : dict
        For the page's template.
    figures : dict
        By the id that the template's `figure` macro names.
    tables : dict
        By the name that a CSV button asks for; units stand in the columns' names.
    title : str
        Of the browser's tab.
    sentence : str
        What the page shows, in one sentence: read out after every change.
    notes : list of str
        What was left out of a link or a filter, and why.
    """

    context: dict[str, Any] = field(default_factory=dict)
    figures: dict[str, go.Figure] = field(default_factory=dict)
    tables: dict[str, pd.DataFrame] = field(default_factory=dict)
    title: str = ""
    sentence: str = ""
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Download:
    """A file that a page hands to the browser."""

    name: str
    mime: str
    text: str


class Page(ABC):
    """One page; it keeps nothing between calls, so that a link shows what its sender saw.

    Attributes
    ----------
    name : str
        In the address: letters and underscores.
    title : str
        In the navigation.
    template : str
        File under `templates/`.
    State : type
        Its parameters.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    template: ClassVar[str]
    State: ClassVar[type[PageState]] = PageState

    @abstractmethod
    def show(self, state: Any, session: Session) -> Shown:
        """What to show for a state."""

    def act(self, state: Any, name: str, value: str, session: Session) -> PageState:
        """The state after a button or input whose name begins with "do:" was used; `name` is what follows."""
        raise ParameterError(f"the page {self.title} has no action {name[:40]!r}. Reload it.")

    def download(self, state: Any, name: str, session: Session) -> Download:
        """The file behind a button that is neither a table nor a figure."""
        raise ParameterError(f"the page {self.title} has no file {name[:40]!r}. Reload it.")
