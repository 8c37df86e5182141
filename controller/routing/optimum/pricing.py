"""The cheapest way of every demand at given prices of the links: where column generation gets its columns from."""

from collections import defaultdict
from typing import Final, NamedTuple

import numpy as np

from controller.routing.kernels.compiled import NONE
from controller.routing.kernels.net import Flags, Floats, Int64s
from controller.routing.kernels.tree import MOST_COST, Ways, cheapest_ways
from controller.routing.optimum.problem import Problem

FAR: Final = 2**61
"""The cost of a demand that has no way at all."""


class _Group(NamedTuple):
    """Demands whose ways go over the same ground; sorted by start."""

    wants: list[int]
    open: Flags
    passable: Flags
    starts: Int64s
    goals: Int64s
    most: int | None


class Priced:
    """The cheapest way of each demand, from the smaller end to the larger.

    Attributes:
        costs: What it costs, FAR where there is none; shape (n_wants,).
    """

    def __init__(self, n_wants: int) -> None:
        self.costs = np.full(n_wants, FAR, np.int64)
        self._found: list[tuple[Ways, int] | None] = [None] * n_wants

    def way(self, want: int) -> tuple[int, ...]:
        """Return the links of a demand's way; empty where it has none."""
        found = self._found[want]
        return () if found is None else found[0].way(found[1])

    def take(self, wants: list[int], ways: Ways) -> None:
        """Note the ways of some of the demands."""
        self.costs[wants] = np.where(ways.costs == NONE, FAR, ways.costs)
        for pair, want in enumerate(wants):
            self._found[want] = ways, pair


class Pricer:
    """Finds cheapest ways, one tree for all demands that start at one node and may go the same ways."""

    def __init__(self, problem: Problem) -> None:
        self._problem = problem
        self._groups = list(_groups(problem))

    def price(self, costs: Int64s) -> Priced:
        """Return the cheapest way of each demand over links that could carry it: in full where it is all or nothing.

        Cost: O((n + m) log n) for each node that demands start at; with hop limits, the limit x (n + m).

        Args:
            costs: Of each link, 1 to MOST_COST; shape (n_links,).
        """
        priced = Priced(len(self._problem.wants))
        for group in self._groups:
            ways = cheapest_ways(
                self._problem.net,
                costs=costs,
                open=group.open,
                passable=group.passable,
                starts=group.starts,
                goals=group.goals,
                most=group.most,
            )
            priced.take(group.wants, ways)
        return priced


def _groups(problem: Problem) -> list[_Group]:
    members: dict[tuple[int, int, int | None], list[int]] = defaultdict(list)
    narrowness = np.sort(problem.rooms)
    n_nodes = problem.net.first.size - 1
    for number, want in enumerate(problem.wants):
        need = want.volume if want.whole else 1
        narrower = int(np.searchsorted(narrowness, need))
        most = None if want.most is None or want.most >= n_nodes - 1 else want.most
        members[want.ground, narrower, most].append(number)
    groups = []
    for (number, narrower, most), wants in members.items():
        ground = problem.grounds[number]
        ends = {want: sorted((problem.wants[want].source, problem.wants[want].target)) for want in wants}
        wants.sort(key=lambda want: (ends[want], want))
        wide_enough = np.ones(problem.rooms.size, np.bool_)
        wide_enough[np.argsort(problem.rooms, kind="stable")[:narrower]] = False
        groups.append(
            _Group(
                wants=wants,
                open=ground.open & wide_enough,
                passable=ground.passable,
                starts=np.array([ends[want][0] for want in wants], np.int64),
                goals=np.array([ends[want][1] for want in wants], np.int64),
                most=most,
            )
        )
    return groups


def rounded(prices: Floats, scale: float) -> Int64s:
    """Return prices as whole numbers, so that what a search finds does not hang on their last bits.

    At most half of what a search takes, so that something can be added.

    Args:
        prices: Of each link, anything finite; below 0 counts as 0; shape (n_links,).
        scale: Steps in a price of 1.
    """
    return np.clip(np.rint(prices * scale), 1, MOST_COST // 2).astype(np.int64)
