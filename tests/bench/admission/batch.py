"""`batch`: all demands of a real matrix placed at once, each on one route, beside the bound of demands in parts.

Networks and matrices are SNDlib's, all links equally wide. At 100 % every demand just fits if it may be divided: that
load is the largest least share, found in the same run. Ratios are accepted volume over the bound.
"""

import time
from collections.abc import Iterator
from typing import Final

import numpy as np
import topohub

from controller.routing.kernels.net import Net, net_of
from controller.routing.optimum.held import Held
from controller.routing.optimum.plan import Plan, worth
from controller.routing.optimum.problem import Objective, Problem, Want, problem_of
from controller.routing.optimum.solve import optimum
from controller.routing.optimum.whole import place_whole
from tests.bench.collected import Works
from tests.bench.line import rate_line

NETWORKS: Final = ("germany50", "nobel-eu", "cost266")
LOADS: Final = (1.0, 1.2)
ROOM: Final = 10**9
"""Of each link, millibit/s."""


def matrix(name: str) -> tuple[Net, list[tuple[int, int, float]]]:
    """Return a network of SNDlib and its demands (source, target, volume), in order."""
    found = topohub.get(f"sndlib/{name}")
    net = net_of(len(found["nodes"]), [(edge["source"], edge["target"]) for edge in found["edges"]])
    demands = found["graph"]["demands"]
    return net, [
        (int(a), int(b), float(volume))
        for a, row in sorted(demands.items())
        for b, volume in sorted(row.items())
        if volume > 0
    ]


def loaded(net: Net, demands: list[tuple[int, int, float]], unit: float) -> Problem:
    """Return the problem in which a volume of 1 is that many millibit/s."""
    wants = [Want(source=a, target=b, volume=max(1, round(volume * unit))) for a, b, volume in demands]
    return problem_of(net, [ROOM] * net.tails.size, wants)


def full_load(net: Net, demands: list[tuple[int, int, float]]) -> float:
    """Return the unit at which the optimum in parts carries just all."""
    unit = ROOM * net.tails.size / sum(volume for *_, volume in demands)
    return unit * optimum(loaded(net, demands, unit), Objective.MAX_MIN, enough=1e-6).value


def greedily(problem: Problem) -> int:
    """Return what widest-shortest routing accepts of the demands as they stand in the matrix, in millibit/s."""
    held = Held(problem, np.ones(problem.rooms.size, np.int64))
    accepted = 0
    for number, want in enumerate(problem.wants):
        way = widest_shortest(held, number)
        if way is not None:
            held.place(number, way)
            accepted += want.volume
    return accepted


def widest_shortest(held: Held, number: int) -> tuple[int, ...] | None:
    """Return, of the shortest ways with enough room, the one whose narrowest link has most."""
    ones = np.ones(held.rooms.size, np.int64)
    best = held.cheapest(number, costs=ones)
    if best is None:
        return None
    levels = np.unique(held.rooms)
    low, high = 0, levels.size
    while low < high:
        middle = (low + high) // 2
        closed = np.flatnonzero(held.rooms < levels[middle])
        way = held.cheapest(number, costs=ones, barred=closed.tolist())
        if way is not None and len(way) == len(best):
            best, low = way, middle + 1
        else:
            high = middle
    return best


def batch() -> Iterator[dict[str, object]]:
    """Yield a line for each network and load, against the bound and against widest-shortest."""
    for name in NETWORKS:
        net, demands = matrix(name)
        unit = full_load(net, demands)
        for load in LOADS:
            problem = loaded(net, demands, unit * load)
            begun = time.perf_counter()
            plan: Plan = place_whole(problem)
            elapsed_s = time.perf_counter() - begun
            begun = time.perf_counter()
            greedy = greedily(problem)
            greedy_s = time.perf_counter() - begun
            offered = sum(want.volume for want in problem.wants)
            work = f"batch {name} {load:.0%}"
            facts = {"demands": len(demands), "placed": len(plan.pieces), "seconds": round(elapsed_s, 2)}
            certificate = {"value": worth(problem, plan.pieces), "bound": plan.bound, "gap": round(plan.gap, 6)}
            yield rate_line(
                work, plan.value / offered, "of offered", "lp-bound", plan.bound / offered, **facts, **certificate
            )
            yield rate_line(
                work,
                plan.value / offered,
                "of offered",
                "widest-shortest",
                greedy / offered,
                seconds=facts["seconds"],
                their_seconds=round(greedy_s, 2),
            )


WORKS: Works = {"batch": batch}
