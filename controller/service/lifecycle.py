"""The life of a key relay: pure steps from one document to the next.

A change of route is make-before-break with one switch. New routes are told to every node but the head end, while the
old ones are in use; once all have confirmed, one update of the head end makes it originate on the new version and on
the old no more; once nothing is under way there, the old ones are given up. What they held stays reserved, link by
link, until one end of the link has confirmed the removal. At every moment the head end alone decides which versions
are in use, and the document says how far the change has come: any controller can go on with it.
"""

from collections.abc import Callable, Collection, Set
from dataclasses import replace
from typing import Final

from controller.domain.events import RelayReport
from controller.domain.key_relay import Demand, KeyRelay, Phase, Protection, RelayState, RouteSet
from controller.domain.reachability import generates
from controller.domain.route import Route
from controller.domain.route_sets import (
    all_given_up,
    highest_version,
    new_set,
    releasing_with,
    rerouted,
    told_sets,
    versions_in_use,
    wanted_set,
)
from controller.domain.snapshot import Snapshot

INSTALL_WITHIN_MS: Final = 30_000
"""After this long without confirmation from a transit node, another route is looked for."""
DRAIN_WITHIN_MS: Final = 15_000
"""After this long, what is still under way on routes that were left is given up with them."""
MAKE_ROOM_WITHIN_MS: Final = 60_000
"""How long a relay that displaced others has their room kept from those of lower priority."""

_UNUSED: Final = frozenset({Phase.INSTALLING, Phase.BREAKING})
"""Phases in which the wanted routes are not in use yet."""

Confirmed = Callable[[str], bool]
"""Tells of a node whether it has confirmed what it was last told of this relay."""


def next_version(relay: KeyRelay, revision: int) -> int:
    """Return a route version for a relay's next routes.

    The revision of the commit serves: it rises, and no relay that comes later under the same name repeats it.
    """
    return max(revision, highest_version(relay) + 1)


def routed(
    relay: KeyRelay,
    routes: tuple[Route, ...],
    *,
    version: int,
    now_ms: int,
    because: str,
    demand: Demand | None = None,
    backup: tuple[Route, ...] | None = None,
) -> KeyRelay:
    """Return the relay on its way to new routes, make-before-break; what is in use stays so until the switch.

    Also how a rate, a number of shares or a forward_share is updated: a move, often to the same links, under a new
    version and with the new demand.

    Args:
        relay: As it is, with the demand that its present routes serve.
        routes: One per share.
        version: As `next_version` gives it.
        now_ms: Service time.
        because: Why, for a person.
        demand: What is asked from now on; None leaves it.
        backup: Routes of a new backup; () for none; None keeps the present one where it still serves.
    """
    return replace(
        rerouted(relay, routes, version=version, demand=demand, backup=backup),
        phase=Phase.INSTALLING,
        confirmed_by=frozenset(),
        drained_at=frozenset(),
        starved_at=frozenset(),
        riding=False,
        move_at_ms=None,
        revert_at_ms=None,
        install_by_ms=now_ms + INSTALL_WITHIN_MS,
        state_reason=because,
    )


def switched(relay: KeyRelay, *, because: str) -> KeyRelay:
    """Return the relay with its backup in the place of its routes: only the head end has to be told.

    A revertive relay keeps the routes that it leaves as its backup, reserved, and returns to them; else they retire.
    The relay has a backup, installed.
    """
    backup, present = relay.backup, wanted_set(relay)
    assert backup is not None
    retiring = tuple(replace(routes, in_use=False) for routes in relay.retiring)
    given: tuple[RouteSet, ...] = ()
    kept: RouteSet | None = None
    if present is not None and not present.in_use:
        given = (present,)  # it was being installed
    elif present is not None and relay.demand.revertive:
        kept = replace(present, in_use=False)
    elif present is not None:
        retiring = (*retiring, replace(present, in_use=False))
    return replace(
        relay,
        routes=backup.routes,
        route_version=backup.version,
        retiring=retiring,
        backup=kept,
        backup_installed=kept is not None,
        releasing=releasing_with(relay, *given),
        phase=Phase.SWITCHING,
        confirmed_by=frozenset(),
        drained_at=frozenset(),
        starved_at=frozenset(),
        riding=False,
        move_at_ms=None,
        revert_at_ms=None,
        install_by_ms=None,
        state_reason=because,
    )


