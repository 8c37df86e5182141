"""Sums over an older pair that came no longer ago than a cut-off, for every slot of the younger one.

On a lattice slots are instants: those at the window's ends count, and a tie counts once. Else the mass of a slot stands
for a density, linear between slots, and the window's integral is taken of it.
"""

import math
from dataclasses import dataclass

import numpy as np

from controller.physics.ready_pair import WHOLE, Array

_LARGEST_EXPONENT = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class MeetingWindow:
    """How long the older pair may wait.

    Attributes:
        window: Slots, >= 0; as long as the tables or longer: for ever.
        lattice: Whether slots are instants.
        length: Slots of a table.
    """

    window: float
    lattice: bool
    length: int

    @property
    def limited(self) -> bool:
        """Whether a pair may come too late."""
        return self.window < self.length - 1

    @property
    def cells(self) -> int:
        """Whole slots of the window."""
        return math.floor(self.window + WHOLE)

    @property
    def reach(self) -> int:
        """Slots that must be known of both pairs."""
        return self.length + self.cells + 1 if self.limited else self.length

    def older(self, values: Array, decay: float, *, ties: bool) -> Array:
        """Return, for each slot of the younger pair, the sum over the older's, which loses exp(-decay) a slot.

        Args:
            values: Mass of the older by its slot, shape (length,).
            decay: Exponent per slot, >= 0.
            ties: Whether both in one slot counts here; on a lattice only, else half of it counts on either side.
        """
        sums = _decayed_sums(values, decay)
        if self.lattice:
            if self.limited:
                sums = sums - math.exp(-decay * (self.cells + 1)) * _shifted(sums, self.cells + 1)
            return np.maximum(sums if ties else sums - values, 0.0)
        at_start, at_end = _cell_weights(decay, 1.0)
        if not self.limited:
            return at_start * sums + at_end * _shifted(sums, 1)
        kept = math.exp(-decay * self.cells)
        sums = np.maximum(sums - kept * _shifted(sums, self.cells), 0.0)
        part_start, part_end = _cell_weights(decay, self._part)
        return (
            at_start * sums
            + at_end * _shifted(sums, 1)
            + kept * (part_start * _shifted(values, self.cells) + part_end * _shifted(values, self.cells + 1))
        )

    def missed(self, older: Array, younger: Array, rest: float) -> Array:
        """Return, for each slot of the older pair, its mass whose younger comes after the window; shape (length,).

        Args:
            older: Mass by slot, shape (>= length,).
            younger: Mass by slot, shape (reach,).
            rest: Mass of the younger beyond.
        """
        if not self.limited:
            return np.zeros(self.length)
        end, length = self.cells, self.length
        after = _later(younger, rest)
        late = after[end + 1 : end + 1 + length]
        if not self.lattice:
            part_start, part_end = _cell_weights(0.0, self._part)
            late = (
                late + (0.5 - part_start) * younger[end : end + length] - part_end * younger[end + 1 : end + 1 + length]
            )
        return older[:length] * np.maximum(late, 0.0)

    def still_made(self, other: Array, rest: float) -> Array:
        """Return P(the other pair's coming has not ended the round) for each slot; shape (length,)."""
        if not self.limited:
            return np.ones(self.length)
        after = _later(other, rest)
        found = np.ones(self.length)
        found[self.cells :] = after[: self.length - self.cells]
        return found

    @property
    def _part(self) -> float:
        return max(0.0, self.window - self.cells)


def _later(values: Array, rest: float) -> Array:
    """Return the mass in slot k or later, for k up to and including the length."""
    return np.concatenate((np.cumsum(values[::-1])[::-1], [0.0])) + rest


def _cell_weights(decay: float, part: float) -> tuple[float, float]:
    """Return the integrals of (1 - v) e^(-decay v) and v e^(-decay v) over v from 0 to part <= 1."""
    y = decay * part
    if y < 1e-3:
        whole, first = 1.0 - y / 2.0 + y * y / 6.0, 0.5 - y / 3.0 + y * y / 8.0
    else:
        whole = -math.expm1(-y) / y
        first = (whole - math.exp(-y)) / y
    return part * (whole - part * first), part * part * first


def _decayed_sums(values: Array, decay: float) -> Array:
    """Return sum_j e^(-decay j) values[k - j] for every k."""
    if decay == 0.0:
        return np.cumsum(values)
    block = max(1, min(len(values), int(_LARGEST_EXPONENT / decay)))
    rows = -(-len(values) // block)
    padded = np.zeros(rows * block)
    padded[: len(values)] = values
    grown = np.exp(decay * np.arange(block))
    sums = np.cumsum(padded.reshape(rows, block) * grown, axis=1) / grown
    # Of earlier rows only the one before still counts: the others have decayed by e^-30.
    sums[1:] += np.outer(sums[:-1, -1], np.exp(-decay) / grown)
    flat: Array = sums.reshape(-1)[: len(values)]
    return flat


def _shifted(values: Array, slots: int) -> Array:
    """Return the values that many slots later, zeros before."""
    if slots == 0:
        return values
    found = np.zeros_like(values)
    if slots < len(values):
        found[slots:] = values[:-slots]
    return found
