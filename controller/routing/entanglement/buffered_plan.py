"""Plans of buffered routes: how much each hop has to make for a promised rate, and what storage costs."""

import itertools
import math
from collections.abc import Sequence
from typing import Final

from controller.domain.pair_capacity import swap_time_charge
from controller.domain.pair_link import Regime
from controller.domain.path_plan import HopPlan
from controller.physics.buffered_regime import needed_hop_rates
from controller.physics.finite_buffers import promised_efficiency, tree_buffering
from controller.physics.swap_tree import SwapTree, splits, swap_nodes_above
from controller.routing.entanglement.at_once import storage_factor_at_once
from controller.routing.entanglement.candidate import Candidate
from controller.routing.entanglement.draft import Draft
from controller.routing.entanglement.ground import SAME, Ground

DEPTH_PAIRS: Final = 32
"""Pairs that one buffer holds where there is room."""
MOST_STORAGE_LOSS: Final = 0.005
"""In F: where storage costs more, the regime's formulas are not to be trusted."""


def depths(ground: Ground, candidate: Candidate) -> list[int]:
    """Return the depths of buffers that its memories allow, deepest first: 32 and halves of it, or what just fits."""
    network = ground.network
    nodes = ground.nodes_on(candidate.links)
    held = dict.fromkeys(range(len(nodes)), 0)
    for hop in range(len(candidate.links)):
        held[hop] += 1
        held[hop + 1] += 1
    if ground.regime is Regime.BUFFERED:
        for left, _, right in list(splits(candidate.tree))[:-1]:
            held[left] += 1
            held[right] += 1
    room = [network.memories[node] // held[hop] for hop, node in enumerate(nodes) if node not in ground.storeless]
    of_links = [network.wiring.edges[link].model.memory_pairs for link in candidate.links]
    most = min(*of_links, *room, DEPTH_PAIRS)
    if len(candidate.links) == 1:
        most = min(most, 1)  # nothing waits for another hop
    found = []
    while most >= 1:
        found.append(most)
        most //= 2
    return found


def efficiency_of(ground: Ground, candidate: Candidate, depth: int) -> float:
    """Return the share of the rate of buffers without end that a depth leaves; in (0, 1]."""
    stations = ground.network.wiring.stations
    successes = [stations[node].swap_success for node in ground.nodes_on(candidate.links)[1:-1]]
    return promised_efficiency(candidate.tree, buffer_successes(ground.regime, successes), depth)


def draft_buffered(ground: Ground, candidate: Candidate, gross_hz: float, depth: int) -> Draft:
    """Return what a route makes and takes for a rate with buffers of one depth, whether it has the room or not."""
    network = ground.network
    nodes = ground.nodes_on(candidate.links)
    stations = network.wiring.stations
    successes = [stations[node].swap_success for node in nodes[1:-1]]
    costs = [choice.cost for choice in candidate.choices]
    efficiency = efficiency_of(ground, candidate, depth)
    if ground.regime is Regime.AT_ONCE:
        needed = made_at_once(gross_hz, successes, costs, efficiency)
    else:
        needed = needed_hop_rates(gross_hz, candidate.tree, successes, costs, efficiency)
    made = []
    for choice, need in zip(candidate.choices, needed, strict=True):
        room = choice.rate_hz * choice.cost * 1000
        rate = math.ceil(need * 1000 * (1 - 1e-12))
        # What is possible but for rounding is not refused for it.
        made.append(max(1, int(room * (1 + SAME))) if need * 1000 <= room * (1 + SAME) < rate else rate)
    werner = candidate.werner * storage_factor(ground, candidate, made, depth)
    swap_time = {
        nodes[node]: swap_time_charge(attempts_per_s, _duration_s(ground, nodes[node]))
        for node, attempts_per_s in swaps_per_s(ground.regime, candidate.tree, successes, gross_hz).items()
    }
    return Draft(
        ground=ground,
        candidate=candidate,
        hops=tuple(
            HopPlan(
                link=network.wiring.edges[link].name,
                option=choice.option,
                purification_rounds=choice.rounds,
                memory_pairs=depth,
                rate_millihertz=rate,
            )
            for link, choice, rate in zip(candidate.links, candidate.choices, made, strict=True)
        ),
        lanes=1,
        buffer_pairs=depth,
        rate_hz=gross_hz,
        werner=werner,
        swap_time=swap_time,
    )


def buffer_successes(regime: Regime, successes: Sequence[float]) -> list[float]:
    """Return the swap successes that count for the streams into buffers: all swaps at once lose nothing before."""
    return [1.0] * len(successes) if regime is Regime.AT_ONCE else list(successes)


def made_at_once(
    rate_hz: float, successes: Sequence[float], costs: Sequence[float], efficiency: float
) -> tuple[float, ...]:
    """Return the elementary pairs per second of every hop where all swaps are made at once."""
    return tuple(cost * rate_hz / efficiency / math.prod(successes) for cost in costs)


def storage_factor(ground: Ground, candidate: Candidate, made: Sequence[int], depth: int) -> float:
    """Return the factor on w by the storage of all pairs; in (0, 1]. `made` in mHz of elementary pairs."""
    nodes = ground.nodes_on(candidate.links)
    stations = ground.network.wiring.stations
    return storage_factor_of(
        ground.regime,
        candidate.tree,
        [rate / 1000 / choice.cost for rate, choice in zip(made, candidate.choices, strict=True)],
        [stations[node].swap_success for node in nodes[1:-1]],
        depth=depth,
        decays_per_s=[0.0 if node in ground.storeless else stations[node].decay_per_s for node in nodes],
    )[1]


def storage_factor_of(
    regime: Regime,
    tree: SwapTree,
    rates_hz: Sequence[float],
    successes: Sequence[float],
    *,
    depth: int,
    decays_per_s: Sequence[float],
) -> tuple[float, float]:
    """Return (delivered pairs per second, factor on w by storage) of hops that make so many purified pairs."""
    buffering = tree_buffering(tree, rates_hz, buffer_successes(regime, successes), depth, decays_per_s)
    if regime is not Regime.AT_ONCE:
        return buffering.rate_hz, buffering.waiting_factor
    factor = storage_factor_at_once(
        min(rates_hz), buffering.efficiency, depth, [a + b for a, b in itertools.pairwise(decays_per_s)]
    )
    return buffering.rate_hz * math.prod(successes), factor


def swaps_per_s(regime: Regime, tree: SwapTree, successes: Sequence[float], rate_hz: float) -> dict[int, float]:
    """Return the Bell measurements per second of each transit node (by its place on the route) for a rate."""
    if regime is Regime.AT_ONCE:
        return {place + 1: rate_hz / math.prod(successes) for place in range(len(successes))}
    above = swap_nodes_above(tree)
    found = {}
    for left, node, right in splits(tree):
        # The swap's own node and all that come later lie above one of its hops.
        shared = [other for other in above[left] if other in above[right - 1]]
        later = shared[: shared.index(node) + 1]
        found[node] = rate_hz / math.prod(successes[other - 1] for other in later)
    return found


def _duration_s(ground: Ground, node: int) -> float:
    hardware = ground.network.wiring.stations[node].hardware
    return 0.0 if hardware is None else hardware.swap_duration_s
