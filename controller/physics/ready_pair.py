"""When one pair is ready, and how good it then is: a distribution on a time grid with a geometric tail.

Times are in slots of the grid, as floats. w = (4F - 1) / 3, F = <Phi+|rho|Phi+>.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

WHOLE = 1e-9  # so near a whole number a time is taken for one
_NEGLIGIBLE_TAIL = 1e-10


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadyPair:
    """When one pair is ready since its making began, and its state then.

    Attributes:
        mass: P(ready in slot k), shape (n,).
        weight: P(ready in slot k) times the mean w of those pairs, shape (n,).
        tries: Mean swaps tried in slot k before the pair is ready, by the nodes inside its segment from left to
            right, shape (m, n).
        tail_mass: P(ready in slot n or later).
        tail_weight: The same, times mean w.
        tail_tries: Swaps tried in slot n or later, shape (m,).
        tail_exit: Of the geometric tail: P(slot k | not before k), for k >= n; in (0, 1].
        tail_period: Slots from one possible slot to the next in the tail; > 1 for attempts longer than a slot.
        mean: Mean slot, tail included.
        lattice: Whether pairs are ready at whole slots in truth, not only on this grid.
    """

    mass: Array
    weight: Array
    tries: Array
    tail_mass: float
    tail_weight: float
    tail_tries: Array
    tail_exit: float
    tail_period: int = 1
    mean: float
    lattice: bool

    @property
    def mean_werner(self) -> float:
        """Mean w when ready."""
        return float(self.weight.sum()) + self.tail_weight

    def extended(self, length: int) -> tuple[Array, Array, float]:
        """Return (mass, weight) of the slots 0 .. length - 1, and the mass beyond; length > n."""
        shape, rest = self._tail_shape(length)
        return (
            np.concatenate((self.mass, self.tail_mass * shape)),
            np.concatenate((self.weight, self.tail_weight * shape)),
            self.tail_mass * rest,
        )

    def extended_tries(self, length: int) -> Array:
        """Return the tries of the slots 0 .. length - 1, shape (m, length); length > n."""
        shape, _ = self._tail_shape(length)
        return np.concatenate((self.tries, self.tail_tries[:, None] * shape), axis=1)

    def _tail_shape(self, length: int) -> tuple[Array, float]:
        """Return shares of the tail by slot from n on, and the share beyond."""
        start, period = len(self.mass), self.tail_period
        beyond = length - start
        shape = np.zeros(beyond)
        first = -start % period
        possible = shape[first::period]
        stay = 1.0 - self.tail_exit
        if period > 1:
            exit_each = -math.expm1(period * math.log1p(-self.tail_exit)) if stay > 0.0 else 1.0
        else:
            exit_each = self.tail_exit
        if exit_each >= 1.0:
            if len(possible):
                possible[0] = 1.0
            return shape, 0.0 if len(possible) else 1.0
        log_stay = math.log1p(-exit_each)
        possible[:] = exit_each * np.exp(log_stay * np.arange(len(possible)))
        return shape, math.exp(log_stay * len(possible))


def heralded_pair(probability: float, period: float, werner: float, length: int) -> ReadyPair:
    """Return the elementary pair of a hop: a geometric number of attempts, each `period` slots long.

    Where attempts do not end at whole slots their mass is shared by the two slots around, which keeps the mean.
    """
    whole_period = round(period)
    lattice = whole_period >= 1 and abs(period - whole_period) < WHOLE
    edges = np.arange(length + 1, dtype=np.float64)
    attempts = np.floor(edges / period + WHOLE)
    if probability < 1.0:
        survival = np.exp(attempts * math.log1p(-probability))
    else:
        survival = np.where(attempts >= 1.0, 0.0, 1.0)
    if lattice:
        mass = np.zeros(length)
        mass[whole_period::whole_period] = probability * survival[: length - whole_period : whole_period]
        tail_mass = float(survival[length - 1])
    else:
        lived = period * (1.0 - survival) / probability + (edges - attempts * period) * survival
        mass, tail_mass = _shared(lived, 1.0)
    return with_tail(
        mass=mass,
        weight=werner * mass,
        tries=np.zeros((0, length)),
        tail_mass=tail_mass,
        tail_weight=werner * tail_mass,
        tail_tries=np.zeros(0),
        mean=period / probability,
        lattice=lattice,
        tail_period=whole_period if lattice else 1,
        tail_exit=-math.expm1(math.log1p(-probability) / whole_period) if lattice and probability < 1.0 else None,
    )


def resampled(pair: ReadyPair, slot: float, length: int) -> ReadyPair:
    """Return a pair without inner swaps on another grid, whose slot is so many of the old ones.

    Means are kept exactly. Onto a coarser grid each mass goes to the two slots around; onto a finer one masses are
    taken for densities, unless they are instants that the finer grid has too.
    """
    finer = round(1.0 / slot)
    if pair.lattice and finer >= 1 and abs(finer * slot - 1.0) < WHOLE:
        kept = (length + finer - 1) // finer
        known = min(kept, len(pair.mass))
        old_mass, old_weight = pair.mass[:known], pair.weight[:known]
        if kept > known:
            old_mass, old_weight, _ = pair.extended(kept)
        mass, weight = np.zeros(length), np.zeros(length)
        mass[::finer], weight[::finer] = old_mass, old_weight
        tail_mass = max(0.0, 1.0 - float(mass.sum()))
        tail_weight = max(0.0, pair.mean_werner - float(weight.sum()))
        lattice, tail_period = True, finer * pair.tail_period
    else:
        edges = np.arange(length + 1, dtype=np.float64) * slot
        mass, tail_mass = _shared(_lived(pair.mass, pair.tail_mass, pair.tail_exit, edges, slot), slot)
        weight, tail_weight = _shared(_lived(pair.weight, pair.tail_weight, pair.tail_exit, edges, slot), slot)
        weight[0] += pair.mean_werner - 1.0
        lattice, tail_period = False, 1
    return with_tail(
        mass=mass,
        weight=weight,
        tries=np.zeros((0, length)),
        tail_mass=tail_mass,
        tail_weight=tail_weight,
        tail_tries=np.zeros(0),
        mean=pair.mean / slot,
        lattice=lattice,
        tail_period=tail_period,
    )


def with_tail(
    *,
    mass: Array,
    weight: Array,
    tries: Array,
    tail_mass: float,
    tail_weight: float,
    tail_tries: Array,
    mean: float,
    lattice: bool,
    tail_period: int = 1,
    tail_exit: float | None = None,
) -> ReadyPair:
    """Return the pair whose tail has the given mass and, unless its exit is known, brings the mean to its value."""
    length = len(mass)
    if tail_mass <= _NEGLIGIBLE_TAIL:
        tail_mass, tail_weight, tail_tries, tail_exit = 0.0, 0.0, np.zeros_like(tail_tries), 1.0
    elif tail_exit is None:
        excess = (mean - float(mass @ np.arange(length))) / tail_mass - length
        tail_exit = 1.0 / (1.0 + max(0.0, excess))
    return ReadyPair(
        mass=mass,
        weight=weight,
        tries=tries,
        tail_mass=tail_mass,
        tail_weight=tail_weight,
        tail_tries=tail_tries,
        tail_exit=tail_exit,
        tail_period=tail_period,
        mean=mean,
        lattice=lattice,
    )


def _shared(lived: Array, slot: float) -> tuple[Array, float]:
    """Return (masses, mass beyond) from the mean of min(T, t) at the slots' edges, shape (n + 1,)."""
    survival = np.diff(lived) / slot
    mass = np.concatenate(([1.0 - survival[0]], survival[:-1] - survival[1:]))
    return mass, float(survival[-1])


