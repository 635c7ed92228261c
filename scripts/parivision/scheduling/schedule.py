"""`schedule.yaml`: which jobs there are, and the instants at which each is due, its slots."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, timedelta
from itertools import islice, pairwise, takewhile
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

import yaml
from cronsim import CronSim, CronSimError
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from parivision.errors import ParameterError, PariVisionError
from parivision.operations.inputs import parameters_of_workspace
from parivision.parameters import Parameters, check_parameters
from parivision.slots import LEAGUE_ZONE
from parivision.yaml_file import read_yaml

FILE = "schedule.yaml"
CatchUp = Literal["none", "last", "all"]
Reason = Literal["drift", "calibration", "new_games", "age"]
# What the schedule gives itself, and where it looks for its own records.
_NOT_FOR_JOBS = ("slot", "training_reason", "input_state", "data_dir")
_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
_A_SUNDAY = datetime(2026, 1, 4)  # on a clock that never changes


class ScheduleError(PariVisionError):
    """schedule.yaml cannot be read, or asks for what cannot be."""


def _a_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        hint = _did_you_mean(name, available_timezones(), "write an IANA name such as America/New_York")
        raise ValueError(f"{name!r} is no time zone; {hint}") from None
    return name


def _a_cron_expression(text: str) -> str:
    example = 'write five fields within quotes, such as "30 5 * * *" for 05:30 every day'
    if len(text.split()) != 5:
        raise ValueError(f"{text!r} has {len(text.split())} fields; {example}")
    try:
        due = list(takewhile(lambda d: d.year < 2100, islice(CronSim(text, _A_SUNDAY), 1000)))
    except CronSimError as error:
        raise ValueError(f"{text!r} is no cron expression ({error}); {example}") from None
    if not due:
        raise ValueError(f"{text!r} is never due; correct the day and the month")
    if any(b - a < timedelta(hours=1) for a, b in pairwise(due)):
        raise ValueError(f"{text!r} is due more often than once an hour; give fewer minutes")
    return text


def _parameters(values: dict[str, Any]) -> dict[str, Any]:
    for name, value in values.items():
        if name in _NOT_FOR_JOBS:
            raise ValueError(f"{name} is not for a job to set; remove it")
        if name not in Parameters.model_fields:
            hint = _did_you_mean(name, Parameters.model_fields, "`parivision build --help` lists them")
            raise ValueError(f"{name} is no parameter of the pipeline; {hint}")
        for placeholder in _PLACEHOLDER.findall(value) if isinstance(value, str) else []:
            if placeholder not in ("season", "previous_season"):
                raise ValueError(f"{name}: {{{placeholder}}} stands for nothing; use {{season}} or {{previous_season}}")
    return values


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Job(_Strict):
    """One job; what each key means is told in schedule.yaml."""

    cron: Annotated[str, AfterValidator(_a_cron_expression)]
    parameters: Annotated[dict[str, str | int | float], AfterValidator(_parameters)] = {}
    hold: list[str] = []
    retrain: list[Reason] = []

    def parameters_for(self, slot: datetime) -> dict[str, Any]:
        """The job's parameters with the placeholders filled in for the slot's day."""
        day = slot.astimezone(LEAGUE_ZONE).date()
        words = {"season": season_of(day), "previous_season": season_of(day, back=1)}
        return {
            name: _PLACEHOLDER.sub(lambda found: words[found[1]], value) if isinstance(value, str) else value
            for name, value in self.parameters.items()
        }


class Schedule(_Strict):
    """What schedule.yaml holds."""

    zone: Annotated[str, AfterValidator(_a_zone)]
    catch_up: CatchUp = "last"
    jobs: dict[str, Job] = Field(min_length=1)

    @property
    def time_zone(self) -> ZoneInfo:
        """The zone that the cron expressions are meant in."""
        return ZoneInfo(self.zone)

    def job(self, name: str) -> Job:
        """A job by its name; ScheduleError where there is none."""
        if name not in self.jobs:
            raise ScheduleError(f"{FILE} has no job {name!r}; it has {', '.join(self.jobs)}")
        return self.jobs[name]

    def slots(self, name: str, after: datetime, until: datetime) -> list[datetime]:
        """The slots of a job later than `after` and not later than `until`, in UTC, in order."""
        found = []
        for slot in instants(self.job(name).cron, self.time_zone, after):
            if slot > until:
                break
            found.append(slot)
        return found

    def next_slot(self, name: str, after: datetime) -> datetime:
        """The first slot of a job later than `after`, in UTC."""
        return next(instants(self.job(name).cron, self.time_zone, after))

    def last_slot(self, name: str, until: datetime) -> datetime | None:
        """The newest slot of a job not later than `until`; None where there is none in nine years."""
        for days in (2, 40, 400, 9 * 366):  # 29 February may come but every eight years
            found = self.slots(name, until - timedelta(days=days), until)
            if found:
                return found[-1]
        return None


def season_of(day: date, back: int = 0) -> str:
    """The season that a day belongs to, such as 2026-27, or that many seasons before; it begins on 1 October."""
    first = day.year - (day.month < 10) - back
    return f"{first}-{(first + 1) % 100:02d}"


def instants(cron: str, zone: ZoneInfo, after: datetime) -> Iterator[datetime]:
    """The instants in UTC, later than `after` and in order, at which a cron expression on the clocks of a zone is due.

    A job of certain hours is due once each time: at the first minute that exists where clocks go forward over its
    time (at the last one before where that is another day already), and at the first of the two where they go back.
    A job of every hour is due once in each hour that passes.
    """
    # Two days more than needed, so that a change of the clocks between there and `after` leaves nothing out.
    start = after.astimezone(zone) - timedelta(days=2)
    every_hour = cron.split()[1] == "*"
    last = after.astimezone(UTC)
    # CronSim's own way with a changed clock leaves a time of certain hours out, or doubles it, where a field begins
    # with a star; so it counts on a clock without changes, and what it finds is put on the zone's clock here.
    for due in CronSim(cron, start if every_hour else start.replace(tzinfo=None)):
        instant = due.astimezone(UTC) if every_hour else _on_the_clock(due, zone)
        if instant > last:
            last = instant
            yield instant


def _on_the_clock(local: datetime, zone: ZoneInfo) -> datetime:
    """The instant of a local time; see `instants` for the times that a zone leaves out or has twice."""
    for step in (timedelta(minutes=1), timedelta(minutes=-1)):
        moved = local
        while moved.date() == local.date():
            instant = moved.replace(tzinfo=zone).astimezone(UTC)
            if instant.astimezone(zone).replace(tzinfo=None) == moved:
                return instant
            moved += step
    return local.replace(tzinfo=zone).astimezone(UTC)  # a whole day left out, as when a zone moves over the date line


def read_schedule(root: Path) -> Schedule:
    """What `schedule.yaml` of a workspace holds.

    Raises
    ------
    ScheduleError
        The file is missing, is no YAML, or has a wrong key or value; the message names the job and the key.
    """
    path = root / FILE
    content = read_yaml(path, ScheduleError)
    if not isinstance(content, dict):
        raise ScheduleError(f"{path} must hold zone, catch_up and jobs")
    try:
        schedule = Schedule(**content)
    except (ValidationError, TypeError) as error:
        raise ScheduleError(f"{path}{_first_problem(error)}") from None
    notebooks = _notebooks(root)
    for name, job in schedule.jobs.items():
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]{0,31}", name) or name == "manual":
            raise ScheduleError(
                f"{path}, job {name!r}: a job's name is one of up to 32 letters, digits and _; rename it"
            )
        _check_known(job.hold, notebooks, f"{path}, job {name}, hold: ")
    return schedule


def check_notebooks(names: Iterable[str], root: Path) -> None:
    """Whether the pipeline has notebooks of these names; ScheduleError names the first that it has not."""
    _check_known(names, _notebooks(root), "")


def _check_known(names: Iterable[str], notebooks: list[str], where: str) -> None:
    for name in names:
        if name not in notebooks:
            hint = _did_you_mean(name, notebooks, f"there are {', '.join(notebooks)}")
            raise ScheduleError(f"{where}there is no notebook {name!r}; {hint}")


def check_jobs(schedule: Schedule, root: Path, now: datetime) -> None:
    """Whether each job's parameters, as they will be at its next slot, are ones that a build accepts.

    Raises
    ------
    ScheduleError
        Names the job and the parameters.
    """
    values = parameters_of_workspace(root)
    for name, job in schedule.jobs.items():
        try:
            check_parameters({**values, **job.parameters_for(schedule.next_slot(name, now))})
        except ParameterError as error:
            raise ScheduleError(f"{root / FILE}, job {name}, parameters: {error}") from None


def _notebooks(root: Path) -> list[str]:
    """The names of the pipeline's notebooks."""
    try:
        return [str(task["name"]) for task in yaml.safe_load((root / "pipeline.yaml").read_text("utf-8"))["tasks"]]
    except (OSError, UnicodeDecodeError, yaml.YAMLError, KeyError, TypeError) as error:
        raise ScheduleError(f"{root / 'pipeline.yaml'} cannot be read ({type(error).__name__}); restore it") from error


