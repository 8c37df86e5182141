"""How fine a time grid a lane needs: from rough means, as if all waits were exponential. Times in s."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from controller.physics.lane import WHOLE, Lane, LaneHop
from controller.physics.link_generation import FIBRE_LIGHT_KM_PER_S
from controller.physics.swap_tree import SwapTree, first_hop

POINTS = 2048
MOST_POINTS = 8192
# A purified hop is worked out once for all lanes; one of few attempts is finely stepped.
_LIKELY = 0.005
# A window holds so many mean rounds or cut-offs, whichever are shorter, and so many of the messages after each; from
# then on the distribution is geometric (its next slower pole has died out).
_ROUNDS, _CUTOFFS, _DELAYS = 7.0, 7.0, 7.0
# A cut-off of few attempts meets or misses whole attempts, which the grid must tell apart.
_POINTS_PER_CUTOFF, _POINTS_PER_SHORT_CUTOFF, _SHORT_CUTOFF_ATTEMPTS = 12.0, 60.0, 60.0
_FINEST_COMMON = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class _Guess:
    """Rough figures of a segment's pair: mean time, and when its distribution has become geometric."""

    mean_s: float
    settled_s: float


def lane_grid(lane: Lane, fineness: int) -> tuple[float, int]:
    """Return (slot_s, slots): the grid on which a lane's segments are followed.

    Where all attempts and messages take whole numbers of some time that is not too short, that time is the slot, and
    nothing is lost.

    Args:
        lane: What is computed.
        fineness: Points are multiplied by this.
    """
    needs_s: list[float] = []
    guess = _guess(lane, lane.swap_tree, None, needs_s)
    window_s = max([guess.settled_s if len(lane.hops) == 1 else 0.0, *needs_s])
    points = POINTS * fineness
    common_s = _common_step_s(lane.hops)
    if common_s * points >= window_s:
        return common_s, points
    if lane.cutoff_s is not None:
        longest_s = max(hop.attempt_period_s for hop in lane.hops)
        is_short = lane.cutoff_s < _SHORT_CUTOFF_ATTEMPTS * longest_s
        if is_short and common_s * MOST_POINTS >= window_s:
            return common_s, MOST_POINTS * fineness
        wanted_s = lane.cutoff_s / (_POINTS_PER_SHORT_CUTOFF if is_short else _POINTS_PER_CUTOFF)
        while points < MOST_POINTS * fineness and window_s / points * fineness > wanted_s:
            points *= 2
    likeliest = max(lane.hops, key=lambda hop: hop.success_probability)
    return _aligned(window_s / points, likeliest.attempt_period_s), points


def hop_grid(hop: LaneHop, fineness: int) -> tuple[float, int]:
    """Return (slot_s, slots): the grid on which a hop's purification is followed. See `lane_grid`."""
    window_s = _hop_guess(hop).settled_s
    points = (MOST_POINTS if hop.success_probability > _LIKELY else POINTS) * fineness
    common_s = _common_step_s((hop,))
    if common_s * points >= window_s:
        return common_s, points
    return _aligned(window_s / points, hop.attempt_period_s), points


def _aligned(slot_s: float, period_s: float) -> float:
    """Return a slot no longer than the given one of which a period is a whole number, if a period is longer."""
    return period_s / math.ceil(period_s / slot_s) if slot_s < period_s else slot_s


def _common_step_s(hops: Sequence[LaneHop]) -> float:
    """Return the longest part of the shortest attempt that all attempts and messages are whole numbers of, or 0."""
    times_s = {hop.attempt_period_s for hop in hops}
    shortest_s = min(times_s)
    if len(hops) > 1 or hops[0].purification_rounds:
        times_s |= {hop.length_km / FIBRE_LIGHT_KM_PER_S for hop in hops}
    for parts in range(1, _FINEST_COMMON + 1):
        steps = [time_s / shortest_s * parts for time_s in times_s]
        if all(abs(step - round(step)) < WHOLE for step in steps):
            return shortest_s / parts
    return 0.0


def _guess(lane: Lane, tree: SwapTree, swapped_at: int | None, needs_s: list[float]) -> _Guess:
    if isinstance(tree, int):
        return _hop_guess(lane.hops[tree])
    node = first_hop(tree[1])
    left, right = _guess(lane, tree[0], node, needs_s), _guess(lane, tree[1], node, needs_s)
    told_s = 0.0 if swapped_at is None else lane.news_s(node, swapped_at)
    again_s = lane.news_to_ends_s(tree)
    cutoff_s = math.inf if lane.cutoff_s is None else lane.cutoff_s
    success = lane.nodes[node].swap_success
    guess = _joined(left, right, cutoff_s=cutoff_s, success=success, told_s=told_s, again_s=again_s)
    # The root's own round needs its window too.
    needs_s.append(guess.settled_s)
    return guess


def _hop_guess(hop: LaneHop) -> _Guess:
    mean_s = hop.attempt_period_s / hop.success_probability
    guess = _Guess(mean_s=mean_s, settled_s=hop.attempt_period_s)
    told_s = hop.length_km / FIBRE_LIGHT_KM_PER_S
    for _ in range(hop.purification_rounds):
        guess = _joined(
            guess,
            guess,
            cutoff_s=math.inf,
            success=(1.0 + hop.werner**2) / 2.0,
            told_s=told_s,
            again_s=told_s,
        )
    return guess


def _joined(left: _Guess, right: _Guess, *, cutoff_s: float, success: float, told_s: float, again_s: float) -> _Guess:
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
