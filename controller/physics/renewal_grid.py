"""Two pairs made at the same time and joined, again and again until it succeeds: by a swap or a purification.

One round is worked out on the grid's first 2n slots and as a geometric tail beyond. What repeats is summed by renewal,
success / (1 - failure), on a circle inside the unit circle, where a transform of finite length hardly aliases.
Times are in slots of the grid, as floats. w = (4F - 1) / 3, F = <Phi+|rho|Phi+>.

Source: Brand, Coopmans, Elkouss, IEEE JSAC 38, 619 (2020).
"""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from controller.physics.meeting_window import MeetingWindow
from controller.physics.ready_pair import WHOLE, Array, ReadyPair, with_tail

ComplexArray = NDArray[np.complex128]

_LOG_ALIAS = math.log(1e-8)  # what wraps around the transform is damped by this


@dataclass(frozen=True, slots=True, kw_only=True)
class Joining:
    """What joins two pairs.

    Attributes:
        left_decay: By how much w of the left pair falls while it waits, as an exponent per slot; >= 0.
        right_decay: The same of the right pair.
        cutoff: Slots after which both begin again if only one is there; infinite: never.
        window: Slots that the older may wait and still be joined; the cut-off, or where pairs come in step any time
            between the same two steps.
        success: The operation succeeds on two pairs w1, w2 with `success + success_slope w1 w2`.
        success_slope: See success.
        kept_sum: Success times w of the result is `kept_sum (w1 + w2) + kept_product w1 w2`.
        kept_product: See kept_sum.
        success_delay: Slots from the operation until the result is ready.
        failure_delay: Slots from a failed operation until both pairs are begun again.
        result_decay: Exponent per slot of the result's w during success_delay.
    """

    left_decay: float
    right_decay: float
    cutoff: float
    window: float
    success: float
    success_slope: float = 0.0
    kept_sum: float = 0.0
    kept_product: float
    success_delay: float
    failure_delay: float
    result_decay: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """One round, by the slot in which it is decided; row by row with the mass from slot 2n on.

    Attributes:
        how: What joins.
        met: Both pairs are there in time.
        good: The operation succeeds.
        kept: The same, times w of the result.
        dropped: The older pair came then and will have waited too long.
        tries: Swaps inside either segment and of this joining, shape (m, 2n).
        tails: Of met, good, kept, dropped.
        tail_tries: Of tries, shape (m,).
        tail_exit: Of the tails but that of dropped.
        dropped_exit: Of the tail of dropped, and of tries.
        lasting: Mean slots of a round with its failure delay, its success delay not.
        lattice: Whether the result comes at whole slots in truth.
    """

    how: Joining
    met: Array
    good: Array
    kept: Array
    dropped: Array
    tries: Array
    tails: tuple[float, float, float, float]
    tail_tries: Array
    tail_exit: float
    dropped_exit: float
    lasting: float
    lattice: bool

    @property
    def chance(self) -> float:
        """Probability that a round succeeds."""
        return float(self.good.sum()) + self.tails[1]

    @property
    def mean(self) -> float:
        """Mean slots until a round succeeds, the success delay not included."""
        return self.lasting / self.chance

    @property
    def mean_werner(self) -> float:
        """Mean w right after the operation that succeeds."""
        return (float(self.kept.sum()) + self.tails[2]) / self.chance

    @property
    def mean_tries(self) -> Array:
        """Mean swaps tried per success, by node from left to right, shape (m,)."""
        found: Array = (self.tries.sum(axis=1) + self.tail_tries) / self.chance
        return found


