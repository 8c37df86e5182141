"""The best route of one-shot slots: labels ordered by the whole distribution of lanes, for each width in question."""

import math
from collections.abc import Sequence
from typing import Final

from controller.domain.pair_capacity import swap_time_charge
from controller.domain.path_plan import HopPlan
from controller.physics.slot_regime import dominates, expected_lanes, extended_lanes, lane_distribution, slot_rate_hz
from controller.physics.swap_tree import nested_halving
from controller.routing.entanglement.candidate import Candidate, Links, better
from controller.routing.entanglement.choices import Choice
from controller.routing.entanglement.draft import Draft
from controller.routing.entanglement.ground import SAME, Ground
from controller.routing.entanglement.labels import Rules, best_way
from controller.routing.entanglement.reach import widest_to_goal

_WIDEST: Final = 1000
"""How wide a route may be thought, beyond the room that it has, to say exactly what it lacks."""
Figures = tuple[tuple[float, ...], float, float]
"""(distribution of lanes, longest slot in s, prod q) of a beginning, the node it has come to not counted."""


def room_for_lanes(ground: Ground, node: int) -> int:
    """Return how many lanes the free memories of a node hold."""
    free = ground.network.memories[node]
    if node in (ground.start, ground.goal):
        return 2**62 if node in ground.storeless else free
    return free // 2


def widths(ground: Ground) -> list[int]:
    """Return every width that is the narrowest place of some route, widest first: no other is better on any route."""
    network = ground.network
    found = {
        min(network.room[link], *(room_for_lanes(ground, node) for node in edge.ends))
        for near in ground.near
        for link, _ in ground.ways(near)
        for edge in (network.wiring.edges[link],)
    }
    return sorted((width for width in found if width >= 1), reverse=True)


class _Slots(Rules[Figures]):
    def __init__(self, ground: Ground, width: int) -> None:
        self._ground = ground
        self._width = width
        stations = ground.network.wiring.stations
        self._successes = tuple(station.swap_success for station in stations)
        failures = tuple(-math.log(q) if q > 0.0 else math.inf for q in self._successes)
        self._to_goal = ground.least_to_goal(lambda _: 0.0, failures.__getitem__)
        self._surest = widest_to_goal(ground, self._likeliest)

    def _likeliest(self, link: int) -> float:
        return max(choice.success_probability for choice in self._ground.choices(link))

    def first(self) -> Figures:
        return (0.0,) * self._width + (1.0,), 0.0, 1.0

    def grown(self, figures: Figures, node: int, link: int, choice: Choice) -> Figures | None:
        lanes, slot_s, success = figures
        network = self._ground.network
        edge = network.wiring.edges[link]
        if network.room[link] < self._width:
            return None
        if any(room_for_lanes(self._ground, end) < self._width for end in edge.ends):
            return None
        return (
            extended_lanes(lanes, choice.success_probability),
            max(slot_s, edge.model.attempt_period_s),
            success if node == self._ground.start else success * self._successes[node],
        )

    def bound_hz(self, figures: Figures, node: int) -> float:
        lanes, slot_s, success = figures
        if node != self._ground.goal:
            success *= self._successes[node] * math.exp(-self._to_goal[node])
            surest = self._surest[node]
            lanes = extended_lanes(lanes, surest) if 0.0 < surest < 1.0 else lanes
        return success * expected_lanes(lanes) / slot_s

    def not_worse(self, one: Figures, other: Figures) -> bool:
        return one[1] <= other[1] and one[2] >= other[2] and dominates(one[0], other[0])


def best_slotted(ground: Ground) -> Candidate | None:
    """Return the route, options and width of the highest rate that keeps the ground's fidelity."""
    best: Candidate | None = None
    for width in widths(ground):
        if best is not None and _rate_bound_hz(ground, width) < best.rate_hz * (1 - SAME):
            continue
        way = best_way(ground, _Slots(ground, width))
        if way is None or (best is not None and not better((way.rate_hz, way.links), (best.rate_hz, best.links))):
            continue
        best = Candidate(
            links=way.links,
            choices=way.choices,
            tree=nested_halving(len(way.links)),
            lanes=width,
            rate_hz=way.rate_hz,
            werner=math.exp(-way.loss),
            bound_hz=way.rate_hz,
        )
    return best


def _rate_bound_hz(ground: Ground, width: int) -> float:
    """Return what no route of that width exceeds: the mean of its first or last hop."""
    network = ground.network
    return max(
        (
            width * choice.success_probability / network.wiring.edges[link].model.attempt_period_s
            for link, _ in ground.ways(ground.start)
            for choice in ground.choices(link)
        ),
        default=0.0,
    )


def rate_hz(ground: Ground, links: Links, choices: Sequence[Choice], width: int) -> float:
    """Return the pairs per second of a route with that width."""
    network = ground.network
    stations = network.wiring.stations
    return slot_rate_hz(
        [choice.success_probability for choice in choices],
        [stations[node].swap_success for node in ground.nodes_on(links)[1:-1]],
        [network.wiring.edges[link].model.attempt_period_s for link in links],
        width,
    )


def draft_slotted(ground: Ground, candidate: Candidate, gross_hz: float) -> Draft:
    """Return what a route takes and delivers with the least width that has the rate, whether it has the room or not."""
    exact = max(_WIDEST, candidate.lanes)
    low, high = 1, candidate.lanes
    most_hz = rate_hz(ground, candidate.links, candidate.choices, high)
    if most_hz < gross_hz * (1 - SAME):
        # The mean of the smallest count grows at least as fast as the width: so much is enough.
        low, high = high + 1, max(high + 1, math.ceil(high * gross_hz / most_hz))
    if high > exact:
        # No route has that much room; to say how much is lacking, a bound does, whose cost does not grow with the rate.
        low = high
    while low < high:
        middle = (low + high) // 2
        if rate_hz(ground, candidate.links, candidate.choices, middle) >= gross_hz * (1 - SAME):
            high = middle
        else:
            low = middle + 1
    counted = low if low <= exact else candidate.lanes
    reached_hz = rate_hz(ground, candidate.links, candidate.choices, counted) * low / counted
    network = ground.network
    nodes = ground.nodes_on(candidate.links)
    slot_s = max(network.wiring.edges[link].model.attempt_period_s for link in candidate.links)
    # Lane j is swapped where all hops have a j-th success; each node does it once for each.
    lanes = lane_distribution([choice.success_probability for choice in candidate.choices], counted)
    attempts_per_s = expected_lanes(lanes) / slot_s * low / counted
    swap_time = {}
    for node in nodes[1:-1]:
        hardware = network.wiring.stations[node].hardware
        if hardware is not None:
            swap_time[node] = swap_time_charge(attempts_per_s, hardware.swap_duration_s)
    return Draft(
        ground=ground,
        candidate=candidate,
        hops=tuple(
            HopPlan(link=network.wiring.edges[link].name, option=choice.option, memory_pairs=low)
            for link, choice in zip(candidate.links, candidate.choices, strict=True)
        ),
        lanes=low,
        buffer_pairs=0,
        rate_hz=reached_hz,
        werner=candidate.werner,
        swap_time=swap_time,
    )
