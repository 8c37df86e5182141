"""Two pairs made at the same time and joined until it succeeds: `controller.physics.renewal_grid` in compiled code.

The same sums on the same grids as the physics, which defines them and to which tests hold this; without the count of
swaps tried. A pair is its mass and weight by slot, and the figures of its tail in a row (`MASS` and on).
"""

import math
from typing import Final

import numpy as np

from controller.routing.kernels.compiled import inline, merged
from controller.routing.kernels.net import Floats

MASS: Final = 0
WEIGHT: Final = 1
EXIT: Final = 2
PERIOD: Final = 3
MEAN: Final = 4
LATTICE: Final = 5
FIGURES: Final = 6
"""Of a tail: its mass and weight, exit, period; the mean slot of all; 1 where ready at whole slots in truth."""
WHOLE: Final = 1e-9
LARGEST: Final = 16384
"""Points of the longest transform: twice those of the longest grid."""
_LOG_ALIAS: Final = math.log(1e-8)
_NEGLIGIBLE: Final = 1e-10
_RUN: Final = 64
"""Powers made by multiplication before one is made anew."""

_ANGLES = -2.0 * np.pi * np.arange(LARGEST) / LARGEST
COSINES: Final = np.array([math.cos(angle) for angle in _ANGLES.tolist()])
SINES: Final = np.array([math.sin(angle) for angle in _ANGLES.tolist()])
DAMPING: Final = np.array([math.exp(_LOG_ALIAS * slot / LARGEST) for slot in range(LARGEST)])


@inline
def transform(real: Floats, imag: Floats, cosines: Floats, sines: Floats, sign: float) -> None:
    """Put the Fourier transform of 2^k complex numbers in their place; sign -1: the inverse, times their number.

    Stockham's order with four branches at a time; k >= 2.
    """
    count = real.size
    step = LARGEST // count
    other_real, other_imag = np.empty(count), np.empty(count)
    from_real, from_imag, to_real, to_imag = real, imag, other_real, other_imag
    span, runs = count, 1
    while span >= 4:
        quarter = span // 4
        apart = runs * quarter
        for p in range(quarter):
            turn = p * runs * step
            c1, s1 = cosines[turn], sign * sines[turn]
            c2, s2 = cosines[2 * turn], sign * sines[2 * turn]
            c3, s3 = cosines[3 * turn], sign * sines[3 * turn]
            source, place = runs * p, runs * 4 * p
            for q in range(runs):
                i, o = source + q, place + q
                ar, ai = from_real[i], from_imag[i]
                br, bi = from_real[i + apart], from_imag[i + apart]
                cr, ci = from_real[i + 2 * apart], from_imag[i + 2 * apart]
                dr, di = from_real[i + 3 * apart], from_imag[i + 3 * apart]
                ac, aci = ar + cr, ai + ci
                off, offi = ar - cr, ai - ci
                bd, bdi = br + dr, bi + di
                # times -i, or i for the inverse
                turned, turnedi = sign * (bi - di), -sign * (br - dr)
                to_real[o], to_imag[o] = ac + bd, aci + bdi
                x, y = off + turned, offi + turnedi
                to_real[o + runs], to_imag[o + runs] = c1 * x - s1 * y, c1 * y + s1 * x
                x, y = ac - bd, aci - bdi
                to_real[o + 2 * runs], to_imag[o + 2 * runs] = c2 * x - s2 * y, c2 * y + s2 * x
                x, y = off - turned, offi - turnedi
                to_real[o + 3 * runs], to_imag[o + 3 * runs] = c3 * x - s3 * y, c3 * y + s3 * x
        from_real, from_imag, to_real, to_imag = to_real, to_imag, from_real, from_imag
        span //= 4
        runs *= 4
    if span == 2:
        for q in range(runs):
            x, y = from_real[q], from_imag[q]
            u, v = from_real[q + runs], from_imag[q + runs]
            to_real[q], to_imag[q] = x + u, y + v
            to_real[q + runs], to_imag[q + runs] = x - u, y - v
        from_real, from_imag, to_real, to_imag = to_real, to_imag, from_real, from_imag
    for q in range(count):
        x, y = from_real[q], from_imag[q]
        real[q], imag[q] = x, y