def fallen_back(relay: KeyRelay, *, because: str) -> KeyRelay | None:
    """Return the relay back on the routes that are still in use, given up those that were being installed.

    None when there are none, or they do not carry what is asked by now (its rate was changed, say).
    """
    if relay.phase not in _UNUSED:
        return None
    present = wanted_set(relay)
    old = next((routes for routes in reversed(relay.retiring) if routes.in_use), None)
    if old is None or present is None or old != new_set(relay.demand, old.routes, old.version, in_use=True):
        return None
    if len(old.routes) != relay.demand.shares:
        return None
    return replace(
        relay,
        routes=old.routes,
        route_version=old.version,
        retiring=tuple(routes for routes in relay.retiring if routes is not old),
        releasing=releasing_with(relay, present),
        phase=Phase.SWITCHING,  # the head end has it already; it is only to be heard again
        confirmed_by=frozenset(),
        drained_at=frozenset(),
        starved_at=frozenset(),
        install_by_ms=None,
        state_reason=because,
    )


def backed_up(relay: KeyRelay, routes: tuple[Route, ...], *, version: int, because: str = "") -> KeyRelay:
    """Return the relay with another backup, or, of no routes, with none; the present one is given up."""
    given = (relay.backup,) if relay.backup else ()
    return replace(
        relay,
        backup=new_set(relay.demand, routes, version) if routes else None,
        backup_installed=False,
        revert_at_ms=None,
        releasing=releasing_with(relay, *given),
        state_reason=because or relay.state_reason,
    )


def apart_from_backup(relay: KeyRelay, snapshot: Snapshot) -> KeyRelay:
    """Return the relay without a backup that a fault of one location would take together with its routes.

    Routes that are found where there is no better choice may pass one, and nodes may be given another location.
    """
    if relay.backup is None:
        return relay
    ends = {relay.demand.source, relay.demand.target}

    def places(nodes: Collection[str]) -> set[str]:
        return {snapshot.nodes[node].place for node in nodes if node in snapshot.nodes}

    shared = places(relay.nodes() - ends) & places(relay.backup.nodes() - ends) - places(ends)
    return backed_up(relay, (), version=0) if shared else relay


def blocked(relay: KeyRelay, why: str, *, retry_at_ms: int | None = None) -> KeyRelay:
    """Return the relay without routes; it is never deleted, and tried again when the network changes."""
    return replace(
        _without_routes(relay),
        move_at_ms=retry_at_ms,
        state=RelayState.BLOCKED,
        state_reason=why,
    )


def making_room(relay: KeyRelay, why: str, *, now_ms: int) -> KeyRelay:
    """Return the relay waiting for room that others of lower priority are leaving: it gets nothing before they have.

    Until MAKE_ROOM_WITHIN_MS from now (service time) nothing of lower priority that waits is given a route before it.
    """
    return replace(blocked(relay, why), install_by_ms=now_ms + MAKE_ROOM_WITHIN_MS)


def waits_for_room(relay: KeyRelay) -> bool:
    """Tell whether the relay waits for what relays that it displaced still hold."""
    return relay.state is RelayState.BLOCKED and not relay.routes and relay.install_by_ms is not None


def removed(relay: KeyRelay, why: str) -> KeyRelay:
    """Return the relay on its way out: nothing of it is wanted anywhere, but what it holds is still held."""
    return replace(_without_routes(relay), state=RelayState.REMOVING, state_reason=why)


def _without_routes(relay: KeyRelay) -> KeyRelay:
    return replace(
        relay,
        routes=(),
        retiring=(),
        backup=None,
        backup_installed=False,
        releasing=all_given_up(relay),
        phase=Phase.NONE,
        confirmed_by=frozenset(),
        drained_at=frozenset(),
        starved_at=frozenset(),
        riding=False,
        move_at_ms=None,
        revert_at_ms=None,
        install_by_ms=None,
    )


def drained(relay: KeyRelay) -> KeyRelay:
    """Return the relay with everything that it was leaving given up."""
    return replace(
        relay,
        phase=Phase.SETTLED,
        retiring=(),
        releasing=releasing_with(relay, *relay.retiring),
        install_by_ms=None,
    )


