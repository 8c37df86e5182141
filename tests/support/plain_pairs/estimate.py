"""A quick guess of what a lane of the memory regime delivers, as if all waits were exponential.

It orders and never decides. What is told of a plan is always predicted exactly; guesses choose what is predicted first.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from controller.physics.lane import Lane
from controller.physics.link_generation import FIBRE_LIGHT_KM_PER_S
from controller.physics.swap_tree import SwapTree, first_hop, nested_halving, segment_ends

_halving = lru_cache(maxsize=256)(nested_halving)


@dataclass(frozen=True, slots=True)
class Guess:
    """Rough figures of one lane."""

    rate_hz: float
    fidelity: float


def guess(lane: Lane, cutoff_s: float | None) -> Guess:
    """Return the guess for a lane with a cut-off in the place of its own."""
    cutoff = math.inf if cutoff_s is None else cutoff_s
    nodes, at_km = lane.nodes, lane.positions_km

    def hop(index: int) -> tuple[float, float]:
        one = lane.hops[index]
        decay = nodes[index].decay_per_s + nodes[index + 1].decay_per_s
        told_s = one.length_km / FIBRE_LIGHT_KM_PER_S
        mean_s, werner = one.attempt_period_s / one.success_probability, one.werner
        for _ in range(one.purification_rounds):
            older = werner / (1.0 + decay * mean_s)
            success = (1.0 + older * werner) / 2.0
            werner = (older + werner + 4.0 * older * werner) / 6.0 / success * math.exp(-decay * told_s)
            mean_s = (1.5 * mean_s + told_s) / success
        return mean_s, werner

    def segment(tree: SwapTree, swapped_at: int | None) -> tuple[float, float]:
        if isinstance(tree, int):
            return hop(tree)
        node = first_hop(tree[1])
        left, right = segment_ends(tree)
        (left_s, left_w), (right_s, right_w) = segment(tree[0], node), segment(tree[1], node)
        a, b = 1.0 / left_s, 1.0 / right_s
        left_decay = nodes[left].decay_per_s + nodes[node].decay_per_s
        right_decay = nodes[node].decay_per_s + nodes[right].decay_per_s
        first_left, first_right = a / (a + b), b / (a + b)
        right_comes, left_comes = -math.expm1(-b * cutoff), -math.expm1(-a * cutoff)
        met = first_left * right_comes + first_right * left_comes
        if met <= 0.0:
            return math.inf, 0.0
        round_s = 1.0 / (a + b) + first_left * right_comes * right_s + first_right * left_comes * left_s
        kept = first_left * b / (b + left_decay) * -math.expm1(-(b + left_decay) * cutoff)
        kept += first_right * a / (a + right_decay) * -math.expm1(-(a + right_decay) * cutoff)
        again_s = max(at_km[node] - at_km[left], at_km[right] - at_km[node]) / FIBRE_LIGHT_KM_PER_S
        told_s = again_s if swapped_at is None else abs(at_km[node] - at_km[swapped_at]) / FIBRE_LIGHT_KM_PER_S
        q = nodes[node].swap_success
        mean_s = (round_s + (1.0 - q) * met * again_s) / (met * q) + told_s
        werner = left_w * right_w * nodes[node].swap_quality * kept / met
        if swapped_at is not None:
            werner *= math.exp(-(nodes[left].decay_per_s + nodes[right].decay_per_s) * told_s)
        return mean_s, werner

    tree = _halving(len(lane.hops)) if lane.tree is None else lane.tree
    mean_s, werner = segment(tree, None)
    return Guess(rate_hz=1.0 / mean_s if mean_s < math.inf else 0.0, fidelity=(1.0 + 3.0 * werner) / 4.0)


def guessed_cutoff(lane: Lane, grid: Sequence[float | None], least_fidelity: float) -> tuple[int, Guess]:
    """Return which cut-off is the longest that keeps a fidelity by the guess, else the shortest; and that guess."""
    found = guess(lane, grid[0])
    if found.fidelity >= least_fidelity:
        return 0, found
    low, high = 1, len(grid) - 1
    while low < high:
        middle = (low + high) // 2
        if guess(lane, grid[middle]).fidelity >= least_fidelity:
            high = middle
        else:
            low = middle + 1
    last = min(low, len(grid) - 1)
    return last, guess(lane, grid[last])
