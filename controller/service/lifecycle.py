"""The life of a key relay: pure steps from one document to the next.

A change of route is break, then install (make-before-break is a later version's): the old route is taken
off both ends, the new one is told to every node but the head end, then to the head end. What an earlier
route held stays reserved, link by link, until one end of the link has confirmed its removal.
"""

from collections.abc import Callable, Set
from dataclasses import replace
from typing import Final

from controller.domain.key_relay import KeyRelay, Phase, RelayState, Releasing
from controller.domain.route import Route
from controller.domain.snapshot import Snapshot
from controller.routing.feasible import given_up

INSTALL_WITHIN_MS: Final = 30_000
"""After this long without confirmation from a transit node, another route is looked for."""
REFUSED_RETRY_MS: Final = 60_000
"""A service that an agent refused is not tried again before."""

Confirmed = Callable[[str], bool]
"""Tells of a node whether it has confirmed what it was last told of this relay."""


def _all_held(relay: KeyRelay) -> tuple[Releasing, ...]:
    return tuple(dict.fromkeys((*relay.releasing, *given_up(relay))))


def routed(relay: KeyRelay, routes: tuple[Route, ...], *, version: int, now_ms: int, because: str) -> KeyRelay:
    """Return the relay with new routes; the old ones, if any, are broken first.

    The version must be above every earlier one of any relay of that name; `now_ms` is service time.
    """
    return replace(
        relay,
        routes=routes,
        route_version=version,
        releasing=_all_held(relay),
        phase=Phase.BREAKING if relay.routes or relay.releasing else Phase.INSTALLING,
        confirmed_by=frozenset(),
        starved_at=frozenset(),
        riding=False,
        move_at_ms=None,
        install_by_ms=now_ms + INSTALL_WITHIN_MS,
        state_reason=because,
    )


def blocked(relay: KeyRelay, why: str, *, retry_at_ms: int | None = None) -> KeyRelay:
    """Return the relay without routes; it is never deleted, and tried again when the network changes."""
    return replace(
        relay,
        routes=(),
        releasing=_all_held(relay),
        phase=Phase.NONE,
        confirmed_by=frozenset(),
        starved_at=frozenset(),
        riding=False,
        move_at_ms=retry_at_ms,
        install_by_ms=None,
        state=RelayState.BLOCKED,
        state_reason=why,
    )


def removed(relay: KeyRelay, why: str) -> KeyRelay:
    """Return the relay on its way out: nothing of it is wanted anywhere, but what it holds is still held."""
    return replace(
        relay,
        routes=(),
        releasing=_all_held(relay),
        phase=Phase.NONE,
        riding=False,
        move_at_ms=None,
        install_by_ms=None,
        state=RelayState.REMOVING,
        state_reason=why,
    )


def advanced(relay: KeyRelay, confirmed: Confirmed) -> KeyRelay:
    """Return the relay as far on as the confirmations allow; the same value when nothing moves.

    One confirmation of either end releases a link: whoever still has the old entry has nobody to use it with.
    """
    releasing = tuple(held for held in relay.releasing if not any(confirmed(node) for node in held.nodes))
    if releasing != relay.releasing:
        relay = replace(relay, releasing=releasing)
    ends = {relay.demand.source, relay.demand.target}
    if relay.phase is Phase.BREAKING and all(confirmed(end) for end in ends):
        return replace(relay, phase=Phase.INSTALLING)
    if relay.phase is Phase.INSTALLING and all(confirmed(node) for node in relay.nodes() - {relay.demand.source}):
        return replace(relay, phase=Phase.SWITCHING)
    if relay.phase is Phase.SWITCHING and all(confirmed(node) for node in relay.nodes()):
        return replace(relay, phase=Phase.SETTLED, install_by_ms=None)
    return relay


def with_state(relay: KeyRelay, snapshot: Snapshot, *, present: Set[str], told: bool) -> KeyRelay:
    """Return the relay with the state that its other fields and the network add up to.

    `present` names the nodes whose agent is not known to be away; `told` says whether any node has confirmed
    something of the relay since its last change of route.
    """
    if relay.riding and all(snapshot.condition(link).generating for link in relay.links()):
        relay = replace(relay, riding=False, move_at_ms=None)
    state, reason = _state(relay, snapshot, present=present, told=told)
    if (state, reason) == (relay.state, relay.state_reason):
        return relay
    return replace(relay, state=state, state_reason=reason, ever_active=relay.ever_active or state is RelayState.ACTIVE)


def _state(relay: KeyRelay, snapshot: Snapshot, *, present: Set[str], told: bool) -> tuple[RelayState, str]:
    if relay.removed or not relay.routes:
        return (RelayState.REMOVING if relay.removed else RelayState.BLOCKED), relay.state_reason
    if relay.phase is not Phase.SETTLED or not relay.confirmed_by >= relay.origins:
        if relay.ever_active:
            return RelayState.RESTORING, relay.state_reason
        if relay.state is RelayState.PENDING and not told:
            return RelayState.PENDING, relay.state_reason
        return RelayState.INSTALLING, relay.state_reason
    absent = sorted(relay.nodes() - present)
    if absent:
        return RelayState.DEGRADED, "no session with " + ", ".join(f"nodes/{node}" for node in absent)
    if relay.starved_at:
        where = ", ".join(f"nodes/{node}" for node in sorted(relay.starved_at))
        return RelayState.DEGRADED, f"less key than promised at {where}" + _dry_links(relay, snapshot)
    if relay.riding:
        down = ", ".join(f"links/{link}" for link in sorted(relay.links()) if not snapshot.condition(link).generating)
        return RelayState.ACTIVE, f"rides on the stored key of {down}"
    return RelayState.ACTIVE, ""


def _dry_links(relay: KeyRelay, snapshot: Snapshot) -> str:
    """Return what links of its routes explain a lack of key, for its reason; "" where none does by itself."""
    down = sorted(link for link in relay.links() if not snapshot.condition(link).generating)
    used_up = {link for link in down if snapshot.condition(link).exhausted}
    return "".join(
        f"; links/{link} is down" + (" and its stored key is used up" if link in used_up else "") for link in down
    )
