"""Demands on a key network over time: what planning ahead is asked. Time in steps, amounts of key in bit."""

import math
from bisect import bisect_right
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Final

import numpy as np

from controller.domain.refusals import InvalidValue
from controller.routing.kernels.net import Int64s, Net
from controller.routing.optimum.problem import MOST_VOLUME, Ground

MOST_STEPS: Final = 10_000
MOST_PLANNED: Final = 2_000_000
"""The largest steps x links, and the largest sum over demands of the steps that they may use."""
_MOST_TIME_S: Final = 2**36
_WEIGHTS: Final = (1e-6, 1e6)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyStore:
    """What a link keeps for later; a full one, or one whose key gets too old, drops its oldest key.

    Attributes:
        initial_bit: What it holds when the first step begins; counted as made then.
        floor_bit: Demands never draw it lower; <= initial_bit.
        capacity_bit: >= initial_bit.
        ttl_s: How long key may wait before it is erased, > 0; None is for ever.
    """

    initial_bit: int = 0
    floor_bit: int = 0
    capacity_bit: int
    ttl_s: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Relay:
    """A demand of a constant rate: in every one of its steps the same, though the routes may change.

    Attributes:
        source, target: Nodes; different.
        rate_millibit_per_s: What it takes of every link of its route when it is carried in full, 1 to MOST_VOLUME.
        begin_s, end_s: When it runs; bounds of steps, begin_s < end_s.
        weight: The worth of each bit, 1e-6 to 1e6.
        most: Most links of a route, >= 1; None is no limit.
        ground: The number of its ground.
    """

    source: int
    target: int
    rate_millibit_per_s: int
    begin_s: int
    end_s: int
    weight: float = 1.0
    most: int | None = None
    ground: int = 0

    @property
    def asked_bit(self) -> float:
        """Return all that it asks for."""
        return self.rate_millibit_per_s * (self.end_s - self.begin_s) / 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Burst:
    """A demand of an amount, at any time and any rate from begin_s to its deadline.

    Attributes:
        source, target, weight, most, ground: As of a relay.
        volume_bit: 1 to MOST_VOLUME.
        begin_s, deadline_s: Bounds of steps, begin_s < deadline_s.
    """

    source: int
    target: int
    volume_bit: int
    begin_s: int
    deadline_s: int
    weight: float = 1.0
    most: int | None = None
    ground: int = 0

    @property
    def end_s(self) -> int:
        """Return the deadline."""
        return self.deadline_s

    @property
    def asked_bit(self) -> float:
        """Return all that it asks for."""
        return float(self.volume_bit)


TimedWant = Relay | Burst


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TimedProblem:
    """A key network over time, and what is wanted of it. Within a step every rate is constant.

    Attributes:
        bounds_s: Where steps begin and end, ascending: step t is from bounds_s[t] to bounds_s[t + 1]. At least two,
            whole seconds, 0 to 2^36.
        made_millibit_per_s: Key that each link makes in each step, less what it needs itself: 0 in an announced outage
            and outside the pass of a satellite, else what the link promises; 0 to MOST_VOLUME; shape (n_steps,
            n_links).
        stores: Of each link.
        grounds: At least one where there are wants.

    Raises:
        InvalidValue: A shape or a value is out of range; names the step, store or want and the field.
    """

    net: Net
    bounds_s: tuple[int, ...]
    made_millibit_per_s: Int64s
    stores: tuple[KeyStore, ...]
    wants: tuple[TimedWant, ...]
    grounds: tuple[Ground, ...]

    def __post_init__(self) -> None:
        n_nodes, n_links = self.net.first.size - 1, self.net.tails.size
        problems = _bounds_problems(self.bounds_s)
        if problems:
            raise InvalidValue("", *problems[:20])
        n_steps = len(self.bounds_s) - 1
        made = self.made_millibit_per_s
        if made.shape != (n_steps, n_links) or made.dtype != np.int64:
            problems.append(("made_millibit_per_s", f"is not {n_steps} x {n_links} whole numbers"))
        elif made.size and not (made.min() >= 0 and made.max() <= MOST_VOLUME):
            problems.append(("made_millibit_per_s", f"are not all in 0..{MOST_VOLUME}"))
        if len(self.stores) != n_links:
            problems.append(("stores", f"{len(self.stores)} stores are not one for each of {n_links} links"))
        for number, ground in enumerate(self.grounds):
            if ground.open.shape != (n_links,) or ground.passable.shape != (n_nodes,):
                problems.append((f"grounds[{number}]", f"is not of {n_links} links and {n_nodes} nodes"))
        for number, store in enumerate(self.stores):
            problems += [(f"stores[{number}].{field}", what) for field, what in _store_problems(store)]
        known = set(self.bounds_s)
        for number, want in enumerate(self.wants):
            found = [*_time_problems(want, known), *_want_problems(want, n_nodes, len(self.grounds))]
            problems += [(f"wants[{number}].{field}", what) for field, what in found]
        if not problems:
            size = max(n_steps * n_links, sum(len(self.steps_of(want)) for want in self.wants))
            if size > MOST_PLANNED:
                problems.append(("bounds_s", f"{size} steps x links or demands are more than {MOST_PLANNED}; cut less"))
        if problems:
            raise InvalidValue("", *problems[:20])

    def durations_s(self) -> Int64s:
        """Return how long each step is; shape (n_steps,)."""
        bounds_s = np.array(self.bounds_s, np.int64)
        return bounds_s[1:] - bounds_s[:-1]

    def steps_of(self, want: TimedWant) -> range:
        """Return the steps that a demand may use."""
        return range(self.bounds_s.index(want.begin_s), self.bounds_s.index(want.end_s))

    def made_millibit(self) -> list[list[int]]:
        """Return what each link makes in each step, by step, then by link; exact."""
        durations = self.durations_s().tolist()
        return [
            [rate * duration for rate in rates]
            for rates, duration in zip(self.made_millibit_per_s.tolist(), durations, strict=True)
        ]

    def fullest_millibit(self) -> list[list[int]]:
        """Return the most that each store can hold at each bound of a step, by bound, then by link.

        That is its capacity, or less: all that was made within the time that key may wait.
        """
        begin = self.bounds_s[0]
        columns = []
        for link, store in enumerate(self.stores):
            rates = self.made_millibit_per_s[:, link].tolist()
            steps = zip(rates, self.bounds_s, self.bounds_s[1:], strict=False)
            totals = list(accumulate((rate * (end - at) for rate, at, end in steps), initial=0))
            column = []
            for number, at in enumerate(self.bounds_s):
                held = totals[number]
                if store.ttl_s is None or at - store.ttl_s < begin:
                    held += store.initial_bit * 1000
                else:
                    old = bisect_right(self.bounds_s, at - store.ttl_s) - 1
                    held -= totals[old] + rates[old] * (at - store.ttl_s - self.bounds_s[old])
                column.append(min(held, store.capacity_bit * 1000))
            columns.append(column)
        return [list(row) for row in zip(*columns, strict=True)] if columns else [[] for _ in self.bounds_s]


