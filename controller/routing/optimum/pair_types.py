"""What no way of swapping can exceed: a linear program over types of pairs, the two nodes that share them.

It knows nothing of decay, of purification, of memories that fill up, or of chance: only that a swap takes a pair of
{i, k} and one of {k, j}, and gives one of {i, j} with the chance of node k. So every stationary policy on these links
keeps its limits, any mix of swap trees included. Source: Dai, Peng, Win; models of the field, pair-type program.
"""

import math
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from scipy.sparse import csc_array
from scipy.sparse.csgraph import connected_components

from controller.domain.refusals import InvalidValue
from controller.routing.kernels.net import Floats, Int64s
from controller.routing.optimum.columns import maximum
from controller.routing.optimum.pairs import PairProblem

MOST_PAIR_TYPE_NODES: Final = 60
"""Of one connected part: there are n^3 / 2 kinds of swaps."""
_STEPS: Final = 2**30
"""Steps in a price that is the largest weight, and in a chance of 1; the product of two still fits 64 bits."""


class Swapping(NamedTuple):
    """Swaps at one node that join pairs of {first, at} and {at, second}.

    Attributes:
        rate_millihertz: Of attempts; > 0.
    """

    at: int
    first: int
    second: int
    rate_millihertz: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PairTypes:
    """The optimum over types of pairs, and the proof that nothing is better.

    Attributes:
        rates_millihertz: What each demand gets; keeps the limits to the solver's tolerance; shape (n_wants,).
        swaps: Where those come from.
        value: The sum of weight x rate.
        bound: No stationary policy is worth more; proven by `prices`, whatever the solver did.
        prices: Of a pair of each type; symmetric, in units of weight; shape (n_nodes, n_nodes).
    """

    rates_millihertz: Floats
    swaps: tuple[Swapping, ...]
    value: float
    bound: float
    prices: Floats

    @property
    def gap(self) -> float:
        """Return how much better a policy might be, as a part of the bound; in [0, 1]."""
        return max(0.0, self.bound - self.value) / self.bound if self.bound > 0 else 0.0


def pair_types(problem: PairProblem) -> PairTypes:
    """Return the most that demands can get of pairs. Cost: a sparse linear program of n^3 / 2 variables, n^2 / 2 rows.

    Raises:
        InvalidValue: A connected part has more than MOST_PAIR_TYPE_NODES nodes.
        ArithmeticError: The solver gave up.
    """
    parts = _parts(problem)
    n_nodes = parts.size
    sizes = np.bincount(parts, minlength=1)
    if sizes.max() > MOST_PAIR_TYPE_NODES:
        raise InvalidValue(
            "",
            ("net", f"a connected part has {sizes.max()} nodes, more than {MOST_PAIR_TYPE_NODES}; bound parts of it"),
        )
    wanted = [want for want in problem.wants if parts[want.source] == parts[want.target]]
    inside = np.isin(parts, [parts[want.source] for want in wanted])
    ids = np.full((n_nodes, n_nodes), -1)
    low, high = np.nonzero(np.triu((parts[:, None] == parts) & inside[:, None], 1))
    ids[low, high] = ids[high, low] = np.arange(low.size)

    limits = np.zeros(low.size)
    ends = ids[problem.net.tails, problem.net.heads]
    np.add.at(limits, ends[ends >= 0], problem.rates_millihertz[ends >= 0])
    unit = float(limits.max(initial=0.0)) or 1.0

    swaps = _swaps(problem, ids, low, high)
    most = np.array(problem.most_millihertz(), float)
    takers = np.array([ids[want.source, want.target] for want in problem.wants], np.int64)
    served = np.flatnonzero(takers >= 0)
    rows = np.concatenate([swaps.takes_first, swaps.takes_second, swaps.gives, takers[served]])
    n_swaps = swaps.at.size
    number = np.arange(n_swaps)
    columns = np.concatenate([number, number, number, n_swaps + np.arange(served.size)])
    values = np.concatenate([np.ones(2 * n_swaps), -problem.successes[swaps.at], np.ones(served.size)])
    weights = np.array([want.weight for want in problem.wants])
    top = float(weights.max(initial=0.0)) or 1.0

    rates = np.zeros(len(problem.wants))
    prices = np.where(parts[:, None] == parts, 0.0, top)
    found: tuple[Swapping, ...] = ()
    if served.size:
        solved = maximum(
            np.concatenate([np.zeros(n_swaps), weights[served] / top]),
            csc_array((values, (rows, columns)), shape=(low.size, n_swaps + served.size)),
            limits / unit,
            high=np.concatenate([np.full(n_swaps, np.inf), most[served] / unit]),
        )
        rates[served] = np.maximum(0.0, solved.values[n_swaps:] * unit)
        prices[low, high] = prices[high, low] = solved.prices * top
        attempts = solved.values[:n_swaps] * unit
        found = tuple(
            Swapping(
                at=int(swaps.at[swap]),
                first=int(low[swaps.gives[swap]]),
                second=int(high[swaps.gives[swap]]),
                rate_millihertz=float(attempts[swap]),
            )
            for swap in np.flatnonzero(attempts > 1e-9 * unit)
        )
    steps = _settled(problem, prices)
    return PairTypes(
        rates_millihertz=rates,
        swaps=found,
        value=float(weights @ rates),
        bound=_bound(problem, steps),
        prices=np.asarray(steps * (top / _STEPS), np.float64),
    )


