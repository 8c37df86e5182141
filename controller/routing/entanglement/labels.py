"""Best first with dominance: for objectives that fall along a route though not one figure keeps its order.

A label holds all figures on which the rest of a route acts, each of which keeps its order by itself. So a label that
is not worse in any of them, and not later in order, makes another one at its node needless.
"""

import heapq
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Generic, TypeVar

from controller.routing.entanglement.candidate import Links, better, may_win
from controller.routing.entanglement.choices import Choice
from controller.routing.entanglement.ground import Ground

Figures = TypeVar("Figures")


class Rules(ABC, Generic[Figures]):
    """What one regime does to labels. -ln w is kept apart: it adds up in every regime."""

    @abstractmethod
    def first(self) -> Figures:
        """Return the figures before the first hop."""

    @abstractmethod
    def grown(self, figures: Figures, node: int, link: int, choice: Choice) -> Figures | None:
        """Return the figures after one more hop, over a link that leaves a node; None where it has no room."""

    @abstractmethod
    def bound_hz(self, figures: Figures, node: int) -> float:
        """Return the rate that no route exceeds which comes to the node with these figures; at the goal: the rate."""

    @abstractmethod
    def not_worse(self, one: Figures, other: Figures) -> bool:
        """Tell whether one is at least as good as another in every figure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Way(Generic[Figures]):
    """A way from the start to a node.

    Attributes:
        rate_hz: Of the whole route; of a beginning, what it can become at most.
    """

    rate_hz: float
    links: Links
    choices: tuple[Choice, ...]
    nodes: tuple[int, ...]
    loss: float
    figures: Figures


def best_way(ground: Ground, rules: Rules[Figures]) -> Way[Figures] | None:
    """Return the way to the goal of the highest rate that keeps the ground's fidelity, or None.

    Of equal rates: fewest hops, then first link names.
    """
    if not ground.joined:
        return None
    best: Way[Figures] | None = None
    kept: dict[int, list[Way[Figures]]] = {}
    order = 0
    start = Way(rate_hz=float("inf"), links=(), choices=(), nodes=(ground.start,), loss=0.0, figures=rules.first())
    queue: list[tuple[float, int, Links, int, Way[Figures]]] = [(-start.rate_hz, 0, (), 0, start)]
    while queue:
        way = heapq.heappop(queue)[-1]
        if best is not None and not _may_win(ground, way, best):
            continue
        node = way.nodes[-1]
        if node == ground.goal:
            if best is None or better((way.rate_hz, way.links), (best.rate_hz, best.links)):
                best = way
            continue
        at_node = kept.setdefault(node, [])
        if any(_dominates(rules, other, way) for other in at_node):
            continue
        at_node.append(way)
        swapped = way.loss + (ground.swap_losses[node] if way.links else 0.0)
        for link, far in ground.ways(node):
            if far in way.nodes or len(way.links) + 1 + ground.hops_to_goal[far] > ground.most:
                continue
            rest = ground.losses_to_goal[far] + (ground.swap_losses[far] if far != ground.goal else 0.0)
            for choice in ground.choices(link):
                loss = swapped + choice.loss
                if loss + rest > ground.allowed:
                    continue
                figures = rules.grown(way.figures, node, link, choice)
                if figures is None:
                    continue
                grown = Way(
                    rate_hz=min(way.rate_hz, rules.bound_hz(figures, far)),
                    links=(*way.links, link),
                    choices=(*way.choices, choice),
                    nodes=(*way.nodes, far),
                    loss=loss,
                    figures=figures,
                )
                if best is not None and not _may_win(ground, grown, best):
                    continue
                if any(_dominates(rules, other, grown) for other in kept.get(far, ())):
                    continue
                order += 1
                heapq.heappush(queue, (-grown.rate_hz, len(grown.links), grown.links, order, grown))
    return best


def _may_win(ground: Ground, way: Way[Figures], best: Way[Figures]) -> bool:
    fewest = len(way.links) + ground.hops_to_goal[way.nodes[-1]]
    return may_win(way.rate_hz, way.links, fewest, (best.rate_hz, best.links))


def _dominates(rules: Rules[Figures], one: Way[Figures], other: Way[Figures]) -> bool:
    return (
        one.loss <= other.loss
        and (len(one.links), one.links) <= (len(other.links), other.links)
        and rules.not_worse(one.figures, other.figures)
    )
