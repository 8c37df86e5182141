"""Runs the agent's command line with a tape of the pairs that it delivers: python -m tests.chaos.taped run|fleet ...

An agent counts pairs for its reports and forgets them. For a test to know which they were, over all lives of an agent
that is killed, each is written to `pairs.tape` in the agent's state directory before anything else becomes of it.
"""

import os
import time
from collections import Counter, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from southbound.agent.node import Agent
from southbound.agent.pairs.effects import Delivered
from southbound.commands.main import main

PROGRAM: Final = "tests.chaos.taped"
_TAPE: Final = "pairs.tape"


@dataclass(frozen=True, slots=True)
class Taped:
    """A pair as one end had it.

    Attributes:
        at_s: When, on the monotonic clock of the machine.
        of: Path, head, far end, and number.
        told: Version, whether it is a test pair, and its frame: what both ends must agree on.
    """

    at_s: float
    of: tuple[str, str, str, int]
    told: tuple[int, bool, int, int]


class Tape(deque[Delivered]):
    """Takes the place of the last pairs that an agent remembers, and writes each down."""

    def __init__(self, path: Path) -> None:
        super().__init__(maxlen=1)
        # Unbuffered: what was delivered before `kill -9` is on the tape.
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def append(self, pair: Delivered, /) -> None:
        """Write a pair down."""
        identity = pair.pair
        told = f"{pair.path} {identity.head} {identity.far} {identity.sequence} {pair.version} {pair.test:d}"
        os.write(self._file, f"{time.monotonic():.6f} {told} {pair.x} {pair.z}\n".encode())


def tape_of(state: Path) -> list[Taped]:
    """Return what an agent delivered in all its lives; a line that is being written is left out."""
    try:
        lines = (state / _TAPE).read_text().split("\n")[:-1]
    except FileNotFoundError:
        return []
    return [_taped(*line.split()) for line in lines]


def tapes_of(fleet: Path, nodes: Iterable[str]) -> dict[str, list[Taped]]:
    """Return the tapes of nodes."""
    return {node: tape_of(fleet / node) for node in nodes}


def faults_of(tapes: Mapping[str, Iterable[Taped]]) -> list[str]:
    """Return every pair that one end was given twice, and every one that its two ends have differently."""
    faults = []
    by_pair: dict[tuple[str, str, str, int], dict[str, tuple[int, bool, int, int]]] = {}
    for node, tape in tapes.items():
        for pair in tape:
            ends = by_pair.setdefault(pair.of, {})
            if node in ends:
                faults.append(f"pair {pair.of} was given to {node} twice")
            ends[node] = pair.told
    for identity, ends in by_pair.items():
        if not ends.keys() <= {identity[1], identity[2]}:
            faults.append(f"pair {identity} came to {sorted(ends)}, which are not both its ends")
        if len(set(ends.values())) > 1:
            faults.append(f"pair {identity} is (version, test, x, z) {ends} at its ends")
    numbers: Counter[tuple[str, str, int]] = Counter(identity[1:] for identity in by_pair)
    faults += [f"pair id {identity} was given by {count} paths" for identity, count in numbers.items() if count > 1]
    return faults


def whole_of(tapes: Mapping[str, Iterable[Taped]], path: str) -> tuple[int, int]:
    """Return how many pairs of a path both ends have, and of how many only one end knows."""
    seen = Counter(pair.of for tape in tapes.values() for pair in tape if pair.of[0] == path)
    return sum(count == 2 for count in seen.values()), sum(count == 1 for count in seen.values())


def longest_pause_s(tape: Iterable[Taped], path: str, since_s: float, until_s: float) -> float:
    """Return the longest time without a pair of a path at one end, between two moments."""
    times = [since_s, *(pair.at_s for pair in tape if pair.of[0] == path and since_s < pair.at_s < until_s), until_s]
    return max(later - earlier for earlier, later in pairwise(times))


def _taped(at_s: str, path: str, head: str, far: str, number: str, *told: str) -> Taped:
    version, test, x, z = map(int, told)
    return Taped(float(at_s), (path, head, far, int(number)), (version, bool(test), x, z))


def _with_tape(begin: Any) -> Any:
    def begins(agent: Agent, plan: Any, *more: Any) -> None:
        begin(agent, plan, *more)
        if agent.pairs is not None:
            agent.pairs.recent = Tape(plan.state_dir / _TAPE)

    return begins


if __name__ == "__main__":
    Agent.__init__ = _with_tape(Agent.__init__)  # type: ignore[method-assign]
    main()
