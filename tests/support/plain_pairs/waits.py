"""Lower bounds of how long a lane of the memory regime takes, for a beginning of a route and for all of it.

All pairs of a route must be there before its last swap; so the mean time is at least that of the last of them, by
the success of the last swap. What is to come after a beginning counts with the best chance that any rest offers for
each time on a fixed grid: chances multiply, so that is a least sum of logarithms. And a segment's time is, by
chance, never below an exponential one whose rate is that of its slowest hop times the success of its swaps.
"""

import math
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

from controller.physics.swap_tree import first_hop, nested_halving, swap_nodes_above
from tests.support.plain_pairs.candidate import Links
from tests.support.plain_pairs.choices import Choice
from tests.support.plain_pairs.ground import Ground

Array = NDArray[np.float64]

_NEVER: Final = -700.0
_EVEN, _WIDE = 48, 24


class Waits:
    """The bounds on one ground, with what they share."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._of_choice: dict[tuple[float, float, int], Array] = {}
        self._of_link: dict[int, Array] = {}
        self._paces: dict[int, float] = {}
        self._least_s: dict[int, float] = {}
        stations = ground.network.wiring.stations
        self._best_success = max(
            (stations[node].swap_success for node in ground.near),
            default=1.0,
        )

    @cached_property
    def _times_s(self) -> Array:
        """Return the grid: even steps up to three times what a quick route takes, and wide ones beyond."""
        ground = self._ground

        def mean_s(link: int) -> float:
            return min(1.0 / choice.rate_hz for choice in ground.choices(link))

        quick_s = ground.least_to_goal(mean_s, lambda _: 0.0)[ground.start]
        even = np.linspace(0.0, 3.0, _EVEN + 1)[1:]
        wide = np.geomspace(3.0, 1000.0, _WIDE + 1)[1:]
        times_s: Array = np.concatenate((even, wide)) * quick_s
        return times_s

    @cached_property
    def _steps_s(self) -> Array:
        return np.diff(self._times_s, prepend=0.0)

    @cached_property
    def certain(self) -> Array:
        """Return ln 1, at each time."""
        return np.zeros(len(self._times_s))

    def chance_of(self, link: int, choice: Choice) -> Array:
        """Return ln P(all raw pairs of one purified pair are there), at each time."""
        period_s = self._ground.network.wiring.edges[link].model.attempt_period_s
        key = choice.success_probability, period_s, choice.rounds
        made = self._of_choice.get(key)
        if made is None:
            attempts = np.floor(self._times_s / period_s * (1.0 + 1e-12))
            if choice.success_probability < 1.0:
                there = -np.expm1(attempts * math.log1p(-choice.success_probability))
            else:
                there = np.where(attempts >= 1.0, 1.0, 0.0)
            made = np.log(np.maximum(there, math.exp(_NEVER))) * 2**choice.rounds
            self._of_choice[key] = made
        return made

    def chance(self, link: int) -> Array:
        """Return the same of the best choice of a link for each time."""
        made = self._of_link.get(link)
        if made is None:
            choices = self._ground.choices(link)
            made = self.chance_of(link, choices[0])
            for choice in choices[1:]:
                made = np.maximum(made, self.chance_of(link, choice))
            self._of_link[link] = made
        return made

    @cached_property
    def _to_goal(self) -> Array:
        """Return the largest ln P(all pairs are there) of any rest from each node, at each time; shape (n, times)."""
        ground = self._ground
        count = len(ground.passable)
        best = np.full((count, len(self._times_s)), -1e9)
        best[ground.goal] = 0.0
        ends: list[tuple[int, int, int]] = []
        for node in ground.near:
            if node == ground.goal:
                continue
            ends += [(node, far, link) for link, far in ground.ways(node) if far != ground.start]
        if not ends:
            return best
        starts = np.array([end[0] for end in ends])
        fars = np.array([end[1] for end in ends])
        chances = np.stack([self.chance(end[2]) for end in ends])
        heads = np.concatenate(([0], np.flatnonzero(np.diff(starts)) + 1))
        owners = starts[heads]
        for _ in range(count):
            offered = np.maximum.reduceat(chances + best[fars], heads, axis=0)
            risen = np.maximum(best[owners], offered)
            if np.array_equal(risen, best[owners]):
                break
            best[owners] = risen
        return best

    def mean_s(self, chances: Array) -> float:
        """Return a lower bound of the mean time: survival falls, so a sum over right ends is below the integral."""
        return float(self._steps_s @ -np.expm1(chances))

    def lane_bound_hz(self, links: Links, nodes: tuple[int, ...], chances: Array) -> float:
        """Return pairs per second that one lane of no route which begins so exceeds.

        Args:
            links: Of the beginning.
            nodes: Of the beginning.
            chances: Sum of `chance` of its links.
        """
        ground = self._ground
        mean_s = self.mean_s(chances + self._to_goal[nodes[-1]])
        hops = len(links) + ground.hops_to_goal[nodes[-1]]
        if hops > 1:
            success = self._best_success
            if nodes[-1] == ground.goal:
                stations = ground.network.wiring.stations
                success = max(stations[node].swap_success for node in nodes[1:-1])
            # Every hop of nested halving lies at least so deep.
            depth = int(math.log2(hops) + 1e-9)
            slowest = min(self.pace_hz(link) for link in links)
            mean_s = max(mean_s, 1.0 / (slowest * success ** (depth - 1))) / success
        return 1.0 / max(mean_s, *(self.least_s(link) for link in links))

    def least_s(self, link: int) -> float:
        """Return the least mean time to a raw pair of a link; > 0."""
        made = self._least_s.get(link)
        if made is None:
            self._least_s[link] = made = min(1.0 / choice.rate_hz for choice in self._ground.choices(link))
        return made

    def pace_hz(self, link: int) -> float:
        """Return the largest pace of a link's choices."""
        made = self._paces.get(link)
        if made is None:
            self._paces[link] = made = max(choice.pace_hz for choice in self._ground.choices(link))
        return made


