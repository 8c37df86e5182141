"""The best route with the best swap tree where nodes swap with different success: no label keeps its order then.

Best first over loop-free ways from the start. The tree of a route, restricted to a beginning and one later hop, has
no more swaps above any hop; so the best tree of the beginning with each hop at its fastest, and one hop of the widest
rest behind a node of the best success, bounds every route that begins so.
"""

import heapq
import math
from collections.abc import Sequence
from functools import partial

from controller.physics.buffered_regime import best_tree
from controller.routing.entanglement.candidate import Candidate, Links, better, may_win
from controller.routing.entanglement.choices import Choice
from controller.routing.entanglement.ground import Ground
from controller.routing.entanglement.reach import fastest_rate_hz, widest_to_goal

Point = tuple[float, float, tuple[Choice, ...]]
"""(rate, -ln w, choices) of a segment."""


def best_unequal(ground: Ground, steps: int) -> Candidate | None:
    """Return the best route as `buffered.best_buffered` does; its bound is above its rate where steps ran out."""
    search = _Search(ground)
    search.run(steps)
    return search.found()


def frontier(links: Links, ground: Ground) -> list[Point]:
    """Return every (rate, -ln w) of one route that no other allocation and tree beats in both, fastest first.

    The swaps' own -ln s is counted. Dynamic programme over segments, each with its own frontier.
    """
    nodes = ground.nodes_on(links)
    stations = ground.network.wiring.stations
    of: dict[tuple[int, int], list[Point]] = {
        (hop, hop + 1): [(choice.rate_hz, choice.loss, (choice,)) for choice in ground.choices(link)]
        for hop, link in enumerate(links)
    }
    hops = len(links)
    for length in range(2, hops + 1):
        for first in range(hops - length + 1):
            last = first + length
            points: list[Point] = []
            for middle in range(first + 1, last):
                success = stations[nodes[middle]].swap_success
                swap_loss = ground.swap_losses[nodes[middle]]
                points += [
                    (success * min(left[0], right[0]), left[1] + right[1] + swap_loss, left[2] + right[2])
                    for left in of[first, middle]
                    for right in of[middle, last]
                ]
            of[first, last] = _unbeaten(points)
    return of[0, hops]


def _unbeaten(points: list[Point]) -> list[Point]:
    kept: list[Point] = []
    for point in sorted(points, key=lambda each: (-each[0], each[1])):
        if not kept or point[1] < kept[-1][1]:
            kept.append(point)
    return kept


class _Search:
    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._widest = widest_to_goal(ground, partial(fastest_rate_hz, ground))
        stations = ground.network.wiring.stations
        self._best_success = max(
            (stations[node].swap_success for node in ground.near),
            default=1.0,
        )
        self._best: tuple[float, Links] | None = None
        self._point: Point | None = None
        self._left_hz = 0.0

    def run(self, steps: int) -> None:
        ground = self._ground
        queue: list[tuple[float, int, Links, tuple[int, ...], float, tuple[float, ...]]] = [
            (-math.inf, 0, (), (ground.start,), 0.0, ())
        ]
        while queue:
            bound, hops, links, nodes, loss, rates = heapq.heappop(queue)
            if not self._may_win(-bound, links, nodes[-1]):
                continue
            steps -= 1
            if steps < 0:
                self._left_hz = -bound
                return
            if nodes[-1] == ground.goal:
                self._settle(links)
                continue
            swapped = loss + (ground.swap_losses[nodes[-1]] if hops else 0.0)
            for link, far in ground.ways(nodes[-1]):
                if far in nodes or hops + 1 + ground.hops_to_goal[far] > ground.most:
                    continue
                rest = ground.losses_to_goal[far] + (ground.swap_losses[far] if far != ground.goal else 0.0)
                slack = self._ground.allowed - swapped - rest
                fastest = next((choice.rate_hz for choice in ground.choices(link) if choice.loss <= slack), None)
                if fastest is None:
                    continue
                onward = (*nodes, far)
                paces = (*rates, fastest)
                limit = self._bound(onward, paces)
                if self._may_win(limit, (*links, link), far):
                    least = swapped + ground.least_loss(link)
                    heapq.heappush(queue, (-limit, hops + 1, (*links, link), onward, least, paces))

    def _may_win(self, bound_hz: float, links: Links, node: int) -> bool:
        """Tell whether a route that begins so can be preferred to the best one found."""
        return may_win(bound_hz, links, len(links) + self._ground.hops_to_goal[node], self._best)

    def _bound(self, nodes: Sequence[int], rates: tuple[float, ...]) -> float:
        ground = self._ground
        stations = ground.network.wiring.stations
        successes = [stations[node].swap_success for node in nodes[1:-1]]
        if nodes[-1] == ground.goal:
            return best_tree(rates, successes)[0]
        return best_tree((*rates, self._widest[nodes[-1]]), (*successes, self._best_success))[0]

    def _settle(self, links: Links) -> None:
        point = next((point for point in frontier(links, self._ground) if point[1] <= self._ground.allowed), None)
        if point is not None and (self._best is None or better((point[0], links), self._best)):
            self._best, self._point = (point[0], links), point

    def found(self) -> Candidate | None:
        if self._best is None or self._point is None:
            return None
        ground = self._ground
        links = self._best[1]
        stations = ground.network.wiring.stations
        successes = [stations[node].swap_success for node in ground.nodes_on(links)[1:-1]]
        value, tree = best_tree([choice.rate_hz for choice in self._point[2]], successes)
        return Candidate(
            links=links,
            choices=self._point[2],
            tree=tree,
            rate_hz=value,
            werner=math.exp(-self._point[1]),
            bound_hz=max(value, self._left_hz),
        )
