"""Brings back what waits for a better network: blocked relays, those that ride on stored key, missing backups."""

from collections.abc import Iterator
from contextlib import suppress

from apps.restoration import by_importance
from controller.domain.capacity import relay_charges
from controller.domain.commands import BackUpRelay, BlockRelay, Command, MoveRelay
from controller.domain.events import AppEvent, NetworkImproved, RelayWaits
from controller.domain.key_relay import KeyRelay, Phase, Protection, RelayState
from controller.domain.reachability import fault
from controller.domain.refusals import Refusal
from controller.domain.route import Route
from controller.domain.route_sets import wanted_set
from controller.domain.snapshot import Snapshot
from controller.routing.feasible import charges_after_move, find_move, find_spare
from controller.routing.graph import Graph, graph_of


class RetryBlocked:
    """Tries again what fitted nowhere: most important first; what still waits says why it does now.

    The controller hands it one relay after the other; all at once is for who wants to know what would become of them.
    """

    listens_to = (RelayWaits,)

    def handle(self, event: AppEvent, snapshot: Snapshot) -> Iterator[Command]:
        """Decide from the snapshot alone."""
        waiting: list[KeyRelay] = []
        match event:
            case RelayWaits(relay=name):
                waiting = [relay for relay in (snapshot.relays.get(name),) if relay is not None]
            case NetworkImproved():
                waiting = by_importance(snapshot.relays.values())
        waiting = [relay for relay in waiting if waits(relay, snapshot)]
        if not waiting:
            return
        graph = graph_of(snapshot)
        for relay in waiting:
            free = graph.freed(relay_charges(relay))
            command = _tried(relay, free)
            if command is None:
                continue
            if isinstance(command, MoveRelay):
                graph = free.charged(charges_after_move(relay, command.routes, backup=command.backup))
            elif isinstance(command, BackUpRelay):
                graph = free.charged(charges_after_move(relay, relay.routes, backup=command.routes))
            yield command


def _tried(relay: KeyRelay, free: Graph) -> Command | None:
    if relay.routes and not relay.riding:
        with suppress(Refusal):
            routes = find_spare(free, relay, relay.routes)
            return BackUpRelay(relay=relay.name, routes=routes, because="a backup fits")
        return None
    try:
        routes = find_move(free, relay)
    except Refusal as refusal:
        if relay.state is RelayState.BLOCKED and relay.state_reason != refusal.message:
            return BlockRelay(relay=relay.name, because=refusal.message)
        return None  # it is in the state that says so already
    backup: tuple[Route, ...] | None = None
    if relay.demand.protected and not relay.routes:
        with suppress(Refusal):
            backup = find_spare(free, relay, routes)
    return MoveRelay(relay=relay.name, routes=routes, backup=backup, because="the network has room again")


def waits(relay: KeyRelay, snapshot: Snapshot) -> bool:
    """Tell whether a relay would be better off for another route, or for a backup, and may be tried now."""
    if not relay.admin_enabled or relay.removed:
        return False
    # A relay that waits out its hold-off, or what an agent refused, is left to the end of it.
    if relay.move_at_ms is not None and snapshot.service_time_ms < relay.move_at_ms:
        return False
    if relay.state is RelayState.BLOCKED:
        return True
    if relay.riding:
        moves = relay.demand.protection is not Protection.UNPROTECTED and not relay.demand.manual
        return moves and bool(fault(snapshot, wanted_set(relay)))
    return relay.demand.protected and relay.backup is None and relay.phase is not Phase.INSTALLING
