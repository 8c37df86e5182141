"""Searches for pairs on one state of the network: for ComputeEntanglementRoute, and to propose to the writer."""

from contextlib import suppress
from typing import Final

from controller.domain.entanglement_path import PairDemand
from controller.domain.refusals import Refusal
from controller.routing.entanglement.find import find_path
from controller.routing.entanglement.network import pair_network_of
from controller.service.path_desk import check_path_names
from controller.service.proposals import STEPS_BESIDE, Proposal, Searching
from controller.service.published import Published
from controller.service.request_desk import decide
from controller.service.requests import Request
from controller.wire.northbound_entanglement_path import pair_reservations_to_pb, plan_to_pb
from controller.wire.northbound_key_relay import route_to_pb
from qinet.northbound.v1 import entanglement_service_pb2 as pb

_ANY_TIME: Final = 0
"""Nothing of what is decided here is kept but the route, which does not hang on the time of day."""


def computed_path(published: Published, demand: PairDemand) -> pb.ComputeEntanglementRouteResponse:
    """Return what a path of that demand would be given.

    Raises:
        Refusal: As find_path, or a name does not exist.
    """
    snapshot = published.snapshot
    check_path_names(snapshot, demand)
    found = find_path(pair_network_of(snapshot), demand, steps=STEPS_BESIDE)
    return pb.ComputeEntanglementRouteResponse(
        route=route_to_pb(found.route),
        plan=plan_to_pb(found.plan),
        reservations=pair_reservations_to_pb(found.plan.charges, in_use=found.plan.charges.keys()),
        revision=snapshot.revision,
    )


def proposal_for(published: Published, request: Request) -> Proposal | None:
    """Return what a search finds for a request on a path, or None where the answer needs no search.

    The request is decided as the writer would on that state of the network, and only what was searched is kept: all
    else, a repeated request_id among it, is the writer's to say.
    """
    snapshot = published.snapshot
    searching = Searching()
    with suppress(Refusal):
        decide(
            snapshot,
            request,
            now_ms=snapshot.service_time_ms,
            wall_ms=_ANY_TIME,
            version=snapshot.revision + 1,
            seek=searching,
        )
    return searching.proposal
