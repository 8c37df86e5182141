"""The route of a key relay: fewest links, then the roomiest bottleneck, then first link names."""

from controller.domain.capacity import link_charge_millibit_per_s
from controller.domain.key_relay import Demand
from controller.domain.route import Route
from controller.routing.explain import why_none
from controller.routing.graph import Graph
from controller.routing.search import best_way
from controller.routing.terrain import Meter, Terrain, terrain_of


def find_route(graph: Graph, demand: Demand) -> Route:
    """Return the best route on which every link has room for one share of the demand.

    Best is: fewest links, then the largest remaining capacity at the bottleneck, then link names read from
    the smaller endpoint; so the route from b to a is the reverse of that from a to b. Cost: O(links); where
    something is to be passed, an exact search within a step budget.

    Raises:
        NotFound: Source or target is no node of the network.
        Precondition: NO_ROUTE names what separates the ends; NO_CAPACITY names the links that lack room.
        TooHard: Something is to be passed, and the exact search for it is out of steps.
    """
    terrain = terrain_of(graph, demand)
    need = link_charge_millibit_per_s(demand.rate_millibit_per_s)
    meter = meter_of(terrain)
    way = best_way(terrain, need, meter)
    if way is None:
        raise why_none(terrain, demand, need, meter)
    return terrain.route(way)


def meter_of(terrain: Terrain) -> Meter:
    """Return a meter for single routes: only those that must pass something are hard to find."""
    return Meter() if terrain.must_nodes or terrain.must_links else Meter(None)
