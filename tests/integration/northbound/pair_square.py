"""A network of pairs with two ways, dead ends, and links of two regimes."""

from dataclasses import replace

from controller.domain.node import Interface, Technology
from controller.domain.pair_link import EndNodeKind, PairHardware, Regime
from controller.domain.snapshot import Snapshot
from tests.support.pair_networks import pair_link, pair_snapshot, station

STORES = PairHardware(memories=2000, end_node=EndNodeKind.MEMORY, can_purify=True)
NODES = {
    "a": STORES,
    "b": STORES,
    "c": STORES,
    "d": STORES,
    "e": PairHardware(memories=2000, swap_success=0.0),
    "f": PairHardware(memories=2000, coherence_s=0.5, end_node=EndNodeKind.MEMORY),
}


def square() -> Snapshot:
    """Two ways from a to c, over b and d; e cannot swap, and leads to f; g (without memories) and h stand alone."""
    links = [
        pair_link("ab", "a", "b", (0.1, 0.99), length_km=10.0),
        pair_link("bc", "b", "c", (0.1, 0.99), length_km=10.0),
        pair_link("ad", "a", "d", (0.05, 0.98), length_km=10.0),
        pair_link("cd", "c", "d", (0.05, 0.98), length_km=10.0),
        pair_link("ce", "c", "e", (0.1, 0.99)),
        pair_link("ef", "e", "f", (0.1, 0.99)),
        pair_link("am", "a", "m", (0.1, 0.99), regime=Regime.MEMORY),
        pair_link("bm", "m", "f", (0.1, 0.99)),
    ]
    stations = [station(name, hardware) for name, hardware in NODES.items()]
    stations += [station("g", None), station("m", STORES), station("h", STORES)]
    ports: dict[str, list[Interface]] = {node.name: [] for node in stations}
    wired = []
    for link in links:
        ends = []
        for end in link.ends:
            own = ports[end.node]
            own.append(Interface(number=len(own) + 1, technology=Technology.ENTANGLEMENT))
            ends.append(replace(end, interface=len(own)))
        wired.append(replace(link, ends=(ends[0], ends[1])))
    return pair_snapshot([replace(node, interfaces=tuple(ports[node.name])) for node in stations], wired)
