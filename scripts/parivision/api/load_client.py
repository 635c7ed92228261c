"""The asker of the load test: a process of its own, so that it takes no time from the server's.

`python -m parivision.api.load_client` reads what to ask as JSON from its standard input and writes what it measured.
"""

from __future__ import annotations

import asyncio
import base64
import json
import sys
import time
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Load:
    """What to ask, how often and how many at once.

    Attributes
    ----------
    path : str
    headers : dict
        Content type and the like.
    bodies : list of str
        Base64; asked in turn.
    connections : int
        Kept open; each asks again once it is answered.
    seconds : float
        To measure, after a warm-up of a fifth of it.
    """

    port: int
    path: str
    headers: dict[str, str]
    bodies: list[str]
    connections: int
    seconds: float


@dataclass(frozen=True)
class Measured:
    """What came of it: latencies in ms, answers a second, and how many were not 200."""

    answers: int
    failed: int
    per_second: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    largest_ms: float


def quantile(values: list[float], share: float) -> float:
    """Of sorted values, the nearest rank."""
    return values[min(len(values) - 1, int(share * len(values)))] if values else float("nan")


async def ask(load: Load) -> Measured:
    """Run it."""
    requests = [_request(load, base64.b64decode(body)) for body in load.bodies]
    begun = time.perf_counter()
    since, until = begun + load.seconds / 5, begun + 1.2 * load.seconds
    found: list[tuple[float, bool]] = []
    await asyncio.gather(*(_connection(load.port, requests, i, since, until, found) for i in range(load.connections)))
    took = time.perf_counter() - since  # what was begun in time was waited for
    times = sorted(1000 * seconds for seconds, good in found if good)
    return Measured(
        answers=len(times),
        failed=sum(not good for _, good in found),
        per_second=len(times) / took,
        p50_ms=quantile(times, 0.5),
        p95_ms=quantile(times, 0.95),
        p99_ms=quantile(times, 0.99),
        largest_ms=times[-1] if times else float("nan"),
    )


def _request(load: Load, body: bytes) -> bytes:
    headers = {"Host": f"127.0.0.1:{load.port}", "Content-Length": str(len(body)), **load.headers}
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"POST {load.path} HTTP/1.1\r\n{head}\r\n".encode() + body


async def _connection(
    port: int, requests: list[bytes], number: int, since: float, until: float, found: list[tuple[float, bool]]
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**20)
    asked, counted = number, 0
    while (begun := time.perf_counter()) < until or not counted:  # one at least, however long it takes
        writer.write(requests[asked % len(requests)])
        asked += 1
        head = await reader.readuntil(b"\r\n\r\n")
        await _body(head, reader)
        ended = time.perf_counter()
        if begun >= since:
            counted += 1
            found.append((ended - begun, head.startswith(b"HTTP/1.1 200")))
    writer.close()
    await writer.wait_closed()


async def _body(head: bytes, reader: asyncio.StreamReader) -> None:
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            await reader.readexactly(int(line.split(b":")[1]))
            return
    raise ValueError("the answer does not say how long it is")


if __name__ == "__main__":
    print(json.dumps(asdict(asyncio.run(ask(Load(**json.load(sys.stdin)))))))  # the process that started this reads it
