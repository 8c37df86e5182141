"""How fine a time grid a lane needs: from rough means, as if all waits were exponential. Times in s."""

import math
from dataclasses import dataclass

from controller.physics.lane import FIBRE_SPEED_KM_PER_S, Lane, LaneHop
from controller.physics.swap_tree import SwapTree, first_hop

POINTS = 2048
MOST_POINTS = 16384
# A window holds so many mean rounds or cut-offs, whichever are shorter, and so many of the messages after each; from
# then on the distribution is geometric (its next slower pole has died out).
_ROUNDS, _CUTOFFS, _DELAYS = 7.0, 7.0, 7.0
_POINTS_PER_CUTOFF = 12.0
_HEAVY_TAIL = 5.0
_WHOLE = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class _Guess:
    """Rough figures of a segment's pair: mean time, and when its distribution has become geometric."""

    mean_s: float
    settled_s: float


def grid_of(lane: Lane, fineness: int) -> tuple[float, int]:
    """Return (slot_s, slots): the grid on which the lane's distributions are computed.

    A slot is an attempt period, or a whole number of them, where every time of the lane is a whole number of slots.

    Args:
        lane: What is computed.
        fineness: Points are multiplied by this.
    """
    needs_s: list[float] = []
    guess = _guess(lane, lane.swap_tree, None, needs_s)
    window_s = max([*needs_s, guess.settled_s if len(lane.hops) == 1 else 0.0])
    points = POINTS
    if lane.cutoff_s is not None:
        while points < MOST_POINTS and window_s / points > lane.cutoff_s / _POINTS_PER_CUTOFF:
            points *= 2
    points *= fineness
    slot_s = window_s / points
    shortest_s = min(hop.attempt_period_s for hop in lane.hops)
    if slot_s < shortest_s:
        heavy = max(_hop_guess(hop).mean_s for hop in lane.hops) * _HEAVY_TAIL > window_s
        if heavy or _in_step(lane, shortest_s):
            slot_s = shortest_s
        else:
            slot_s = shortest_s / math.ceil(shortest_s / slot_s)
    elif _in_step(lane, shortest_s):
        slot_s = shortest_s * math.ceil(slot_s / shortest_s)
    return slot_s, points


def _in_step(lane: Lane, step_s: float) -> bool:
    """Return whether periods and messages all take whole numbers of a step."""
    times_s = {hop.attempt_period_s for hop in lane.hops}
    if len(lane.hops) > 1 or lane.hops[0].purification_rounds:
        times_s |= {hop.length_km / FIBRE_SPEED_KM_PER_S for hop in lane.hops}
    return all(abs(time_s / step_s - round(time_s / step_s)) < _WHOLE for time_s in times_s)


def _guess(lane: Lane, tree: SwapTree, swapped_at: int | None, needs_s: list[float]) -> _Guess:
    if isinstance(tree, int):
        return _hop_guess(lane.hops[tree])
    node = first_hop(tree[1])
    left, right = _guess(lane, tree[0], node, needs_s), _guess(lane, tree[1], node, needs_s)
    told_s = 0.0 if swapped_at is None else lane.news_s(node, swapped_at)
    again_s = lane.news_to_ends_s(tree)
    cutoff_s = math.inf if lane.cutoff_s is None else lane.cutoff_s
    success = lane.nodes[node].swap_success
    guess = _joined(left, right, cutoff_s, success, told_s, again_s)
    # The root's own round needs its window too.
    needs_s.append(guess.settled_s)
    return guess


def _hop_guess(hop: LaneHop) -> _Guess:
    mean_s = hop.attempt_period_s / hop.success_probability
    guess = _Guess(mean_s=mean_s, settled_s=hop.attempt_period_s)
    told_s = hop.length_km / FIBRE_SPEED_KM_PER_S
    for _ in range(hop.purification_rounds):
        guess = _joined(guess, guess, math.inf, (1.0 + hop.werner**2) / 2.0, told_s, told_s)
    return guess


def _joined(left: _Guess, right: _Guess, cutoff_s: float, success: float, told_s: float, again_s: float) -> _Guess:
    rate_left, rate_right = 1.0 / left.mean_s, 1.0 / right.mean_s
    first_left, first_right = rate_left / (rate_left + rate_right), rate_right / (rate_left + rate_right)
    right_comes, left_comes = -math.expm1(-cutoff_s * rate_right), -math.expm1(-cutoff_s * rate_left)
    met = first_left * right_comes + first_right * left_comes
    round_s = (
        1.0 / (rate_left + rate_right)
        + first_left * right_comes * right.mean_s
        + first_right * left_comes * left.mean_s
    )
    return _Guess(
        mean_s=(round_s + (1.0 - success) * met * again_s) / max(met * success, 1e-300) + told_s,
        settled_s=max(left.settled_s, right.settled_s)
        + min(_ROUNDS * round_s, _CUTOFFS * cutoff_s)
        + _DELAYS * (told_s + again_s),
    )
