"""Which routes a key relay gets under the policy of the network."""

from contextlib import suppress
from dataclasses import replace

from controller.domain.admission import Policy
from controller.domain.capacity import link_charge_millibit_per_s, route_charges
from controller.domain.key_relay import Demand
from controller.domain.refusals import TooHard
from controller.domain.route import Route
from controller.routing.admission.priced import cheapest_priced
from controller.routing.admission.prices import balancing_costs, exponential_prices, load_costs, price_base
from controller.routing.admission.worth import longest_route
from controller.routing.disjoint import find_routes
from controller.routing.explain import no_capacity
from controller.routing.graph import Graph
from controller.routing.terrain import terrain_of


def routes_by_policy(graph: Graph, demand: Demand) -> tuple[Route, ...]:
    """Return the routes that a demand gets, one per share; no link of them lacks the room, and no price refuses any.

    Prices choose single routes. Shares, and routes that are to have a backup, are chosen by the default objective
    under every policy but `shortest`; so is a route through nodes or links to pass where the search for the cheapest
    is out of steps.

    Raises:
        NotFound, Precondition, TooHard: As `find_routes`; NO_CAPACITY also where the policy is `shortest`, and the
            shortest routes of the idle network lack the room.
    """
    policy = graph.admission.policy
    if policy is Policy.WIDEST_SHORTEST:
        return find_routes(graph, demand)
    if policy is Policy.SHORTEST:
        return _static(graph, demand)
    if demand.shares == 1 and not demand.protected:
        with suppress(TooHard):
            route = _cheapest(graph, demand)
            if route is not None:
                return (route,)
    return find_routes(graph, demand)


def _cheapest(graph: Graph, demand: Demand) -> Route | None:
    terrain = terrain_of(graph, demand)
    need = link_charge_millibit_per_s(demand.rate_millibit_per_s)
    if graph.admission.policy is Policy.LEAST_LOADED:
        way = cheapest_priced(terrain, load_costs(graph.capacities, graph.rooms), need)
        return None if way is None else terrain.route(way)
    if graph.admission.policy is Policy.BALANCED:
        way = cheapest_priced(terrain, balancing_costs(graph.capacities, graph.rooms), need)
        return None if way is None else terrain.route(way)
    longest = longest_route(graph)
    costs = 1 + exponential_prices(graph.capacities, graph.rooms, price_base(longest))
    way = cheapest_priced(terrain, costs, need, most=longest)
    if way is None:  # one that was admitted before may have to move further than that
        way = cheapest_priced(terrain, costs, need)
    return None if way is None else terrain.route(way)


def _static(graph: Graph, demand: Demand) -> tuple[Route, ...]:
    """Return the routes that the demand would have in the idle network.

    Raises:
        Precondition: NO_CAPACITY: not now.
    """
    routes = find_routes(replace(graph, rooms=graph.capacities), demand)
    charges = route_charges(routes, demand.rate_millibit_per_s)
    missing = {link: charge - (graph.room(link) or 0) for link, charge in charges.items()}
    worst = max(missing.values())
    if worst > 0:
        need = link_charge_millibit_per_s(demand.rate_millibit_per_s)
        raise no_capacity(
            f"no shortest route of the idle network from nodes/{demand.source} to nodes/{demand.target}",
            need=need,
            widest=need - worst,
            tight=sorted(link for link, lacks in missing.items() if lacks == worst),
            short=sorted(link for link, lacks in missing.items() if lacks > 0),
        )
    return routes