def _did_you_mean(name: str, known: Iterable[str], otherwise: str) -> str:
    near = difflib.get_close_matches(name, list(known), n=1)
    return f"did you mean {near[0]}?" if near else otherwise


def _first_problem(error: ValidationError | TypeError) -> str:
    """Where and what, for one line."""
    if isinstance(error, TypeError):  # a key that is no text
        return ": every key must be a name; correct it"
    problem = error.errors(include_url=False)[0]
    place = [str(part) for part in problem["loc"] if part not in ("str", "int", "float")]
    where = ""
    if place[:1] == ["jobs"] and len(place) > 1:
        where, place = f", job {place[1]}", place[2:]
    model: type[BaseModel] = Job if where else Schedule
    key = ".".join(part for part in place if part != "[key]")
    said = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "extra_forbidden":
        said = f"no such key; {_did_you_mean(key, model.model_fields, 'there are ' + ', '.join(model.model_fields))}"
    elif problem["type"] == "missing":
        said = "it is missing; add it"
    elif "[key]" in place:
        said = f"{problem['input']} must be a name; correct it"
    elif problem["type"] != "value_error":
        said = f"{problem['input']!r} will not do: {said[0].lower()}{said[1:]}"
    return f"{where}{', ' + key if key else ''}: {said}"
