"""What storage does to a pair: depolarising memories, and memories with T1 and T2.

Fidelity everywhere is F = <Phi+|rho|Phi+>; w = (4F-1)/3. Times in s. A time constant may be infinite: no decay.
"""

import math

from controller.physics.pair_states import BellDiagonal
from controller.physics.ranges import checked, checked_time_constant
from controller.physics.swapping import swapped


def depolarised(werner_parameter: float, stored_s: float, coherence_s: float) -> float:
    """Return the Werner parameter w exp(-t/T) after one qubit of the pair was stored.

    Args:
        werner_parameter: w = (4F-1)/3 with F = <Phi+|rho|Phi+>, in [-1/3, 1].
        stored_s: t >= 0.
        coherence_s: T > 0 of this qubit, infinite for none: it keeps its state with probability exp(-t/T), and
            else is in I/2.

    >>> round(depolarised(0.9, 0.1, 1.0), 6)
    0.814354

    Raises:
        ValueError: An argument is out of range.
    """
    return checked("werner_parameter", werner_parameter, -1.0 / 3.0, 1.0) * kept_share(stored_s, coherence_s)


def both_depolarised(werner_parameter: float, stored_s: tuple[float, float], coherence_s: tuple[float, float]) -> float:
    """Return the Werner parameter w exp(-t1/T1 - t2/T2) after both qubits were stored, each in its own memory.

    Args:
        werner_parameter: w = (4F-1)/3 with F = <Phi+|rho|Phi+>, in [-1/3, 1].
        stored_s: Of either qubit, each >= 0.
        coherence_s: Of either memory, each > 0, infinite for none.

    >>> both_depolarised(0.9, (0.1, 0.0), (1.0, 5.0)) == depolarised(0.9, 0.1, 1.0)
    True

    Raises:
        ValueError: An argument is out of range.
    """
    first = depolarised(werner_parameter, stored_s[0], coherence_s[0])
    return depolarised(first, stored_s[1], coherence_s[1])


def kept_share(stored_s: float, coherence_s: float) -> float:
    """Return exp(-t/T) in [0, 1], the probability that a depolarising memory has kept its qubit for t >= 0, T > 0.

    Raises:
        ValueError: An argument is out of range.
    """
    return math.exp(-checked("stored_s", stored_s, 0.0, math.inf) / checked_time_constant("coherence_s", coherence_s))


def pauli_twirled_memory(stored_s: float, t1_s: float, t2_s: float) -> BellDiagonal:
    """Return the errors of one stored qubit, Pauli-twirled, as the pair that it makes of Phi+; swap it in to apply it.

    X and Y with probability (1 - exp(-t/T1))/4 each, Z with (1 - exp(-t/T2))/2 - (1 - exp(-t/T1))/4. Damping is
    no Pauli error; its twirl leaves the same F = <Phi+|rho|Phi+> of a Werner pair where one qubit is stored, and one
    that is lower by g^2/4, g = 1 - exp(-t/T1), where both are.

    Args:
        stored_s: t >= 0.
        t1_s: Energy relaxation (amplitude damping) towards |0>; > 0.
        t2_s: Total coherence; in (0, 2 T1].

    Source: Geller, Zhou, PRA 88, 012314 (2013).

    >>> round(pauli_twirled_memory(0.1, 10.0, 1.0).fidelity, 6)
    0.949931

    Raises:
        ValueError: An argument is out of range.
    """
    damped, coherence = _damping(stored_s, t1_s, t2_s)
    flip = damped / 4.0
    phase = (1.0 - coherence) / 2.0 - flip
    return BellDiagonal(phi_plus=1.0 - 2.0 * flip - phase, phi_minus=phase, psi_plus=flip, psi_minus=flip)


def stored(pair: BellDiagonal, stored_s: float, t1_s: float, t2_s: float) -> BellDiagonal:
    """Return the pair after one of its qubits was stored with T1 and T2, Pauli-twirled; F = <Phi+|rho|Phi+>.

    Arguments and errors as for `pauli_twirled_memory`; storing for s and then for t is storing for s + t.
    """
    return swapped(pair, pauli_twirled_memory(stored_s, t1_s, t2_s))


def t1_t2_fidelity(werner_parameter: float, stored_s: float, t1_s: float, t2_s: float) -> float:
    """Return F = <Phi+|rho|Phi+> of a Werner pair after both qubits were stored in equal memories; exact.

    Args:
        werner_parameter: w = (4F-1)/3 before, in [-1/3, 1].
        stored_s: t >= 0, both qubits.
        t1_s: Energy relaxation (amplitude damping) towards |0>; > 0, infinite for pure dephasing.
        t2_s: Total coherence; in (0, 2 T1].

    Source: Kraus operators of amplitude damping and dephasing: Nielsen, Chuang, section 8.3.

    >>> round(t1_t2_fidelity(1.0, 0.1, 10.0, 1.0), 6)
    0.90444

    Raises:
        ValueError: An argument is out of range.
    """
    return unequal_t1_t2_fidelity(werner_parameter, (stored_s, stored_s), (t1_s, t1_s), (t2_s, t2_s))


def unequal_t1_t2_fidelity(
    werner_parameter: float, stored_s: tuple[float, float], t1_s: tuple[float, float], t2_s: tuple[float, float]
) -> float:
    """Return what `t1_t2_fidelity` does for two qubits with times, T1 and T2 of their own; exact.

    >>> unequal_t1_t2_fidelity(0.9, (0.1, 0.1), (10.0, 10.0), (1.0, 1.0)) == t1_t2_fidelity(0.9, 0.1, 10.0, 1.0)
    True

    Raises:
        ValueError: An argument is out of range.
    """
    werner = checked("werner_parameter", werner_parameter, -1.0 / 3.0, 1.0)
    (g1, e1), (g2, e2) = (_damping(*qubit) for qubit in zip(stored_s, t1_s, t2_s, strict=True))
    equal, unequal = (1.0 + werner) / 4.0, (1.0 - werner) / 4.0
    both_down = equal + (g1 + g2) * unequal + g1 * g2 * equal
    both_up = (1.0 - g1) * (1.0 - g2) * equal
    return min(1.0, max(0.0, (both_down + both_up + werner * e1 * e2) / 2.0))


def equivalent_depolarising_time_s(t1_s: float, t2_s: float) -> float:
    """Return the T with 1/T = (1/T1 + 2/T2)/3, whose depolarising memory loses as much at first order in t/T.

    Of the Pauli-twirled channel of one qubit; F = <Phi+|rho|Phi+> agrees up to terms in (t/T)^2.

    Args:
        t1_s: Energy relaxation; > 0, infinite for pure dephasing.
        t2_s: Total coherence; in (0, 2 T1].

    >>> equivalent_depolarising_time_s(math.inf, 1.0)
    1.5

    Raises:
        ValueError: An argument is out of range.
    """
    _damping(0.0, t1_s, t2_s)
    rate = 1.0 / t1_s + 2.0 / t2_s
    return 3.0 / rate if rate > 0.0 else math.inf


def _damping(stored_s: float, t1_s: float, t2_s: float) -> tuple[float, float]:
    """Return (1 - exp(-t/T1), exp(-t/T2))."""
    checked("stored_s", stored_s, 0.0, math.inf)
    checked_time_constant("t1_s", t1_s)
    checked_time_constant("t2_s", t2_s)
    if t2_s > 2.0 * t1_s:
        raise ValueError(f"t2_s: {t2_s} is more than 2 T1 = {2.0 * t1_s}; relaxation alone dephases faster")
    return -math.expm1(-stored_s / t1_s), math.exp(-stored_s / t2_s)
