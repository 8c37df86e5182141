"""The buffered regime: long-lived, deep memories, hops that make pairs all the time, swaps along a tree.

One definition of rate: of a tree, the least over hops of r_i times q of every swap above hop i; of a route, the
best tree. Rates are mean pairs per second of independent Poisson streams unless said otherwise. Swaps lose both
pairs when they fail. Decays are factors on the Werner parameter w = (4F - 1) / 3, F = <Phi+|rho|Phi+>.
"""

import math
from collections.abc import Sequence

from controller.physics.ranges import checked
from controller.physics.swap_tree import SwapTree, check_tree, swap_nodes_above

UNLIMITED_DEPTH = 40  # no path is so long that a hop would have to lie deeper; 2^-40 is still exact beside 1
_ROUNDING = 1e-12


def depth_limit(rate: float, threshold: float, swap_success: float) -> int:
    """Return the largest d with q^d rate >= threshold, at most 40; -1 if even d = 0 is too deep.

    Args:
        rate: Of a hop, > 0.
        threshold: What the route should deliver, > 0, in the rate's unit.
        swap_success: q in (0, 1], the same at all nodes.

    Raises:
        ValueError: An argument is out of range.

    >>> depth_limit(8.0, 2.0, 0.5), depth_limit(1.0, 2.0, 0.5), depth_limit(2.0, 1.0, 1.0)
    (2, -1, 40)
    """
    checked("rate", rate, 0.0, math.inf, above_low=True)
    checked("threshold", threshold, 0.0, math.inf, above_low=True)
    checked("swap_success", swap_success, 0.0, 1.0, above_low=True)
    need = threshold * (1.0 - _ROUNDING)
    if rate < need:
        return -1
    if rate * swap_success**UNLIMITED_DEPTH >= need:
        return UNLIMITED_DEPTH
    depth = max(0, math.floor(math.log(rate / threshold) / -math.log(swap_success)))
    while rate * swap_success**depth < need:
        depth -= 1
    while rate * swap_success ** (depth + 1) >= need:
        depth += 1
    return depth


def kraft_step(used: float, depth: int) -> float:
    """Return the share of a binary tree used after one more leaf, from the left, no deeper than `depth`.

    A tree whose leaves, in path order, keep to their depths exists iff the share after the last is <= 1.
    Smaller is better and the step keeps order: `used` is a label that dominates.

    Args:
        used: Share so far, in [0, 1]; 0 before the first leaf. More than 1 stays more than 1.
        depth: From `depth_limit`, 0 .. 40; negative: no leaf may be here, the result is infinite.

    Source: Yeung, IEEE Trans. Inf. Theory 37, 1191 (1991) (alphabetic codes).

    >>> kraft_step(kraft_step(kraft_step(0.0, 2), 1), 2)
    1.25
    >>> kraft_step(kraft_step(kraft_step(0.0, 2), 2), 1)
    1.0
    """
    if depth < 0:
        return math.inf
    size = 2.0 ** min(depth, UNLIMITED_DEPTH)
    return math.ceil(used * size) / size + 1.0 / size if used <= 1.0 else used


def tree_rate(rates: Sequence[float], swap_success: float) -> float:
    """Return the rate of the best swap tree in path order where all nodes swap with the same success.

    Args:
        rates: One per hop, shape (n,), n >= 1, each > 0.
        swap_success: q in (0, 1].

    Raises:
        ValueError: An argument is out of range.

    Source: models of the field: threshold test by Yeung's condition; equal to `best_tree`.

    >>> tree_rate([1.0, 1.0, 1.0, 1.0], 0.5), tree_rate([1.0, 4.0, 4.0], 0.5)
    (0.25, 0.5)
    """
    check_rates(rates)
    checked("swap_success", swap_success, 0.0, 1.0, above_low=True)
    if len(rates) == 1:
        return rates[0]
    deepest = len(rates) - 1
    thresholds = sorted({rate * swap_success**depth for rate in rates for depth in range(1, deepest + 1)})
    low, high = 0, len(thresholds) - 1  # the smallest threshold always passes: every hop may lie at any depth
    while low < high:
        middle = (low + high + 1) // 2
        used = 0.0
        for rate in rates:
            used = kraft_step(used, depth_limit(rate, thresholds[middle], swap_success))
        if used <= 1.0:
            low = middle
        else:
            high = middle - 1
    return thresholds[low]


