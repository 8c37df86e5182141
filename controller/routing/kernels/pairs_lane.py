"""What one lane of the memory regime delivers: `controller.physics.memory_regime` in compiled code, nested halving.

The physics defines the figures, and tests hold this to it. A hop's purified pair does not hang on the rest of the
lane, and is worked out once on a grid of its own (`purified`).
"""

import math
from typing import Final, NamedTuple

import numba
import numpy as np

from controller.routing.kernels.compiled import FLOATS, INT32S, INT64S, inline, kernel, merged
from controller.routing.kernels.net import Floats, Int32s, Int64s
from controller.routing.kernels.pairs_menu import tuple_of
from controller.routing.kernels.pairs_round import (
    COSINES,
    DAMPING,
    EXIT,
    FIGURES,
    LATTICE,
    MASS,
    MEAN,
    PERIOD,
    SINES,
    WEIGHT,
    extended,
    heralded,
    joined,
    joined_in_time,
    with_tail,
)

LIGHT_KM_PER_S: Final = 2.0e5
TABLES: Final = (COSINES, SINES, DAMPING)
SHORTEST_CUTOFF: Final = 12
LONGEST_CUTOFF: Final = -2
"""Cut-offs are these powers of 1/2 of the shortest coherence."""
_POINTS: Final = 2048
_MOST_POINTS: Final = 8192
_LIKELY: Final = 0.005
_ROUNDS: Final = 7.0
_CUTOFFS: Final = 7.0
_DELAYS: Final = 7.0
_POINTS_PER_CUTOFF: Final = 12.0
_POINTS_PER_SHORT_CUTOFF: Final = 60.0
_SHORT_CUTOFF_ATTEMPTS: Final = 60.0
_FINEST_COMMON: Final = 32
_WHOLE: Final = 1e-9


class LaneFigures(NamedTuple):
    """A lane as kernels read it, as of `physics.lane.Lane`.

    Attributes:
        successes, periods_s, werners, lengths_km: Of each hop; shape (n,).
        rounds: Of purification; shape (n,).
        decays_per_s, swap_successes, swap_qualities: Of each node; shape (n + 1,).
    """

    successes: Floats
    periods_s: Floats
    werners: Floats
    lengths_km: Floats
    rounds: Int32s
    decays_per_s: Floats
    swap_successes: Floats
    swap_qualities: Floats


class Purified(NamedTuple):
    """The purified pairs of hops, one after the other; of a hop that does not purify nothing.

    Attributes:
        first: Where each hop's slots begin; shape (n + 1,).
        mass, weight: By slot.
        figures: Of each hop's tail; shape (n * FIGURES,).
        slots_s: Of each hop's grid; shape (n,).
    """

    first: Int64s
    mass: Floats
    weight: Floats
    figures: Floats
    slots_s: Floats


LANE: Final = numba.types.NamedTuple(  # type: ignore[no-untyped-call]
    [FLOATS, FLOATS, FLOATS, FLOATS, INT32S, FLOATS, FLOATS, FLOATS], LaneFigures
)
PURIFIED: Final = numba.types.NamedTuple(  # type: ignore[no-untyped-call]
    [INT64S, FLOATS, FLOATS, FLOATS, FLOATS], Purified
)
_RESULT = tuple_of([numba.float64] * 4)
_FLOATS = numba.types.Array(numba.float64, 1, "C")


