"""What apps ask, checked again before it is carried out: apps propose, the desk disposes."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Protocol

from controller.domain.commands import BlockRelay, Command, HoldOff, MoveRelay, RideOnStore
from controller.domain.events import AppEvent
from controller.domain.key_relay import KeyRelay, Phase
from controller.domain.refusals import Precondition, Refusal
from controller.domain.route import Route
from controller.domain.snapshot import Snapshot
from controller.routing.feasible import check_move, find_move
from controller.routing.graph import graph_of
from controller.service.lifecycle import INSTALL_WITHIN_MS, blocked, routed


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
        case MoveRelay(routes=routes):
            return isinstance(routes, tuple) and all(isinstance(route, Route) for route in routes)
        case HoldOff(until_ms=until_ms):
            return isinstance(until_ms, int)
    return True


def carried_out(snapshot: Snapshot, relay: KeyRelay, command: Command, *, version: int, now_ms: int) -> KeyRelay:
    """Return the relay after a well-formed command.

    Args:
        snapshot: The present.
        relay: Not being removed.
        command: What the app asks.
        version: Route version to give.
        now_ms: Service time.

    Raises:
        Refusal: It does not hold any more, or never did.
    """
    match command:
        case MoveRelay(routes=routes, because=because):
            if not relay.admin_enabled:
                raise Precondition("DISABLED", f"keyRelays/{relay.name} is disabled by the operator")
            check_move(graph_of(snapshot, ignoring=[relay.name]), relay, routes)
            return routed(relay, routes, version=version, now_ms=now_ms, because=because)
        case BlockRelay(because=because):
            return blocked(relay, because, retry_at_ms=None if relay.routes else relay.move_at_ms)
        case RideOnStore(because=because):
            _check_routed(relay)
            return replace(relay, riding=True, move_at_ms=None, state_reason=because)
        case HoldOff(until_ms=until_ms, because=because):
            _check_routed(relay)
            return replace(relay, riding=True, move_at_ms=until_ms, state_reason=because)


def _check_routed(relay: KeyRelay) -> None:
    if not relay.routes:
        raise Precondition("NOT_ROUTED", f"keyRelays/{relay.name} has no route to stay on")


def led_around(snapshot: Snapshot, relay: KeyRelay, slow: frozenset[str], *, version: int, now_ms: int) -> KeyRelay:
    """Return the relay on a route around nodes that have not confirmed in time; where there is none, it waits on.

    An end that is slow cannot be avoided. `version` is the route version to give, `now_ms` is service time.
    """
    waiting = replace(relay, install_by_ms=now_ms + INSTALL_WITHIN_MS)
    slow -= {relay.demand.source, relay.demand.target}
    if not slow or relay.phase is not Phase.INSTALLING:
        return waiting
    free = graph_of(snapshot, ignoring=[relay.name])
    try:
        # Where a slow node is to be passed, this refuses itself.
        around = replace(relay, demand=replace(relay.demand, avoid_nodes=relay.demand.avoid_nodes | slow))
        routes = find_move(free, around)
    except Refusal:
        return waiting  # nothing better: it goes on waiting, and says for whom
    because = f"no confirmation from {', '.join(f'nodes/{node}' for node in sorted(slow))}"
    return routed(relay, routes, version=version, now_ms=now_ms, because=because)
