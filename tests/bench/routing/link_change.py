"""Times applying the change of one link to the arrays beside making them anew."""

from collections.abc import Iterator
from dataclasses import replace
from statistics import median
from time import perf_counter
from typing import Final

from controller.domain.link import Link, LinkCondition, LinkEnd
from controller.domain.node import Node
from controller.domain.snapshot import Snapshot
from controller.routing.ground import ground_of
from tests.bench.collected import Works
from tests.bench.gabriel import gabriel
from tests.bench.line import time_line

_NODES: Final = 10_000
_CHANGES: Final = 200
_REBUILDS: Final = 5


def network(n_nodes: int, seed: int = 1) -> Snapshot:
    """Return a Gabriel graph as a network of QKD links, all of whose nodes hold a session and were measured."""
    graph = gabriel(n_nodes, seed)
    names = [f"n{number:06}" for number in range(n_nodes)]
    links = {}
    for number, (a, b) in enumerate(graph.ends.tolist()):
        name = f"l{number:06}"
        links[name] = Link(
            name=name,
            ends=(LinkEnd(node=names[a], interface=number), LinkEnd(node=names[b], interface=number)),
            model_skr_millibit_per_s=1_000_000,
        )
    return Snapshot(
        nodes={name: Node(name=name) for name in names},
        links=links,
        conditions={name: LinkCondition(promised_skr_millibit_per_s=1_000_000) for name in links},
        connected=frozenset(names),
    )


def link_changes() -> Iterator[dict[str, object]]:
    """Measure one link after the other going down and coming back."""
    snapshot = network(_NODES)
    ground = ground_of(snapshot)
    rebuilding, following = [], []
    for number, name in enumerate(list(snapshot.links)[:_CHANGES]):
        cut = LinkCondition(down_at=frozenset({"x"}))
        after = replace(snapshot, conditions={**snapshot.conditions, name: cut})
        begun = perf_counter()
        changed = ground.at(after)
        following.append(perf_counter() - begun)
        if number < _REBUILDS:
            begun = perf_counter()
            anew = ground_of(after)
            rebuilding.append(perf_counter() - begun)
            assert (changed.usable == anew.usable).all()
    yield time_line(
        f"link-change: a link goes down among {len(snapshot.links)}",
        median(following) * 1e6,
        "us",
        "our own arrays made anew",
        median(rebuilding) * 1e6,
        nodes=_NODES,
    )


WORKS: Final[Works] = {"link-change": link_changes}
