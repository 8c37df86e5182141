"""The best route in the memory regime: best first, with bounds that no route beyond them exceeds.

Neither the waiting time nor the decay keeps its order when a route grows, and the tree depends on the whole route; so
nothing is dropped but what a bound excludes. Ways from the start are taken up in the order of their bounds, then the
allocations of a whole route, and what is whole is predicted exactly. When the best prediction is not below any bound
left the search has proven it best; else its steps ran out and the largest bound left is told.
"""

import heapq
import math
from dataclasses import dataclass
from typing import Final

from controller.physics.lane import Lane, LaneHop, LaneNode
from controller.physics.memory_regime import LanePrediction, predict_lane
from controller.physics.swap_tree import SwapTree, first_hop, nested_halving
from controller.routing.entanglement.candidate import Candidate, Links, better
from controller.routing.entanglement.choices import Choice
from controller.routing.entanglement.ground import SAME, Ground
from controller.routing.entanglement.waits import Waits

SHORTEST_CUTOFF: Final = 12
LONGEST_CUTOFF: Final = -2
_SLOWER_WITHOUT_CUTOFF: Final = 1.02
"""By how much a cut-off could raise the rate: it never does but by cutting short a message under way."""


def cutoffs_s(lane: Lane) -> tuple[float | None, ...]:
    """Return the cut-offs that a plan may have, longest first: none, and halves of the shortest coherence."""
    decays = [node.decay_per_s for node in lane.nodes if node.decay_per_s > 0.0]
    if not decays or len(lane.hops) == 1:
        return (None,)
    shortest_s = 1.0 / max(decays)
    return (None, *(shortest_s * 2.0**-step for step in range(LONGEST_CUTOFF, SHORTEST_CUTOFF + 1)))


def lane_of(ground: Ground, links: Links, choices: tuple[Choice, ...], cutoff_s: float | None = None) -> Lane:
    """Return one lane of a route."""
    network = ground.network
    edges = [network.wiring.edges[link] for link in links]
    nodes = ground.nodes_on(links)
    lane_nodes = []
    for place, node in enumerate(nodes):
        station = network.wiring.stations[node]
        decay = 0.0 if node in ground.storeless else station.decay_per_s
        if place in (0, len(links)):
            lane_nodes.append(LaneNode(decay_per_s=decay))
        else:
            lane_nodes.append(
                LaneNode(decay_per_s=decay, swap_success=station.swap_success, swap_quality=station.swap_quality)
            )
    return Lane(
        hops=tuple(
            LaneHop(
                success_probability=choice.success_probability,
                attempt_period_s=edge.model.attempt_period_s,
                werner=choice.raw_werner,
                purification_rounds=choice.rounds,
                length_km=edge.length_km,
            )
            for edge, choice in zip(edges, choices, strict=True)
        ),
        nodes=tuple(lane_nodes),
        cutoff_s=cutoff_s,
    )


