"""Carries out a placement that an operator chose: each service, when its turn comes, gets the routes planned for it."""

from collections.abc import Iterator

from controller.domain.commands import Command, MoveService
from controller.domain.events import AppEvent, PlacementDue
from controller.domain.snapshot import Snapshot


class Optimiser:
    """Moves what a placement says, one service for each event.

    Which service has its turn, how many are under way, and what becomes of a move that does not fit any more is the
    controller's to say: every command is checked again before it is committed.
    """

    listens_to = (PlacementDue,)

    def handle(self, event: AppEvent, snapshot: Snapshot) -> Iterator[Command]:
        """Yield the move of the service whose turn it is, if it is as it was when the move was planned."""
        if not isinstance(event, PlacementDue):
            return
        placement = snapshot.placements.get(event.placement)
        service = snapshot.service(event.service)
        if placement is None or service is None:
            return
        for move in placement.moves:
            if move.service == service.key and move.from_version == service.route_version:
                yield MoveService(
                    service=service.key,
                    routes=move.to_routes,
                    because=f"placements/{placement.name}: a better placement",
                )
