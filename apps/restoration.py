"""Keeps services on routes that work: switches to a backup, moves, lets ride on stored key, or blocks.

One service at a time, from the present alone: it may be asked again at any moment, and decides the same. Key relays
and entanglement paths are treated alike, but that a path has no stored key to ride on, and leaves also links that make
pairs as ever, but too few or too bad ones for what it promises.
"""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import TypeVar

from controller.domain.capacity import reserved_by, resource_capacity, service_charges
from controller.domain.commands import (
    BackUpService,
    BlockService,
    Command,
    FallBack,
    HoldOff,
    MoveService,
    RideOnStore,
    SwitchService,
)
from controller.domain.events import (
    AppEvent,
    HoldOffEnded,
    LinkExhausted,
    LinkWeakened,
    LinkWentDown,
    ReturnDue,
    ServiceImpaired,
)
from controller.domain.reachability import fault
from controller.domain.refusals import Refusal
from controller.domain.route import Route
from controller.domain.route_sets import told_sets, wanted_set
from controller.domain.service import Protection, RouteSet, Service
from controller.domain.snapshot import Snapshot
from controller.routing.feasible import charges_after_move
from controller.routing.places import Ground, Grounds, find_backup_place, find_place, ground_of, shortfall

S = TypeVar("S", bound=Service)


class Restoration:
    """Restores what something that does not work carried: most important first, so that these get what room there is.

    The controller hands it one service after the other. A link or node as a whole, most important service first, is
    for who wants to know what would become of all of them.
    """

    listens_to = (ServiceImpaired, HoldOffEnded, ReturnDue, LinkWeakened)

    def handle(self, event: AppEvent, snapshot: Snapshot) -> Iterator[Command]:
        """Decide from the snapshot alone. What works again moves nothing."""
        match event:
            case ServiceImpaired(service=key):
                yield from _attend([key], snapshot)
            case HoldOffEnded(service=key):
                yield from _attend([key], snapshot, waited=True)
            case LinkWentDown(link=link) | LinkExhausted(link=link):
                yield from _attend(riders(link, snapshot), snapshot)
            case ReturnDue(service=key):
                service = snapshot.service(key)
                if service is not None and service.backup is not None:
                    yield SwitchService(service=key, because="its former routes work again")
            case LinkWeakened(link=link, tried=tried):
                yield from _relieve(link, snapshot, tried)


def by_importance(services: Iterable[S]) -> list[S]:
    """Return services in the order in which they are served: highest priority first, then by key."""
    return sorted(services, key=lambda service: (-service.demand.priority, service.key))


def riders(link: str, snapshot: Snapshot) -> list[str]:
    """Return the services that use a link, or keep it for their backup, most important first, by their keys."""
    return [service.key for service in by_importance(snapshot.services()) if link in service.told_links()]


def _attend(keys: Iterable[str], snapshot: Snapshot, *, waited: bool = False) -> Iterator[Command]:
    grounds = Grounds(snapshot)
    for key in keys:
        service = snapshot.service(key)
        if service is None or service.removed or not service.routes:
            continue
        patient = _Patient(service, snapshot)
        if not (patient.wanted_fault or patient.use_fault or patient.backup_fault):
            command = _better(service, snapshot, grounds)
        else:
            command = _treatment(patient, grounds.free_for(service), waited=waited)
        if command is None:
            continue
        if isinstance(command, MoveService):
            # The next service must not count on this room.
            after = charges_after_move(service, command.routes, plan=command.plan, backup=command.backup)
            grounds.given(service, after)
        elif isinstance(command, BackUpService):
            grounds.given(service, charges_after_move(service, service.routes, backup=command.routes))
        yield command


def _better(service: Service, snapshot: Snapshot, grounds: Grounds) -> Command | None:
    """Return where a service goes whose links all work, but give less than it promises; None where it stays."""
    lacks = shortfall(snapshot, service)
    moves = service.demand.protection is not Protection.UNPROTECTED and not service.demand.manual
    if not lacks or not moves or snapshot.frozen is not None or _later(service, snapshot):
        return None
    with suppress(Refusal):
        place = find_place(grounds.free_for(service), service)
        return MoveService(service=service.key, routes=place.routes, plan=place.plan, because=lacks)
    return None


class _Patient:
    """A service, and what of its routes does not work."""

    def __init__(self, service: Service, snapshot: Snapshot) -> None:
        self.service = service
        self.snapshot = snapshot
        wanted = wanted_set(service)
        self.in_use: RouteSet | None = wanted
        if wanted is not None and not wanted.in_use:
            self.in_use = next((routes for routes in reversed(service.retiring) if routes.in_use), None)
        self.wanted_fault = fault(snapshot, wanted)
        self.use_fault = fault(snapshot, self.in_use)
        self.backup_fault = fault(snapshot, service.backup)

    @property
    def moving(self) -> bool:
        """Tell whether other routes than the wanted are in use."""
        return self.in_use is not None and self.in_use.version != self.service.route_version

    @property
    def stays_put(self) -> str:
        """Return why no service, or this one, is moved by the controller itself now; "" when it may be."""
        if self.service.demand.manual:
            return "MANUAL: an operator moves it (redeploy)"
        frozen = self.snapshot.frozen
        return f"automatic moves are frozen by {frozen.by}" if frozen else ""

    @property
    def has_spare(self) -> bool:
        """Tell whether a backup is installed of which nothing is known to fail."""
        service = self.service
        return (
            service.demand.protected
            and service.backup is not None
            and service.backup_installed
            and not self.backup_fault
        )

    @property
    def spare_heard(self) -> bool:
        """Tell whether every node of the backup has a session: else nobody would hear that it fails."""
        return self.service.backup is not None and self.service.backup.nodes() <= self.snapshot.connected

    @property
    def dead(self) -> bool:
        """Tell whether nothing passes on stored key either."""
        if self.service.plan is not None:
            return True
        links = self.in_use.links() if self.in_use else frozenset()
        down = [link for link in links if not self.snapshot.condition(link).generating]
        return any(self.snapshot.condition(link).exhausted for link in down)


