"""Work `start`: a controller's start to its first answer, beside a process that only imports what it is built on.

Ours: from the start of `python -m controller run` to the answer of GetClusterStatus over mTLS; by then the store is
open, the topology applied, every search loaded, and both faces listen. The client and its channel's parts are there
before. Theirs: from the start of Python to the word that the imports in `BARE` are done: every distribution outside
Python's own library that the controller loads with this configuration (gRPC with health, reflection and rich status,
protobuf, cryptography, aiohttp, networkx, NumPy, numba, prometheus_client, PyYAML, typer), and nothing of Qinet. A
second line has a peer that also loads one trivial function that numba compiled and kept, for most of numba is imported
only then. The promise is at most twice the bare import: a ratio of at least 0.5.

All is warm: one turn before those that count. Turns alternate; figures are medians of wall time.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Final

from tests.bench.collected import Works
from tests.bench.line import time_line
from tests.support.daemons import World, world

_TURNS: Final = 7
_PROMISED: Final = 0.5
_LOOK_EVERY_S: Final = 0.002
_TOPOLOGY: Final = Path(__file__).parents[3] / "topologies" / "tokyo-2010.yaml"

BARE: Final = (
    "import grpc, grpc.aio, grpc_health.v1.health_pb2_grpc, grpc_reflection.v1alpha.reflection, grpc_status.rpc_status,"
    " google.protobuf.message, cryptography.x509, aiohttp.web, networkx, numpy, numba, prometheus_client, yaml, typer\n"
)
"""What the peer runs: imports alone."""
_KERNEL: Final = """
import numba

@numba.njit("int64(int64)", cache=True, nogil=True)
def twice(number):
    return 2 * number
"""


def _bare_s(program: str, folder: Path) -> float:
    """Return how long a process takes from its start until its program is done; s."""
    began = time.perf_counter()
    with subprocess.Popen(
        [sys.executable, "-c", f"{program}\nprint('done', flush=True)"], cwd=folder, env=_environment(),
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        word = process.stdout.readline()
        took_s = time.perf_counter() - began
    assert word == b"done\n", f"the bare import ended with {process.returncode}"
    return took_s


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def _ours_s(made: World, turn: int) -> float:
    """Return how long a controller takes from its start to its first answer, and stop it; s."""
    told = made.directory / "controller.json"
    told.unlink(missing_ok=True)
    made.addresses = {}
    store = json.dumps(str(made.directory / f"{turn}.db"))
    config = made.controller_config(store=f"{{kind: sqlite, path: {store}}}")
    began = time.perf_counter()
    daemon = made.spawn("controller", "controller", "run", "--config", config)
    while not told.exists():
        assert daemon.process.poll() is None, daemon.said()
        time.sleep(_LOOK_EVERY_S)
    made.addresses = json.loads(told.read_text())
    made.cluster()
    took_s = time.perf_counter() - began
    made.hang_up()
    daemon.stop()
    return took_s


def measured(turns: int = _TURNS, *, warm: bool = True) -> Iterator[dict[str, object]]:
    """Yield the two lines."""
    ours: list[float] = []
    bare: list[float] = []
    loaded: list[float] = []
    with tempfile.TemporaryDirectory() as name, world(Path(name) / "world", _TOPOLOGY) as made:
        folder = Path(name)
        (folder / "trivial.py").write_text(_KERNEL)
        for turn in range(turns + warm):
            figures = (
                _ours_s(made, turn),
                _bare_s(BARE, folder),
                _bare_s(f"{BARE}import trivial\n", folder),
            )
            if turn or not warm:
                for figure, kept in zip(figures, (ours, bare, loaded), strict=True):
                    kept.append(figure)
    for peer, theirs in (("bare import", bare), ("bare import and one kept kernel", loaded)):
        yield time_line(
            "start", median(ours), "s", peer, median(theirs), promised_ratio=_PROMISED, times_bare=_times(ours, theirs)
        )


def _times(ours: list[float], theirs: list[float]) -> float:
    return round(median(ours) / median(theirs), 2)


WORKS: Works = {"start": measured}
