"""The sets of routes that a service has side by side while it changes them: wanted, retiring, backup, releasing."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Final, TypeVar

from controller.domain.capacity import holders, set_charges, share_charge
from controller.domain.key_relay import Demand
from controller.domain.path_plan import PathPlan
from controller.domain.route import Route
from controller.domain.service import MAX_SHARES, Phase, Releasing, RouteSet, Service, ServiceDemand

S = TypeVar("S", bound=Service)

MAX_RETIRING: Final = 3
"""Sets that a relay may still be leaving; one more, and the oldest is given up though it was not drained."""
NOT_IN_USE: Final = frozenset({Phase.INSTALLING, Phase.BREAKING})
"""Phases in which the wanted routes are not in use yet."""


def new_set(
    demand: ServiceDemand,
    routes: tuple[Route, ...],
    version: int,
    *,
    plan: PathPlan | None = None,
    in_use: bool = False,
) -> RouteSet:
    """Return routes as a set that carries what the demand asks; of a path as its plan says."""
    return RouteSet(
        version=version,
        routes=routes,
        in_use=in_use,
        charge_millibit_per_s=share_charge(demand),
        forward_share=demand.forward_share if isinstance(demand, Demand) else 0.5,
        plan=plan,
    )


def wanted_set(service: Service) -> RouteSet | None:
    """Return the routes that are wanted, None when there are none; in use once the head end may have been told."""
    if not service.routes:
        return None
    in_use = service.phase not in NOT_IN_USE
    return new_set(service.demand, service.routes, service.route_version, plan=service.plan, in_use=in_use)


def told_sets(service: Service) -> tuple[RouteSet, ...]:
    """Return every set that nodes are told of: the wanted one first, then those it leaves, then its backup."""
    wanted = wanted_set(service)
    return (
        *((wanted,) if wanted else ()),
        *service.retiring,
        *((service.backup,) if service.backup else ()),
    )


def versions_in_use(service: Service) -> frozenset[int]:
    """Return the versions that the head end is told to originate on."""
    return frozenset(routes.version for routes in told_sets(service) if routes.in_use)


def highest_version(service: Service) -> int:
    """Return the highest version that the service has given to any of its sets."""
    return max((service.route_version, *(routes.version for routes in told_sets(service))))


def given_up(routes: RouteSet, *, first_share: int = 0) -> tuple[Releasing, ...]:
    """Return what a set holds, as it stands once the set is given up; a backup's shares count from MAX_SHARES."""
    held = set_charges(routes.routes, routes.plan, routes.charge_millibit_per_s, first_share)
    return tuple(
        Releasing(
            link=resource,
            share=share,
            charge_millibit_per_s=amount,
            nodes=_holders(routes, resource, share - first_share),
        )
        for resource, share, amount in held
    )


def _holders(routes: RouteSet, resource: str, share: int) -> tuple[str, str]:
    return holders(routes.routes[share : share + 1], resource)


def releasing_with(service: Service, *sets: RouteSet) -> tuple[Releasing, ...]:
    """Return what the service is releasing once these of its sets are given up too."""
    more = (
        held for routes in sets for held in given_up(routes, first_share=MAX_SHARES if routes == service.backup else 0)
    )
    return tuple(dict.fromkeys((*service.releasing, *more)))


def all_given_up(service: Service) -> tuple[Releasing, ...]:
    """Return what the service is releasing once none of its sets is wanted anywhere."""
    return releasing_with(service, *told_sets(service))


def rerouted(
    service: S,
    routes: tuple[Route, ...],
    *,
    version: int,
    plan: PathPlan | None = None,
    demand: ServiceDemand | None = None,
    backup: tuple[Route, ...] | None = None,
) -> S:
    """Return the service with other routes wanted, and what it leaves beside them: what it then holds, no more.

    What was in use retires and is drained; what was only being installed was never in use, and is given up.

    Args:
        service: As it is, with the demand that its present routes serve.
        routes: One per share.
        version: Above every one that it has given; a new backup gets the next.
        plan: How pairs are made on them; an entanglement path's.
        demand: What is asked from now on; None leaves it.
        backup: Routes of a new backup; () for none; None keeps the present one where it serves as such.
    """
    asked = service.demand if demand is None else demand
    present = wanted_set(service)
    retiring, given = service.retiring, list[RouteSet]()
    if present is not None and present.in_use:
        retiring = (*(replace(routes, in_use=False) for routes in retiring), present)
    elif present is not None:
        given.append(present)
    given += retiring[: -MAX_RETIRING or None]
    retiring = retiring[-MAX_RETIRING:]
    kept = service.backup
    if kept is not None and (backup is not None or not _serves(kept, asked, routes)):
        given.append(kept)
        kept = None
    releasing = releasing_with(service, *given)
    installed = service.backup_installed and kept is not None
    if kept is None and backup:
        kept = new_set(asked, backup, version + 1)
    return replace(
        service,
        demand=asked,
        routes=routes,
        route_version=version,
        plan=plan,
        retiring=retiring,
        backup=kept,
        backup_installed=installed,
        releasing=releasing,
    )


def _serves(backup: RouteSet, demand: ServiceDemand, routes: tuple[Route, ...]) -> bool:
    """Tell whether a backup carries what is asked, and shares nothing with the routes but the ends."""
    if not demand.protected or replace(backup, in_use=False) != new_set(demand, backup.routes, backup.version):
        return False
    return len(backup.routes) == demand.shares and disjoint(backup.routes, routes)


def disjoint(some: Iterable[Route], others: Iterable[Route]) -> bool:
    """Tell whether routes share no link, and no node but the ends; locations are not looked at.

    >>> one = Route(nodes=("a", "b", "c"), links=("ab", "bc"))
    >>> disjoint([one], [Route(nodes=("a", "c"), links=("ac",))]), disjoint([one], [one])
    (True, False)
    """
    mine, theirs = list(some), list(others)
    links = {link for route in mine for link in route.links} & {link for route in theirs for link in route.links}
    nodes = {node for route in mine for node in route.transit} & {node for route in theirs for node in route.transit}
    return not links and not nodes
