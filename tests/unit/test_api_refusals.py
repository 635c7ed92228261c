"""What is refused, and that it is said in problem details that name the field."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from api_workspace import asking, question, workspace
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

ARROW = "application/vnd.apache.arrow.stream"
JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return workspace(tmp_path_factory.mktemp("api"))


@pytest.fixture(scope="module")
def api(data_dir: Path) -> Iterator[TestClient]:
    with asking(data_dir, most_bytes=400_000) as client:
        yield client


def refused(answer: Any, status: int, field: str = "") -> dict[str, Any]:
    """The problem of an answer, checked for its form."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    found = answer.json()
    assert set(found) == {"type", "title", "status", "detail", "instance", "errors"}
    assert found["status"] == status and found["type"].startswith("urn:parivision:problem:") and found["detail"]
    assert found["instance"] == f"urn:parivision:request:{answer.headers['x-request-id']}"
    if field:
        assert field in [error["field"] for error in found["errors"]], found
    return dict(found)


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"player": ...}, "player"),
    ({"player": True}, "player"),
    ({"player": -1}, "player"),
    ({"player": 10**400}, "player"),
    ({"player": "nobody of this name"}, "player"),
    ({"player": "a\u0000b"}, "player"),
    ({"place": {"x": 1}}, "place.y"),
    ({"place": {"x": "1", "y": 2}}, "place.x"),
    ({"place": {"x": 40, "y": 2}}, "place"),
    ({"place": {"x": 1, "y": 2, "unit": "yd"}}, "place.unit"),
    ({"place": {"x": 1, "y": 2, "z": 3}}, "place.z"),
    ({"place": [1, 2]}, "place"),
    ({"zone": "Mid-Range"}, "zone"),
    ({"distance": 22}, "distance"),
    ({"value": 3}, "value"),
    ({"period": 0}, "period"),
    ({"period": 4.5}, "period"),
    ({"clock": "12:60"}, "clock"),
    ({"clock": 721}, "clock"),
    ({"clock": "9:00", "period": 5}, "clock"),
    ({"opponent": "B"}, "opponent"),
    ({"opponent": question()["team"]}, "opponent"),
    ({"home": "yes"}, "home"),
    ({"day": "2023-02-30"}, "day"),
    ({"day": "2000-01-01"}, "day"),
    ({"day": 20230101}, "day"),
    ({"season": "2023"}, "season"),
    ({"position": "PG"}, "position"),
    ({"context": {"attempts": 2, "makes": 3}}, "context.makes"),
    ({"context": {"seconds_since": -1}}, "context.seconds_since"),
    ({"context": {}, "game": []}, "context"),
    ({"action_type": ""}, "action_type"),
]


@pytest.mark.parametrize(("changes", "field"), WRONG, ids=lambda value: json.dumps(value, default=str)[:40])
def test_a_wrong_field_is_named_alone_and_in_a_batch(api: TestClient, changes: dict[str, Any], field: str) -> None:
    asked = question(**changes)
    refused(api.post("/v1/predict", json=asked), 422, field)
    if "game" not in asked:
        refused(api.post("/v1/predict/batch", json={"shots": [question(), asked]}), 422, f"shots.1.{field}")


def test_what_the_court_computes_says_why_it_is_not_asked(api: TestClient) -> None:
    found = refused(api.post("/v1/predict", json=question(zone="Mid-Range")), 422)
    assert found["errors"] == [{"field": "zone", "message": "computed from the place; leave it out"}]


def test_an_earlier_attempt_must_be_earlier(api: TestClient) -> None:
    later = {"player": 1, "home": True, "place": {"x": 0, "y": 1}, "period": 4, "clock": "1:00", "made": True}
    refused(api.post("/v1/predict", json=question(game=[later])), 422, "game.0.clock")
    nobody = {**later, "clock": "3:00", "player": "nobody of this name"}
    refused(api.post("/v1/predict", json=question(game=[nobody])), 422, "game.0.player")


BODIES = {
    b"": "empty",
    b"{": "no JSON",
    b'{"player": NaN}': "NaN",
    b'{"player": Infinity}': "Infinity",
    b'{"player": 1, "player": 2}': "twice",
    b'{"place": {"x": 1, "x": 2}}': "twice",
    b"[" * 100_000: "deep",
    b'{"player": ' + b"1" * 5000 + b"}": "no JSON",
    b"\xff\xfe{\x00": "UTF-8",
    json.dumps({"player": 1}).encode("utf-16"): "UTF-8",
}


@pytest.mark.parametrize("body", BODIES, ids=list(BODIES.values()))
def test_what_is_no_json_is_refused(api: TestClient, body: bytes) -> None:
    for path in ("/v1/predict", "/v1/predict/batch", "/v1/outcomes"):
        found = refused(api.post(path, content=body, headers=JSON), 400, "body")
        assert BODIES[body] in found["detail"]


