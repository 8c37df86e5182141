"""How many slots a chain of heralded links waits for its pairs, and what the older pair loses meanwhile.

Every hop tries once per slot and succeeds with its own probability. Memories are ideal but where a decay is
an argument. Nothing here is a fidelity: decays are factors on the Werner parameter w = (4F - 1) / 3, with
F = <Phi+|rho|Phi+>.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

from controller.physics.ranges import checked

MAX_INCLUSION_EXCLUSION_LINKS = 20
MAX_MARKOV_LINKS = 10


def expected_maximum_slots(probabilities: Sequence[float]) -> float:
    """Return E[max]: the mean number of slots until every link has had its first success; >= 1.

    Sum over nonempty sets S of links of (-1)^(|S|+1) / (1 - prod_S (1 - p)). Relative error about 1e-16 2^n.

    Args:
        probabilities: One per link, shape (n,), 1 <= n <= 20, each in (0, 1]; order is irrelevant.

    Raises:
        ValueError: A probability is out of range, or there are too many or no links.

    Source: inclusion and exclusion; models of two links by Collins et al., PRL 98, 060502 (2007).

    >>> expected_maximum_slots([0.5])
    2.0
    >>> round(expected_maximum_slots([0.5, 0.5]), 12) == round((3 - 2 * 0.5) / (0.5 * 1.5), 12)
    True
    >>> round(1e-9 * expected_maximum_slots([1e-9, 1e-9, 1e-9]), 6)  # the third harmonic number
    1.833333
    """
    _check_links(probabilities, MAX_INCLUSION_EXCLUSION_LINKS)
    # A link that always succeeds is there when any other is.
    sums = [(0.0, -1.0)]
    for probability in probabilities:
        if probability < 1.0:
            log_failure = math.log1p(-probability)
            sums += [(total + log_failure, -sign) for total, sign in sums]
    if len(sums) == 1:
        return 1.0
    return math.fsum(sign / -math.expm1(total) for total, sign in sums[1:])


def swap_asap_slots(probabilities: Sequence[float], swap_success: float) -> float:
    """Return the mean number of slots until swap-as-soon-as-possible joins the ends of a chain; >= 1.

    In a slot every hop that is not under a pair tries once; then all nodes between neighbouring pairs swap at
    once. Of a run of pairs that are being joined all are lost if one of its swaps fails. News takes no time.
    Exact: mean absorption time of the Markov chain on the 2^n - 1 sets of covered hops, by state reduction
    without subtractions (stable also for tiny probabilities). Cost: O(8^n), about 1 s for eight links.

    Args:
        probabilities: One per link in the chain's order, shape (n,), 1 <= n <= 10, each in (0, 1].
        swap_success: Of every Bell measurement; in (0, 1].

    Raises:
        ValueError: An argument is out of range.

    Source: Inesta et al., npj Quantum Information 9, 46 (2023) (chain); Grassmann, Taksar, Heyman,
    Operations Research 33, 1107 (1985) (reduction).

    >>> round(swap_asap_slots([0.3, 0.2], 0.5) * 0.5, 9) == round(expected_maximum_slots([0.3, 0.2]), 9)
    True
    """
    _check_links(probabilities, MAX_MARKOV_LINKS)
    checked("swap_success", swap_success, 0.0, 1.0, above_low=True)
    full = (1 << len(probabilities)) - 1
    leaves = {state: _moves(state, probabilities, swap_success) for state in range(full)}
    for state, moves in leaves.items():
        moves.pop(state, None)
    slots = dict.fromkeys(range(full), 1.0)
    into: dict[int, set[int]] = {state: set() for state in range(full + 1)}
    for state, moves in leaves.items():
        for target in moves:
            into[target].add(state)
    for state in range(full - 1, 0, -1):
        moves = leaves.pop(state)
        out = math.fsum(moves.values())
        for target in moves:
            into[target].discard(state)
        for origin in into.pop(state):
            share = leaves[origin].pop(state) / out
            slots[origin] += share * slots[state]
            for target, probability in moves.items():
                if target != origin:
                    leaves[origin][target] = leaves[origin].get(target, 0.0) + share * probability
                    into[target].add(origin)
    # Self-loops are left out: a state is left after slots / (probability of leaving) on average.
    return slots[0] / leaves[0][full]


def swap_asap_bounds_slots(probabilities: Sequence[float], swap_success: float) -> tuple[float, float]:
    """Return (E[max], E[max] / q^(n-1)): what swap-as-soon-as-possible takes at least and at most, in slots.

    Raises:
        ValueError: An argument is out of range.

    >>> low, high = swap_asap_bounds_slots([0.2, 0.3, 0.4], 0.5)
    >>> low < swap_asap_slots([0.2, 0.3, 0.4], 0.5) < high
    True
    """
    checked("swap_success", swap_success, 0.0, 1.0, above_low=True)
    least = expected_maximum_slots(probabilities)
    return least, least / swap_success ** (len(probabilities) - 1)


def _moves(state: int, probabilities: Sequence[float], swap_success: float) -> dict[int, float]:
    """Return where one slot leads from a set of covered hops (bits), with probabilities."""
    missing = [hop for hop in range(len(probabilities)) if not state >> hop & 1]
    found: dict[int, float] = {}
    for heralds in itertools.product((False, True), repeat=len(missing)):
        probability = 1.0
        held = state
        for hop, heralded in zip(missing, heralds, strict=True):
            probability *= probabilities[hop] if heralded else 1.0 - probabilities[hop]
            held |= heralded << hop
        if probability == 0.0:
            continue
        outcomes = {0: probability}
        for run, swaps in _runs(held, state, len(probabilities)):
            survives = swap_success**swaps
            kept_run = {kept | run: survives * share for kept, share in outcomes.items()}
            lost_run = {kept: (1.0 - survives) * share for kept, share in outcomes.items()} if survives < 1.0 else {}
            outcomes = kept_run | lost_run
        for kept, share in outcomes.items():
            found[kept] = found.get(kept, 0.0) + share
    return found


def _runs(held: int, before: int, hops: int) -> list[tuple[int, int]]:
    """Return each run of neighbouring covered hops (bits) with the number of swaps that join it now."""
    runs: list[tuple[int, int]] = []
    run = swaps = 0
    for hop in range(hops + 1):
        if held >> hop & 1:
            joined_before = before >> (hop - 1) & 1 and before >> hop & 1 if hop else True
            swaps += 0 if not run or joined_before else 1
            run |= 1 << hop
        elif run:
            runs.append((run, swaps))
            run = swaps = 0
    return runs


@dataclass(frozen=True, slots=True, kw_only=True)
class TwoLinkCutoff:
    """How two links with a cut-off fare.

    Attributes:
        round_success: Probability that both pairs of a round are there within the cut-off; the swap's success
            is not in it.
        expected_slots: Until a swap succeeds, all failed rounds included.
        mean_decay: Mean factor on w of the swapped pair by the older one's waiting; in [0, 1].
    """

    round_success: float
    expected_slots: float
    mean_decay: float


def two_link_cutoff(
    first_probability: float,
    second_probability: float,
    cutoff_slots: int | None,
    decay_per_slot: float,
    swap_success: float = 1.0,
) -> TwoLinkCutoff:
    """Return what two links give that start together, drop both pairs once the older has waited the cut-off, and swap.

    A pair that has waited exactly the cut-off is still swapped; one slot more, and both links start again.

    Args:
        first_probability: p1 in (0, 1].
        second_probability: p2 in (0, 1].
        cutoff_slots: c >= 0; None: never drop.
        decay_per_slot: k tau / T >= 0 of a waiting pair, k the number of its decaying qubits; w falls by
            exp(-decay_per_slot) a slot.
        swap_success: q in (0, 1]; after a failure both links start again.

    Raises:
        ValueError: An argument is out of range.

    Source: closed form of the two-link round; Brand, Coopmans, Elkouss, IEEE JSAC 38, 619 (2020) for longer chains.

    >>> fate = two_link_cutoff(0.5, 0.5, None, 0.0)
    >>> round(fate.round_success, 12), round(fate.expected_slots, 12), round(fate.mean_decay, 12)
    (1.0, 2.666666666667, 1.0)
    """
    checked("first_probability", first_probability, 0.0, 1.0, above_low=True)
    checked("second_probability", second_probability, 0.0, 1.0, above_low=True)
    checked("swap_success", swap_success, 0.0, 1.0, above_low=True)
    checked("decay_per_slot", decay_per_slot, 0.0, math.inf)
    if cutoff_slots is not None and cutoff_slots < 0:
        raise ValueError(f"cutoff_slots: {cutoff_slots} is not >= 0")
    p1, p2 = first_probability, second_probability
    x1, x2 = 1.0 - p1, 1.0 - p2
    # 1 - x1 x2 without cancelling when both are tiny
    any_success = p1 + p2 - p1 * p2
    kept = math.exp(-decay_per_slot)

    def arrives_within(p: float) -> float:
        if cutoff_slots is None or p == 1.0:
            return 0.0 if cutoff_slots == 0 else 1.0
        return -math.expm1(cutoff_slots * math.log1p(-p))

    def mean_factor(x: float, p: float) -> float:
        cut = 0.0 if cutoff_slots is None else (kept * x) ** cutoff_slots
        return p * kept * (1.0 - cut) / (1.0 - kept * x) if kept * x < 1.0 else 0.0

    first_older, second_older = p1 * x2 / any_success, p2 * x1 / any_success
    together = p1 * p2 / any_success
    success = together + first_older * arrives_within(p2) + second_older * arrives_within(p1)
    slots = 1.0 / any_success + first_older * arrives_within(p2) / p2 + second_older * arrives_within(p1) / p1
    decay = together + first_older * mean_factor(x2, p2) + second_older * mean_factor(x1, p1)
    return TwoLinkCutoff(
        round_success=success, expected_slots=slots / (success * swap_success), mean_decay=decay / success
    )


def mean_decay_of_older(first_probability: float, second_probability: float, decay_per_slot: float) -> float:
    """Return E[z^|N1 - N2|], z = exp(-decay_per_slot): what waiting without a cut-off leaves of w; in (0, 1].

    Args:
        first_probability: p1 in (0, 1].
        second_probability: p2 in (0, 1].
        decay_per_slot: k tau / T >= 0 of a waiting pair.

    Raises:
        ValueError: An argument is out of range.

    >>> mean_decay_of_older(1.0, 1.0, 5.0), round(mean_decay_of_older(0.1, 0.2, 0.0), 12)
    (1.0, 1.0)
    """
    return two_link_cutoff(first_probability, second_probability, None, decay_per_slot).mean_decay


def _check_links(probabilities: Sequence[float], most: int) -> None:
    if not 1 <= len(probabilities) <= most:
        raise ValueError(f"probabilities: {len(probabilities)} links, not 1 to {most}")
    for index, probability in enumerate(probabilities):
        checked(f"probabilities[{index}]", probability, 0.0, 1.0, above_low=True)
