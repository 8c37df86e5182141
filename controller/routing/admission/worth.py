"""Whether a price refuses a key relay that is to be admitted, and which."""

from collections.abc import Iterable, Sequence
from typing import Final

from controller.domain.admission import Policy
from controller.domain.capacity import service_charges
from controller.domain.key_relay import KeyRelay
from controller.domain.refusals import Precondition
from controller.domain.route import Route
from controller.domain.snapshot import Snapshot
from controller.routing.admission.prices import ONE, exponential_prices, price_base
from controller.routing.graph import Graph
from controller.routing.kernels.net import Int64s

PRICED_OUT: Final = "PRICED_OUT"
"""The reason of a refusal by price."""
_NAMED: Final = 3
"""How many of the dearest links a refusal names."""


def check_admission(graph: Graph, snapshot: Snapshot, relay: KeyRelay, routes: Sequence[Route]) -> None:
    """Check that no route of a relay that is to be admitted costs more than it is worth.

    A relay that may pre-empt pays for nothing that relays of a lower priority hold: they would have to leave.

    Args:
        graph: Without what the relay holds.
        snapshot: Who holds what.
        relay: That is to be admitted.
        routes: Of its shares and of its backup.

    Raises:
        Precondition: As `check_worth`.
    """
    if graph.admission.policy is Policy.EXPONENTIAL and relay.demand.may_preempt:
        graph = emptied(graph, below(snapshot, relay))
    check_worth(graph, routes)


def below(snapshot: Snapshot, relay: KeyRelay) -> list[KeyRelay]:
    """Return the relays that make room for one that may pre-empt, where they have to."""
    return [
        other
        for other in snapshot.relays.values()
        if other.demand.priority < relay.demand.priority and other.name != relay.name
    ]


def emptied(graph: Graph, relays: Iterable[KeyRelay]) -> Graph:
    """Return the graph as it is once relays hold nothing any more."""
    for relay in relays:
        graph = graph.freed(service_charges(relay))
    return graph


def check_worth(graph: Graph, routes: Sequence[Route]) -> None:
    """Check that no route of a relay that is to be admitted costs more than it is worth; each is worth the same.

    Only the policy `exponential` has a price. What was admitted moves and grows without being asked again.

    Args:
        graph: As it is before the relay takes anything.
        routes: Of its shares and of its backup.

    Raises:
        Precondition: PRICED_OUT: names the price, the worth and the dearest links.
    """
    if graph.admission.policy is not Policy.EXPONENTIAL or not routes:
        return
    longest = longest_route(graph)
    prices = exponential_prices(graph.capacities, graph.rooms, price_base(longest))
    numbers = graph.wiring.link_number
    for route in routes:
        price = sum(int(prices[numbers[link]]) for link in route.links)
        if price > longest * ONE or len(route.links) > longest:
            raise _priced_out(graph, route, prices, price, longest)


def longest_route(graph: Graph) -> int:
    """Return how many links a route may have that `exponential` admits."""
    loop_free = max(1, len(graph.wiring.nodes) - 1)
    told = graph.admission.longest_route
    return loop_free if told is None else min(told, loop_free)


def _priced_out(graph: Graph, route: Route, prices: Int64s, price: int, longest: int) -> Precondition:
    numbers = graph.wiring.link_number
    dearest = sorted(route.links, key=lambda link: (-int(prices[numbers[link]]), link))[:_NAMED]
    told = []
    for link in dearest:
        number = numbers[link]
        capacity = max(1, int(graph.capacities[number]))
        taken = 100 * (capacity - max(0, int(graph.rooms[number]))) // capacity
        told.append(f"links/{link} ({_shown(int(prices[number]))}, {taken} % taken)")
    between = f"from nodes/{route.source} to nodes/{route.target}"
    if price <= longest * ONE:
        problem = f"the route {between} has {len(route.links)} links, more than admission.longest_route {longest}"
    else:
        problem = f"the cheapest route {between} costs {_shown(price)} where a relay is worth {longest}"
    return Precondition(
        PRICED_OUT,
        f"{problem}; dearest are {', '.join(told)}; ask again when less is taken there, accept_blocked to wait for it,"
        " or set admission.policy to balanced, which refuses nothing that fits",
        {
            "price": _shown(price),
            "worth": longest,
            "n_links": len(route.links),
            "dearest_links": ",".join(dearest),
            "source": route.source,
            "target": route.target,
        },
    )


def _shown(price: int) -> str:
    """Return a price with three digits behind the point, rounded up, so that what is above the worth shows it."""
    whole, thousandths = divmod(-(-price * 1000 // ONE), 1000)
    return f"{whole}.{thousandths:03}"
