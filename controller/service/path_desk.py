"""Decisions on entanglement paths: pure functions from snapshot and request to the path's next document."""

from dataclasses import replace
from typing import Final

from controller.domain.entanglement_path import EntanglementPath, PairDemand
from controller.domain.etag import etag
from controller.domain.lifetimes import first_end_ms
from controller.domain.refusals import AlreadyExists, InvalidValue, NotFound, Precondition, Refusal
from controller.domain.route import Route
from controller.domain.service import ServiceState
from controller.domain.snapshot import Changes, Snapshot, put
from controller.service.deployment import deployed
from controller.service.key_link_desk import check_gives_key, check_key_link, key_link_brought
from controller.service.lifecycle import blocked, next_version
from controller.service.proposals import Outdated, Seek, sought_soon
from controller.service.relay_desk import DISABLED, check_etag
from controller.service.requests import RedeployPath, UpdatePath

_IN_ENTRIES: Final = ("rate_millihertz", "packets", "minimum_fidelity", "purpose", "priority", "test_share")
"""What nodes are told with each route; what a version says is never rewritten, so another version is told."""
_FIXED: Final = ("source", "target", "use", "key_link", "authentication", "distillation_block_bit")
"""What is never changed in place: ends, what becomes of pairs there, and the key link that came with the path."""


def create_path(
    snapshot: Snapshot,
    wanted: EntanglementPath,
    *,
    version: int,
    caller: str,
    now_ms: int,
    wall_ms: int,
    seek: Seek = sought_soon,
) -> Changes:
    """Return the changes that create a path, and its key link with it: routed, or BLOCKED where that is accepted.

    `version` is the route version to give; `now_ms` is service time, `wall_ms` milliseconds since 1970; `seek` says
    where it may run.

    Raises:
        Outdated: What was sought before does not hold any more.
        AlreadyExists: A path of that name exists, or is still being removed; or a link of the key link's name.
        NotFound: A node or link that it names does not exist.
        Precondition: As `find_path`, where `accept_blocked` is not set; NO_AUTHENTICATION_KEY, NO_SECRET_KEY.
        TooHard: The search is out of steps.
    """
    known = snapshot.paths.get(wanted.name)
    if known is not None:
        more = "is still being removed; try again shortly, or take another name" if known.removed else "exists"
        raise AlreadyExists("ALREADY_EXISTS", f"{wanted.resource} {more}", {"resource": wanted.resource})
    check_path_names(snapshot, wanted.demand)
    check_key_link(snapshot, wanted)
    path = EntanglementPath(
        name=wanted.name,
        demand=wanted.demand,
        admin_enabled=wanted.admin_enabled,
        accept_blocked=wanted.accept_blocked,
        created_by=caller,
        created_ms=wall_ms,
        expires_at_ms=first_end_ms(wanted.demand, now_ms),
    )
    path = _begun(snapshot, path, seek, version=version, now_ms=now_ms)
    check_gives_key(path)
    return put(path) + key_link_brought(snapshot, path) if path.demand.key_link else put(path)


def _begun(snapshot: Snapshot, path: EntanglementPath, seek: Seek, *, version: int, now_ms: int) -> EntanglementPath:
    if not path.admin_enabled:
        return blocked(path, f"{DISABLED} {path.created_by.removeprefix('qinet://')}")
    try:
        place = seek(snapshot, path, path.demand)
    except Outdated:
        raise
    except Refusal as refusal:
        if not path.accept_blocked:
            raise
        return blocked(path, str(refusal))
    created = deployed(path, place, version=version, now_ms=now_ms, because="created")
    return replace(created, state=ServiceState.PENDING)


def check_path_names(snapshot: Snapshot, demand: PairDemand, *, known: PairDemand | None = None) -> None:
    """Check that every node and link that a demand names exists; what it named before, as `known`, may be gone.

    Raises:
        NotFound: Some do not; names all of them.
    """
    nodes = (demand.source, demand.target, *sorted(demand.avoid_nodes - (known.avoid_nodes if known else frozenset())))
    links = sorted(demand.avoid_links - (known.avoid_links if known else frozenset()))
    unknown = [
        *(f"nodes/{node}" for node in nodes if node not in snapshot.nodes),
        *(f"links/{link}" for link in links if link not in snapshot.links),
    ]
    if unknown:
        raise NotFound(*dict.fromkeys(unknown))


