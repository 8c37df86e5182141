"""Placements, as the northbound API tells them."""

from collections.abc import Iterable

from controller.domain.placement import Placement, PlacementFigures, PlacementState, PlannedMove, PlannedMoveState
from controller.domain.route import Route
from controller.wire.northbound_key_relay import route_to_pb
from controller.wire.northbound_values import WireEnum, bit_per_s, timestamp_ms
from qinet.northbound.v1 import key_relay_pb2, placement_pb2

STATE = WireEnum(PlacementState, placement_pb2.PlacementState, "PLACEMENT_STATE")
MOVE_STATE = WireEnum(PlannedMoveState, placement_pb2.PlannedMoveState, "PLANNED_MOVE_STATE")


def placement_to_pb(placement: Placement) -> placement_pb2.Placement:
    """Return a placement as the API tells it."""
    return placement_pb2.Placement(
        name=f"placements/{placement.name}",
        state=STATE.number(placement.state),
        state_reason=placement.state_reason,
        moves=[_move(move) for move in placement.moves],
        before=figures_to_pb(placement.before),
        after=figures_to_pb(placement.after),
        key_use_bound_bit_per_s=bit_per_s(placement.key_use_bound_millibit_per_s),
        gap=placement.gap,
        at_once=placement.at_once,
        create_time=timestamp_ms(placement.created_ms),
        created_by=placement.created_by.removeprefix("qinet://"),
        searched_revision=placement.searched_revision,
    )


def figures_to_pb(figures: PlacementFigures) -> placement_pb2.PlacementFigures:
    """Return how well a network is used as the API tells it."""
    return placement_pb2.PlacementFigures(
        carried_bit_per_s=bit_per_s(figures.carried_millibit_per_s),
        key_use_bit_per_s=bit_per_s(figures.key_use_millibit_per_s),
        fullest_link_utilisation=figures.fullest_ppm / 1e6,
        blocked=figures.blocked,
    )


def _move(move: PlannedMove) -> placement_pb2.PlannedMove:
    return placement_pb2.PlannedMove(
        service=move.service if "/" in move.service else f"keyRelays/{move.service}",
        from_routes=_routes(move.from_routes),
        to_routes=_routes(move.to_routes),
        state=MOVE_STATE.number(move.state),
        reason=move.reason,
    )


def _routes(routes: Iterable[Route]) -> list[key_relay_pb2.Route]:
    return [route_to_pb(route) for route in routes]
