"""The memory regime: what one lane of a repeater path with cut-offs delivers.

The protocol of a lane. Both branches of a swap, and both pairs of a purification round, are made at the same time and
begin again together:
- An elementary pair takes a geometric number of attempts; it is there, with w of its hop, at its herald.
- A purification round (BBPSSW, twirled) waits for both pairs, however long; its result is known after L / c_f.
- A swap waits for both pairs; once the older has waited longer than the cut-off both begin again. Success: the new pair
  is ready at the next swap's node after dist / c_f. Failure: both begin again after the farther end has heard.
- The root's success is a delivered pair; its fidelity is that at this moment, and the lane begins again after the
  farther end has heard. A path of one hop has no swap and begins again at once.
- Each stored qubit depolarises at its own node's rate.

Everywhere w = (4F - 1) / 3, F = <Phi+|rho|Phi+>. Purification and swaps are linear in each pair's w, so the mean w by
time of readiness is all that is needed: within the grid's resolution the figures are exact, not approximations.
"""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from controller.physics.buffered_regime import best_tree
from controller.physics.lane import FIBRE_SPEED_KM_PER_S, Lane
from controller.physics.lane_grid import grid_of
from controller.physics.ranges import checked_count
from controller.physics.renewal_grid import Joining, ReadyPair, Round, Rounds, heralded_pair, join, joined_pair
from controller.physics.swap_tree import SwapTree, first_hop, segment_ends


@dataclass(frozen=True, slots=True, kw_only=True)
class LanePrediction:
    """What a lane delivers on average.

    Attributes:
        mean_time_s: From a beginning to the delivery.
        restart_s: From the delivery to the next beginning.
        rate_hz: 1 / (mean_time_s + restart_s).
        werner: Mean w of delivered pairs at the moment of the last swap.
        fidelity: (1 + 3 werner) / 4.
        swap_attempts: Mean Bell measurements per delivered pair, by node from end to end, 0 at the ends. What a
            cut-off breaks off is counted in proportion to its time, which is exact where swaps come without memory.
    """

    mean_time_s: float
    restart_s: float
    rate_hz: float
    werner: float
    fidelity: float
    swap_attempts: tuple[float, ...]


@lru_cache(maxsize=65536)
def predict_lane(lane: Lane, *, fineness: int = 1) -> LanePrediction:
    """Return the mean rate and fidelity of a lane. Pure, remembered by its arguments.

    Discretisation: below 0.5 % of the mean time and 0.001 of F with the default; where all times are whole numbers of
    the shortest attempt period and the waits are short beside the grid, none at all.

    Args:
        lane: Hops, nodes, cut-off, tree.
        fineness: Grid points are 2,048 (more where the cut-off is short) times this; >= 1.

    Raises:
        ValueError: fineness < 1, or no round can succeed in the range of floats.

    Source: Brand, Coopmans, Elkouss, IEEE JSAC 38, 619 (2020).

    >>> from controller.physics.lane import LaneHop, LaneNode
    >>> hop = LaneHop(success_probability=0.5, attempt_period_s=1e-3, werner=0.9)
    >>> one = predict_lane(Lane(hops=(hop, hop), nodes=(LaneNode(), LaneNode(swap_success=0.5), LaneNode())))
    >>> round(one.rate_hz, 6), round(one.fidelity, 6), one.swap_attempts  # 1 / E[max] / tau / 2; 0.9^2
    (187.5, 0.8575, (0.0, 2.0, 0.0))
    """
    checked_count("fineness", fineness, 1)
    return _Evaluation(lane, fineness).prediction()


def fidelity_bound(lane: Lane) -> float:
    """Return F of a lane whose pairs never wait: an upper bound for every cut-off and tree.

    Purified pairs decay while the result travels in `predict_lane`; here they do not.

    >>> from controller.physics.lane import LaneHop, LaneNode
    >>> hop = LaneHop(success_probability=0.5, attempt_period_s=1e-3, werner=0.9)
    >>> round(fidelity_bound(Lane(hops=(hop, hop), nodes=(LaneNode(decay_per_s=1.0),) * 3)), 6)
    0.8575
    """
    werner = math.prod(node.swap_quality for node in lane.nodes[1:-1])
    for hop in lane.hops:
        purified = hop.werner
        for _ in range(hop.purification_rounds):
            purified = (2.0 * purified + 4.0 * purified * purified) / 3.0 / (1.0 + purified * purified)
        werner *= max(hop.werner, purified)
    return (1.0 + 3.0 * werner) / 4.0


