"""An entanglement network as one demand and one regime see it: where routes may go, and what each link can do there."""

import heapq
import math
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final

from controller.domain.entanglement_path import PairDemand, PairUse
from controller.domain.pair_capacity import buffered_hop_memories
from controller.domain.pair_link import Regime
from controller.domain.route import Route
from controller.routing.entanglement.network import PairNetwork
from tests.support.plain_pairs.choices import Choice, choices_of

SAME: Final = 1e-9
"""Figures closer than that, relatively, count as equal: they differ by rounding alone."""
_ROUNDING: Final = 1e-12


@dataclass(frozen=True, kw_only=True)
class Ground:
    """Where the routes of a demand may go in one regime. All nodes and links by number.

    Routes are searched from the smaller end to the larger, so that b to a is the reverse of a to b.

    Attributes:
        start, goal: The smaller and the larger end.
        flipped: Whether the demand's source is the larger end.
        avoided: Links that a route may not use.
        passable: Of each node, whether a route may pass it on its way.
        storeless: Ends that measure their halves at once and need no memories.
        most: Most links on a route.
        most_loss: Largest -ln w of a route, without decay; what cannot keep it is left out early.
    """

    network: PairNetwork
    regime: Regime
    start: int
    goal: int
    flipped: bool
    avoided: frozenset[int]
    passable: tuple[bool, ...]
    storeless: frozenset[int]
    most: int
    most_loss: float = math.inf

    @cached_property
    def allowed(self) -> float:
        """Return the largest -ln w with what rounding may add."""
        return self.most_loss + _ROUNDING * (1.0 + self.most_loss)

    def ways(self, node: int) -> tuple[tuple[int, int], ...]:
        """Return (link, far node) of what a route that has come to a node may take next, by link.

        The same, taken backwards, is from where a route may have come.
        """
        made = self._ways.get(node)
        if made is None:
            self._ways[node] = made = tuple(
                (link, far)
                for link, far in self.network.wiring.at[node]
                if (self.passable[far] or far in (self.start, self.goal)) and self.choices(link)
            )
        return made

    @cached_property
    def _ways(self) -> dict[int, tuple[tuple[int, int], ...]]:
        return {}

    def choices(self, link: int) -> tuple[Choice, ...]:
        """Return what a link can do, none of it worse than another in all respects; nothing where no route may go."""
        made = self._choices.get(link)
        if made is None:
            self._choices[link] = made = self._made_choices(link)
        return made

    @cached_property
    def _choices(self) -> dict[int, tuple[Choice, ...]]:
        return {}

    def _made_choices(self, link: int) -> tuple[Choice, ...]:
        edge = self.network.wiring.edges[link]
        if edge.model.regime is not self.regime or link in self.avoided:
            return ()
        storeless = any(node in self.storeless for node in edge.ends)
        return choices_of(self.network, link, lambda rounds: self._holds(link, rounds), storeless)

    def _holds(self, link: int, rounds: int) -> bool:
        """Tell whether a link and both its nodes have room for the least that a route needs with so many rounds."""
        network = self.network
        memory = self.regime is Regime.MEMORY
        least = 1 << rounds if memory else buffered_hop_memories(1, rounds)
        if network.room[link] < (least if memory else 1):
            return False
        for node in network.wiring.edges[link].ends:
            if node in (self.start, self.goal):
                if node not in self.storeless and network.memories[node] < least:
                    return False
            elif network.memories[node] < least + 1:
                return False
        return True

    def least_loss(self, link: int) -> float:
        """Return the least -ln w of a link's choices."""
        made = self._least_losses.get(link)
        if made is None:
            self._least_losses[link] = made = min(choice.loss for choice in self.choices(link))
        return made

    @cached_property
    def _least_losses(self) -> dict[int, float]:
        return {}

    @cached_property
    def swap_losses(self) -> tuple[float, ...]:
        """Return -ln s of each node; infinite where it cannot swap."""
        return self.network.wiring.swap_losses

    @cached_property
    def losses_to_goal(self) -> tuple[float, ...]:
        """Return the least -ln w from each node on to the goal, its own swap not counted.

        Infinite without a way, and where it would be more than a route may lose.
        """
        return self.least_to_goal(self.least_loss, self.swap_losses.__getitem__, most=self.allowed)

    def least_to_goal(
        self, of_link: Callable[[int], float], of_node: Callable[[int], float], *, most: float = math.inf
    ) -> tuple[float, ...]:
        """Return the least sum over a rest from each node on, of its links and of the nodes passed after the first.

        Args:
            of_link: What a link adds; >= 0.
            of_node: What passing a node adds; >= 0.
            most: More than that is told as infinite.
        """
        least = [math.inf] * len(self.passable)
        least[self.goal] = 0.0
        queue = [(0.0, self.goal)]
        while queue:
            total, node = heapq.heappop(queue)
            if total > least[node] or node == self.start:
                continue
            onward = total + (0.0 if node == self.goal else of_node(node))
            for link, far in self.ways(node):
                reached = onward + of_link(link)
                if reached < least[far] and reached <= most:
                    least[far] = reached
                    heapq.heappush(queue, (reached, far))
        return tuple(least)

    @cached_property
    def hops_to_goal(self) -> tuple[float, ...]:
        """Return the fewest links from each node on to the goal; infinite without a way that a route may take."""
        fewest = [math.inf] * len(self.passable)
        fewest[self.goal] = 0
        ring = [self.goal]
        hops = 0
        while ring and hops < self.most:
            hops += 1
            following = []
            for node in ring:
                if node == self.start:
                    continue
                for _, far in self.ways(node):
                    if fewest[far] == math.inf and self.losses_to_goal[far] < math.inf:
                        fewest[far] = hops
                        following.append(far)
            ring = following
        return tuple(fewest)

    @cached_property
    def near(self) -> tuple[int, ...]:
        """Return the nodes from which a route may come to the goal, in order."""
        return tuple(node for node, hops in enumerate(self.hops_to_goal) if hops < math.inf)

    @cached_property
    def joined(self) -> bool:
        """Tell whether some route joins the ends and may keep the fidelity."""
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
    passable = [able and free >= 2 for able, free in zip(wiring.can_swap, network.memories, strict=True)]
    for name in demand.avoid_nodes:
        number = wiring.node_number.get(name)
        if number is not None:
            passable[number] = False
    most = len(wiring.nodes) - 1
    return Ground(
        network=network,
        regime=regime,
        start=start,
        goal=goal,
        flipped=source != start,
        avoided=frozenset(wiring.edge_number[name] for name in demand.avoid_links if name in wiring.edge_number),
        passable=tuple(passable),
        storeless=storeless_ends(network, demand),
        most=most if demand.max_hops is None else min(most, demand.max_hops),
    )
