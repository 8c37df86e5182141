"""The best route in the memory regime: best first, with bounds that no route beyond them exceeds.

Neither the waiting time nor the decay keeps its order when a route grows, and the tree depends on the whole route; so
nothing is dropped but what a bound excludes. A few quick routes give a first plan to beat. Then ways from the start
are taken up in the order of their bounds, then the allocations of a whole route, and what is whole is predicted
exactly. When the best prediction is not below any bound left the search has proven it best; else its steps ran out
and the largest bound left is told.
"""

import heapq
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from controller.domain.refusals import TooHard
from controller.physics.lane import Lane, LaneHop, LaneNode
from controller.physics.memory_regime import LanePrediction, predict_lane
from controller.physics.swap_tree import nested_halving
from tests.support.plain_pairs.candidate import Candidate, Links, better
from tests.support.plain_pairs.choices import Choice
from tests.support.plain_pairs.estimate import guess, guessed_cutoff
from tests.support.plain_pairs.ground import SAME, Ground
from tests.support.plain_pairs.waits import Array, RouteWaits, Waits

SHORTEST_CUTOFF: Final = 12
LONGEST_CUTOFF: Final = -2
_STEPS_OF_PREDICTED_HOP: Final = 12
_LONGER: Final = 3
_CUTOFF_GAIN: Final = 1.02
"""How much a cut-off might raise the rate: only by cutting short a message under way."""

Choices = tuple[Choice, ...]


def cutoffs_s(lane: Lane) -> tuple[float | None, ...]:
    """Return the cut-offs that a plan may have, longest first: none, and halves of the shortest coherence."""
    decays = [node.decay_per_s for node in lane.nodes if node.decay_per_s > 0.0]
    if not decays or len(lane.hops) == 1:
        return (None,)
    shortest_s = 1.0 / max(decays)
    return (None, *(shortest_s * 2.0**-step for step in range(LONGEST_CUTOFF, SHORTEST_CUTOFF + 1)))


def lane_of(ground: Ground, links: Links, choices: Choices, cutoff_s: float | None = None) -> Lane:
    """Return one lane of a route."""
    network = ground.network
    edges = [network.wiring.edges[link] for link in links]
    lane_nodes = []
    for place, node in enumerate(ground.nodes_on(links)):
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


