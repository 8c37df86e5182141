"""Online admission beside the optimum of the same sequence: relays come one by one, stay, and nobody knows the next."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from controller.domain.admission import Admission, Policy
from controller.domain.capacity import route_charges
from controller.domain.key_relay import Demand
from controller.domain.refusals import Precondition
from controller.routing.admission.policies import routes_by_policy
from controller.routing.admission.worth import check_worth
from controller.routing.graph import graph_of
from tests.bench.admission.flow_bound import most_carried
from tests.bench.admission.real_networks import NAMES, Arrival, RealNetwork, arrivals, real_network
from tests.bench.collected import Works
from tests.bench.line import rate_line

LOADS: Final = (0.5, 0.75, 1.0, 1.25, 1.5)
"""Sums of what is asked, in what the network can just carry of its matrix."""
SIZE: Final = 0.01
"""What a relay takes of each link on average, in capacities."""
SEEDS: Final = (1, 2, 3)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What a policy made of a sequence. Attributes: carried: in capacities of a link; seconds: of all decisions."""

    carried: float
    seconds: float


def admitted(network: RealNetwork, sequence: list[Arrival], policy: Policy) -> Run:
    """Offer relays one after the other.

    Raises:
        AssertionError: A link is promised beyond its capacity.
    """
    graph = graph_of(network.snapshot(Admission(policy=policy)))
    carried, began = 0.0, time.perf_counter()
    for arrival in sequence:
        source, target = (f"n{node:02}" for node in arrival.pair)
        demand = Demand(source=source, target=target, rate_millibit_per_s=arrival.rate_millibit_per_s)
        try:
            routes = routes_by_policy(graph, demand)
            check_worth(graph, routes)
        except Precondition:
            continue
        graph = graph.charged(route_charges(routes, demand.rate_millibit_per_s))
        carried += arrival.charge
    seconds = time.perf_counter() - began
    assert int(graph.rooms.min()) >= 0
    return Run(carried=carried, seconds=seconds)


def bound(network: RealNetwork, sequence: list[Arrival]) -> float:
    """Return what the best admission that knows the whole sequence carries, were relays split at will."""
    wanted: dict[tuple[int, int], float] = {}
    for arrival in sequence:
        wanted[arrival.pair] = wanted.get(arrival.pair, 0.0) + arrival.charge
    return most_carried(network.n_nodes, network.ends, wanted, np.ones(len(network.ends)))


def online() -> Iterator[dict[str, object]]:
    """Compare all policies on all networks at all loads; carried volume and bound are sums over the seeds."""
    for name in NAMES:
        network = real_network(name)
        for load in LOADS:
            sequences = [arrivals(network, load, SIZE, seed) for seed in SEEDS]
            bounds = [bound(network, sequence) for sequence in sequences]
            for policy in Policy:
                runs = [admitted(network, sequence, policy) for sequence in sequences]
                assert all(run.carried <= most * (1 + 1e-6) for run, most in zip(runs, bounds, strict=True))
                yield rate_line(
                    f"online {name} {load:.0%} {policy.value}",
                    sum(run.carried for run in runs),
                    "link capacities",
                    "lp-bound",
                    sum(bounds),
                    least=round(min(run.carried / most for run, most in zip(runs, bounds, strict=True)), 4),
                    offered=round(sum(arrival.charge for sequence in sequences for arrival in sequence), 2),
                    relays=sum(map(len, sequences)),
                    us_per_decision=round(1e6 * sum(run.seconds for run in runs) / sum(map(len, sequences))),
                )


WORKS: Works = {"online": online}
