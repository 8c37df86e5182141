"""The cheapest way of a terrain under the costs of a policy: exact, with the searches that are compiled."""

from typing import Final

from controller.routing.kernels.cheapest import cheapest_way
from controller.routing.kernels.k_shortest import ShortestWays
from controller.routing.kernels.net import Int32s, Int64s
from controller.routing.search import Way
from controller.routing.terrain import Terrain

PASSING_STEPS: Final = 200_000
"""Nodes that a search which has something to pass may settle: some tens of milliseconds."""


def cheapest_priced(terrain: Terrain, costs: Int64s, need: int, *, most: int | None = None) -> Way | None:
    """Return the cheapest way with room for the need on each link that keeps all that the demand says; None without.

    Of equally cheap ways the roomiest, then the first by names. Cost: O(n + m log n); with a limit on links that binds,
    times the limit; with something to pass, ways are told in order of their costs until one passes it all, which
    can be exponential and is cut short.

    Args:
        terrain: Where it may go.
        costs: In [1, 2^40]; shape (n_links,).
        need: Room in millibit/s.
        most: A tighter limit on links than the demand's.

    Raises:
        TooHard: Something is to be passed, and the search is out of steps.
    """
    if terrain.unmet:
        return None
    net, rooms = terrain.graph.wiring.net, terrain.graph.rooms
    ground = net, costs, rooms, terrain.open, terrain.passable, need, terrain.start, terrain.goal
    longest = terrain.most if most is None else min(terrain.most, most)
    if not terrain.must_nodes and not terrain.must_links:
        found = cheapest_way(*ground)
        if found.cost < 0:
            return None
        if len(found.links) <= longest:
            return _way(found.links)
        ways = ShortestWays(*ground, most=longest).more(1)
        return _way(ways[0].links) if ways else None
    for told in ShortestWays(*ground, most=longest, steps=PASSING_STEPS):
        way = _way(told.links)
        if terrain.must_links.issubset(way) and terrain.must_nodes.issubset(terrain.nodes_on(way)):
            return way
    return None


def _way(links: Int32s) -> Way:
    return tuple(links.tolist())
