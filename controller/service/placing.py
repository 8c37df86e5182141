"""How far the placement is that is being carried out: which moves are over, and which service has its turn."""

from dataclasses import replace
from typing import Final

from controller.domain.placement import Placement, PlacementState, PlannedMove, PlannedMoveState
from controller.domain.service import Phase, Service
from controller.domain.snapshot import Snapshot

_REASON: Final = 300
"""Most characters that are kept of why a move was left out."""


def under_way(snapshot: Snapshot) -> list[Placement]:
    """Return the placements that are being carried out, or were given up while moves of theirs were under way."""
    return [
        one
        for one in snapshot.placements.values()
        if one.state is PlacementState.RUNNING or one.moves_in(PlannedMoveState.MOVING)
    ]


def services_placed(snapshot: Snapshot) -> set[str]:
    """Return the keys of the services on which it depends how the placements under way go on."""
    return {move.service for placement in under_way(snapshot) for move in placement.moves}


def followed(placement: Placement, snapshot: Snapshot) -> Placement:
    """Return the placement with what has become of its moves by now, and DONE once none is left to be made.

    A move is done when its service has left its former routes; one whose service was meanwhile given other routes by
    somebody else, or is gone, is left out. A cancelled placement is followed until what had begun has ended.
    """
    moves = tuple(_followed(move, snapshot.service(move.service)) for move in placement.moves)
    after = replace(placement, moves=moves) if moves != placement.moves else placement
    open_states = (PlannedMoveState.PENDING, PlannedMoveState.MOVING)
    if after.state is PlacementState.RUNNING and not any(move.state in open_states for move in moves):
        return replace(after, state=PlacementState.DONE)
    return after


def next_move(placement: Placement) -> PlannedMove | None:
    """Return the move whose turn it is; None while enough are under way, and when there is none."""
    if placement.state is not PlacementState.RUNNING:
        return None
    if len(placement.moves_in(PlannedMoveState.MOVING)) >= placement.at_once:
        return None
    return next(iter(placement.moves_in(PlannedMoveState.PENDING)), None)


def after_turn(placement: Placement, move: PlannedMove, service: Service | None, refusal: str) -> Placement:
    """Return the placement after a move had its turn.

    What does not fit while others are under way keeps its turn: they have still to leave room.

    Args:
        placement: Being carried out.
        move: Of it, pending.
        service: As it is now; on the planned routes if the move was made.
        refusal: Why it was not made; "" when nobody said.
    """
    if service is not None and service.routes == move.to_routes and service.route_version != move.from_version:
        return placement.with_move(replace(move, state=PlannedMoveState.MOVING, version=service.route_version))
    if service is None or service.removed:
        refusal = "the service is gone"
    elif service.route_version != move.from_version:
        refusal = "the service has other routes than when the move was planned"
    elif refusal and placement.moves_in(PlannedMoveState.MOVING):
        return placement
    why = refusal or "no app moves it: it is MANUAL or disabled, or apps.optimiser.Optimiser is not configured"
    return placement.with_move(replace(move, state=PlannedMoveState.LEFT_OUT, reason=why[:_REASON]))


def _followed(move: PlannedMove, service: Service | None) -> PlannedMove:
    if move.state is not PlannedMoveState.MOVING:
        return move
    if service is None or service.removed:
        return replace(move, state=PlannedMoveState.LEFT_OUT, reason="the service was deleted while it moved")
    if service.route_version != move.version:
        return replace(
            move, state=PlannedMoveState.LEFT_OUT, reason=f"moved elsewhere: {service.state_reason}"[:_REASON]
        )
    if service.phase is Phase.SETTLED and not service.retiring and not service.releasing:
        return replace(move, state=PlannedMoveState.DONE)
    return move
