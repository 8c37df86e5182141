"""Demands on one route each, and the room that is left: what is moved about to make room for more."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from controller.routing.kernels.net import Flags, Int64s
from controller.routing.kernels.tree import cheapest_ways
from controller.routing.optimum.problem import Problem

Way = tuple[int, ...]
"""Links from the smaller end of a demand to the larger."""


class Held:
    """A placement that is being changed; no link ever holds more than it has.

    Attributes:
        rooms: What is left of each link; shape (n_links,).
        ways: Of each demand, None where it is not placed; shape (n_wants,).
    """

    def __init__(self, problem: Problem, costs: Int64s) -> None:
        """Begin with nothing placed.

        Args:
            problem: The demands; each is placed in full or not at all.
            costs: Of each link, what a way over it is looked for by; 1 to 2^40; shape (n_links,).
        """
        self.rooms = problem.rooms.copy()
        self.ways: list[Way | None] = [None] * len(problem.wants)
        self._problem = problem
        self._costs = costs
        self._on: list[set[int]] = [set() for _ in range(problem.rooms.size)]
        self._volumes = [want.volume for want in problem.wants]

    def fits(self, want: int, way: Way) -> bool:
        """Tell whether every link of a way has the room that a demand needs."""
        return bool((self.rooms[list(way)] >= self._volumes[want]).all())

    def place(self, want: int, way: Way) -> None:
        """Put a demand that is not placed onto a way that it fits on."""
        self.ways[want] = way
        self.rooms[list(way)] -= self._volumes[want]
        for link in way:
            self._on[link].add(want)

    def lift(self, want: int) -> Way:
        """Take a demand that is placed off its way, and return that."""
        way = self.ways[want]
        assert way is not None
        self.ways[want] = None
        self.rooms[list(way)] += self._volumes[want]
        for link in way:
            self._on[link].discard(want)
        return way

    def on(self, link: int) -> Iterator[int]:
        """Yield the demands on a link, by number."""
        yield from sorted(self._on[link])

    def cheapest(self, want: int, *, barred: Iterable[int] = (), costs: Int64s | None = None) -> Way | None:
        """Return the cheapest way of a demand over links with enough room left, none of them barred; None: no way.

        Cost: O((n + m) log n).
        """
        open = self.rooms >= self._volumes[want]
        for link in barred:
            open[link] = False
        return self.search(want, open, self._costs if costs is None else costs)

    def search(self, want: int, open: Flags, costs: Int64s) -> Way | None:
        """Return the cheapest way of a demand over those of its links that are open; None: no way."""
        wanted = self._problem.wants[want]
        ground = self._problem.grounds[wanted.ground]
        ends = sorted((wanted.source, wanted.target))
        ways = cheapest_ways(
            self._problem.net,
            costs=costs,
            open=open & ground.open,
            passable=ground.passable,
            starts=np.array(ends[:1], np.int64),
            goals=np.array(ends[1:], np.int64),
            most=wanted.most,
        )
        return ways.way(0) or None

    def restore(self, changes: Sequence[tuple[int, Way | None]]) -> None:
        """Undo changes, given as (demand, way before), the oldest first."""
        for want, way in reversed(changes):
            if self.ways[want] is not None:
                self.lift(want)
            if way is not None:
                self.place(want, way)
