"""An entanglement network as one demand and one regime see it: where routes may go, and what each link can do there."""

import heapq
import math
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Final

import numpy as np

from controller.domain.entanglement_path import PairDemand, PairUse
from controller.domain.pair_link import Regime
from controller.domain.route import Route
from controller.routing.entanglement.choices import Choice, choices_of
from controller.routing.entanglement.menu import REGIMES, menu_of
from controller.routing.entanglement.network import PairNetwork
from controller.routing.kernels.net import Flags, frozen
from controller.routing.kernels.pairs_survey import Site, Survey, surveyed

SAME: Final = 1e-9
"""Figures closer than that, relatively, count as equal: they differ by rounding alone."""
_ROUNDING: Final = 1e-12

Ways = tuple[tuple[int, int], ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class Ground:
    """Where the routes of a demand may go in one regime. All nodes and links by number.

    Routes are searched from the smaller end to the larger, so that b to a is the reverse of a to b.

    Attributes:
        start, goal: The smaller and the larger end.
        flipped: Whether the demand's source is the larger end.
        avoided: Links that a route may not use.
        passable: Of each node, whether a route may pass it on its way; shape (n_nodes,), frozen.
        storeless: Ends that measure their halves at once and need no memories.
        most: Most links on a route.
        most_loss: Largest -ln w of a route, without decay; what cannot keep it is left out early.
        known_choices, known_ways: What was worked out before; shared with the ground of another `most_loss`.
    """

    network: PairNetwork
    regime: Regime
    start: int
    goal: int
    flipped: bool
    avoided: frozenset[int]
    passable: Flags
    storeless: frozenset[int]
    most: int
    most_loss: float = math.inf
    known_choices: dict[int, tuple[Choice, ...]] = field(default_factory=dict, repr=False)
    known_ways: dict[int, Ways] = field(default_factory=dict, repr=False)

    @cached_property
    def allowed(self) -> float:
        """Return the largest -ln w with what rounding may add."""
        return self.most_loss + _ROUNDING * (1.0 + self.most_loss)

    @cached_property
    def site(self) -> Site:
        """Return what is free and open as kernels read it."""
        avoided = np.zeros(len(self.network.room), np.bool_)
        avoided[list(self.avoided)] = True
        frozen(avoided)
        return Site(
            room=self.network.rooms, memories=self.network.all_memories, avoided=avoided, passable=self.passable
        )

    @cached_property
    def bare_ends(self) -> int:
        """Return which ends need no memories, as kernels read it: 1 for the start plus 2 for the goal."""
        return (self.start in self.storeless) + 2 * (self.goal in self.storeless)

    @cached_property
    def survey(self) -> Survey:
        """Return what a route may use that keeps the fidelity."""
        wiring = self.network.wiring
        survey = Survey(
            *surveyed(
                wiring.net,
                menu_of(wiring),
                self.site,
                REGIMES.index(self.regime),
                self.start,
                self.goal,
                self.bare_ends,
                self.most,
                self.allowed,
            )
        )
        for array in survey:
            frozen(array)
        return survey

    def ways(self, node: int) -> Ways:
        """Return (link, far node) of what a route that has come to a node may take next, by link.

        The same, taken backwards, is from where a route may have come.
        """
        made = self.known_ways.get(node)
        if made is None:
            self.known_ways[node] = made = tuple(
                (link, far)
                for link, far in self.network.wiring.at[node]
                if (self.passable[far] or far in (self.start, self.goal)) and self.choices(link)
            )
        return made

    def choices(self, link: int) -> tuple[Choice, ...]:
        """Return what a link can do, none of it worse than another in all respects; nothing where no route may go."""
        made = self.known_choices.get(link)
        if made is None:
            edge = self.network.wiring.edges[link]
            if edge.model.regime is not self.regime or link in self.avoided:
                made = ()
            else:
                made = choices_of(self.network, link, self.site, (self.start, self.goal), self.bare_ends)
            self.known_choices[link] = made
        return made

    def least_loss(self, link: int) -> float:
        """Return the least -ln w of a link's choices."""
        return min(choice.loss for choice in self.choices(link))

    @cached_property
    def swap_losses(self) -> tuple[float, ...]:
        """Return -ln s of each node; infinite where it cannot swap."""
        return self.network.wiring.swap_losses

    @cached_property
    def losses_to_goal(self) -> tuple[float, ...]:
        """Return the least -ln w from each node on to the goal, its own swap not counted.

        Infinite without a way, and where it would be more than a route may lose.
        """
        return tuple(self.survey.losses.tolist())

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
        most = self.survey.losses.size
        return tuple(hops if hops <= most else math.inf for hops in self.survey.hops.tolist())

    @cached_property
    def near(self) -> tuple[int, ...]:
        """Return the nodes from which a route may come to the goal, in order."""
        return tuple(self.survey.near.tolist())

    @cached_property
    def joined(self) -> bool:
        """Tell whether some route joins the ends and may keep the fidelity."""
        return bool(self.survey.hops[self.start] <= self.most)

    @cached_property
    def transit_successes(self) -> tuple[float, ...]:
        """Return the different swap successes of the nodes that a route may pass, the smallest first."""
        near = self.survey.near
        transit = near[(near != self.start) & (near != self.goal)]
        return tuple(sorted(set(menu_of(self.network.wiring).swap_successes[transit].tolist())))

    def closing(self, nodes: Collection[int]) -> "Ground":
        """Return the ground whose routes do not pass these nodes."""
        passable = self.passable.copy()
        passable[list(nodes)] = False
        frozen(passable)
        return replace(self, passable=passable, known_ways={})

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
    passable = (menu_of(wiring).swap_losses < math.inf) & (network.all_memories >= 2)
    for name in demand.avoid_nodes:
        number = wiring.node_number.get(name)
        if number is not None:
            passable[number] = False
    frozen(passable)
    most = len(wiring.nodes) - 1
    return Ground(
        network=network,
        regime=regime,
        start=start,
        goal=goal,
        flipped=source != start,
        avoided=frozenset(wiring.edge_number[name] for name in demand.avoid_links if name in wiring.edge_number),
        passable=passable,
        storeless=storeless_ends(network, demand),
        most=most if demand.max_hops is None else min(most, demand.max_hops),
    )
