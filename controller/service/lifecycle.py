"""The life of a key relay or an entanglement path: pure steps from one document to the next.

A change of route is make-before-break with one switch. New routes are told to every node but the head end, while the
old ones are in use; once all have confirmed, one update of the head end makes it originate on the new version and on
the old no more; once nothing is under way there, the old ones are given up. What they held stays reserved, link by
link, until one end of the link has confirmed the removal. At every moment the head end alone decides which versions
are in use, and the document says how far the change has come: any controller can go on with it.
"""

from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Final, TypeVar

from controller.domain.entanglement_path import PairDemand
from controller.domain.events import ServiceReport
from controller.domain.pair_capacity import kept_at_end
from controller.domain.path_plan import PathPlan
from controller.domain.reachability import down_links
from controller.domain.route import Route
from controller.domain.route_sets import (
    NOT_IN_USE,
    all_given_up,
    highest_version,
    new_set,
    releasing_with,
    rerouted,
    versions_in_use,
    wanted_set,
)
from controller.domain.service import Phase, Protection, RouteSet, Service, ServiceDemand, ServiceState
from controller.domain.snapshot import Snapshot

S = TypeVar("S", bound=Service)

INSTALL_WITHIN_MS: Final = 30_000
"""After this long without confirmation from a transit node, another route is looked for."""
DRAIN_WITHIN_MS: Final = 15_000
"""After this long, what is still under way on routes that were left is given up with them."""
MAKE_ROOM_WITHIN_MS: Final = 60_000
"""How long a service that displaced others has their room kept from those of lower priority."""

Confirmed = Callable[[str], bool]
"""Tells of a node whether it has confirmed what it was last told of this service."""


def next_version(service: S, revision: int) -> int:
    """Return a route version for a service's next routes.

    The revision of the commit serves: it rises, and no service that comes later under the same name repeats it.
    """
    return max(revision, highest_version(service) + 1)


