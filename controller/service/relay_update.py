"""Changes of key relays in place: keys in stock stay, and routes change make-before-break or not at all."""

from collections.abc import Collection
from dataclasses import replace
from typing import Final

from controller.domain.capacity import service_charges
from controller.domain.etag import etag
from controller.domain.key_relay import Demand, KeyRelay
from controller.domain.lifetimes import first_end_ms
from controller.domain.refusals import InvalidValue, NotFound, Precondition, Refusal
from controller.domain.route import Route
from controller.domain.snapshot import Snapshot
from controller.routing.feasible import charges_after_move, find_spare
from controller.routing.graph import Graph
from controller.routing.places import ground_of
from controller.service.deployment import deployed, find_deployment, with_backup
from controller.service.key_link_desk import check_no_cycle, cycle_behind
from controller.service.lifecycle import backed_up, blocked, next_version
from controller.service.relay_desk import DISABLED, check_application, check_etag, check_names
from controller.service.requests import RedeployRelay, UpdateRelay

_WAKING: Final = ("manual", "protection", "hold_off_ms")
"""What keeps a relay on routes that fail: when it changes, the relay is looked at again."""
_IN_ENTRIES: Final = ("rate_millibit_per_s", "forward_share", "shares")
"""What nodes are told with each route; what a version says is never rewritten, so another version is told."""


def update_relay(snapshot: Snapshot, request: UpdateRelay, *, version: int, now_ms: int) -> KeyRelay:
    """Return the relay as it is to be; the same value where nothing changes.

    `version` is the revision that the decision will be committed as; `now_ms` is service time.

    Raises:
        NotFound: There is no such relay, or something that the new values name does not exist.
        InvalidValue: A value is out of range.
        Precondition: REMOVING, STALE_ETAG, APPLICATION_TAKEN, DEPENDENCY_CYCLE; NO_ROUTE, NO_CAPACITY or
            NO_DISJOINT_ROUTES where the network cannot carry it so.
        TooHard: The search is out of steps.
    """
    relay = _present(snapshot, request.relay, request.etag)
    demand = _demand(relay, request)
    wanted = replace(
        relay,
        applications=relay.applications if request.applications is None else request.applications,
        admin_enabled=relay.admin_enabled if request.admin_enabled is None else request.admin_enabled,
        accept_blocked=relay.accept_blocked if request.accept_blocked is None else request.accept_blocked,
    )
    check_names(snapshot, demand, known=relay.demand)
    check_no_cycle(snapshot, relay.name, demand.pass_links)
    for application in sorted(set(wanted.applications) - set(relay.applications)):
        check_application(snapshot, wanted, application)
    if "lifetime_s" in request.demand:
        wanted = replace(wanted, expires_at_ms=first_end_ms(demand, now_ms))
    caller = request.caller.removeprefix("qinet://")
    if not wanted.admin_enabled:
        off = wanted if not relay.admin_enabled else blocked(wanted, f"{DISABLED} {caller}")
        return replace(off, demand=demand)
    if relay.routes and _serve(snapshot, relay, demand):
        if relay.demand.protected == demand.protected:
            return replace(wanted, demand=demand, move_at_ms=_moves_at(relay, demand, now_ms))
        if not demand.protected:
            return backed_up(replace(wanted, demand=demand), (), version=0, because="")
    return _placed(snapshot, wanted, demand, version=version, now_ms=now_ms, because=f"updated by {caller}")


def redeploy_relay(snapshot: Snapshot, request: RedeployRelay, *, version: int, now_ms: int) -> KeyRelay:
    """Return the relay on its way to the best routes of now, be they the ones that it has.

    Raises:
        NotFound: There is no such relay.
        Precondition: REMOVING, STALE_ETAG, DISABLED; NO_ROUTE, NO_CAPACITY or NO_DISJOINT_ROUTES: it stays.
        TooHard: The search is out of steps.
    """
    relay = _present(snapshot, request.relay, request.etag)
    if not relay.admin_enabled:
        resource = f"keyRelays/{relay.name}"
        raise Precondition("DISABLED", f"{resource} is disabled; enable it first", {"resource": resource})
    try:
        best = find_deployment(ground_of(snapshot, relay), relay, unprotected=True)
    except Refusal as refusal:
        raise cycle_behind(snapshot, relay, relay.demand, refusal) from None
    because = f"redeployed by {request.caller.removeprefix('qinet://')}"
    if set(best.routes) == set(relay.routes):
        because += ": its routes are the best, and are told anew"
    if best.lacks:
        because += f"; without a backup: {best.lacks}"
    return deployed(relay, best, version=next_version(relay, version), now_ms=now_ms, because=because)


