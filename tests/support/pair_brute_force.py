"""The plainest answer of which entanglement path is best: everything is tried, from the formulas as they are written.

Every loop-free route, every option and number of rounds on each hop, every swap tree, width or cut-off. It shares
with what it checks only the domain and, in the memory regime, the prediction of one lane.
"""

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from controller.domain.entanglement_path import PairDemand
from controller.domain.link import Link
from controller.domain.pair_link import Regime, usable_success
from controller.domain.snapshot import Snapshot
from controller.physics.lane import Lane, LaneHop, LaneNode
from controller.physics.memory_regime import fidelity_bound, lane_rate_bound_hz, predict_lane

ROUNDS = (0, 1, 2)
SAME = 1e-9


@dataclass(frozen=True)
class Best:
    rate_hz: float
    links: tuple[str, ...]
    """From the smaller end."""


def best_by_trying_all(snapshot: Snapshot, demand: PairDemand, regime: Regime, *, keyed: bool = False) -> Best | None:
    """Return the best route, or None; `keyed`: of the most secret bits per second, not in the memory regime."""
    best: Best | None = None
    for nodes, links in simple_ways(snapshot, demand, regime):
        least_hz = 0.0 if best is None else best.rate_hz * (1 - 1e-6)
        for rate_hz, w in rates_of(snapshot, demand, regime, nodes, links, least_hz):
            value = rate_hz * key_share(w) if keyed else rate_hz
            if value > 0 and (best is None or _preferred(value, links, best)):
                best = Best(value, tuple(link.name for link in links))
    return best


def _preferred(rate_hz: float, links: list[Link], best: Best) -> bool:
    if abs(rate_hz - best.rate_hz) > SAME * best.rate_hz:
        return rate_hz > best.rate_hz
    return (len(links), tuple(link.name for link in links)) < (len(best.links), best.links)


def simple_ways(snapshot: Snapshot, demand: PairDemand, regime: Regime) -> Iterator[tuple[list[str], list[Link]]]:
    start, goal = sorted((demand.source, demand.target))

    def onward(nodes: list[str], links: list[Link]) -> Iterator[tuple[list[str], list[Link]]]:
        if nodes[-1] == goal:
            yield nodes, links
            return
        if demand.max_hops is not None and len(links) == demand.max_hops:
            return
        for link in snapshot.links.values():
            if link.pairs is None or link.pairs.regime is not regime or link.name in demand.avoid_links:
                continue
            if nodes[-1] in link.nodes:
                far = link.far(nodes[-1])
                if far not in nodes and (far == goal or far not in demand.avoid_nodes):
                    yield from onward([*nodes, far], [*links, link])

    yield from onward([start], [])


