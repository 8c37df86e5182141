"""What apps ask, checked again before it is carried out: apps propose, the desk disposes.

Here, and nowhere else, automatic moves stop: of all relays while the network is frozen, of a MANUAL one always.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Protocol

from controller.domain.capacity import relay_charges
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
from controller.domain.events import AppEvent
from controller.domain.key_relay import KeyRelay, Phase
from controller.domain.reachability import fault
from controller.domain.refusals import Precondition, Refusal
from controller.domain.route import Route
from controller.domain.route_sets import wanted_set
from controller.domain.snapshot import Snapshot
from controller.routing.feasible import check_backup, check_move, find_move
from controller.routing.graph import graph_of
from controller.service.lifecycle import (
    INSTALL_WITHIN_MS,
    backed_up,
    blocked,
    fallen_back,
    routed,
    switched,
    waits_for_room,
)


class App(Protocol):
    """An event and a snapshot in, commands out. Pure. Decides on nothing but its arguments."""

    @property
    def listens_to(self) -> tuple[type, ...]:
        """The types of the events that it is handed."""

    def handle(self, event: AppEvent, snapshot: Snapshot) -> Iterator[Command]:
        """Yield what is to be done about an event."""


def well_formed(command: Any) -> bool:
    """Tell whether this is a command with fields of the right types; an app may yield anything."""
    if not isinstance(command, Command) or not isinstance(command.relay, str) or not isinstance(command.because, str):
        return False
    match command:
        case MoveRelay(routes=routes, backup=backup):
            return _are_routes(routes) and (backup is None or _are_routes(backup))
        case BackUpRelay(routes=routes):
            return _are_routes(routes)
        case HoldOff(until_ms=until_ms):
            return isinstance(until_ms, int)
    return True


def _are_routes(routes: Any) -> bool:
    return isinstance(routes, tuple) and all(isinstance(route, Route) for route in routes)


def why_still(snapshot: Snapshot, relay: KeyRelay) -> str:
    """Return why the controller does not move a relay by itself now, for a person; "" when it may.

    One that others made room for gets it: that was an operator's wish, and part of it is done.
    """
    if waits_for_room(relay):
        return ""
    if snapshot.frozen is not None:
        return f"automatic moves are frozen by {snapshot.frozen.by}"
    if relay.demand.manual and relay.routes:
        return "MANUAL: an operator moves it (redeploy)"
    return ""


def carried_out(snapshot: Snapshot, relay: KeyRelay, command: Command, *, version: int, now_ms: int) -> KeyRelay:
    """Return the relay after a well-formed command.

    Args:
        snapshot: The present.
        relay: Not being removed.
        command: What the app asks.
        version: Route version to give, as `next_version` has it.
        now_ms: Service time.

    Raises:
        Refusal: It does not hold any more, or never did.
    """
    match command:
        case RideOnStore(because=because):
            _check_routed(relay)
            return replace(relay, riding=True, move_at_ms=None, state_reason=because)
        case HoldOff(until_ms=until_ms, because=because):
            _check_routed(relay)
            return replace(relay, riding=True, move_at_ms=until_ms, state_reason=because)
    if not relay.admin_enabled:
        raise Precondition("DISABLED", f"keyRelays/{relay.name} is disabled by the operator")
    if isinstance(command, FallBack):
        back = fallen_back(relay, because=command.because)
        if back is None:
            raise Precondition("NOT_MOVING", f"keyRelays/{relay.name} has no routes in use to fall back on")
        return back
    if still := why_still(snapshot, relay):
        if isinstance(command, BackUpRelay) or not fault(snapshot, wanted_set(relay)):
            return relay
        because = command.because if still in command.because else f"{command.because}; {still}"
        return replace(relay, riding=True, move_at_ms=None, state_reason=because)
    match command:
        case MoveRelay(routes=routes, because=because, backup=backup):
            free = graph_of(snapshot, ignoring=[relay.name])
            check_move(free, relay, routes, backup=backup)
            return routed(relay, routes, version=version, now_ms=now_ms, because=because, backup=backup)
        case SwitchRelay(because=because):
            if relay.backup is None or not relay.backup_installed or fault(snapshot, relay.backup):
                raise Precondition("NO_BACKUP", f"keyRelays/{relay.name} has no backup that works")
            return switched(relay, because=because)
        case BackUpRelay(routes=routes, because=because):
            _check_routed(relay)
            if not relay.demand.protected:
                raise Precondition("UNPROTECTED", f"keyRelays/{relay.name} asks for no backup")
            free = graph_of(snapshot, ignoring=[relay.name])
            backing = backed_up(relay, routes, version=version, because=because)
            if routes:
                check_backup(free, relay.demand, relay.routes, routes, charges=relay_charges(backing))
            return backing
        case BlockRelay(because=because):
            if not relay.routes:
                return replace(relay, state_reason=because)
            return blocked(relay, because)
    raise TypeError(type(command).__name__)


def _check_routed(relay: KeyRelay) -> None:
    if not relay.routes:
        raise Precondition("NOT_ROUTED", f"keyRelays/{relay.name} has no route to stay on")


def led_around(
    snapshot: Snapshot, relay: KeyRelay, slow: frozenset[str], *, version: int, now_ms: int, because: str = ""
) -> KeyRelay:
    """Return the relay on a route around nodes that have not confirmed in time; where there is none, it waits on.

    An end that is slow cannot be avoided. `version` is the route version to give, `now_ms` is service time.
    """
    waiting = replace(relay, install_by_ms=now_ms + INSTALL_WITHIN_MS)
    slow -= {relay.demand.source, relay.demand.target}
    if not slow or relay.phase is not Phase.INSTALLING or why_still(snapshot, relay):
        return waiting
    free = graph_of(snapshot, ignoring=[relay.name])
    try:
        # Where a slow node is to be passed, this refuses itself.
        around = replace(relay.demand, avoid_nodes=relay.demand.avoid_nodes | slow)
        routes = find_move(free, replace(relay, demand=around))
        check_move(free, relay, routes)
    except Refusal:
        return waiting  # nothing better: it goes on waiting, and says for whom
    named = ", ".join(f"nodes/{node}" for node in sorted(slow))
    return routed(relay, routes, version=version, now_ms=now_ms, because=because or f"no confirmation from {named}")
