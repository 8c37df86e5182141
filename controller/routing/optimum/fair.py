"""The largest least share of what was asked, then the second least, and so on: filling, level by level."""

import math
from collections.abc import Iterator
from typing import Final

import numpy as np
from scipy.sparse import csc_array, diags_array, hstack

from controller.routing.kernels.net import Flags, Floats, Int64s
from controller.routing.optimum.carrying import SCALE
from controller.routing.optimum.columns import Columns, Solved, maximum
from controller.routing.optimum.plan import Level, Piece, Plan, carried, whole_pieces
from controller.routing.optimum.pricing import FAR, Priced, Pricer, rounded
from controller.routing.optimum.problem import Objective, Problem

_STEADY: Final = 0.5
_NOTHING: Final = 1e-9
_TIGHT: Final = 1e-7
"""What part of the dearest demand's price one must have to be settled: that price says that it gets no more."""


class Filling:
    """Column generation for one problem; what it knows grows with every round."""

    def __init__(self, problem: Problem) -> None:
        self.columns = Columns(problem)
        self._problem = problem
        self._pricer = Pricer(problem)
        self._volumes = np.array([want.volume for want in problem.wants], float)
        self._weights = np.array([want.weight for want in problem.wants])
        self._unit = float(np.median(self._volumes)) if len(problem.wants) else 1.0
        self._rooms = problem.useful_rooms().astype(float)
        self._settled = np.full(len(problem.wants), np.nan)
        self._active = np.zeros(len(problem.wants), np.bool_)
        self._levels: list[Level] = []
        self._first: tuple[float, Floats] = (math.inf, np.zeros(problem.rooms.size))
        self._rounds = 0

    def rounds(self) -> Iterator[Plan]:
        """Yield ever better plans; the last one has every level settled.

        Demands that no route leads to are left out. Cost: each round prices all demands and solves a linear program
        of n_wants + n_links rows; each level takes few rounds and settles at least one demand.
        """
        reachable = self._priced(np.zeros(self._rooms.size))[1].costs < FAR
        self._active = reachable.copy()
        pieces: tuple[Piece, ...] = ()
        while self._active.any():
            for pieces in self._level():
                yield self._plan(pieces, reachable)
        if not reachable.any():
            yield self._plan(pieces, reachable)

    def _level(self) -> Iterator[tuple[Piece, ...]]:
        """Raise the share of those not settled as far as it goes, then settle those that hold it back."""
        cap = float((1.0 / self._weights[self._active]).min())
        bound, best = cap, np.zeros(self._rooms.size)
        while True:
            solved = self._solved(cap)
            reached = float(solved.values[-1])
            n_columns = len(self.columns)
            pieces = whole_pieces(self._problem, self.columns.wants, self.columns.ways, solved.values[:-1] * self._unit)
            shadow = solved.prices[len(self._volumes) :]
            tried = [shadow] if bound == cap else [_STEADY * best + (1 - _STEADY) * shadow, shadow]
            for prices in tried:
                costs, priced = self._priced(prices)
                proven = self._proven(costs, priced)
                if proven < bound:
                    bound, best = proven, prices
                    if not self._levels:
                        self._first = bound, costs / self._price_of_least(costs, priced)
                if len(self.columns) > n_columns:
                    break
            done = bound - reached <= _NOTHING * bound or len(self.columns) == n_columns
            if done:
                self._settle(reached, bound, cap, solved)
            yield pieces
            if done:
                return

    def _solved(self, cap: float) -> Solved:
        n_wants = len(self._volumes)
        signs = np.concatenate([-np.ones(n_wants), np.ones(self._rooms.size)])
        ways = diags_array(signs) @ self.columns.matrix()
        share = np.zeros(signs.size)
        share[:n_wants] = np.where(self._active, self._weights * self._volumes / self._unit, 0.0)
        # Just below what is settled, or rounding in the solver might leave no plan at all.
        floors = np.where(np.isnan(self._settled), 0.0, self._settled * (1 - _NOTHING) * self._volumes / self._unit)
        gains = np.zeros(len(self.columns) + 1)
        gains[-1] = 1.0
        high = np.full(gains.size, np.inf)
        high[-1] = cap
        rows = hstack([ways, csc_array(share[:, None])], format="csc")
        return maximum(gains, rows, np.concatenate([-floors, self._rooms / self._unit]), high=high)

    def _priced(self, prices: Floats) -> tuple[Int64s, Priced]:
        self._rounds += 1
        top = float(prices.max(initial=0.0))
        costs = rounded(prices / (top or 1.0), SCALE)
        priced = self._pricer.price(costs)
        self.columns.add_priced(priced, np.flatnonzero(priced.costs < FAR).tolist())
        return costs, priced

    def _price_of_least(self, costs: Int64s, priced: Priced) -> float:
        """Return what a share of 1 of all that are not settled costs."""
        active = self._active
        return float((self._weights * self._volumes)[active] @ priced.costs[active].astype(float))

    def _proven(self, costs: Int64s, priced: Priced) -> float:
        # All room at its price must pay for the cheapest ways of what is settled, and of the share of all others.
        settled = ~np.isnan(self._settled)
        amounts = np.where(settled, self._settled * (1 - _NOTHING), 0.0) * self._volumes
        paid = float(self._rooms @ costs.astype(float)) - float(amounts[settled] @ priced.costs[settled].astype(float))
        return paid / self._price_of_least(costs, priced)

    def _settle(self, reached: float, bound: float, cap: float, solved: Solved) -> None:
        prices = solved.prices[: len(self._volumes)] * self._weights * self._volumes
        held_back = self._active & (prices > _TIGHT * max(prices.max(), 1e-300))
        if reached >= cap * (1 - _NOTHING):
            held_back = self._active & (1.0 / self._weights <= cap * (1 + _NOTHING))
        elif not held_back.any():
            held_back = self._active.copy()
        self._settled[held_back] = reached * self._weights[held_back]
        self._active &= ~held_back
        self._levels.append(Level(value=reached, bound=bound, wants=tuple(np.flatnonzero(held_back).tolist())))

    def _plan(self, pieces: tuple[Piece, ...], reachable: Flags) -> Plan:
        shares = carried(self._problem, pieces) / self._volumes / self._weights
        value = float(shares[reachable].min()) if reachable.any() else 0.0
        ceiling = float((1.0 / self._weights[reachable]).min()) if reachable.any() else 0.0
        return Plan(
            objective=Objective.MAX_MIN,
            pieces=pieces,
            value=value,
            bound=max(value, min(self._first[0], ceiling)),
            rounds=self._rounds,
            prices=self._first[1],
            levels=tuple(self._levels),
        )