def proven_bound(problem: PairProblem, prices: Floats) -> float:
    """Return the bound that prices of pairs prove, by weak duality; any prices prove one.

    Prices are lowered first until none is more than the pairs that can be swapped into it cost; in whole numbers, with
    every rounding to the safe side.

    Args:
        problem: The network and the demands.
        prices: Of a pair of each type, symmetric, >= 0; shape (n_nodes, n_nodes).

    Raises:
        InvalidValue: The prices are of another shape, not symmetric, negative or not finite.
    """
    n_nodes = problem.net.first.size - 1
    if prices.shape != (n_nodes, n_nodes) or not bool((np.isfinite(prices) & (prices >= 0)).all()):
        raise InvalidValue("", ("prices", f"are not {n_nodes} x {n_nodes} numbers of at least 0"))
    if not np.array_equal(prices, prices.T):
        raise InvalidValue("", ("prices", "are not symmetric"))
    return _bound(problem, _settled(problem, prices))


class _Swaps(NamedTuple):
    at: Int64s
    takes_first: Int64s
    takes_second: Int64s
    gives: Int64s


def _parts(problem: PairProblem) -> Int64s:
    """Return the number of the part of each node, joined by links that make pairs; shape (n_nodes,)."""
    n_nodes = problem.net.first.size - 1
    making = problem.rates_millihertz > 0
    tails, heads = problem.net.tails[making], problem.net.heads[making]
    joined = csc_array((np.ones(tails.size), (tails, heads)), shape=(n_nodes, n_nodes))
    return np.asarray(connected_components(joined, directed=False)[1], np.int64)


def _swaps(problem: PairProblem, ids: Int64s, low: Int64s, high: Int64s) -> _Swaps:
    """Return all kinds of swaps by the number of the pairs that they take and give."""
    kinds = []
    for node in np.flatnonzero(problem.successes > 0):
        gives = np.flatnonzero((ids[node, low] >= 0) & (ids[node, high] >= 0))
        first, second = ids[node, low[gives]], ids[node, high[gives]]
        kinds.append((np.full(gives.size, node), first, second, gives))
    if not kinds:
        return _Swaps(*(np.zeros(0, np.int64) for _ in range(4)))
    return _Swaps(*(np.concatenate(parts).astype(np.int64) for parts in zip(*kinds, strict=True)))


def _settled(problem: PairProblem, prices: Floats) -> Int64s:
    """Return prices in steps such that no swap gains: chance x price of what it gives <= prices of what it takes."""
    top = max((want.weight for want in problem.wants), default=1.0)
    steps: Int64s = np.rint(np.minimum(prices / top, 1.0) * _STEPS).astype(np.int64)
    np.fill_diagonal(steps, _STEPS)
    # Chances are rounded up: better swaps can only raise what is possible.
    chances = [(node, math.ceil(success * _STEPS)) for node, success in enumerate(problem.successes.tolist())]
    changed = True
    while changed:
        before = steps.copy()
        for node, chance in chances:
            if chance > 0:
                taken = steps[node][:, None] + steps[node][None, :]
                # A pair of the node itself is no result of a swap there.
                reach = taken * _STEPS // chance
                reach[node, :] = reach[:, node] = _STEPS
                np.minimum(steps, reach, out=steps)
        changed = not np.array_equal(before, steps)
    return steps


def _bound(problem: PairProblem, steps: Int64s) -> float:
    top = max((want.weight for want in problem.wants), default=1.0)
    made = zip(problem.rates_millihertz.tolist(), steps[problem.net.tails, problem.net.heads].tolist(), strict=True)
    paid = sum(rate * price for rate, price in made)
    gained = sum(
        most * max(0, math.ceil(want.weight / top * _STEPS) - int(steps[want.source, want.target]))
        for most, want in zip(problem.most_millihertz(), problem.wants, strict=True)
    )
    return float((paid + gained) / _STEPS * top * (1 + 1e-15))
