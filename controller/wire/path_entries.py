"""One node's part in an entanglement path <-> the message that it travels in, and what makes no sense in one."""

import math
from typing import Final

from controller.domain.entanglement_path import PairUse
from controller.domain.entries import PathEntry
from controller.domain.names import LABEL_RULE, is_label
from controller.domain.pair_link import MAX_MEMORIES, MAX_OPTIONS, Regime
from controller.domain.path_plan import MAX_PURIFICATION_ROUNDS, HopPlan, SwapStep
from controller.domain.refusals import InvalidValue
from qinet.southbound.v1 import entries_pb2 as pb
from qinet.types.v1 import pairs_pb2

MAX_TEST_SHARE: Final = 0.5
MAX_PURPOSE: Final = 65535
LEAST_BLOCK_BIT: Final = 2
"""Of a block of sifted bits at least one is disclosed and one kept."""

_REGIME_TO_PB: Final = {
    Regime.SLOT: pairs_pb2.REGIME_SLOT,
    Regime.MEMORY: pairs_pb2.REGIME_MEMORY,
    Regime.BUFFERED: pairs_pb2.REGIME_BUFFERED,
    Regime.AT_ONCE: pairs_pb2.REGIME_AT_ONCE,
}
_REGIME_FROM_PB: Final = {value: regime for regime, value in _REGIME_TO_PB.items()}
_USE_TO_PB: Final = {PairUse.KEEP: pairs_pb2.PAIR_USE_KEEP, PairUse.MEASURE: pairs_pb2.PAIR_USE_MEASURE}
_USE_FROM_PB: Final = {value: use for use, value in _USE_TO_PB.items()}


def path_to_pb(entry: PathEntry) -> pb.PathInstruction:
    """Return the instruction as it travels.

    Raises:
        ValueError: A number does not fit its field.
    """
    return pb.PathInstruction(
        path=entry.path,
        route_version=entry.route_version,
        nodes=entry.nodes,
        hops=[
            pairs_pb2.HopPlan(
                link=hop.link,
                option=hop.option,
                purification_rounds=hop.purification_rounds,
                memory_pairs=hop.memory_pairs,
                rate_millihertz=hop.rate_millihertz,
            )
            for hop in entry.hops
        ],
        hop_lengths_m=entry.hop_lengths_m,
        swaps=[
            pairs_pb2.SwapStep(node=swap.node, left=swap.left, right=swap.right, cutoff_ns=swap.cutoff_ns)
            for swap in entry.swaps
        ],
        regime=_REGIME_TO_PB[entry.regime],
        lanes=entry.lanes,
        buffer_pairs=entry.buffer_pairs,
        use=_USE_TO_PB[entry.use],
        purpose=entry.purpose,
        priority=entry.priority,
        test_share=entry.test_share,
        rate_millihertz=entry.rate_millihertz,
        fidelity=entry.fidelity,
        minimum_fidelity=entry.minimum_fidelity,
        packet_pairs=entry.packet_pairs,
        packet_window_ms=entry.packet_window_ms,
        key_link=entry.key_link,
        distillation_block_bit=entry.distillation_block_bit,
        passive=entry.passive,
    )


def path_from_pb(entry_id: str, path: pb.PathInstruction) -> PathEntry:
    """Return the instruction that travelled under that id; what is absent is at its default.

    Raises:
        InvalidValue: Its regime or use is none that this version knows.
    """
    regime, use = _REGIME_FROM_PB.get(path.regime), _USE_FROM_PB.get(path.use)
    if regime is None:
        raise InvalidValue(entry_id, ("regime", f"{path.regime} is none that is known here"))
    if use is None:
        raise InvalidValue(entry_id, ("use", f"{path.use} is none that is known here"))
    return PathEntry(
        path=path.path,
        route_version=path.route_version,
        nodes=tuple(path.nodes),
        hops=tuple(
            HopPlan(
                link=hop.link,
                option=hop.option,
                purification_rounds=hop.purification_rounds,
                memory_pairs=hop.memory_pairs,
                rate_millihertz=hop.rate_millihertz,
            )
            for hop in path.hops
        ),
        hop_lengths_m=tuple(path.hop_lengths_m),
        swaps=tuple(
            SwapStep(
                node=swap.node,
                left=swap.left,
                right=swap.right,
                cutoff_ns=swap.cutoff_ns if swap.HasField("cutoff_ns") else None,
            )
            for swap in path.swaps
        ),
        regime=regime,
        lanes=path.lanes,
        buffer_pairs=path.buffer_pairs,
        use=use,
        purpose=path.purpose,
        priority=path.priority,
        test_share=path.test_share,
        rate_millihertz=path.rate_millihertz,
        fidelity=path.fidelity,
        minimum_fidelity=path.minimum_fidelity,
        packet_pairs=path.packet_pairs,
        packet_window_ms=path.packet_window_ms,
        key_link=path.key_link,
        distillation_block_bit=path.distillation_block_bit,
        passive=path.passive,
    )


