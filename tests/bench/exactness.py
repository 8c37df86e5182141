"""Compares routes of entanglement paths with trying everything: python -m tests.bench.exactness [COUNT]. JSON lines.

COUNT random networks (300) of up to eight nodes in every regime, half of them with unequal swap success; in the
memory regime, where trying everything is slow, of up to six nodes. And with dynamic programmes, where one is known.
"""

import json
import sys

from controller.domain.pair_link import Regime
from controller.routing.entanglement.find import STEPS
from controller.routing.entanglement.ground import ground_of
from controller.routing.entanglement.network import pair_network_of
from controller.routing.entanglement.regimes import best_candidate
from tests.support.pair_brute_force import SAME, best_by_trying_all
from tests.support.pair_networks import chance_network
from tests.support.pair_programmes import best_rate_hz


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


def main() -> int:
    """Compare, print the counts, and fail on any mismatch."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 300
    mismatches = 0
    for regime in Regime:
        results = [compare(seed, regime) for seed in range(count)]
        wrong = [seed for seed, result in enumerate(results) if not (result[0] and result[1])]
        mismatches += len(wrong)
        line = {
            "work": f"routes of entanglement paths beside trying everything, {regime.value} regime",
            "instances": count,
            "mismatches": sum(not equal for equal, _, _ in results),
            "programme_mismatches": sum(not agrees for _, agrees, _ in results),
            "proven_best": sum(proven for _, _, proven in results),
            "wrong_seeds": wrong[:10],
        }
        print(json.dumps(line), flush=True)
    return 1 if mismatches else 0


if __name__ == "__main__":
    sys.exit(main())
