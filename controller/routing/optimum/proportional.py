"""Proportional fairness: the largest sum of weight x log(share of what was asked), by tangents and generated routes."""

import math
from collections.abc import Iterator
from typing import Final

import numpy as np
from scipy.sparse import csc_array, hstack, vstack

from controller.routing.kernels.net import Floats, Int64s
from controller.routing.optimum.carrying import SCALE
from controller.routing.optimum.columns import Columns, maximum
from controller.routing.optimum.plan import Piece, Plan, carried, whole_pieces
from controller.routing.optimum.pricing import FAR, Priced, Pricer, rounded
from controller.routing.optimum.problem import Objective, Problem

_FIRST_SHARES: Final = (1.0, 0.5, 0.25, 0.1, 0.03)
_LEAST_SHARE: Final = 1e-9
_NEAR: Final = 1e-4
"""Of two shares that differ by less than this part, one tangent is enough: it is off by half its square."""
_NOTHING: Final = 1e-8


class Proportional:
    """Column generation for one problem, and tangents to the logarithm; what it knows grows with every round."""

    def __init__(self, problem: Problem) -> None:
        self.columns = Columns(problem)
        self.bound = math.inf
        self.prices: Floats = np.zeros(problem.rooms.size)
        self._problem = problem
        self._pricer = Pricer(problem)
        self._volumes = np.array([want.volume for want in problem.wants], float)
        self._weights = np.array([want.weight for want in problem.wants])
        self._unit = float(np.median(self._volumes)) if len(problem.wants) else 1.0
        self._rooms = problem.useful_rooms().astype(float)
        self._reachable = np.zeros(len(problem.wants), np.bool_)
        self._tangents: list[list[float]] = []

    def rounds(self) -> Iterator[Plan]:
        """Yield ever better plans, until the gap is below 1e-8 or nothing more is learnt.

        Demands that no route leads to are left out. Cost: each round prices all demands and solves a linear program
        of n_wants + n_links rows and a row for each tangent.
        """
        number = 1
        priced = self._priced(np.zeros(self._rooms.size))[1]
        self._reachable = priced.costs < FAR
        self._tangents = [list(_FIRST_SHARES) if reached else [] for reached in self._reachable]
        best: Plan | None = None
        while self._reachable.any():
            n_columns = len(self.columns)
            values, shadow = self._solved()
            pieces = whole_pieces(self._problem, self.columns.wants, self.columns.ways, values * self._unit)
            shares = np.zeros(self._volumes.size)
            np.add.at(shares, self.columns.wants, values * self._unit)
            shares /= self._volumes
            number += 1
            costs, priced = self._priced(shadow)
            bent = self._bend(shares)
            self._prove(costs, float(shadow.max(initial=0.0)), priced)
            plan = self._plan(pieces, number, best)
            best = plan
            yield plan
            if plan.gap <= _NOTHING or not (bent or len(self.columns) > n_columns):
                return
        if best is None:
            yield self._plan((), number, None)

    def _solved(self) -> tuple[Floats, Floats]:
        """Return the volumes of all routes, and the prices of the links, both in units."""
        n_wants, n_links, n_columns = self._volumes.size, self._rooms.size, len(self.columns)
        wants = np.array([want for want, at in enumerate(self._tangents) for _ in at], np.int64)
        at = np.array([share for shares in self._tangents for share in shares])
        matrix = self.columns.matrix()
        # log(share) <= log(at) - 1 + share / at, whatever the share.
        slopes = csc_array((self._unit / (self._volumes[wants] * at), (np.arange(at.size), wants)), (at.size, n_wants))
        logs = csc_array((np.ones(at.size), (np.arange(at.size), wants)), (at.size, n_wants))
        rows = vstack(
            [hstack([matrix, csc_array((n_wants + n_links, n_wants))]), hstack([-(slopes @ matrix[:n_wants]), logs])],
            format="csc",
        )
        limits = np.concatenate([self._volumes / self._unit, self._rooms / self._unit, np.log(at) - 1.0])
        low = np.concatenate([np.zeros(n_columns), np.full(n_wants, -np.inf)])
        high = np.concatenate([np.full(n_columns, np.inf), np.zeros(n_wants)])
        gains = np.concatenate([np.zeros(n_columns), np.where(self._reachable, self._weights, 0.0)])
        solved = maximum(gains, rows, limits, low=np.where(np.isinf(low), -1e3, low), high=high)
        return solved.values[:n_columns], solved.prices[n_wants : n_wants + n_links]

    def _bend(self, shares: Floats) -> bool:
        """Add tangents where the plan is; tell whether any was missing."""
        bent = False
        for want, tangents in enumerate(self._tangents):
            share = min(1.0, max(float(shares[want]), min(tangents, default=1.0) / 8, _LEAST_SHARE))
            if tangents and all(abs(share - other) > _NEAR * other for other in tangents):
                tangents.append(share)
                bent = True
        return bent

    def _priced(self, prices: Floats) -> tuple[Int64s, Priced]:
        costs = rounded(prices / (float(prices.max(initial=0.0)) or 1.0), SCALE)
        priced = self._pricer.price(costs)
        self.columns.add_priced(priced, np.flatnonzero(priced.costs < FAR).tolist())
        return costs, priced

    def _prove(self, costs: Int64s, top: float, priced: Priced) -> None:
        # Weak duality: whatever the prices, no plan is worth more than all room at its price, and what each demand's
        # logarithm exceeds the price of its share by, at the share where that is most.
        prices = costs / SCALE * top / self._unit
        there = self._reachable
        dear = self._volumes[there] * (priced.costs[there] / SCALE * top / self._unit)
        weights = self._weights[there]
        shares = np.minimum(1.0, weights / np.maximum(dear, 1e-300))
        bound = math.fsum(self._rooms * prices) + math.fsum(weights * np.log(shares) - shares * dear)
        if bound < self.bound:
            self.bound, self.prices = bound, prices

    def _plan(self, pieces: tuple[Piece, ...], number: int, before: Plan | None) -> Plan:
        there = self._reachable
        shares = (carried(self._problem, pieces) / self._volumes)[there]
        value = math.fsum(self._weights[there] * np.log(shares)) if (shares > 0).all() else -math.inf
        if before is not None and before.value >= value:
            pieces, value = before.pieces, before.value
        return Plan(
            objective=Objective.PROPORTIONAL,
            pieces=pieces,
            value=value,
            bound=max(value, self.bound) if there.any() else 0.0,
            rounds=number,
            prices=self.prices,
            weight=float(self._weights[there].sum()) or 1.0,
        )
