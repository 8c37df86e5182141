"""Which rules a path version follows, by its regime; and when a changed entry is still the same plan."""

from controller.domain.entries import PathEntry
from controller.domain.pair_link import Regime
from southbound.agent.pairs.at_once import AtOnce
from southbound.agent.pairs.buffers import Buffers
from southbound.agent.pairs.lanes import Lanes
from southbound.agent.pairs.part import Host, Part
from southbound.agent.pairs.route import Route
from southbound.agent.pairs.slots import Slots


def same_plan(wanted: PathEntry | None, known: PathEntry) -> bool:
    """Tell whether what is set makes pairs in the same way as what was set before."""
    return wanted is not None and _plan(wanted) == _plan(known)


def _plan(entry: PathEntry) -> tuple[object, ...]:
    return (
        entry.nodes, entry.hops, entry.hop_lengths_m, entry.swaps, entry.regime, entry.lanes, entry.buffer_pairs,
        entry.use,
    )  # fmt: skip


def part_of(host: Host, entry: PathEntry, route: Route) -> Part:
    """Return a node's part in a version of a path, by the rules of its regime."""
    kinds: dict[Regime, type[Part]] = {
        Regime.SLOT: Slots,
        Regime.MEMORY: Lanes,
        Regime.BUFFERED: Buffers,
        Regime.AT_ONCE: AtOnce,
    }
    return kinds[entry.regime](host, entry, route)