@inline
def halved(hops: int) -> Int64s:
    """Return (left end, swapping node, right end, node of the next swap or -1) of each swap of nested halving.

    Shape (hops - 1, 4); inner swaps before those that need them, the last one last.
    """
    swaps = np.empty((max(0, hops - 1), 4), np.int64)
    stack = np.empty((2 * hops + 2, 3), np.int64)
    stack[0, 0], stack[0, 1], stack[0, 2] = 0, hops, -1
    size, place = 1, hops - 1
    # From the last swap on, right branches before left ones: the reverse of the order that is wanted.
    while size:
        size -= 1
        left, right, above = stack[size, 0], stack[size, 1], stack[size, 2]
        if right - left < 2:
            continue
        node = left + (right - left) // 2
        place -= 1
        swaps[place, 0], swaps[place, 1], swaps[place, 2], swaps[place, 3] = left, node, right, above
        stack[size, 0], stack[size, 1], stack[size, 2] = left, node, node
        stack[size + 1, 0], stack[size + 1, 1], stack[size + 1, 2] = node, right, node
        size += 2
    return swaps


@inline
def guessed(
    successes: Floats,
    periods_s: Floats,
    werners: Floats,
    lengths_km: Floats,
    rounds: Int32s,
    decays: Floats,
    swap_successes: Floats,
    swap_qualities: Floats,
    at_km: Floats,
    swaps: Int64s,
    cutoff: float,
    means: Floats,
    purities: Floats,
) -> tuple[float, float]:
    """Return (rate in Hz, w) of a lane as if all waits were exponential: it orders and never decides.

    `at_km` says how far along the way each node lies, shape (n + 1,); `swaps` are as of `halved`; `means` and
    `purities` are room for figures by the left end of a segment, shape (n,).
    """
    hops = means.size
    for hop in range(hops):
        decay = decays[hop] + decays[hop + 1]
        told_s = lengths_km[hop] / LIGHT_KM_PER_S
        mean_s, werner = periods_s[hop] / successes[hop], werners[hop]
        for _ in range(rounds[hop]):
            older = werner / (1.0 + decay * mean_s)
            success = (1.0 + older * werner) / 2.0
            werner = (older + werner + 4.0 * older * werner) / 6.0 / success * math.exp(-decay * told_s)
            mean_s = (1.5 * mean_s + told_s) / success
        means[hop], purities[hop] = mean_s, werner
    for swap in range(hops - 1):
        left, node, right, above = swaps[swap, 0], swaps[swap, 1], swaps[swap, 2], swaps[swap, 3]
        left_s, right_s = means[left], means[node]
        if math.isinf(left_s + right_s):
            return 0.0, 0.0
        a, b = 1.0 / left_s, 1.0 / right_s
        left_decay, right_decay = decays[left] + decays[node], decays[node] + decays[right]
        first_left, first_right = a / (a + b), b / (a + b)
        right_comes, left_comes = -math.expm1(-b * cutoff), -math.expm1(-a * cutoff)
        met = first_left * right_comes + first_right * left_comes
        if met <= 0.0:
            return 0.0, 0.0
        round_s = 1.0 / (a + b) + first_left * right_comes * right_s + first_right * left_comes * left_s
        kept = first_left * b / (b + left_decay) * -math.expm1(-(b + left_decay) * cutoff)
        kept += first_right * a / (a + right_decay) * -math.expm1(-(a + right_decay) * cutoff)
        again_s = max(at_km[node] - at_km[left], at_km[right] - at_km[node]) / LIGHT_KM_PER_S
        told_s = again_s if above < 0 else abs(at_km[node] - at_km[above]) / LIGHT_KM_PER_S
        q = swap_successes[node]
        mean_s = (round_s + (1.0 - q) * met * again_s) / (met * q) + told_s
        werner = purities[left] * purities[node] * swap_qualities[node] * kept / met
        if above >= 0:
            werner *= math.exp(-(decays[left] + decays[right]) * told_s)
        means[left], purities[left] = mean_s, werner
    return 1.0 / means[0], purities[0]