def update_path(
    snapshot: Snapshot, request: UpdatePath, *, version: int, now_ms: int, seek: Seek = sought_soon
) -> EntanglementPath:
    """Return the path as it is to be; the same value where nothing changes.

    `version` is the revision that the decision will be committed as; `now_ms` is service time; `seek` says where the
    path may run.

    Raises:
        Outdated: What was sought before does not hold any more.
        NotFound: There is no such path, or something that the new values name does not exist.
        InvalidValue: A value is out of range, or cannot be changed in place.
        Precondition: REMOVING, STALE_ETAG; as `find_path` where the network cannot carry it so; NO_SECRET_KEY.
        TooHard: The search is out of steps.
    """
    path = _present(snapshot, request.path, request.etag)
    demand = _demand(path, request)
    wanted = replace(
        path,
        admin_enabled=path.admin_enabled if request.admin_enabled is None else request.admin_enabled,
        accept_blocked=path.accept_blocked if request.accept_blocked is None else request.accept_blocked,
    )
    check_path_names(snapshot, demand, known=path.demand)
    if (demand.lifetime_s, demand.deadline_s) != (path.demand.lifetime_s, path.demand.deadline_s):
        begins = replace(demand, deadline_s=None) if path.ever_active else demand
        wanted = replace(wanted, expires_at_ms=first_end_ms(begins, now_ms))
    caller = request.caller.removeprefix("qinet://")
    if not wanted.admin_enabled:
        off = wanted if not path.admin_enabled else blocked(wanted, f"{DISABLED} {caller}")
        return replace(off, demand=demand)
    same = all(getattr(path.demand, name) == getattr(demand, name) for name in _IN_ENTRIES)
    if path.routes and same and _keeps(demand, path.routes[0]):
        return replace(wanted, demand=demand, move_at_ms=_moves_at(path, demand, now_ms))
    try:
        place = seek(snapshot, wanted, demand)
    except Outdated:
        raise
    except Refusal as refusal:
        # A path that delivers something goes on with it; one that waits anyway may wait for what is wanted now.
        if wanted.routes or not wanted.accept_blocked:
            raise
        return replace(blocked(wanted, str(refusal)), demand=demand)
    above = next_version(wanted, version)
    moving = deployed(wanted, place, version=above, now_ms=now_ms, because=f"updated by {caller}", demand=demand)
    check_gives_key(moving)
    return moving


def _moves_at(path: EntanglementPath, demand: PairDemand, now_ms: int) -> int | None:
    """Return until when a path that holds off goes on to, once another hold-off is asked."""
    if path.move_at_ms is None or demand.hold_off_ms == path.demand.hold_off_ms:
        return path.move_at_ms
    return min(path.move_at_ms, now_ms + demand.hold_off_ms)


def _keeps(demand: PairDemand, route: Route) -> bool:
    """Tell whether a route keeps what a demand says of where it goes."""
    short = len(route.links) <= (demand.max_hops or len(route.links))
    return short and demand.avoid_nodes.isdisjoint(route.nodes) and demand.avoid_links.isdisjoint(route.links)


def redeploy_path(
    snapshot: Snapshot, request: RedeployPath, *, version: int, now_ms: int, seek: Seek = sought_soon
) -> EntanglementPath:
    """Return the path on its way to the best route and plan of now, be they those that it has.

    Arguments as of `update_path`.

    Raises:
        Outdated: What was sought before does not hold any more.
        NotFound: There is no such path.
        Precondition: REMOVING, STALE_ETAG, DISABLED; as `find_path`, NO_SECRET_KEY: then it stays.
        TooHard: The search is out of steps.
    """
    path = _present(snapshot, request.path, request.etag)
    if not path.admin_enabled:
        raise Precondition("DISABLED", f"{path.resource} is disabled; enable it first", {"resource": path.resource})
    best = seek(snapshot, path, path.demand)
    because = f"redeployed by {request.caller.removeprefix('qinet://')}"
    if (best.routes, best.plan) == (path.routes, path.plan):
        because += ": its route is the best, and is told anew"
    moving = deployed(path, best, version=next_version(path, version), now_ms=now_ms, because=because)
    check_gives_key(moving)
    return moving


def _present(snapshot: Snapshot, name: str, given_etag: str) -> EntanglementPath:
    path = snapshot.paths.get(name)
    if path is None:
        raise NotFound(f"entanglementPaths/{name}")
    check_etag(path.resource, given_etag, etag(path))
    if path.removed:
        raise Precondition("REMOVING", f"{path.resource} is being removed; create another", {"resource": path.resource})
    return path


def _demand(path: EntanglementPath, request: UpdatePath) -> PairDemand:
    fixed = [name for name in _FIXED if name in request.demand and request.demand[name] != getattr(path.demand, name)]
    if fixed:
        why = "cannot be changed in place; create another path"
        raise InvalidValue(path.resource, *((f"entanglement_path.{name}", why) for name in fixed))
    try:
        return replace(path.demand, **request.demand)
    except InvalidValue as problem:
        fields = ((f"entanglement_path.{field}", why) for field, why in problem.fields)
        raise InvalidValue(path.resource, *fields) from None
