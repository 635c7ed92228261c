"""What a dashboard is made of, before it is Grafana's JSON."""

from __future__ import annotations

from dataclasses import dataclass, field

GREEN, YELLOW, ORANGE, RED, BLUE, GREY = "green", "yellow", "orange", "red", "blue", "#8e8e8e"
YES_IS_BAD = {0: ("no", GREEN), 1: ("yes", RED)}
UP = {0: ("down", RED), 1: ("up", GREEN)}
RUNBOOKS = "/docs/supervision.md"  # where a reverse proxy serves the project's docs/; a dashboard's variable changes it


@dataclass(frozen=True)
class Panel:
    """One panel.

    Attributes
    ----------
    kind : str
        "timeseries", "stat", "bars", "states", "table" or "heatmap".
    title, description : str
        The description says what the figure means and where it comes from.
    queries : dict
        Expression of Prometheus -> name of its series.
    unit : str
        Grafana's id of a unit; "short" for plain numbers.
    width : int
        Of 24 columns.
    thresholds : tuple
        (from this value on, colour); below the first one it is `colour`.
    words : dict
        What a value stands for, and its colour.
    low, high : float or None
        Ends of the axis.
    named : bool
        Whether a stat tells its series' names.
    left_out : tuple of str
        Columns that a table does not show.
    runbook : str
        Heading of docs/supervision.md that says what to do, as an anchor.
    """

    kind: str
    title: str
    description: str
    queries: dict[str, str]
    unit: str = "short"
    width: int = 8
    thresholds: tuple[tuple[float, str], ...] = ()
    colour: str = GREEN
    words: dict[int, tuple[str, str]] = field(default_factory=dict)
    low: float | None = None
    high: float | None = None
    decimals: int | None = None
    stacked: bool = False
    named: bool = True
    left_out: tuple[str, ...] = ()
    runbook: str = ""


@dataclass(frozen=True)
class Row:
    """Panels beside each other under a heading; their widths fill lines of 24 columns."""

    title: str
    panels: tuple[Panel, ...]
    height: int = 7


@dataclass(frozen=True)
class Board:
    """One dashboard.

    Attributes
    ----------
    variables : dict
        Name -> choices, or a query for a label's values.
    hours : int
        That it shows at first.
    """

    file: str
    title: str
    description: str
    rows: tuple[Row, ...]
    variables: dict[str, str | list[str]] = field(default_factory=dict)
    hours: int = 24
    runbooks: str = RUNBOOKS

    @property
    def uid(self) -> str:
        """Under which other dashboards and links know it."""
        return f"parivision-{self.file.replace('_', '-')}"