@pytest.mark.parametrize(
    "body", [b"null", b"1", b'"a"', b"[]", b"{}", b'{"shots": 1}', b'{"shots": [1]}', b'{"shots": []}']
)
def test_json_of_another_shape_is_refused(api: TestClient, body: bytes) -> None:
    for path in ("/v1/predict", "/v1/predict/batch", "/v1/outcomes"):
        refused(api.post(path, content=body, headers=JSON), 422)


def test_numbers_beyond_all_bounds_are_refused(api: TestClient) -> None:
    text = json.dumps(question()).replace("22.5", "1e999")
    refused(api.post("/v1/predict", content=text, headers=JSON), 422, "place.x")
    half_a_pair = json.dumps(question(player="x")).replace('"x"', '"\\ud800"', 1)
    refused(api.post("/v1/predict", content=half_a_pair, headers=JSON), 422, "player")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=st.binary(max_size=200))
def test_no_body_of_bytes_is_a_fault(api: TestClient, body: bytes) -> None:
    for kind in ("application/json", ARROW):
        assert 400 <= api.post("/v1/predict/batch", content=body, headers={"Content-Type": kind}).status_code < 500


@pytest.mark.parametrize(
    "kind", ["text/plain", "", "application/xml", "application/json; charset=utf-16", "multipart/form-data"]
)
def test_bodies_of_other_kinds_are_refused(api: TestClient, kind: str) -> None:
    for path in ("/v1/predict", "/v1/predict/batch", "/v1/outcomes"):
        refused(api.post(path, content=json.dumps(question()), headers={"Content-Type": kind}), 415, "Content-Type")


def test_compressed_bodies_are_refused(api: TestClient) -> None:
    bomb = gzip.compress(b" " * 10_000_000)
    refused(api.post("/v1/predict", content=bomb, headers={**JSON, "Content-Encoding": "gzip"}), 415)


def test_large_bodies_are_refused_also_in_pieces(api: TestClient) -> None:
    body = b" " * 400_001
    for path in ("/v1/predict", "/v1/predict/batch", "/v1/outcomes"):
        refused(api.post(path, content=body, headers=JSON), 413, "body")

        def pieces() -> Iterator[bytes]:
            yield from (body[:1000] for _ in range(500))

        refused(api.post(path, content=pieces(), headers=JSON), 413, "body")


def test_what_is_not_there_is_said(api: TestClient) -> None:
    refused(api.get("/v1/nothing"), 404)
    refused(api.get("/v1/shooting/players/1"), 404, "player_id")
    refused(api.get("/v1/shooting/teams/QQQ"), 404, "team")
    for method, path, allowed in (
        ("GET", "/v1/predict", "POST"),
        ("DELETE", "/v1/players", "GET"),
        ("POST", "/metrics", "GET"),
    ):
        answer = api.request(method, path)
        refused(answer, 405)
        assert allowed in answer.headers["allow"]


@pytest.mark.parametrize(
    ("query", "field"),
    [("limit=0", "limit"), ("limit=x", "limit"), ("offset=-1", "offset"), ("q=" + "x" * 101, "q")],
)
def test_wrong_queries_are_refused(api: TestClient, query: str, field: str) -> None:
    refused(api.get(f"/v1/players?{query}"), 422, field)


def test_a_season_or_zone_that_is_not_there_is_refused(api: TestClient) -> None:
    refused(api.get("/v1/shooting/leaders?season=1990-91"), 422, "season")
    refused(api.get("/v1/shooting/leaders?zone=Moon"), 422, "zone")
    refused(api.get("/v1/shooting/teams/" + question()["team"] + "?season=1990-91"), 422, "season")


def table(*, compression: str | None = None, **changes: Any) -> bytes:
    asked = question()
    columns: dict[str, Any] = {
        "player_id": [asked["player"]] * 2, "x": [22.5, 1.0], "y": [4.0, 2.0], "period": [4, 1],
        "seconds_left": [155, 12], "opponent": [asked["opponent"]] * 2, "home": [True, False], **changes,
    }  # fmt: skip
    made = pa.table({name: values for name, values in columns.items() if values is not ...})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, made.schema, options=pa.ipc.IpcWriteOptions(compression=compression)) as stream:
        stream.write_table(made)
    return bytes(sink.getvalue().to_pybytes())


COLUMNS: list[tuple[dict[str, Any], str]] = [
    ({"x": ...}, "shots.x"),
    ({"x": [np.nan, 1.0]}, "shots.0.x"),
    ({"y": [1.0, None]}, "shots.1.y"),
    ({"y": [1.0, 1e9]}, "shots.1.y"),
    ({"x": [1.0, 30.0]}, "shots.1.x"),
    ({"x": ["a", "b"]}, "shots.x"),
    ({"period": [1, 99]}, "shots.1.period"),
    ({"period": [1.5, 2.0]}, "shots.period"),
    ({"period": [5, 1], "seconds_left": [301, 1]}, "shots.0.seconds_left"),
    ({"seconds_left": [-1, 1]}, "shots.0.seconds_left"),
    ({"opponent": ["<b>", "BOS"]}, "shots.0.opponent"),
    ({"opponent": [None, "BOS"]}, "shots.0.opponent"),
    ({"home": [1, 0]}, "shots.home"),
    ({"zone": [1, 2]}, "shots.zone"),
    ({"team": [question()["opponent"], question()["team"]]}, "shots.0.opponent"),
    ({"day": ["2030-01-01", "2030-01-01"]}, "shots.day"),
    ({"position": ["G", "PG"]}, "shots.1.position"),
    ({"action_type": ["Dunk", None]}, "shots.1.action_type"),
    ({"game_id": ["1", "1"], "period": [1, 2]}, "shots.0.made"),
    ({"game_id": ["1" * 41, "1"]}, "shots.0.game_id"),
    ({"player_id": [-5, 1]}, "shots.0.player_id"),
]


