"""Entries of paths for tests: chains of equal nodes and links."""

import itertools
from collections.abc import Sequence

from controller.domain.entanglement_path import PairUse
from controller.domain.entries import PathEntry
from controller.domain.pair_link import PairHardware, PairModel, PairOption, Regime
from controller.domain.path_plan import HopPlan, SwapStep
from tests.support.virtual_pairs import Fibre, VirtualNetwork


def halving(
    nodes: Sequence[str], cutoff_s: float | None = None, first: int = 0, last: int | None = None
) -> list[SwapStep]:
    """Return the swaps of the nested halving of a chain."""
    last = len(nodes) - 1 if last is None else last
    if last - first < 2:
        return []
    middle = first + (last - first) // 2
    cutoff_ns = None if cutoff_s is None else round(cutoff_s * 1e9)
    return [
        *halving(nodes, cutoff_s, first, middle),
        *halving(nodes, cutoff_s, middle, last),
        SwapStep(node=nodes[middle], left=nodes[first], right=nodes[last], cutoff_ns=cutoff_ns),
    ]


def model(regime: Regime, success: float = 0.1, fidelity: float = 0.97, period_s: float = 1e-3) -> PairModel:
    """Return a link of one option."""
    option = PairOption(success_probability=success, fidelity=fidelity)
    return PairModel(regime=regime, attempt_period_s=period_s, memory_pairs=64, options=(option,))


def chain(
    nodes: Sequence[str],
    regime: Regime = Regime.MEMORY,
    *,
    version: int = 1,
    path: str = "p",
    lanes: int = 1,
    rounds: int = 0,
    buffer_pairs: int = 0,
    rate_hz: float = 0.0,
    cutoff_s: float | None = None,
    length_m: int = 0,
    test_share: float = 0.05,
    promised_hz: float = 1.0,
    use: PairUse = PairUse.KEEP,
    packet: tuple[int, int] = (0, 0),
    key_link: str = "",
) -> PathEntry:
    """Return a path over links that are called after their ends, as "a-b"."""
    hops = tuple(
        HopPlan(
            link="-".join(sorted(ends)),
            option=0,
            purification_rounds=rounds,
            memory_pairs=lanes << rounds,
            rate_millihertz=round(rate_hz * 1000),
        )
        for ends in itertools.pairwise(nodes)
    )
    return PathEntry(
        path=path,
        route_version=version,
        nodes=tuple(nodes),
        hops=hops,
        hop_lengths_m=(length_m,) * len(hops),
        swaps=tuple(halving(nodes, cutoff_s)),
        regime=regime,
        lanes=lanes,
        buffer_pairs=buffer_pairs,
        use=use,
        test_share=test_share,
        rate_millihertz=round(promised_hz * 1000),
        fidelity=0.8,
        minimum_fidelity=0.7,
        packet_pairs=packet[0],
        packet_window_ms=packet[1],
        key_link=key_link,
    )


def hardware(memories: int = 64, **values: float | None) -> PairHardware:
    """Return a node without faults, but for what is said."""
    return PairHardware(memories=memories, can_purify=True, **values)  # type: ignore[arg-type]


def network(
    nodes: Sequence[str],
    of: PairModel,
    node: PairHardware,
    *,
    length_m: int = 0,
    seed: int = 0,
    more: Sequence[str] = (),
) -> VirtualNetwork:
    """Return a chain of nodes, with further links as "a-c"."""
    pairs = [tuple(sorted(ends)) for ends in itertools.pairwise(nodes)]
    pairs += [(name.split("-")[0], name.split("-")[1]) for name in more]
    fibres = [Fibre(name=f"{one}-{other}", ends=(one, other), model=of, length_m=length_m) for one, other in pairs]
    names = sorted({name for ends in pairs for name in ends})
    return VirtualNetwork(dict.fromkeys(names, node), fibres, seed=seed)
