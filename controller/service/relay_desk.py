"""Decisions on key relays: pure functions from snapshot and request to the relay's next document."""

import math
from dataclasses import replace

from controller.domain.application import Application
from controller.domain.key_relay import Demand, KeyRelay, Protection, RelayState
from controller.domain.refusals import AlreadyExists, InvalidValue, NotFound, NotServed, Precondition, Refusal
from controller.domain.route import Route
from controller.domain.snapshot import Snapshot
from controller.routing.disjoint import find_routes
from controller.routing.graph import graph_of
from controller.service.lifecycle import blocked, routed


def create_relay(
    snapshot: Snapshot, wanted: KeyRelay, *, version: int, caller: str, now_ms: int, wall_ms: int
) -> KeyRelay:
    """Return the relay as it begins: routed, or BLOCKED where that is accepted.

    `version` is the route version to give; `now_ms` is service time, `wall_ms` milliseconds since 1970.

    Raises:
        AlreadyExists: A relay of that name exists, or is still being removed.
        NotFound: A node, link or application that it names does not exist.
        NotServed: It asks for what comes with a later version.
        Precondition: NO_ROUTE, NO_CAPACITY or NO_DISJOINT_ROUTES, and `accept_blocked` is not set.
    """
    known = snapshot.relays.get(wanted.name)
    if known is not None:
        more = "is still being removed; try again shortly, or take another name" if known.removed else "exists"
        raise AlreadyExists(
            "ALREADY_EXISTS", f"keyRelays/{wanted.name} {more}", {"resource": f"keyRelays/{wanted.name}"}
        )
    check_names(snapshot, wanted.demand)
    for application in wanted.applications:
        _check_application(snapshot, wanted, application)
    if wanted.demand.protection not in (Protection.UNPROTECTED, Protection.RESTORE):
        raise NotServed(f"protection {wanted.demand.protection.value}")
    relay = KeyRelay(
        name=wanted.name,
        demand=wanted.demand,
        applications=wanted.applications,
        admin_enabled=wanted.admin_enabled,
        accept_blocked=wanted.accept_blocked,
        created_by=caller,
        created_ms=wall_ms,
        expires_at_ms=None if wanted.demand.lifetime_s is None else now_ms + 1000 * wanted.demand.lifetime_s,
    )
    if not relay.admin_enabled:
        return blocked(relay, "disabled by the operator")
    try:
        routes = served_routes(snapshot, relay.demand)
    except NotServed:
        raise
    except Refusal as refusal:
        # A relay of several shares is not kept waiting for routes that could not be used.
        if not relay.accept_blocked or relay.demand.shares > 1:
            raise
        return blocked(relay, str(refusal))
    return replace(routed(relay, routes, version=version, now_ms=now_ms, because="created"), state=RelayState.PENDING)


def served_routes(snapshot: Snapshot, demand: Demand) -> tuple[Route, ...]:
    """Return the routes for a demand, one per share.

    Raises:
        Precondition: There are none; names the bottleneck.
        NotServed: There are, but for several shares.
    """
    routes = find_routes(graph_of(snapshot), demand)
    if len(routes) > 1:
        raise NotServed(f"relaying over {len(routes)} shares (disjoint routes exist)")
    return routes


def check_names(snapshot: Snapshot, demand: Demand) -> None:
    """Check that every node and link that a demand names exists.

    Raises:
        NotFound: Some do not; names all of them.
    """
    nodes = (demand.source, demand.target, *sorted(demand.avoid_nodes | demand.pass_nodes))
    links = sorted(demand.avoid_links | demand.pass_links)
    unknown = [
        *(f"nodes/{node}" for node in nodes if node not in snapshot.nodes),
        *(f"links/{link}" for link in links if link not in snapshot.links),
    ]
    if unknown:
        raise NotFound(*dict.fromkeys(unknown))


def _check_application(snapshot: Snapshot, wanted: KeyRelay, application: str) -> None:
    name = f"applications/{application}"
    known: Application | None = snapshot.applications.get(application)
    if known is None:
        raise NotFound(name)
    ends = {wanted.demand.source, wanted.demand.target}
    for other in snapshot.relays.values():
        same_ends = {other.demand.source, other.demand.target} == ends
        if application in other.applications and same_ends and not other.removed and other.name != wanted.name:
            user = f"keyRelays/{other.name}"
            raise Precondition(
                "APPLICATION_TAKEN", f"{name} is served by {user} between these nodes already", {"used_by": user}
            )
    for end in sorted(ends - {snapshot.saes[sae].node for sae in known.saes}):
        raise InvalidValue(
            f"keyRelays/{wanted.name}", ("applications", f"no SAE of {name} is at nodes/{end}, an end of the relay")
        )


def check_etag(resource: str, given: str, current: str) -> None:
    """Check an etag that a client sent, if it sent one.

    Raises:
        Precondition: STALE_ETAG.
    """
    if given and given != current:
        raise Precondition(
            "STALE_ETAG",
            f"{resource} was changed since it was read; read it again",
            {"resource": resource, "etag": current},
        )


def deadline_passed(deadline_ms: int | None, now_ms: int) -> bool:
    """Tell whether a deadline in service time has come.

    >>> deadline_passed(None, 10), deadline_passed(10, 10), deadline_passed(11, 10)
    (False, True, False)
    """
    return now_ms >= (math.inf if deadline_ms is None else deadline_ms)