def lanes_within(ground: Ground, links: Links, choices: Choices) -> int:
    """Return how many lanes of a route the free memories hold; of hops without a choice the least."""
    network = ground.network
    rounds = [choice.rounds for choice in choices] + [0] * (len(links) - len(choices))
    most = 2**62
    before = 0
    node = ground.start
    for link, times in zip(links, rounds, strict=True):
        most = min(most, network.room[link] >> times)
        if node not in ground.storeless:
            most = min(most, network.memories[node] // (before + (1 << times)))
        before = 1 << times
        a, b = network.wiring.edges[link].ends
        node = b if node == a else a
    return most if node in ground.storeless else min(most, network.memories[node] // before)


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
    found: Best | None = None
    low, high = 0, len(grid)
    middle = guessed_cutoff(lane, grid, least_fidelity)[0]
    stride = 1
    while low < high:
        one = _with_cutoff(lane, grid[middle])
        if one is None or one.fidelity >= least_fidelity:
            found = None if one is None else Best(cutoff_s=grid[middle], lane=one)
            high = middle
            middle = max(low, middle - stride)
        else:
            low = middle + 1
            middle = min(high - 1, middle + stride)
        stride *= 2
        if found is not None or high < len(grid):
            # Bracketed from both sides: halve what is left, but try next to a good guess first.
            middle = max(low, high - 1) if stride == 2 else (low + high) // 2
    return found


def _with_cutoff(lane: Lane, cutoff_s: float | None) -> LanePrediction | None:
    """Return the prediction, or None where the cut-off is too short for any pair."""
    try:
        return predict_lane(Lane(hops=lane.hops, nodes=lane.nodes, cutoff_s=cutoff_s, tree=lane.tree))
    except ValueError:
        return None


@dataclass(frozen=True, slots=True)
class _Way:
    """A beginning of a route, or all of it; its bound holds for whatever follows and is allocated."""

    links: Links
    nodes: tuple[int, ...]
    loss: float
    lanes: int
    chances: Array


@dataclass(frozen=True, slots=True)
class _Allocation:
    """A whole route of which the first hops have their choices."""

    route: RouteWaits
    links: Links
    nodes: tuple[int, ...]
    choices: Choices
    loss: float


class MemorySearch:
    """One search on one ground."""

    def __init__(self, ground: Ground, least_fidelity: float) -> None:
        self._ground = ground
        self._least_fidelity = least_fidelity
        self._waits = Waits(ground)
        self._best: Candidate | None = None
        self._settled: set[tuple[Links, Choices]] = set()
        self._queue: list[tuple[float, int, Links, int, _Way | _Allocation]] = []
        self._order = 0
        self._steps = 0

    def best(self, steps: int) -> Candidate | None:
        """Return the best candidate, or None; its bound is above its rate where steps ran out.

        A prediction counts as twelve steps a hop. While there is no candidate it may take some times as many.

        Raises:
            TooHard: There may be one, but none was found.
        """
        self._steps = steps
        left_hz = 0.0
        # What likely keeps the fidelity first: to find that something does not is what takes longest.
        likely = [each for links in self._quick_routes() for each in self._likely(links)]
        for (keeps, _), links, choices in sorted(likely, key=lambda each: each[0], reverse=True):
            if self._best is None or (keeps and self._steps > 2 * _STEPS_OF_PREDICTED_HOP * len(links)):
                self._settle(links, choices)
        ground = self._ground
        self._push(math.inf, _Way((), (ground.start,), 0.0, 2**62, self._waits.certain))
        while self._queue:
            negative, _, links, _, item = heapq.heappop(self._queue)
            if not self._may_win(-negative, links, item.nodes[-1]):
                continue
            if links and self._steps <= (0 if self._best is not None else -_LONGER * steps):
                left_hz = -negative
                break
            self._steps -= 1
            if isinstance(item, _Allocation):
                if len(item.choices) == len(links):
                    self._settle(links, item.choices)
                else:
                    self._allocate(item)
            elif item.nodes[-1] == ground.goal:
                route = RouteWaits(self._waits, ground, links, item.nodes)
                swaps = sum(ground.swap_losses[node] for node in item.nodes[1:-1])
                self._allocate(_Allocation(route, links, item.nodes, (), swaps))
            else:
                self._grow(item)
        if self._best is None:
            if left_hz:
                raise TooHard(
                    "TOO_HARD",
                    "no plan of the memory regime with that fidelity was found, nor was it shown that there is none,"
                    " within the steps of a search; ask for less fidelity or fewer hops",
                    {"upper_bound_hz": left_hz},
                )
            return None
        return replace(self._best, bound_hz=max(self._best.rate_hz, left_hz))

    def _push(self, bound_hz: float, item: _Way | _Allocation) -> None:
        if self._may_win(bound_hz, item.links, item.nodes[-1]):
            self._order += 1
            heapq.heappush(self._queue, (-bound_hz, len(item.links), item.links, self._order, item))

    def _may_win(self, bound_hz: float, links: Links, node: int) -> bool:
        """Tell whether a route that begins so can be preferred to the best one found."""
        if bound_hz <= 0.0:
            return False
        if self._best is None:
            return True
        value, best = self._best.rate_hz, self._best.links
        if abs(bound_hz - value) > SAME * value:
            return bound_hz > value
        hops = len(links) + self._ground.hops_to_goal[node]
        return hops < len(best) or (hops == len(best) and links <= best[: len(links)])

    def _grow(self, way: _Way) -> None:
        ground = self._ground
        network = ground.network
        node = way.nodes[-1]
        swapped = way.loss + (ground.swap_losses[node] if way.links else 0.0)
        for link, far in ground.ways(node):
            if far in way.nodes or len(way.links) + 1 + ground.hops_to_goal[far] > ground.most:
                continue
            rest = ground.losses_to_goal[far] + (ground.swap_losses[far] if far != ground.goal else 0.0)
            loss = swapped + ground.least_loss(link)
            if loss + rest > ground.allowed:
                continue
            lanes = min(way.lanes, network.room[link])
            for end in (node, far):
                if end not in ground.storeless:
                    lanes = min(lanes, network.memories[end] // (1 if end in (ground.start, ground.goal) else 2))
            links, nodes = (*way.links, link), (*way.nodes, far)
            chances = way.chances + self._waits.chance(link)
            self._push(
                lanes * self._waits.lane_bound_hz(links, nodes, chances), _Way(links, nodes, loss, lanes, chances)
            )

    def _allocate(self, item: _Allocation) -> None:
        """Give the next hop of a route each of its choices."""
        ground = self._ground
        done = len(item.choices)
        rest = item.route.losses_after[done + 1]
        for choice in ground.choices(item.links[done]):
            loss = item.loss + choice.loss
            if loss + rest > ground.allowed:
                continue
            choices = (*item.choices, choice)
            bound_hz = lanes_within(ground, item.links, choices) * item.route.bound_hz(choices)
            self._push(bound_hz, _Allocation(item.route, item.links, item.nodes, choices, loss))

    def _settle(self, links: Links, choices: Choices) -> None:
        """Predict one allocation of one route, and keep it where it is better than what was found."""
        if (links, choices) in self._settled:
            return
        self._settled.add((links, choices))
        ground = self._ground
        lane = lane_of(ground, links, choices)
        lanes = lanes_within(ground, links, choices)
        if lanes < 1:
            return
        if self._best is not None:
            self._steps -= _STEPS_OF_PREDICTED_HOP * len(links)
            unlimited = _with_cutoff(lane, None)
            if unlimited is None or not self._may_win(lanes * unlimited.rate_hz * _CUTOFF_GAIN, links, ground.goal):
                return
        self._steps -= _STEPS_OF_PREDICTED_HOP * len(links)
        one = longest_cutoff(lane, self._least_fidelity)
        if one is None:
            return
        lanes = int(min(lanes, lanes_in_time(ground, links, one.lane)))
        if lanes < 1:
            return
        candidate = Candidate(
            links=links,
            choices=choices,
            tree=nested_halving(len(links)),
            lanes=lanes,
            cutoff_s=one.cutoff_s,
            rate_hz=lanes * one.lane.rate_hz,
            werner=one.lane.werner,
            bound_hz=lanes * one.lane.rate_hz,
        )
        if self._best is None or _preferred(candidate, self._best):
            self._best = candidate

    def _quick_routes(self) -> list[Links]:
        """Return a few routes that are likely good: the fastest, the purest and the shortest."""
        ground = self._ground

        def slowness(link: int) -> float:
            return min(1.0 / choice.rate_hz for choice in ground.choices(link))

        found: list[Links] = []
        for of_link, of_node in (
            (slowness, lambda _: 0.0),
            (ground.least_loss, ground.swap_losses.__getitem__),
            (lambda _: 1.0, lambda _: 0.0),
        ):
            to_goal = ground.least_to_goal(of_link, of_node)
            links = self._descent(to_goal, of_link, of_node)
            if links is not None and links not in found:
                found.append(links)
        return found

    def _descent(
        self, to_goal: Sequence[float], of_link: Callable[[int], float], of_node: Callable[[int], float]
    ) -> Links | None:
        """Return the way from the start on which what is left falls just by what each step adds."""
        ground = self._ground
        node, links = ground.start, list[int]()
        seen = {node}
        while node != ground.goal:
            if len(links) >= ground.most:
                return None
            steps = [
                (of_link(link) + (of_node(far) if far != ground.goal else 0.0) + to_goal[far], link, far)
                for link, far in ground.ways(node)
                if far not in seen and ground.hops_to_goal[far] < math.inf
            ]
            if not steps:
                return None
            _, link, node = min(steps)
            seen.add(node)
            links.append(link)
        return tuple(links)

    def _likely(self, links: Links) -> Iterator[tuple[tuple[int, float], Links, Choices]]:
        """Yield what looks like the best allocations of a route, with their worth; one hop improved after the other."""
        ground = self._ground
        options = [ground.choices(link) for link in links]
        guesses: dict[Choices, tuple[int, float]] = {}

        def worth(choices: Choices) -> tuple[int, float]:
            """Return (1, rate) of what keeps the fidelity, else (0, fidelity)."""
            made = guesses.get(choices)
            if made is None:
                lanes = lanes_within(ground, links, choices)
                lane = lane_of(ground, links, choices)
                if lanes < 1:
                    made = (-1, 0.0)
                elif guess(lane, 1e-9 if len(links) > 1 else None).fidelity < self._least_fidelity:
                    made = (0, guess(lane, None).fidelity)
                else:
                    _, one = guessed_cutoff(lane, cutoffs_s(lane), self._least_fidelity)
                    kept = one.fidelity >= self._least_fidelity
                    made = (1, lanes * one.rate_hz) if kept else (0, one.fidelity)
                guesses[choices] = made
            return made

        for rounds in (0, 1):
            choices = tuple(
                max(each, key=lambda choice: (-abs(choice.rounds - rounds), -choice.loss)) for each in options
            )
            improved = True
            while improved:
                improved = False
                for hop, each in enumerate(options):
                    best = max(each, key=lambda choice: worth((*choices[:hop], choice, *choices[hop + 1 :])))
                    changed = (*choices[:hop], best, *choices[hop + 1 :])
                    if worth(changed) > worth(choices):
                        choices, improved = changed, True
            if worth(choices)[0] >= 0:
                yield worth(choices), links, choices


def _preferred(one: Candidate, best: Candidate) -> bool:
    if better((one.rate_hz, one.links), (best.rate_hz, best.links)):
        return True
    if one.links != best.links or abs(one.rate_hz - best.rate_hz) > SAME * best.rate_hz:
        return False
    ranks = [[(choice.rounds, choice.option) for choice in each.choices] for each in (one, best)]
    return (-one.werner, ranks[0]) < (-best.werner, ranks[1])
