"""What state a service is in: added up from its document, its links, and what its ends say."""

from collections.abc import Collection, Set
from dataclasses import replace
from typing import TypeVar

from controller.domain.events import ServiceReport
from controller.domain.lifetimes import lifetime_ends_ms
from controller.domain.reachability import down_links
from controller.domain.route_sets import NOT_IN_USE, told_sets
from controller.domain.service import RouteSet, Service, ServiceState
from controller.domain.snapshot import Snapshot
from controller.service.lifecycle import poor_at

S = TypeVar("S", bound=Service)


def unprotected_because(service: S, snapshot: Snapshot) -> str:
    """Return why a service that asks for a backup could not switch to it now; "" when it could, or asks for none."""
    if not service.demand.protected or not service.routes:
        return ""
    if service.backup is None:
        return "no disjoint routes for a backup"
    if not service.backup_installed:
        return "its backup is being installed"
    if down := down_links(service.backup.links(), snapshot):
        return f"its backup has {_named(down)} down"
    absent = sorted(service.backup.nodes() - service.nodes() - snapshot.connected)
    if absent:
        return "its backup passes " + ", ".join(f"nodes/{node}" for node in absent) + ", without a session"
    return ""


def with_state(
    service: S,
    snapshot: Snapshot,
    *,
    present: Set[str],
    told: bool,
    words: Collection[ServiceReport] = (),
    shortfall: str = "",
) -> S:
    """Return the service with the state that its other fields and the network add up to.

    Args:
        service: As it is.
        snapshot: The present.
        present: Nodes whose agent is not known to be away.
        told: Whether any node has confirmed something of the service since its last change of route.
        words: What its ends said last, for the reason alone.
        shortfall: Why its links now give less than it promises, as `shortfall` of routing has it; "" when they do not.
    """
    if service.riding and not down_links(service.links(), snapshot) and service.nodes() <= present:
        service = replace(service, riding=False, move_at_ms=None)
    state, reason = _state(service, snapshot, present=present, told=told, words=words, shortfall=shortfall)
    if (state, reason) == (service.state, service.state_reason):
        return service
    active = service.ever_active or state is ServiceState.ACTIVE
    return replace(
        service,
        state=state,
        state_reason=reason,
        ever_active=active,
        # The first pair has come: no deadline ends it any more.
        expires_at_ms=lifetime_ends_ms(service) if active else service.expires_at_ms,
    )


def _state(
    service: Service,
    snapshot: Snapshot,
    *,
    present: Set[str],
    told: bool,
    words: Collection[ServiceReport],
    shortfall: str,
) -> tuple[ServiceState, str]:
    if service.removed or not service.routes:
        return (ServiceState.REMOVING if service.removed else ServiceState.BLOCKED), service.state_reason
    if service.phase in NOT_IN_USE or not service.confirmed_by >= service.origins:
        if service.ever_active:
            # What it leaves is in use until the switch, and what then is under way there still becomes keys or pairs.
            beside = (*service.retiring, *(routes for routes in told_sets(service) if routes is service.backup))
            if any(_works(routes, service, snapshot, present) for routes in beside):
                return (ServiceState.DEGRADED if service.starved_at else ServiceState.ACTIVE), service.state_reason
            return ServiceState.RESTORING, service.state_reason
        if service.state is ServiceState.PENDING and not told:
            return ServiceState.PENDING, service.state_reason
        return ServiceState.INSTALLING, service.state_reason
    down = down_links(service.links(), snapshot)
    if service.plan is not None and down:
        # Nothing is stored of pairs that it could go on with.
        known = any(f"links/{link}" in service.state_reason for link in down)
        return ServiceState.RESTORING, service.state_reason if known else f"{_named(down)} down"
    absent = sorted(service.nodes() - present)
    if absent:
        why = service.state_reason if service.riding else ""
        gone = "no session with " + ", ".join(f"nodes/{node}" for node in absent)
        return ServiceState.DEGRADED, why if gone in why else gone
    if shortfall:
        return ServiceState.DEGRADED, shortfall
    if service.starved_at:
        return ServiceState.DEGRADED, _want(service, snapshot, words)
    if service.riding:
        return ServiceState.ACTIVE, f"rides on the stored key of {_named(down)}"
    gap = unprotected_because(service, snapshot)
    return ServiceState.ACTIVE, f"unprotected: {gap}" if gap else ""


def _want(service: Service, snapshot: Snapshot, words: Collection[ServiceReport]) -> str:
    """Return what its ends lack, for a person."""
    ends = sorted(service.starved_at)
    poor = {word.node: what for word in words if (what := poor_at(service, word))}
    if service.plan is not None and not words and service.state is ServiceState.DEGRADED:
        return service.state_reason  # nobody has said anything else since a start
    rest = ", ".join(f"nodes/{node}" for node in ends if node not in poor)
    what = "less key than promised at" if service.plan is None else "fewer pairs than promised at"
    lacks = [f"{what} {rest}" + _dry_links(service, snapshot)] if rest else []
    return "; ".join((*lacks, *(poor[node] for node in ends if node in poor)))


def _works(routes: RouteSet, service: S, snapshot: Snapshot, present: Set[str]) -> bool:
    if routes is service.backup and not routes.in_use:
        return False
    return routes.nodes() <= present and not down_links(routes.links(), snapshot)


def _named(links: Collection[str]) -> str:
    return ", ".join(f"links/{link}" for link in links)


def _dry_links(service: S, snapshot: Snapshot) -> str:
    """Return what links of its routes explain a lack of key, for its reason; "" where none does by itself."""
    down = down_links(service.links(), snapshot)
    used_up = {link for link in down if snapshot.condition(link).exhausted}
    return "".join(
        f"; links/{link} is down" + (" and its stored key is used up" if link in used_up else "") for link in down
    )
