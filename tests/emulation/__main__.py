"""Predicted against emulated: `python -m tests.emulation [--routes 60] [--pairs 4000] [--seed 1] [--topology NAME]`.

One JSON object for each route, then one with the whole. Ends with 1 where a rate is off by more than 5 %, a mean
tracked fidelity by more than 0.01, or where the 95 % intervals of the estimates hold the tracked value in fewer than
93 % of all windows.
"""

import argparse
import json
import sys

from tests.emulation.routes import TOPOLOGIES, Case, drawn_cases
from tests.support.pair_emulation import Figures, emulate

RATE_TOLERANCE = 0.05
FIDELITY_TOLERANCE = 0.01
LEAST_COVERAGE = 0.93


def emulated(case: Case, *, pairs: int, seed: int) -> Figures:
    """Return what the engines deliver on a route."""
    hardware = {name: node.pairs for name, node in case.snapshot.nodes.items() if node.pairs is not None}
    models = {name: link.pairs for name, link in case.snapshot.links.items() if link.pairs is not None}
    return emulate(hardware, models, case.entry, pairs=pairs, seed=seed)


def main() -> int:
    """Emulate and compare; return the exit code."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--routes", type=int, default=60)
    asked.add_argument("--pairs", type=int, default=4000)
    asked.add_argument("--seed", type=int, default=1)
    asked.add_argument("--topology", action="append", default=[])
    given = asked.parse_args()
    looks = covered = 0
    wrong = []
    worst_rate = worst_fidelity = 0.0
    for number, case in enumerate(drawn_cases(given.topology or TOPOLOGIES, given.routes, given.seed)):
        figures = emulated(case, pairs=given.pairs, seed=given.seed + number)
        ratio = figures.net_rate_hz / case.rate_hz
        off = figures.mean_tracked_fidelity - case.fidelity
        looks, covered = looks + figures.looks, covered + figures.covered
        worst_rate, worst_fidelity = max(worst_rate, abs(ratio - 1)), max(worst_fidelity, abs(off))
        good = abs(ratio - 1) <= RATE_TOLERANCE and abs(off) <= FIDELITY_TOLERANCE and figures.agreeing
        if not good:
            wrong.append(number)
        line = {
            "route": number,
            "topology": case.topology,
            "regime": case.regime.value,
            "hops": len(case.entry.hops),
            "rounds": [hop.purification_rounds for hop in case.entry.hops],
            "lanes": case.entry.lanes,
            "cutoff": any(swap.cutoff_ns is not None for swap in case.entry.swaps),
            "pairs": figures.pairs,
            "predicted_hz": round(case.rate_hz, 4),
            "rate_ratio": round(ratio, 4),
            "predicted_fidelity": round(case.fidelity, 5),
            "fidelity_difference": round(off, 5),
            "agreeing": figures.agreeing,
            "cpu_s": round(figures.cpu_s, 2),
            "good": good,
        }
        print(json.dumps(line), flush=True)
    coverage = covered / looks if looks else 1.0
    whole = {
        "routes": given.routes,
        "wrong": wrong,
        "worst_rate_error": round(worst_rate, 4),
        "worst_fidelity_error": round(worst_fidelity, 5),
        "windows": looks,
        "coverage": round(coverage, 4),
    }
    print(json.dumps(whole), flush=True)
    return 1 if wrong or coverage < LEAST_COVERAGE else 0


if __name__ == "__main__":
    sys.exit(main())
