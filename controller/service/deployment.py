"""Which routes a service gets, with a relay's backup and a path's plan, and the service once it has been given them."""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

from controller.domain.key_relay import Demand, KeyRelay
from controller.domain.path_plan import PathPlan
from controller.domain.refusals import Precondition, Refusal, TooHard
from controller.domain.route import Route
from controller.domain.route_sets import rerouted
from controller.domain.service import Service, ServiceDemand
from controller.domain.snapshot import Snapshot
from controller.routing.feasible import apart, check_move, find_spare
from controller.routing.graph import Graph
from controller.routing.places import Ground, find_place
from controller.service.lifecycle import next_version, routed

S = TypeVar("S", bound=Service)


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """Where a service is to run.

    Attributes:
        routes: One per share.
        plan: How pairs are made on the route; an entanglement path's.
        backup: Routes of a new backup; () for none; None keeps the one that it has.
        lacks: Why it has no backup although it asks for one; "" when it has, or asks for none.
    """

    routes: tuple[Route, ...]
    plan: PathPlan | None = None
    backup: tuple[Route, ...] | None = ()
    lacks: str = ""


def find_deployment(
    ground: Ground, service: Service, demand: ServiceDemand | None = None, *, unprotected: bool = False
) -> Deployment:
    """Return the best routes that a service can be given now, and a backup where it asks for one.

    Args:
        ground: What is free to it, without its own reservations.
        service: As it is, with the demand that its present routes serve.
        demand: What is asked from now on; None leaves it.
        unprotected: Whether routes without a backup are better than none.

    Raises:
        NotFound, Precondition, TooHard: As `find_place` and `find_backup`.
    """
    place = find_place(ground, service, demand)
    if not isinstance(service, KeyRelay) or not isinstance(ground, Graph):
        return Deployment(routes=place.routes, plan=place.plan)
    assert demand is None or isinstance(demand, Demand)
    return with_backup(ground, service, place.routes, demand, unprotected=unprotected)


def with_backup(
    graph: Graph,
    relay: KeyRelay,
    routes: tuple[Route, ...],
    demand: Demand | None = None,
    *,
    unprotected: bool = False,
) -> Deployment:
    """Return routes with the backup that suits them; arguments and refusals as of `find_deployment`."""
    asked = demand or relay.demand
    if not asked.protected:
        return Deployment(routes=routes)
    kept = rerouted(relay, routes, version=next_version(relay, 0), demand=asked).backup
    usable = kept is not None and all(graph.room(link) is not None for link in kept.links())
    if kept is not None and usable and apart(graph, asked, routes, kept.routes):
        return Deployment(routes=routes, backup=None)
    if relay.backup is not None and len(relay.backup.routes) == asked.shares:
        # The links that it has serve a new rate as well as others would.
        with suppress(Precondition):
            check_move(graph, relay, routes, demand=asked, backup=relay.backup.routes)
            return Deployment(routes=routes, backup=relay.backup.routes)
    try:
        backup = find_spare(graph, relay, routes, asked)
        check_move(graph, relay, routes, demand=asked, backup=backup)
    except (Precondition, TooHard) as refusal:
        if not unprotected:
            raise
        return Deployment(routes=routes, lacks=refusal.message)
    return Deployment(routes=routes, backup=backup)


def deployed(
    service: S,
    place: Deployment,
    *,
    version: int,
    now_ms: int,
    because: str,
    demand: ServiceDemand | None = None,
) -> S:
    """Return the service on its way to new routes; keys in stock stay, and what it leaves is in use until they work.

    `version` is above every one that the service has given; `now_ms` is service time; `demand` is what is asked from
    now on, None leaves it.
    """
    return routed(
        service,
        place.routes,
        version=version,
        now_ms=now_ms,
        because=because,
        plan=place.plan,
        demand=demand,
        backup=place.backup,
    )


def fits(ground: Ground, service: Service) -> Deployment | Refusal:
    """Return where a service fits now, if need be without its backup, or why it fits nowhere."""
    try:
        return find_deployment(ground, service, unprotected=True)
    except Refusal as refusal:
        return refusal


def by_importance(services: Iterable[S]) -> list[S]:
    """Return services in the order in which they are served: highest priority first, then by key."""
    return sorted(services, key=lambda service: (-service.demand.priority, service.key))


def routed_services(snapshot: Snapshot) -> list[Service]:
    """Return the services that have routes."""
    return [service for service in snapshot.services() if service.routes and not service.removed]