@inline
def cutoffs_of(decays: Floats, hops: int) -> Floats:
    """Return the cut-offs that a plan may have, longest first: none, and halves of the shortest coherence."""
    fastest = 0.0
    for decay in decays:
        fastest = max(fastest, decay)
    if fastest == 0.0 or hops == 1:
        return np.full(1, np.inf)
    grid = np.empty(SHORTEST_CUTOFF - LONGEST_CUTOFF + 2)
    grid[0] = np.inf
    shortest_s = 1.0 / fastest
    factor = 1.0
    for _ in range(-LONGEST_CUTOFF):
        factor *= 2.0
    for place in range(1, grid.size):
        grid[place] = shortest_s * factor
        factor /= 2.0
    return grid


@inline
def _nearly_whole(time: float) -> bool:
    return bool(abs(time - np.rint(time)) < _WHOLE)


@inline
def common_step_s(periods_s: Floats, lengths_km: Floats, messages: bool) -> float:
    """Return the longest part of the shortest attempt that all attempts and messages are whole numbers of, or 0."""
    shortest_s = periods_s.min()
    for parts in range(1, _FINEST_COMMON + 1):
        fits = True
        for hop in range(periods_s.size):
            fits = fits and _nearly_whole(periods_s[hop] / shortest_s * parts)
            if messages:
                fits = fits and _nearly_whole(lengths_km[hop] / LIGHT_KM_PER_S / shortest_s * parts)
            if not fits:
                break
        if fits:
            return float(shortest_s / parts)
    return 0.0


@inline
def _settled(
    left_mean_s: float,
    left_settled_s: float,
    right_mean_s: float,
    right_settled_s: float,
    cutoff_s: float,
    success: float,
    told_s: float,
    again_s: float,
) -> tuple[float, float]:
    """Return (mean, when its distribution has become geometric), roughly, of two pairs joined."""
    rate_left, rate_right = 1.0 / left_mean_s, 1.0 / right_mean_s
    first_left, first_right = rate_left / (rate_left + rate_right), rate_right / (rate_left + rate_right)
    right_comes, left_comes = -math.expm1(-cutoff_s * rate_right), -math.expm1(-cutoff_s * rate_left)
    met = first_left * right_comes + first_right * left_comes
    round_s = (
        1.0 / (rate_left + rate_right)
        + first_left * right_comes * right_mean_s
        + first_right * left_comes * left_mean_s
    )
    return (
        (round_s + (1.0 - success) * met * again_s) / max(met * success, 1e-300) + told_s,
        max(left_settled_s, right_settled_s)
        + min(_ROUNDS * round_s, _CUTOFFS * cutoff_s)
        + _DELAYS * (told_s + again_s),
    )


@inline
def hop_settled(success: float, period_s: float, werner: float, length_km: float, rounds: int) -> tuple[float, float]:
    """Return the same of a hop."""
    mean_s, settled_s = period_s / success, period_s
    told_s = length_km / LIGHT_KM_PER_S
    for _ in range(rounds):
        mean_s, settled_s = _settled(
            mean_s, settled_s, mean_s, settled_s, np.inf, (1.0 + werner * werner) / 2.0, told_s, told_s
        )
    return mean_s, settled_s


@inline
def aligned(slot_s: float, period_s: float) -> float:
    """Return a slot no longer than the given one of which a period is a whole number, if a period is longer."""
    return period_s / math.ceil(period_s / slot_s) if slot_s < period_s else slot_s


