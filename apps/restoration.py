"""Keeps key relays on routes that work: switches to a backup, moves, lets ride on stored key, or blocks.

One relay at a time, from the present alone: it may be asked again at any moment, and decides the same.
"""

from collections.abc import Iterable, Iterator
from contextlib import suppress

from controller.domain.capacity import capacity_millibit_per_s, relay_charges, reserved_millibit_per_s
from controller.domain.commands import (
    BackUpRelay,
    BlockRelay,
    Command,
    FallBack,
    HoldOff,
    MoveRelay,
    RideOnStore,
    SwitchRelay,
)
from controller.domain.events import (
    AppEvent,
    HoldOffEnded,
    LinkExhausted,
    LinkWeakened,
    LinkWentDown,
    RelayImpaired,
    ReturnDue,
)
from controller.domain.key_relay import KeyRelay, Protection, RouteSet
from controller.domain.reachability import fault
from controller.domain.refusals import Refusal
from controller.domain.route import Route
from controller.domain.route_sets import told_sets, wanted_set
from controller.domain.snapshot import Snapshot
from controller.routing.feasible import charges_after_move, find_move, find_spare
from controller.routing.graph import Graph, graph_of


class Restoration:
    """Restores what something that does not work carried: most important first, so that these get what room there is.

    The controller hands it one relay after the other. A link or node as a whole, most important relay first, is for
    who wants to know what would become of all of them.
    """

    listens_to = (RelayImpaired, HoldOffEnded, ReturnDue, LinkWeakened)

    def handle(self, event: AppEvent, snapshot: Snapshot) -> Iterator[Command]:
        """Decide from the snapshot alone. What works again moves nothing."""
        match event:
            case RelayImpaired(relay=name):
                yield from _attend([name], snapshot)
            case HoldOffEnded(relay=name):
                yield from _attend([name], snapshot, waited=True)
            case LinkWentDown(link=link) | LinkExhausted(link=link):
                yield from _attend(riders(link, snapshot), snapshot)
            case ReturnDue(relay=name):
                relay = snapshot.relays.get(name)
                if relay is not None and relay.backup is not None:
                    yield SwitchRelay(relay=name, because="its former routes work again")
            case LinkWeakened(link=link, tried=tried):
                yield from _relieve(link, snapshot, tried)


def by_importance(relays: Iterable[KeyRelay]) -> list[KeyRelay]:
    """Return relays in the order in which they are served: highest priority first, then by name."""
    return sorted(relays, key=lambda relay: (-relay.demand.priority, relay.name))


def riders(link: str, snapshot: Snapshot) -> list[str]:
    """Return the relays that use a link, or keep it for their backup, most important first."""
    return [relay.name for relay in by_importance(snapshot.relays.values()) if link in relay.told_links()]


def _attend(names: Iterable[str], snapshot: Snapshot, *, waited: bool = False) -> Iterator[Command]:
    graph: Graph | None = None
    for name in names:
        relay = snapshot.relays.get(name)
        if relay is None or relay.removed or not relay.routes:
            continue
        patient = _Patient(relay, snapshot)
        if not (patient.wanted_fault or patient.use_fault or patient.backup_fault):
            continue
        if graph is None:
            graph = graph_of(snapshot)
        free = graph.freed(relay_charges(relay))
        command = _treatment(patient, free, waited=waited)
        if command is None:
            continue
        if isinstance(command, MoveRelay):
            # The next relay must not count on this room.
            graph = free.charged(charges_after_move(relay, command.routes, backup=command.backup))
        elif isinstance(command, BackUpRelay):
            graph = graph.charged(charges_after_move(relay, relay.routes, backup=command.routes))
        yield command


class _Patient:
    """A relay, and what of its routes does not work."""

    def __init__(self, relay: KeyRelay, snapshot: Snapshot) -> None:
        self.relay = relay
        self.snapshot = snapshot
        wanted = wanted_set(relay)
        self.in_use: RouteSet | None = wanted
        if wanted is not None and not wanted.in_use:
            self.in_use = next((routes for routes in reversed(relay.retiring) if routes.in_use), None)
        self.wanted_fault = fault(snapshot, wanted)
        self.use_fault = fault(snapshot, self.in_use)
        self.backup_fault = fault(snapshot, relay.backup)

    @property
    def moving(self) -> bool:
        """Tell whether other routes than the wanted are in use."""
        return self.in_use is not None and self.in_use.version != self.relay.route_version

    @property
    def stays_put(self) -> str:
        """Return why no relay, or this one, is moved by the controller itself now; "" when it may be."""
        if self.relay.demand.manual:
            return "MANUAL: an operator moves it (redeploy)"
        frozen = self.snapshot.frozen
        return f"automatic moves are frozen by {frozen.by}" if frozen else ""

    @property
    def has_spare(self) -> bool:
        """Tell whether a backup is installed of which nothing is known to fail."""
        relay = self.relay
        return relay.demand.protected and relay.backup is not None and relay.backup_installed and not self.backup_fault

    @property
    def spare_heard(self) -> bool:
        """Tell whether every node of the backup has a session: else nobody would hear that it fails."""
        return self.relay.backup is not None and self.relay.backup.nodes() <= self.snapshot.connected

    @property
    def dead(self) -> bool:
        """Tell whether nothing passes on stored key either."""
        links = self.in_use.links() if self.in_use else frozenset()
        down = [link for link in links if not self.snapshot.condition(link).generating]
        return any(self.snapshot.condition(link).exhausted for link in down)


