"""The pipeline's parameters: a mistake in a name, a type or a value is one clear line, before anything runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from parivision.errors import ParameterError
from parivision.models import CANDIDATES, USUAL
from parivision.parameters import Parameters, check_parameters, listed


def test_the_file_of_values_is_complete_and_sound(root: Path) -> None:
    values = yaml.safe_load((root / "env.yaml").read_text(encoding="utf-8"))
    assert check_parameters(values).model_dump().keys() == Parameters.model_fields.keys()
    known = {name: value for name, value in values.items() if name in Parameters.model_fields}
    assert check_parameters(known) == check_parameters(values)


def test_the_candidates_are_those_that_exist() -> None:
    everything = ",".join(CANDIDATES)
    assert check_parameters({"candidates": everything}).candidates == everything
    assert listed(Parameters().candidates) == list(USUAL)


def test_what_is_not_given_takes_its_default() -> None:
    assert check_parameters({}).source == "virtual"
    assert check_parameters({"seed": 3}).seed == 3


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"candidates": "zone_rate,forest"}, "'forest' is no candidate; there are constant, zone_rate"),
        ({"candidates": "logistic,boosting"}, "zone_rate, which others are held against"),
        ({"candidates": "zone_rate,neural,stack"}, "one of logistic, hierarchical and boosting"),
        ({"slot": "2026-11-22"}, "slot = '2026-11-22': not a slot like 2026-11-22T10:30:00+00:00"),
        ({"slot": "2026-11-22T10:30:00+01:00"}, "slot = '2026-11-22T10:30:00+01:00': not a slot"),
        ({"training": "retrain"}, "'anew' or 'keep'"),
        ({"training_reason": "all of {{git}}"}, "holds {{, which would be taken for a place to fill in"),
        ({"training_reason": "x %} y"}, "holds %}"),
        ({"training_reason": "a [[b]]"}, "holds [["),
        ({"training_reason": "None"}, "would be taken for a value of another type"),
        ({"training_reason": "12e3"}, "would be taken for a value of another type"),
        ({"training_reason": "'quoted'"}, "would be taken for a value of another type"),
        ({"training_reason": "two\nlines"}, "must be one line"),
        ({"training_reason": " space"}, "must be one line, without spaces around it"),
        ({"training_reason": "x" * 501}, "longer than 500 characters"),
        ({"tuning": "slow"}, "'defaults', 'quick' or 'full'"),
        ({"sed": 3}, "no such parameter: sed; did you mean seed?"),
        ({"zzzzzz": 3}, "no such parameter: zzzzzz; there are source, path"),
        ({"seed": "7"}, "seed = '7'"),
        ({"seed": 7.5}, "seed = 7.5"),
        ({"seed": True}, "seed = True"),
        ({"seed": -1}, "seed = -1"),
        ({"source": "archives"}, "source = 'archives'"),
        ({"store": "sqlite"}, "store = 'sqlite'"),
        ({"test_share": 0.0}, "test_share = 0.0"),
        ({"test_share": 1.0}, "test_share = 1.0"),
        ({"test_share": float("nan")}, "test_share = nan"),
        ({"test_share": "0.2"}, "test_share = '0.2'"),
        ({"ece_limit": -0.1}, "ece_limit = -0.1"),
        ({"sample_shots": -1}, "sample_shots = -1"),
        ({"test_from": "2020-02-30"}, "test_from = '2020-02-30': not a day like 2020-02-01"),
        ({"test_from": "20200201"}, "test_from = '20200201': not a day like 2020-02-01"),
        ({"date_to": "2020-W05-6"}, "date_to = '2020-W05-6': not a day"),
        ({"seasons": "2017"}, "seasons = '2017': '2017' is not a season like 2017-18"),
        ({"seasons": "2016-17, 2017/18"}, "'2017/18' is not a season like 2017-18"),
        ({"data_dir": ""}, "data_dir = ''"),
        ({"source": "archive"}, "path: source archive needs one"),
        ({"source": "shot_locations"}, "path: source shot_locations needs one"),
        ({"source": "archive", "path": "a.csv,https://me:pass-word@h/b.csv"}, "path: an address must hold no user"),
        ({"source": "feed", "path": "http://pass-word@h:8810"}, "a feed's token goes into PARIVISION_FEED_TOKEN"),
        ({"source": "nba_stats"}, "seasons: source nba_stats needs them"),
        ({"date_from": "2020-02-01", "date_to": "2020-01-01"}, "date_from: 2020-02-01 is after date_to 2020-01-01"),
        ({"league_shots": 5_000_000}, "virtual league: shots=5000000 does not fit 2 season(s)"),
        ({"league_seasons": 25}, "virtual league: seasons=25 is out of range"),
        ({"league_drift": 0.9}, "virtual league: drift_per_season=0.9 is out of range"),
    ],
)
def test_a_mistake_is_one_line_that_names_it(values: dict[str, Any], said: str) -> None:
    with pytest.raises(ParameterError) as caught:
        check_parameters(values)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "pass-word" not in str(caught.value)


def test_all_mistakes_are_named_at_once() -> None:
    with pytest.raises(ParameterError, match=r"seed = -1.*test_share = 2"):
        check_parameters({"seed": -1, "test_share": 2.0})


@pytest.mark.parametrize(
    "values",
    [
        {"source": "archive", "path": "NBA_*_Shots.csv.zip", "league_seasons": 25},
        {"source": "nba_stats", "seasons": "2017-18, 1999-00"},
        {"date_from": "2020-01-01", "date_to": "2020-01-01"},
        {"test_share": 0.35, "league_drift": 0},
        {"league_shots": 1000},
        {"slot": "2026-11-22T10:30:00+00:00", "training": "keep"},
        {"training_reason": 'drift: it\'s "clear", 5 of {9} columns, 100 % $HOME \\n #1'},
        {"training_reason": "not (yet"},
        {"source": "archive", "path": "/games@home/a.csv,https://h/b@c.csv?who=me@h"},
    ],
)
def test_what_makes_sense_is_taken(values: dict[str, Any]) -> None:
    parameters = check_parameters(values)
    assert {name: getattr(parameters, name) for name in values} == values


@given(st.lists(st.text(st.characters(blacklist_characters=",", blacklist_categories=["Cs"]))))
def test_lists_by_commas(parts: list[str]) -> None:
    assert listed(",".join(parts)) == [p.strip() for p in parts if p.strip()]
    assert listed("") == []


def test_every_parameter_is_described() -> None:
    for name, field in Parameters.model_fields.items():
        assert field.description, name
