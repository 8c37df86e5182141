"""Prints what Qinet does beside bare peers, one JSON object a line: python -m tests.bench (`make bench`).

Each line has ours and theirs, both measured in this run on this machine, and their ratio; above 1 says that ours is
better. It judges nothing.
"""

import json
import subprocess
import sys
from collections.abc import Callable, Generator, Iterator
from typing import Final

from tests.bench import creation, entanglement, restoration
from tests.bench.agent_throughput import carrying
from tests.bench.line import rate_line, tell
from tests.bench.peers import peer, stream_per_s
from tests.chaos.interrupt import closes_on_signals

_CHUNK_BIT: Final = 8192
_IN_FLIGHT: Final = 8
_STREAM_S: Final = 3.0
_STARTS: Final = 5


def creating() -> Iterator[dict[str, object]]:
    """Measure creations: control alone, and with the keys that follow."""
    yield creation.measure(400)
    yield creation.measure(400, history_s=3600.0)


def restoring() -> Iterator[dict[str, object]]:
    """Measure restorations of a few relays and of many."""
    yield restoration.measure(20)
    yield restoration.measure(100)


def relaying() -> Iterator[dict[str, object]]:
    """Measure the key that agents relay over three hops, beside what one bare stream carries."""
    figures: Generator[dict[str, object], None, None] = carrying()
    try:
        ours = next(figures)
    finally:
        figures.close()
    with peer() as address:
        messages_per_s = stream_per_s(address, in_flight=_IN_FLIGHT, message=b"x" * (_CHUNK_BIT // 8), for_s=_STREAM_S)
    yield rate_line(
        "key relayed over three hops, all agents in one process",
        float(str(ours["bit_per_s"])),
        "bit/s",
        f"one bare gRPC stream there and back, messages of {_CHUNK_BIT // 8} bytes, {_IN_FLIGHT} in flight, no TLS",
        messages_per_s * _CHUNK_BIT,
        fleet_cpu_percent_of_a_core=ours["fleet_cpu_percent_of_a_core"],
    )


def starting() -> Iterator[dict[str, object]]:
    """Measure how `qinetctl` starts, in interpreters of its own."""
    said = subprocess.run(
        [sys.executable, "-m", "tests.bench.cli_start", str(_STARTS)], check=True, stdout=subprocess.PIPE, text=True
    ).stdout
    for line in said.splitlines():
        yield json.loads(line)


_WORKS: Final[dict[str, Callable[[], Iterator[dict[str, object]]]]] = {
    "creation": creating,
    "restoration": restoring,
    "relaying": relaying,
    "start": starting,
    "entanglement": entanglement.measured,
}


def main() -> int:
    """Print the lines of the works that were named, or of all."""
    closes_on_signals()
    for name in sys.argv[1:] or _WORKS:
        for line in _WORKS[name]():
            tell(line)
    return 0


if __name__ == "__main__":
    sys.exit(main())
