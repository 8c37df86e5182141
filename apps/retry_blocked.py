"""Brings blocked key relays back, and moves those that ride on stored key, when the network has become better."""

from collections.abc import Iterator

from controller.domain.capacity import relay_charges
from controller.domain.commands import Command, MoveRelay
from controller.domain.events import AppEvent, NetworkImproved
from controller.domain.key_relay import KeyRelay, Protection, RelayState
from controller.domain.refusals import Refusal
from controller.domain.snapshot import Snapshot
from controller.routing.feasible import charges_after_move, find_move
from controller.routing.graph import graph_of


class RetryBlocked:
    """Tries again what fitted nowhere: most important first; what still fits nowhere is not spoken of."""

    listens_to = (NetworkImproved,)

    def handle(self, event: AppEvent, snapshot: Snapshot) -> Iterator[Command]:
        """Decide from the snapshot alone."""
        if not isinstance(event, NetworkImproved):
            return
        waiting = [relay for relay in snapshot.relays.values() if _waits(relay, snapshot)]
        if not waiting:
            return
        graph = graph_of(snapshot)
        for relay in sorted(waiting, key=lambda relay: (-relay.demand.priority, relay.name)):
            free = graph.freed(relay_charges(relay))
            try:
                routes = find_move(free, relay)
            except Refusal:
                continue  # it is in the state that says so already
            graph = free.charged(charges_after_move(relay, routes))  # the next relay must not count on this room
            yield MoveRelay(relay=relay.name, routes=routes, because="the network has room again")


def _waits(relay: KeyRelay, snapshot: Snapshot) -> bool:
    if not relay.admin_enabled or relay.removed:
        return False
    # A relay that waits out its hold-off, or what an agent refused, is left to the end of it.
    if relay.move_at_ms is not None and snapshot.service_time_ms < relay.move_at_ms:
        return False
    if relay.state is RelayState.BLOCKED:
        return True
    return (
        relay.riding
        and relay.demand.protection is not Protection.UNPROTECTED
        and any(not snapshot.condition(link).generating for link in relay.links())
    )
