"""Times rerouting all relays of a cut link as one batch beside deciding on one after the other; decision only.

The peer is our own search of a single relay, as it decides when something happens to one: what is free on the links
without the relay's own, `find_place`, and what it then holds charged for the next. Routes are compared in the run. A
second peer is the compiled search alone, 1,000 times, on rooms that are charged between: no decision, no demand, no
route; it says what a batch could gain at most by what it saves around the search.
"""

import random
from collections.abc import Iterator
from dataclasses import replace
from statistics import median
from time import perf_counter
from typing import Final

from apps.restoration import Restoration
from controller.domain.capacity import link_charge_millibit_per_s, reserved_by
from controller.domain.commands import MoveService
from controller.domain.events import ServicesImpaired
from controller.domain.key_relay import Demand, KeyRelay, Phase, RelayState
from controller.domain.link import LinkCondition
from controller.domain.route import Route
from controller.domain.snapshot import Snapshot
from controller.routing.batch import Rerouting
from controller.routing.feasible import charges_after_move
from controller.routing.graph import graph_of
from controller.routing.kernels.hops import fewest_way
from controller.routing.key_relay import find_route
from controller.routing.places import Grounds, find_place
from tests.bench.collected import Works
from tests.bench.line import time_line
from tests.bench.routing.link_change import network

_NODES: Final = 1000
_RELAYS: Final = 1000
_RATE: Final = 1000
_ROUNDS: Final = 5
_LOOKED_AT: Final = 20_000


def relays_over_one_link(n_relays: int, n_nodes: int = _NODES) -> tuple[Snapshot, str]:
    """Return a network with so many relays over one link, which is down; what carries most of random relays."""
    snapshot = network(n_nodes)
    names = sorted(snapshot.nodes)
    dice = random.Random(7)
    graph = graph_of(snapshot)
    demands = [
        Demand(source=source, target=target, rate_millibit_per_s=_RATE, priority=number % 4)
        for number, (source, target) in enumerate(dice.sample(names, 2) for _ in range(_LOOKED_AT))
    ]
    over: dict[str, list[tuple[Demand, Route]]] = {}
    for demand in demands:
        route = find_route(graph, demand)
        for link in route.links:
            over.setdefault(link, []).append((demand, route))
    cut = max(sorted(over), key=lambda link: len(over[link]))
    chosen = (over[cut] * (n_relays // len(over[cut]) + 1))[:n_relays]
    relays = {
        f"r{number:04}": KeyRelay(
            name=f"r{number:04}",
            demand=demand,
            routes=(route,),
            route_version=1,
            phase=Phase.SETTLED,
            state=RelayState.ACTIVE,
        )
        for number, (demand, route) in enumerate(chosen)
    }
    conditions = {**snapshot.conditions, cut: LinkCondition(down_at=frozenset({"x"}), down_reason="cut")}
    return replace(snapshot, relays=relays, conditions=conditions), cut


def _single(snapshot: Snapshot, relays: list[KeyRelay]) -> list[Route]:
    grounds = Grounds(snapshot)
    routes = []
    for relay in relays:
        (route,) = find_place(grounds.free_for(relay), relay).routes
        grounds.given(relay, charges_after_move(relay, (route,)))
        routes.append(route)
    return routes


def _bare(snapshot: Snapshot, relays: list[KeyRelay]) -> list[int]:
    """Return the lengths of ways that the compiled search finds; what a relay holds itself is not freed for it."""
    graph = graph_of(snapshot)
    wiring, rooms = graph.wiring, graph.rooms.copy()
    lengths = []
    for relay in relays:
        need = link_charge_millibit_per_s(relay.demand.rate_millibit_per_s)
        start, goal = sorted((wiring.node_number[relay.demand.source], wiring.node_number[relay.demand.target]))
        found = fewest_way(
            wiring.net, rooms, graph.usable, wiring.relaying, need, start=start, goal=goal, marks=wiring.hop_marks
        )
        rooms[found.links] -= need
        lengths.append(found.cost)
    return lengths


def reroute() -> Iterator[dict[str, object]]:
    """Measure 1,000 relays after one cut."""
    snapshot, cut = relays_over_one_link(_RELAYS)
    relays = sorted(snapshot.relays.values(), key=lambda relay: (-relay.demand.priority, relay.key))
    keys = tuple(relay.key for relay in relays)
    batches, singles, bare, apps, alone_each = [], [], [], [], []
    told = replace(snapshot, reserved=reserved_by(snapshot.relays.values()))
    for _ in range(_ROUNDS):
        begun = perf_counter()
        together = [route for _, route in Rerouting(graph_of(snapshot), relays)]
        batches.append(perf_counter() - begun)
        begun = perf_counter()
        alone = _single(snapshot, relays)
        singles.append(perf_counter() - begun)
        begun = perf_counter()
        _bare(snapshot, relays)
        bare.append(perf_counter() - begun)
        begun = perf_counter()
        commands = list(Restoration().handle(ServicesImpaired(services=keys), told))
        apps.append(perf_counter() - begun)
        begun = perf_counter()
        for key in keys:
            list(Restoration().handle(ServicesImpaired(services=(key,)), told))
        alone_each.append(perf_counter() - begun)
        assert together == alone
        assert [command.routes for command in commands if isinstance(command, MoveService)] == [(r,) for r in alone]
    what = f"reroute-1000: {_RELAYS} relays over {cut} are rerouted"
    links = len(snapshot.links)
    yield time_line(
        what, median(batches) * 1e3, "ms", "1,000 single searches of our own", median(singles) * 1e3, links=links
    )
    yield time_line(
        f"{what}, with the app's decisions",
        median(apps) * 1e3,
        "ms",
        "the app asked of one relay at a time",
        median(alone_each) * 1e3,
        links=links,
    )
    yield time_line(
        what, median(batches) * 1e3, "ms", "1,000 calls of the compiled search alone", median(bare) * 1e3, links=links
    )


WORKS: Final[Works] = {"reroute-1000": reroute}
