"""Further routes after the best, for an operator who wants to choose."""

from itertools import islice

from controller.domain.capacity import link_charge_millibit_per_s
from controller.domain.key_relay import Demand
from controller.domain.route import Route
from controller.routing.explain import why_none
from controller.routing.graph import Graph
from controller.routing.key_relay import meter_of
from controller.routing.search import ways_in_order
from controller.routing.terrain import terrain_of


def candidate_routes(graph: Graph, demand: Demand, limit: int) -> tuple[Route, ...]:
    """Return up to that many loop-free routes that could carry one share of the demand, best first.

    The first is what `find_route` returns, and the order is its objective. Cost: about
    limit (>= 1) x longest route x O(links).

    Raises:
        NotFound, Precondition, TooHard: As `find_route`, when there is not even one.
    """
    terrain = terrain_of(graph, demand)
    need = link_charge_millibit_per_s(demand.rate_millibit_per_s)
    meter = meter_of(terrain)
    routes = tuple(terrain.route(way) for way in islice(ways_in_order(terrain, need, meter), max(limit, 1)))
    if not routes:
        raise why_none(terrain, demand, need, meter)
    return routes
