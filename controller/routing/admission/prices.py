"""What a link costs by its load, in integers that are the same on every machine."""

from decimal import Context, Decimal
from functools import lru_cache
from typing import Final

import numpy as np

from controller.routing.kernels.net import Int64s, frozen

ONE: Final = 2**20
"""The unit of prices."""
_BALANCING: Final = 10_000
_IDLE: Final = 3 * ONE
"""Base of prices that only choose a route, and what an idle link costs there: what carried most of what was tried."""
_STEPS: Final = 4096
_LEAST_BASE: Final = 2
_LARGEST_BASE: Final = 2**19
_LARGEST_COST: Final = 2**40
"""What searches take for a link at most."""


def price_base(longest_route: int) -> int:
    """Return mu of exponential prices for routes of so many links at most: a link is priced out before it is full.

    With mu = 2 H + 4 a link with room for less than 1 / log2(mu) of its capacity costs more than H.

    Args:
        longest_route: H >= 1.

    >>> price_base(1), price_base(49)
    (6, 102)
    """
    return min(2 * longest_route + 4, _LARGEST_BASE)


def exponential_prices(capacities: Int64s, rooms: Int64s, base: int) -> Int64s:
    """Return base^u - 1 of each link in units of ONE, rounded down; u is what of its capacity is taken. Cost: O(m).

    Between 4,096 steps of u the price is read off a straight line, which is above the curve by less than one
    part in a million.

    Args:
        capacities: Millibit/s, >= 0; a link without capacity counts as full; shape (n_links,).
        rooms: What of it is free; below 0 counts as 0; shape (n_links,).
        base: In [2, 2^19].
    """
    capacity = np.maximum(capacities, 1)
    taken = np.where(capacities > 0, capacity - np.clip(rooms, 0, capacity), capacity) * _STEPS
    step, rest = np.divmod(taken, capacity)
    table = _table(base)
    low, high = table[step], table[step + 1]
    between: Int64s = low + ((high - low) * ((rest * ONE) // capacity)) // ONE
    return between


def balancing_costs(capacities: Int64s, rooms: Int64s) -> Int64s:
    """Return 3 + 10000^u - 1 of each link in units of ONE; u is what of it is taken. Cost: O(m).

    Two idle links are cheaper than one of which more than 15 % are taken. Arguments as of `exponential_prices`.
    """
    return _IDLE + exponential_prices(capacities, rooms, _BALANCING)


def load_costs(capacities: Int64s, rooms: Int64s) -> Int64s:
    """Return capacity / room of each link in thousandths and at least 1: twice as dear half full. Cost: O(m)."""
    costs: Int64s = np.clip(np.maximum(capacities, 0) * 1000 // np.maximum(rooms, 1), 1, _LARGEST_COST)
    return costs


@lru_cache(maxsize=16)
def _table(base: int) -> Int64s:
    """Return ONE (base^(k / 4096) - 1) rounded down for k = 0 to 4096, and the last one again.

    Decimal, since it is computed alike everywhere; the exponential functions of machines differ in their last digit.
    """
    base = max(_LEAST_BASE, min(base, _LARGEST_BASE))
    context = Context(prec=50)
    root = context.power(Decimal(base), context.divide(Decimal(1), Decimal(_STEPS)))
    # A power of the root can fall short of a whole number by its last digits.
    near = Decimal("1e-30")
    powers, power = list[int](), Decimal(1)
    for _ in range(_STEPS + 1):
        powers.append(int(context.multiply(power + near, Decimal(ONE))) - ONE)
        power = context.multiply(power, root)
    table = np.array([*powers, powers[-1]], dtype=np.int64)
    frozen(table)
    return table