class RouteWaits:
    """The bounds of one whole route, by the choices of its first hops.

    Attributes:
        losses_after: The least -ln w of the hops from each one on, swaps not counted; shape (n + 1,).
    """

    def __init__(self, waits: Waits, ground: Ground, links: Links, nodes: tuple[int, ...]) -> None:
        self._waits = waits
        self._links = links
        hops = len(links)
        self.losses_after = [0.0] * (hops + 1)
        self._chances_after = [waits.certain] * (hops + 1)
        for hop in range(hops - 1, -1, -1):
            self.losses_after[hop] = self.losses_after[hop + 1] + ground.least_loss(links[hop])
            self._chances_after[hop] = self._chances_after[hop + 1] + waits.chance(links[hop])
        stations = ground.network.wiring.stations
        tree = nested_halving(hops)
        self._weights = [1.0] * hops
        self._half = 0
        self._last = 1.0
        if not isinstance(tree, int):
            self._half = first_hop(tree[1])
            self._last = stations[nodes[self._half]].swap_success
            for hop, above in swap_nodes_above(tree).items():
                self._weights[hop] = math.prod(stations[nodes[node]].swap_success for node in above[1:])

    def bound_hz(self, choices: tuple[Choice, ...]) -> float:
        """Return pairs per second that one lane of the route does not exceed whose first hops run so."""
        links, done = self._links, len(choices)
        chances = self._chances_after[done]
        for link, choice in zip(links, choices, strict=False):
            chances = chances + self._waits.chance_of(link, choice)
        paces = [choice.pace_hz for choice in choices] + [self._waits.pace_hz(link) for link in links[done:]]
        mean_s = self._waits.mean_s(chances)
        if not self._half:
            return 1.0 / max(mean_s, self._waits.least_s(links[0]))
        weighed = [pace * weight for pace, weight in zip(paces, self._weights, strict=True)]
        left, right = min(weighed[: self._half]), min(weighed[self._half :])
        apart_s = 1.0 / left + 1.0 / right - 1.0 / (left + right) if left + right < math.inf else 0.0
        mean_s = max(mean_s, apart_s) / self._last
        return 1.0 / max(mean_s, *(self._waits.least_s(link) for link in links))