@inline
def with_tail(mass: Floats, figures: Floats, known_exit: float) -> None:
    """Settle the tail whose mass, weight, period and mean stand in figures; `known_exit` < 0: it keeps the mean."""
    length = mass.size
    if figures[MASS] <= _NEGLIGIBLE:
        figures[MASS], figures[WEIGHT], figures[EXIT] = 0.0, 0.0, 1.0
    elif known_exit >= 0.0:
        figures[EXIT] = known_exit
    else:
        total = 0.0
        for slot in range(length):
            total += mass[slot] * slot
        excess = (figures[MEAN] - total) / figures[MASS] - length
        figures[EXIT] = 1.0 / (1.0 + max(0.0, excess))


@inline
def heralded(probability: float, period: float, werner: float, mass: Floats, weight: Floats, figures: Floats) -> None:
    """Make the elementary pair of a hop: a geometric number of attempts, each `period` slots long."""
    length = mass.size
    whole = int(np.rint(period))
    lattice = whole >= 1 and abs(period - whole) < WHOLE
    log_failure = math.log1p(-probability) if probability < 1.0 else -np.inf
    known_exit = -1.0
    if lattice:
        mass[:] = 0.0
        tail = 1.0
        for slot in range(whole, length, whole):
            failed = slot // whole - 1
            mass[slot] = probability * (math.exp(failed * log_failure) if failed else 1.0)
        last = math.floor((length - 1) / period + WHOLE)
        tail = math.exp(last * log_failure) if last > 0 else 1.0
        if probability < 1.0:
            known_exit = -math.expm1(log_failure / whole)
    else:
        before_lived, before = 0.0, 1.0
        attempts, survival = -1.0, 1.0
        tail = 1.0
        for edge in range(1, length + 1):
            now = math.floor(edge / period + WHOLE)
            if now != attempts:
                attempts = now
                survival = math.exp(attempts * log_failure) if attempts > 0.0 else 1.0
            lived = period * (1.0 - survival) / probability + (edge - attempts * period) * survival
            kept = lived - before_lived
            mass[edge - 1] = before - kept
            before_lived, before = lived, kept
        tail = before
    for slot in range(length):
        weight[slot] = werner * mass[slot]
    figures[MASS], figures[WEIGHT], figures[MEAN] = tail, werner * tail, period / probability
    figures[PERIOD], figures[LATTICE] = (whole, 1.0) if lattice else (1.0, 0.0)
    with_tail(mass, figures, known_exit)


@inline
def extended(mass: Floats, weight: Floats, figures: Floats, long_mass: Floats, long_weight: Floats) -> float:
    """Put mass and weight by slot in longer arrays, the tail spread out, and return the mass beyond."""
    length, longer = mass.size, long_mass.size
    long_mass[:length] = mass
    long_weight[:length] = weight
    if longer == length:
        return float(figures[MASS])
    long_mass[length:] = 0.0
    long_weight[length:] = 0.0
    if figures[MASS] == 0.0 and figures[WEIGHT] == 0.0:
        return 0.0
    period = int(figures[PERIOD])
    first = length + (-length) % period
    stay = 1.0 - figures[EXIT]
    if period > 1:
        exit_each = -math.expm1(period * math.log1p(-figures[EXIT])) if stay > 0.0 else 1.0
    else:
        exit_each = figures[EXIT]
    if exit_each >= 1.0:
        if first < longer:
            long_mass[first], long_weight[first] = figures[MASS], figures[WEIGHT]
            return 0.0
        return float(figures[MASS])
    log_stay = math.log1p(-exit_each)
    factor = math.exp(log_stay)
    share, count = exit_each, 0
    for slot in range(first, longer, period):
        if count % _RUN == 0:
            share = exit_each * math.exp(log_stay * count)
        long_mass[slot], long_weight[slot] = figures[MASS] * share, figures[WEIGHT] * share
        share *= factor
        count += 1
    return float(figures[MASS] * math.exp(log_stay * count))


@inline
def cell_weights(decay: float, part: float) -> tuple[float, float]:
    """Return the integrals of (1 - v) e^(-decay v) and v e^(-decay v) over v from 0 to part <= 1."""
    y = decay * part
    if y < 1e-3:
        whole, first = 1.0 - y / 2.0 + y * y / 6.0, 0.5 - y / 3.0 + y * y / 8.0
    else:
        whole = -math.expm1(-y) / y
        first = (whole - math.exp(-y)) / y
    return part * (whole - part * first), part * part * first


