"""Computes routes and predictions for an operator, off the event loop and beside the writer."""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from controller.domain.capacity import route_charges
from controller.domain.entanglement_path import PairDemand
from controller.domain.key_relay import Demand, KeyRelay
from controller.domain.prediction import PredictedMove
from controller.domain.refusals import Overloaded, Refusal, TooHard
from controller.northbound.pair_search import computed_path, proposal_for
from controller.observability.metrics import Metrics
from controller.routing.candidates import candidate_routes
from controller.routing.graph import Graph, graph_of
from controller.service.deployment import Deployment, find_deployment
from controller.service.maintenance_desk import Leaving, in_maintenance, plan_drain, to_drain
from controller.service.proposals import Proposal
from controller.service.published import Published
from controller.service.relay_desk import check_names
from controller.service.requests import Request
from controller.service.what_if import Failure, what_if
from controller.wire.northbound_key_relay import reservations_to_pb, route_to_pb
from controller.wire.northbound_values import bit_per_s
from qinet.northbound.v1 import key_relay_service_pb2 as pb
from qinet.northbound.v1.entanglement_service_pb2 import ComputeEntanglementRouteResponse

T = TypeVar("T")

_THREADS: Final = 2
_WAITING: Final = 32
_PROPOSALS: Final = 256
"""How many searches for what is to be created or moved may wait: more than what is only asked."""
PREDICTION_S: Final = 10.0
"""A prediction that takes longer is given up: the network is large, and much of it was named."""


class RouteSearch:
    """A few threads, and a short queue before them. Close it when the server has ended."""

    def __init__(self, metrics: Metrics | None = None, *, prediction_s: float = PREDICTION_S) -> None:
        self._pool = ThreadPoolExecutor(max_workers=_THREADS, thread_name_prefix="routes")
        self._metrics = metrics
        self._prediction_s = prediction_s
        self._asked = 0
        self._proposing = 0

    def close(self) -> None:
        """Take no more searches; those that run end by their budgets."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def answer(self, published: Published, demand: Demand, limit: int) -> pb.ComputeRoutesResponse:
        """Return up to `limit` (>= 1) candidates, best first.

        Raises:
            Refusal: There is none, a name does not exist, or too many searches wait already.
        """
        return await self._run(lambda: self._counted(lambda: computed(published, demand, limit)))

    async def pair_answer(self, published: Published, demand: PairDemand) -> ComputeEntanglementRouteResponse:
        """Return the best route and plan for a demand of pairs.

        Raises:
            Refusal: There is none, a name does not exist, or too many searches wait already.
        """
        return await self._run(lambda: self._counted(lambda: computed_path(published, demand)))

    async def proposal(self, published: Published, request: Request) -> Proposal | None:
        """Return what a search finds for a request; None where it needs none, or is refused for something else.

        Raises:
            Overloaded: Too many searches wait already.
        """
        if self._proposing >= _PROPOSALS:
            raise _too_many()
        self._proposing += 1
        return await self._queued(lambda: self._counted_proposal(published, request), self._proposed)

    async def drained(self, published: Published, what: Leaving) -> list[PredictedMove]:
        """Return what becomes of each relay on a node or link that is to be emptied.

        Raises:
            Refusal: A name does not exist, it takes too long, or too many searches wait already.
        """
        return await self._run(lambda: drain_preview(published, what, _Budget(self._prediction_s).spend))

    async def failed(self, published: Published, failure: Failure) -> list[PredictedMove]:
        """Return what would become of each relay that a failure touches.

        Raises:
            Refusal: A name does not exist, it takes too long, or too many searches wait already.
        """
        budget = _Budget(self._prediction_s)
        return await self._run(lambda: list(what_if(published.snapshot, failure, budget.spend)))

    def _counted(self, work: Callable[[], T]) -> T:
        began = time.perf_counter()
        outcome = "refused"
        try:
            found = work()
            outcome = "found"
        finally:
            if self._metrics is not None:
                self._metrics.route_seconds.labels(outcome).observe(time.perf_counter() - began)
        return found

    def _counted_proposal(self, published: Published, request: Request) -> Proposal | None:
        began = time.perf_counter()
        proposal = proposal_for(published, request)
        if proposal is not None and self._metrics is not None:
            outcome = "refused" if isinstance(proposal.found, Refusal) else "found"
            self._metrics.route_seconds.labels(outcome).observe(time.perf_counter() - began)
        return proposal

    async def _run(self, work: Callable[[], T]) -> T:
        if self._asked >= _THREADS + _WAITING:
            raise _too_many()
        self._asked += 1
        return await self._queued(work, self._answered)

    async def _queued(self, work: Callable[[], T], ended: Callable[[], None]) -> T:
        def done(finished: "asyncio.Future[T]") -> None:
            ended()
            if not finished.cancelled():
                finished.exception()  # looked at, so that a search that nobody waits for any more leaves no warning

        running = asyncio.get_running_loop().run_in_executor(self._pool, work)
        # A caller who leaves does not stop the thread, so the place is free only when the search has ended.
        running.add_done_callback(done)
        return await asyncio.shield(running)

    def _answered(self) -> None:
        self._asked -= 1

    def _proposed(self) -> None:
        self._proposing -= 1


def _too_many() -> Overloaded:
    return Overloaded("TOO_MANY_SEARCHES", "too many route searches are waiting: try again shortly")


class _Budget:
    """Ends what takes too long, between two relays."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds
        self._seconds = seconds

    def spend(self) -> None:
        if time.monotonic() > self._end:
            raise TooHard(
                "TOO_HARD",
                f"not predicted within {self._seconds:g} s: name less at once",
                {"seconds": self._seconds},
            )


def drain_preview(published: Published, what: Leaving, spend: Callable[[], None]) -> list[PredictedMove]:
    """Return what becomes of each relay on what is to be emptied, most important first.

    Raises:
        NotFound: A name does not exist.
    """
    snapshot = in_maintenance(published.snapshot, what)
    moves = []
    for move in plan_drain(snapshot, what, to_drain(snapshot, what)):
        spend()
        moves.append(move)
    return moves


def computed(published: Published, demand: Demand, limit: int) -> pb.ComputeRoutesResponse:
    """Return candidates on that state of the network.

    Raises:
        Refusal: As RouteSearch.answer.
    """
    check_names(published.snapshot, demand)
    graph = graph_of(published.snapshot)
    if demand.shares == 1 and not demand.protected:
        candidates = [Deployment(routes=(route,)) for route in candidate_routes(graph, demand, limit)]
    else:
        candidates = [find_deployment(graph, KeyRelay(name="asked", demand=demand))]
    return pb.ComputeRoutesResponse(
        candidates=[_candidate(graph, demand, place) for place in candidates],
        revision=published.snapshot.revision,
        rate_bit_per_s=bit_per_s(demand.rate_millibit_per_s),
    )


def _candidate(graph: Graph, demand: Demand, place: Deployment) -> pb.RouteCandidate:
    used = frozenset(link for route in (*place.routes, *(place.backup or ())) for link in route.links)
    charges = route_charges((*place.routes, *(place.backup or ())), demand.rate_millibit_per_s)
    return pb.RouteCandidate(
        routes=[route_to_pb(route) for route in place.routes],
        bottleneck_bit_per_s=bit_per_s(min(graph.room(link) or 0 for link in used)),
        reservations=reservations_to_pb(charges, in_use=used),
    )