@merged
def grid_of(lane: LaneFigures, swaps: Int64s, at_km: Floats, cutoff_s: float) -> tuple[float, int]:
    """Return (slot_s, slots) as `physics.lane_grid.lane_grid` does."""
    hops = lane.periods_s.size
    means, settled = np.empty(hops), np.empty(hops)
    window_s = 0.0
    for hop in range(hops):
        means[hop], settled[hop] = hop_settled(
            lane.successes[hop], lane.periods_s[hop], lane.werners[hop], lane.lengths_km[hop], lane.rounds[hop]
        )
    if hops == 1:
        window_s = settled[0]
    for swap in range(hops - 1):
        left, node, right, above = swaps[swap, 0], swaps[swap, 1], swaps[swap, 2], swaps[swap, 3]
        told_s = 0.0 if above < 0 else abs(at_km[above] - at_km[node]) / LIGHT_KM_PER_S
        again_s = max(at_km[node] - at_km[left], at_km[right] - at_km[node]) / LIGHT_KM_PER_S
        means[left], settled[left] = _settled(
            means[left], settled[left], means[node], settled[node], cutoff_s, lane.swap_successes[node], told_s, again_s
        )
        window_s = max(window_s, settled[left])
    points = _POINTS
    common_s = common_step_s(lane.periods_s, lane.lengths_km, hops > 1 or lane.rounds[0] > 0)
    if common_s * points >= window_s:
        return common_s, points
    if cutoff_s < np.inf:
        is_short = cutoff_s < _SHORT_CUTOFF_ATTEMPTS * lane.periods_s.max()
        if is_short and common_s * _MOST_POINTS >= window_s:
            return common_s, _MOST_POINTS
        wanted_s = cutoff_s / (_POINTS_PER_SHORT_CUTOFF if is_short else _POINTS_PER_CUTOFF)
        while points < _MOST_POINTS and window_s / points > wanted_s:
            points *= 2
    likeliest = 0
    for hop in range(1, hops):
        if lane.successes[hop] > lane.successes[likeliest]:
            likeliest = hop
    return aligned(window_s / points, lane.periods_s[likeliest]), points


@kernel(tuple_of([numba.float64, _FLOATS, _FLOATS, _FLOATS])(*[numba.float64] * 5, numba.int64, *[FLOATS] * 3))
def purified(
    success: float,
    period_s: float,
    werner: float,
    length_km: float,
    decay_per_s: float,
    rounds: int,
    cosines: Floats,
    sines: Floats,
    damping: Floats,
) -> tuple[float, Floats, Floats, Floats]:
    """Return (slot_s, mass, weight, figures) of a hop's purified pair on its own grid.

    w falls at `decay_per_s` while a pair waits; `rounds` >= 1. The tables are TABLES.
    """
    _, window_s = hop_settled(success, period_s, werner, length_km, rounds)
    points = _MOST_POINTS if success > _LIKELY else _POINTS
    common_s = common_step_s(np.full(1, period_s), np.full(1, length_km), True)
    slot_s = common_s if common_s * points >= window_s else aligned(window_s / points, period_s)
    mass, weight, figures = np.empty(points), np.empty(points), np.empty(FIGURES)
    heralded(success, period_s / slot_s, werner, mass, weight, figures)
    told = length_km / LIGHT_KM_PER_S / slot_s
    decay = decay_per_s * slot_s
    for _ in range(rounds):
        joined(
            mass, weight, figures, mass, weight, figures, (decay, decay, decay), (np.inf, np.inf, told, told),
            (0.5, 0.5, 1.0 / 6.0, 4.0 / 6.0), (cosines, sines, damping), False, mass, weight, figures,
        )  # fmt: skip
    return slot_s, mass, weight, figures


@inline
def _lived_at(time: float, lived: Floats, length: int, tail: float, tail_exit: float) -> float:
    if time < length:
        cell = int(time)
        return float(lived[cell] + (lived[cell + 1] - lived[cell]) * (time - cell))
    inside = lived[length]
    if tail == 0.0 or tail_exit >= 1.0:
        return float(inside)
    beyond = -math.expm1(math.log1p(-tail_exit) * (time - length)) * tail / tail_exit
    return float(inside + (1.0 - tail_exit) * beyond)


