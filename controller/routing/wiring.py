"""The QKD links of a network in flat arrays, whatever state they are in: what only building or removing changes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np

from controller.domain.link import Link
from controller.domain.node import Capability, Node
from controller.routing.kernels.hops import hop_landmarks
from controller.routing.kernels.landmarks import Landmarks
from controller.routing.kernels.net import Flags, Int64s, Net, frozen, net_of


@dataclass(frozen=True, kw_only=True, eq=False)
class Wiring:
    """Who is joined with whom. All graphs of a network share one until something is built or removed.

    Nodes and links are numbered in the order of their names, so that comparing numbers compares names.

    Attributes:
        nodes, links: Names, by number.
        net: The same in rows that kernels walk.
        relaying: Whether a route may pass the node on its way; shape (n_nodes,).
        places: What two nodes share when one event can take both.
        trust_domains: Who runs each node.
        ducts: What else each link shares a fate with; shape (n_links,).
    """

    nodes: tuple[str, ...]
    links: tuple[str, ...]
    net: Net
    relaying: Flags
    places: tuple[str, ...]
    trust_domains: tuple[str, ...]
    ducts: tuple[frozenset[str], ...]

    @cached_property
    def node_number(self) -> Mapping[str, int]:
        """Return the number of each node, by name."""
        return {name: number for number, name in enumerate(self.nodes)}

    @cached_property
    def link_number(self) -> Mapping[str, int]:
        """Return the number of each link, by name."""
        return {name: number for number, name in enumerate(self.links)}

    @cached_property
    def hop_marks(self) -> Landmarks:
        """Return landmarks over all links, whatever their state; they lead searches of fewest links."""
        return hop_landmarks(self.net)

    @cached_property
    def unit_costs(self) -> Int64s:
        """Return a cost of 1 for every link; shape (n_links,)."""
        costs = np.ones(len(self.links), np.int64)
        frozen(costs)
        return costs

    @cached_property
    def ends(self) -> tuple[tuple[int, int], ...]:
        """Return the two node numbers of each link, for who looks at few; shape (n_links,)."""
        return tuple(zip(self.net.tails.tolist(), self.net.heads.tolist(), strict=True))

    @cached_property
    def at(self) -> tuple[tuple[tuple[int, int], ...], ...]:
        """Return for each node (number of a link, number of the node at its far end), by link; shape (n_nodes,)."""
        steps = tuple(zip(self.net.links.tolist(), self.net.fars.tolist(), strict=True))
        first = self.net.first.tolist()
        return tuple(steps[begin:end] for begin, end in pairwise(first))


def wiring_of(nodes: Mapping[str, Node], links: Sequence[Link]) -> Wiring:
    """Return the wiring of a network. Cost: O(n log n + m log m).

    Args:
        nodes: By name.
        links: QKD links between them, in the order of their names.

    Raises:
        InvalidValue: More nodes or links than fit.
    """
    names = sorted(nodes)
    numbers = {name: number for number, name in enumerate(names)}
    wiring = Wiring(
        nodes=tuple(names),
        links=tuple(link.name for link in links),
        net=net_of(len(names), [(numbers[link.nodes[0]], numbers[link.nodes[1]]) for link in links]),
        relaying=np.array([Capability.KEY_RELAY in nodes[name].capabilities for name in names], dtype=np.bool_),
        places=tuple(nodes[name].place for name in names),
        trust_domains=tuple(nodes[name].trust_domain for name in names),
        ducts=tuple(link.ducts for link in links),
    )
    frozen(wiring.relaying)
    return wiring
