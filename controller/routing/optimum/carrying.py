"""The most that can be carried: weight x volume over all demands, by column generation with a bound at every round."""

import math
from collections.abc import Iterator
from typing import Final

import numpy as np

from controller.routing.kernels.net import Floats, Int64s
from controller.routing.optimum.columns import Columns, maximum
from controller.routing.optimum.plan import Piece, Plan, whole_pieces, worth
from controller.routing.optimum.pricing import Priced, Pricer, rounded
from controller.routing.optimum.problem import Objective, Problem

SCALE: Final = 2.0**36
"""Steps in a price that is the weight of the dearest demand."""
_STEADY: Final = 0.5
"""How much of the best prices so far goes into the next: the prices of one round alone swing from side to side."""
_NOTHING: Final = 1e-9


class Carrying:
    """Column generation for one problem; what it knows grows with every round.

    Attributes:
        columns: The routes found so far; at the end all that an optimal plan of parts needs.
        bound: The least that was proven so far.
        prices: What proves it, of a unit of each link; shape (n_links,).
        top: The largest weight, which prices are rounded in parts of.
        shares: How much of each route's demand the newest plan sends over it; shape (n_columns at that time,).
    """

    def __init__(self, problem: Problem, *, toll: float = 0.0) -> None:
        """Begin with no routes.

        Args:
            problem: The network and the demands.
            toll: What each unit carried costs on each link of its route, taken off its worth; >= 0.
        """
        self.columns = Columns(problem)
        self.bound = math.inf
        self.prices: Floats = np.zeros(problem.rooms.size)
        self.shares: Floats = np.zeros(0)
        self._problem = problem
        self._pricer = Pricer(problem)
        self._weights = np.array([want.weight for want in problem.wants])
        self.top = float(self._weights.max(initial=0.0)) or 1.0
        self._gains = np.ceil(self._weights / self.top * SCALE).astype(np.int64)
        self._volumes = [want.volume for want in problem.wants]
        self._rooms: list[int] = problem.useful_rooms().tolist()
        self._toll = toll / self.top
        self._toll_steps = math.floor(self._toll * SCALE)

    def rounds(self) -> Iterator[Plan]:
        """Yield ever better plans, the last of them optimal; an empty one where nothing can be carried.

        Cost: each round prices all demands and solves a linear program of n_wants + n_links rows; few rounds.
        """
        columns = self.columns
        weights = self._weights / self.top
        unit = float(np.median(self._volumes)) if self._volumes else 1.0
        limits = np.array(self._volumes + self._rooms, float) / unit
        volumes = np.array(self._volumes, float)
        number = 1
        new = self._priced(np.zeros(len(self._rooms)))
        while new:
            wants = columns.wants.copy()
            gains = weights[wants] - self._toll * np.fromiter(map(len, columns.ways), float, len(columns))
            solved = maximum(gains, columns.matrix(), limits, packing=True)
            self.shares = solved.values * unit / volumes[wants]
            pieces = whole_pieces(self._problem, wants, columns.ways, solved.values * unit)
            shadow = solved.prices[len(volumes) :]
            reached = float(gains @ solved.values) * unit * self.top
            number += 1
            new = self._priced(_STEADY * self.prices / self.top + (1 - _STEADY) * shadow)
            if not new and self.bound - reached > _NOTHING * self.bound:
                number += 1
                new = self._priced(shadow)
            if self.bound - reached <= _NOTHING * self.bound:
                new = 0
            paid = math.fsum(self._toll * self.top * len(piece.links) * piece.volume for piece in pieces)
            yield self._plan(pieces, worth(self._problem, pieces) - paid, number)
        if number == 1:
            self.bound = 0.0
            yield self._plan((), 0.0, number)

    def _plan(self, pieces: tuple[Piece, ...], value: float, number: int) -> Plan:
        return Plan(
            objective=Objective.CARRIED,
            pieces=pieces,
            value=value,
            bound=max(value, self.bound),
            rounds=number,
            prices=self.prices,
        )

    def _priced(self, prices: Floats) -> int:
        """Price all demands, keep the bound if it is the best, and return how many new routes there are."""
        costs = rounded(prices, SCALE)
        priced = self._pricer.price(costs + self._toll_steps)
        self._prove(costs, priced)
        return self.columns.add_priced(priced, np.flatnonzero(priced.costs < self._gains).tolist())

    def _prove(self, costs: Int64s, priced: Priced) -> None:
        # Weak duality holds for any prices: a plan is worth no more than all room at its price, and what the weight of
        # each demand exceeds the cheapest way by, tolls included. In whole numbers, so that it is exact.
        paid = sum(room * cost for room, cost in zip(self._rooms, costs.tolist(), strict=True))
        gained = sum(
            volume * max(0, gain - cost)
            for volume, gain, cost in zip(self._volumes, self._gains.tolist(), priced.costs.tolist(), strict=True)
        )
        bound = (paid + gained) / SCALE * self.top
        if bound < self.bound:
            self.bound = bound
            self.prices = costs / SCALE * self.top
