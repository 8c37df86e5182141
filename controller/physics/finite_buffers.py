"""What buffers of K pairs do to the buffered regime: pairs that find no room, and the time the others lie there.

Two streams of pairs meet at a node. A pair that finds one of the other kind is swapped with the oldest of them; else
it waits, or is lost if K of its own kind wait already. With Poisson streams the difference of the stocks is a
birth-death chain on -K .. K. In a tree a swap's output is taken for a Poisson stream again: an approximation,
said where it is used. Decays are factors on w = (4F - 1) / 3, F = <Phi+|rho|Phi+>. Rates are per second.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from controller.physics.buffered_regime import check_rates, check_swaps
from controller.physics.ranges import checked, checked_count
from controller.physics.swap_tree import SwapTree, check_tree, first_hop, leaf_depths, segment_ends


def merged(rate_a: float, rate_b: float, depth: int) -> tuple[float, float, float]:
    """Return (rate, mean_stock_a, mean_stock_b): meetings per second, and how many pairs of each kind wait.

    Exact for Poisson streams. Equal rates meet at 2K / (2K + 1) of either.

    Args:
        rate_a: Pairs per second on one side, > 0.
        rate_b: On the other, > 0.
        depth: K >= 1, pairs of one kind that fit.

    Raises:
        ValueError: An argument is out of range.

    Source: birth-death chain, stationary weights (a / b)^d.

    >>> [round(figure, 6) for figure in merged(1.0, 1.0, 1)]
    [0.666667, 0.333333, 0.333333]
    """
    return _stocks(_checked_weights(rate_a, rate_b, depth), rate_a, rate_b, depth)


def waiting_factor(rate_a: float, rate_b: float, depth: int, decay_a_per_s: float, decay_b_per_s: float) -> float:
    """Return the mean factor on w of a swapped pair by what the older of the two lost in its buffer; in (0, 1].

    First in, first out: a pair that finds d of its kind waits for d + 1 of the other, an Erlang time. Exact for
    Poisson streams.

    Args:
        rate_a: Pairs per second on one side, > 0.
        rate_b: On the other, > 0.
        depth: K >= 1.
        decay_a_per_s: Rate at which w of a waiting pair of the first side falls, both qubits together; >= 0.
        decay_b_per_s: Of the second side.

    Raises:
        ValueError: An argument is out of range.

    >>> round((1 + 3 * waiting_factor(1.0, 1.0, 10, 0.02, 0.02)) / 4, 3)
    0.924
    """
    checked("decay_a_per_s", decay_a_per_s, 0.0, math.inf)
    checked("decay_b_per_s", decay_b_per_s, 0.0, math.inf)
    weights = _checked_weights(rate_a, rate_b, depth)
    return _waiting_factor(
        weights,
        _Side(rate=rate_a, room=depth, behind=0, decay_per_s=decay_a_per_s),
        _Side(rate=rate_b, room=depth, behind=0, decay_per_s=decay_b_per_s),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Side:
    """One stream at a node: its rate, room in its buffer, and how many more its makers hold when that is full."""

    rate: float
    room: int
    behind: int
    decay_per_s: float
    decay_behind_per_s: float = 0.0
    ideal_rate: float = 0.0

    @property
    def depth(self) -> int:
        """Pairs that fit, those not yet swapped included."""
        return self.room + self.behind

    def kept(self, turns: int, rate_of_turns: float) -> float:
        """Return the mean factor on w of a pair that waits so many arrivals of the other side."""
        in_buffer = min(turns, self.room)
        factor = (rate_of_turns / (rate_of_turns + self.decay_per_s)) ** in_buffer
        if turns > in_buffer:
            factor *= (rate_of_turns / (rate_of_turns + self.decay_behind_per_s)) ** (turns - in_buffer)
        return factor


@dataclass(frozen=True, slots=True, kw_only=True)
class Buffering:
    """What a tree of finite buffers delivers.

    Attributes:
        rate_hz: Delivered pairs per second.
        efficiency: rate_hz by what buffers without end would deliver; in (0, 1].
        waiting_factor: Factor on w of a delivered pair by all storage; in (0, 1].
    """

    rate_hz: float
    efficiency: float
    waiting_factor: float


def tree_buffering(
    tree: SwapTree,
    rates: Sequence[float],
    swap_successes: Sequence[float],
    depth: int,
    decays_per_s: Sequence[float] = (),
) -> Buffering:
    """Return what a swap tree delivers whose segments buffer K pairs each.

    Two approximations: every segment's output is taken for Poisson at its mean rate; and while a segment's buffer is
    full its children wait, which is taken for room behind it for q times as many pairs as they hold, and for decay
    of both. Against drawn events, balanced, K = 4 to 32, two to eight hops: rate within 4 % and rather below, loss
    of w within a fifth of itself and rather above.

    Args:
        tree: Swap order of hops 0 .. n - 1.
        rates: Purified pairs per second of each hop, shape (n,), each > 0.
        swap_successes: One per transit node, shape (n - 1,), each in (0, 1].
        depth: K >= 1 pairs per segment.
        decays_per_s: 1 / T of a qubit at each node, ends included, shape (n + 1,), each >= 0; empty: none decays.

    Raises:
        ValueError: An argument is out of range, or the lengths do not fit.

    >>> found = tree_buffering((0, 1), [1.0, 1.0], [0.5], 10)
    >>> round(found.efficiency, 4), round(found.rate_hz, 4)
    (0.9524, 0.4762)
    """
    hops = len(rates)
    checked_count("depth", depth, 1)
    check_tree(tree, hops)
    check_rates(rates)
    check_swaps(rates, swap_successes)
    decays = tuple(decays_per_s) or (0.0,) * (hops + 1)
    if len(decays) != hops + 1:
        raise ValueError(f"decays_per_s: {len(decays)} for {hops + 1} nodes")
    factor = 1.0

    def walk(branch: SwapTree) -> _Side:
        """Return a segment's pairs as its next swap gets them, and note what storage costs."""
        nonlocal factor
        left, right = segment_ends(branch)
        decay_per_s = decays[left] + decays[right]
        if isinstance(branch, int):
            rate = rates[branch]
            return _Side(rate=rate, ideal_rate=rate, room=depth, behind=0, decay_per_s=decay_per_s)
        a, b = walk(branch[0]), walk(branch[1])
        middle = first_hop(branch[1])
        success = swap_successes[middle - 1]
        weights = _difference_weights(a.rate, b.rate, a.depth, b.depth)
        meetings, _, _ = _stocks(weights, a.rate, b.rate, b.depth)
        factor *= _waiting_factor(weights, a, b)
        return _Side(
            rate=success * meetings,
            ideal_rate=success * min(a.ideal_rate, b.ideal_rate),
            room=depth,
            behind=math.floor(success * min(a.depth, b.depth)),
            decay_per_s=decay_per_s,
            decay_behind_per_s=a.decay_per_s + b.decay_per_s,
        )

    whole = walk(tree)
    return Buffering(rate_hz=whole.rate, efficiency=whole.rate / whole.ideal_rate, waiting_factor=factor)