def best_tree(rates: Sequence[float], swap_successes: Sequence[float]) -> tuple[float, SwapTree]:
    """Return the rate of the best swap tree in path order, and that tree; dynamic programme, O(n^3).

    Of equally good splits the most even one is taken, then the one further left.

    Args:
        rates: One per hop, shape (n,), n >= 1, each > 0.
        swap_successes: One per transit node, shape (n - 1,), each in (0, 1].

    Raises:
        ValueError: An argument is out of range, or the lengths do not fit.

    >>> best_tree([1.0, 4.0, 4.0], [0.5, 0.5])
    (0.5, (0, (1, 2)))
    """
    check_rates(rates)
    check_swaps(rates, swap_successes)
    hops = len(rates)
    best: dict[tuple[int, int], tuple[float, SwapTree]] = {
        (hop, hop + 1): (rate, hop) for hop, rate in enumerate(rates)
    }
    for length in range(2, hops + 1):
        for start in range(hops - length + 1):
            end = start + length
            top = max(
                range(start + 1, end),
                key=lambda node: (
                    swap_successes[node - 1] * min(best[start, node][0], best[node, end][0]),
                    -abs(2 * node - start - end),
                    -node,
                ),
            )
            (left_rate, left), (right_rate, right) = best[start, top], best[top, end]
            best[start, end] = swap_successes[top - 1] * min(left_rate, right_rate), (left, right)
    return best[0, hops]


def all_at_once_rate(rates: Sequence[float], swap_successes: Sequence[float]) -> float:
    """Return prod q min r: the rate where pairs of several hops cannot be stored.

    Args:
        rates: One per hop, shape (n,), n >= 1, each > 0.
        swap_successes: One per transit node, shape (n - 1,), each in (0, 1].

    Raises:
        ValueError: An argument is out of range, or the lengths do not fit.

    >>> all_at_once_rate([1.0, 4.0, 4.0], [0.5, 0.5])
    0.25
    """
    check_rates(rates)
    check_swaps(rates, swap_successes)
    return math.prod(swap_successes) * min(rates)


def needed_hop_rates(
    rate: float, tree: SwapTree, swap_successes: Sequence[float], purification_costs: Sequence[float], efficiency: float
) -> tuple[float, ...]:
    """Return the elementary pairs per second of every hop for a promised rate: C_k (rate / efficiency) / prod q above.

    Args:
        rate: Promised, > 0.
        tree: The swap order.
        swap_successes: One per transit node, shape (n - 1,), each in (0, 1].
        purification_costs: C_k per hop, shape (n,): raw pairs per purified pair; >= 1.
        efficiency: Share of the ideal rate that finite buffers leave, in (0, 1].

    Raises:
        ValueError: An argument is out of range, or the lengths do not fit.

    >>> needed_hop_rates(1.0, (0, (1, 2)), [0.5, 0.5], [1.0, 1.0, 2.0], 1.0)
    (2.0, 4.0, 8.0)
    """
    checked("rate", rate, 0.0, math.inf, above_low=True)
    checked("efficiency", efficiency, 0.0, 1.0, above_low=True)
    check_swaps(purification_costs, swap_successes)
    check_tree(tree, len(purification_costs))
    for index, cost in enumerate(purification_costs):
        if not 1.0 <= cost < math.inf:
            raise ValueError(f"purification_costs[{index}]: {cost} is not finite and >= 1")
    above = swap_nodes_above(tree)
    return tuple(
        cost * (rate / efficiency) / math.prod(swap_successes[node - 1] for node in above[hop])
        for hop, cost in enumerate(purification_costs)
    )


def check_rates(rates: Sequence[float]) -> None:
    """Raise ValueError where there is no hop, or a rate is not above 0 and finite."""
    if not rates:
        raise ValueError("rates: no hop")
    for index, rate in enumerate(rates):
        checked(f"rates[{index}]", rate, 0.0, math.inf, above_low=True)


def check_swaps(hops: Sequence[float], swap_successes: Sequence[float]) -> None:
    """Raise ValueError where there is not one success for each transit node, or one is not in (0, 1]."""
    if len(swap_successes) != len(hops) - 1:
        raise ValueError(f"swap_successes: {len(swap_successes)} for {len(hops)} hops")
    for index, success in enumerate(swap_successes):
        checked(f"swap_successes[{index}]", success, 0.0, 1.0, above_low=True)
