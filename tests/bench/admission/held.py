"""The same with relays that end: online admission beside a bound of the programme that has every moment in it.

The programme: each relay gets a part of itself, on routes that it keeps for all of its life; at no moment is a link
used beyond its capacity. Any prices of links over time bound it: the capacities at these prices, and for each relay
what it is worth beyond the cheapest route at the prices of its life. Taken are those of what is asked on average in
some spans of time; others could only bring the bound down, and so the ratios up.
"""

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import dijkstra

from controller.domain.admission import Admission, Policy
from controller.domain.capacity import route_charges
from controller.domain.key_relay import Demand
from controller.domain.refusals import Precondition
from controller.routing.admission.policies import routes_by_policy
from controller.routing.admission.worth import check_worth
from controller.routing.graph import graph_of
from tests.bench.admission.flow_bound import Floats, Pair, most_and_prices
from tests.bench.admission.online import LOADS, SIZE
from tests.bench.admission.real_networks import CAPACITY_MILLIBIT_PER_S, NAMES, RealNetwork, real_network
from tests.bench.collected import Works
from tests.bench.line import rate_line

LASTS: Final = 3.0
"""How long relays are offered, in mean lifetimes, from an idle network on."""
SPANS: Final = 12
"""Of that time, with prices of their own in the bound."""
SEED: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Stay:
    """A relay that is asked for and would end. Times in mean lifetimes; charge in capacities of a link."""

    pair: Pair
    begin: float
    end: float
    rate_millibit_per_s: int

    @property
    def charge(self) -> float:
        """Return what it takes of each link while it runs."""
        return 1.0625 * self.rate_millibit_per_s / CAPACITY_MILLIBIT_PER_S

    def within(self, begin: float, end: float) -> float:
        """Return how much of its life is in a span of time."""
        return max(0.0, min(self.end, end) - max(self.begin, begin))


def stays(network: RealNetwork, load: float, seed: int) -> list[Stay]:
    """Return relays that come at random; once those of the first ends, they ask for `load` on average."""
    rng = np.random.default_rng(seed)
    pairs = sorted(network.matrix)
    weights = np.array([network.matrix[pair] for pair in pairs])
    each = SIZE / (float(weights.sum()) * load)
    drawn, now = list[Stay](), float(rng.exponential(each))
    while now < LASTS:
        pair = pairs[int(rng.choice(len(pairs), p=weights / weights.sum()))]
        rate = int(CAPACITY_MILLIBIT_PER_S * SIZE * rng.uniform(0.5, 1.5) / 1.0625)
        drawn.append(Stay(pair=pair, begin=now, end=now + float(rng.exponential(1.0)), rate_millibit_per_s=rate))
        now += float(rng.exponential(each))
    return drawn


def admitted(network: RealNetwork, sequence: list[Stay], policy: Policy) -> float:
    """Return the volume carried: charge x time, in capacities x mean lifetimes."""
    graph = graph_of(network.snapshot(Admission(policy=policy)))
    running: list[tuple[float, int, dict[str, int]]] = []
    carried = 0.0
    for number, stay in enumerate(sequence):
        while running and running[0][0] <= stay.begin:
            graph = graph.freed(heapq.heappop(running)[2])
        source, target = (f"n{node:02}" for node in stay.pair)
        demand = Demand(source=source, target=target, rate_millibit_per_s=stay.rate_millibit_per_s)
        try:
            routes = routes_by_policy(graph, demand)
            check_worth(graph, routes)
        except Precondition:
            continue
        held = route_charges(routes, demand.rate_millibit_per_s)
        graph = graph.charged(held)
        assert int(graph.rooms.min()) >= 0
        heapq.heappush(running, (stay.end, number, held))
        carried += stay.charge * stay.within(0.0, LASTS)
    return carried


def bound(network: RealNetwork, sequence: list[Stay]) -> float:
    """Return a volume that no admission exceeds which knows all relays beforehand and may split them."""
    edges = np.linspace(0.0, LASTS, SPANS + 1)
    spans = list(zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True))
    prices = []
    for begin, end in spans:
        wanted: dict[Pair, float] = {}
        for stay in sequence:
            volume = stay.charge * stay.within(begin, end) / (end - begin)
            if volume:
                wanted[stay.pair] = wanted.get(stay.pair, 0.0) + volume
        prices.append(most_and_prices(network.n_nodes, network.ends, wanted, np.ones(len(network.ends)))[1])
    total: float = sum(float(price.sum()) * (end - begin) for price, (begin, end) in zip(prices, spans, strict=True))
    for stay in sequence:
        lives = [stay.within(begin, end) for begin, end in spans]
        costs = sum(price * life for price, life in zip(prices, lives, strict=True))
        assert isinstance(costs, np.ndarray)
        total += stay.charge * max(0.0, sum(lives) - _cheapest(network, costs, stay.pair))
    return total


def _cheapest(network: RealNetwork, costs: Floats, pair: Pair) -> float:
    ends = np.array(network.ends)
    # Links that cost nothing would be no links to scipy; a little less is a bound as well.
    matrix = csr_matrix((costs + 1e-12, (ends[:, 0], ends[:, 1])), shape=(network.n_nodes, network.n_nodes))
    away: Floats = dijkstra(matrix, directed=False, indices=pair[0])
    return max(0.0, float(away[pair[1]]) - 1e-12 * network.n_nodes)


def held() -> Iterator[dict[str, object]]:
    """Compare all policies on all networks at all loads."""
    for name in NAMES:
        network = real_network(name)
        for load in LOADS:
            sequence = stays(network, load, SEED)
            most = bound(network, sequence)
            for policy in Policy:
                carried = admitted(network, sequence, policy)
                assert carried <= most * (1 + 1e-6)
                yield rate_line(
                    f"online-held {name} {load:.0%} {policy.value}",
                    carried,
                    "capacities x lifetimes",
                    "lp-bound",
                    most,
                    relays=len(sequence),
                    offered=round(sum(stay.charge * stay.within(0.0, LASTS) for stay in sequence), 2),
                )


WORKS: Works = {"online-held": held}