def buffer_efficiency(tree: SwapTree, rates: Sequence[float], swap_successes: Sequence[float], depth: int) -> float:
    """Return the share of the tree's ideal rate that buffers of K pairs leave; in (0, 1]. See `tree_buffering`.

    >>> round(buffer_efficiency((0, 1), [1.0, 1.0], [1.0], 1), 6)
    0.666667
    """
    return tree_buffering(tree, rates, swap_successes, depth).efficiency


def promised_efficiency(tree: SwapTree, swap_successes: Sequence[float], depth: int) -> float:
    """Return the efficiency when every hop makes exactly what the tree needs of it, which is the worst balance.

    It depends on neither rate nor purification: R' = R / this, and e_i = C_k R' / prod of q above hop i.

    Raises:
        ValueError: An argument is out of range, or the lengths do not fit.

    >>> round(promised_efficiency((0, 1), [0.5], 32), 6) == round(64 / 65, 6)
    True
    """
    balanced = {hop: 1.0 for hop, _ in leaf_depths(tree)}

    def walk(branch: SwapTree, rate: float) -> None:
        if isinstance(branch, int):
            balanced[branch] = rate
            return
        success = swap_successes[first_hop(branch[1]) - 1]
        walk(branch[0], rate / success)
        walk(branch[1], rate / success)

    check_tree(tree, len(balanced))
    if len(swap_successes) != len(balanced) - 1:
        raise ValueError(f"swap_successes: {len(swap_successes)} for {len(balanced)} hops")
    for index, success in enumerate(swap_successes):
        checked(f"swap_successes[{index}]", success, 0.0, 1.0, above_low=True)
    walk(tree, 1.0)
    return buffer_efficiency(tree, [balanced[hop] for hop in range(len(balanced))], swap_successes, depth)


def _checked_weights(rate_a: float, rate_b: float, depth: int) -> tuple[float, ...]:
    checked("rate_a", rate_a, 0.0, math.inf, above_low=True)
    checked("rate_b", rate_b, 0.0, math.inf, above_low=True)
    checked_count("depth", depth, 1)
    return _difference_weights(rate_a, rate_b, depth, depth)


@lru_cache(maxsize=4096)
def _difference_weights(rate_a: float, rate_b: float, depth_a: int, depth_b: int) -> tuple[float, ...]:
    """Return the stationary probabilities of stock a less stock b, from -depth_b to depth_a."""
    # From the likelier end, so that no power overflows.
    ratio = min(rate_a, rate_b) / max(rate_a, rate_b)
    powers = [ratio**step for step in range(depth_a + depth_b + 1)]
    total = math.fsum(powers)
    weights = [power / total for power in powers]
    return tuple(weights if rate_a < rate_b else reversed(weights))


def _stocks(weights: Sequence[float], rate_a: float, rate_b: float, depth_b: int) -> tuple[float, float, float]:
    """Return (meetings per second, mean stock a, mean stock b)."""
    # The accepted pairs of the scarcer side, which loses least.
    meetings = rate_a * (1.0 - weights[-1]) if rate_a <= rate_b else rate_b * (1.0 - weights[0])
    stock_a = math.fsum(difference * share for difference, share in enumerate(weights[depth_b:]))
    stock_b = math.fsum((depth_b - index) * share for index, share in enumerate(weights[:depth_b]))
    return meetings, stock_a, stock_b


def _waiting_factor(weights: Sequence[float], a: _Side, b: _Side) -> float:
    """Return the mean factor on w of a swapped pair: the later of the two does not wait."""
    zero = b.depth
    a_waits = math.fsum(weights[zero + found] * a.kept(found + 1, b.rate) for found in range(a.depth))
    b_waits = math.fsum(weights[zero - found] * b.kept(found + 1, a.rate) for found in range(b.depth))
    share_a = math.fsum(weights[zero : zero + a.depth])
    share_b = math.fsum(weights[1 : zero + 1])
    return (a.rate * a_waits + b.rate * b_waits) / (a.rate * share_a + b.rate * share_b)
