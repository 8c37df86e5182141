"""An entanglement network as one demand and one regime see it: where routes may go, and what each link can do there."""

import heapq
import math
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final

from controller.domain.entanglement_path import PairDemand, PairUse
from controller.domain.pair_link import Regime
from controller.domain.route import Route
from controller.physics.purification import nested_rounds
from controller.routing.entanglement.network import PairNetwork

MAX_ROUNDS: Final = 2
"""Nested rounds of purification that are weighed on each hop."""
SAME: Final = 1e-9
"""Figures closer than that, relatively, count as equal: they differ by rounding alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One way to run a hop for the path: an option of its link, and rounds of purification.

    Attributes:
        option: Index of the link's option.
        rounds: Nested rounds of BBPSSW.
        success_probability: Of one attempt.
        raw_werner: w of a raw pair.
        cost: Raw pairs per purified pair, C_k.
        werner: Of a purified pair that never waited.
        loss: -ln werner; >= 0.
        rate_hz: BUFFERED, AT_ONCE: purified pairs per second with all that is free; else raw pairs of one memory pair.
        pace_hz: Of an exponential time that a purified pair of one lane is never there before, by chance.
    """

    option: int
    rounds: int
    success_probability: float
    raw_werner: float
    cost: float
    werner: float
    loss: float
    rate_hz: float
    pace_hz: float


@dataclass(frozen=True, kw_only=True)
class Ground:
    """Where the routes of a demand may go in one regime. All nodes and links by number.

    Routes are searched from the smaller end to the larger, so that b to a is the reverse of a to b.

    Attributes:
        start, goal: The smaller and the larger end.
        flipped: Whether the demand's source is the larger end.
        open: Of each link, whether a route may use it; False for links of other regimes.
        passable: Of each node, whether a route may pass it on its way.
        storeless: Ends that measure their halves at once and need no memories.
        most: Most links on a route.
    """

    network: PairNetwork
    regime: Regime
    start: int
    goal: int
    flipped: bool
    open: tuple[bool, ...]
    passable: tuple[bool, ...]
    storeless: frozenset[int]
    most: int

    def ways(self, node: int) -> Iterable[tuple[int, int]]:
        """Return (link, far node) of what a route that has come to a node may take next, by link."""
        return self._ways[node]

    @cached_property
    def _ways(self) -> tuple[tuple[tuple[int, int], ...], ...]:
        at = self.network.wiring.at
        return tuple(
            tuple(
                (link, far)
                for link, far in at[node]
                if self.open[link] and self.choices[link] and (self.passable[far] or far in (self.start, self.goal))
            )
            for node in range(len(at))
        )

    @cached_property
    def choices(self) -> "_Choices":
        """Return the choices of each open link that are not worse than another one in all respects."""
        return _Choices(self)

    @cached_property
    def swap_losses(self) -> tuple[float, ...]:
        """Return -ln s of each node; infinite where it cannot swap."""
        return tuple(
            -math.log(station.swap_quality) if station.can_swap else math.inf
            for station in self.network.wiring.stations
        )

    def back_ways(self, node: int) -> Iterable[tuple[int, int]]:
        """Return (link, far node) from which a route may come to a node, by link."""
        return self._ways[node]

    @cached_property
    def losses_to_goal(self) -> tuple[float, ...]:
        """Return the least -ln w from each node on to the goal, its own swap not counted; infinite without a way."""
        return self.least_to_goal(self.choices.least_loss, self.swap_losses.__getitem__)

    def least_to_goal(self, of_link: Callable[[int], float], of_node: Callable[[int], float]) -> tuple[float, ...]:
        """Return the least sum over a rest from each node on, of its links and of the nodes passed after the first.

        Args:
            of_link: What a link adds; >= 0.
            of_node: What passing a node adds; >= 0.
        """
        least = [math.inf] * len(self.passable)
        least[self.goal] = 0.0
        queue = [(0.0, self.goal)]
        while queue:
            total, node = heapq.heappop(queue)
            if total > least[node] or node == self.start:
                continue
            onward = total + (0.0 if node == self.goal else of_node(node))
            for link, far in self.back_ways(node):
                reached = onward + of_link(link)
                if reached < least[far]:
                    least[far] = reached
                    heapq.heappush(queue, (reached, far))
        return tuple(least)

    @cached_property
    def hops_to_goal(self) -> tuple[float, ...]:
        """Return the fewest links from each node on to the goal; infinite without a way."""
        fewest = [math.inf] * len(self.passable)
        fewest[self.goal] = 0
        ring = [self.goal]
        while ring:
            following = []
            for node in ring:
                if node == self.start:
                    continue
                for _, far in self.back_ways(node):
                    if fewest[far] == math.inf:
                        fewest[far] = fewest[node] + 1
                        following.append(far)
            ring = following
        return tuple(fewest)

    @cached_property
    def joined(self) -> bool:
        """Tell whether some route joins the ends."""
        return self.hops_to_goal[self.start] <= self.most

    def closing(self, nodes: Collection[int]) -> "Ground":
        """Return the ground whose routes do not pass these nodes."""
        return replace(self, passable=tuple(free and node not in nodes for node, free in enumerate(self.passable)))

    def route(self, links: Iterable[int]) -> Route:
        """Return the route over these links, source to target."""
        route = self.network.route(self.start, tuple(links))
        return route.reversed() if self.flipped else route

    def nodes_on(self, links: Iterable[int]) -> list[int]:
        """Return the nodes of a way from the start, in order."""
        nodes = [self.start]
        edges = self.network.wiring.edges
        for link in links:
            a, b = edges[link].ends
            nodes.append(b if nodes[-1] == a else a)
        return nodes