def lane_rate_bound_hz(lane: Lane) -> float:
    """Return pairs per second that no tree and no cut-off can exceed; another hop never raises it.

    The least of two bounds over all beginnings of the route (a tree on the route holds one on each beginning, which is
    not slower). Each delivered pair needs every hop's pairs since the lane began, so a swap's mean time is at least
    E[max] / (largest q); attempts that are discrete are no faster than exponential ones of equal survival. And a
    hop makes its pairs one after the other, 2^k at a time: the best tree's buffered rate.

    >>> from controller.physics.lane import LaneHop, LaneNode
    >>> hop = LaneHop(success_probability=0.5, attempt_period_s=1e-3, werner=0.9)
    >>> bound = lane_rate_bound_hz(Lane(hops=(hop, hop), nodes=(LaneNode(), LaneNode(swap_success=0.5), LaneNode())))
    >>> 187.5 <= bound < 200
    True
    """
    rates = [hop.success_probability / hop.attempt_period_s for hop in lane.hops]
    bound = rates[0]
    swaps: list[float] = []
    times_s = max(hop.attempt_period_s / hop.success_probability for hop in lane.hops) * _BOUND_TIMES
    ready = np.ones_like(times_s)
    for index, hop in enumerate(lane.hops):
        attempts = np.floor(times_s / hop.attempt_period_s * (1.0 + 1e-12))
        missing = np.power(1.0 - hop.success_probability, attempts)
        ready = ready * np.power(1.0 - missing, 2**hop.purification_rounds)
        # Survival falls with time: a sum over its right ends is below the integral.
        longest_s = float(np.diff(times_s, prepend=0.0) @ (1.0 - ready))
        if index:
            swaps.append(lane.nodes[index].swap_success)
            longest_s /= max(swaps)
        bound = min(bound, 1.0 / longest_s if longest_s > 0.0 else math.inf, best_tree(rates[: index + 1], swaps)[0])
    return bound


_BOUND_TIMES = np.concatenate((np.linspace(0.005, 1.5, 300), np.geomspace(1.51, 20.0, 150)))


class _Evaluation:
    """One walk up a lane's tree on one grid."""

    def __init__(self, lane: Lane, fineness: int) -> None:
        self._lane = lane
        self._cutoff_s = math.inf if lane.cutoff_s is None else lane.cutoff_s
        self._slot_s, self._length = grid_of(lane, fineness)

    def prediction(self) -> LanePrediction:
        lane, tree = self._lane, self._lane.swap_tree
        if isinstance(tree, int):
            pair, restart_s = self._hop(tree), 0.0
            time_s, werner = pair.mean * self._slot_s, pair.mean_werner
            attempts: dict[int, float] = {}
        else:
            rounds, _, attempts = self._round(tree, None)
            time_s, werner = rounds.mean * self._slot_s, rounds.mean_werner
            restart_s = self._lane.news_to_ends_s(tree)
        if not (0.0 < time_s < math.inf and 0.0 <= werner < 1.0 + 1e-6):
            raise ValueError(f"cutoff_s: {lane.cutoff_s} is too short for a pair to be delivered")
        werner = min(1.0, werner)
        return LanePrediction(
            mean_time_s=time_s,
            restart_s=restart_s,
            rate_hz=1.0 / (time_s + restart_s),
            werner=werner,
            fidelity=(1.0 + 3.0 * werner) / 4.0,
            swap_attempts=tuple(attempts.get(node, 0.0) for node in range(len(lane.nodes))),
        )

    def _pair(self, tree: SwapTree, swapped_at: int) -> tuple[ReadyPair, dict[int, float]]:
        """Return a segment's pair as its next swap's node sees it, and the swaps per pair by node."""
        if isinstance(tree, int):
            return self._hop(tree), {}
        rounds, one, attempts = self._round(tree, swapped_at)
        return joined_pair(rounds, one, self._length), attempts

    def _round(self, tree: tuple[SwapTree, SwapTree], swapped_at: int | None) -> tuple[Rounds, Round, dict[int, float]]:
        node = first_hop(tree[1])
        left, left_attempts = self._pair(tree[0], node)
        right, right_attempts = self._pair(tree[1], node)
        ends = segment_ends(tree)
        swap = self._lane.nodes[node]
        told_s = 0.0 if swapped_at is None else self._lane.news_s(node, swapped_at)
        rounds, one = join(
            left,
            right,
            Joining(
                left_decay=self._decay(ends[0], node),
                right_decay=self._decay(node, ends[1]),
                cutoff=self._cutoff_s / self._slot_s,
                success=swap.swap_success,
                kept_product=swap.swap_success * swap.swap_quality,
                success_delay=told_s / self._slot_s,
                failure_delay=self._lane.news_to_ends_s(tree) / self._slot_s,
                result_decay=self._decay(*ends),
            ),
        )
        attempts = {node: rounds.tries}
        for child, busy, pair in ((left_attempts, rounds.left_busy, left), (right_attempts, rounds.right_busy, right)):
            attempts |= {at: tries * busy / pair.mean for at, tries in child.items()}
        return rounds, one, attempts

    def _hop(self, index: int) -> ReadyPair:
        hop = self._lane.hops[index]
        decay = self._decay(index, index + 1)
        pair = heralded_pair(hop.success_probability, hop.attempt_period_s / self._slot_s, hop.werner, self._length)
        told = hop.length_km / FIBRE_SPEED_KM_PER_S / self._slot_s
        for _ in range(hop.purification_rounds):
            how = Joining(
                left_decay=decay,
                right_decay=decay,
                cutoff=math.inf,
                success=0.5,
                success_slope=0.5,
                kept_sum=1.0 / 6.0,
                kept_product=4.0 / 6.0,
                success_delay=told,
                failure_delay=told,
                result_decay=decay,
            )
            pair = joined_pair(*join(pair, pair, how), self._length)
        return pair

    def _decay(self, left: int, right: int) -> float:
        """Return the exponent per slot of a pair between two nodes."""
        nodes = self._lane.nodes
        return (nodes[left].decay_per_s + nodes[right].decay_per_s) * self._slot_s
