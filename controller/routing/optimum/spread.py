"""How full the fullest link must be at least when some demands are carried: column generation with a proven bound."""

from typing import Final

import numpy as np
from scipy.sparse import csc_array, diags_array, hstack

from controller.routing.kernels.net import Floats, Int64s
from controller.routing.optimum.carrying import SCALE
from controller.routing.optimum.columns import Columns, maximum
from controller.routing.optimum.pricing import FAR, Pricer, rounded
from controller.routing.optimum.problem import Problem

_STEADY: Final = 0.5
_NOTHING: Final = 1e-6
_MOST_ROUNDS: Final = 60


def least_fullest(problem: Problem, capacities: Int64s, held: Int64s) -> float:
    """Return a utilisation that the fullest link has at least, however the demands go, divided or not.

    Cost: each round prices all demands and solves a linear program of n_wants + n_links rows; few rounds. After 60 of
    them what is proven so far is returned.

    Args:
        problem: The demands, all of which are carried; its rooms only say how wide a link is for one that is whole.
        capacities: What utilisation is a part of; links of 0 have none; shape (n_links,).
        held: What is held of each link beside the demands; shape (n_links,).

    Raises:
        ArithmeticError: The solver gave up.
    """
    there = capacities > 0
    fill = held[there] / capacities[there]
    bound = float(fill.max(initial=0.0))
    if not problem.wants or not there.any():
        return bound
    volumes = np.array([want.volume for want in problem.wants], float)
    unit = float(np.median(volumes))
    pricer, columns = Pricer(problem), Columns(problem)
    best: Floats = np.where(there, 1.0 / np.maximum(capacities, 1), 0.0)
    # A link without capacity has no price, yet a search charges it one step.
    free = float((problem.net.first.size - 1) * (~there).any())
    tried: list[Floats] = [best]
    reached = np.zeros(volumes.size, np.bool_)
    for _ in range(_MOST_ROUNDS):
        new = 0
        for prices in tried:
            costs = rounded(np.where(there, prices / prices.max(), 0.0), SCALE)
            priced = pricer.price(costs)
            reached = priced.costs < FAR
            # Any prices prove it: what all pay for their cheapest ways is no more than what full links are worth.
            spent = np.where(there, costs, 0).astype(float)
            ways = np.maximum(0.0, np.where(reached, priced.costs, 0).astype(float) - free)
            proven = float(volumes @ ways + held @ spent) / float(capacities @ spent)
            if proven > bound:
                bound, best = proven, prices
            new = columns.add_priced(priced, np.flatnonzero(reached).tolist())
            if new:
                break
        if not new:
            return bound
        signs = np.concatenate([-np.ones(volumes.size), there.astype(float)])
        level = np.concatenate([np.zeros(volumes.size), -np.where(there, capacities, 0) / unit])
        rows = hstack([diags_array(signs) @ columns.matrix(), csc_array(level[:, None])], format="csc")
        limits = np.concatenate([np.where(reached, -volumes, 0.0), np.where(there, -held, 0)]) / unit
        gains = np.zeros(len(columns) + 1)
        gains[-1] = -1.0
        solved = maximum(gains, rows, limits)
        shadow = solved.prices[volumes.size :]
        worth = float(shadow @ capacities)
        if worth <= 0 or float(solved.values[-1]) - bound <= _NOTHING * bound:
            return bound
        steady = _STEADY * best / float(best @ capacities) + (1 - _STEADY) * shadow / worth
        tried = [steady, shadow / worth]
    return bound
