"""The best route where link pairs are buffered but all swaps are made at once: prod q times the least rate of a hop."""

import math
from collections.abc import Sequence
from functools import partial
from typing import Final

from controller.domain.pair_link import Regime
from controller.physics.swap_tree import nested_halving
from controller.routing.entanglement.candidate import Candidate
from controller.routing.entanglement.choices import Choice
from controller.routing.entanglement.ground import Ground
from controller.routing.entanglement.labels import Rules, best_way
from controller.routing.entanglement.reach import fastest_rate_hz, widest_to_goal

Figures = tuple[float, float]
"""(-ln prod q, least rate_hz) of a beginning, the node it has come to not counted."""


class _AtOnce(Rules[Figures]):
    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        stations = ground.network.wiring.stations
        self._failures = tuple(
            -math.log(station.swap_success) if station.swap_success > 0.0 else math.inf for station in stations
        )
        self._to_goal = ground.least_to_goal(lambda _: 0.0, self._failures.__getitem__)
        self._widest = widest_to_goal(ground, partial(fastest_rate_hz, ground))

    def first(self) -> Figures:
        return 0.0, math.inf

    def grown(self, figures: Figures, node: int, link: int, choice: Choice) -> Figures | None:
        failure, rate_hz = figures
        if node != self._ground.start:
            failure += self._failures[node]
        return failure, min(rate_hz, choice.rate_hz)

    def bound_hz(self, figures: Figures, node: int) -> float:
        failure, rate_hz = figures
        if node != self._ground.goal:
            failure += self._failures[node] + self._to_goal[node]
        return math.exp(-failure) * min(rate_hz, self._widest[node])

    def not_worse(self, one: Figures, other: Figures) -> bool:
        return one[0] <= other[0] and one[1] >= other[1]


def best_at_once(ground: Ground) -> Candidate | None:
    """Return the route and choices of the highest rate that keeps the ground's fidelity, or None.

    Labels (-ln prod q, least rate, -ln w): each keeps its order, the product of the first two does not.
    """
    assert ground.regime is Regime.AT_ONCE
    way = best_way(ground, _AtOnce(ground))
    if way is None:
        return None
    return Candidate(
        links=way.links,
        choices=way.choices,
        tree=nested_halving(len(way.links)),
        rate_hz=way.rate_hz,
        werner=math.exp(-way.loss),
        bound_hz=way.rate_hz,
    )


_LEAST_STOCK: Final = 0.25


def storage_factor_at_once(
    purified_hz: float, efficiency: float, depth: int, hop_decays_per_s: Sequence[float]
) -> float:
    """Return a factor on w that storage leaves at least on average; in (0, 1].

    Every pair waits for the last of n, in a buffer of K pairs: on average less than K (n-1)/(n+2) + 1/4 are there
    (n = 2: K/4, a uniform difference of stocks; held above simulations of up to eight hops), and by Little's law
    each waits that over their rate. The mean of an exponential is not below that of the mean.

    Args:
        purified_hz: Pairs per second that the slowest hop makes.
        efficiency: Part of them that is used.
        depth: K.
        hop_decays_per_s: Both ends of each hop together, shape (n,).
    """
    hops = len(hop_decays_per_s)
    if hops == 1:
        return 1.0
    waits_s = (depth * (hops - 1) / (hops + 2) + _LEAST_STOCK) / (purified_hz * efficiency)
    return math.exp(-waits_s * sum(hop_decays_per_s))
