"""Whether routes that somebody proposed may be committed: checked again on the graph of the moment."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Final

from controller.domain.capacity import link_charge_millibit_per_s, route_charges, service_charges
from controller.domain.key_relay import Demand, KeyRelay, Releasing
from controller.domain.path_plan import PathPlan
from controller.domain.refusals import Precondition, Refusal, TooHard
from controller.domain.route import Route
from controller.domain.route_sets import rerouted
from controller.domain.service import Service, ServiceDemand
from controller.routing.admission.policies import routes_by_policy
from controller.routing.disjoint import find_backup, find_disjoint_routes
from controller.routing.explain import no_capacity
from controller.routing.graph import Graph
from controller.routing.terrain import Terrain, terrain_of

_ANY_VERSION: Final = 2**62


def check_route(
    graph: Graph, demand: Demand, routes: Sequence[Route], *, charges: Mapping[str, int] | None = None
) -> None:
    """Check that a demand may have these routes now, one per share; optimal or not.

    The graph is one without the reservations that the routes replace. `charges` is what the relay will hold, by link
    in millibit/s; by default what the routes take.

    Raises:
        NotFound: Source or target is no node of the network.
        Precondition: ROUTE_REFUSED: a link carries nothing new, or the demand forbids it; NO_CAPACITY: no room.
    """
    terrain = terrain_of(graph, demand)
    if len(routes) != demand.shares:
        raise _refused(f"{len(routes)} routes for {demand.shares} shares")
    for route in routes:
        _check_one(terrain, demand, route)
    _check_passed(demand, routes)
    _check_disjoint(terrain, routes)
    held = route_charges(routes, demand.rate_millibit_per_s) if charges is None else charges
    used = {link for route in routes for link in route.links}
    narrow = {
        link: (need, room)
        for link, need in sorted(held.items())
        # What a relay holds of links that it leaves is no promise to make, even where the link weakened below it.
        if link in used and (room := graph.room(link)) is not None and room < need
    }
    if narrow:
        worst = max(need - room for need, room in narrow.values())
        need = link_charge_millibit_per_s(demand.rate_millibit_per_s)
        raise no_capacity(
            f"the route from nodes/{demand.source} to nodes/{demand.target}",
            need=need,
            widest=need - worst,
            tight=[link for link, (wanted, room) in narrow.items() if wanted - room == worst],
            short=list(narrow),
        )


def charges_after_move(
    service: Service,
    routes: Sequence[Route],
    *,
    plan: PathPlan | None = None,
    demand: ServiceDemand | None = None,
    backup: tuple[Route, ...] | None = None,
) -> dict[str, int]:
    """Return what a service holds, by resource, just after it was given these routes.

    What it has in use then retires beside them, and what was releasing before still is; arguments as of `rerouted`.
    """
    after = rerouted(service, tuple(routes), version=_ANY_VERSION, plan=plan, demand=demand, backup=backup)
    return service_charges(after)


def check_move(
    graph: Graph,
    relay: KeyRelay,
    routes: Sequence[Route],
    *,
    demand: Demand | None = None,
    backup: tuple[Route, ...] | None = None,
) -> None:
    """Check that a relay may be given these routes now, with all that it still holds of its old ones.

    The graph is one without this relay's own reservations; other arguments as of `rerouted`.

    Raises:
        NotFound, Precondition: As `check_route`.
    """
    asked = relay.demand if demand is None else demand
    charges = charges_after_move(relay, routes, demand=demand, backup=backup)
    check_route(graph, asked, routes, charges=charges)
    if backup:
        check_backup(graph, asked, routes, backup, charges=charges)


def check_backup(
    graph: Graph,
    demand: Demand,
    routes: Sequence[Route],
    backup: Sequence[Route],
    *,
    charges: Mapping[str, int] | None = None,
) -> None:
    """Check that a demand with these routes may have this backup now.

    Raises:
        NotFound, Precondition: As `check_route`.
    """
    spare = replace(demand, pass_nodes=frozenset(), pass_links=frozenset())
    check_route(graph, spare, backup, charges=charges)
    _check_disjoint(terrain_of(graph, demand), (*routes, *backup))


def apart(graph: Graph, demand: Demand, routes: Sequence[Route], backup: Sequence[Route]) -> bool:
    """Tell whether a backup shares no link, no node and no location with routes, but for the ends."""
    try:
        _check_disjoint(terrain_of(graph, demand), (*routes, *backup))
    except Precondition:
        return False
    return True


def find_spare(
    graph: Graph, relay: KeyRelay, routes: Sequence[Route], demand: Demand | None = None
) -> tuple[Route, ...]:
    """Return a backup that a relay can be given now beside routes and all that it still holds.

    Args:
        graph: One without this relay's own reservations.
        relay: As it is, with the demand that its present routes serve.
        routes: Those that it has, or is to have.
        demand: What is asked from now on; None leaves it.

    Raises:
        NotFound, Precondition, TooHard: As `find_backup`.
    """
    asked = relay.demand if demand is None else demand
    held = charges_after_move(relay, routes, demand=asked, backup=())
    try:
        return find_backup(graph.charged(held), asked, routes)
    except Precondition:
        # What it holds of the backup that it leaves it may hold of the next one: then that is no lack of room.
        backup = find_backup(graph, asked, routes)
        held = charges_after_move(relay, routes, demand=asked, backup=backup)
        check_backup(graph, asked, routes, backup, charges=held)
        return backup


def find_move(graph: Graph, relay: KeyRelay, demand: Demand | None = None) -> tuple[Route, ...]:
    """Return the best routes that a relay can be given now, beside what it leaves.

    A link that passes from one share to another is charged for both until the old one is off. So shares are matched
    with routes such that this fits; where it can't, routes are sought beside all that the relay still holds. A backup
    that works is kept, and the routes are disjoint from it, where that is possible.

    Args:
        graph: One without this relay's own reservations.
        relay: As it is, with the demand that its present routes serve.
        demand: What is asked from now on; None leaves it. Links common to old and new are charged the larger rate.

    Raises:
        NotFound, Precondition, TooHard: As `find_routes`.
    """
    asked = relay.demand if demand is None else demand
    backup = relay.backup
    if backup is not None and asked == relay.demand and all(graph.room(link) is not None for link in backup.links()):
        with suppress(Precondition, TooHard):
            apart = find_disjoint_routes(
                graph.charged(service_charges(replace(relay, routes=(), retiring=(), releasing=()))),
                asked,
                asked.shares,
                beside=backup.routes,
            )
            matched = _matched(graph, relay, asked, apart)
            if matched is not None:
                return matched
    routes = routes_by_policy(graph, asked)
    matched = _matched(graph, relay, asked, routes)
    if matched is not None:
        return matched
    try:
        beside = routes_by_policy(graph.charged(charges_after_move(relay, (), demand=demand)), asked)
    except Refusal as refusal:
        raise Precondition(
            "NO_CAPACITY",
            f"the routes found share links with what other shares of keyRelays/{relay.name} still hold, and there is no"
            f" room for both; tried again once that is released ({refusal.message})",
            refusal.facts(),
        ) from refusal
    return beside


def _matched(graph: Graph, relay: KeyRelay, demand: Demand, routes: tuple[Route, ...]) -> tuple[Route, ...] | None:
    """Return the routes in an order of shares in which all that is held fits, or None. Augmenting paths."""
    if len(routes) == 1 and not relay.retiring and not relay.backup and not relay.releasing and not relay.routes:
        return routes
    nothing = rerouted(relay, (), version=_ANY_VERSION, demand=demand)
    charge = link_charge_millibit_per_s(demand.rate_millibit_per_s)

    def fits(route: Route, share: int) -> bool:
        extra = tuple(
            Releasing(link=hop.link, share=share, charge_millibit_per_s=charge, nodes=(hop.start, hop.end))
            for hop in route.hops()
        )
        held = service_charges(replace(nothing, releasing=nothing.releasing + extra))
        return all((graph.room(link) or 0) >= held[link] for link in route.links)

    of_share: dict[int, int] = {}

    def place(number: int, tried: set[int]) -> bool:
        # Its own old share first: then only what changes is charged twice.
        for share in sorted(range(len(routes)), key=lambda share: share != number):
            if share in tried or not fits(routes[number], share):
                continue
            tried.add(share)
            if share not in of_share or place(of_share[share], tried):
                of_share[share] = number
                return True
        return False

    if all(place(number, set()) for number in range(len(routes))):
        return tuple(routes[of_share[share]] for share in range(len(routes)))
    return None


def _refused(problem: str, **facts: object) -> Precondition:
    return Precondition("ROUTE_REFUSED", f"{problem}; compute the route again", facts)


def _check_one(terrain: Terrain, demand: Demand, route: Route) -> None:
    wiring = terrain.graph.wiring
    if (route.source, route.target) != (demand.source, demand.target):
        raise _refused(
            f"a route from nodes/{route.source} to nodes/{route.target} is not one from"
            f" nodes/{demand.source} to nodes/{demand.target}"
        )
    for hop in route.hops():
        number = wiring.link_number.get(hop.link)
        if number is None or not terrain.graph.usable[number]:
            left_out = terrain.graph.unusable.get(hop.link)
            why = left_out.why if left_out else "does not exist"
            raise _refused(f"links/{hop.link} carries nothing new: {why}", link=hop.link)
        ends = {wiring.nodes[node] for node in wiring.ends[number]}
        if ends != {hop.start, hop.end}:
            raise _refused(f"links/{hop.link} does not join nodes/{hop.start} and nodes/{hop.end}", link=hop.link)
        if not terrain.open[number]:
            raise _refused(f"links/{hop.link} is to be avoided", link=hop.link)
    for name in route.transit:
        if not terrain.passable[wiring.node_number[name]]:
            raise _refused(f"nodes/{name} is to be avoided, or outside the trust domains, or can't relay", node=name)
    if len(route.links) > terrain.most:
        raise _refused(f"{len(route.links)} links are more than max_hops {terrain.most}")


def _check_passed(demand: Demand, routes: Sequence[Route]) -> None:
    nodes = {node for route in routes for node in route.nodes}
    links = {link for route in routes for link in route.links}
    missed = [f"nodes/{name}" for name in sorted(demand.pass_nodes - nodes)]
    missed += [f"links/{name}" for name in sorted(demand.pass_links - links)]
    if missed:
        raise _refused(f"no route passes {', '.join(missed)}")


def _check_disjoint(terrain: Terrain, routes: Sequence[Route]) -> None:
    taken: dict[str, str] = {}
    for route in routes:
        mine = {f"links/{name}": f"links/{name}" for name in route.links}
        for name in route.transit:
            mine[terrain.group(terrain.graph.wiring.node_number[name])] = f"nodes/{name}"
        for group, name in sorted(mine.items()):
            if group in taken:
                raise Precondition(
                    "NO_DISJOINT_ROUTES",
                    f"two shares pass {taken[group]}"
                    + (f" and {name}, which are one location" if taken[group] != name else ""),
                    {"bottleneck": group},
                )
        taken |= mine