@inline
def _spread(values: Floats, tail: float, tail_exit: float, slot: float, found: Floats) -> float:
    """Put masses on another grid, whose slot is so many old ones; each keeps its mean. Return the mass beyond."""
    length = values.size
    lived = np.empty(length + 1)
    later = tail
    steps = np.empty(length)
    for old in range(length - 1, -1, -1):
        steps[old] = later
        later += values[old]
    total = later
    lived[0] = 0.0
    for old in range(length):
        lived[old + 1] = lived[old] + steps[old]
    before_lived, before = 0.0, 1.0
    for edge in range(found.size + 1):
        time = edge * slot
        if slot >= 1.0:
            now = _lived_at(time, lived, length, tail, tail_exit)
        else:
            cell = math.floor(time)
            u = time - cell
            now = 0.0
            for offset in range(-1, 3):
                if offset == -1:
                    factor = (1.0 - u) ** 3 / 6.0
                elif offset == 0:
                    factor = (3.0 * u**3 - 6.0 * u**2 + 4.0) / 6.0
                elif offset == 1:
                    factor = (-3.0 * u**3 + 3.0 * u**2 + 3.0 * u + 1.0) / 6.0
                else:
                    factor = u**3 / 6.0
                at = cell + offset
                now += factor * (total * at if at < 0.0 else _lived_at(at, lived, length, tail, tail_exit))
        if edge:
            survival = (now - before_lived) / slot
            found[edge - 1] = before - survival
            before = survival
        before_lived = now
    return before


@inline
def resampled(
    old_mass: Floats, old_weight: Floats, old: Floats, slot: float, mass: Floats, weight: Floats, figures: Floats
) -> None:
    """Put a pair on another grid, whose slot is so many of the old ones, as `physics.ready_pair.resampled` does."""
    length = mass.size
    finer = int(np.rint(1.0 / slot))
    mean_werner = old_weight.sum() + old[WEIGHT]
    if old[LATTICE] > 0.0 and finer >= 1 and abs(finer * slot - 1.0) < _WHOLE:
        kept = (length + finer - 1) // finer
        long_mass, long_weight = np.empty(max(kept, old_mass.size)), np.empty(max(kept, old_mass.size))
        extended(old_mass, old_weight, old, long_mass, long_weight)
        mass[:] = 0.0
        weight[:] = 0.0
        mass_sum, weight_sum = 0.0, 0.0
        for place in range(kept):
            mass[place * finer], weight[place * finer] = long_mass[place], long_weight[place]
            mass_sum += long_mass[place]
            weight_sum += long_weight[place]
        figures[MASS], figures[WEIGHT] = max(0.0, 1.0 - mass_sum), max(0.0, mean_werner - weight_sum)
        figures[LATTICE], figures[PERIOD] = 1.0, finer * old[PERIOD]
    else:
        figures[MASS] = _spread(old_mass, old[MASS], old[EXIT], slot, mass)
        figures[WEIGHT] = _spread(old_weight, old[WEIGHT], old[EXIT], slot, weight)
        weight[0] += mean_werner - 1.0
        figures[LATTICE], figures[PERIOD] = 0.0, 1.0
    figures[MEAN] = old[MEAN] / slot
    with_tail(mass, figures, -1.0)