class _Choices:
    """The choices of links, made when they are first asked for."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._made: dict[int, tuple[Choice, ...]] = {}

    def __getitem__(self, link: int) -> tuple[Choice, ...]:
        made = self._made.get(link)
        if made is None:
            self._made[link] = made = _choices_of(self._ground, link)
        return made

    def least_loss(self, link: int) -> float:
        """Return the least -ln w of a link's choices."""
        return min(choice.loss for choice in self[link])


def _choices_of(ground: Ground, link: int) -> tuple[Choice, ...]:
    network = ground.network
    edge = network.wiring.edges[link]
    purifying = ground.regime is not Regime.SLOT and all(
        hardware is not None and hardware.can_purify and node not in ground.storeless
        for node in edge.ends
        for hardware in (network.wiring.stations[node].hardware,)
    )
    found = []
    for option in edge.options:
        rate_hz = option.success_probability / edge.model.attempt_period_s
        if ground.regime in (Regime.BUFFERED, Regime.AT_ONCE):
            rate_hz = min(rate_hz, stream_within(network, link, option.index) / 1000)
        if rate_hz <= 0.0:
            continue
        werner = (4 * option.fidelity - 1) / 3
        probability = option.success_probability
        pace_hz = -math.log1p(-probability) / edge.model.attempt_period_s if probability < 1.0 else math.inf
        for rounds in range(MAX_ROUNDS + 1 if purifying else 1):
            if not _holds(ground, link, rounds):
                break
            cost, fidelity = nested_rounds(option.fidelity, rounds)
            purified = (4 * fidelity - 1) / 3
            if rounds and purified <= werner:
                break
            found.append(
                Choice(
                    option=option.index,
                    rounds=rounds,
                    success_probability=option.success_probability,
                    raw_werner=werner,
                    cost=cost,
                    werner=purified,
                    loss=-math.log(min(1.0, purified)),
                    rate_hz=rate_hz / cost if ground.regime in (Regime.BUFFERED, Regime.AT_ONCE) else rate_hz,
                    pace_hz=pace_hz * 2**rounds / cost,
                )
            )
    if ground.regime is Regime.MEMORY:
        return tuple(found)
    return tuple(_undominated(found, ground.regime))


def _undominated(found: list[Choice], regime: Regime) -> list[Choice]:
    """Return the choices, fastest first, without those that are neither faster nor better than another."""

    def pace(choice: Choice) -> float:
        return choice.success_probability if regime is Regime.SLOT else choice.rate_hz

    kept: list[Choice] = []
    for choice in sorted(found, key=lambda each: (-pace(each), each.loss, each.rounds, each.option)):
        if not kept or choice.loss < kept[-1].loss:
            kept.append(choice)
    return kept


def _holds(ground: Ground, link: int, rounds: int) -> bool:
    """Tell whether the link and both its nodes have room for the least that a route needs with so many rounds."""
    network = ground.network
    least = 2**rounds if ground.regime is Regime.MEMORY else 1
    if network.room[link] < least:
        return False
    for node in network.wiring.edges[link].ends:
        ends_here = node in (ground.start, ground.goal)
        if node in ground.storeless and ends_here:
            continue
        if network.memories[node] < (least if ends_here else least + 1):
            return False
    return True


def stream_within(network: PairNetwork, link: int, option: int) -> int:
    """Return the largest rate of elementary pairs, mHz, that an option may make within what is free of its link.

    Its charge (`domain.pair_capacity.stream_charge`) is then within the room.
    """
    edge = network.wiring.edges[link]
    return max(0, network.room[link]) * edge.model.rate_millihertz(option) // edge.fastest_millihertz


def storeless_ends(network: PairNetwork, demand: PairDemand) -> frozenset[int]:
    """Return the ends without memories of a demand whose pairs are measured at once."""
    if demand.use is not PairUse.MEASURE:
        return frozenset()
    found = set()
    for name in (demand.source, demand.target):
        number = network.node(name)
        hardware = network.wiring.stations[number].hardware
        if hardware is not None and hardware.memories == 0:
            found.add(number)
    return frozenset(found)


def ground_of(network: PairNetwork, demand: PairDemand, regime: Regime) -> Ground:
    """Return where the routes of a demand may go over links of one regime.

    Raises:
        NotFound: The network has no such source or target.
    """
    wiring = network.wiring
    source, target = network.node(demand.source), network.node(demand.target)
    start, goal = sorted((source, target))
    most = len(wiring.nodes) - 1
    return Ground(
        network=network,
        regime=regime,
        start=start,
        goal=goal,
        flipped=source != start,
        open=tuple(edge.regime is regime and edge.name not in demand.avoid_links for edge in wiring.edges),
        passable=tuple(
            station.can_swap and free >= 2 and name not in demand.avoid_nodes
            for name, station, free in zip(wiring.nodes, wiring.stations, network.memories, strict=True)
        ),
        storeless=storeless_ends(network, demand),
        most=most if demand.max_hops is None else min(most, demand.max_hops),
    )