@inline
def decayed(values: Floats, weights: Floats, decay: float, sums: Floats, weight_sums: Floats) -> None:
    """Put sums over all slots up to each, that of weights falling by exp(-decay) a slot; slot k stands at k + 1."""
    factor = math.exp(-decay)
    total, weight = 0.0, 0.0
    sums[0], weight_sums[0] = 0.0, 0.0
    for slot in range(sums.size - 1):
        total += values[slot]
        weight = weight * factor + weights[slot]
        sums[slot + 1], weight_sums[slot + 1] = total, weight


@inline
def older(
    values: Floats,
    sums: Floats,
    decay: float,
    ties: bool,
    lattice: bool,
    limited: bool,
    cells: int,
    part: float,
    found: Floats,
) -> None:
    """Put in `found`, for each slot of the younger pair, the sum over the older's within the window.

    `sums` are as of `decayed`, and are changed.
    """
    count = found.size
    if lattice:
        own = 0.0 if ties else 1.0
        if limited:
            gone = math.exp(-decay * (cells + 1))
            for slot in range(min(count, cells + 1)):
                found[slot] = max(sums[slot + 1] - own * values[slot], 0.0)
            for slot in range(cells + 1, count):
                found[slot] = max(sums[slot + 1] - gone * sums[slot - cells] - own * values[slot], 0.0)
        else:
            for slot in range(count):
                found[slot] = max(sums[slot + 1] - own * values[slot], 0.0)
        return
    at_start, at_end = cell_weights(decay, 1.0)
    if not limited:
        for slot in range(count):
            found[slot] = at_start * sums[slot + 1] + at_end * sums[slot]
        return
    kept = math.exp(-decay * cells)
    part_start, part_end = cell_weights(decay, part)
    for slot in range(count - 1, cells - 1, -1):
        sums[slot + 1] = max(sums[slot + 1] - kept * sums[slot - cells + 1], 0.0)
    for slot in range(min(count, cells)):
        found[slot] = at_start * sums[slot + 1] + at_end * sums[slot]
    if cells < count:
        found[cells] = at_start * sums[cells + 1] + at_end * sums[cells] + kept * (part_start * values[0])
    for slot in range(cells + 1, count):
        edge = part_start * values[slot - cells] + part_end * values[slot - cells - 1]
        found[slot] = at_start * sums[slot + 1] + at_end * sums[slot] + kept * edge


@inline
def missed(
    elder: Floats, younger: Floats, rest: float, lattice: bool, cells: int, part: float, dropped: Floats
) -> None:
    """Add to `dropped`, for each slot of the older pair, its mass whose younger comes after the window."""
    count, reach = dropped.size, younger.size
    part_start, part_end = cell_weights(0.0, part)
    after = rest
    # From the last slot on: `after` is the mass of the younger in slot k + cells + 1 or later.
    for slot in range(reach - 1, cells + count, -1):
        after += younger[slot]
    for slot in range(count - 1, -1, -1):
        after += younger[slot + cells + 1]
        late = after
        if not lattice:
            late += (0.5 - part_start) * younger[slot + cells] - part_end * younger[slot + cells + 1]
        dropped[slot] += elder[slot] * max(late, 0.0)


