"""Placements, as the store keeps them."""

from controller.domain.placement import Placement, PlacementFigures, PlannedMove
from controller.wire.stored_enums import PLACEMENT_STATE, PLANNED_MOVE_STATE
from controller.wire.stored_service import routes_from_pb, routes_to_pb
from qinet.store.v1 import placement_pb2 as pb


def placement_to_pb(placement: Placement) -> pb.Placement:
    """Return the stored form of a placement."""
    return pb.Placement(
        name=placement.name,
        state=PLACEMENT_STATE.number(placement.state),
        state_reason=placement.state_reason,
        moves=[
            pb.PlannedMove(
                service=move.service,
                from_version=move.from_version,
                from_routes=routes_to_pb(move.from_routes),
                to_routes=routes_to_pb(move.to_routes),
                state=PLANNED_MOVE_STATE.number(move.state),
                reason=move.reason,
                version=move.version,
            )
            for move in placement.moves
        ],
        before=_figures_to_pb(placement.before),
        after=_figures_to_pb(placement.after),
        key_use_bound_millibit_per_s=placement.key_use_bound_millibit_per_s,
        at_once=placement.at_once,
        created_ms=placement.created_ms,
        created_by=placement.created_by,
        searched_revision=placement.searched_revision,
    )


def placement_from_pb(stored: pb.Placement) -> Placement:
    """Return the placement of a stored form."""
    return Placement(
        name=stored.name,
        state=PLACEMENT_STATE.member(stored.state),
        state_reason=stored.state_reason,
        moves=tuple(
            PlannedMove(
                service=move.service,
                from_version=move.from_version,
                from_routes=routes_from_pb(move.from_routes),
                to_routes=routes_from_pb(move.to_routes),
                state=PLANNED_MOVE_STATE.member(move.state),
                reason=move.reason,
                version=move.version,
            )
            for move in stored.moves
        ),
        before=_figures_from_pb(stored.before),
        after=_figures_from_pb(stored.after),
        key_use_bound_millibit_per_s=stored.key_use_bound_millibit_per_s,
        at_once=stored.at_once,
        created_ms=stored.created_ms,
        created_by=stored.created_by,
        searched_revision=stored.searched_revision,
    )


def _figures_to_pb(figures: PlacementFigures) -> pb.PlacementFigures:
    return pb.PlacementFigures(
        carried_millibit_per_s=figures.carried_millibit_per_s,
        key_use_millibit_per_s=figures.key_use_millibit_per_s,
        fullest_ppm=figures.fullest_ppm,
        blocked=figures.blocked,
    )


def _figures_from_pb(stored: pb.PlacementFigures) -> PlacementFigures:
    return PlacementFigures(
        carried_millibit_per_s=stored.carried_millibit_per_s,
        key_use_millibit_per_s=stored.key_use_millibit_per_s,
        fullest_ppm=stored.fullest_ppm,
        blocked=stored.blocked,
    )
