"""Small random networks whose links are taken in part, and demands between their nodes, from a seed."""

import random
from dataclasses import replace
from itertools import combinations

from controller.domain.admission import Admission
from controller.domain.key_relay import Demand
from controller.domain.link import Link
from controller.domain.node import Node
from controller.domain.snapshot import Snapshot
from controller.routing.graph import Graph, graph_of

from ..networks import CHARGE, demand, link, network

NODES = "abcde"


def world(rng: random.Random, admission: Admission, *, charges: int = 20) -> Snapshot:
    """Return a network of up to 5 nodes in two trust domains; some links are parallel, none is taken."""
    names = NODES[: rng.randint(3, 5)]
    links: list[Link] = []
    for a, b in combinations(names, 2):
        for copy in range(rng.choice((0, 1, 1, 1, 2))):
            links.append(link(f"{a}-{b}-{copy}", a, b, room=rng.randint(1, charges) * CHARGE))
    nodes = tuple(Node(name=name, trust_domain=rng.choice(("east", "west"))) for name in names)
    return replace(network(*links, nodes=nodes), admission=admission)


def taken(rng: random.Random, snapshot: Snapshot) -> Graph:
    """Return the graph of a network some of which is taken."""
    graph = graph_of(snapshot)
    return graph.charged({name: rng.randint(0, graph.room(name) or 0) for name in graph.links})


def wanted(rng: random.Random, snapshot: Snapshot, *, constrained: bool = True) -> Demand:
    """Return a demand between two of its nodes, with a wish now and then."""
    source, target, *others = rng.sample(sorted(snapshot.nodes), len(snapshot.nodes))
    asked = demand(source, target)
    if not constrained:
        return asked
    wishes = {
        "max_hops": rng.randint(1, 4) if rng.random() < 0.4 else None,
        "avoid_nodes": frozenset(others[:1]) if rng.random() < 0.2 else frozenset(),
        "pass_nodes": frozenset(others[1:2]) if rng.random() < 0.3 else frozenset(),
        "trust_domains": frozenset({"east"}) if rng.random() < 0.2 else frozenset(),
    }
    links = sorted(snapshot.links)
    avoided = frozenset({rng.choice(links)} if links and rng.random() < 0.2 else ())
    passed = frozenset({rng.choice(links)} if links and rng.random() < 0.2 else ()) - avoided
    wishes |= {"avoid_links": avoided, "pass_links": passed}
    return replace(asked, **wishes)  # type: ignore[arg-type]
