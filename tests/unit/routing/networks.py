"""Small random networks, and the plainest answers to what is asked of them: every loop-free route is tried."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import combinations

from hypothesis import strategies as st

from controller.domain.capacity import capacity_millibit_per_s, link_charge_millibit_per_s, reserved_by
from controller.domain.key_relay import Demand, KeyRelay
from controller.domain.link import Establishment, Link, LinkCondition, LinkEnd, LinkKind
from controller.domain.node import Capability, Node
from controller.domain.route import Route
from controller.domain.snapshot import Snapshot

RATE = 1000
"""The usual rate of a demand in millibit/s; it takes 3000 on each link, tags included."""
CHARGE = link_charge_millibit_per_s(RATE)


def link(name: str, a: str, b: str, room: int = 10 * CHARGE, **more: object) -> Link:
    first, second = sorted((a, b))
    return Link(
        name=name,
        ends=(LinkEnd(node=first, interface=0), LinkEnd(node=second, interface=0)),
        model_skr_millibit_per_s=room,
        **more,  # type: ignore[arg-type]
    )


def network(
    *links: Link,
    nodes: tuple[Node, ...] = (),
    relays: tuple[KeyRelay, ...] = (),
    conditions: Mapping[str, LinkCondition] | None = None,
    disconnected: frozenset[str] = frozenset(),
    service_time_ms: int = 0,
) -> Snapshot:
    """Return a snapshot of these links, all of whose nodes hold a session unless said otherwise."""
    named = {node.name: node for node in nodes}
    everyone = {end for one in links for end in one.nodes} | named.keys()
    return Snapshot(
        nodes={name: named.get(name, Node(name=name)) for name in sorted(everyone)},
        links={one.name: one for one in links},
        conditions=conditions or {},
        relays={relay.name: relay for relay in relays},
        connected=frozenset(everyone) - disconnected,
        service_time_ms=service_time_ms,
    )


def demand(source: str, target: str, **more: object) -> Demand:
    return replace(Demand(source=source, target=target, rate_millibit_per_s=RATE), **more)  # type: ignore[arg-type]


def down(reason: str = "", *, exhausted: bool = False) -> LinkCondition:
    return LinkCondition(down_at=frozenset({"x"}), down_reason=reason, exhausted=exhausted)


def simple_routes(snapshot: Snapshot, source: str, target: str) -> Iterator[Route]:
    """Yield every loop-free way over any link at all, source to target."""

    def onward(nodes: tuple[str, ...], links: tuple[str, ...]) -> Iterator[Route]:
        if nodes[-1] == target:
            yield Route(nodes=nodes, links=links)
            return
        for one in snapshot.links.values():
            if nodes[-1] in one.nodes and one.far(nodes[-1]) not in nodes:
                yield from onward((*nodes, one.far(nodes[-1])), (*links, one.name))

    yield from onward((source,), ())


def usable(snapshot: Snapshot, one: Link) -> bool:
    return (
        one.kind is LinkKind.QKD
        and one.establishment is Establishment.ESTABLISHED
        and one.admin_enabled
        and not one.maintenance
        and snapshot.condition(one.name).generating
        and not snapshot.stale(one)
        and all(snapshot.nodes[name].admin_enabled and not snapshot.nodes[name].maintenance for name in one.nodes)
    )


def room(snapshot: Snapshot, route: Route) -> int:
    """Return what is free at the bottleneck of a route."""
    held = reserved_by(snapshot.relays.values())
    return min(
        capacity_millibit_per_s(snapshot.links[name], snapshot.condition(name)) - held.get(name, 0)
        for name in route.links
    )


def allowed(snapshot: Snapshot, wanted: Demand, route: Route, *, passing: bool = True) -> bool:
    """Tell whether a route keeps all that the demand says but the rate."""
    return (
        all(usable(snapshot, snapshot.links[name]) for name in route.links)
        and all(
            Capability.KEY_RELAY in (node := snapshot.nodes[name]).capabilities
            and (not wanted.trust_domains or node.trust_domain in wanted.trust_domains)
            for name in route.transit
        )
        and (wanted.max_hops is None or len(route.links) <= wanted.max_hops)
        and wanted.avoid_nodes.isdisjoint(route.nodes)
        and wanted.avoid_links.isdisjoint(route.links)
        and (not passing or (wanted.pass_nodes <= {*route.nodes} and wanted.pass_links <= {*route.links}))
    )


def rank(snapshot: Snapshot, route: Route) -> tuple[int, int, tuple[str, ...]]:
    """Return the stated objective: fewest links, roomiest bottleneck, names read from the smaller end."""
    names = route.links if route.source < route.target else route.links[::-1]
    return len(route.links), -room(snapshot, route), names


def all_in_order(snapshot: Snapshot, wanted: Demand) -> list[Route]:
    """Return every route that may carry one share, best first."""
    need = link_charge_millibit_per_s(wanted.rate_millibit_per_s)
    routes = [
        route
        for route in simple_routes(snapshot, wanted.source, wanted.target)
        if allowed(snapshot, wanted, route) and room(snapshot, route) >= need
    ]
    return sorted(routes, key=lambda route: rank(snapshot, route))


def apart(snapshot: Snapshot, one: Route, other: Route) -> bool:
    """Tell whether two routes share no link, no node and no place between the ends (the ends' places are exempt)."""
    ends = {snapshot.nodes[one.source].place, snapshot.nodes[one.target].place}
    places = [{snapshot.nodes[name].place for name in route.transit} - ends for route in (one, other)]
    return (
        {*one.transit}.isdisjoint(other.transit)
        and {*one.links}.isdisjoint(other.links)
        and places[0].isdisjoint(places[1])
    )


def disjoint_sets(snapshot: Snapshot, wanted: Demand, k: int, need: int) -> Iterator[tuple[Route, ...]]:
    """Yield every allowed set of k routes."""
    routes = [
        route
        for route in simple_routes(snapshot, wanted.source, wanted.target)
        if allowed(snapshot, wanted, route, passing=False) and room(snapshot, route) >= need
    ]
    for chosen in combinations(routes, k):
        if (
            all(apart(snapshot, one, other) for one, other in combinations(chosen, 2))
            and wanted.pass_nodes <= {name for route in chosen for name in route.nodes}
            and wanted.pass_links <= {name for route in chosen for name in route.links}
        ):
            yield chosen


@st.composite
def networks(draw: st.DrawFn, *, most_nodes: int = 6, most_links: int = 10, places: bool = False) -> Snapshot:
    """Multigraphs with parallel links, few distinct rooms (so that ties are common), and links out of use."""
    size = draw(st.integers(2, most_nodes))
    names = [f"n{number}" for number in range(size)]
    relays = frozenset({Capability.KEY_RELAY, Capability.KEY_DELIVERY})
    nodes = tuple(
        Node(
            name=name,
            trust_domain=draw(st.sampled_from(["", "", "other"])),
            location=draw(st.sampled_from(["", "", "here", "there"])) if places else "",
            capabilities=draw(st.sampled_from([relays] * 9 + [frozenset({Capability.KEY_DELIVERY})])),
        )
        for name in names
    )
    ends = draw(
        st.lists(
            st.tuples(st.sampled_from(names), st.sampled_from(names)).filter(lambda pair: pair[0] != pair[1]),
            max_size=most_links,
        )
    )
    labels = draw(st.permutations([f"l{number}" for number in range(len(ends))]))
    links = tuple(
        link(
            label,
            a,
            b,
            draw(st.sampled_from([0, CHARGE - 1, CHARGE, 2 * CHARGE, 3 * CHARGE])),
            maintenance=draw(st.sampled_from([False] * 12 + [True])),
        )
        for label, (a, b) in zip(labels, ends, strict=True)
    )
    cut = draw(st.sets(st.sampled_from(labels), max_size=1)) if labels else set()
    return network(*links, nodes=nodes, conditions={name: down("cut") for name in cut})


@st.composite
def demands(draw: st.DrawFn, snapshot: Snapshot, *, passing: bool = True) -> Demand:
    names = sorted(snapshot.nodes)
    source, target = draw(st.permutations(names))[:2]
    others = [name for name in names if name not in (source, target)]
    links = sorted(snapshot.links)

    def some(values: list[str], most: int) -> frozenset[str]:
        if not values or not draw(st.sampled_from([False, False, True])):
            return frozenset()
        return frozenset(draw(st.sets(st.sampled_from(values), max_size=most)))

    avoid_nodes, avoid_links = some(others, 1), some(links, 2)
    return demand(
        source,
        target,
        max_hops=draw(st.sampled_from([None, None, None, 1, 2, 3, 4])),
        avoid_nodes=avoid_nodes,
        avoid_links=avoid_links,
        pass_nodes=some(names, 2) - avoid_nodes if passing else frozenset(),
        pass_links=some(links, 2) - avoid_links if passing else frozenset(),
        trust_domains=draw(st.sampled_from([frozenset[str]()] * 4 + [frozenset({""})])),
    )


@st.composite
def problems(
    draw: st.DrawFn, *, places: bool = False, passing: bool = True, most_nodes: int = 6, most_links: int = 10
) -> tuple[Snapshot, Demand]:
    snapshot = draw(networks(places=places, most_nodes=most_nodes, most_links=most_links))
    return snapshot, draw(demands(snapshot, passing=passing))