def _treatment(patient: _Patient, free: Graph, *, waited: bool) -> Command | None:
    relay, snapshot = patient.relay, patient.snapshot
    if not patient.wanted_fault:
        if patient.use_fault and patient.has_spare and not patient.stays_put:
            return SwitchRelay(relay=relay.name, because=patient.use_fault)  # sooner than what is being installed
        return _another_backup(patient, free)
    because = patient.wanted_fault
    stays = patient.moving and not patient.use_fault
    if not patient.moving:
        if not waited and not relay.riding and _later(relay, snapshot):
            return None  # an agent refused it, and it is tried again after a while
        if relay.demand.hold_off_ms and not waited and not patient.dead:
            if relay.move_at_ms is not None:
                return None  # a second cut does not begin the wait anew
            return HoldOff(
                relay=relay.name,
                until_ms=snapshot.service_time_ms + relay.demand.hold_off_ms,
                because=because,
            )
    spare = patient.has_spare and not stays and not patient.stays_put
    if spare and patient.spare_heard:
        return SwitchRelay(relay=relay.name, because=because)
    refusal = patient.stays_put or "unprotected"
    if relay.demand.protection is not Protection.UNPROTECTED and not patient.stays_put:
        try:
            return MoveRelay(relay=relay.name, routes=find_move(free, relay), because=because)
        except Refusal as no_detour:
            refusal = f"no detour: {no_detour.message}"
    if stays:
        return FallBack(relay=relay.name, because=f"{because}; it stays where it was: {refusal}")
    if spare:
        return SwitchRelay(relay=relay.name, because=because)
    if patient.dead:
        return BlockRelay(relay=relay.name, because=f"{because}; {refusal}")
    return RideOnStore(relay=relay.name, because=f"{because}; {refusal}")


def _another_backup(patient: _Patient, free: Graph) -> Command | None:
    relay = patient.relay
    former = relay.demand.revertive and relay.backup is not None and relay.backup.version < relay.route_version
    if not patient.backup_fault or former or _later(relay, patient.snapshot):
        return None  # to its former routes it returns
    with suppress(Refusal):
        routes = find_spare(free, relay, relay.routes)
        return BackUpRelay(relay=relay.name, routes=routes, because=f"its backup: {patient.backup_fault}")
    return None


def _later(relay: KeyRelay, snapshot: Snapshot) -> bool:
    return relay.move_at_ms is not None and snapshot.service_time_ms < relay.move_at_ms


def _relieve(link: str, snapshot: Snapshot, tried: int) -> Iterator[Command]:
    """Have relays leave a link on which more is promised than it carries: least important first, until it fits.

    What is on its way off counts as gone. One that fits nowhere else is taken off where that serves a more important
    one; those of the highest priority there share what is left. One is looked at: the next after those `tried`.
    """
    known = snapshot.links.get(link)
    if known is None:
        return
    reserved = snapshot.reserved
    if reserved is None:
        reserved = reserved_millibit_per_s(snapshot.relays.values())
    missing = reserved.get(link, 0) - capacity_millibit_per_s(known, snapshot.condition(link))
    staying: list[KeyRelay] = []
    for relay in by_importance(relay for relay in snapshot.relays.values() if _holds(relay, link)):
        backup = relay.backup is not None and link in relay.backup.links()
        if link in relay.links() or backup:
            staying.append(relay)
        else:
            missing -= relay_charges(relay)[link]
    if missing <= 0 or tried >= len(staying):
        return
    relay = staying[-1 - tried]
    because = f"links/{link} carries less than is promised on it"
    graph = graph_of(snapshot, ignoring=[relay.name]).without_links({link}, "it carries less than is promised on it")
    if link not in relay.links():
        routes: tuple[Route, ...] = ()
        with suppress(Refusal):
            routes = find_spare(graph, relay, relay.routes)
        yield BackUpRelay(relay=relay.name, routes=routes, because=f"its backup: {because}")
    elif relay.demand.protection is not Protection.UNPROTECTED and not relay.demand.manual:
        try:
            yield MoveRelay(relay=relay.name, routes=find_move(graph, relay), because=because)
        except Refusal as refusal:
            if relay.demand.priority < staying[0].demand.priority:
                yield BlockRelay(relay=relay.name, because=f"{because}; no detour: {refusal.message}")


def _holds(relay: KeyRelay, link: str) -> bool:
    """Tell whether a relay has a link charged; without adding up what, as most relays have not."""
    return any(link in route.links for routes in told_sets(relay) for route in routes.routes) or any(
        held.link == link for held in relay.releasing
    )
