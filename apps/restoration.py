"""Keeps services on routes that work: switches to a backup, moves, lets ride on stored key, or blocks.

From the present alone: it may be asked again at any moment, and decides the same. Of several services the most
important is served first, and none counts on room that another was given; plain key relays are searched for as one
batch, which gives each the route that it would get alone. Key relays and entanglement paths are treated alike, but that
a path has no stored key to ride on, and leaves also links that make pairs as ever, but too few or too bad ones for what
it promises.

While a link is down, what took it may take the other links of its ducts a moment later: services go to routes off
them, and over them only where there is no other way. So do those whose backup passes one of them; they are switched to
it only where there is no place off them.
"""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import groupby
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
    ServicesImpaired,
)
from controller.domain.key_relay import KeyRelay
from controller.domain.reachability import fault, threatened_links
from controller.domain.refusals import Refusal
from controller.domain.route import Route
from controller.domain.route_sets import told_sets, wanted_set
from controller.domain.service import Protection, RouteSet, Service
from controller.domain.snapshot import Snapshot
from controller.routing.batch import Rerouting, is_plain
from controller.routing.feasible import charges_after_move
from controller.routing.places import (
    THREATENED,
    Grounds,
    Place,
    find_clear_backup,
    find_clear_place,
    find_place,
    ground_of,
    shortfall,
)

S = TypeVar("S", bound=Service)


class Restoration:
    """Restores what something that does not work carried: most important first, so that these get what room there is.

    The controller hands it some services at a time. A link as a whole, most important service first, is for who wants
    to know what would become of all of them.
    """

    listens_to = (ServicesImpaired, HoldOffEnded, ReturnDue, LinkWeakened)

    def handle(self, event: AppEvent, snapshot: Snapshot) -> Iterator[Command]:
        """Decide from the snapshot alone. What works again moves nothing."""
        match event:
            case ServicesImpaired(services=keys):
                yield from _attend(keys, snapshot)
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
    services = (snapshot.service(key) for key in keys)
    patients = [
        _Patient(service, snapshot, waited=waited)
        for service in services
        if service is not None and not service.removed and service.routes
    ]
    ward = _Ward(snapshot)
    # What is done about the others may take room that those after them would count on.
    for together, group in groupby(patients, key=lambda patient: patient.moves and is_plain(snapshot, patient.service)):
        few = list(group)
        yield from ward.move_together(few) if together else ward.treat(few)


