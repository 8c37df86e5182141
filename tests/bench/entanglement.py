"""Exact routes of single entanglement paths: python -m tests.bench.entanglement. How long one takes, by network size.

Networks of stations at random places, joined by fibre to near neighbours, all free; ends that are two to six links
apart. One line per regime and size: mean and worst of the demands, how many have a route that is proven best, and the
largest gap of the others. In this process, on one core; making the view of the snapshot is not counted, and told.
"""

import math
import os
import random
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Final

from controller.domain.entanglement_path import PairDemand
from controller.domain.link import Link
from controller.domain.node import Node
from controller.domain.pair_link import EndNodeKind, PairHardware, Regime
from controller.domain.refusals import Precondition, TooHard
from controller.domain.snapshot import Snapshot
from controller.routing.entanglement.find import find_path
from controller.routing.entanglement.network import PairNetwork, pair_network_of
from tests.bench.line import tell
from tests.support.pair_networks import pair_link, pair_snapshot

SIZES: Final = (100, 1000, 5000)
DEMANDS: Final = 200
_NEIGHBOURS: Final = 3
_FIBRE_KM_PER_S: Final = 2e5


def stations_and_fibres(count: int, regime: Regime, seed: int = 5) -> Snapshot:
    """Return a network whose mean link is about 25 km long."""
    chance = random.Random(seed)
    side_km = 45.0 * math.sqrt(count)
    places = [(chance.uniform(0, side_km), chance.uniform(0, side_km)) for _ in range(count)]
    cells: dict[tuple[int, int], list[int]] = {}
    for number, (x, y) in enumerate(places):
        cells.setdefault((int(x // 90), int(y // 90)), []).append(number)
    hardware = PairHardware(
        memories=64,
        coherence_s=2.0 if regime is Regime.MEMORY else None,
        swap_success=0.5 if regime is Regime.BUFFERED else 0.9,
        gate_quality=0.99,
        readout_quality=0.998,
        swap_duration_s=1e-5,
        can_purify=True,
        end_node=EndNodeKind.MEMORY,
    )
    nodes = [Node(name=f"n{number:05}", pairs=hardware) for number in range(count)]
    joined: set[tuple[int, int]] = set()
    links: list[Link] = []
    for number, (x, y) in enumerate(places):
        cell = int(x // 90), int(y // 90)
        near = [
            other
            for i in (-1, 0, 1)
            for j in (-1, 0, 1)
            for other in cells.get((cell[0] + i, cell[1] + j), [])
            if other != number
        ]
        near.sort(key=lambda other: math.dist(places[number], places[other]))
        for other in near[:_NEIGHBOURS]:
            a, b = sorted((number, other))
            if (a, b) in joined:
                continue
            joined.add((a, b))
            length_km = max(1.0, math.dist(places[a], places[b]))
            arm = 10 ** (-0.2 * length_km / 2 / 10) * 0.3
            options = [(2 * bright * arm, 1 - bright - 0.005) for bright in (0.02, 0.05)]
            links.append(
                pair_link(
                    f"l{a:05}-{b:05}",
                    f"n{a:05}",
                    f"n{b:05}",
                    *options,
                    regime=regime,
                    period_s=max(1e-5, length_km / _FIBRE_KM_PER_S),
                    memory_pairs=16,
                    length_km=round(length_km, 1),
                )
            )
    return pair_snapshot(nodes, links)


def near_ends(network: PairNetwork, count: int, seed: int = 7) -> Iterator[tuple[str, str]]:
    """Yield pairs of nodes that are two to six links apart."""
    chance = random.Random(seed)
    wiring = network.wiring
    while count:
        start = chance.randrange(len(wiring.nodes))
        seen = {start: 0}
        queue = [start]
        for node in queue:
            for _, far in wiring.at[node]:
                if far not in seen and seen[node] < 6:
                    seen[far] = seen[node] + 1
                    queue.append(far)
        others = [node for node, hops in seen.items() if hops >= 2]
        if others:
            count -= 1
            yield wiring.nodes[start], wiring.nodes[chance.choice(others)]


def measure(size: int, regime: Regime, demands: int = DEMANDS) -> dict[str, object]:
    """Return the figures of one size."""
    snapshot = stations_and_fibres(size, regime)
    began = time.perf_counter()
    network = pair_network_of(snapshot)
    view_ms = (time.perf_counter() - began) * 1000
    times_ms: list[float] = []
    cpu_ms: list[float] = []
    gaps: list[float] = []
    for source, target in near_ends(network, demands):
        demand = PairDemand(source=source, target=target, minimum_fidelity=0.7, rate_millihertz=1)
        began, busy = time.perf_counter(), time.process_time()
        with suppress(Precondition, TooHard):
            gaps.append(find_path(network, demand).plan.certificate.gap)
        times_ms.append((time.perf_counter() - began) * 1000)
        cpu_ms.append((time.process_time() - busy) * 1000)
    return {
        "work": f"best entanglement path, {regime.value} regime",
        "nodes": size,
        "links": len(network.wiring.edges),
        "demands": demands,
        "routed": len(gaps),
        "proven_best": sum(gap <= 1e-9 for gap in gaps),
        "largest_gap": round(max(gaps, default=0.0), 4),
        "mean_ms": round(statistics.fmean(times_ms), 2),
        "median_ms": round(statistics.median(times_ms), 2),
        "worst_ms": round(max(times_ms), 2),
        "mean_cpu_ms": round(statistics.fmean(cpu_ms), 2),
        "worst_cpu_ms": round(max(cpu_ms), 2),
        "view_ms": round(view_ms, 2),
        "load_average": round(os.getloadavg()[0], 1),
    }


def measured(sizes: Sequence[int] = SIZES) -> Iterator[dict[str, object]]:
    """Measure every size in both regimes."""
    for regime in (Regime.BUFFERED, Regime.MEMORY):
        for size in sizes:
            yield measure(size, regime)


def main() -> int:
    """Print the lines of the sizes that were named, or of all."""
    for line in measured([int(argument) for argument in sys.argv[1:]] or SIZES):
        tell(line)
    return 0


if __name__ == "__main__":
    sys.exit(main())