def advanced(relay: KeyRelay, confirmed: Confirmed, *, now_ms: int) -> KeyRelay:
    """Return the relay as far on as the confirmations allow; the same value when nothing moves.

    One confirmation of either end releases a link: whoever still has the old entry has nobody to use it with, and
    entries of one version are never those of another. `now_ms` is service time.
    """
    releasing = tuple(held for held in relay.releasing if not any(confirmed(node) for node in held.nodes))
    if releasing != relay.releasing:
        relay = replace(relay, releasing=releasing)
    if relay.backup is not None and not relay.backup_installed and all(map(confirmed, relay.backup.nodes())):
        relay = replace(relay, backup_installed=True)
    if relay.backup is not None:
        # 1+1: keys are made on both; of 1:1, and while what is wanted is not in use itself, the backup waits.
        doubled = (
            relay.demand.protection is Protection.ONE_PLUS_ONE
            and relay.backup_installed
            and relay.phase in (Phase.SWITCHING, Phase.DRAINING, Phase.SETTLED)
        )
        if relay.backup.in_use != doubled:
            relay = replace(relay, backup=replace(relay.backup, in_use=doubled))
    head = relay.demand.source
    if relay.phase in _UNUSED and all(map(confirmed, relay.nodes() - {head})):
        # One update of the head end: the new routes are in use from it on, and no old ones are.
        retiring = tuple(replace(routes, in_use=False) for routes in relay.retiring)
        return replace(relay, phase=Phase.SWITCHING, retiring=retiring, install_by_ms=None)
    if relay.phase is Phase.SWITCHING and confirmed(head):
        if relay.retiring:
            return replace(relay, phase=Phase.DRAINING, install_by_ms=now_ms + DRAIN_WITHIN_MS)
        return replace(relay, phase=Phase.SETTLED, install_by_ms=None)
    if relay.phase is Phase.DRAINING and relay.confirmed_by & relay.drained_at >= relay.origins:
        return drained(relay)
    return relay


def heard(relay: KeyRelay, report: RelayReport) -> KeyRelay:
    """Return the relay with one end's word taken in; the same value when it says nothing of what is wanted.

    A word that knows of other versions in use than the document's says nothing of what is under way, nor of want.
    """
    if relay.removed or not relay.routes or report.node not in (relay.demand.source, relay.demand.target):
        return relay
    end = frozenset({report.node})
    wanted = relay.route_version
    if wanted in report.confirmed_versions or (report.confirmed and report.route_version == wanted):
        relay = replace(relay, confirmed_by=relay.confirmed_by | end)
    if report.route_version != max(versions_in_use(relay), default=0):
        return relay
    left = {routes.version for routes in relay.retiring}
    if relay.phase in (Phase.SWITCHING, Phase.DRAINING) and not report.undrained_versions & left:
        relay = replace(relay, drained_at=relay.drained_at | end)
    starved = relay.starved_at | end if report.starved else relay.starved_at - end
    return replace(relay, starved_at=starved)


def returns(relay: KeyRelay) -> bool:
    """Tell whether its backup is the routes that it has to return to once they work."""
    return (
        relay.demand.revertive
        and relay.backup is not None
        and relay.backup_installed
        and relay.backup.version < relay.route_version
    )


def with_return(relay: KeyRelay, snapshot: Snapshot, *, now_ms: int) -> KeyRelay:
    """Return the relay with the time of its return set while its former routes work, and unset while they do not.

    `now_ms` is service time. A link that flaps counts as not working. While nothing moves by itself, no time runs.
    """
    former = relay.backup
    moves = snapshot.frozen is None and not relay.demand.manual
    wanted = moves and returns(relay) and relay.phase is Phase.SETTLED and former is not None
    if not wanted or former is None or not carries(former, snapshot) or _damped(former, snapshot):
        return relay if relay.revert_at_ms is None else replace(relay, revert_at_ms=None)
    if relay.revert_at_ms is not None:
        return relay
    return replace(relay, revert_at_ms=now_ms + relay.demand.wait_to_restore_ms)


def carries(routes: RouteSet, snapshot: Snapshot) -> bool:
    """Tell whether routes work: no link of them is down or disabled, no agent away."""
    return routes.nodes() <= snapshot.connected and not _down(routes.links(), snapshot)


