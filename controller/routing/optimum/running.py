"""The key relays of a snapshot as services that may be placed better, and what that is in the network's own terms."""

from collections.abc import Generator
from dataclasses import dataclass

import numpy as np

from controller.domain.capacity import link_charge_millibit_per_s
from controller.domain.key_relay import Demand, KeyRelay
from controller.domain.placement import PlacementFigures, PlannedMove
from controller.domain.service import Phase, ServiceState
from controller.domain.snapshot import Snapshot
from controller.routing.graph import Graph, graph_of
from controller.routing.optimum.moving import Ways, after
from controller.routing.optimum.placement import Aim, Progress, Proof, Proposal, search
from controller.routing.optimum.problem import Ground, Want
from controller.routing.optimum.standing import Service, Standing, fullest, held_by
from controller.routing.terrain import terrain_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Better:
    """A better placement of key relays.

    Attributes:
        moves: In the order in which each fits make-before-break, given those before it.
        before, after: Of all relays.
        carried: (priority, proof that no placement carries more of that priority and above): key taken of one link in
            millibit/s, tags included, of those relays that may be placed at all; highest first.
        key_use: Proof that no placement of the same relays uses less key, millibit/s.
        fullest: Proof that in none of them the fullest link is less full, a ratio >= 0; with Aim.SPREAD only.
    """

    moves: tuple[PlannedMove, ...]
    before: PlacementFigures
    after: PlacementFigures
    carried: tuple[tuple[int, Proof], ...]
    key_use: Proof
    fullest: Proof | None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Running:
    """What a snapshot is to the search.

    Attributes:
        relays: Those that may be placed; by service.
        beside: All others that are wanted.
    """

    graph: Graph
    standing: Standing
    relays: tuple[KeyRelay, ...]
    beside: tuple[KeyRelay, ...]


def placement_of(snapshot: Snapshot, *, aim: Aim = Aim.KEY, most_moves: int | None = None) -> Better:
    """Return a better placement; see `searching`."""
    found = searching(snapshot, aim=aim, most_moves=most_moves)
    while True:
        try:
            next(found)
        except StopIteration as end:
            better: Better = end.value
            return better


def searching(
    snapshot: Snapshot, *, aim: Aim = Aim.KEY, most_moves: int | None = None
) -> Generator[Progress, None, Better]:
    """Look for a better placement of the key relays of a snapshot, tell how far it is, and return it.

    Relays with one share on one settled route over usable links may be moved, and blocked ones placed; the others,
    those that must pass something, and those with a backup keep what they hold. See `placement.search`.

    Raises:
        ArithmeticError: The solver gave up.
    """
    running = _running(snapshot)
    proposal = yield from search(running.standing, aim=aim, most_moves=most_moves)
    return _better(running, proposal)


def _running(snapshot: Snapshot) -> _Running:
    graph = graph_of(snapshot)
    grounds: dict[tuple[frozenset[str], frozenset[str], frozenset[str]], int] = {}
    masks: list[Ground] = []
    services: list[Service] = []
    placed: list[KeyRelay] = []
    beside: list[KeyRelay] = []
    for name in sorted(snapshot.relays):
        relay = snapshot.relays[name]
        if relay.removed or not relay.admin_enabled:
            continue
        if not _placeable(graph, relay):
            beside.append(relay)
            continue
        demand = relay.demand
        terrain = terrain_of(graph, demand)
        rules = demand.avoid_nodes, demand.avoid_links, demand.trust_domains
        if rules not in grounds:
            grounds[rules] = len(masks)
            masks.append(Ground(open=terrain.open, passable=terrain.passable))
        want = Want(
            source=graph.node(demand.source),
            target=graph.node(demand.target),
            volume=link_charge_millibit_per_s(demand.rate_millibit_per_s),
            most=terrain.most,
            ground=grounds[rules],
            whole=True,
        )
        way = tuple(graph.wiring.link_number[link] for link in relay.routes[0].links) if relay.routes else None
        services.append(Service(want=want, priority=demand.priority, way=way))
        placed.append(relay)
    # A link that carries nothing new is none here: what rides on it is left alone.
    capacities = np.where(graph.usable, graph.capacities, 0)
    held = np.zeros(capacities.size, np.int64)
    for service in services:
        if service.way:
            held[list(service.way)] += service.want.volume
    standing = Standing(
        net=graph.wiring.net,
        capacities=capacities,
        others=np.where(graph.usable, graph.capacities - graph.rooms - held, 0),
        grounds=tuple(masks),
        services=tuple(services),
    )
    return _Running(graph=graph, standing=standing, relays=tuple(placed), beside=tuple(beside))


def _placeable(graph: Graph, relay: KeyRelay) -> bool:
    demand = relay.demand
    simple = demand.shares == 1 and not (demand.protected or demand.manual or demand.pass_nodes or demand.pass_links)
    known = {demand.source, demand.target} <= graph.wiring.node_number.keys()
    if not (simple and known):
        return False
    if not relay.routes:
        return relay.state is ServiceState.BLOCKED and not relay.retiring and relay.backup is None
    return (
        relay.phase is Phase.SETTLED
        and not (relay.retiring or relay.releasing or relay.backup or relay.riding)
        and all(graph.room(link) is not None for link in relay.routes[0].links)
    )


def _better(running: _Running, proposal: Proposal) -> Better:
    graph, standing = running.graph, running.standing
    moves = tuple(
        PlannedMove(
            service=running.relays[move.service].key,
            from_version=running.relays[move.service].route_version,
            from_routes=running.relays[move.service].routes,
            to_routes=(graph.route(standing.services[move.service].want.source, move.after),),
        )
        for move in proposal.moves
    )
    others = sum(_key_use(relay) for relay in running.beside)
    proof = proposal.key_use
    value, bound = proof.value + others, proof.bound + others
    return Better(
        moves=moves,
        before=_figures(running, standing.ways()),
        after=_figures(running, after(standing, proposal.moves)),
        carried=proposal.carried,
        key_use=Proof(value=value, bound=bound, gap=max(0.0, value - bound) / value if value > 0 else 0.0),
        fullest=proposal.fullest,
    )


def _figures(running: _Running, ways: Ways) -> PlacementFigures:
    placed = [(relay, way) for relay, way in zip(running.relays, ways, strict=True) if way is not None]
    beside = [relay for relay in running.beside if relay.routes]
    return PlacementFigures(
        carried_millibit_per_s=sum(_rate(relay.demand) for relay in (*beside, *(relay for relay, _ in placed))),
        key_use_millibit_per_s=sum(map(_key_use, beside))
        + sum(link_charge_millibit_per_s(_rate(relay.demand)) * len(way) for relay, way in placed),
        fullest_ppm=round(1e6 * fullest(running.standing, held_by(running.standing, ways))),
        blocked=sum(way is None for way in ways) + sum(not relay.routes for relay in running.beside),
    )


def _rate(demand: Demand) -> int:
    return demand.rate_millibit_per_s


def _key_use(relay: KeyRelay) -> int:
    links = sum(len(route.links) for route in relay.routes)
    return links * link_charge_millibit_per_s(relay.demand.rate_millibit_per_s)