def _present(snapshot: Snapshot, name: str, given_etag: str) -> KeyRelay:
    resource = f"keyRelays/{name}"
    relay = snapshot.relays.get(name)
    if relay is None:
        raise NotFound(resource)
    check_etag(resource, given_etag, etag(relay))
    if relay.removed:
        raise Precondition("REMOVING", f"{resource} is being removed; create another", {"resource": resource})
    return relay


def _demand(relay: KeyRelay, request: UpdateRelay) -> Demand:
    try:
        return replace(relay.demand, **request.demand)
    except InvalidValue as problem:
        fields = ((f"key_relay.{field}", why) for field, why in problem.fields)
        raise InvalidValue(f"keyRelays/{relay.name}", *fields) from None


def _serve(snapshot: Snapshot, relay: KeyRelay, demand: Demand) -> bool:
    """Tell whether the routes that a relay has serve what is wanted now, so that nodes need not be told of others."""
    if any(getattr(relay.demand, name) != getattr(demand, name) for name in _IN_ENTRIES):
        return False
    spare = () if relay.backup is None else relay.backup.routes
    return suits(snapshot, demand, relay.routes) and (not spare or suits(snapshot, demand, spare, backup=True))


def _moves_at(relay: KeyRelay, demand: Demand, now_ms: int) -> int | None:
    """Return until when a relay that rides on stored key goes on with it, once another demand is made."""
    if not relay.riding or all(getattr(relay.demand, name) == getattr(demand, name) for name in _WAKING):
        return relay.move_at_ms
    return now_ms if relay.move_at_ms is None else min(relay.move_at_ms, now_ms + demand.hold_off_ms)


def suits(snapshot: Snapshot, demand: Demand, routes: Collection[Route], *, backup: bool = False) -> bool:
    """Tell whether routes keep a demand's conditions, be there room or not; a backup need not pass what is to be."""
    nodes = {node for route in routes for node in route.nodes}
    links = {link for route in routes for link in route.links}
    transit = {node for route in routes for node in route.transit}
    domains = {snapshot.nodes[node].trust_domain for node in transit if node in snapshot.nodes}
    return (
        len(routes) == demand.shares
        and not (demand.no_trusted_transit and transit)
        and all(len(route.links) <= (demand.max_hops or len(route.links)) for route in routes)
        and not nodes & demand.avoid_nodes
        and not links & demand.avoid_links
        and (backup or (demand.pass_nodes <= nodes and demand.pass_links <= links))
        and (not demand.trust_domains or domains <= demand.trust_domains)
    )


def _placed(
    snapshot: Snapshot, wanted: KeyRelay, demand: Demand, *, version: int, now_ms: int, because: str
) -> KeyRelay:
    """Return the relay on routes for another demand: on those that it has where they do, under a new version.

    `wanted` is the relay with its present demand, and else as it is to be.
    """
    graph = ground_of(snapshot, wanted)
    assert isinstance(graph, Graph)
    above = next_version(wanted, version)
    try:
        if _same_do(snapshot, graph, wanted, demand):
            try:
                if all(getattr(wanted.demand, name) == getattr(demand, name) for name in _IN_ENTRIES):
                    return _with_spare(graph, wanted, demand, version=above)
                place = with_backup(graph, wanted, wanted.routes, demand)
            except Refusal:
                place = find_deployment(graph, wanted, demand)  # no backup beside these, but perhaps beside others
        else:
            place = find_deployment(graph, wanted, demand)
    except Refusal as refusal:
        # A relay that carries something goes on with it; one that waits anyway may wait for what is wanted now.
        if wanted.routes or not wanted.accept_blocked:
            raise cycle_behind(snapshot, wanted, demand, refusal) from None
        return replace(blocked(wanted, str(refusal)), demand=demand)
    return deployed(wanted, place, version=above, now_ms=now_ms, because=because, demand=demand)


def _with_spare(graph: Graph, wanted: KeyRelay, demand: Demand, *, version: int) -> KeyRelay:
    """Return the relay on the routes that it has, with a backup beside them."""
    asking = replace(wanted, demand=demand)
    backup = find_spare(graph, asking, wanted.routes)
    return backed_up(asking, backup, version=version)


def _same_do(snapshot: Snapshot, graph: Graph, relay: KeyRelay, demand: Demand) -> bool:
    """Tell whether the routes that a relay has also carry another demand."""
    if not relay.routes or not suits(snapshot, demand, relay.routes):
        return False
    before = service_charges(relay)
    after = charges_after_move(relay, relay.routes, demand=demand, backup=())
    # Holding no more than before promises nothing new, be the link down, or weaker than what is promised on it.
    return all(
        held <= before.get(link, 0) or ((room := graph.room(link)) is not None and held <= room)
        for link, held in after.items()
        if link in relay.links()
    )
