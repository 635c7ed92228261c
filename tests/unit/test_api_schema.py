"""The API against its own description: schemathesis asks whatever that allows, and much that it doesn't."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest
from api_workspace import served, workspace

from parivision.market.routes import router as odds

# Of what is well formed some can't be meant on these data: a name that nobody has, a day that is over.
_CONFIG = '[checks]\npositive_data_acceptance.expected-statuses = ["2xx", "404", "422"]\n'


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server that runs in this process."""
    with served(workspace(tmp_path_factory.mktemp("api")), [odds]) as url:
        yield url


def read(url: str) -> str:
    with urlopen(url, timeout=10) as answer:
        return str(answer.read().decode())


@pytest.mark.slow
def test_every_answer_is_as_described(address: str, tmp_path: Path) -> None:
    (tmp_path / "schemathesis.toml").write_text(_CONFIG)
    command = [str(Path(sys.executable).with_name("schemathesis")), "--config-file", "schemathesis.toml", "run"]
    command += [
        f"{address}/openapi.json",
        "--phases",
        "examples,coverage,fuzzing",
        "--max-examples",
        "10",
        "--seed",
        "1",
    ]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    metrics = read(f"{address}/metrics")
    answered = [line for line in metrics.splitlines() if line.startswith("parivision_api_predictions_total")]
    assert answered and float(answered[0].split()[-1]) > 3  # it came as far as the models
    faults = [line for line in metrics.splitlines() if 'status="50' in line]
    assert faults and all(line.endswith(" 0.0") for line in faults), faults


def test_the_description_says_errors_units_and_examples(address: str) -> None:
    described = json.loads(read(f"{address}/openapi.json"))
    for path, operations in described["paths"].items():
        for operation in operations.values():
            assert operation["summary"]
            if path.startswith("/v1/"):
                assert {"401", "403", "422", "429", "500", "503", "504"} <= set(operation["responses"]), path
                assert operation["security"] == [{"key": []}, {}] and operation["x-scope"]
            for status, said in operation["responses"].items():
                if int(status) >= 400:
                    schema = said["content"]["application/problem+json"]["schema"]
                    assert schema == {"$ref": "#/components/schemas/ProblemDetails"}
    schemas = described["components"]["schemas"]
    for name in ("ShotQuestion", "BatchQuestion", "Outcomes"):
        assert schemas[name]["examples"]
    assert schemas["Answer"]["example"]["probability"]["low_95"]
    assert (
        "Feet" in json.dumps(schemas["Place"]) and "ft" in schemas["Answer"]["properties"]["distance_ft"]["description"]
    )
    assert "HTTPValidationError" not in schemas