@merged
def predicted(
    lane: LaneFigures,
    ready: Purified,
    swaps: Int64s,
    at_km: Floats,
    cutoff_s: float,
    tables: tuple[Floats, Floats, Floats],
) -> tuple[float, float, float, float]:
    """Return (mean time in s, restart in s, rate in Hz, w); rate 0 where pairs all but never meet."""
    hops = lane.periods_s.size
    slot_s, length = grid_of(lane, swaps, at_km, cutoff_s)
    mass, weight, figures = np.empty((hops, length)), np.empty((hops, length)), np.empty((hops, FIGURES))
    for hop in range(hops):
        if lane.rounds[hop] == 0:
            heralded(
                lane.successes[hop], lane.periods_s[hop] / slot_s, lane.werners[hop],
                mass[hop], weight[hop], figures[hop],
            )  # fmt: skip
        else:
            first, last = ready.first[hop], ready.first[hop + 1]
            resampled(
                ready.mass[first:last], ready.weight[first:last], ready.figures[hop * FIGURES : (hop + 1) * FIGURES],
                slot_s / ready.slots_s[hop], mass[hop], weight[hop], figures[hop],
            )  # fmt: skip
    if hops == 1:
        time_s = figures[0, MEAN] * slot_s
        return time_s, 0.0, 1.0 / time_s, min(1.0, weight[0].sum() + figures[0, WEIGHT])
    time_s, werner, restart_s = 0.0, 0.0, 0.0
    for swap in range(hops - 1):
        left, node, right, above = swaps[swap, 0], swaps[swap, 1], swaps[swap, 2], swaps[swap, 3]
        window_s = cutoff_s
        if node - left == 1 and right - node == 1 and cutoff_s < np.inf:
            period_s = lane.periods_s[left]
            if period_s == lane.periods_s[node] and lane.rounds[left] == 0 and lane.rounds[node] == 0:
                window_s = (math.floor(cutoff_s / period_s + _WHOLE) + 0.5) * period_s
        told_s = 0.0 if above < 0 else abs(at_km[above] - at_km[node]) / LIGHT_KM_PER_S
        restart_s = max(at_km[node] - at_km[left], at_km[right] - at_km[node]) / LIGHT_KM_PER_S
        q = lane.swap_successes[node]
        chance, mean, werner = joined(
            mass[left], weight[left], figures[left], mass[node], weight[node], figures[node],
            (
                (lane.decays_per_s[left] + lane.decays_per_s[node]) * slot_s,
                (lane.decays_per_s[node] + lane.decays_per_s[right]) * slot_s,
                (lane.decays_per_s[left] + lane.decays_per_s[right]) * slot_s,
            ),
            (cutoff_s / slot_s, window_s / slot_s, told_s / slot_s, restart_s / slot_s),
            (q, 0.0, 0.0, q * lane.swap_qualities[node]),
            tables, above < 0, mass[left], weight[left], figures[left],
        )  # fmt: skip
        if chance <= 0.0:
            return np.inf, 0.0, 0.0, 0.0
        time_s = mean * slot_s
    return time_s, restart_s, 1.0 / (time_s + restart_s), min(1.0, werner)


@merged
def guessed_place(lane: LaneFigures, swaps: Int64s, at_km: Floats, grid: Floats, least_fidelity: float) -> int:
    """Return which cut-off is the longest that keeps a fidelity by the guess, else the shortest."""
    hops = lane.periods_s.size
    means, purities = np.empty(hops), np.empty(hops)
    low, high = -1, grid.size - 1
    while low < high:
        middle = 0 if low < 0 else (low + high) // 2
        _, werner = guessed(
            lane.successes, lane.periods_s, lane.werners, lane.lengths_km, lane.rounds, lane.decays_per_s,
            lane.swap_successes, lane.swap_qualities, at_km, swaps, grid[middle], means, purities,
        )  # fmt: skip
        keeps = (1.0 + 3.0 * werner) / 4.0 >= least_fidelity
        if low < 0:
            if keeps:
                return 0
            low = 1
        elif keeps:
            high = middle
        else:
            low = middle + 1
    return min(low, grid.size - 1)


@inline
def _places_km(lengths_km: Floats) -> Floats:
    places = np.zeros(lengths_km.size + 1)
    for hop in range(lengths_km.size):
        places[hop + 1] = places[hop] + lengths_km[hop]
    return places


@kernel(_RESULT(LANE, PURIFIED, numba.float64, FLOATS, FLOATS, FLOATS))
def predict(
    lane: LaneFigures, ready: Purified, cutoff_s: float, cosines: Floats, sines: Floats, damping: Floats
) -> tuple[float, float, float, float]:
    """Return (mean time in s, restart in s, rate in Hz, w) with a cut-off; rate 0 where pairs all but never meet."""
    hops = lane.periods_s.size
    return predicted(lane, ready, halved(hops), _places_km(lane.lengths_km), cutoff_s, (cosines, sines, damping))