def rates_of(
    snapshot: Snapshot, demand: PairDemand, regime: Regime, nodes: list[str], links: list[Link], least_hz: float
) -> Iterator[tuple[float, float]]:
    """Yield (rate, w) of every plan of a route that keeps the fidelity, but of those that physics says are below."""
    hardware = [snapshot.nodes[name].pairs for name in nodes]
    if any(each is None for each in hardware):
        return
    stations = [each for each in hardware if each is not None]
    transit = stations[1:-1]
    if any(each.memories < 2 or each.swap_success == 0 for each in transit):
        return
    if any(each.memories < 1 for each in stations):
        return
    swaps_w = math.prod(
        each.gate_quality * each.one_qubit_gate_quality * (4 * each.readout_quality**2 - 1) / 3 for each in transit
    )
    q = [each.swap_success for each in transit]
    need = (4 * demand.minimum_fidelity - 1) / 3 * (1 - 1e-12)
    ways = [
        [
            (option, rounds)
            for option in link.pairs.options
            for rounds in (ROUNDS if regime is not Regime.SLOT and a.can_purify and b.can_purify else (0,))
        ]
        for link, a, b in zip(links, stations, stations[1:], strict=False)
        if link.pairs is not None
    ]
    for chosen in itertools.product(*ways):
        purified = [purify((4 * option.fidelity - 1) / 3, rounds) for option, rounds in chosen]
        ideal = swaps_w * math.prod(w for w, _ in purified)
        if regime is Regime.MEMORY:
            # Purified pairs decay on the way; raw ones may even be better: so the bound is of either.
            lane = _lane(links, stations, chosen)
            if (4 * fidelity_bound(lane) - 1) / 3 >= need:
                yield from memory_rates(lane, links, stations, [rounds for _, rounds in chosen], demand, least_hz)
            continue
        if ideal < need:
            continue
        periods = [link.pairs.attempt_period_s for link in links if link.pairs is not None]
        chances = [usable_success(option.success_probability) for option, _ in chosen]
        if regime is Regime.SLOT:
            widest = min(
                *(link.pairs.memory_pairs for link in links if link.pairs is not None),
                *(each.memories // 2 for each in transit),
                stations[0].memories,
                stations[-1].memories,
            )
            for width in range(1, widest + 1):
                yield math.prod(q) * mean_least(chances, width) / max(periods), ideal
            continue
        rates = [p / tau / cost for p, tau, (_, cost) in zip(chances, periods, purified, strict=True)]
        if regime is Regime.AT_ONCE:
            yield math.prod(q) * min(rates), ideal
        else:
            for tree in trees(0, len(rates)):
                yield tree_rate(tree, rates, q), ideal


def key_share(w: float) -> float:
    """Return 1 - h(Q) - 1.16 h(Q) of Werner pairs, where that is positive."""
    error = (1 - w) / 2
    if error <= 0.0:
        return 1.0
    entropy = -error * math.log2(error) - (1 - error) * math.log2(1 - error)
    return max(0.0, 1 - 2.16 * entropy)


def purify(w: float, rounds: int) -> tuple[float, float]:
    """Return (w, raw pairs per pair) after nested BBPSSW rounds."""
    cost = 1.0
    for _ in range(rounds):
        f = (1 + 3 * w) / 4
        p = f * f + 2 * f * (1 - f) / 3 + 5 * (1 - f) ** 2 / 9
        f = (f * f + (1 - f) ** 2 / 9) / p
        w, cost = (4 * f - 1) / 3, 2 * cost / p
    return w, cost


Tree = int | tuple[Any, int, Any]


def trees(first: int, last: int) -> Iterator[Tree]:
    """Yield every binary tree over the hops first .. last - 1."""
    if last - first == 1:
        yield first
    for middle in range(first + 1, last):
        for left in trees(first, middle):
            for right in trees(middle, last):
                yield left, middle, right


def tree_rate(tree: Tree, rates: list[float], q: list[float]) -> float:
    if isinstance(tree, int):
        return rates[tree]
    left, middle, right = tree
    best: float = q[middle - 1] * min(tree_rate(left, rates, q), tree_rate(right, rates, q))
    return best


def mean_least(chances: list[float], width: int) -> float:
    """Return E[min of binomial counts]: the sum of P(all are at least i)."""

    def at_least(count: int, p: float) -> float:
        return sum(math.comb(width, k) * p**k * (1 - p) ** (width - k) for k in range(count, width + 1))

    return sum(math.prod(at_least(count, p) for p in chances) for count in range(1, width + 1))


def _lane(links, stations, chosen) -> Lane:  # type: ignore[no-untyped-def]
    return Lane(
        hops=tuple(
            LaneHop(
                success_probability=usable_success(option.success_probability),
                attempt_period_s=link.pairs.attempt_period_s,
                werner=(4 * option.fidelity - 1) / 3,
                purification_rounds=rounds,
                length_km=link.length_km or 0.0,
            )
            for link, (option, rounds) in zip(links, chosen, strict=True)
        ),
        nodes=tuple(
            LaneNode(decay_per_s=0.0 if each.coherence_s is None else 1 / each.coherence_s)
            if place in (0, len(links))
            else LaneNode(
                decay_per_s=0.0 if each.coherence_s is None else 1 / each.coherence_s,
                swap_success=each.swap_success,
                swap_quality=each.gate_quality
                * each.one_qubit_gate_quality
                * (4 * each.readout_quality * each.readout_quality - 1)
                / 3,
            )
            for place, each in enumerate(stations)
        ),
    )


def memory_rates(lane, links, stations, rounds, demand, least_hz) -> Iterator[tuple[float, float]]:  # type: ignore[no-untyped-def]
    """Yield the rate of the longest cut-off that keeps the fidelity, with as many lanes as fit."""
    lanes = min(link.pairs.memory_pairs // 2**times for link, times in zip(links, rounds, strict=True))
    for place, each in enumerate(stations):
        held = (2 ** rounds[place - 1] if place else 0) + (2 ** rounds[place] if place < len(links) else 0)
        lanes = min(lanes, each.memories // held)
    if lanes < 1 or lanes * lane_rate_bound_hz(lane) < least_hz:
        return
    coherences = [each.coherence_s for each in stations if each.coherence_s is not None]
    cutoffs: list[float | None] = [None]
    if coherences and len(links) > 1:
        cutoffs += [min(coherences) * 2.0**-step for step in range(-2, 13)]
    for cutoff_s in cutoffs:
        try:
            one = predict_lane(Lane(hops=lane.hops, nodes=lane.nodes, cutoff_s=cutoff_s))
        except ValueError:
            continue
        if one.fidelity >= demand.minimum_fidelity * (1 - 1e-12):
            yield lanes * one.rate_hz, one.werner
            return
