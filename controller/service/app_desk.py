"""What apps ask, checked again before it is carried out: apps propose, the desk disposes.

Here, and nowhere else, automatic moves stop: of all services while the network is frozen, of a MANUAL one always.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Protocol, TypeVar

from controller.domain.capacity import service_charges
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
from controller.domain.entanglement_path import PairDemand
from controller.domain.events import AppEvent
from controller.domain.key_relay import Demand
from controller.domain.path_plan import PathPlan
from controller.domain.reachability import fault
from controller.domain.refusals import Precondition, Refusal
from controller.domain.route import Route
from controller.domain.route_sets import wanted_set
from controller.domain.service import Phase, Service, ServiceDemand
from controller.domain.snapshot import Snapshot
from controller.routing.feasible import check_backup
from controller.routing.graph import Graph
from controller.routing.places import Ground, Grounds, Place, check_place, find_place, ground_of
from controller.service.lifecycle import (
    INSTALL_WITHIN_MS,
    backed_up,
    blocked,
    fallen_back,
    routed,
    switched,
    waits_for_room,
)

S = TypeVar("S", bound=Service)


class App(Protocol):
    """An event and a snapshot in, commands out. Pure. Decides on nothing but its arguments."""

    @property
    def listens_to(self) -> tuple[type, ...]:
        """The types of the events that it is handed."""

    def handle(self, event: AppEvent, snapshot: Snapshot) -> Iterator[Command]:
        """Yield what is to be done about an event."""


def well_formed(command: Any) -> bool:
    """Tell whether this is a command with fields of the right types; an app may yield anything."""
    if not isinstance(command, Command) or not isinstance(command.service, str) or not isinstance(command.because, str):
        return False
    match command:
        case MoveService(routes=routes, backup=backup, plan=plan):
            planned = plan is None or isinstance(plan, PathPlan)
            return planned and _are_routes(routes) and (backup is None or _are_routes(backup))
        case BackUpService(routes=routes):
            return _are_routes(routes)
        case HoldOff(until_ms=until_ms):
            return isinstance(until_ms, int)
    return True


def _are_routes(routes: Any) -> bool:
    return isinstance(routes, tuple) and all(isinstance(route, Route) for route in routes)


def why_still(snapshot: Snapshot, service: Service) -> str:
    """Return why the controller does not move a service by itself now, for a person; "" when it may.

    One that others made room for gets it: that was an operator's wish, and part of it is done.
    """
    if waits_for_room(service):
        return ""
    if snapshot.frozen is not None:
        return f"automatic moves are frozen by {snapshot.frozen.by}"
    if service.demand.manual and service.routes:
        return "MANUAL: an operator moves it (redeploy)"
    return ""


def carried_out(
    snapshot: Snapshot, service: S, command: Command, *, version: int, now_ms: int, grounds: Grounds | None = None
) -> S:
    """Return the service after a well-formed command.

    Args:
        snapshot: The present.
        service: Not being removed.
        command: What the app asks.
        version: Route version to give, as `next_version` has it.
        now_ms: Service time.
        grounds: What is free now, where the caller has it at hand; None to add it up.

    Raises:
        Refusal: It does not hold any more, or never did.
    """
    match command:
        case RideOnStore(because=because):
            _check_routed(service)
            if service.plan is not None:
                raise Precondition("NO_STORED_KEY", f"{service.resource} has no stored key to ride on")
            return replace(service, riding=True, move_at_ms=None, state_reason=because)
        case HoldOff(until_ms=until_ms, because=because):
            _check_routed(service)
            return _staying(service, because, until_ms=until_ms)
    if not service.admin_enabled:
        raise Precondition("DISABLED", f"{service.resource} is disabled by the operator")
    if isinstance(command, FallBack):
        back = fallen_back(service, because=command.because)
        if back is None:
            raise Precondition("NOT_MOVING", f"{service.resource} has no routes in use to fall back on")
        return back
    if still := why_still(snapshot, service):
        if isinstance(command, BackUpService) or not fault(snapshot, wanted_set(service)):
            return service
        because = command.because if still in command.because else f"{command.because}; {still}"
        return _staying(service, because)
    match command:
        case MoveService(routes=routes, because=because, backup=backup, plan=plan):
            check_place(_free(snapshot, service, grounds), service, Place(routes=routes, plan=plan), backup=backup)
            return routed(service, routes, version=version, now_ms=now_ms, because=because, plan=plan, backup=backup)
        case SwitchService(because=because):
            if service.backup is None or not service.backup_installed or fault(snapshot, service.backup):
                raise Precondition("NO_BACKUP", f"{service.resource} has no backup that works")
            return switched(service, because=because)
        case BackUpService(routes=routes, because=because):
            free = _free(snapshot, service, grounds)
            return _with_backup(free, service, routes, because, version=version)
        case BlockService(because=because):
            if not service.routes:
                return replace(service, state_reason=because)
            return blocked(service, because)
    raise TypeError(type(command).__name__)


def _staying(service: S, because: str, *, until_ms: int | None = None) -> S:
    """Return the service where it is although something of its route fails: a relay on stored key, a path without."""
    return replace(service, riding=service.plan is None, move_at_ms=until_ms, state_reason=because)


def _free(snapshot: Snapshot, service: Service, grounds: Grounds | None) -> Ground:
    return ground_of(snapshot, service) if grounds is None else grounds.free_for(service, snapshot)


def _with_backup(free: Ground, service: S, routes: tuple[Route, ...], because: str, *, version: int) -> S:
    _check_routed(service)
    if not service.demand.protected or not isinstance(service.demand, Demand):
        raise Precondition("UNPROTECTED", f"{service.resource} asks for no backup")
    assert isinstance(free, Graph)
    backing = backed_up(service, routes, version=version, because=because)
    if routes:
        check_backup(free, service.demand, service.routes, routes, charges=service_charges(backing))
    return backing


def _check_routed(service: Service) -> None:
    if not service.routes:
        raise Precondition("NOT_ROUTED", f"{service.resource} has no route to stay on")


def led_around(
    snapshot: Snapshot, service: S, slow: frozenset[str], *, version: int, now_ms: int, because: str = ""
) -> S:
    """Return the service on a route around nodes that have not confirmed in time; where there is none, it waits on.

    An end that is slow cannot be avoided. `version` is the route version to give, `now_ms` is service time.
    """
    waiting = replace(service, install_by_ms=now_ms + INSTALL_WITHIN_MS)
    slow -= {service.demand.source, service.demand.target}
    if not slow or service.phase is not Phase.INSTALLING or why_still(snapshot, service):
        return waiting
    free = ground_of(snapshot, service)
    try:
        # Where a slow node is to be passed, this refuses itself.
        place = find_place(free, replace(service, demand=_avoiding(service.demand, slow)))
        check_place(free, service, place)
    except Refusal:
        return waiting  # nothing better: it goes on waiting, and says for whom
    named = ", ".join(f"nodes/{node}" for node in sorted(slow))
    because = because or f"no confirmation from {named}"
    return routed(service, place.routes, version=version, now_ms=now_ms, because=because, plan=place.plan)


def _avoiding(demand: ServiceDemand, nodes: frozenset[str]) -> ServiceDemand:
    assert isinstance(demand, Demand | PairDemand)
    return replace(demand, avoid_nodes=demand.avoid_nodes | nodes)