@pytest.mark.parametrize(("changes", "field"), COLUMNS, ids=lambda value: str(value)[:40])
def test_a_wrong_column_is_named(api: TestClient, changes: dict[str, Any], field: str) -> None:
    answer = api.post("/v1/predict/batch", content=table(**changes), headers={"Content-Type": ARROW})
    refused(answer, 422, field)


def test_a_batch_has_at_most_ten_thousand_shots(api: TestClient) -> None:
    n = 10_001
    asked = question()
    many = {
        "player_id": pa.array([asked["player"]] * n, pa.int32()), "x": np.full(n, 3, np.float32),
        "y": np.ones(n, np.float32),
        "period": np.ones(n, np.int8), "seconds_left": np.ones(n, np.int16),
        "opponent": pa.array([asked["opponent"]] * n).dictionary_encode(), "home": np.ones(n, bool),
    }  # fmt: skip
    refused(api.post("/v1/predict/batch", content=table(**many), headers={"Content-Type": ARROW}), 422, "shots")
    fewer = {name: values[:-1] for name, values in many.items()}
    assert api.post("/v1/predict/batch", content=table(**fewer), headers={"Content-Type": ARROW}).status_code == 200
    assert api.get("/health/live").status_code == 200


@pytest.mark.parametrize("compression", ["lz4", "zstd"])
@pytest.mark.parametrize("dictionary", [False, True], ids=["plain", "dictionary"])
def test_a_compressed_table_is_refused_before_it_is_unpacked(
    api: TestClient, dictionary: bool, compression: str
) -> None:
    texts = pa.array(["BOS"] * 2)
    body = table(opponent=texts.dictionary_encode() if dictionary else texts, compression=compression)
    found = refused(api.post("/v1/predict/batch", content=body, headers={"Content-Type": ARROW}), 400, "body")
    assert "without compression" in found["detail"]


LONG = "A" * 150_000
ENDLESS = {
    "plain": pa.array([LONG, "BOS"]),
    "large": pa.array([LONG, "BOS"], pa.large_string()),
    "dictionary": pa.DictionaryArray.from_arrays(pa.array([0, 0], pa.int32()), pa.array([LONG])),
    "view": pa.array([LONG, "BOS"], pa.string_view()),
    "part of a view": pa.array(["BOS", LONG, "BOS"], pa.string_view())[1:],
}


@pytest.mark.parametrize("texts", ENDLESS.values(), ids=list(ENDLESS))
def test_a_text_without_end_is_refused_before_it_is_repeated(api: TestClient, texts: pa.Array) -> None:
    body = table(opponent=texts)
    found = refused(api.post("/v1/predict/batch", content=body, headers={"Content-Type": ARROW}), 422, "shots.opponent")
    assert "400 bytes" in found["detail"] and LONG not in found["detail"]


KINDS = [pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int8(), pa.string())]


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_texts_of_every_kind_are_read(api: TestClient, kind: pa.DataType) -> None:
    texts = pa.array([question()["opponent"]] * 2)
    body = table(opponent=texts.dictionary_encode().cast(kind) if pa.types.is_dictionary(kind) else texts.cast(kind))
    assert api.post("/v1/predict/batch", content=body, headers={"Content-Type": ARROW}).status_code == 200


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(where=st.floats(0, 1, exclude_max=True), mask=st.integers(1, 255), cut=st.integers(0, 40))
def test_no_damaged_table_is_a_fault(api: TestClient, where: float, mask: int, cut: int) -> None:
    body = bytearray(table(opponent=pa.array([question()["opponent"]] * 2).dictionary_encode()))
    body[int(where * len(body))] ^= mask
    answer = api.post("/v1/predict/batch", content=bytes(body[: len(body) - cut]), headers={"Content-Type": ARROW})
    assert answer.status_code < 500, answer.text


def test_a_day_or_unit_counts_in_columns(api: TestClient) -> None:
    body = table(x=[225.0, 10.0], y=[40.0, 20.0], day=pa.array([None, None], pa.date32()))
    answer = api.post(
        "/v1/predict/batch?unit=nba", content=body, headers={"Content-Type": ARROW, "Accept": "application/json"}
    )
    assert answer.json()["predictions"][0]["zone"] == "Right Corner 3"
    refused(api.post("/v1/predict/batch?unit=yd", content=body, headers={"Content-Type": ARROW}), 422, "unit")
