"""The best route and plan for a demand of pairs, on one state of the network: what ComputeEntanglementRoute answers."""

from controller.domain.entanglement_path import PairDemand
from controller.routing.entanglement.find import find_path
from controller.routing.entanglement.network import pair_network_of
from controller.service.path_desk import check_path_names
from controller.service.published import Published
from controller.wire.northbound_entanglement_path import pair_reservations_to_pb, plan_to_pb
from controller.wire.northbound_key_relay import route_to_pb
from qinet.northbound.v1 import entanglement_service_pb2 as pb


def computed_path(published: Published, demand: PairDemand) -> pb.ComputeEntanglementRouteResponse:
    """Return what a path of that demand would be given.

    Raises:
        Refusal: As find_path, or a name does not exist.
    """
    snapshot = published.snapshot
    check_path_names(snapshot, demand)
    found = find_path(pair_network_of(snapshot), demand)
    return pb.ComputeEntanglementRouteResponse(
        route=route_to_pb(found.route),
        plan=plan_to_pb(found.plan),
        reservations=pair_reservations_to_pb(found.plan.charges, in_use=found.plan.charges.keys()),
        revision=snapshot.revision,
    )
