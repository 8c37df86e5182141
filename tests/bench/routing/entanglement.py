"""Times the best route of one entanglement path beside the plain-Python label search that is its oracle.

Gabriel graphs of repeaters, links of 25 km on average with two options each, all free; ends two to six links apart.
Both searches get the same view, demands and steps; a run fails where they differ. Making the view, and the plan of the
route found, is not counted. Times are of the processor: another program on it slows both, but not alike.
"""

import random
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from statistics import fmean, median
from time import process_time
from typing import Final, TypeVar

from controller.domain.entanglement_path import PairDemand
from controller.domain.node import Node
from controller.domain.pair_link import EndNodeKind, PairHardware, Regime
from controller.domain.refusals import TooHard
from controller.domain.snapshot import Snapshot
from controller.routing.entanglement.candidate import Candidate
from controller.routing.entanglement.ground import ground_of
from controller.routing.entanglement.network import PairNetwork, pair_network_of
from controller.routing.entanglement.regimes import best_candidate
from tests.bench.collected import Works
from tests.bench.exactness import same_candidate
from tests.bench.gabriel import gabriel
from tests.bench.line import time_line
from tests.support.pair_networks import pair_link, pair_snapshot
from tests.support.plain_pairs import candidate as plain_candidate
from tests.support.plain_pairs.ground import ground_of as plain_ground_of
from tests.support.plain_pairs.regimes import best_candidate as plain_best_candidate

_DEMANDS: Final = 200
_FIDELITY: Final = 0.8
_COHERENCE_S: Final = 100.0
_STEPS: Final = 20_000
"""Enough for nearly every search of the memory regime to end with a proof; of the other no search needs a number."""
_MEAN_KM: Final = 25.0


T = TypeVar("T")


def repeaters(n_nodes: int, regime: Regime, seed: int = 1) -> Snapshot:
    """Return a Gabriel graph of repeaters joined by fibre."""
    graph = gabriel(n_nodes, seed)
    hardware = PairHardware(
        memories=64,
        coherence_s=_COHERENCE_S if regime is Regime.MEMORY else None,
        swap_success=0.5 if regime is Regime.BUFFERED else 0.9,
        gate_quality=0.99,
        readout_quality=0.998,
        swap_duration_s=1e-5,
        can_purify=True,
        end_node=EndNodeKind.MEMORY,
    )
    names = [f"n{number:06}" for number in range(n_nodes)]
    scale = _MEAN_KM / fmean(graph.lengths_m.tolist())
    links = []
    for number, ((a, b), length) in enumerate(zip(graph.ends.tolist(), graph.lengths_m.tolist(), strict=True)):
        length_km = max(1.0, length * scale)
        arm = 10 ** (-0.2 * length_km / 2 / 10) * 0.3
        links.append(
            pair_link(
                f"l{number:06}",
                names[a],
                names[b],
                *((2 * bright * arm, 1 - bright - 0.005) for bright in (0.02, 0.05)),
                regime=regime,
                period_s=max(1e-5, length_km / 2e5),
                memory_pairs=16,
                length_km=round(length_km, 1),
            )
        )
    return pair_snapshot([Node(name=name, pairs=hardware) for name in names], links)


def demands(network: PairNetwork, count: int, seed: int = 7) -> Iterator[PairDemand]:
    """Yield demands whose ends are two to six links apart."""
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
            yield PairDemand(
                source=wiring.nodes[start],
                target=wiring.nodes[chance.choice(others)],
                minimum_fidelity=_FIDELITY,
                rate_millihertz=1,
            )


def _timed(search: Callable[[], T]) -> tuple[float, T | None]:
    begun = process_time()
    found = None
    with suppress(TooHard):
        found = search()
    return (process_time() - begun) * 1000, found


def entanglement(n_nodes: int) -> Iterator[dict[str, object]]:
    """Measure one size in both regimes."""
    for regime in (Regime.MEMORY, Regime.BUFFERED):
        network = pair_network_of(repeaters(n_nodes, regime))
        ours_ms, theirs_ms = [], []
        proven = routed = 0
        for nth, demand in enumerate(demands(network, _DEMANDS)):
            ours = partial(_ours, network, demand, regime)
            if not nth:
                ours()  # what all searches on one network share
            took, found = _timed(ours)
            ours_ms.append(took)
            took, plain = _timed(partial(_theirs, network, demand, regime))
            theirs_ms.append(took)
            assert same_candidate(found, plain), f"{demand}: {found} is not {plain}"
            routed += found is not None
            proven += found is not None and found.bound_hz <= found.rate_hz * (1 + 1e-9)
        yield time_line(
            f"entanglement-{n_nodes}: best path, {regime.value} regime, mean of {_DEMANDS}",
            fmean(ours_ms),
            "ms",
            "plain-Python label search",
            fmean(theirs_ms),
            nodes=n_nodes,
            links=len(network.wiring.edges),
            routed=routed,
            proven_best=proven,
            same_routes=_DEMANDS,
            median_ms=round(median(ours_ms), 3),
            worst_ms=round(max(ours_ms), 2),
            ratio_of_medians=round(median(theirs_ms) / median(ours_ms), 1),
        )


def _ours(network: PairNetwork, demand: PairDemand, regime: Regime) -> Candidate | None:
    return best_candidate(ground_of(network, demand, regime), demand.minimum_fidelity, _STEPS)


def _theirs(network: PairNetwork, demand: PairDemand, regime: Regime) -> plain_candidate.Candidate | None:
    return plain_best_candidate(plain_ground_of(network, demand, regime), demand.minimum_fidelity, _STEPS)


WORKS: Final[Works] = {f"entanglement-{size}": partial(entanglement, size) for size in (100, 1000)}
