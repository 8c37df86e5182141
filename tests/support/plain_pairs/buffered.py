"""The best route where pairs of all segments are buffered: the best swap tree on the best route.

Where all nodes that may be passed swap with one success q, a rate R is within reach iff some route keeps Yeung's
condition for R and the fidelity: labels (share of the tree used, -ln w), both of which only grow and keep their
order. The largest R is one of the finite set r q^d. Else see `unequal`.
"""

import heapq
import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from controller.physics.buffered_regime import UNLIMITED_DEPTH, best_tree, depth_limit, kraft_step, tree_rate
from tests.support.plain_pairs.candidate import Candidate, Links
from tests.support.plain_pairs.choices import Choice
from tests.support.plain_pairs.ground import Ground
from tests.support.plain_pairs.unequal import best_unequal

_ROUNDING: Final = 1e-12


def one_swap_success(ground: Ground) -> float | None:
    """Return the swap success that all nodes have which a route may pass; None where they differ."""
    stations = ground.network.wiring.stations
    found = {stations[node].swap_success for node in ground.near if node not in (ground.start, ground.goal)}
    return None if len(found) > 1 else found.pop() if found else 1.0


def best_buffered(ground: Ground, steps: int) -> Candidate | None:
    """Return the route, choices and tree of the highest rate that keeps the ground's fidelity, or None.

    Of equal rates: fewest hops, then first link names; on the route, the best fidelity. Cost with one q: a few times
    O(labels), with few labels at a node; where q differs, at most `steps` labels are looked at.
    """
    if not ground.joined:
        return None
    success = one_swap_success(ground)
    if success is None:
        return best_unequal(ground, steps)
    return _Thresholds(ground, success).best()


Step = tuple[int, float, Choice]
"""(depth limit, -ln w, the choice) of a way to run a link for a rate."""


