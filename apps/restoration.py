"""Moves key relays off links that went down, and blocks those that can neither move nor ride on stored key."""

from collections.abc import Iterable, Iterator

from controller.domain.capacity import relay_charges
from controller.domain.commands import BlockRelay, Command, HoldOff, MoveRelay, RideOnStore
from controller.domain.events import AppEvent, HoldOffEnded, LinkExhausted, LinkWentDown
from controller.domain.key_relay import KeyRelay, Protection
from controller.domain.refusals import Refusal
from controller.domain.snapshot import Snapshot
from controller.routing.feasible import charges_after_move, find_move
from controller.routing.graph import graph_of


class Restoration:
    """Restores what a link that is down carried: most important first, so that these get what room there is."""

    listens_to = (LinkWentDown, LinkExhausted, HoldOffEnded)

    def handle(self, event: AppEvent, snapshot: Snapshot) -> Iterator[Command]:
        """Decide from the snapshot alone. A link that is up again moves nothing."""
        match event:
            case LinkWentDown(link=link):
                yield from self._went_down(link, snapshot)
            case LinkExhausted(link=link):
                affected = _riders(link, snapshot)
                yield from _restore((relay for relay in affected if _restorable(relay)), snapshot)
                for relay in affected:
                    if not _restorable(relay):
                        yield BlockRelay(relay=relay.name, because=f"{_down(relay, snapshot)}; unprotected")
            case HoldOffEnded(relay=name):
                held = snapshot.relays.get(name)
                if held is not None and not held.removed and _restorable(held) and _links_down(held, snapshot):
                    yield from _restore([held], snapshot)

    def _went_down(self, link: str, snapshot: Snapshot) -> Iterator[Command]:
        now: list[KeyRelay] = []
        for relay in _riders(link, snapshot):
            if _restorable(relay) and (not relay.demand.hold_off_ms or _exhausted(relay, snapshot)):
                now.append(relay)
            elif _exhausted(relay, snapshot):
                yield BlockRelay(relay=relay.name, because=f"{_down(relay, snapshot)}; unprotected")
            elif not _restorable(relay):
                yield RideOnStore(relay=relay.name, because=f"{_down(relay, snapshot)}; unprotected")
            elif relay.move_at_ms is None:  # a second cut does not begin the wait anew
                yield HoldOff(
                    relay=relay.name,
                    until_ms=snapshot.service_time_ms + relay.demand.hold_off_ms,
                    because=_down(relay, snapshot),
                )
        yield from _restore(now, snapshot)


def _by_importance(relays: Iterable[KeyRelay]) -> list[KeyRelay]:
    """Return relays in the order in which they are served: highest priority first, then by name."""
    return sorted(relays, key=lambda relay: (-relay.demand.priority, relay.name))


def _riders(link: str, snapshot: Snapshot) -> list[KeyRelay]:
    if snapshot.condition(link).generating:
        return []
    return _by_importance(relay for relay in snapshot.relays.values() if not relay.removed and link in relay.links())


def _restorable(relay: KeyRelay) -> bool:
    return relay.demand.protection is not Protection.UNPROTECTED


def _links_down(relay: KeyRelay, snapshot: Snapshot) -> list[str]:
    return sorted(link for link in relay.links() if not snapshot.condition(link).generating)


def _exhausted(relay: KeyRelay, snapshot: Snapshot) -> bool:
    return any(snapshot.condition(link).exhausted for link in _links_down(relay, snapshot))


def _down(relay: KeyRelay, snapshot: Snapshot) -> str:
    told = []
    for link in _links_down(relay, snapshot):
        condition = snapshot.condition(link)
        state = "down and out of stored key" if condition.exhausted else "down"
        told.append(f"links/{link} is {state}" + (f" ({condition.down_reason})" if condition.down_reason else ""))
    return ", ".join(told)


def _restore(relays: Iterable[KeyRelay], snapshot: Snapshot) -> Iterator[Command]:
    graph = graph_of(snapshot)
    for relay in relays:
        cause = _down(relay, snapshot)
        free = graph.freed(relay_charges(relay))
        try:
            routes = find_move(free, relay)
        except Refusal as refusal:
            because = f"{cause}; no detour: {refusal.message}"
            if _exhausted(relay, snapshot):
                yield BlockRelay(relay=relay.name, because=because)
            else:
                yield RideOnStore(relay=relay.name, because=because)
        else:
            graph = free.charged(charges_after_move(relay, routes))  # the next relay must not count on this room
            yield MoveRelay(relay=relay.name, routes=routes, because=cause)