def _treatment(patient: _Patient, free: Ground, *, waited: bool) -> Command | None:
    service, snapshot = patient.service, patient.snapshot
    if not patient.wanted_fault:
        if patient.use_fault and patient.has_spare and not patient.stays_put:
            return SwitchService(service=service.key, because=patient.use_fault)  # sooner than what is being installed
        return _another_backup(patient, free)
    because = patient.wanted_fault
    stays = patient.moving and not patient.use_fault
    if not patient.moving:
        if not waited and not service.riding and _later(service, snapshot):
            return None  # an agent refused it, and it is tried again after a while
        patience = service.plan is not None or not patient.dead
        if service.demand.hold_off_ms and not waited and patience:
            if service.move_at_ms is not None:
                return None  # a second cut does not begin the wait anew
            return HoldOff(
                service=service.key,
                until_ms=snapshot.service_time_ms + service.demand.hold_off_ms,
                because=because,
            )
    spare = patient.has_spare and not stays and not patient.stays_put
    if spare and patient.spare_heard:
        return SwitchService(service=service.key, because=because)
    refusal = patient.stays_put or "unprotected"
    if service.demand.protection is not Protection.UNPROTECTED and not patient.stays_put:
        try:
            place = find_place(free, service)
            return MoveService(service=service.key, routes=place.routes, plan=place.plan, because=because)
        except Refusal as no_detour:
            refusal = f"no detour: {no_detour.message}"
    if stays:
        return FallBack(service=service.key, because=f"{because}; it stays where it was: {refusal}")
    if spare:
        return SwitchService(service=service.key, because=because)
    if patient.dead:
        return BlockService(service=service.key, because=f"{because}; {refusal}")
    return RideOnStore(service=service.key, because=f"{because}; {refusal}")


def _another_backup(patient: _Patient, free: Ground) -> Command | None:
    service = patient.service
    former = service.demand.revertive and service.backup is not None and service.backup.version < service.route_version
    if not patient.backup_fault or former or _later(service, patient.snapshot):
        return None  # to its former routes it returns
    with suppress(Refusal):
        routes = find_backup_place(free, service)
        return BackUpService(service=service.key, routes=routes, because=f"its backup: {patient.backup_fault}")
    return None


def _later(service: Service, snapshot: Snapshot) -> bool:
    return service.move_at_ms is not None and snapshot.service_time_ms < service.move_at_ms


def _relieve(link: str, snapshot: Snapshot, tried: int) -> Iterator[Command]:
    """Have services leave a link on which more is promised than it carries: least important first, until it fits.

    What is on its way off counts as gone. One that fits nowhere else is taken off where that serves a more important
    one; those of the highest priority there share what is left. One is looked at: the next after those `tried`.
    """
    if link not in snapshot.links:
        return
    reserved = snapshot.reserved
    if reserved is None:
        reserved = reserved_by(snapshot.services())
    capacity = resource_capacity(snapshot.nodes, snapshot.links, snapshot.conditions, link)
    missing = reserved.get(link, 0) - capacity
    staying: list[Service] = []
    for service in by_importance(service for service in snapshot.services() if _holds(service, link)):
        backup = service.backup is not None and link in service.backup.links()
        if link in service.links() or backup:
            staying.append(service)
        else:
            missing -= service_charges(service)[link]
    if missing <= 0 or tried >= len(staying):
        return
    service = staying[-1 - tried]
    because = f"links/{link} carries less than is promised on it"
    free = ground_of(snapshot, service).without_links({link}, "it carries less than is promised on it")
    if link not in service.links():
        routes: tuple[Route, ...] = ()
        with suppress(Refusal):
            routes = find_backup_place(free, service)
        yield BackUpService(service=service.key, routes=routes, because=f"its backup: {because}")
    elif service.demand.protection is not Protection.UNPROTECTED and not service.demand.manual:
        try:
            place = find_place(free, service)
            yield MoveService(service=service.key, routes=place.routes, plan=place.plan, because=because)
        except Refusal as refusal:
            if service.demand.priority < staying[0].demand.priority:
                yield BlockService(service=service.key, because=f"{because}; no detour: {refusal.message}")


def _holds(service: Service, link: str) -> bool:
    """Tell whether a service has a link charged; without adding up what, as most services have not."""
    return any(link in route.links for routes in told_sets(service) for route in routes.routes) or any(
        held.link == link for held in service.releasing
    )