@inline
def joined(
    mass1: Floats,
    weight1: Floats,
    figures1: Floats,
    mass2: Floats,
    weight2: Floats,
    figures2: Floats,
    decays: tuple[float, float, float],
    times: tuple[float, float, float, float],
    success: tuple[float, float, float, float],
    tables: tuple[Floats, Floats, Floats],
    last: bool,
    mass: Floats,
    weight: Floats,
    figures: Floats,
) -> tuple[float, float, float]:
    """Join two pairs and return (chance of a round, mean slots until one succeeds, mean w then).

    `decays` are exponents per slot of the left pair, the right one, and the result; `times`, in slots: the cut-off, the
    window, the delay of a success, that of a failure; `success`: success, success_slope, kept_sum, kept_product, as of
    `renewal_grid.Joining`; `tables`: COSINES, SINES, DAMPING. Where this is the `last`, the pair itself is not needed;
    else it is put in mass, weight and figures, which may be the left one's.
    """
    length = mass1.size
    whole = 2 * length
    count = whole + 1
    cutoff, window, success_delay, failure_delay = times
    base, slope, kept_sum, kept_product = success
    lattice = figures1[LATTICE] > 0.0 and figures2[LATTICE] > 0.0
    limited = window < count - 1
    cells = math.floor(window + WHOLE) if limited else 0
    part = max(0.0, window - cells) if limited else 0.0
    reach = count + cells + 1 if limited else count
    f1, g1, f2, g2 = np.empty(reach), np.empty(reach), np.empty(reach), np.empty(reach)
    rest1 = extended(mass1, weight1, figures1, f1, g1)
    rest2 = extended(mass2, weight2, figures2, f2, g2)
    seen1, seen2, left1, left2 = np.empty(count), np.empty(count), np.empty(count), np.empty(count)
    sums, weight_sums = np.empty(count + 1), np.empty(count + 1)
    decayed(f1, g1, decays[0], sums, weight_sums)
    older(f1, sums, 0.0, True, lattice, limited, cells, part, seen1)
    older(g1, weight_sums, decays[0], True, lattice, limited, cells, part, left1)
    decayed(f2, g2, decays[1], sums, weight_sums)
    older(f2, sums, 0.0, False, lattice, limited, cells, part, seen2)
    older(g2, weight_sums, decays[1], False, lattice, limited, cells, part, left2)
    met, good, kept = np.empty(count), np.empty(count), np.empty(count)
    dropped = np.zeros(count)
    for slot in range(count):
        both = f2[slot] * seen1[slot] + f1[slot] * seen2[slot]
        product = g2[slot] * left1[slot] + g1[slot] * left2[slot]
        met[slot] = both
        good[slot] = base * both + slope * product
        kept[slot] = kept_product * product
    if kept_sum != 0.0:
        for slot in range(count):
            kept[slot] += kept_sum * (
                g2[slot] * seen1[slot] + f2[slot] * left1[slot] + g1[slot] * seen2[slot] + f1[slot] * left2[slot]
            )
    if limited:
        missed(f1, f2, rest2, lattice, cells, part, dropped)
        missed(f2, f1, rest1, lattice, cells, part, dropped)

    period = int(max(figures1[PERIOD], figures2[PERIOD]))
    both_exit = figures1[EXIT] + figures2[EXIT] - figures1[EXIT] * figures2[EXIT]
    met_sum, good_sum, kept_sum_all, dropped_sum = 0.0, 0.0, 0.0, 0.0
    met_at, dropped_at = 0.0, 0.0
    for slot in range(whole):
        met_sum += met[slot]
        good_sum += good[slot]
        kept_sum_all += kept[slot]
        dropped_sum += dropped[slot]
        met_at += met[slot] * slot
        dropped_at += dropped[slot] * slot
    dropped_tail = _beyond(dropped, period, both_exit) if limited else 0.0
    if limited and cells <= length:
        exit_ = both_exit
        met_tail = _beyond(met, period, both_exit)
        good_tail = _beyond(good, period, both_exit)
        kept_tail = _beyond(kept, period, both_exit)
    else:
        exit_ = min(figures1[EXIT], figures2[EXIT])
        met_tail = max(0.0, 1.0 - met_sum - dropped_sum - dropped_tail)
        ends = 0.0
        good_ends, kept_ends = 0.0, 0.0
        for slot in range(whole - period, whole):
            ends += met[slot]
            good_ends += good[slot]
            kept_ends += kept[slot]
        share = met_tail / ends if ends > 0.0 else 0.0
        good_tail, kept_tail = share * good_ends, share * kept_ends
    total_dropped, total_met = dropped_sum + dropped_tail, met_sum + met_tail
    lasting = (
        met_at
        + met_tail * (whole + 1.0 / exit_ - 1.0)
        + dropped_at
        + dropped_tail * (whole + 1.0 / both_exit - 1.0)
        + (cutoff * total_dropped if total_dropped > 0.0 else 0.0)
        + failure_delay * (total_met - good_sum - good_tail)
    )
    scale = 1.0 / (total_met + total_dropped)
    chance = (good_sum + good_tail) * scale
    if not chance > WHOLE:
        return 0.0, np.inf, 0.0
    mean = lasting * scale / chance
    mean_werner = (kept_sum_all + kept_tail) * scale / chance
    if last:
        return chance, mean, mean_werner
    _renewed(
        met, good, kept, dropped, scale, slope != 0.0, total_dropped > 0.0,
        (met_tail * scale, good_tail * scale, kept_tail * scale, dropped_tail * scale), (exit_, both_exit),
        (cutoff, success_delay, failure_delay), base, tables, mass, weight,
    )  # fmt: skip
    decay = math.exp(-decays[2] * success_delay)
    mass_sum, weight_sum = 0.0, 0.0
    for slot in range(length):
        weight[slot] *= decay
        mass_sum += mass[slot]
        weight_sum += weight[slot]
    figures[MASS] = max(0.0, 1.0 - mass_sum)
    figures[WEIGHT] = max(0.0, decay * mean_werner - weight_sum)
    figures[PERIOD] = 1.0
    figures[MEAN] = mean + success_delay
    even = lattice and _is_whole(cutoff) and _is_whole(success_delay) and _is_whole(failure_delay)
    figures[LATTICE] = 1.0 if even else 0.0
    with_tail(mass, figures, -1.0)
    return chance, mean, mean_werner


