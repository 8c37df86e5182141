"""Requests on placements: to keep one that was found, to carry it out, to give it up. Nothing is moved here."""

from dataclasses import replace

from controller.domain.placement import PLACEMENTS_KEPT, Placement, PlacementState, PlannedMoveState
from controller.domain.refusals import InvalidValue, NotFound, Precondition
from controller.domain.snapshot import Changes, Snapshot, delete, put
from controller.service.requests import CancelPlacement, CarryOutPlacement, StorePlacement


def store_placement(snapshot: Snapshot, request: StorePlacement, *, version: int, wall_ms: int) -> Changes:
    """Return the changes that keep a placement; the oldest ones go where there are too many.

    `version` is the revision that they will be committed as, of which the placement takes its name.
    """
    placement = replace(
        request.placement,
        name=f"p-{version}",
        created_ms=wall_ms,
        created_by=request.caller,
    )
    spare = sorted(
        (one for one in snapshot.placements.values() if one.state is not PlacementState.RUNNING),
        key=lambda one: (one.created_ms, one.searched_revision, one.name),
    )
    too_many = len(snapshot.placements) + 1 - PLACEMENTS_KEPT
    return put(placement) + delete("placements", *(one.name for one in spare[: max(0, too_many)]))


def carry_out(snapshot: Snapshot, request: CarryOutPlacement) -> Placement:
    """Return the placement as one that is being carried out.

    Raises:
        NotFound: There is none of that name.
        InvalidValue: `at_once` is out of range.
        Precondition: It is not one that was only proposed, another is being carried out, or moves are frozen.
    """
    placement = _placement(snapshot, request.placement)
    where = f"placements/{placement.name}"
    if request.at_once < 1:
        raise InvalidValue(where, ("at_once", f"{request.at_once} is not positive"))
    if placement.state is not PlacementState.PROPOSED:
        raise Precondition(
            "NOT_PROPOSED",
            f"{where} is {placement.state.value}: propose another one",
            {"placement": placement.name, "state": placement.state.value},
        )
    running = sorted(one.name for one in snapshot.placements.values() if one.state is PlacementState.RUNNING)
    if running:
        raise Precondition(
            "BUSY",
            f"placements/{running[0]} is being carried out: wait for it, or cancel it",
            {"placement": placement.name, "running": running[0]},
        )
    if snapshot.frozen is not None:
        raise Precondition(
            "FROZEN",
            f"automatic moves are frozen by {snapshot.frozen.by}: resume them first",
            {"placement": placement.name, "by": snapshot.frozen.by},
        )
    return replace(placement, state=PlacementState.RUNNING, at_once=request.at_once)


def cancel(snapshot: Snapshot, request: CancelPlacement) -> Placement:
    """Return the placement as one that was given up; the same where it was before.

    Raises:
        NotFound: There is none of that name.
        Precondition: NOT_RUNNING: it is done.
    """
    placement = _placement(snapshot, request.placement)
    if placement.state is PlacementState.CANCELLED:
        return placement
    if placement.state is PlacementState.DONE:
        raise Precondition(
            "NOT_RUNNING",
            f"placements/{placement.name} is done: nothing of it is left to be cancelled",
            {"placement": placement.name},
        )
    why = f"cancelled by {request.caller.removeprefix('qinet://')}"
    moves = tuple(
        replace(move, state=PlannedMoveState.LEFT_OUT, reason=why) if move.state is PlannedMoveState.PENDING else move
        for move in placement.moves
    )
    return replace(placement, state=PlacementState.CANCELLED, state_reason=why, moves=moves)


def _placement(snapshot: Snapshot, name: str) -> Placement:
    placement = snapshot.placements.get(name)
    if placement is None:
        raise NotFound(f"placements/{name}")
    return placement
