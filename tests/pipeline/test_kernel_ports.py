"""A kernel's ports are looked up first and bound later; what takes one of them meanwhile fails no run."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from jupyter_client.connect import LocalPortCache
from nbformat.v4 import new_code_cell, new_notebook

from parivision.operations.execution import _KERNEL_STARTS, _execute
from parivision.operations.limits import Limits


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield int(server.getsockname()[1])


@pytest.mark.parametrize("times", [1, _KERNEL_STARTS])
def test_a_port_that_is_taken_meanwhile_is_tried_again_with_another(
    tmp_path: Path, taken: int, times: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = Limits(cell_s=60, task_s=120, run_s=120)
    given, executed = tmp_path / "given.ipynb", tmp_path / "executed.ipynb"
    kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    cells = [new_code_cell("print('done')")]
    nbformat.write(new_notebook(cells=cells, metadata={"kernelspec": kernelspec}), given)
    find, left = LocalPortCache.find_available_port, [times]

    def found(self: LocalPortCache, ip: str) -> int:
        """For the first port of so many kernels, one that another program takes in between."""
        asked.append(ip)
        if len(asked) % 5 == 1 and left[0]:
            left[0] -= 1
            return taken
        return int(find(self, ip))

    asked: list[str] = []
    monkeypatch.setattr(LocalPortCache, "find_available_port", found)
    if times < _KERNEL_STARTS:
        _execute(given, executed, limits)
        (cell,) = nbformat.read(executed, 4).cells
        assert cell.outputs[0].text == "done\n"
    else:
        with pytest.raises(RuntimeError, match="Kernel died"):
            _execute(given, executed, limits)
    assert len(asked) == 5 * min(times + 1, _KERNEL_STARTS)