@inline
def _beyond(values: Floats, period: int, exit_: float) -> float:
    """Return the mass from the last slot on where both tails have begun; a comb is taken for its mean."""
    total = 0.0
    for slot in range(values.size - period, values.size):
        total += values[slot]
    return total / period / exit_


@inline
def _is_whole(time: float) -> bool:
    return math.isinf(time) or abs(time - np.rint(time)) < WHOLE


@merged
def _renewed(
    met: Floats,
    good: Floats,
    kept: Floats,
    dropped: Floats,
    scale: float,
    sloped: bool,
    drops: bool,
    tails: tuple[float, float, float, float],
    exits: tuple[float, float],
    delays: tuple[float, float, float],
    base: float,
    tables: tuple[Floats, Floats, Floats],
    mass: Floats,
    weight: Floats,
) -> None:
    """Put mass and weight of rounds repeated until one succeeds: success / (1 - failure), on a damped circle."""
    cosines, sines, damping = tables
    whole = met.size - 1
    half = whole // 2
    step = LARGEST // whole
    a, b = np.empty(whole), np.empty(whole)
    for slot in range(whole):
        damped = scale * damping[slot * step]
        a[slot] = damped * met[slot]
        b[slot] = damped * kept[slot]
    transform(a, b, cosines, sines, 1.0)
    two = sloped or drops
    c, d = np.empty(whole if two else 1), np.empty(whole if two else 1)
    if two:
        for slot in range(whole):
            damped = scale * damping[slot * step]
            c[slot] = damped * good[slot] if sloped else 0.0
            d[slot] = damped * dropped[slot] if drops else 0.0
        transform(c, d, cosines, sines, 1.0)
    cutoff, success_delay, failure_delay = delays
    log_radius = _LOG_ALIAS / whole
    radius = math.exp(log_radius)
    alias = math.exp(_LOG_ALIAS)
    again_slots = math.floor(failure_delay + WHOLE)
    again_part = max(0.0, failure_delay - again_slots)
    again_radius = math.exp(again_slots * log_radius)
    ready_slots = math.floor(success_delay + WHOLE)
    ready_part = max(0.0, success_delay - ready_slots)
    ready_radius = math.exp(ready_slots * log_radius)
    drop_slots, drop_part, drop_radius = 0, 0.0, 0.0
    if drops:
        drop_slots = math.floor(cutoff + WHOLE)
        drop_part = max(0.0, cutoff - drop_slots)
        drop_radius = math.exp(drop_slots * log_radius)
    slow, quick = exits
    around = whole - 1  # of a power of two
    u, v = np.empty(whole), np.empty(whole)
    for k in range(half + 1):
        mirror = (whole - k) & around
        zr, zi = radius * cosines[k * step], radius * sines[k * step]
        # Transforms of tails of mass 1 that begin after the table.
        nr, ni = 1.0 - (1.0 - slow) * zr, -(1.0 - slow) * zi
        norm = nr * nr + ni * ni
        sr, si = alias * slow * nr / norm, -alias * slow * ni / norm
        mr = 0.5 * (a[k] + a[mirror]) + tails[0] * sr
        mi = 0.5 * (b[k] - b[mirror]) + tails[0] * si
        kr = 0.5 * (b[k] + b[mirror]) + tails[2] * sr
        ki = 0.5 * (a[mirror] - a[k]) + tails[2] * si
        if sloped:
            gr = 0.5 * (c[k] + c[mirror]) + tails[1] * sr
            gi = 0.5 * (d[k] - d[mirror]) + tails[1] * si
        else:
            gr, gi = base * mr, base * mi
        turn = (k * again_slots & around) * step
        er, ei = again_radius * cosines[turn], again_radius * sines[turn]
        if again_part > 0.0:
            pr, pi = (1.0 - again_part) + again_part * zr, again_part * zi
            er, ei = er * pr - ei * pi, er * pi + ei * pr
        fr, fi = mr - gr, mi - gi
        wr, wi = 1.0 - (fr * er - fi * ei), -(fr * ei + fi * er)
        if drops:
            nr, ni = 1.0 - (1.0 - quick) * zr, -(1.0 - quick) * zi
            norm = nr * nr + ni * ni
            dr, di = tails[3] * alias * quick * nr / norm, -tails[3] * alias * quick * ni / norm
            dr += 0.5 * (d[k] + d[mirror])
            di += 0.5 * (c[mirror] - c[k])
            turn = (k * drop_slots & around) * step
            er, ei = drop_radius * cosines[turn], drop_radius * sines[turn]
            if drop_part > 0.0:
                pr, pi = (1.0 - drop_part) + drop_part * zr, drop_part * zi
                er, ei = er * pr - ei * pi, er * pi + ei * pr
            wr -= dr * er - di * ei
            wi -= dr * ei + di * er
        norm = wr * wr + wi * wi
        rr, ri = wr / norm, -wi / norm
        if success_delay > 0.0:
            turn = (k * ready_slots & around) * step
            er, ei = ready_radius * cosines[turn], ready_radius * sines[turn]
            if ready_part > 0.0:
                pr, pi = (1.0 - ready_part) + ready_part * zr, ready_part * zi
                er, ei = er * pr - ei * pi, er * pi + ei * pr
            rr, ri = rr * er - ri * ei, rr * ei + ri * er
        xr, xi = gr * rr - gi * ri, gr * ri + gi * rr
        yr, yi = kr * rr - ki * ri, kr * ri + ki * rr
        if k in (0, half):
            u[k], v[k] = xr, yr
        else:
            u[k], v[k] = xr - yi, xi + yr
            u[mirror], v[mirror] = xr + yi, yr - xi
    transform(u, v, cosines, sines, -1.0)
    for slot in range(mass.size):
        mass[slot] = u[slot] / whole / damping[slot * step]
        weight[slot] = v[slot] / whole / damping[slot * step]


