"""The graph for networkx: for interchange, for drawing, and as the second opinion of tests."""

import networkx as nx

from controller.routing.graph import Graph


def to_networkx(graph: Graph) -> "nx.MultiGraph[str]":
    """Return the usable links as a multigraph whose edge keys are link names.

    Nodes carry `relaying`, `place` and `trust_domain`; edges carry `room_millibit_per_s`.
    """
    wiring = graph.wiring
    view: nx.MultiGraph[str] = nx.MultiGraph()
    for name, relaying, place, domain in zip(
        wiring.nodes, wiring.relaying.tolist(), wiring.places, wiring.trust_domains, strict=True
    ):
        view.add_node(name, relaying=relaying, place=place, trust_domain=domain)
    for name, (a, b), room, usable in zip(wiring.links, wiring.ends, graph.room_list, graph.usable, strict=True):
        if not usable:
            continue
        view.add_edge(wiring.nodes[a], wiring.nodes[b], key=name, room_millibit_per_s=room)
    return view