def join(left: ReadyPair, right: ReadyPair, how: Joining, *, is_swap: bool) -> Round:
    """Return one round of joining two pairs that are made on the same grid."""
    length = len(left.mass)
    whole = 2 * length
    window = MeetingWindow(window=how.window, lattice=left.lattice and right.lattice, length=whole + 1)
    f1, g1, rest1 = left.extended(window.reach)
    f2, g2, rest2 = right.extended(window.reach)
    h1, h2, k1, k2 = f1[: whole + 1], f2[: whole + 1], g1[: whole + 1], g2[: whole + 1]
    seen1, seen2 = window.older(h1, 0.0, ties=True), window.older(h2, 0.0, ties=False)
    left1, left2 = window.older(k1, how.left_decay, ties=True), window.older(k2, how.right_decay, ties=False)
    met = h2 * seen1 + h1 * seen2
    product = k2 * left1 + k1 * left2
    kept = how.kept_product * product
    if how.kept_sum:
        kept = kept + how.kept_sum * (k2 * seen1 + h2 * left1 + k1 * seen2 + h1 * left2)
    good = how.success * met + how.success_slope * product

    period = max(left.tail_period, right.tail_period)
    both_exit = left.tail_exit + right.tail_exit - left.tail_exit * right.tail_exit

    def beyond(values: Array) -> float:
        """Mass from slot 2n on where both tails have begun; a comb is taken for its mean."""
        return float(values[..., whole + 1 - period :].mean()) / both_exit

    dropped = window.missed(f1, f2, rest2) + window.missed(f2, f1, rest1)
    dropped_tail = beyond(dropped) if window.limited else 0.0
    if window.limited and window.cells <= length:
        exit_, met_tail, good_tail, kept_tail = both_exit, beyond(met), beyond(good), beyond(kept)
    else:
        # The older came in the tables, or nearly never: only the slower tail goes on.
        exit_ = min(left.tail_exit, right.tail_exit)
        met_tail = max(0.0, 1.0 - float(met[:whole].sum()) - float(dropped[:whole].sum()) - dropped_tail)
        last = float(met[whole - period : whole].sum())
        share = met_tail / last if last > 0.0 else 0.0
        good_tail = share * float(good[whole - period : whole].sum())
        kept_tail = share * float(kept[whole - period : whole].sum())
    tries = np.concatenate(
        (
            left.extended_tries(whole + 1) * window.still_made(f2, rest2),
            met[None, :] if is_swap else np.zeros((0, whole + 1)),
            right.extended_tries(whole + 1) * window.still_made(f1, rest1),
        )
    )
    tail_tries = tries[:, whole] / both_exit
    if not window.limited:
        inner = np.concatenate((left.tries.sum(axis=1) + left.tail_tries, right.tries.sum(axis=1) + right.tail_tries))
        own = len(left.tries)
        tail_tries[:own] = inner[:own] - tries[:own, :whole].sum(axis=1)
        tail_tries[len(tries) - len(right.tries) :] = inner[own:] - tries[len(tries) - len(right.tries) :, :whole].sum(
            axis=1
        )
    if is_swap:
        tail_tries[len(left.tries)] = met_tail

    met, good, kept, dropped, tries = met[:whole], good[:whole], kept[:whole], dropped[:whole], tries[:, :whole]
    total_dropped = float(dropped.sum()) + dropped_tail
    total_met = float(met.sum()) + met_tail
    slots = np.arange(whole, dtype=np.float64)
    lasting = (
        float(met @ slots)
        + met_tail * (whole + 1.0 / exit_ - 1.0)
        + float(dropped @ slots)
        + dropped_tail * (whole + 1.0 / both_exit - 1.0)
        + (how.cutoff * total_dropped if total_dropped > 0.0 else 0.0)
        + how.failure_delay * (total_met - float(good.sum()) - good_tail)
    )
    # Rounding on the grid must not make or lose rounds.
    scale = 1.0 / (total_met + total_dropped)
    return Round(
        how=how,
        met=met * scale,
        good=good * scale,
        kept=kept * scale,
        dropped=dropped * scale,
        tries=tries * scale,
        tails=(met_tail * scale, good_tail * scale, kept_tail * scale, dropped_tail * scale),
        tail_tries=tail_tries * scale,
        tail_exit=exit_,
        dropped_exit=both_exit,
        lasting=lasting * scale,
        lattice=left.lattice
        and right.lattice
        and all(_is_whole(time) for time in (how.cutoff, how.success_delay, how.failure_delay)),
    )


def joined_pair(one: Round) -> ReadyPair:
    """Return the pair that a round gives which is repeated until it succeeds, on the grid of the pairs joined."""
    how, whole = one.how, one.met.shape[0]
    length = whole // 2
    damping, log_z, z = _circle(whole)

    def tail(exit_: float) -> ComplexArray:
        """Transform of a tail of mass 1 that begins with slot 2n."""
        found: ComplexArray = math.exp(_LOG_ALIAS) * exit_ / (1.0 - (1.0 - exit_) * z)
        return found

    def delayed(delay: float) -> ComplexArray:
        slots = math.floor(delay + WHOLE)
        part = max(0.0, delay - slots)
        found: ComplexArray = np.exp(slots * log_z)
        return found * ((1.0 - part) + part * z) if part else found

    rows = np.concatenate((np.stack((one.met, one.good, one.kept, one.dropped)), one.tries))
    transforms = np.fft.rfft(rows * damping, axis=1)
    met_tail, good_tail, kept_tail, dropped_tail = one.tails
    slower = tail(one.tail_exit)
    met = transforms[0] + met_tail * slower
    good = transforms[1] + good_tail * slower
    kept = transforms[2] + kept_tail * slower
    quicker = tail(one.dropped_exit)
    first_time = 1.0 - (met - good) * delayed(how.failure_delay)
    if one.dropped.any() or dropped_tail:
        first_time -= (transforms[3] + dropped_tail * quicker) * delayed(how.cutoff)
    repeated = 1.0 / first_time
    after = repeated * delayed(how.success_delay) if how.success_delay else repeated
    found = np.concatenate(
        (
            np.stack((good * after, kept * after)),
            (transforms[4:] + one.tail_tries[:, None] * quicker) * repeated,
        )
    )
    times = np.fft.irfft(found, whole, axis=1)[:, :length] / damping[:length]
    decay = math.exp(-how.result_decay * how.success_delay)
    mass, weight, tries = times[0], decay * times[1], times[2:]
    return with_tail(
        mass=mass,
        weight=weight,
        tries=tries,
        tail_mass=max(0.0, 1.0 - float(mass.sum())),
        tail_weight=max(0.0, decay * one.mean_werner - float(weight.sum())),
        tail_tries=np.maximum(0.0, one.mean_tries - tries.sum(axis=1)),
        mean=one.mean + how.success_delay,
        lattice=one.lattice,
    )


def _is_whole(time: float) -> bool:
    return math.isinf(time) or abs(time - round(time)) < WHOLE


@lru_cache(maxsize=8)
def _circle(whole: int) -> tuple[Array, ComplexArray, ComplexArray]:
    """Return (radius^slot, log z, z) on the damped circle."""
    log_radius = _LOG_ALIAS / whole
    log_z = np.asarray(log_radius - 2j * math.pi * np.arange(whole // 2 + 1) / whole, np.complex128)
    return np.exp(log_radius * np.arange(whole)), log_z, np.exp(log_z)
