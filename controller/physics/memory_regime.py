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
from controller.physics.lane import Lane, LaneHop
from controller.physics.lane_grid import hop_grid, lane_grid
from controller.physics.link_generation import FIBRE_LIGHT_KM_PER_S
from controller.physics.ranges import checked_count
from controller.physics.ready_pair import WHOLE, ReadyPair, heralded_pair, resampled
from controller.physics.renewal_grid import Joining, Round, join, joined_pair
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
        swap_attempts: Mean Bell measurements per delivered pair, those in vain included, by node from end to end; 0 at
            the ends.
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

    Discretisation: below 0.5 % of the mean time and 0.001 of F with the default. Where attempts and messages take whole
    numbers of one step (a 32nd of the shortest attempt or longer) and the waits are few thousands of them, none at all.
    Exception: a cut-off of a few attempts of likely hops with unequal periods lets a whole attempt in or not; where it
    falls within a hundredth of one, some per cent of the mean time.

    Args:
        lane: Hops, nodes, cut-off, tree.
        fineness: Grid points are 2,048 (more where the cut-off is short) times this; >= 1.

    Raises:
        ValueError: fineness < 1, or the cut-off is so short that a round of some swap succeeds with less than 1e-9.

    Source: Brand, Coopmans, Elkouss, IEEE JSAC 38, 619 (2020).

    >>> from controller.physics.lane import LaneHop, LaneNode
    >>> hop = LaneHop(success_probability=0.5, attempt_period_s=1e-3, werner=0.9)
    >>> one = predict_lane(Lane(hops=(hop, hop), nodes=(LaneNode(), LaneNode(swap_success=0.5), LaneNode())))
    >>> round(one.rate_hz, 6), round(one.fidelity, 6), round(one.swap_attempts[1], 6)  # 1 / E[max] / tau / 2; 0.9^2
    (187.5, 0.8575, 2.0)
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
    # One ladder of times for all lanes: a longer lane takes more of its rungs, which can only lower the bound.
    bottom = math.floor(_RUNGS * math.log2(_SHORTEST / max(rates)))
    top = math.ceil(_RUNGS * math.log2(_LONGEST / min(rates)))
    times_s = np.exp2(np.arange(bottom, top + 1) / _RUNGS)
    steps_s = np.diff(times_s, prepend=0.0)
    ready = np.ones_like(times_s)
    for index, hop in enumerate(lane.hops):
        attempts = np.floor(times_s / hop.attempt_period_s * (1.0 + WHOLE))
        arrived = 1.0 - np.power(1.0 - hop.success_probability, attempts)
        ready *= np.power(arrived, 2**hop.purification_rounds)
        # Survival falls with time: a sum over its right ends is below the integral.
        longest_s = float(steps_s @ (1.0 - ready))
        if index:
            swaps.append(lane.nodes[index].swap_success)
            longest_s /= max(swaps)
        bound = min(bound, 1.0 / longest_s, best_tree(rates[: index + 1], swaps)[0])
    return bound


_LEAST_CHANCE = 1e-9  # of a round; below, rounding decides
_RUNGS = 24  # per doubling of time
_SHORTEST, _LONGEST = 0.05, 24.0  # of the quickest and the slowest hop's mean times


