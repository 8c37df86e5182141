"""What a demand asks of the pairs at the ends, in the figures that the searches take."""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from controller.domain.entanglement_path import Packets, PairDemand
from controller.domain.pair_capacity import memories_of
from controller.domain.pair_link import MAX_PAIR_RATE_MILLIHERTZ
from controller.routing.entanglement.network import PairNetwork

_MANY: Final = 1e5
"""Pairs of a window above which the rest that fills no packet is taken for evenly spread."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the route has to deliver.

    Attributes:
        rate_millihertz: Net of test pairs; what the plan promises.
        gross_hz: With test pairs.
        fidelity: Least F = <Phi+|rho|Phi+> at the last swap; may be above 1: never.
        held: Memories that the pairs of a packet take at the ends, by resource.
    """

    rate_millihertz: int
    gross_hz: float
    fidelity: float
    held: dict[str, int]


def asked_of(network: PairNetwork, demand: PairDemand) -> Asked:
    """Return what a demand asks; of packets, pairs for all windows, each kept for a whole one at both ends.

    Raises:
        NotFound: The network has no such source or target.
    """
    werner = (4 * demand.minimum_fidelity - 1) / 3
    rate, held = demand.rate_millihertz, {}
    if demand.packets is not None:
        rate = packet_rate_millihertz(demand.packets)
        ends = [network.wiring.stations[network.node(end)] for end in (demand.source, demand.target)]
        decay = sum(end.decay_per_s for end in ends) * demand.packets.window_ms / 1000
        werner = werner * math.exp(decay) if decay < 500 else math.inf
        held = {memories_of(end): demand.packets.pairs for end in (demand.source, demand.target)}
    assert rate is not None
    return Asked(
        rate_millihertz=rate,
        gross_hz=rate / 1000 / (1 - demand.test_share),
        fidelity=(1 + 3 * werner) / 4,
        held=held,
    )


@lru_cache(maxsize=1024)
def packet_rate_millihertz(packets: Packets) -> int:
    """Return the least rate of pairs, mHz, that fills the packets on average: E[floor(N / w)] / t, N Poisson.

    Windows follow one another; what is left over at the end of one is dropped.

    >>> packet_rate_millihertz(Packets(pairs=1, window_ms=1000, rate_millihertz=5000))
    5000
    """
    window_s = packets.window_ms / 1000
    wanted = packets.rate_millihertz / 1000 * window_s

    def fills(rate: int) -> bool:
        return full_packets(rate / 1000 * window_s, packets.pairs) >= wanted * (1 - 1e-9)

    low, high = packets.rate_millihertz * packets.pairs, packets.rate_millihertz * packets.pairs
    while not fills(high) and high <= MAX_PAIR_RATE_MILLIHERTZ:
        low, high = high, high * 2
    while low < high:
        middle = (low + high) // 2
        if fills(middle):
            high = middle
        else:
            low = middle + 1
    return high


def full_packets(mean_pairs: float, pairs: int) -> float:
    """Return E[floor(N / w)] of N Poisson with that mean.

    >>> full_packets(3.0, 1), round(full_packets(2.0, 2), 6)
    (3.0, 0.754579)
    """
    if pairs == 1 or mean_pairs <= 0.0:
        return mean_pairs
    if mean_pairs > _MANY:
        return mean_pairs / pairs - (1 - 1 / pairs) / 2
    spread = 12 * math.sqrt(mean_pairs) + 40
    first, last = max(0, int(mean_pairs - spread)), int(mean_pairs + spread)
    chance = math.exp(first * math.log(mean_pairs) - mean_pairs - math.lgamma(first + 1))
    total = 0.0
    for count in range(first, last + 1):
        total += (count // pairs) * chance
        chance *= mean_pairs / (count + 1)
    return total