@inline
def joined_in_time(
    mass1: Floats,
    figures1: Floats,
    mass2: Floats,
    figures2: Floats,
    success: float,
    success_delay: float,
    failure_delay: float,
    tables: tuple[Floats, Floats, Floats],
    last: bool,
    mass: Floats,
    figures: Floats,
) -> float:
    """Join two pairs by a swap without a cut-off, and return the mean slots until it succeeds: as `joined`, less w.

    The figures of the weight, which nothing here asks for, are not told.
    """
    length = mass1.size
    whole = 2 * length
    lattice = figures1[LATTICE] > 0.0 and figures2[LATTICE] > 0.0
    f1, f2, met = np.empty(whole), np.empty(whole), np.empty(whole)
    # Weights are no matter: where they would come, what was met comes next.
    extended(mass1, mass1, figures1, f1, met)
    extended(mass2, mass2, figures2, f2, met)
    own = 0.5
    total1, total2, met_sum, met_at = 0.0, 0.0, 0.0, 0.0
    for slot in range(whole):
        a, b = f1[slot], f2[slot]
        # Of both in one slot, one sum counts a tie and the other does not, or each the half.
        met[slot] = b * (total1 + (a if lattice else own * a)) + a * (total2 + (0.0 if lattice else own * b))
        total1 += a
        total2 += b
    for slot in range(whole):
        met_sum += met[slot]
        met_at += met[slot] * slot
    exit_ = min(figures1[EXIT], figures2[EXIT])
    met_tail = max(0.0, 1.0 - met_sum)
    total = met_sum + met_tail
    lasting = met_at + met_tail * (whole + 1.0 / exit_ - 1.0) + failure_delay * (1.0 - success) * total
    mean = lasting / total / success
    if last:
        return float(mean)
    _renewed_in_time(met, 1.0 / total, met_tail / total, exit_, success, success_delay, failure_delay, tables, mass)
    mass_sum = 0.0
    for slot in range(length):
        mass_sum += mass[slot]
    figures[MASS], figures[WEIGHT] = max(0.0, 1.0 - mass_sum), 0.0
    figures[PERIOD], figures[MEAN] = 1.0, mean + success_delay
    even = lattice and _is_whole(success_delay) and _is_whole(failure_delay)
    figures[LATTICE] = 1.0 if even else 0.0
    with_tail(mass, figures, -1.0)
    return float(mean)