def _bounds_problems(bounds_s: tuple[int, ...]) -> list[tuple[str, str]]:
    if not 2 <= len(bounds_s) <= MOST_STEPS + 1:
        return [("bounds_s", f"{len(bounds_s)} bounds are not of 1 to {MOST_STEPS} steps")]
    problems = [
        (f"bounds_s[{number}]", f"{at} is no whole number of seconds in 0..{_MOST_TIME_S}")
        for number, at in enumerate(bounds_s)
        if not (_whole(at) and 0 <= at <= _MOST_TIME_S)
    ]
    return problems or [
        (f"bounds_s[{number + 1}]", f"{after} s is not after {before} s: steps must not overlap or be empty")
        for number, (before, after) in enumerate(pairwise(bounds_s))
        if after <= before
    ]


def _store_problems(store: KeyStore) -> list[tuple[str, str]]:
    found = [
        (field, f"{value} bit is no whole number in 0..{MOST_VOLUME}")
        for field, value in (
            ("initial_bit", store.initial_bit),
            ("floor_bit", store.floor_bit),
            ("capacity_bit", store.capacity_bit),
        )
        if not (_whole(value) and 0 <= value <= MOST_VOLUME)
    ]
    if not found and store.initial_bit > store.capacity_bit:
        found.append(("initial_bit", f"{store.initial_bit} bit is above the capacity, {store.capacity_bit}"))
    if not found and store.initial_bit < store.floor_bit:
        found.append(
            ("initial_bit", f"{store.initial_bit} bit is below the floor, {store.floor_bit}; plan from when it is full")
        )
    if store.ttl_s is not None and not (_whole(store.ttl_s) and store.ttl_s > 0):
        found.append(("ttl_s", f"{store.ttl_s} is no positive number of seconds"))
    return found


def _time_problems(want: TimedWant, known: set[int]) -> list[tuple[str, str]]:
    end = "end_s" if isinstance(want, Relay) else "deadline_s"
    found = [
        (field, f"{at} s is no bound of a step; cut the step there")
        for field, at in (("begin_s", want.begin_s), (end, want.end_s))
        if not (_whole(at) and at in known)
    ]
    if not found and want.begin_s >= want.end_s:
        found.append((end, f"{want.end_s} s is not after {want.begin_s} s"))
    return found


def _want_problems(want: TimedWant, n_nodes: int, n_grounds: int) -> list[tuple[str, str]]:
    found = []
    for field, node in (("source", want.source), ("target", want.target)):
        if not (_whole(node) and 0 <= node < n_nodes):
            found.append((field, f"{node} is none of the {n_nodes} nodes"))
    if want.source == want.target:
        found.append(("target", f"is the source, {want.source}"))
    if isinstance(want, Relay):
        field, amount = "rate_millibit_per_s", want.rate_millibit_per_s
    else:
        field, amount = "volume_bit", want.volume_bit
    if not (_whole(amount) and 1 <= amount <= MOST_VOLUME):
        found.append((field, f"{amount} is no whole number in 1..{MOST_VOLUME}"))
    if not (math.isfinite(want.weight) and _WEIGHTS[0] <= want.weight <= _WEIGHTS[1]):
        found.append(("weight", f"{want.weight} is not in {_WEIGHTS[0]}..{_WEIGHTS[1]}"))
    if want.most is not None and not (_whole(want.most) and want.most >= 1):
        found.append(("most", f"{want.most} is no positive number of links"))
    if not (_whole(want.ground) and 0 <= want.ground < n_grounds):
        found.append(("ground", f"{want.ground} is none of the {n_grounds} grounds"))
    return found


def _whole(value: object) -> bool:
    return isinstance(value, int | np.integer)
