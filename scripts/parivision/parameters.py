"""The pipeline's parameters: names, types, ranges, and what each means. `env.yaml` holds the values."""

from __future__ import annotations

import ast
import difflib
import re
import warnings
from collections.abc import Mapping
from datetime import date
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from parivision.errors import ParameterError
from parivision.slots import as_slot


def _a_day(value: str) -> str:
    if value:
        try:
            iso = date.fromisoformat(value).isoformat()
        except ValueError:
            iso = ""
        if iso != value:  # other spellings, such as 20200201, would be compared as text
            raise ValueError("not a day like 2020-02-01")
    return value


def _some_seasons(value: str) -> str:
    for season in listed(value):
        if not re.fullmatch(r"\d{4}-\d{2}", season):
            raise ValueError(f"{season!r} is not a season like 2017-18")
    return value


def listed(text: str) -> list[str]:
    """Values of a parameter that takes several, separated by commas."""
    return [part.strip() for part in text.split(",") if part.strip()]


def _some_candidates(value: str) -> str:
    known = ("constant", "zone_rate", "logistic", "hierarchical", "boosting", "neural", "stack")
    for name in listed(value):
        if name not in known:
            raise ValueError(f"{name!r} is no candidate; there are {', '.join(known)}")
    if "zone_rate" not in listed(value) or len(listed(value)) < 2:
        raise ValueError("zone_rate, which others are held against, and at least one other are needed")
    if not {"logistic", "hierarchical", "boosting"} & set(listed(value)):
        raise ValueError("one of logistic, hierarchical and boosting, which can be explained, is needed")
    return value


_LONGEST_TEXT = 500
# Ploomber fills in what stands between these, in values as well as in its own files.
_FILLED_IN = ("{{", "}}", "{%", "%}", "{#", "#}", "[[", "]]")


def _a_plain_text(value: str) -> str:
    """Text that comes through Ploomber unchanged: it makes numbers, lists and None of texts that look like them."""
    if len(value) > _LONGEST_TEXT:
        raise ValueError(f"longer than {_LONGEST_TEXT} characters")
    if not value.isprintable() or value != value.strip():
        raise ValueError("must be one line, without spaces around it")
    if mark := next((mark for mark in _FILLED_IN if mark in value), ""):
        raise ValueError(f"holds {mark}, which would be taken for a place to fill in")
    if value.casefold() in ("true", "false", "none", "null") or _reads_as_value(value):
        raise ValueError("would be taken for a value of another type; add a word")
    return value


def _reads_as_value(text: str) -> bool:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of text that almost reads as Python
        try:
            ast.literal_eval(text)
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            return False
    return True


Candidates = Annotated[str, AfterValidator(_some_candidates)]
Day = Annotated[str, AfterValidator(_a_day)]
Seasons = Annotated[str, AfterValidator(_some_seasons)]
Share = Annotated[float, Field(gt=0, lt=1)]
Slot = Annotated[str, AfterValidator(as_slot)]
PlainText = Annotated[str, AfterValidator(_a_plain_text)]