@kernel(
    tuple_of([numba.int64, numba.float64, numba.float64, numba.float64])(
        LANE, PURIFIED, numba.float64, FLOATS, FLOATS, FLOATS
    )
)
def longest_cutoff(
    lane: LaneFigures, ready: Purified, least_fidelity: float, cosines: Floats, sines: Floats, damping: Floats
) -> tuple[int, float, float, float]:
    """Return (place in the grid of cut-offs or -1, cut-off in s, rate in Hz, w): the longest that keeps a fidelity.

    Fidelity rises as cut-offs get shorter. Where pairs all but never meet, a longer one is needed, not a shorter one.
    """
    hops = lane.periods_s.size
    swaps, at_km, tables = halved(hops), _places_km(lane.lengths_km), (cosines, sines, damping)
    grid = cutoffs_of(lane.decays_per_s, hops)
    middle = guessed_place(lane, swaps, at_km, grid, least_fidelity)
    low, high = 0, grid.size
    found, rate_hz, werner = -1, 0.0, 0.0
    stride = 1
    while low < high:
        _, _, rate, w = predicted(lane, ready, swaps, at_km, grid[middle], tables)
        never = rate <= 0.0
        if never or (1.0 + 3.0 * w) / 4.0 >= least_fidelity:
            found, rate_hz, werner = (-1, 0.0, 0.0) if never else (middle, rate, w)
            high = middle
            middle = max(low, middle - stride)
        else:
            low = middle + 1
            middle = min(high - 1, middle + stride)
        stride *= 2
        if found >= 0 or high < grid.size:
            middle = max(low, high - 1) if stride == 2 else (low + high) // 2
    return found, grid[found] if found >= 0 else 0.0, rate_hz, werner


@kernel(numba.float64(LANE, PURIFIED, FLOATS, FLOATS, FLOATS))
def rate_unlimited(lane: LaneFigures, ready: Purified, cosines: Floats, sines: Floats, damping: Floats) -> float:
    """Return the rate in Hz without a cut-off, as `predict`: without purity, at half the cost."""
    hops, tables = lane.periods_s.size, (cosines, sines, damping)
    swaps, at_km = halved(hops), _places_km(lane.lengths_km)
    slot_s, length = grid_of(lane, swaps, at_km, np.inf)
    mass, unused, figures = np.empty((hops, length)), np.empty(length), np.empty((hops, FIGURES))
    for hop in range(hops):
        if lane.rounds[hop] == 0:
            heralded(
                lane.successes[hop], lane.periods_s[hop] / slot_s, lane.werners[hop], mass[hop], unused, figures[hop]
            )
        else:
            first, last = ready.first[hop], ready.first[hop + 1]
            resampled(
                ready.mass[first:last], ready.weight[first:last], ready.figures[hop * FIGURES : (hop + 1) * FIGURES],
                slot_s / ready.slots_s[hop], mass[hop], unused, figures[hop],
            )  # fmt: skip
    if hops == 1:
        return 1.0 / float(figures[0, MEAN] * slot_s)
    time_s, restart_s = 0.0, 0.0
    for swap in range(hops - 1):
        left, node, right, above = swaps[swap, 0], swaps[swap, 1], swaps[swap, 2], swaps[swap, 3]
        told_s = 0.0 if above < 0 else abs(at_km[above] - at_km[node]) / LIGHT_KM_PER_S
        restart_s = max(at_km[node] - at_km[left], at_km[right] - at_km[node]) / LIGHT_KM_PER_S
        time_s = slot_s * joined_in_time(
            mass[left], figures[left], mass[node], figures[node], lane.swap_successes[node], told_s / slot_s,
            restart_s / slot_s, tables, above < 0, mass[left], figures[left],
        )  # fmt: skip
    return 1.0 / (time_s + restart_s)
