"""Which routes a relay gets, its backup included, and the relay once it has been given them."""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass

from controller.domain.key_relay import Demand, KeyRelay
from controller.domain.refusals import Precondition, Refusal, TooHard
from controller.domain.route import Route
from controller.domain.route_sets import rerouted
from controller.domain.snapshot import Snapshot
from controller.routing.feasible import apart, charges_after_move, check_move, find_move, find_spare
from controller.routing.graph import Graph
from controller.service.lifecycle import next_version, routed


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """Where a relay is to run.

    Attributes:
        routes: One per share.
        backup: Routes of a new backup; () for none; None keeps the one that it has.
        lacks: Why it has no backup although it asks for one; "" when it has, or asks for none.
    """

    routes: tuple[Route, ...]
    backup: tuple[Route, ...] | None = ()
    lacks: str = ""


def find_deployment(
    graph: Graph, relay: KeyRelay, demand: Demand | None = None, *, unprotected: bool = False
) -> Deployment:
    """Return the best routes that a relay can be given now, and a backup where it asks for one.

    Args:
        graph: One without this relay's own reservations.
        relay: As it is, with the demand that its present routes serve.
        demand: What is asked from now on; None leaves it.
        unprotected: Whether routes without a backup are better than none.

    Raises:
        NotFound, Precondition, TooHard: As `find_routes` and `find_backup`.
    """
    routes = find_move(graph, relay, demand)
    return with_backup(graph, relay, routes, demand, unprotected=unprotected)


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
    relay: KeyRelay,
    place: Deployment,
    *,
    version: int,
    now_ms: int,
    because: str,
    demand: Demand | None = None,
) -> KeyRelay:
    """Return the relay on its way to new routes; keys in stock stay, and what it leaves is in use until they work.

    `version` is above every one that the relay has given; `now_ms` is service time; `demand` is what is asked from now
    on, None leaves it.
    """
    return routed(
        relay, place.routes, version=version, now_ms=now_ms, because=because, demand=demand, backup=place.backup
    )


def charges_deployed(relay: KeyRelay, place: Deployment, demand: Demand | None = None) -> dict[str, int]:
    """Return what a relay holds, by link in millibit/s, just after it was given these routes."""
    return charges_after_move(relay, place.routes, demand=demand, backup=place.backup)


def fits(graph: Graph, relay: KeyRelay) -> Deployment | Refusal:
    """Return where a relay fits now, if need be without its backup, or why it fits nowhere."""
    try:
        return find_deployment(graph, relay, unprotected=True)
    except Refusal as refusal:
        return refusal


def by_importance(relays: Iterable[KeyRelay]) -> list[KeyRelay]:
    """Return relays in the order in which they are served: highest priority first, then by name."""
    return sorted(relays, key=lambda relay: (-relay.demand.priority, relay.name))


def routed_relays(snapshot: Snapshot) -> list[KeyRelay]:
    """Return the relays that have routes."""
    return [relay for relay in snapshot.relays.values() if relay.routes and not relay.removed]
