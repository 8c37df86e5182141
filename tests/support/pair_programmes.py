"""A second way to the best rate of an entanglement path: dynamic programmes over nodes instead of a search over routes.

BUFFERED: segments between all pairs of nodes, joined at all nodes until nothing gets better (a swap tree is just
that; walks that cross themselves never gain). AT_ONCE: for every rate that a hop may have, Bellman and Ford's rounds
with what is purest at that rate. SLOT: layers of hops for every width, with the chances of at least i successes.
"""

import itertools
import math
from collections.abc import Iterable

from controller.domain.entanglement_path import PairDemand
from controller.domain.pair_link import PairHardware, Regime, usable_success
from controller.domain.snapshot import Snapshot

Hop = tuple[str, str, list[tuple[float, float]], float, int]
"""(a, b, (rate or chance, w) of each way to run it, period, channels)."""


def best_rate_hz(snapshot: Snapshot, demand: PairDemand, regime: Regime) -> float:
    """Return the highest rate that keeps the fidelity; 0 where none does."""
    hardware = {name: node.pairs for name, node in snapshot.nodes.items() if node.pairs is not None}
    hops = list(_hops(snapshot, demand, regime, hardware))
    most = len(snapshot.nodes) - 1 if demand.max_hops is None else demand.max_hops
    need = (4 * demand.minimum_fidelity - 1) / 3 * (1 - 1e-12)
    programme = {Regime.BUFFERED: _segments, Regime.AT_ONCE: _thresholds, Regime.SLOT: _layers}[regime]
    return programme(hardware, hops, demand, most, need)


def _hops(snapshot: Snapshot, demand: PairDemand, regime: Regime, hardware: dict[str, PairHardware]) -> Iterable[Hop]:
    for link in snapshot.links.values():
        a, b = link.nodes
        if link.pairs is None or link.pairs.regime is not regime or link.name in demand.avoid_links:
            continue
        if a not in hardware or b not in hardware or {a, b} & demand.avoid_nodes:
            continue
        ways = []
        for option in link.pairs.options:
            w, rate = (4 * option.fidelity - 1) / 3, usable_success(option.success_probability)
            if regime is Regime.SLOT:
                ways.append((rate, w))
                continue
            rate /= link.pairs.attempt_period_s
            ways.append((rate, w))
            if hardware[a].can_purify and hardware[b].can_purify:
                for _ in range(2):
                    success = (1 + w * w) / 2
                    w, rate = (w + 2 * w * w) / 3 / success, rate * success / 2
                    ways.append((rate, w))
        yield a, b, ways, link.pairs.attempt_period_s, link.pairs.memory_pairs


def _quality(one: PairHardware) -> float:
    return one.one_qubit_gate_quality * one.gate_quality * (4 * one.readout_quality**2 - 1) / 3


def _swaps(name: str, hardware: dict[str, PairHardware], demand: PairDemand) -> bool:
    return (
        name not in (demand.source, demand.target) and hardware[name].memories >= 2 and hardware[name].swap_success > 0
    )


def _unbeaten(points: Iterable[tuple[float, ...]]) -> list[tuple[float, ...]]:
    """Return the points of which no other one has at least as much of everything."""
    kept: list[tuple[float, ...]] = []
    for point in sorted(set(points), reverse=True):
        if not any(all(x >= y for x, y in zip(other, point, strict=True)) for other in kept):
            kept.append(point)
    return kept