def routed(
    service: S,
    routes: tuple[Route, ...],
    *,
    version: int,
    now_ms: int,
    because: str,
    plan: PathPlan | None = None,
    demand: ServiceDemand | None = None,
    backup: tuple[Route, ...] | None = None,
) -> S:
    """Return the service on its way to new routes, make-before-break; what is in use stays so until the switch.

    Also how a rate, a number of shares or a forward_share is updated: a move, often to the same links, under a new
    version and with the new demand.

    Args:
        service: As it is, with the demand that its present routes serve.
        routes: One per share.
        version: As `next_version` gives it.
        now_ms: Service time.
        because: Why, for a person.
        plan: How pairs are made on them; an entanglement path's.
        demand: What is asked from now on; None leaves it.
        backup: Routes of a new backup; () for none; None keeps the present one where it still serves.
    """
    return replace(
        rerouted(service, routes, version=version, plan=plan, demand=demand, backup=backup),
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


def switched(service: S, *, because: str) -> S:
    """Return the service with its backup in the place of its routes: only the head end has to be told.

    A revertive service keeps the routes that it leaves as its backup, reserved, and returns to them; else they retire.
    The service has a backup, installed.
    """
    backup, present = service.backup, wanted_set(service)
    assert backup is not None
    retiring = tuple(replace(routes, in_use=False) for routes in service.retiring)
    given: tuple[RouteSet, ...] = ()
    kept: RouteSet | None = None
    if present is not None and not present.in_use:
        given = (present,)  # it was being installed
    elif present is not None and service.demand.revertive:
        kept = replace(present, in_use=False)
    elif present is not None:
        retiring = (*retiring, replace(present, in_use=False))
    return replace(
        service,
        routes=backup.routes,
        route_version=backup.version,
        plan=backup.plan,
        retiring=retiring,
        backup=kept,
        backup_installed=kept is not None,
        releasing=releasing_with(service, *given),
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


def fallen_back(service: S, *, because: str) -> S | None:
    """Return the service back on the routes that are still in use, given up those that were being installed.

    None when there are none, or they do not carry what is asked by now (its rate was changed, say).
    """
    if service.phase not in NOT_IN_USE:
        return None
    present = wanted_set(service)
    old = next((routes for routes in reversed(service.retiring) if routes.in_use), None)
    if old is None or present is None or not _carries_what_is_asked(service, old):
        return None
    return replace(
        service,
        routes=old.routes,
        route_version=old.version,
        plan=old.plan,
        retiring=tuple(routes for routes in service.retiring if routes is not old),
        releasing=releasing_with(service, present),
        phase=Phase.SWITCHING,  # the head end has it already; it is only to be heard again
        confirmed_by=frozenset(),
        drained_at=frozenset(),
        starved_at=frozenset(),
        install_by_ms=None,
        state_reason=because,
    )


def _carries_what_is_asked(service: Service, old: RouteSet) -> bool:
    demand = service.demand
    if isinstance(demand, PairDemand):
        plan, wanted = old.plan, service.plan
        if plan is None or wanted is None or plan.test_share != demand.test_share:
            return False
        enough = wanted.rate_millihertz if demand.rate_millihertz is None else demand.rate_millihertz
        if demand.packets is not None:
            route, pairs = old.routes[0], demand.packets.pairs
            if any(kept_at_end(route, plan, end) < pairs for end in (demand.source, demand.target)):
                return False
        return plan.rate_millihertz >= enough and plan.fidelity >= demand.minimum_fidelity
    same = old == new_set(demand, old.routes, old.version, in_use=True)
    return same and len(old.routes) == demand.shares


def backed_up(service: S, routes: tuple[Route, ...], *, version: int, because: str = "") -> S:
    """Return the service with another backup, or, of no routes, with none; the present one is given up."""
    given = (service.backup,) if service.backup else ()
    return replace(
        service,
        backup=new_set(service.demand, routes, version) if routes else None,
        backup_installed=False,
        revert_at_ms=None,
        releasing=releasing_with(service, *given),
        state_reason=because or service.state_reason,
    )


def apart_from_backup(service: S, snapshot: Snapshot) -> S:
    """Return the service without a backup that a fault of one location would take together with its routes.

    Routes that are found where there is no better choice may pass one, and nodes may be given another location.
    """
    if service.backup is None:
        return service
    ends = {service.demand.source, service.demand.target}

    def places(nodes: Collection[str]) -> set[str]:
        return {snapshot.nodes[node].place for node in nodes if node in snapshot.nodes}

    shared = places(service.nodes() - ends) & places(service.backup.nodes() - ends) - places(ends)
    return backed_up(service, (), version=0) if shared else service


def blocked(service: S, why: str, *, retry_at_ms: int | None = None) -> S:
    """Return the service without routes; it is never deleted, and tried again when the network changes."""
    return replace(
        _without_routes(service),
        move_at_ms=retry_at_ms,
        state=ServiceState.BLOCKED,
        state_reason=why,
    )


def making_room(service: S, why: str, *, now_ms: int) -> S:
    """Return the service waiting for room that others of lower priority are leaving: it gets nothing before they have.

    Until MAKE_ROOM_WITHIN_MS from now (service time) nothing of lower priority that waits is given a route before it.
    """
    return replace(blocked(service, why), install_by_ms=now_ms + MAKE_ROOM_WITHIN_MS)


def waits_for_room(service: S) -> bool:
    """Tell whether the service waits for what services that it displaced still hold."""
    return service.state is ServiceState.BLOCKED and not service.routes and service.install_by_ms is not None


def removed(service: S, why: str) -> S:
    """Return the service on its way out: nothing of it is wanted anywhere, but what it holds is still held."""
    return replace(_without_routes(service), state=ServiceState.REMOVING, state_reason=why)


def _without_routes(service: S) -> S:
    return replace(
        service,
        routes=(),
        plan=None,
        retiring=(),
        backup=None,
        backup_installed=False,
        releasing=all_given_up(service),
        phase=Phase.NONE,
        confirmed_by=frozenset(),
        drained_at=frozenset(),
        starved_at=frozenset(),
        riding=False,
        move_at_ms=None,
        revert_at_ms=None,
        install_by_ms=None,
    )


def drained(service: S) -> S:
    """Return the service with everything that it was leaving given up."""
    return replace(
        service,
        phase=Phase.SETTLED,
        retiring=(),
        releasing=releasing_with(service, *service.retiring),
        install_by_ms=None,
    )


def advanced(service: S, confirmed: Confirmed, *, now_ms: int) -> S:
    """Return the service as far on as the confirmations allow; the same value when nothing moves.

    One confirmation of either end releases a link: whoever still has the old entry has nobody to use it with, and
    entries of one version are never those of another. `now_ms` is service time.
    """
    releasing = tuple(held for held in service.releasing if not any(confirmed(node) for node in held.nodes))
    if releasing != service.releasing:
        service = replace(service, releasing=releasing)
    if service.backup is not None and not service.backup_installed and all(map(confirmed, service.backup.nodes())):
        service = replace(service, backup_installed=True)
    if service.backup is not None:
        # 1+1: keys are made on both; of 1:1, and while what is wanted is not in use itself, the backup waits.
        doubled = (
            service.demand.protection is Protection.ONE_PLUS_ONE
            and service.backup_installed
            and service.phase in (Phase.SWITCHING, Phase.DRAINING, Phase.SETTLED)
        )
        if service.backup.in_use != doubled:
            service = replace(service, backup=replace(service.backup, in_use=doubled))
    head = service.demand.source
    if service.phase in NOT_IN_USE and all(map(confirmed, service.nodes() - {head})):
        # One update of the head end: the new routes are in use from it on, and no old ones are.
        retiring = tuple(replace(routes, in_use=False) for routes in service.retiring)
        return replace(service, phase=Phase.SWITCHING, retiring=retiring, install_by_ms=None)
    if service.phase is Phase.SWITCHING and confirmed(head):
        if service.retiring:
            return replace(service, phase=Phase.DRAINING, install_by_ms=now_ms + DRAIN_WITHIN_MS)
        return replace(service, phase=Phase.SETTLED, install_by_ms=None)
    if service.phase is Phase.DRAINING and service.confirmed_by & service.drained_at >= service.origins:
        return drained(service)
    return service


def heard(service: S, report: ServiceReport) -> S:
    """Return the service with one end's word taken in; the same value when it says nothing of what is wanted.

    A word that knows of other versions in use than the document's says nothing of what is under way, nor of want.
    """
    if service.removed or not service.routes or report.node not in (service.demand.source, service.demand.target):
        return service
    end = frozenset({report.node})
    wanted = service.route_version
    if wanted in report.confirmed_versions or (report.confirmed and report.route_version == wanted):
        service = replace(service, confirmed_by=service.confirmed_by | end)
    if report.route_version != max(versions_in_use(service), default=0):
        return service
    left = {routes.version for routes in service.retiring}
    if service.phase in (Phase.SWITCHING, Phase.DRAINING) and not report.undrained_versions & left:
        service = replace(service, drained_at=service.drained_at | end)
    lacking = report.starved or bool(poor_at(service, report))
    starved = service.starved_at | end if lacking else service.starved_at - end
    return replace(service, starved_at=starved)


def poor_at(service: Service, report: ServiceReport) -> str:
    """Return what an end measures of pairs that are worse than the least that is asked, for a person; else ""."""
    demand, most = service.demand, report.fidelity_at_most
    if not isinstance(demand, PairDemand) or most is None or most >= demand.minimum_fidelity:
        return ""
    return f"nodes/{report.node} measures a fidelity of at most {most:.2f}, below {demand.minimum_fidelity:g}"


def returns(service: S) -> bool:
    """Tell whether its backup is the routes that it has to return to once they work."""
    return (
        service.demand.revertive
        and service.backup is not None
        and service.backup_installed
        and service.backup.version < service.route_version
    )


def with_return(service: S, snapshot: Snapshot, *, now_ms: int) -> S:
    """Return the service with the time of its return set while its former routes work, and unset while they do not.

    `now_ms` is service time. A link that flaps counts as not working. While nothing moves by itself, no time runs.
    """
    former = service.backup
    moves = snapshot.frozen is None and not service.demand.manual
    wanted = moves and returns(service) and service.phase is Phase.SETTLED and former is not None
    if not wanted or former is None or not carries(former, snapshot) or _damped(former, snapshot):
        return service if service.revert_at_ms is None else replace(service, revert_at_ms=None)
    if service.revert_at_ms is not None:
        return service
    return replace(service, revert_at_ms=now_ms + service.demand.wait_to_restore_ms)


def carries(routes: RouteSet, snapshot: Snapshot) -> bool:
    """Tell whether routes work: no link of them is down or disabled, no agent away."""
    return routes.nodes() <= snapshot.connected and not down_links(routes.links(), snapshot)


def _damped(routes: RouteSet, snapshot: Snapshot) -> bool:
    return any(snapshot.condition(link).damped for link in routes.links())
