"""The Explore page: its numbers are those of the data, each shot is told twice alike, nothing refused is hidden."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from published_workspace import FORMULA, HOSTILE, PATH, REFUSED, workspace

from parivision import shots as canonical
from parivision.charts.distributions import category_bars, histogram
from parivision.dashboard import documents, variables
from parivision.dashboard.pages.explore import PARTS, Explore, ExploreState
from parivision.dashboard.session import Session, Units
from parivision.dashboard.view import View
from parivision.published import Snapshot

FEET, METRES = Units("ft"), Units("m")
NUMBERS = [v.name for v in variables.VARIABLES.values() if v.kind == "number"]


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return workspace(tmp_path_factory.mktemp("explore"))


@pytest.fixture(scope="module")
def session(data_dir: Path) -> Session:
    return Session(data_dir)


@pytest.fixture(scope="module")
def snapshot(session: Session) -> Snapshot:
    return session.snapshot


def shown(session: Session, **state: Any) -> Any:
    return Explore().show(ExploreState(**state), session)


def page_html(data_dir: Path, query: str) -> str:
    answer = View("explore", data_dir).answer({"type": "open", "page": "explore", "query": query})
    assert answer["type"] == "show", answer
    return str(answer["parts"]["main"])


class TestVariables:
    def test_every_column_of_the_schema_is_listed_with_its_meaning_type_and_limits(self) -> None:
        table = variables.catalogue().set_index("name")
        assert list(table.index)[: len(canonical.COLUMNS)] == list(canonical.COLUMNS)
        assert (table["meaning"].str.len() > 5).all()
        assert table.loc["x_ft", ["type", "unit", "allowed"]].tolist() == ["number", "ft", "-26 to 26"]
        assert table.loc["position", "allowed"] == "G, F, C"
        assert table.loc["game_date", "allowed"] == "1946-11-01 to 2100-01-01"
        assert table["shown"].sum() == len(variables.VARIABLES)

    @pytest.mark.parametrize("name", NUMBERS)
    @pytest.mark.parametrize("units", [FEET, METRES])
    def test_a_histogram_counts_what_numpy_counts(self, snapshot: Snapshot, name: str, units: Units) -> None:
        variable = variables.VARIABLES[name]
        table = variables.distribution(snapshot, variable, units)
        assert table["shots"].sum() == snapshot.meta.shots
        assert table["share"].sum() == pytest.approx(1)
        values = snapshot.query(f"SELECT {variable.sql} AS v FROM shots")["v"].to_numpy(float)
        values = values * (units.scale if variable.is_length else 1)
        width = table["high"].iloc[0] - table["low"].iloc[0]
        edges = np.append(table["low"].to_numpy(), table["high"].iloc[-1]) - 1e-9 * width
        if np.allclose(np.diff(edges), width):  # without a gap between the bins
            assert table["shots"].tolist() == np.histogram(values, edges)[0].tolist()

    @pytest.mark.parametrize("name", sorted(set(variables.VARIABLES) - set(NUMBERS)))
    def test_values_by_season_add_up_to_the_season(self, snapshot: Snapshot, name: str) -> None:
        table = variables.distribution(snapshot, variables.VARIABLES[name], FEET, by_season=True)
        seasons = snapshot.query("SELECT season, count(*) AS n FROM shots GROUP BY ALL").set_index("season")["n"]
        pd.testing.assert_series_equal(
            table.groupby("season")["shots"].sum(), seasons.sort_index(), check_names=False, check_dtype=False
        )
        assert table.groupby("season")["share"].sum().tolist() == pytest.approx([1] * len(seasons))

    @pytest.mark.parametrize("units", [FEET, METRES])
    def test_quartiles_are_those_of_pandas_in_the_readers_unit(self, snapshot: Snapshot, units: Units) -> None:
        distance = snapshot.query("SELECT season, distance_ft FROM shots").assign(
            shown=lambda t: t["distance_ft"] * units.scale
        )
        table = variables.describe(snapshot, variables.VARIABLES["distance_ft"], units).set_index("season")
        groups = {"all seasons": distance, **dict(list(distance.groupby("season")))}
        assert list(table.index) == ["all seasons", *snapshot.seasons]
        for season, rows in groups.items():
            expected = rows["shown"].quantile([0, 0.25, 0.5, 0.75, 1]).tolist()
            columns = ["minimum", "lower_quartile", "median", "upper_quartile", "maximum"]
            assert table.loc[season, columns].tolist() == pytest.approx(expected)
            assert table.loc[season, "shots"] == len(rows)
        assert (table["missing"] == 0).all()

    def test_a_share_that_is_yes_has_its_interval(self, snapshot: Snapshot) -> None:
        table = variables.describe(snapshot, variables.VARIABLES["made"], FEET)
        rate = snapshot.rows("SELECT avg(made::INTEGER) FROM shots")[0][0]
        assert table["share"].iloc[0] == pytest.approx(rate)
        assert (table["low"] < table["share"]).all()
        assert (table["share"] < table["high"]).all()

    @given(st.dictionaries(st.text(max_size=5), st.integers(1, 10**6), min_size=1, max_size=60))
    def test_a_figure_of_many_values_loses_no_shot(self, counts: dict[str, int]) -> None:
        table = pd.DataFrame({"value": list(counts), "shots": list(counts.values())})
        drawn, left_out = variables.for_figure(table.assign(share=table["shots"] / table["shots"].sum()))
        assert left_out == 0
        assert drawn["shots"].sum() == sum(counts.values())
        assert len(drawn) <= variables.MOST_VALUES + 1

    @given(st.lists(st.integers(1, 1000), min_size=1, max_size=80))
    def test_a_figure_of_a_number_leaves_out_thin_tails_and_says_how_much(self, counts: list[int]) -> None:
        table = pd.DataFrame({"low": np.arange(len(counts)), "high": np.arange(len(counts)) + 1, "shots": counts})
        drawn, left_out = variables.for_figure(table)
        assert left_out == pytest.approx(1 - drawn["shots"].sum() / sum(counts))
        assert 0 <= left_out < 0.005
        assert (np.diff(drawn["low"]) == 1).all()  # nothing is left out in the middle

    @pytest.mark.parametrize("by_season", [False, True])
    @pytest.mark.parametrize("name", list(variables.VARIABLES))
    def test_every_variable_can_be_looked_at(self, session: Session, name: str, by_season: bool) -> None:
        page = shown(session, part="variables", variable=name, by_season=by_season)
        drawn = page.figures["distribution"].to_dict()["data"]
        assert len(drawn) == (len(session.snapshot.seasons) if by_season else 1)
        assert page.sentence.startswith(variables.VARIABLES[name].meaning)
        assert page.context["alt"]
        assert page.notes == []


class TestFigures:
    def test_seasons_have_a_panel_each_and_shares_of_their_own(self) -> None:
        table = pd.DataFrame(
            {"season": ["a", "a", "b"], "low": [0.0, 1.0, 0.0], "high": [1.0, 2.0, 1.0], "shots": [30, 10, 5]}
        ).assign(of=[80, 80, 5])
        fig = histogram(table, axis="distance (ft)")
        assert [list(bar.y) for bar in fig.data] == [[0.375, 0.125], [1.0]]
        assert [note.text for note in fig.layout.annotations] == ["a, n = 80", "b, n = 5"]

    def test_names_are_text(self) -> None:
        table = pd.DataFrame({"value": [HOSTILE, "x"], "shots": [1, 1], "of": 2})
        for fig in (category_bars(table), category_bars(table.assign(season=HOSTILE))):
            assert "<img" not in fig.to_json().replace("\\u003c", "<")
        assert (
            "<img"
            not in histogram(pd.DataFrame({"low": [0], "high": [1], "shots": [1], "of": 1}), axis=HOSTILE).to_json()
        )

    def test_nothing_is_an_empty_figure(self) -> None:
        nothing = pd.DataFrame({"low": [], "high": [], "shots": [], "value": [], "of": []})
        assert histogram(nothing, axis="a").layout.annotations[0].text == "no shots"
        assert category_bars(nothing).layout.annotations[0].text == "no shots"


class TestDocuments:
    def test_both_documents_are_of_the_same_shot_and_no_field_is_lost(self, snapshot: Snapshot) -> None:
        for number in range(20):
            shot = documents.sample(snapshot, number=number)
            assert shot is not None
            rows = documents.aligned(shot)
            told = [name for row in rows for name in row["raw_name"].split(", ") if name]
            assert set(told) == set(shot.raw)
            assert [row["name"] for row in rows if row["name"]] == list(canonical.COLUMNS)
            assert float(shot.raw["X Location"]) == pytest.approx(10 * shot.clean["x_ft"])
            assert int(shot.raw["Game ID"]) == int(shot.clean["game_id"])
            minutes, seconds = int(shot.raw["Minutes Remaining"]), int(shot.raw["Seconds Remaining"])
            assert 60 * minutes + seconds == shot.clean["period_seconds_left"]

    def test_what_was_done_is_said_in_words(self, snapshot: Snapshot) -> None:
        shot = documents.sample(snapshot)
        assert shot is not None
        change = {row["name"]: row["change"] for row in documents.aligned(shot) if row["name"]}
        assert change["x_ft"] == "renamed and converted"
        assert change["action_type"] == "renamed"
        assert change["period_seconds_left"] == "computed from 2 fields"
        assert change["distance_ft"] == "computed"
        assert [r["change"] for r in documents.aligned(shot) if r["raw_name"] == "Shot Zone Range"] == [
            "kept in the raw document only"
        ]

    def test_another_one_is_another_one_and_a_link_shows_the_same(self, session: Session) -> None:
        page, state = Explore(), ExploreState(part="document", season="2023-24")
        seen = []
        for _ in range(5):
            seen.append(page.show(state, session).context["shot"])
            state = page.act(state, "another", "1", session)  # type: ignore[assignment]
        assert len({shot.shot_id for shot in seen}) == 5
        assert {shot.season for shot in seen} == {"2023-24"}
        again = shown(session, part="document", season="2023-24", number=3)
        assert again.context["shot"] == seen[3]
        assert shown(session, part="document", season="2023-24", number=3 + seen[0].of).context["shot"] == seen[3]

    def test_what_does_not_exist_is_said(self, session: Session) -> None:
        page = shown(session, part="document", season="1999-00", source="nowhere")
        assert len(page.notes) == 2
        assert page.context["shot"] is not None
        assert shown(session, part="variables", variable="x; DROP TABLE shots").notes
        assert shown(session, part="rejects", reason="no such reason").notes


class TestCollectionsAndRejects:
    def test_counts_and_accounting_are_those_of_the_build(self, session: Session) -> None:
        page = shown(session)
        rows = {row["name"]: row for row in page.context["rows"]}
        assert rows["shots"]["documents"] == session.snapshot.meta.shots
        assert sum(s["documents"] for s in rows["shots"]["seasons"]) == rows["shots"]["documents"]
        accounting = page.context["accounting"]
        assert accounting["rejected"] == REFUSED
        assert page.context["adds_up"]
        assert accounting["read"] == rows["shots_raw"]["documents"]

    def test_an_accounting_that_does_not_add_up_is_said_so(self, session: Session, data_dir: Path) -> None:
        class Lossy:
            def __getattr__(self, name: str) -> Any:
                return getattr(session.snapshot, name)

            def document(self, name: str) -> Any:
                found = session.snapshot.document(name)
                return {**found, "read": found["read"] + 1} if name == "accounting" else found

        class Stub:
            snapshot, units = Lossy(), FEET

        assert not Explore().show(ExploreState(), Stub()).context["adds_up"]  # type: ignore[arg-type]

    def test_rejects_are_grouped_by_reason_and_shown_as_text(self, session: Session, data_dir: Path) -> None:
        page = shown(session, part="rejects")
        groups = {(g["column"], g["reason"]): g for g in page.context["groups"]}
        assert sum(g["records"] for g in groups.values()) == REFUSED
        assert sorted(g["values"] for g in groups.values()) == [3, 4]
        assert page.sentence.startswith(f"{REFUSED} records")
        one = min(groups, key=lambda key: groups[key]["values"])
        only = shown(session, part="rejects", reason=one[1])
        assert {line["reason"] for line in only.context["lines"]} == {one[1]}
        assert len(only.context["lines"]) == 3
        html = page_html(data_dir, "part=rejects")
        assert "&lt;img src=x" in html
        assert "<img" not in html

    def test_a_csv_is_the_table_and_formulas_are_text(self, session: Session, data_dir: Path) -> None:
        query = "part=variables&variable=player_id"
        answer = View("explore", data_dir).answer({"type": "csv", "page": "explore", "name": "values", "query": query})
        rows = list(csv.DictReader(io.StringIO(answer["text"].lstrip("\ufeff"))))
        table = shown(session, part="variables", variable="player_id").tables["values"]
        assert [int(row["shots"]) for row in rows] == table["shots"].tolist()
        assert any(FORMULA in row["value"] for row in rows)
        assert not any(row["value"].startswith(("=", "+", "-", "@")) for row in rows)

    @pytest.mark.parametrize("part", list(PARTS))
    @pytest.mark.parametrize("extra", ["", "&units=m", "&by_season=1&variable=player_id"])
    def test_every_part_renders_and_nothing_of_the_data_is_markup(self, data_dir: Path, part: str, extra: str) -> None:
        html = page_html(data_dir, f"part={part}{extra}")
        assert "<img" not in html
        assert "onerror=" not in html.replace(
            HOSTILE.replace("<", "&lt;").replace(">", "&gt;").replace("'", "&#39;"), ""
        )
        if part == "variables" and "player_id" in extra:
            assert "&lt;/script&gt;" in html
            assert PATH in html