def _damped(routes: RouteSet, snapshot: Snapshot) -> bool:
    return any(snapshot.condition(link).damped for link in routes.links())


def unprotected_because(relay: KeyRelay, snapshot: Snapshot) -> str:
    """Return why a relay that asks for a backup could not switch to it now; "" when it could, or asks for none."""
    if not relay.demand.protected or not relay.routes:
        return ""
    if relay.backup is None:
        return "no disjoint routes for a backup"
    if not relay.backup_installed:
        return "its backup is being installed"
    if down := _down(relay.backup.links(), snapshot):
        return f"its backup has {_named(down)} down"
    absent = sorted(relay.backup.nodes() - relay.nodes() - snapshot.connected)
    if absent:
        return "its backup passes " + ", ".join(f"nodes/{node}" for node in absent) + ", without a session"
    return ""


def with_state(relay: KeyRelay, snapshot: Snapshot, *, present: Set[str], told: bool) -> KeyRelay:
    """Return the relay with the state that its other fields and the network add up to.

    `present` names the nodes whose agent is not known to be away; `told` says whether any node has confirmed
    something of the relay since its last change of route.
    """
    if relay.riding and not _down(relay.links(), snapshot) and relay.nodes() <= present:
        relay = replace(relay, riding=False, move_at_ms=None)
    state, reason = _state(relay, snapshot, present=present, told=told)
    if (state, reason) == (relay.state, relay.state_reason):
        return relay
    return replace(relay, state=state, state_reason=reason, ever_active=relay.ever_active or state is RelayState.ACTIVE)


def _state(relay: KeyRelay, snapshot: Snapshot, *, present: Set[str], told: bool) -> tuple[RelayState, str]:
    if relay.removed or not relay.routes:
        return (RelayState.REMOVING if relay.removed else RelayState.BLOCKED), relay.state_reason
    if relay.phase in _UNUSED or not relay.confirmed_by >= relay.origins:
        if relay.ever_active:
            # What it leaves is in use until the switch, and what then is under way there still becomes keys.
            beside = (*relay.retiring, *(routes for routes in told_sets(relay) if routes is relay.backup))
            if any(_works(routes, relay, snapshot, present) for routes in beside):
                return (RelayState.DEGRADED if relay.starved_at else RelayState.ACTIVE), relay.state_reason
            return RelayState.RESTORING, relay.state_reason
        if relay.state is RelayState.PENDING and not told:
            return RelayState.PENDING, relay.state_reason
        return RelayState.INSTALLING, relay.state_reason
    absent = sorted(relay.nodes() - present)
    if absent:
        why = relay.state_reason if relay.riding else ""
        gone = "no session with " + ", ".join(f"nodes/{node}" for node in absent)
        return RelayState.DEGRADED, why if gone in why else gone
    if relay.starved_at:
        where = ", ".join(f"nodes/{node}" for node in sorted(relay.starved_at))
        return RelayState.DEGRADED, f"less key than promised at {where}" + _dry_links(relay, snapshot)
    if relay.riding:
        return RelayState.ACTIVE, f"rides on the stored key of {_named(_down(relay.links(), snapshot))}"
    gap = unprotected_because(relay, snapshot)
    return RelayState.ACTIVE, f"unprotected: {gap}" if gap else ""


def _works(routes: RouteSet, relay: KeyRelay, snapshot: Snapshot, present: Set[str]) -> bool:
    if routes is relay.backup and not routes.in_use:
        return False
    return routes.nodes() <= present and not _down(routes.links(), snapshot)


def _down(links: Collection[str], snapshot: Snapshot) -> list[str]:
    return sorted(link for link in links if not generates(snapshot, link))


def _named(links: Collection[str]) -> str:
    return ", ".join(f"links/{link}" for link in links)


def _dry_links(relay: KeyRelay, snapshot: Snapshot) -> str:
    """Return what links of its routes explain a lack of key, for its reason; "" where none does by itself."""
    down = _down(relay.links(), snapshot)
    used_up = {link for link in down if snapshot.condition(link).exhausted}
    return "".join(
        f"; links/{link} is down" + (" and its stored key is used up" if link in used_up else "") for link in down
    )
