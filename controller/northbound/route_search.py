"""Computes routes for an operator, off the event loop and beside the writer."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from controller.domain.capacity import route_charges
from controller.domain.key_relay import Demand
from controller.domain.refusals import Overloaded
from controller.domain.route import Route
from controller.routing.candidates import candidate_routes
from controller.routing.disjoint import find_disjoint_routes
from controller.routing.graph import Graph, graph_of
from controller.service.published import Published
from controller.service.relay_desk import check_names
from controller.wire.northbound_key_relay import reservations_to_pb, route_to_pb
from controller.wire.northbound_values import bit_per_s
from qinet.northbound.v1 import key_relay_service_pb2 as pb

_THREADS: Final = 2
_WAITING: Final = 32


class RouteSearch:
    """A few threads, and a short queue before them. Close it when the server has ended."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(max_workers=_THREADS, thread_name_prefix="routes")
        self._asked = 0

    def close(self) -> None:
        """Take no more searches; those that run end by their step budget."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def answer(self, published: Published, demand: Demand, limit: int) -> pb.ComputeRoutesResponse:
        """Return up to `limit` (>= 1) candidates, best first.

        Raises:
            Refusal: There is none, a name does not exist, or too many searches wait already.
        """
        if self._asked >= _THREADS + _WAITING:
            raise Overloaded("TOO_MANY_SEARCHES", "too many route searches are waiting: try again shortly")
        self._asked += 1
        work = asyncio.get_running_loop().run_in_executor(self._pool, computed, published, demand, limit)
        # A caller who leaves does not stop the thread, so the place is free only when the search has ended.
        work.add_done_callback(self._ended)
        return await asyncio.shield(work)

    def _ended(self, work: "asyncio.Future[pb.ComputeRoutesResponse]") -> None:
        self._asked -= 1
        if not work.cancelled():
            work.exception()  # looked at, so that a search that nobody waits for any more leaves no warning


def computed(published: Published, demand: Demand, limit: int) -> pb.ComputeRoutesResponse:
    """Return candidates on that state of the network.

    Raises:
        Refusal: As RouteSearch.answer.
    """
    check_names(published.snapshot, demand)
    graph = graph_of(published.snapshot)
    candidates: list[tuple[Route, ...]]
    if demand.shares == 1:
        candidates = [(route,) for route in candidate_routes(graph, demand, limit)]
    else:
        candidates = [find_disjoint_routes(graph, demand, demand.shares)]
    return pb.ComputeRoutesResponse(
        candidates=[_candidate(graph, demand, routes) for routes in candidates],
        revision=published.snapshot.revision,
        rate_bit_per_s=bit_per_s(demand.rate_millibit_per_s),
    )


def _candidate(graph: Graph, demand: Demand, routes: tuple[Route, ...]) -> pb.RouteCandidate:
    rooms = dict(zip(graph.wiring.links, graph.rooms, strict=True))
    used = frozenset(link for route in routes for link in route.links)
    return pb.RouteCandidate(
        routes=[route_to_pb(route) for route in routes],
        bottleneck_bit_per_s=bit_per_s(min(rooms[link] for link in used)),
        reservations=reservations_to_pb(route_charges(routes, demand.rate_millibit_per_s), in_use=used),
    )