class _Ward:
    """What there is for services that something happened to, one after the other."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._grounds = Grounds(snapshot)
        self._threatened: frozenset[str] | None = None

    @property
    def threatened(self) -> frozenset[str]:
        """Return the links that share a duct with one that is down; looked for when first asked for."""
        if self._threatened is None:
            self._threatened = threatened_links(self._snapshot)
        return self._threatened

    def move_together(self, patients: list["_Patient"]) -> Iterator[Command]:
        """Yield where plain relays move, searched as one batch; of one that fits nowhere, what it does instead."""
        rerouting = Rerouting(self._grounds.shared(), [_relay(patient) for patient in patients], self.threatened)
        for patient, (relay, route) in zip(patients, rerouting, strict=True):
            if route is not None:
                yield MoveService(service=relay.key, routes=(route,), because=patient.wanted_fault)
            else:
                self._grounds.left(rerouting.graph)
                yield self._moved(patient)  # for the reason
        self._grounds.left(rerouting.graph)

    def treat(self, patients: Iterable["_Patient"]) -> Iterator[Command]:
        """Yield what is done about each, if anything."""
        for patient in patients:
            service = patient.service
            command = self._treatment(patient)
            if isinstance(command, MoveService):
                # The next service must not count on this room.
                after = charges_after_move(service, command.routes, plan=command.plan, backup=command.backup)
                self._grounds.given(service, after)
            elif isinstance(command, BackUpService):
                self._grounds.given(service, charges_after_move(service, service.routes, backup=command.routes))
            if command is not None:
                yield command

    def _treatment(self, patient: "_Patient") -> Command | None:
        service, snapshot = patient.service, self._snapshot
        if not (patient.wanted_fault or patient.use_fault or patient.backup_fault):
            return self._better(service)
        if not patient.wanted_fault:
            if patient.use_fault and patient.has_spare and not patient.stays_put:
                return SwitchService(service=service.key, because=patient.use_fault)  # sooner than what is installed
            return self._another_backup(patient)
        if patient.waits:
            return None
        if patient.holds_off:
            until_ms = snapshot.service_time_ms + service.demand.hold_off_ms
            return HoldOff(service=service.key, until_ms=until_ms, because=patient.wanted_fault)
        if not patient.switches:
            return self._moved(patient)
        assert service.backup is not None
        if not self.threatened.isdisjoint(service.backup.links()):
            with suppress(Refusal):
                clear = self._grounds.free_for(service).without_links(self.threatened, THREATENED)
                return _to(find_place(clear, service), service, patient.wanted_fault)
        return SwitchService(service=service.key, because=patient.wanted_fault)

    def _moved(self, patient: "_Patient") -> Command:
        """Return the move to another place, or what is done where there is none."""
        service, because = patient.service, patient.wanted_fault
        refusal = patient.stays_put or "unprotected"
        if patient.may_move:
            try:
                place = find_clear_place(self._grounds.free_for(service), service, self.threatened)
                return _to(place, service, because)
            except Refusal as no_detour:
                refusal = f"no detour: {no_detour.message}"
        if patient.stays:
            return FallBack(service=service.key, because=f"{because}; it stays where it was: {refusal}")
        if patient.spare:
            return SwitchService(service=service.key, because=because)
        if patient.dead:
            return BlockService(service=service.key, because=f"{because}; {refusal}")
        return RideOnStore(service=service.key, because=f"{because}; {refusal}")

    def _better(self, service: Service) -> Command | None:
        """Return where a service goes whose links all work, but give less than it promises; None where it stays."""
        snapshot = self._snapshot
        lacks = shortfall(snapshot, service)
        moves = service.demand.protection is not Protection.UNPROTECTED and not service.demand.manual
        if not lacks or not moves or snapshot.frozen is not None or _later(service, snapshot):
            return None
        with suppress(Refusal):
            return _to(find_clear_place(self._grounds.free_for(service), service, self.threatened), service, lacks)
        return None

    def _another_backup(self, patient: "_Patient") -> Command | None:
        service = patient.service
        backup = service.backup
        former = service.demand.revertive and backup is not None and backup.version < service.route_version
        if not patient.backup_fault or former or _later(service, self._snapshot):
            return None  # to its former routes it returns
        with suppress(Refusal):
            routes = find_clear_backup(self._grounds.free_for(service), service, self.threatened)
            return BackUpService(service=service.key, routes=routes, because=f"its backup: {patient.backup_fault}")
        return None


def _relay(patient: "_Patient") -> KeyRelay:
    assert isinstance(patient.service, KeyRelay)
    return patient.service


def _to(place: Place, service: Service, because: str) -> MoveService:
    return MoveService(service=service.key, routes=place.routes, plan=place.plan, because=because)


class _Patient:
    """A service, and what of its routes does not work."""

    def __init__(self, service: Service, snapshot: Snapshot, *, waited: bool) -> None:
        self.service = service
        self.snapshot = snapshot
        self._waited = waited
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
    def waits(self) -> bool:
        """Tell whether it is left alone for now: it holds off already, or is tried again after a while."""
        if self.moving:
            return False
        service = self.service
        if not self._waited and not service.riding and _later(service, self.snapshot):
            return True  # an agent refused it
        return self._patience and service.move_at_ms is not None  # a second cut does not begin the wait anew

    @property
    def holds_off(self) -> bool:
        """Tell whether its wait begins now."""
        return not self.moving and self._patience and self.service.move_at_ms is None

    @property
    def _patience(self) -> bool:
        patient = self.service.plan is not None or not self.dead
        return bool(self.service.demand.hold_off_ms) and not self._waited and patient

    @property
    def stays(self) -> bool:
        """Tell whether what is in use works, and only what is being installed does not."""
        return self.moving and not self.use_fault

    @property
    def spare(self) -> bool:
        """Tell whether it may be switched to its backup."""
        return self.has_spare and not self.stays and not self.stays_put

    @property
    def switches(self) -> bool:
        """Tell whether it is switched to its backup without looking for anything better."""
        return self.spare and self.spare_heard

    @property
    def may_move(self) -> bool:
        """Tell whether the controller may give it other routes."""
        return self.service.demand.protection is not Protection.UNPROTECTED and not self.stays_put

    @property
    def moves(self) -> bool:
        """Tell whether another place is looked for now, in the place of routes that fail."""
        if not self.wanted_fault or self.waits or self.holds_off:
            return False
        return not self.switches and self.may_move

    @property
    def dead(self) -> bool:
        """Tell whether nothing passes on stored key either."""
        if self.service.plan is not None:
            return True
        links = self.in_use.links() if self.in_use else frozenset()
        down = [link for link in links if not self.snapshot.condition(link).generating]
        return any(self.snapshot.condition(link).exhausted for link in down)


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
    threatened = threatened_links(snapshot)
    if link not in service.links():
        routes: tuple[Route, ...] = ()
        with suppress(Refusal):
            routes = find_clear_backup(free, service, threatened)
        yield BackUpService(service=service.key, routes=routes, because=f"its backup: {because}")
    elif service.demand.protection is not Protection.UNPROTECTED and not service.demand.manual:
        try:
            yield _to(find_clear_place(free, service, threatened), service, because)
        except Refusal as refusal:
            if service.demand.priority < staying[0].demand.priority:
                yield BlockService(service=service.key, because=f"{because}; no detour: {refusal.message}")


def _holds(service: Service, link: str) -> bool:
    """Tell whether a service has a link charged; without adding up what, as most services have not."""
    return any(link in route.links for routes in told_sets(service) for route in routes.routes) or any(
        held.link == link for held in service.releasing
    )
