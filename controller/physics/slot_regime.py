"""The one-shot slot regime: each slot all hops try, all transit nodes swap, and nothing survives the slot.

Widths are numbers of parallel channels per hop; the j-th success of every hop forms lane j. A distribution of
lanes is a tuple whose i-th entry is P(i lanes), i = 0 .. width: a label that grows hop by hop. Rates are in
pairs per slot but where hertz is in the name; no fidelity is computed here (w = prod w_i prod s_v).
"""

import math
from collections.abc import Sequence
from typing import Final

from controller.physics.ranges import checked, checked_count

_WIDEST_EXACT: Final = 1000
"""Beyond it, numbers of ways to choose do not fit into a float."""


def one_lane_success(probabilities: Sequence[float], swap_successes: Sequence[float]) -> float:
    """Return prod p prod q: the probability that a slot of width 1 gives an end-to-end pair.

    Args:
        probabilities: One per hop, shape (n,), n >= 1, each in (0, 1].
        swap_successes: One per transit node, shape (n - 1,), each in (0, 1].

    Raises:
        ValueError: An argument is out of range, or the lengths do not fit.

    >>> one_lane_success([0.5, 0.5], [0.5])
    0.125
    """
    _check_chain(probabilities, swap_successes)
    return math.prod(probabilities) * math.prod(swap_successes)


def hop_lanes(probability: float, width: int) -> tuple[float, ...]:
    """Return the distribution of successes of one hop: binomial, shape (width + 1,).

    Raises:
        ValueError: The probability is not in (0, 1], or width < 1.

    >>> hop_lanes(0.5, 2)
    (0.25, 0.5, 0.25)
    """
    checked("probability", probability, 0.0, 1.0, above_low=True)
    checked_count("width", width, 1)
    if probability < 1.0 and width > _WIDEST_EXACT:
        succeeds, fails = math.log(probability), math.log1p(-probability)
        of_all = math.lgamma(width + 1)
        return tuple(
            math.exp(
                (of_all - math.lgamma(count + 1) - math.lgamma(width - count + 1))
                + (count * succeeds + (width - count) * fails)
            )
            for count in range(width + 1)
        )
    if probability == 1.0:
        return (*(0.0 for _ in range(width)), 1.0)
    return tuple(
        math.comb(width, count) * probability**count * (1.0 - probability) ** (width - count)
        for count in range(width + 1)
    )


def extended_lanes(lanes: Sequence[float], probability: float) -> tuple[float, ...]:
    """Return the distribution of lanes after one more hop: of the smaller of two independent counts.

    Args:
        lanes: The distribution so far, shape (width + 1,).
        probability: Success of the new hop's channels; in (0, 1].

    Raises:
        ValueError: The probability is out of range, or lanes has fewer than two entries.

    Source: Shi, Qian, SIGCOMM 2020 (EXT).

    >>> extended_lanes((0.5, 0.5), 0.5)
    (0.75, 0.25)
    """
    hop = hop_lanes(probability, len(lanes) - 1)
    before, after = 0.0, 0.0  # P(more than i) of either
    found: list[float] = []
    for count in range(len(lanes) - 1, -1, -1):
        found.append(lanes[count] * (after + hop[count]) + hop[count] * before)
        before += lanes[count]
        after += hop[count]
    return tuple(reversed(found))


def lane_distribution(probabilities: Sequence[float], width: int) -> tuple[float, ...]:
    """Return P(i lanes) before the swaps, shape (width + 1,), of hops with `width` channels each.

    Args:
        probabilities: One per hop, shape (n,), n >= 1, each in (0, 1].
        width: Channels of every hop; >= 1.

    Raises:
        ValueError: An argument is out of range.

    >>> lane_distribution([0.5, 0.5], 1)
    (0.75, 0.25)
    """
    if not probabilities:
        raise ValueError("probabilities: no hop")
    lanes = hop_lanes(probabilities[0], width)
    for probability in probabilities[1:]:
        lanes = extended_lanes(lanes, probability)
    return lanes


def expected_lanes(lanes: Sequence[float], swap_successes: Sequence[float] = ()) -> float:
    """Return EXT = prod q E[lanes]: mean end-to-end pairs per slot.

    Args:
        lanes: Distribution of lanes, shape (width + 1,).
        swap_successes: One per transit node, each in (0, 1].

    Raises:
        ValueError: A swap success is out of range.

    >>> round(expected_lanes(lane_distribution([0.14], 3)), 4)
    0.42
    """
    for index, success in enumerate(swap_successes):
        checked(f"swap_successes[{index}]", success, 0.0, 1.0, above_low=True)
    return math.prod(swap_successes) * math.fsum(count * share for count, share in enumerate(lanes))


def slot_rate_hz(
    probabilities: Sequence[float], swap_successes: Sequence[float], attempt_periods_s: Sequence[float], width: int
) -> float:
    """Return end-to-end pairs per second: EXT by the slowest hop's attempt period.

    Args:
        probabilities: One per hop, shape (n,), each in (0, 1].
        swap_successes: One per transit node, shape (n - 1,), each in (0, 1].
        attempt_periods_s: One per hop, shape (n,), each > 0.
        width: Channels of every hop; >= 1.

    Raises:
        ValueError: An argument is out of range, or the lengths do not fit.

    >>> slot_rate_hz([0.5, 0.5], [0.5], [0.001, 0.002], 1)
    62.5
    """
    _check_chain(probabilities, swap_successes)
    if len(attempt_periods_s) != len(probabilities):
        raise ValueError(f"attempt_periods_s: {len(attempt_periods_s)} for {len(probabilities)} hops")
    for index, period_s in enumerate(attempt_periods_s):
        checked(f"attempt_periods_s[{index}]", period_s, 0.0, math.inf, above_low=True)
    return expected_lanes(lane_distribution(probabilities, width), swap_successes) / max(attempt_periods_s)


def dominates(lanes: Sequence[float], others: Sequence[float]) -> bool:
    """Return whether `lanes` has at least i lanes with no less probability than `others`, for every i.

    Of two labels with equal swaps at a node the other is then safe to drop: extension keeps the order, and the
    mean follows it. The mean alone does not survive extension.

    Raises:
        ValueError: The distributions differ in width.

    >>> dominates((0.1, 0.9), (0.2, 0.8)), dominates((0.2, 0.0, 0.8), (0.1, 0.3, 0.6))
    (True, False)
    """
    if len(lanes) != len(others):
        raise ValueError(f"others: width {len(others) - 1}, not {len(lanes) - 1}")
    more = more_of_others = 0.0
    for count in range(len(lanes) - 1, 0, -1):
        more += lanes[count]
        more_of_others += others[count]
        if more < more_of_others:
            return False
    return True


def _check_chain(probabilities: Sequence[float], swap_successes: Sequence[float]) -> None:
    if not probabilities:
        raise ValueError("probabilities: no hop")
    if len(swap_successes) != len(probabilities) - 1:
        raise ValueError(f"swap_successes: {len(swap_successes)} for {len(probabilities)} hops")
    for name, values in (("probabilities", probabilities), ("swap_successes", swap_successes)):
        for index, value in enumerate(values):
            checked(f"{name}[{index}]", value, 0.0, 1.0, above_low=True)