class _Evaluation:
    """One walk up a lane's tree on one grid."""

    def __init__(self, lane: Lane, fineness: int) -> None:
        self._lane = lane
        self._fineness = fineness
        self._cutoff_s = math.inf if lane.cutoff_s is None else lane.cutoff_s
        self._slot_s, self._length = lane_grid(lane, fineness)

    def prediction(self) -> LanePrediction:
        """Return what the root delivers."""
        lane, tree = self._lane, self._lane.swap_tree
        tries: list[float] = []
        if isinstance(tree, int):
            pair = self._hop(tree)
            time_s, werner = pair.mean * self._slot_s, pair.mean_werner
        else:
            one = self._round(tree, None)
            time_s, werner, tries = one.mean * self._slot_s, one.mean_werner, one.mean_tries.tolist()
        werner = min(1.0, werner)
        restart_s = lane.news_to_ends_s(tree)
        return LanePrediction(
            mean_time_s=time_s,
            restart_s=restart_s,
            rate_hz=1.0 / (time_s + restart_s),
            werner=werner,
            fidelity=(1.0 + 3.0 * werner) / 4.0,
            swap_attempts=(0.0, *tries, 0.0),
        )

    def _pair(self, tree: SwapTree, swapped_at: int) -> ReadyPair:
        """Return a segment's pair as the node of its next swap sees it."""
        return self._hop(tree) if isinstance(tree, int) else joined_pair(self._round(tree, swapped_at))

    def _round(self, tree: tuple[SwapTree, SwapTree], swapped_at: int | None) -> Round:
        lane, node, (left, right) = self._lane, first_hop(tree[1]), segment_ends(tree)
        swap = lane.nodes[node]
        told_s = 0.0 if swapped_at is None else lane.news_s(node, swapped_at)
        how = Joining(
            left_decay=self._decay(left, node),
            right_decay=self._decay(node, right),
            cutoff=self._cutoff_s / self._slot_s,
            window=self._window_s(tree) / self._slot_s,
            success=swap.swap_success,
            kept_product=swap.swap_success * swap.swap_quality,
            success_delay=told_s / self._slot_s,
            failure_delay=lane.news_to_ends_s(tree) / self._slot_s,
            result_decay=self._decay(left, right),
        )
        one = join(self._pair(tree[0], node), self._pair(tree[1], node), how, is_swap=True)
        if not one.chance > _LEAST_CHANCE:
            raise ValueError(f"cutoff_s: {lane.cutoff_s} is too short: the pairs at node {node} all but never meet")
        return one

    def _window_s(self, tree: tuple[SwapTree, SwapTree]) -> float:
        """Return the cut-off, or for two hops that try in step the middle between the same two of their steps."""
        period_s = 0.0
        if isinstance(tree[0], int) and isinstance(tree[1], int) and self._cutoff_s < math.inf:
            one, other = self._lane.hops[tree[0]], self._lane.hops[tree[1]]
            if one.attempt_period_s == other.attempt_period_s and not (
                one.purification_rounds or other.purification_rounds
            ):
                period_s = one.attempt_period_s
        return (math.floor(self._cutoff_s / period_s + WHOLE) + 0.5) * period_s if period_s else self._cutoff_s

    def _hop(self, index: int) -> ReadyPair:
        lane, hop = self._lane, self._lane.hops[index]
        if not hop.purification_rounds:
            return heralded_pair(hop.success_probability, hop.attempt_period_s / self._slot_s, hop.werner, self._length)
        decay_per_s = lane.nodes[index].decay_per_s + lane.nodes[index + 1].decay_per_s
        slot_s, pair = _purified(hop, decay_per_s, self._fineness)
        return resampled(pair, self._slot_s / slot_s, self._length)

    def _decay(self, left: int, right: int) -> float:
        """Return the exponent per slot of a pair between two nodes."""
        nodes = self._lane.nodes
        return (nodes[left].decay_per_s + nodes[right].decay_per_s) * self._slot_s


@lru_cache(maxsize=256)
def _purified(hop: LaneHop, decay_per_s: float, fineness: int) -> tuple[float, ReadyPair]:
    """Return (slot_s, pair): a hop's purified pair on its own grid, w falling at decay_per_s while it waits."""
    slot_s, length = hop_grid(hop, fineness)
    pair = heralded_pair(hop.success_probability, hop.attempt_period_s / slot_s, hop.werner, length)
    told = hop.length_km / FIBRE_LIGHT_KM_PER_S / slot_s
    how = Joining(
        left_decay=decay_per_s * slot_s,
        right_decay=decay_per_s * slot_s,
        cutoff=math.inf,
        window=math.inf,
        success=0.5,
        success_slope=0.5,
        kept_sum=1.0 / 6.0,
        kept_product=4.0 / 6.0,
        success_delay=told,
        failure_delay=told,
        result_decay=decay_per_s * slot_s,
    )
    for _ in range(hop.purification_rounds):
        pair = joined_pair(join(pair, pair, how, is_swap=False))
    return slot_s, pair
