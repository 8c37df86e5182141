"""The pair side of links and nodes, in words and columns: what entanglement links make, and what nodes store it in.

Fidelity is F = <Phi+|rho|Phi+>, a ratio; rates are in pairs per second.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from controller.cli.quantities import shown_fidelity, shown_hz, shown_number, shown_span
from qinet.types.v1.pairs_pb2 import EndNodeKind, Regime

if TYPE_CHECKING:
    from qinet.northbound.v1.link_pb2 import Link
    from qinet.northbound.v1.node_pb2 import Node
    from qinet.types.v1.pairs_pb2 import FidelityEstimate, PairModel

_PARALLEL: Final = frozenset({Regime.REGIME_SLOT, Regime.REGIME_MEMORY})
LINK_COLUMNS: Final = ("regime", "made pairs/s", "fidelity (samples, age)", "reserved pairs", "memory pairs")
"""What links are shown with where some of them make pairs."""
NODE_COLUMNS: Final = ("memories", "swaps", "end node")
"""What nodes are shown with where some of them have something for pairs."""


def regime_word(regime: int) -> str:
    """Return the regime of a link or plan, in a word.

    >>> regime_word(Regime.REGIME_AT_ONCE)
    'at-once'
    """
    return Regime.Name(regime).removeprefix("REGIME_").lower().replace("_", "-")  # type: ignore[arg-type]  # any number


def estimate(found: "FidelityEstimate") -> str:
    """Return an estimate with its 95 % interval: `0.9120 [0.8930, 0.9310]`."""
    return f"{shown_fidelity(found.fidelity)} [{shown_fidelity(found.low)}, {shown_fidelity(found.high)}]"


def sampled(found: "FidelityEstimate") -> str:
    """Return what an estimate rests on: `400 in 12s`."""
    return f"{found.samples} in {shown_span(found.age_ms / 1000)}"


def any_pairs(resources: "Iterable[Link | Node]") -> bool:
    """Tell whether something here has to do with pairs."""
    return any(one.HasField("pairs") for one in resources)


def link_cells(link: "Link") -> tuple[str, ...]:
    """Return the cells of LINK_COLUMNS; empty ones of a link that makes key."""
    if not link.HasField("pairs"):
        return ("",) * len(LINK_COLUMNS)
    measured = link.measurement
    return (
        regime_word(link.pairs.regime),
        shown_number(measured.pair_rate_hz) if measured.HasField("pair_rate_hz") else "",
        f"{estimate(measured.fidelity)} ({sampled(measured.fidelity)})" if measured.HasField("fidelity") else "",
        pair_share(link),
        f"{measured.memory_pairs_in_use} of {link.pairs.memory_pairs}" if measured.HasField("pair_rate_hz") else "",
    )


def pair_share(link: "Link") -> str:
    """Return what paths hold of an entanglement link, of what it has: `4 of 16`, or a rate where that is reserved."""
    if link.pairs.regime in _PARALLEL:
        return f"{link.reserved_pairs} of {link.pair_capacity}"
    return f"{shown_number(link.reserved_pairs / 1000)} of {shown_number(link.pair_capacity / 1000)} Hz"


def pairs_in_use(link: "Link") -> str:
    """Return what paths hold of an entanglement link, in words for one line."""
    unit = {
        Regime.REGIME_SLOT: " channels",
        Regime.REGIME_MEMORY: " memory pairs",
    }.get(link.pairs.regime, "")
    made = link.measurement
    return "  ".join(
        (
            f"{pair_share(link)}{unit} in use",
            *([f"{shown_hz(made.pair_rate_hz)} made"] if made.HasField("pair_rate_hz") else []),
        )
    )


def pair_remarks(link: "Link") -> list[str]:
    """Return what is unusual about the pairs of a link: less, or worse, than its model has."""
    found = []
    if link.HasField("pair_rate_factor") and link.pair_rate_factor < 1:
        found.append(f"{100 * link.pair_rate_factor:.3g} % of the model's pairs")
    if link.HasField("pair_fidelity_loss") and link.pair_fidelity_loss > 0:
        found.append(f"fidelity {link.pair_fidelity_loss:.3f} below the model's")
    return found


def planned_pairs(model: "PairModel") -> str:
    """Return what the model of a link promises: regime, parallel pairs, and each option as `12 Hz of F 0.9500`."""
    parallel = model.memory_pairs if model.regime in _PARALLEL else 1
    period = model.attempt_period_s
    options = (
        f"{shown_hz(one.success_probability * parallel / period) if period > 0 else '?'} of F "
        f"{shown_fidelity(one.fidelity)}" + (f" ({one.label})" if one.label else "")
        for one in model.options
    )
    return f"{regime_word(model.regime)}, {model.memory_pairs} pairs: {'; '.join(options)}"


def pair_label(link: "Link") -> str:
    """Return what an entanglement link is, for a map: regime, and what is measured, else the best of its options."""
    word = regime_word(link.pairs.regime)
    if link.measurement.HasField("pair_rate_hz"):
        return f"{word}, {shown_hz(link.measurement.pair_rate_hz)}"
    best = max((one.fidelity for one in link.pairs.options), default=0.0)
    return f"{word}, F up to {shown_fidelity(best)}"


def node_cells(node: "Node") -> tuple[str, ...]:
    """Return the cells of NODE_COLUMNS; empty ones of a node without pairs."""
    if not node.HasField("pairs"):
        return ("",) * len(NODE_COLUMNS)
    has = node.pairs
    lasting = f" for {shown_number(has.coherence_s)} s" if has.HasField("coherence_s") else ""
    swaps = "no" if has.HasField("swap_success") and has.swap_success == 0 else "yes"
    return (
        f"{has.memories}{lasting}" + (", can purify" if has.can_purify else ""),
        swaps,
        EndNodeKind.Name(has.end_node).removeprefix("END_NODE_KIND_").lower() if has.end_node else "",
    )
