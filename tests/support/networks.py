"""Small networks to decide on."""

from collections.abc import Iterable

from controller.domain.link import Link, LinkEnd
from controller.domain.node import Interface, Node, Technology
from controller.domain.snapshot import Snapshot, joined, put


def network(links: Iterable[tuple[str, str, str, int]], *, locations: dict[str, str] | None = None) -> Snapshot:
    """Return a snapshot of links (name, node, node, capacity in bit/s); every agent is there."""
    rows = list(links)
    interfaces: dict[str, list[Interface]] = {}
    made: list[Link] = []
    for name, first, second, bit_per_s in rows:
        ends = []
        for node in sorted((first, second)):
            own = interfaces.setdefault(node, [])
            own.append(Interface(number=len(own) + 1, technology=Technology.DV_QKD))
            ends.append(LinkEnd(node=node, interface=len(own)))
        made.append(Link(name=name, ends=(ends[0], ends[1]), model_skr_millibit_per_s=bit_per_s * 1000))
    nodes = [
        Node(name=name, interfaces=tuple(own), location=(locations or {}).get(name, ""))
        for name, own in interfaces.items()
    ]
    snapshot = Snapshot(revision=1, connected=frozenset(interfaces))
    return snapshot.applying(joined([put(*nodes), put(*made)]))


def line(length: int, bit_per_s: int = 10_000) -> Snapshot:
    """Return n0 - n1 - ... with that many links."""
    return network((f"l{i:02}", f"n{i:02}", f"n{i + 1:02}", bit_per_s) for i in range(length))


def ring(size: int, bit_per_s: int = 10_000) -> Snapshot:
    """Return a ring of nodes n00, n01, ..."""
    return network((f"l{i:02}", f"n{i:02}", f"n{(i + 1) % size:02}", bit_per_s) for i in range(size))
