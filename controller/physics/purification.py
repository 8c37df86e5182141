"""Purification: two pairs in, at most one better pair out, and what that costs in raw pairs.

Fidelity everywhere is F = <Phi+|rho|Phi+>. Operations are noiseless. BBPSSW twirls its result to a Werner pair;
DEJMPS does not, and is better from the second round on. Not the same model as the bit-flip-only one,
p = F1 F2 + (1-F1)(1-F2), of part of the literature, which is far more optimistic.
"""

from controller.physics.pair_states import BellDiagonal, fidelity_of, werner_parameter
from controller.physics.ranges import checked_count


def bbpssw(kept: float, measured: float) -> tuple[float, float]:
    """Return (success probability, F of the kept pair twirled to Werner) of one round on two Werner pairs.

    With w = (4F-1)/3: p = (1 + w1 w2)/2 and w' = (w1 + w2 + 4 w1 w2)/(6p). Better than both only where these are
    above 1/2 and not too different.

    Args:
        kept: F = <Phi+|rho|Phi+> of one Werner pair, in [0, 1].
        measured: F of the other one, in [0, 1]; their order does not matter.

    Source: Bennett et al., PRL 76, 722 (1996).

    >>> [round(x, 6) for x in bbpssw(0.8, 0.8)]
    [0.768889, 0.83815]

    Raises:
        ValueError: A fidelity is not in [0, 1].
    """
    w1, w2 = werner_parameter(kept), werner_parameter(measured)
    success = (1.0 + w1 * w2) / 2.0
    return success, fidelity_of(min(1.0, max(-1.0 / 3.0, (w1 + w2 + 4.0 * w1 * w2) / (6.0 * success))))


def dejmps(kept: BellDiagonal, measured: BellDiagonal) -> tuple[float, BellDiagonal]:
    """Return (success probability, the kept pair) of one round on two Bell-diagonal pairs; nothing is twirled.

    One end turns its qubits by +pi/2 about x, the other by -pi/2, both apply CNOTs from the kept to the measured pair,
    and keep where the outcomes of the measured pair are equal. The turn exchanges Phi- and Psi-, so what one
    round cannot see the next one can. F = <Phi+|rho|Phi+>.

    Source: Deutsch et al., PRL 77, 2818 (1996); their order of weights is (Phi+, Psi-, Psi+, Phi-).

    >>> success, pair = dejmps(BellDiagonal.werner(0.8), BellDiagonal.werner(0.8))
    >>> round(success, 6), round(pair.fidelity, 6)
    (0.768889, 0.83815)

    Raises:
        ValueError: The two pairs never give equal outcomes, so that no pair is ever kept.
    """
    a1, d1, c1, b1 = kept
    a2, d2, c2, b2 = measured
    success = (a1 + b1) * (a2 + b2) + (c1 + d1) * (c2 + d2)
    if success <= 0.0:
        raise ValueError("measured: no round succeeds with these two pairs")
    return min(1.0, success), BellDiagonal(
        phi_plus=(a1 * a2 + b1 * b2) / success,
        phi_minus=(a1 * b2 + b1 * a2) / success,
        psi_plus=(c1 * c2 + d1 * d2) / success,
        psi_minus=(c1 * d2 + d1 * c2) / success,
    )


def nested_rounds(fidelity: float, rounds: int) -> tuple[float, float]:
    """Return (expected raw pairs per delivered pair, F) after nested BBPSSW rounds on equal Werner pairs.

    Each round joins two results of the round before: C_0 = 1, C_{k+1} = 2 C_k / p_k. A link of r pairs/s
    gives r / C_k of them. F falls with every round where the raw pairs have F <= 1/2.

    Args:
        fidelity: F = <Phi+|rho|Phi+> of the raw Werner pairs, in [0, 1].
        rounds: k >= 0.

    Source: Bennett et al., PRL 76, 722 (1996).

    >>> [round(x, 6) for x in nested_rounds(0.8, 2)]
    [6.442611, 0.873585]

    Raises:
        ValueError: An argument is out of range.
    """
    cost, found = 1.0, fidelity_of(werner_parameter(fidelity))
    for _ in range(checked_count("rounds", rounds, 0)):
        success, found = bbpssw(found, found)
        cost = 2.0 * cost / success
    return cost, found


def nested_rounds_dejmps(pair: BellDiagonal, rounds: int) -> tuple[float, BellDiagonal]:
    """Return (expected raw pairs per delivered pair, its state) after nested DEJMPS rounds on equal pairs.

    Args:
        pair: State of the raw pairs; F = <Phi+|rho|Phi+>.
        rounds: >= 0.

    Source: Deutsch et al., PRL 77, 2818 (1996).

    >>> cost, pair = nested_rounds_dejmps(BellDiagonal.werner(0.8), 2)
    >>> round(cost, 6), round(pair.fidelity, 6)
    (6.986762, 0.943639)

    Raises:
        ValueError: `rounds` is out of range, or a round never succeeds.
    """
    cost = 1.0
    for _ in range(checked_count("rounds", rounds, 0)):
        success, pair = dejmps(pair, pair)
        cost = 2.0 * cost / success
    return cost, pair


def pumping(fidelity: float, rounds: int) -> tuple[float, float]:
    """Return (expected raw pairs per delivered pair, F) after BBPSSW rounds that each measure one fresh raw pair.

    A failed round starts from nothing: C_0 = 1, C_{k+1} = (C_k + 1)/p_k. Two pairs of memory are enough; F
    saturates below 1.

    Args:
        fidelity: F = <Phi+|rho|Phi+> of the raw Werner pairs, in [0, 1].
        rounds: >= 0.

    Source: Dür et al., PRA 59, 169 (1999).

    >>> pumping(0.8, 1) == nested_rounds(0.8, 1)
    True

    Raises:
        ValueError: An argument is out of range.
    """
    raw = found = fidelity_of(werner_parameter(fidelity))
    cost = 1.0
    for _ in range(checked_count("rounds", rounds, 0)):
        success, found = bbpssw(found, raw)
        cost = (cost + 1.0) / success
    return cost, found


def pumping_dejmps(pair: BellDiagonal, rounds: int) -> tuple[float, BellDiagonal]:
    """Return what `pumping` does with DEJMPS rounds on raw pairs in any Bell-diagonal state; F = <Phi+|rho|Phi+>.

    Raises:
        ValueError: `rounds` is not a whole number of at least 0, or a round never succeeds.
    """
    cost, found = 1.0, pair
    for _ in range(checked_count("rounds", rounds, 0)):
        success, found = dejmps(found, pair)
        cost = (cost + 1.0) / success
    return cost, found
