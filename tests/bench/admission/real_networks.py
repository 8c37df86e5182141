"""Networks of SNDlib with their demand matrices, as topohub ships them, and random sequences of relays drawn by it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Final

import numpy as np
import topohub

from controller.domain.admission import Admission
from controller.domain.capacity import link_charge_millibit_per_s
from controller.domain.link import Link, LinkEnd
from controller.domain.node import Node
from controller.domain.snapshot import Snapshot
from tests.bench.admission.flow_bound import Pair, most_scale

NAMES: Final = ("germany50", "nobel-eu", "cost266")
CAPACITY_MILLIBIT_PER_S: Final = 10**12
"""Of every link: topohub has no capacities of these networks. So much that tags cost all relays the same part."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RealNetwork:
    """A network, and who asks how much of whom.

    Attributes:
        ends: The two nodes of each link.
        matrix: Key between two nodes, both directions together, in capacities of a link, so that all of it can be
            carried at once but no more.
    """

    name: str
    n_nodes: int
    ends: tuple[Pair, ...]
    matrix: Mapping[Pair, float]

    def snapshot(self, admission: Admission) -> Snapshot:
        """Return it as the controller knows it, idle."""
        names = [f"n{node:02}" for node in range(self.n_nodes)]
        links = [
            Link(
                name=f"l{number:03}",
                ends=(LinkEnd(node=names[a], interface=number), LinkEnd(node=names[b], interface=number)),
                model_skr_millibit_per_s=CAPACITY_MILLIBIT_PER_S,
            )
            for number, (a, b) in enumerate(self.ends)
        ]
        return Snapshot(
            nodes={name: Node(name=name) for name in names},
            links={link.name: link for link in links},
            connected=frozenset(names),
            admission=admission,
        )


@cache
def real_network(name: str) -> RealNetwork:
    """Return one of the networks, its matrix scaled to what it can just carry."""
    told = topohub.get(f"sndlib/{name}")
    ends = tuple(_ascending(edge["source"], edge["target"]) for edge in told["edges"])
    matrix: dict[Pair, float] = {}
    for source, row in told["graph"]["demands"].items():
        for target, volume in row.items():
            if source != target:
                pair = _ascending(source, target)
                matrix[pair] = matrix.get(pair, 0.0) + volume
    network = RealNetwork(name=name, n_nodes=len(told["nodes"]), ends=ends, matrix=matrix)
    scale = most_scale(network.n_nodes, ends, matrix)
    return replace(network, matrix={pair: volume * scale for pair, volume in matrix.items()})


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """A relay that is asked for. Attributes: pair: its ends, the smaller node first."""

    pair: Pair
    rate_millibit_per_s: int

    @property
    def charge(self) -> float:
        """Return what it takes of each link, in capacities."""
        return link_charge_millibit_per_s(self.rate_millibit_per_s) / CAPACITY_MILLIBIT_PER_S


def arrivals(network: RealNetwork, load: float, size: float, seed: int) -> list[Arrival]:
    """Return relays drawn by the matrix until they sum up to `load` times what the network can carry of it.

    Args:
        network: Whose matrix it is.
        load: Offered load; 1 is the whole matrix.
        size: Mean charge of a relay in capacities; they are even between half and one and a half times that.
        seed: >= 0.
    """
    rng = np.random.default_rng(seed)
    pairs = sorted(network.matrix)
    weights = np.array([network.matrix[pair] for pair in pairs])
    total = float(weights.sum()) * load
    drawn: list[Arrival] = []
    offered = 0.0
    while offered < total:
        pair = pairs[int(rng.choice(len(pairs), p=weights / weights.sum()))]
        rate = int(CAPACITY_MILLIBIT_PER_S * size * rng.uniform(0.5, 1.5) / 1.0625)
        drawn.append(Arrival(pair=pair, rate_millibit_per_s=rate))
        offered += drawn[-1].charge
    return drawn


def _ascending(one: int, other: int) -> Pair:
    return (one, other) if one < other else (other, one)