def check_path(entry: PathEntry, problems: list[tuple[str, str]]) -> None:
    """Add what makes no sense in an instruction, as (field, what): whoever follows it needs no more checks."""
    if not is_label(entry.path):
        problems.append(("path", f"{entry.path!r} is not {LABEL_RULE}"))
    if entry.route_version < 1:
        problems.append(("route_version", "is 0: versions count from 1"))
    _check_route(entry, problems)
    _check_swaps(entry, problems)
    if entry.lanes < 1:
        problems.append(("lanes", "is 0: at least one is made"))
    if entry.lanes > MAX_MEMORIES:
        problems.append(("lanes", f"{entry.lanes} are more than the {MAX_MEMORIES} memories that a node can have"))
    if entry.regime is Regime.BUFFERED and entry.buffer_pairs < 1:
        problems.append(("buffer_pairs", "is 0: in the buffered regime every segment has a buffer"))
    if not 0 <= entry.purpose <= MAX_PURPOSE:
        problems.append(("purpose", f"{entry.purpose} is not in 0..{MAX_PURPOSE}"))
    if not 0.0 <= entry.test_share <= MAX_TEST_SHARE:
        problems.append(("test_share", f"{entry.test_share} is not in [0, {MAX_TEST_SHARE}]"))
    if entry.rate_millihertz < 1:
        problems.append(("rate_millihertz", "is 0: a path promises some"))
    for field, value in (("fidelity", entry.fidelity), ("minimum_fidelity", entry.minimum_fidelity)):
        if not (math.isfinite(value) and 0.25 < value <= 1.0):
            problems.append((field, f"{value} is not in (0.25, 1]"))
    if entry.packet_pairs and entry.packet_window_ms < 1:
        problems.append(("packet_window_ms", "is 0, and packets are asked for"))
    if entry.key_link:
        if not is_label(entry.key_link):
            problems.append(("key_link", f"{entry.key_link!r} is not {LABEL_RULE}"))
        if entry.use is not PairUse.MEASURE:
            problems.append(("use", "key is made of pairs that are measured: USE_MEASURE"))
        if entry.distillation_block_bit < LEAST_BLOCK_BIT:
            problems.append(("distillation_block_bit", f"{entry.distillation_block_bit} is below {LEAST_BLOCK_BIT}"))


def _check_route(entry: PathEntry, problems: list[tuple[str, str]]) -> None:
    nodes, hops = entry.nodes, entry.hops
    for field, names in (("nodes", nodes), ("hops.link", tuple(hop.link for hop in hops))):
        problems.extend((field, f"{name!r} is not {LABEL_RULE}") for name in names if not is_label(name))
        if len(set(names)) != len(names):
            problems.append((field, "names one twice"))
    if len(nodes) < 2:
        problems.append(("nodes", "has fewer than two: a path joins two nodes"))
    if len(hops) != len(nodes) - 1:
        problems.append(("hops", f"has {len(hops)} for {len(nodes)} nodes, not one fewer"))
    if entry.hop_lengths_m and len(entry.hop_lengths_m) != len(hops):
        problems.append(("hop_lengths_m", f"has {len(entry.hop_lengths_m)} for {len(hops)} hops"))
    for index, hop in enumerate(hops):
        where = f"hops[{index}]"
        if hop.option >= MAX_OPTIONS:
            problems.append((f"{where}.option", f"{hop.option} is not below {MAX_OPTIONS}"))
        if hop.purification_rounds > MAX_PURIFICATION_ROUNDS:
            problems.append((f"{where}.purification_rounds", f"{hop.purification_rounds} are more than 8"))
        if hop.memory_pairs < 1:
            problems.append((f"{where}.memory_pairs", "is 0: a pair needs one"))
        if entry.regime in (Regime.BUFFERED, Regime.AT_ONCE) and hop.rate_millihertz < 1:
            problems.append(
                (f"{where}.rate_millihertz", f"is 0: the {entry.regime.value} regime makes pairs at a rate")
            )


def _check_swaps(entry: PathEntry, problems: list[tuple[str, str]]) -> None:
    """See that the swaps join neighbouring segments, from the hops to the whole."""
    ends = list(entry.nodes)
    for index, swap in enumerate(entry.swaps):
        at = ends.index(swap.node) if swap.node in ends[1:-1] else 0
        if not at or (ends[at - 1], ends[at + 1]) != (swap.left, swap.right):
            what = f"({swap.left}, {swap.node}) and ({swap.node}, {swap.right}) are not both there to be joined"
            problems.append((f"swaps[{index}]", what))
            return
        del ends[at]
    if len(ends) > 2:
        problems.append(("swaps", f"leave {len(ends) - 1} segments: every node between the ends swaps once"))
