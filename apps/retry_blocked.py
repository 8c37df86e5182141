"""Brings back what waits for a better network: what is blocked, rides on stored key, or lacks something."""

from collections.abc import Iterator
from contextlib import suppress

from apps.restoration import by_importance
from controller.domain.commands import BackUpService, BlockService, Command, MoveService
from controller.domain.events import AppEvent, NetworkImproved, ServiceWaits
from controller.domain.key_relay import KeyRelay
from controller.domain.reachability import fault
from controller.domain.refusals import Refusal
from controller.domain.route import Route
from controller.domain.route_sets import wanted_set
from controller.domain.service import Phase, Protection, Service, ServiceState
from controller.domain.snapshot import Snapshot
from controller.routing.admission.worth import check_admission
from controller.routing.feasible import charges_after_move
from controller.routing.graph import Graph
from controller.routing.places import Ground, Grounds, find_backup_place, find_place, shortfall


class RetryBlocked:
    """Tries again what fitted nowhere: most important first; what still waits says why it does now.

    The controller hands it one service after the other; all at once is for who wants to know what would become of them.
    """

    listens_to = (ServiceWaits,)

    def handle(self, event: AppEvent, snapshot: Snapshot) -> Iterator[Command]:
        """Decide from the snapshot alone."""
        waiting: list[Service] = []
        match event:
            case ServiceWaits(service=key):
                waiting = [service for service in (snapshot.service(key),) if service is not None]
            case NetworkImproved():
                waiting = by_importance(snapshot.services())
        waiting = [service for service in waiting if waits(service, snapshot)]
        if not waiting:
            return
        grounds = Grounds(snapshot)
        for service in waiting:
            command = _tried(service, grounds.free_for(service), snapshot)
            if command is None:
                continue
            if isinstance(command, MoveService):
                after = charges_after_move(service, command.routes, plan=command.plan, backup=command.backup)
                grounds.given(service, after)
            elif isinstance(command, BackUpService):
                grounds.given(service, charges_after_move(service, service.routes, backup=command.routes))
            yield command


def _tried(service: Service, free: Ground, snapshot: Snapshot) -> Command | None:
    if service.demand.protected and service.routes and not service.riding:
        with suppress(Refusal):
            routes = find_backup_place(free, service)
            return BackUpService(service=service.key, routes=routes, because="a backup fits")
        return None
    try:
        place = find_place(free, service)
        if isinstance(service, KeyRelay) and isinstance(free, Graph) and not service.route_version:
            check_admission(free, snapshot, service, place.routes)  # what never ran is still to be admitted
    except Refusal as refusal:
        if service.state is ServiceState.BLOCKED and service.state_reason != refusal.message:
            return BlockService(service=service.key, because=refusal.message)
        return None  # it is in the state that says so already
    backup: tuple[Route, ...] | None = None
    if service.demand.protected and not service.routes:
        with suppress(Refusal):
            backup = find_backup_place(free, service, place.routes)
    because = "the network has room again"
    return MoveService(service=service.key, routes=place.routes, plan=place.plan, backup=backup, because=because)


def waits(service: Service, snapshot: Snapshot) -> bool:
    """Tell whether a service would be better off for another route, or for a backup, and may be tried now."""
    if not service.admin_enabled or service.removed:
        return False
    # A service that waits out its hold-off, or what an agent refused, is left to the end of it.
    if service.move_at_ms is not None and snapshot.service_time_ms < service.move_at_ms:
        return False
    if service.state is ServiceState.BLOCKED:
        return True
    moves = service.demand.protection is not Protection.UNPROTECTED and not service.demand.manual
    if service.riding:
        return moves and bool(fault(snapshot, wanted_set(service)))
    if service.plan is not None:
        return moves and service.phase is not Phase.INSTALLING and bool(shortfall(snapshot, service))
    return service.demand.protected and service.backup is None and service.phase is not Phase.INSTALLING
