"""When a pair is ready, and how good it then is: distributions on a time grid, joined two by two.

A `ReadyPair` holds P(ready in slot k) for k < n and, with each, the mean Werner parameter w = (4F - 1) / 3
(F = <Phi+|rho|Phi+>); beyond n it goes on as a geometric tail whose mass and mean are exact. Two pairs that are made
at the same time are joined by `join`: a swap with a cut-off, or a round of purification; a failure starts both
again. Everything that repeats is summed by renewal, success / (1 - failure), on a circle inside the unit circle,
where a transform of finite length does not alias. All times in this file are in slots of the grid, as floats.

Source: Brand, Coopmans, Elkouss, IEEE JSAC 38, 619 (2020).
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
ComplexArray = NDArray[np.complex128]

_LOG_ALIAS = math.log(1e-8)  # what wraps around the transform is damped by this
_LARGEST_EXPONENT = 30.0
_NEGLIGIBLE_TAIL = 1e-10


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadyPair:
    """When one pair is ready since its making began, and its state then.

    Attributes:
        mass: P(ready in slot k), shape (n,).
        weight: P(ready in slot k) times the mean w of those pairs, shape (n,).
        tail_mass: P(ready in slot n or later).
        tail_weight: The same, times mean w.
        tail_exit: Of the geometric tail: P(slot k | not before k), for k >= n; in (0, 1].
        mean: Mean slot, tail included.
        lattice: Whether pairs are ready at whole slots in truth, not only on this grid.
    """

    mass: Array
    weight: Array
    tail_mass: float
    tail_weight: float
    tail_exit: float
    mean: float
    lattice: bool

    @property
    def mean_werner(self) -> float:
        """Mean w when ready."""
        return float(self.weight.sum()) + self.tail_weight

    def extended(self, length: int) -> tuple[Array, Array, float]:
        """Return (mass, weight) for slots 0 .. length - 1, and the mass beyond."""
        beyond = length - len(self.mass)
        if self.tail_mass == 0.0:
            zeros = np.zeros(beyond)
            return np.concatenate((self.mass, zeros)), np.concatenate((self.weight, zeros)), 0.0
        log_stay = math.log1p(-self.tail_exit) if self.tail_exit < 1.0 else -math.inf
        shape = np.zeros(beyond)
        shape[0] = self.tail_exit
        if log_stay > -math.inf:
            shape = self.tail_exit * np.exp(log_stay * np.arange(beyond))
        rest = self.tail_mass * math.exp(log_stay * beyond)
        return (
            np.concatenate((self.mass, self.tail_mass * shape)),
            np.concatenate((self.weight, self.tail_weight * shape)),
            rest,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Joining:
    """What joins two pairs.

    Attributes:
        left_decay, right_decay: By how much w of a waiting pair falls, as an exponent per slot; >= 0.
        cutoff: Slots that the older may wait; infinite: for ever.
        success: Of the operation on two pairs w1, w2: `success + success_slope w1 w2`.
        kept_sum: w of the result times the success: `kept_sum (w1 + w2) + kept_product w1 w2`.
        kept_product: See kept_sum.
        success_delay: Slots from the operation until the result is ready.
        failure_delay: Slots from a failed operation until both pairs are begun again.
        result_decay: Exponent per slot of the result's w during success_delay.
    """

    left_decay: float
    right_decay: float
    cutoff: float
    success: float
    success_slope: float = 0.0
    kept_sum: float = 0.0
    kept_product: float
    success_delay: float
    failure_delay: float
    result_decay: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Rounds:
    """What repeating a joining until it succeeds takes on average.

    Attributes:
        mean: Slots until the operation succeeds, its success delay not included.
        mean_werner: w right after the operation.
        tries: Operations per success.
        left_busy: Slots per success in which the left pair is being made; likewise on the right.
        right_busy: See left_busy.
    """

    mean: float
    mean_werner: float
    tries: float
    left_busy: float
    right_busy: float


@dataclass(frozen=True, slots=True)
class _Tail:
    """Slots from `start` on, of which each is the last with probability `exit`."""

    start: int
    exit: float

    def mass(self, first: float) -> float:
        """Mass of all slots of which the first has `first`."""
        return float(first) / self.exit

    def moment(self, mass: float) -> float:
        """Sum of slot times mass."""
        return mass * (self.start + (1.0 - self.exit) / self.exit)

    def waited(self, masses: Array, delay: float) -> float:
        """Return the sum of (slot + delay) times mass, of masses for the slots up to and including `start`."""
        head, beyond = masses[: self.start], self.mass(masses[self.start])
        total = float(head.sum()) + beyond
        return float(head @ np.arange(self.start)) + self.moment(beyond) + delay * total


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """One round by the slot in which it is decided, delays not included; tails from slot 2n on."""

    how: Joining
    good: Array
    good_tail: float
    bad: Array
    bad_tail: float
    kept: Array
    kept_tail: float
    dropped: Array
    dropped_tail: float
    tail: _Tail


@dataclass(frozen=True, slots=True, kw_only=True)
class _Window:
    """Sums over an older pair that came at most `cells + part` slots ago; cells < 0: at any time before.

    On a lattice slots are instants: both instants at the window's ends count, and a tie counts once. Else a slot's
    mass stands for a density (linear between slots), and the window's integral is taken of it.
    """

    cells: int
    part: float
    lattice: bool
    length: int

    def of(self, values: Array, decay: float, *, ties: bool) -> Array:
        """Return the sum for each slot of the younger pair, the older losing exp(-decay) a slot; shape (length,)."""
        values = values[: self.length]
        sums = _decayed_sums(values, decay)
        if self.lattice:
            if self.cells >= 0:
                sums = sums - math.exp(-decay * (self.cells + 1)) * _shifted(sums, self.cells + 1)
            return np.maximum(sums if ties else sums - values, 0.0)
        at_start, at_end = _cell_weights(decay, 1.0)
        if self.cells < 0:
            return at_start * sums + at_end * _shifted(sums, 1)
        kept = math.exp(-decay * self.cells)
        sums = np.maximum(sums - kept * _shifted(sums, self.cells), 0.0)
        part_start, part_end = _cell_weights(decay, self.part)
        return (
            at_start * sums
            + at_end * _shifted(sums, 1)
            + kept * (part_start * _shifted(values, self.cells) + part_end * _shifted(values, self.cells + 1))
        )

    def dropped(self, older: Array, younger: Array, rest: float) -> Array:
        """Return, for each slot of the older pair, the mass whose younger comes after the window; shape (length,)."""
        after = np.concatenate((np.cumsum(younger[::-1])[::-1], [0.0])) + rest  # slot k or later
        end = self.cells
        late = after[end + 1 : end + 1 + self.length]
        if not self.lattice:
            part_start, part_end = _cell_weights(0.0, self.part)
            late = (
                late
                + (0.5 - part_start) * younger[end : end + self.length]
                - part_end * younger[end + 1 : end + 1 + self.length]
            )
        return older[: self.length] * np.maximum(late, 0.0)

    def later(self, values: Array, rest: float, *, ties: bool) -> Array:
        """Return, for each slot, the mass after it, with its share of ties as in `of`; shape (length,)."""
        after = np.concatenate((np.cumsum(values[::-1])[::-1], [0.0])) + rest
        tied = (1.0 if ties else 0.0) if self.lattice else 0.5
        return after[1 : self.length + 1] + tied * values[: self.length]


def heralded_pair(probability: float, period: float, werner: float, length: int) -> ReadyPair:
    """Return the elementary pair of a hop: a geometric number of attempts, each `period` slots long.

    Where attempts do not end at whole slots their mass is shared by the two slots around, which keeps the mean.
    """
    edges = np.arange(length + 1, dtype=np.float64)
    attempts = np.floor(edges / period + 1e-9)
    if probability < 1.0:
        survival = np.exp(attempts * math.log1p(-probability))
    else:
        survival = np.where(attempts >= 1.0, 0.0, 1.0)
    # The mean of min(T, t) at the edges; its slopes are mean survivals per slot.
    lived = period * (1.0 - survival) / probability + (edges - attempts * period) * survival
    slots_per_period = round(period)
    if slots_per_period >= 1 and abs(period - slots_per_period) < 1e-9:
        mass = np.zeros(length)
        mass[slots_per_period::slots_per_period] = (
            probability * survival[: length - slots_per_period : slots_per_period]
        )
        tail_mass, lattice = float(survival[length - 1]), True
    else:
        slopes = np.diff(lived)
        mass = np.concatenate(([1.0 - slopes[0]], slopes[:-1] - slopes[1:]))
        tail_mass, lattice = float(slopes[-1]), False
    return _with_tail(mass, werner * mass, tail_mass, werner * tail_mass, period / probability, lattice)


def join(left: ReadyPair, right: ReadyPair, how: Joining) -> tuple[Rounds, Round]:
    """Return what repeating a joining takes on average, and the round it repeats (for `joined_pair`)."""
    length = len(left.mass)
    whole = 2 * length
    lattice = left.lattice and right.lattice
    if how.cutoff < whole:
        cells = math.floor(how.cutoff + 1e-9)
        part = 0.0 if lattice else max(0.0, how.cutoff - cells)
        reach = whole + cells + 2
    else:
        cells, part, reach = -1, 0.0, whole + 1
    f1, g1, rest1 = left.extended(reach)
    f2, g2, rest2 = right.extended(reach)
    window = _Window(cells=cells, part=part, lattice=lattice, length=whole + 1)
    older_left, older_right = window.of(f1, 0.0, ties=True), window.of(f2, 0.0, ties=False)
    met_right = f2[: whole + 1] * older_left  # the right pair comes second
    met_left = f1[: whole + 1] * older_right
    met = met_left + met_right
    product = g2[: whole + 1] * window.of(g1, how.left_decay, ties=True) + g1[: whole + 1] * window.of(
        g2, how.right_decay, ties=False
    )
    both = _Tail(whole, left.tail_exit + right.tail_exit - left.tail_exit * right.tail_exit)
    ended = 0 <= cells <= length  # then nothing before the tails matters in slot 2n and later
    if ended:
        tail = both
        met_tail, product_tail = tail.mass(met[whole]), tail.mass(product[whole])
    else:
        tail = _Tail(whole, min(left.tail_exit, right.tail_exit))
        met_tail = max(0.0, rest1 + rest2 - rest1 * rest2) if cells < 0 else tail.mass(met[whole])
        product_tail = met_tail * float(product[whole - 1] / met[whole - 1]) if met[whole - 1] > 0.0 else 0.0
    met, product = met[:whole], product[:whole]
    kept = how.kept_product * product
    kept_tail = how.kept_product * product_tail
    if how.kept_sum:
        linear = (
            g2[:whole] * older_left[:whole]
            + f2[:whole] * window.of(g1, how.left_decay, ties=True)[:whole]
            + g1[:whole] * older_right[:whole]
            + f1[:whole] * window.of(g2, how.right_decay, ties=False)[:whole]
        )
        linear_tail = met_tail * float(linear[-1] / met[-1]) if met[-1] > 0.0 else 0.0
        kept, kept_tail = kept + how.kept_sum * linear, kept_tail + how.kept_sum * linear_tail
    good = how.success * met + how.success_slope * product
    good_tail = how.success * met_tail + how.success_slope * product_tail
    slots = np.arange(whole, dtype=np.float64)
    total_met = float(met.sum()) + met_tail
    total_good = float(good.sum()) + good_tail
    total_kept = float(kept.sum()) + kept_tail
    tail_left = tail.mass(met_left[whole]) if ended else rest1
    tail_right = tail.mass(met_right[whole]) if ended else rest2
    left_second = float(met_left[:whole] @ slots) + tail.moment(tail_left)
    right_second = float(met_right[:whole] @ slots) + tail.moment(tail_right)
    met_time = float(met @ slots) + tail.moment(met_tail)
    if cells >= 0:
        dropped_left, dropped_right = window.dropped(f1, f2, rest2), window.dropped(f2, f1, rest1)
        dropped = dropped_left + dropped_right
        dropped_tail = both.mass(dropped[whole])
        right_second += both.waited(dropped_left, how.cutoff)
        left_second += both.waited(dropped_right, how.cutoff)
        drop_time = both.waited(dropped, how.cutoff)
        dropped = dropped[:whole]
        total_dropped = float(dropped.sum()) + dropped_tail
    else:
        dropped, dropped_tail, total_dropped, drop_time = np.zeros(0), 0.0, 0.0, 0.0
    left_first = both.waited(f1[: whole + 1] * window.later(f2, rest2, ties=True), 0.0)
    right_first = both.waited(f2[: whole + 1] * window.later(f1, rest1, ties=False), 0.0)
    # Rounding on the grid must not make or lose rounds.
    everything = total_met + total_dropped
    failed = (total_met - total_good) * how.failure_delay
    lasting = (met_time + drop_time + failed) / everything
    chance = total_good / everything
    rounds = Rounds(
        mean=lasting / chance,
        mean_werner=total_kept / total_good,
        tries=total_met / total_good,
        left_busy=(left_first + left_second) / everything / chance,
        right_busy=(right_first + right_second) / everything / chance,
    )
    return rounds, Round(
        how=how,
        good=good / everything,
        good_tail=good_tail / everything,
        bad=(met - good) / everything,
        bad_tail=(met_tail - good_tail) / everything,
        kept=kept / everything,
        kept_tail=kept_tail / everything,
        dropped=dropped / everything,
        dropped_tail=dropped_tail / everything,
        tail=tail,
    )


def joined_pair(rounds: Rounds, one: Round, length: int) -> ReadyPair:
    """Return the pair that repeating a round gives, on a grid of `length` slots."""
    how, whole = one.how, 2 * length
    log_radius = _LOG_ALIAS / whole
    damping = np.exp(log_radius * np.arange(whole))
    log_z = log_radius - 2j * math.pi * np.arange(whole // 2 + 1) / whole
    z = np.exp(log_z)

    def transform(values: Array, tail_mass: float) -> ComplexArray:
        found: ComplexArray = np.fft.rfft(values * damping)
        if tail_mass > 0.0:
            found += tail_mass * math.exp(_LOG_ALIAS) * one.tail.exit / (1.0 - (1.0 - one.tail.exit) * z)
        return found

    def delayed(delay: float) -> ComplexArray:
        slots = math.floor(delay)
        part = delay - slots
        found: ComplexArray = np.exp(slots * log_z) * ((1.0 - part) + part * z)
        return found

    again = transform(one.bad, one.bad_tail) * delayed(how.failure_delay)
    if len(one.dropped):
        again = again + transform(one.dropped, one.dropped_tail) * delayed(how.cutoff)
    then = delayed(how.success_delay) / (1.0 - again)
    undamped = np.exp(-log_radius * np.arange(length))
    mass = np.fft.irfft(transform(one.good, one.good_tail) * then, whole)[:length] * undamped
    decay = math.exp(-how.result_decay * how.success_delay)
    weight = np.fft.irfft(transform(one.kept, one.kept_tail) * then, whole)[:length] * (undamped * decay)
    tail_mass = max(0.0, 1.0 - float(mass.sum()))
    tail_weight = max(0.0, decay * rounds.mean_werner - float(weight.sum()))
    return _with_tail(mass, weight, tail_mass, tail_weight, rounds.mean + how.success_delay, lattice=False)


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
    # Of a row only the one before still counts: what came earlier has decayed by e^-30.
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


def _with_tail(
    mass: Array, weight: Array, tail_mass: float, tail_weight: float, mean: float, lattice: bool
) -> ReadyPair:
    """Return the pair whose tail has the given mass and brings the mean to its value."""
    length = len(mass)
    tail_exit = 1.0
    if tail_mass > _NEGLIGIBLE_TAIL:
        excess = (mean - float(mass @ np.arange(length))) / tail_mass - length
        tail_exit = 1.0 / (1.0 + max(0.0, excess))
    else:
        tail_mass = tail_weight = 0.0
    return ReadyPair(
        mass=mass,
        weight=weight,
        tail_mass=tail_mass,
        tail_weight=tail_weight,
        tail_exit=tail_exit,
        mean=mean,
        lattice=lattice,
    )