@merged
def _renewed_in_time(
    met: Floats,
    scale: float,
    tail: float,
    exit_: float,
    success: float,
    success_delay: float,
    failure_delay: float,
    tables: tuple[Floats, Floats, Floats],
    mass: Floats,
) -> None:
    """Put the mass of rounds repeated until one succeeds; real numbers, two of them as one that is complex."""
    cosines, sines, damping = tables
    whole = met.size
    half = whole // 2
    step = LARGEST // whole
    a, b = np.empty(half), np.empty(half)
    for pair in range(half):
        a[pair] = scale * damping[2 * pair * step] * met[2 * pair]
        b[pair] = scale * damping[(2 * pair + 1) * step] * met[2 * pair + 1]
    transform(a, b, cosines, sines, 1.0)
    log_radius = _LOG_ALIAS / whole
    radius, alias = math.exp(log_radius), math.exp(_LOG_ALIAS)
    again_slots = math.floor(failure_delay + WHOLE)
    again_part = max(0.0, failure_delay - again_slots)
    again_radius = math.exp(again_slots * log_radius)
    ready_slots = math.floor(success_delay + WHOLE)
    ready_part = max(0.0, success_delay - ready_slots)
    ready_radius = math.exp(ready_slots * log_radius)
    around, other = whole - 1, half - 1  # of powers of two
    xs, ys = np.empty(half + 1), np.empty(half + 1)
    for k in range(half + 1):
        here, mirror = k & other, (half - k) & other
        c, s = cosines[k * step], sines[k * step]
        zr, zi = radius * c, radius * s
        even_r, even_i = 0.5 * (a[here] + a[mirror]), 0.5 * (b[here] - b[mirror])
        odd_r, odd_i = 0.5 * (b[here] + b[mirror]), 0.5 * (a[mirror] - a[here])
        nr, ni = 1.0 - (1.0 - exit_) * zr, -(1.0 - exit_) * zi
        norm = nr * nr + ni * ni
        mr = even_r + c * odd_r - s * odd_i + tail * alias * exit_ * nr / norm
        mi = even_i + c * odd_i + s * odd_r - tail * alias * exit_ * ni / norm
        turn = (k * again_slots & around) * step
        er, ei = again_radius * cosines[turn], again_radius * sines[turn]
        if again_part > 0.0:
            pr, pi = (1.0 - again_part) + again_part * zr, again_part * zi
            er, ei = er * pr - ei * pi, er * pi + ei * pr
        fr, fi = (1.0 - success) * mr, (1.0 - success) * mi
        wr, wi = 1.0 - (fr * er - fi * ei), -(fr * ei + fi * er)
        norm = wr * wr + wi * wi
        rr, ri = wr / norm, -wi / norm
        if success_delay > 0.0:
            turn = (k * ready_slots & around) * step
            er, ei = ready_radius * cosines[turn], ready_radius * sines[turn]
            if ready_part > 0.0:
                pr, pi = (1.0 - ready_part) + ready_part * zr, ready_part * zi
                er, ei = er * pr - ei * pi, er * pi + ei * pr
            rr, ri = rr * er - ri * ei, rr * ei + ri * er
        xs[k] = success * (mr * rr - mi * ri)
        ys[k] = success * (mr * ri + mi * rr)
    ys[0], ys[half] = 0.0, 0.0
    for k in range(half):
        c, s = cosines[k * step], -sines[k * step]
        sum_r, sum_i = 0.5 * (xs[k] + xs[half - k]), 0.5 * (ys[k] - ys[half - k])
        off_r, off_i = 0.5 * (xs[k] - xs[half - k]), 0.5 * (ys[k] + ys[half - k])
        turned_r, turned_i = c * off_r - s * off_i, c * off_i + s * off_r
        a[k], b[k] = sum_r - turned_i, sum_i + turned_r
    transform(a, b, cosines, sines, -1.0)
    for pair in range(half // 2):
        mass[2 * pair] = a[pair] / half / damping[2 * pair * step]
        mass[2 * pair + 1] = b[pair] / half / damping[(2 * pair + 1) * step]