def _segments(hardware: dict[str, PairHardware], hops: list[Hop], demand: PairDemand, most: int, need: float) -> float:
    # (rate, w, -hops) of the segments between two nodes, in either order of the names
    of: dict[tuple[str, str], list[tuple[float, ...]]] = {}
    for a, b, ways, _, _ in hops:
        for ends in ((a, b), (b, a)):
            of[ends] = _unbeaten([*of.get(ends, []), *((rate, w, -1.0) for rate, w in ways)])
    while True:
        grown = {ends: list(points) for ends, points in of.items()}
        for (a, middle), (other, b) in itertools.product(of, of):
            if middle != other or a == b or not _swaps(middle, hardware, demand):
                continue
            q, s = hardware[middle].swap_success, _quality(hardware[middle])
            joined = [
                (q * min(left[0], right[0]), left[1] * right[1] * s, left[2] + right[2])
                for left in of[a, middle]
                for right in of[middle, b]
                if -left[2] - right[2] <= most and left[1] * right[1] * s >= need
            ]
            grown[a, b] = _unbeaten([*grown.get((a, b), []), *joined])
        if grown == of:
            break
        of = grown
    return max((p[0] for p in of.get((demand.source, demand.target), []) if p[1] >= need and -p[2] <= most), default=0)


def _thresholds(
    hardware: dict[str, PairHardware], hops: list[Hop], demand: PairDemand, most: int, need: float
) -> float:
    best = 0.0
    for least in sorted({rate for _, _, ways, _, _ in hops for rate, _ in ways}):
        purest = [
            (a, b, max(w for rate, w in ways if rate >= least))
            for a, b, ways, _, _ in hops
            if any(rate >= least for rate, _ in ways)
        ]
        # (prod q, w) at each node after so many hops
        at: dict[str, list[tuple[float, ...]]] = {demand.source: [(1.0, 1.0)]}
        for _ in range(most):
            following: dict[str, list[tuple[float, ...]]] = {}
            for a, b, w in purest:
                for here, far in ((a, b), (b, a)):
                    if here != demand.source and not _swaps(here, hardware, demand):
                        continue
                    q, s = (
                        (1.0, 1.0) if here == demand.source else (hardware[here].swap_success, _quality(hardware[here]))
                    )
                    following.setdefault(far, []).extend((p * q, x * w * s) for p, x in at.get(here, []))
            at = {node: _unbeaten(points) for node, points in following.items()}
            best = max([best, *(p * least for p, x in at.get(demand.target, []) if x >= need)])
    return best


def _layers(hardware: dict[str, PairHardware], hops: list[Hop], demand: PairDemand, most: int, need: float) -> float:
    best = 0.0
    for width in range(1, max((channels for *_, channels in hops), default=0) + 1):
        wide = [hop for hop in hops if hop[4] >= width]
        # (prod q, w, -longest period, P(at least 1), ..., P(at least width)) at each node after so many hops
        at: dict[str, list[tuple[float, ...]]] = {demand.source: [(1.0, 1.0, 0.0, *([1.0] * width))]}
        if min(hardware[demand.source].memories, hardware[demand.target].memories) < width:
            continue
        for _ in range(most):
            following: dict[str, list[tuple[float, ...]]] = {}
            for a, b, ways, period_s, _ in wide:
                for here, far in ((a, b), (b, a)):
                    q, s = 1.0, 1.0
                    if here != demand.source:
                        if not _swaps(here, hardware, demand) or hardware[here].memories < 2 * width:
                            continue
                        q, s = hardware[here].swap_success, _quality(hardware[here])
                    for chance, w in ways:
                        tails = [_at_least(count, width, chance) for count in range(1, width + 1)]
                        following.setdefault(far, []).extend(
                            (
                                point[0] * q,
                                point[1] * w * s,
                                min(point[2], -period_s),
                                *(x * y for x, y in zip(point[3:], tails, strict=True)),
                            )
                            for point in at.get(here, [])
                            if point[1] * w * s >= need
                        )
            at = {node: _unbeaten(points) for node, points in following.items()}
            for point in at.get(demand.target, []):
                best = max(best, point[0] * sum(point[3:]) / -point[2])
    return best


def _at_least(count: int, width: int, chance: float) -> float:
    return math.fsum(math.comb(width, k) * chance**k * (1 - chance) ** (width - k) for k in range(count, width + 1))
