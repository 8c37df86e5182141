"""Small networks to decide on."""

from collections.abc import Iterable
from dataclasses import replace

from controller.domain.link import Link, LinkEnd, LinkKind
from controller.domain.node import Interface, Node, Technology
from controller.domain.pair_link import PairHardware, PairModel, PairOption, Regime
from controller.domain.snapshot import Snapshot, joined, put

PAIRS = PairModel(
    regime=Regime.MEMORY,
    attempt_period_s=1e-3,
    memory_pairs=8,
    options=(PairOption(success_probability=0.05, fidelity=0.98),),
)
"""What a link makes of pairs in tests: 50 a second for each of its memory pairs, or as many as are said."""
HARDWARE = PairHardware(memories=64, swap_success=0.9, swap_duration_s=1e-4)
"""What a node has for pairs in tests: memories that keep them well, and swaps that mostly succeed."""


def network(
    links: Iterable[tuple[str, str, str, int]],
    *,
    pairs: Iterable[tuple[str, str, str, int]] = (),
    model: PairModel | None = None,
    memories: int = 64,
    locations: dict[str, str] | None = None,
) -> Snapshot:
    """Return a snapshot of links (name, node, node, capacity in bit/s), and of pairs (the same, memory pairs).

    Every agent is there, and where pairs are made every node has memories; `model` is for links of another regime.
    """
    interfaces: dict[str, list[Interface]] = {}
    made: list[Link] = []

    def ends_of(first: str, second: str, technology: Technology) -> tuple[LinkEnd, LinkEnd]:
        ends = []
        for node in sorted((first, second)):
            own = interfaces.setdefault(node, [])
            own.append(Interface(number=len(own) + 1, technology=technology))
            ends.append(LinkEnd(node=node, interface=len(own)))
        return ends[0], ends[1]

    for name, first, second, bit_per_s in links:
        ends = ends_of(first, second, Technology.DV_QKD)
        made.append(Link(name=name, ends=ends, model_skr_millibit_per_s=bit_per_s * 1000))
    entangled = list(pairs)
    for name, first, second, memory_pairs in entangled:
        made.append(
            Link(
                name=name,
                kind=LinkKind.ENTANGLEMENT,
                ends=ends_of(first, second, Technology.ENTANGLEMENT),
                model_skr_millibit_per_s=0,
                length_km=10.0,
                pairs=replace(model or PAIRS, memory_pairs=memory_pairs),
            )
        )
    nodes = [
        Node(
            name=name,
            interfaces=tuple(own),
            location=(locations or {}).get(name, ""),
            pairs=replace(HARDWARE, memories=memories) if entangled else None,
        )
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