def lanes_within(ground: Ground, links: Links, rounds: tuple[int, ...]) -> int:
    """Return how many lanes the free memories hold of a beginning of a route, or of all of it."""
    network = ground.network
    nodes = ground.nodes_on(links)
    held = [0] * len(nodes)
    most = 2**62
    for hop, (link, times) in enumerate(zip(links, rounds, strict=True)):
        most = min(most, network.room[link] >> times)
        held[hop] += 1 << times
        held[hop + 1] += 1 << times
    if nodes[-1] != ground.goal:
        held[-1] += 1
    for node, taken in zip(nodes, held, strict=True):
        if node not in ground.storeless:
            most = min(most, network.memories[node] // taken)
    return most


def lanes_in_time(ground: Ground, links: Links, lane: LanePrediction) -> float:
    """Return how many lanes the free swap time of the transit nodes lets run."""
    most = math.inf
    for place, node in enumerate(ground.nodes_on(links)):
        hardware = ground.network.wiring.stations[node].hardware
        busy = 0.0 if hardware is None else lane.swap_attempts[place] * lane.rate_hz * hardware.swap_duration_s * 1e6
        if busy > 0.0:
            most = min(most, math.floor(ground.network.swap_time[node] / busy * (1 + 1e-12)))
    return most


@dataclass(frozen=True, slots=True, kw_only=True)
class Best:
    """The longest cut-off with which one lane keeps the fidelity, and what it then delivers."""

    cutoff_s: float | None
    lane: LanePrediction


def longest_cutoff(lane: Lane, least_fidelity: float) -> Best | None:
    """Return the longest cut-off of the grid that keeps a fidelity, or None. Fidelity rises as cut-offs get shorter."""
    grid = cutoffs_s(lane)
    low, high = 0, len(grid)
    found: Best | None = None
    middle = 0
    while low < high:
        one = _with_cutoff(lane, grid[middle])
        if one is None or one.fidelity >= least_fidelity:
            found = None if one is None else Best(cutoff_s=grid[middle], lane=one)
            high = middle
        else:
            low = middle + 1
        middle = (low + high) // 2
    return found


def _with_cutoff(lane: Lane, cutoff_s: float | None) -> LanePrediction | None:
    """Return the prediction, or None where the cut-off is too short for any pair."""
    try:
        return predict_lane(Lane(hops=lane.hops, nodes=lane.nodes, cutoff_s=cutoff_s, tree=lane.tree))
    except ValueError:
        return None


_WAY, _ALLOCATION = 0, 1
Item = tuple[float, int, int, Links, tuple[Choice, ...], tuple[int, ...], float]
"""(-bound, hops, kind, links, choices of the first hops, nodes, -ln w of them)."""


class MemorySearch:
    """One search on one ground."""

    def __init__(self, ground: Ground, least_fidelity: float) -> None:
        self._ground = ground
        self._least_fidelity = least_fidelity
        self._waits = Waits(ground)
        self._best: Candidate | None = None
        self.left_hz = 0.0

    def best(self, steps: int) -> Candidate | None:
        """Return the best candidate; its bound is above its rate where steps ran out.

        A prediction counts as fifty steps.
        """
        ground = self._ground
        order = 0
        queue: list[tuple[float, int, Links, int, Item]] = []

        def push(item: Item) -> None:
            nonlocal order
            if self._may_win(-item[0], item[3], item[5][-1]):
                order += 1
                heapq.heappush(queue, (item[0], item[1], item[3], order, item))

        push((-math.inf, 0, _WAY, (), (), (ground.start,), 0.0))
        while queue:
            item = heapq.heappop(queue)[-1]
            bound, _, kind, links, choices, nodes, loss = item
            if not self._may_win(-bound, links, nodes[-1]):
                continue
            if steps <= 0:
                self.left_hz = -bound
                break
            steps -= 1
            if kind == _WAY and nodes[-1] != ground.goal:
                for grown in self._grown(item):
                    push(grown)
            elif len(choices) < len(links):
                for allocated in self._allocated(links, choices, nodes, loss):
                    push(allocated)
            else:
                steps -= 50
                self._settle(links, choices)
        if self._best is None:
            return None
        return _bounded(self._best, self.left_hz)

    def _may_win(self, bound_hz: float, links: Links, node: int) -> bool:
        if self._best is None:
            return True
        value, best = self._best.rate_hz, self._best.links
        if abs(bound_hz - value) > SAME * value:
            return bound_hz > value
        hops = len(links) + self._ground.hops_to_goal[node]
        return hops < len(best) or (hops == len(best) and links <= best[: len(links)])

    def _grown(self, item: Item) -> list[Item]:
        ground = self._ground
        _, hops, _, links, _, nodes, loss = item
        swapped = loss + (ground.swap_losses[nodes[-1]] if hops else 0.0)
        found: list[Item] = []
        for link, far in ground.ways(nodes[-1]):
            if far in nodes or hops + 1 + ground.hops_to_goal[far] > ground.most:
                continue
            rest = ground.losses_to_goal[far] + (ground.swap_losses[far] if far != ground.goal else 0.0)
            least = ground.least_loss(link)
            if swapped + least + rest > ground.allowed:
                continue
            grown = (*links, link)
            bound = lanes_within(ground, grown, (0,) * len(grown)) * self._waits.lane_bound_hz(grown, (*nodes, far))
            if bound > 0.0:
                found.append((-bound, hops + 1, _WAY, grown, (), (*nodes, far), swapped + least))
        return found

    def _allocated(self, links: Links, choices: tuple[Choice, ...], nodes: tuple[int, ...], _loss: float) -> list[Item]:
        ground = self._ground
        losses = sum(ground.swap_losses[node] for node in nodes[1:-1]) + sum(choice.loss for choice in choices)
        rest = sum(ground.least_loss(link) for link in links[len(choices) + 1 :])
        found: list[Item] = []
        for choice in ground.choices(links[len(choices)]):
            if losses + choice.loss + rest > ground.allowed:
                continue
            chosen = (*choices, choice)
            rounds = tuple(each.rounds for each in chosen) + (0,) * (len(links) - len(chosen))
            bound = lanes_within(ground, links, rounds) * self._waits.route_bound_hz(links, nodes, chosen)
            if bound > 0.0:
                found.append((-bound, len(links), _ALLOCATION, links, chosen, nodes, losses + choice.loss))
        return found

    def _settle(self, links: Links, choices: tuple[Choice, ...]) -> None:
        """Predict one allocation of one route, and keep it where it is better than what was found."""
        ground = self._ground
        lane = lane_of(ground, links, choices)
        lanes = lanes_within(ground, links, tuple(choice.rounds for choice in choices))
        if self._best is not None:
            unlimited = _with_cutoff(lane, None)
            if unlimited is None or not self._may_win(
                lanes * unlimited.rate_hz * _SLOWER_WITHOUT_CUTOFF, links, ground.goal
            ):
                return
        one = longest_cutoff(lane, self._least_fidelity)
        if one is None:
            return
        lanes = int(min(lanes, lanes_in_time(ground, links, one.lane)))
        if lanes < 1:
            return
        rate_hz = lanes * one.lane.rate_hz
        if self._best is None or _preferred(rate_hz, one.lane.werner, links, choices, self._best):
            self._best = Candidate(
                links=links,
                choices=choices,
                tree=nested_halving(len(links)),
                lanes=lanes,
                cutoff_s=one.cutoff_s,
                rate_hz=rate_hz,
                werner=one.lane.werner,
                bound_hz=rate_hz,
            )


def _preferred(rate_hz: float, werner: float, links: Links, choices: tuple[Choice, ...], best: Candidate) -> bool:
    if better((rate_hz, links), (best.rate_hz, best.links)):
        return True
    if links != best.links or abs(rate_hz - best.rate_hz) > SAME * best.rate_hz:
        return False
    rank = [(choice.rounds, choice.option) for choice in choices]
    return (-werner, rank) < (-best.werner, [(choice.rounds, choice.option) for choice in best.choices])


def _bounded(best: Candidate, left_hz: float) -> Candidate:
    return Candidate(
        links=best.links,
        choices=best.choices,
        tree=best.tree,
        lanes=best.lanes,
        cutoff_s=best.cutoff_s,
        rate_hz=best.rate_hz,
        werner=best.werner,
        bound_hz=max(best.rate_hz, left_hz),
    )


def root_of(tree: SwapTree) -> int | None:
    """Return the place of the node of the last swap; None for one hop."""
    return None if isinstance(tree, int) else first_hop(tree[1])