class Parameters(BaseModel):
    """Every parameter that a notebook of the pipeline may take. Empty text means "not limited" or "choose"."""

    model_config = ConfigDict(extra="forbid", strict=True)

    source: Literal["virtual", "archive", "shot_locations", "nba_stats", "feed"] = Field(
        "virtual", description="where shots come from"
    )
    path: str = Field(
        "", description="archive, shot_locations: file, folder, pattern or URL, several by commas; feed: its address"
    )
    seasons: Seasons = Field("", description="seasons to use, such as 2017-18, several by commas; all by default")
    season_types: str = Field("Regular Season", description="nba_stats: kinds of games to ask for, by commas")
    date_from: Day = Field("", description="first game day to use, YYYY-MM-DD")
    date_to: Day = Field("", description="last game day to use, YYYY-MM-DD")
    slot: Slot = Field(
        "", description="time that the run is for, such as 2026-11-22T10:30:00+00:00: only games before its day"
    )
    store: Literal["auto", "duckdb", "mongodb"] = Field(
        "auto", description="where shots are kept; auto takes MongoDB where PARIVISION_MONGODB_URI is set"
    )
    sample_shots: int = Field(0, ge=0, description="use about this many shots, by whole games; 0 uses all")
    seed: int = Field(7, ge=0, lt=2**31, description="seed of every random choice")
    league_shots: int = Field(100_000, ge=1_000, le=5_000_000, description="virtual: about how many shots to simulate")
    league_seasons: int = Field(2, ge=1, le=30, description="virtual: how many seasons")
    league_drift: float = Field(0.0, ge=0, le=1, description="virtual: slow change between seasons; 0 is none")
    test_from: Day = Field("", description="first day of the test games, YYYY-MM-DD; chosen by test_share if empty")
    test_share: Share = Field(0.2, description="share of the shots, the latest, that the report is on")
    validation_share: Share = Field(0.1, description="share of the shots before the test that choose between models")
    training: Literal["anew", "keep"] = Field(
        "anew", description="anew trains; keep only scores new games with the last trained models, where they fit"
    )
    training_reason: PlainText = Field("", description="why models are trained or kept, for the report")
    tuning: Literal["defaults", "quick", "full"] = Field(
        "quick", description="search of settings before training: defaults (none), quick (seconds) or full (an hour)"
    )
    candidates: Candidates = Field(
        "constant,zone_rate,logistic,hierarchical,boosting,stack",
        description="models to train, by commas; neural needs torch",
    )
    min_attempts: int = Field(300, ge=1, description="attempts in a season before a player is ranked or advised")
    drift_significance: Share = Field(0.01, description="level at which a change counts as drift, after correction")
    drift_current_share: Share = Field(0.5, description="share of the test games, the latest, watched for drift")
    ece_limit: Share = Field(
        0.01, description="a challenger less calibrated than this, and than the champion, stays out"
    )
    data_dir: str = Field(".data", min_length=1, description="where a build keeps what it makes for itself")
    reports_dir: str = Field("reports", min_length=1, description="where a build writes its reports")
    input_state: str = Field("", description="fingerprint of the input files, so that changed files are read again")

    @model_validator(mode="after")
    def _belong_together(self) -> Parameters:
        if re.search(r"://[^/?#\s]*@", self.path):  # as an input of the pipeline it is kept in clear by many
            raise ValueError(
                "path: an address must hold no user or password: name the host with both in ~/.netrc; "
                "a feed's token goes into PARIVISION_FEED_TOKEN"
            )
        if self.source in {"archive", "shot_locations"} and not self.path:
            raise ValueError(f"path: source {self.source} needs one: a file, folder, pattern or URL")
        if self.source == "nba_stats" and not self.seasons:
            raise ValueError("seasons: source nba_stats needs them, such as 2017-18")
        if self.source == "feed" and not re.fullmatch(r"https?://[^\s,?#]+", self.path):
            raise ValueError("path: source feed needs the feed's address, such as http://127.0.0.1:8810")
        if self.date_from and self.date_to and self.date_from > self.date_to:
            raise ValueError(f"date_from: {self.date_from} is after date_to {self.date_to}")
        if self.source == "virtual":
            from parivision.sources.virtual import League  # numpy and pandas: not for those who only ask for help

            League(self.seed, self.league_shots, self.league_seasons, self.league_drift)  # refuses what does not fit
        return self


def check_parameters(values: Mapping[str, Any]) -> Parameters:
    """Parameters from names and values; what is not given takes its default.

    Raises
    ------
    ParameterError
        Names every parameter that does not exist or has a wrong type or value, in one line.
    """
    unknown = [name for name in values if name not in Parameters.model_fields]
    if unknown:
        near = difflib.get_close_matches(unknown[0], list(Parameters.model_fields), n=1)
        hint = f"; did you mean {near[0]}?" if near else f"; there are {', '.join(Parameters.model_fields)}"
        raise ParameterError(f"no such parameter: {', '.join(unknown)}{hint}")
    try:
        return Parameters(**values)
    except ValidationError as error:
        said = []
        for problem in error.errors():
            name = str(problem["loc"][0]) if problem["loc"] else ""
            message = problem["msg"].removeprefix("Value error, ")
            said.append(f"{name} = {values.get(name)!r}: {message}" if name else message)
        raise ParameterError(f"parameter {'; parameter '.join(said)}. See env.yaml") from None
