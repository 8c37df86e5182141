"""The routes that column generation knows so far, and the linear programs over them."""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from scipy.optimize import linprog
from scipy.sparse import csc_array

from controller.routing.kernels.net import Floats
from controller.routing.optimum.pricing import Priced
from controller.routing.optimum.problem import Problem

_LARGE: Final = 3000
"""With more variables, an interior point takes a third of the time of the simplex method for packing, or less."""


class Columns:
    """Routes of demands, each once, in the order in which they were found."""

    def __init__(self, problem: Problem) -> None:
        self._n_wants = len(problem.wants)
        self._n_links = problem.rooms.size
        self.wants: list[int] = []
        self.ways: list[tuple[int, ...]] = []
        self._known: set[tuple[int, tuple[int, ...]]] = set()
        self._rows: list[int] = []
        self._ends: list[int] = [0]

    def __len__(self) -> int:
        return len(self.wants)

    def add(self, want: int, way: tuple[int, ...]) -> bool:
        """Add a route, from the smaller end to the larger; tell whether it is new."""
        if (want, way) in self._known:
            return False
        self._known.add((want, way))
        self.wants.append(want)
        self.ways.append(way)
        self._rows.append(want)
        self._rows.extend(self._n_wants + link for link in way)
        self._ends.append(len(self._rows))
        return True

    def add_priced(self, priced: Priced, wants: Sequence[int]) -> int:
        """Add the cheapest ways of some demands, and return how many are new."""
        return sum(self.add(want, priced.way(want)) for want in wants)

    def matrix(self) -> csc_array:
        """Return which demand and which links each route is of; shape (n_wants + n_links, n_routes)."""
        return csc_array(
            (np.ones(len(self._rows)), np.array(self._rows, np.int32), np.array(self._ends, np.int32)),
            shape=(self._n_wants + self._n_links, len(self.wants)),
        )


class Solved(NamedTuple):
    """The optimum of a linear program.

    Attributes:
        values: Of each variable.
        prices: What one more unit on the right of each row is worth, >= 0.
    """

    values: Floats
    prices: Floats


def maximum(
    gains: Floats,
    rows: Any,
    limits: Floats,
    *,
    low: Floats | float = 0.0,
    high: Floats | float = np.inf,
    packing: bool = False,
) -> Solved:
    """Return the optimum of: gains x values as large as can be, rows x values <= limits, low <= values <= high.

    Args:
        gains: Of each variable; shape (n_variables,).
        rows: Sparse; shape (n_rows, n_variables).
        limits: Of each row; shape (n_rows,).
        low: Of each variable.
        high: Of each variable.
        packing: All rows and limits are >= 0: then, if large, it is given to another method.

    Raises:
        ArithmeticError: The solver gave up, which a problem with bounded values and a feasible point never makes it do.
    """
    bounds = np.stack([np.broadcast_to(low, gains.shape), np.broadcast_to(high, gains.shape)], axis=1)
    method = "highs-ipm" if packing and gains.size > _LARGE else "highs-ds"
    answer = linprog(-gains, A_ub=rows, b_ub=limits, bounds=bounds, method=method)
    if answer.status != 0:
        raise ArithmeticError(f"the linear program was not solved: {answer.message}")
    return Solved(values=np.asarray(answer.x), prices=np.maximum(0.0, -np.asarray(answer.ineqlin.marginals)))
