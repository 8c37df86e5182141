"""Prints what a start of qinetctl costs beside importing gRPC and typer alone: python -m tests.bench.cli_start [RUNS].

One JSON line: medians of the wall time of whole processes, taken in turns, of the slowest of three starts: the help of
everything, the help of one command, and a command that has everything it needs to ask the controller but certificates,
so that it ends where it would connect. The promise is at most twice the bare import: a ratio of at least 0.5.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from statistics import median
from typing import Final

_RUNS: Final = 15
_BARE: Final = (sys.executable, "-c", "import grpc, typer")
_QINETCTL: Final = (sys.executable, "-c", "import sys; from controller.cli.main import main; sys.exit(main())")
_STARTS: Final = {
    "--help": ("--help",),
    "get nodes --help": ("get", "nodes", "--help"),
    "get nodes": ("get", "nodes"),
}
_PROMISED: Final = 0.5


def took_s(command: Sequence[str], environment: dict[str, str]) -> float:
    """Return how long a process takes from its start to its end; s."""
    began = time.perf_counter()
    subprocess.run(
        command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        check=False, timeout=60,
    )  # fmt: skip
    return time.perf_counter() - began


def measured(runs: int, *, warm: bool = True) -> dict[str, object]:
    """Measure in turns, so that a busy moment of the machine hits all alike; a turn before may warm the page cache."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "QINET_PKI": folder, "COLUMNS": "80"}
        bare: list[float] = []
        ours: dict[str, list[float]] = {name: [] for name in _STARTS}
        for number in range(runs + warm):
            turn = {name: took_s([*_QINETCTL, *words], environment) for name, words in _STARTS.items()}
            peer = took_s(_BARE, environment)
            if number or not warm:
                bare.append(peer)
                for name, spent in turn.items():
                    ours[name].append(spent)
    medians = {name: median(spent) for name, spent in ours.items()}
    slowest = max(medians, key=lambda name: medians[name])
    theirs = median(bare)
    return {
        "work": "qinetctl start",
        "ours": round(medians[slowest], 3),
        "unit": "s",
        "peer": "python import grpc, typer",
        "theirs": round(theirs, 3),
        "ratio": round(theirs / medians[slowest], 2),
        "promised_ratio": _PROMISED,
        "slowest": slowest,
        "starts_s": {name: round(spent, 3) for name, spent in medians.items()},
    }


if __name__ == "__main__":
    print(json.dumps(measured(int(sys.argv[1]) if sys.argv[1:] else _RUNS)))
