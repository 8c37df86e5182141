"""Each demand on one route in full or not at all: integer programming over generated routes, and local re-routing."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp

from controller.routing.kernels.net import Floats, Int64s
from controller.routing.optimum.carrying import SCALE, Carrying
from controller.routing.optimum.columns import Columns
from controller.routing.optimum.held import Held, Way
from controller.routing.optimum.plan import Piece, Plan, directed, worth
from controller.routing.optimum.pricing import rounded
from controller.routing.optimum.problem import Problem

MOST_COLUMNS: Final = 3_000
"""With more routes than that the integer program is left out: it would take minutes."""
_PASSES: Final = 4


def place_whole(problem: Problem, *, enough: float = 0.005, nodes: int = 1) -> Plan:
    """Return a plan that carries each demand on one route in full or not at all, and how far from the best it may be.

    The bound is that of demands in parts, over links that are wide enough for the whole. First what the optimum in
    parts sends most of is placed and bettered by re-routing; where the gap is still above what is enough, an integer
    program over the routes of that optimum is solved, and bettered likewise. Deterministic; not exact: the gap says
    what may be missing.

    Args:
        problem: Every demand counts as one that is whole.
        enough: The gap at which to stop; in [0, 1).
        nodes: Of the integer program's tree, looked at by the solver at most; >= 1.

    Raises:
        ArithmeticError: The solver gave up.
    """
    whole = replace(problem, wants=tuple(replace(want, whole=True) for want in problem.wants))
    carrying = Carrying(whole)
    best = list(carrying.rounds())[-1]
    columns = carrying.columns
    costs = rounded(carrying.prices / (carrying.top or 1.0), SCALE)
    held = _begun(whole, columns, carrying.shares, costs)
    better(whole, held, columns)
    plan = _plan(whole, held, best)
    if plan.gap > enough and 0 < len(columns) <= MOST_COLUMNS:
        chosen = _chosen(whole, columns, enough, nodes)
        if chosen is not None:
            again = _put(whole, columns, chosen, costs)
            better(whole, again, columns)
            plan = max(plan, _plan(whole, again, best), key=lambda one: one.value)
    return plan


def _plan(problem: Problem, held: Held, best: Plan) -> Plan:
    pieces = tuple(
        Piece(want=want, volume=problem.wants[want].volume, links=directed(problem, want, way))
        for want, way in enumerate(held.ways)
        if way is not None
    )
    return replace(best, pieces=pieces, value=worth(problem, pieces))


def _begun(problem: Problem, columns: Columns, shares: Floats, costs: Int64s) -> Held:
    """Place each demand on the route over which the optimum in parts sends most of it, the surest first, if it fits."""
    held = Held(problem, costs)
    parts = sorted(range(len(shares)), key=lambda at: (-round(float(shares[at]), 6), at))
    for at in parts:
        want, way = columns.wants[at], columns.ways[at]
        if shares[at] > 1e-6 and held.ways[want] is None and held.fits(want, way):
            held.place(want, way)
    return held


def _put(problem: Problem, columns: Columns, chosen: Sequence[int], costs: Int64s) -> Held:
    held = Held(problem, costs)
    for at in chosen:
        if held.ways[columns.wants[at]] is None and held.fits(columns.wants[at], columns.ways[at]):
            held.place(columns.wants[at], columns.ways[at])
    return held


def _chosen(problem: Problem, columns: Columns, enough: float, nodes: int) -> list[int] | None:
    """Return the routes that an integer program takes, or None where the solver found nothing in time."""
    wants = np.array(columns.wants)
    volumes = np.array([want.volume for want in problem.wants], float)
    weights = np.array([want.weight for want in problem.wants])
    unit = float(volumes.max())
    rows = columns.matrix().tocsc()
    at_link = rows.indices >= len(volumes)
    rows.data[at_link] = np.repeat(volumes[wants] / unit, np.diff(rows.indptr))[at_link]
    limits = np.concatenate([np.ones(len(volumes)), problem.useful_rooms() / unit])
    gains = weights[wants] * volumes[wants]
    answer = milp(
        -gains / gains.max(),
        constraints=LinearConstraint(rows, ub=limits),
        integrality=np.ones(len(columns)),
        bounds=Bounds(0, 1),
        options={"mip_rel_gap": enough / 2, "node_limit": nodes},
    )
    if answer.x is None:
        return None
    # By worth, so that where the solver's tolerance lets a link be a little too full, the least is left out.
    taken: list[int] = np.flatnonzero(answer.x > 0.5).tolist()
    return sorted(taken, key=lambda at: (-gains[at], at))


def better(problem: Problem, held: Held, columns: Columns) -> None:
    """Place more of a placement, as long as that is found: where there is room, and where others make room.

    What is placed in the end is never worth less than at the start. Cost: for each demand left out and each of its
    known ways, a search for each of the demands in its way.
    """
    search = _Search(problem, held, columns)
    for _ in range(_PASSES):
        if not search.one_pass():
            return


class _Search:
    def __init__(self, problem: Problem, held: Held, columns: Columns) -> None:
        self._held = held
        self._worth = [want.weight * want.volume for want in problem.wants]
        self._volume = [want.volume for want in problem.wants]
        self._ways: list[list[Way]] = [[] for _ in problem.wants]
        for want, way in zip(columns.wants, columns.ways, strict=True):
            self._ways[want].append(way)

    def one_pass(self) -> bool:
        """Try each demand that is not placed once, the worthiest first; tell whether anything was gained."""
        gained = False
        for want in sorted(self._left_out(), key=lambda one: (-self._worth[one], one)):
            if self._held.ways[want] is not None:
                continue
            way = self._held.cheapest(want)
            if way is not None:
                self._held.place(want, way)
                gained = True
            else:
                gained |= any(self._squeezed(want, way) for way in self._ways[want])
        return gained

    def _left_out(self) -> list[int]:
        return [want for want, way in enumerate(self._held.ways) if way is None]

    def _squeezed(self, want: int, way: Way) -> bool:
        """Put a demand onto a way; others move elsewhere, or are left out if they are worth less together."""
        held = self._held
        changes: list[tuple[int, Way | None]] = []
        lifted: list[int] = []
        for link in way:
            missing = self._volume[want] - int(held.rooms[link])
            if missing <= 0:
                continue
            for other in self._in_the_way(link, missing):
                lifted.append(other)
                changes.append((other, held.lift(other)))
                missing -= self._volume[other]
                if missing <= 0:
                    break
            if missing > 0:
                held.restore(changes)
                return False
        held.place(want, way)
        changes.append((want, None))
        lost = 0.0
        for other in sorted(lifted, key=lambda one: (-self._worth[one], one)):
            elsewhere = held.cheapest(other)
            if elsewhere is None:
                lost += self._worth[other]
                if lost >= self._worth[want]:
                    held.restore(changes)
                    return False
            else:
                held.place(other, elsewhere)
                changes.append((other, None))
        return True

    def _in_the_way(self, link: int, missing: int) -> list[int]:
        """Return demands to take off a link: the smallest that alone is enough, or else all from the largest."""
        there = sorted(self._held.on(link), key=lambda one: (self._volume[one], one))
        enough = [one for one in there if self._volume[one] >= missing]
        return enough[:1] or there[::-1]