def _lived(mass: Array, tail: float, tail_exit: float, edges: Array, slot: float) -> Array:
    """Return the integral of the mass later than t, from 0 to each edge."""
    length = len(mass)
    later = np.cumsum(mass[::-1])[::-1] + tail  # in slot k or later
    lived = np.concatenate(([0.0], np.cumsum(np.concatenate((later[1:], [tail])))))  # at 0 .. length
    stay = math.log1p(-tail_exit) if tail_exit < 1.0 else -math.inf

    def at(times: Array) -> Array:
        inside = np.interp(times, np.arange(length + 1), lived)
        if tail == 0.0 or stay == -math.inf:
            return inside
        beyond = -np.expm1(stay * np.maximum(times - length, 0.0)) * tail / tail_exit
        return inside + (1.0 - tail_exit) * beyond

    if slot >= 1.0:
        return at(edges)
    # Each mass spread as a triangle over its neighbours: the cubic B-spline of the values at the old slots.
    cells = np.floor(edges)
    u = edges - cells
    total = float(mass.sum()) + tail
    found = np.zeros_like(edges)
    for offset, factor in (
        (-1, (1.0 - u) ** 3 / 6.0),
        (0, (3.0 * u**3 - 6.0 * u**2 + 4.0) / 6.0),
        (1, (-3.0 * u**3 + 3.0 * u**2 + 3.0 * u + 1.0) / 6.0),
        (2, u**3 / 6.0),
    ):
        times = cells + offset
        found += factor * np.where(times < 0.0, total * times, at(np.maximum(times, 0.0)))
    return found
