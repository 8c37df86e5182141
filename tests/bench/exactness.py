"""Compares routes of entanglement paths with trying everything: python -m tests.bench.exactness [COUNT]. JSON lines.

COUNT random networks (300) of up to eight nodes in every regime, half of them with unequal swap success; in the
memory regime, where trying everything is slow, of up to six nodes. And with dynamic programmes, where one is known;
and compiled searches with those in plain Python.
"""

import json
import math
import sys
from typing import Final

from controller.domain.entanglement_path import PairDemand
from controller.domain.pair_link import Regime
from controller.domain.refusals import TooHard
from controller.routing.entanglement.candidate import Candidate
from controller.routing.entanglement.find import STEPS
from controller.routing.entanglement.ground import ground_of
from controller.routing.entanglement.network import PairNetwork, pair_network_of
from controller.routing.entanglement.regimes import best_candidate
from tests.support.pair_brute_force import SAME, best_by_trying_all
from tests.support.pair_networks import chance_network
from tests.support.pair_programmes import best_rate_hz
from tests.support.plain_pairs import candidate as plain_candidate
from tests.support.plain_pairs.ground import ground_of as plain_ground_of
from tests.support.plain_pairs.regimes import best_candidate as plain_best_candidate

ROUNDING: Final = 1e-6


def compare(seed: int, regime: Regime, *, slow: bool = True) -> tuple[bool, bool, bool]:
    """Return whether our answer is that of trying everything, that of the programme, and proven best by its own word.

    `slow`: networks as large as the comparison is meant for.
    """
    memory = regime is Regime.MEMORY
    nodes = (6 if slow else 5) if memory else 8
    snapshot, demand = chance_network(seed, regime, equal_q=seed % 2 == 0, most_nodes=nodes, decay=memory)
    network = pair_network_of(snapshot)
    found = best_candidate(ground_of(network, demand, regime), demand.minimum_fidelity, STEPS)
    tried = best_by_trying_all(snapshot, demand, regime)
    if found is None or tried is None:
        equal = found is None and tried is None
    else:
        links = tuple(network.wiring.edges[link].name for link in found.links)
        equal = abs(found.rate_hz - tried.rate_hz) <= SAME * tried.rate_hz and links == tried.links
    ours_hz = 0.0 if found is None else found.rate_hz
    agrees = memory or abs(best_rate_hz(snapshot, demand, regime) - ours_hz) <= SAME * ours_hz
    proven = found is None or found.bound_hz <= found.rate_hz * (1 + SAME)
    return equal, agrees, proven


def _chance(seed: int, regime: Regime) -> tuple[PairNetwork, PairDemand]:
    snapshot, demand = chance_network(seed, regime, equal_q=seed % 2 == 0, decay=regime is Regime.MEMORY)
    return pair_network_of(snapshot), demand


def plainly_equal(network: PairNetwork, demand: PairDemand, regime: Regime, steps: int = STEPS) -> bool:
    """Return whether the compiled search answers as the plain-Python one does; of BUFFERED and MEMORY."""
    compiled: Candidate | str | None
    plain: plain_candidate.Candidate | str | None
    try:
        compiled = best_candidate(ground_of(network, demand, regime), demand.minimum_fidelity, steps)
    except TooHard:
        compiled = "too hard"
    try:
        plain = plain_best_candidate(plain_ground_of(network, demand, regime), demand.minimum_fidelity, steps)
    except TooHard:
        plain = "too hard"
    return same_candidate(compiled, plain)


def same_candidate(one: Candidate | str | None, other: plain_candidate.Candidate | str | None) -> bool:
    """Return whether two candidates, or what stands for none, are the same but for rounding."""
    if one is None or other is None or isinstance(one, str) or isinstance(other, str):
        return one == other
    ours, theirs = ([(choice.option, choice.rounds) for choice in each.choices] for each in (one, other))
    figures = zip((one.rate_hz, one.werner, one.bound_hz), (other.rate_hz, other.werner, other.bound_hz), strict=True)
    return (one.links, ours, one.tree, one.lanes, one.cutoff_s) == (
        other.links,
        theirs,
        other.tree,
        other.lanes,
        other.cutoff_s,
    ) and all(math.isclose(a, b, rel_tol=ROUNDING) for a, b in figures)


def main() -> int:
    """Compare, print the counts, and fail on any mismatch."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 300
    mismatches = 0
    for regime in Regime:
        results = [compare(seed, regime) for seed in range(count)]
        wrong = [seed for seed, result in enumerate(results) if not (result[0] and result[1])]
        plain = 0
        if regime in (Regime.BUFFERED, Regime.MEMORY):
            plain = sum(not plainly_equal(*_chance(seed, regime), regime) for seed in range(count))
        mismatches += len(wrong) + plain
        line = {
            "work": f"routes of entanglement paths beside trying everything, {regime.value} regime",
            "instances": count,
            "mismatches": sum(not equal for equal, _, _ in results),
            "programme_mismatches": sum(not agrees for _, agrees, _ in results),
            "proven_best": sum(proven for _, _, proven in results),
            "plain_mismatches": plain,
            "wrong_seeds": wrong[:10],
        }
        print(json.dumps(line), flush=True)
    return 1 if mismatches else 0


if __name__ == "__main__":
    sys.exit(main())