class _Thresholds:
    """Searches for one rate after the other on one ground."""

    def __init__(self, ground: Ground, success: float) -> None:
        self._ground = ground
        self._success = success
        self._limited = ground.most < len(ground.passable) - 1
        self._rate_hz = -1.0
        self._steps: dict[int, tuple[Step, ...]] = {}

    def best(self) -> Candidate | None:
        rates = self._rates()
        low, high = -1, len(rates) - 1
        found: Links | None = None
        while low < high:
            middle = (low + high + 1) // 2
            way = self.purest(float(rates[middle]))
            if way is None:
                high = middle - 1
                continue
            found = way[1]
            reached = tree_rate([choice.rate_hz for choice in way[2]], self._success)
            low = max(middle, int(np.searchsorted(rates, reached * (1.0 + _ROUNDING), side="right")) - 1)
            high = max(high, low)
        if found is None:
            return None
        rate_hz = float(rates[low])
        links = self._first_of(rate_hz, len(found))
        choices = self._choices_on(links, rate_hz)
        successes = [self._success] * (len(links) - 1)
        value, tree = best_tree([choice.rate_hz for choice in choices], successes)
        losses = self._ground.swap_losses
        transit = self._ground.nodes_on(links)[1:-1]
        loss = sum(choice.loss for choice in choices) + sum(losses[node] for node in transit)
        return Candidate(links=links, choices=choices, tree=tree, rate_hz=value, werner=math.exp(-loss), bound_hz=value)

    def _rates(self) -> NDArray[np.float64]:
        """Return every rate that some route may have, rising."""
        ground = self._ground
        rates = np.array(
            sorted(
                {
                    choice.rate_hz
                    for node in ground.near
                    for link, _ in ground.ways(node)
                    for choice in ground.choices(link)
                }
            )
        )
        deepest = 0 if self._success == 1.0 else min(ground.most - 1, UNLIMITED_DEPTH)
        # The same product as in the physics, so that equal rates are equal to the last bit.
        powers = np.array([self._success**depth for depth in range(deepest + 1)])
        return np.unique(np.outer(rates, powers))

    def _ways_of(self, link: int, rate_hz: float) -> tuple[Step, ...]:
        """Return the ways to run a link at that rate, deepest first, none worse than another."""
        if rate_hz != self._rate_hz:
            self._rate_hz, self._steps = rate_hz, {}
        made = self._steps.get(link)
        if made is None:
            steps: list[Step] = []
            for choice in self._ground.choices(link):
                depth = depth_limit(choice.rate_hz, rate_hz, self._success)
                if depth < 0:
                    break
                if steps and steps[-1][0] == depth:
                    steps.pop()  # they come with falling loss
                steps.append((depth, choice.loss, choice))
            self._steps[link] = made = tuple(steps)
        return made

    def purest(self, rate_hz: float) -> tuple[float, Links, tuple[Choice, ...]] | None:
        """Return (-ln w, links, choices) of the purest route that has the rate, or None."""
        ground = self._ground
        to_goal, swap_losses, most = ground.losses_to_goal, ground.swap_losses, ground.most
        fewest = ground.hops_to_goal
        kept: dict[int, list[tuple[float, float, int]]] = {}
        # (bound, hops, links) settle ties; so the result does not hang on the order of labels.
        order = 0
        queue: list[tuple[float, int, Links, float, float, int, int, tuple[Choice, ...]]] = [
            (to_goal[ground.start], 0, (), 0.0, 0.0, order, ground.start, ())
        ]
        while queue:
            _, hops, links, used, loss, _, node, choices = heapq.heappop(queue)
            if node == ground.goal:
                return loss, links, choices
            at_node = kept.setdefault(node, [])
            if any(u <= used and lo <= loss and (not self._limited or h <= hops) for u, lo, h in at_node):
                continue
            at_node.append((used, loss, hops))
            swapped = loss + (swap_losses[node] if hops else 0.0)
            for link, far in ground.ways(node):
                if far == ground.start or hops + 1 + fewest[far] > most:
                    continue
                for depth, step_loss, choice in self._ways_of(link, rate_hz):
                    onward = swapped + step_loss
                    bound = onward + to_goal[far] + (swap_losses[far] if far != ground.goal else 0.0)
                    if bound > ground.allowed:
                        continue
                    share = kraft_step(used, depth)
                    if share > 1.0 or (share == 1.0 and far != ground.goal):
                        continue
                    others = kept.get(far)
                    if others and any(
                        u <= share and lo <= onward and (not self._limited or h <= hops + 1) for u, lo, h in others
                    ):
                        continue
                    order += 1
                    heapq.heappush(
                        queue, (bound, hops + 1, (*links, link), share, onward, order, far, (*choices, choice))
                    )
        return None

    def _first_of(self, rate_hz: float, longest: int) -> Links:
        """Return the links of the first route, by hops and then by names, that has the rate.

        Hop by hop; a label is dropped only for one that is not worse and comes first.
        """
        ground = self._ground
        to_goal, swap_losses, fewest = ground.losses_to_goal, ground.swap_losses, ground.hops_to_goal
        level: dict[int, list[tuple[Links, float, float]]] = {ground.start: [((), 0.0, 0.0)]}
        for hops in range(1, longest + 1):
            following: dict[int, list[tuple[Links, float, float]]] = {}
            for node, labels in level.items():
                for link, far in ground.ways(node):
                    if far == ground.start or hops + fewest[far] > longest:
                        continue
                    for links, used, loss in labels:
                        swapped = loss + (swap_losses[node] if links else 0.0)
                        for depth, step_loss, _ in self._ways_of(link, rate_hz):
                            onward = swapped + step_loss
                            rest = to_goal[far] + (swap_losses[far] if far != ground.goal else 0.0)
                            share = kraft_step(used, depth)
                            if share <= 1.0 and onward + rest <= ground.allowed:
                                following.setdefault(far, []).append(((*links, link), share, onward))
            if ground.goal in following:
                return min(links for links, _, _ in following[ground.goal])
            level = {node: _first_undominated(labels) for node, labels in following.items()}
        raise AssertionError("the route found has the rate")

    def _choices_on(self, links: Links, rate_hz: float) -> tuple[Choice, ...]:
        """Return the purest choices with which a route has the rate."""
        labels: list[tuple[float, float, tuple[Choice, ...]]] = [(0.0, 0.0, ())]
        for link in links:
            grown = [
                (loss + step_loss, kraft_step(used, depth), (*choices, choice))
                for loss, used, choices in labels
                for depth, step_loss, choice in self._ways_of(link, rate_hz)
            ]
            labels = []
            for label in sorted(grown, key=lambda each: each[:2]):
                if label[1] <= 1.0 and (not labels or label[1] < labels[-1][1]):
                    labels.append(label)
        return labels[0][2]


def _first_undominated(labels: list[tuple[Links, float, float]]) -> list[tuple[Links, float, float]]:
    kept: list[tuple[Links, float, float]] = []
    for links, used, loss in sorted(labels):
        if not any(u <= used and lo <= loss for _, u, lo in kept):
            kept.append((links, used, loss))
    return kept
