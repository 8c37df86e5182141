"""Swapping: two pairs that share a node become one pair between the outer nodes.

Fidelity everywhere is F = <Phi+|rho|Phi+>. The outer ends correct the Pauli frame that the Bell measurement announces.
`noisy_swap` and `swapped` keep the Bell-diagonal state as it is. Everything with a `quality` mixes in I/4: with the
quality of `swap_quality` that is the same as `noisy_swap` followed by a twirl to a Werner pair, exact for one swap of
Werner pairs. Longer chains are a little better without twirls, because a readout error is a biased Pauli error: with
readouts of 0.99 by 6e-5 in F for three links, by 1e-3 for nine.
Not the same model as a product of fidelities, F1 F2, which some published routing work and simulators use.
"""

import math
from collections.abc import Sequence

from controller.physics.pair_states import BellDiagonal, fidelity_of, werner_parameter
from controller.physics.ranges import checked


def swap_quality(gate_quality: float, readout_quality: float, one_qubit_gate_quality: float = 1.0) -> float:
    """Return p1 p2 (4 eta^2 - 1)/3 in [0, 1]: what one swap multiplies the Werner parameter by, twirling after it.

    Args:
        gate_quality: p2, the two-qubit gate keeps its qubits, and else depolarises both of them fully; in [0, 1].
        readout_quality: eta, either readout is right; in [0.5, 1].
        one_qubit_gate_quality: p1, the correcting gate at an outer end keeps its qubit, and else depolarises it
            fully; in [0, 1]. A gate on the qubit that is read out next costs less: it can spoil one outcome only.

    Source: Briegel et al., PRL 81, 5932 (1998); Dür et al., PRA 59, 169 (1999).

    >>> round(swap_quality(0.99, 0.995), 6), swap_quality(1.0, 1.0)
    (0.976833, 1.0)

    Raises:
        ValueError: An argument is out of range.
    """
    p1 = checked("one_qubit_gate_quality", one_qubit_gate_quality, 0.0, 1.0)
    p2 = checked("gate_quality", gate_quality, 0.0, 1.0)
    eta = checked("readout_quality", readout_quality, 0.5, 1.0)
    return p1 * p2 * (4.0 * eta * eta - 1.0) / 3.0


def swapped(left: BellDiagonal, right: BellDiagonal, quality: float = 1.0) -> BellDiagonal:
    """Return the outer pair: the two Pauli errors after one another with probability `quality`, else I/4.

    Does not twirl; a `quality` below 1 is a depolarising one. F = <Phi+|rho|Phi+>.

    Args:
        left: One pair at the node that swaps.
        right: The other one.
        quality: In [0, 1].

    Source: Dür et al., PRA 59, 169 (1999).

    >>> round(swapped(BellDiagonal.werner(0.95), BellDiagonal.werner(0.95)).fidelity, 6)
    0.903333

    Raises:
        ValueError: The quality is not in [0, 1].
    """
    return _mixed(_composed(tuple(left), tuple(right)), checked("quality", quality, 0.0, 1.0))


def noisy_swap(
    left: BellDiagonal,
    right: BellDiagonal,
    gate_quality: float,
    readout_quality: float,
    one_qubit_gate_quality: float = 1.0,
) -> BellDiagonal:
    """Return the outer pair after a swap with a faulty gate and faulty readouts; exact, does not twirl.

    A wrong readout of the control qubit makes the ends leave a Z error, one of the target qubit an X error.
    F = <Phi+|rho|Phi+>.

    Args:
        left: One pair at the node that swaps.
        right: The other one.
        gate_quality: p2 as for `swap_quality`, in [0, 1].
        readout_quality: eta as for `swap_quality`, in [0.5, 1].
        one_qubit_gate_quality: p1 as for `swap_quality`, in [0, 1].

    Source: noise model of Briegel et al., PRL 81, 5932 (1998).

    >>> pair = noisy_swap(BellDiagonal.werner(1.0), BellDiagonal.werner(1.0), 1.0, 0.9)
    >>> [round(weight, 2) for weight in pair]
    [0.81, 0.09, 0.09, 0.01]

    Raises:
        ValueError: A quality is out of range.
    """
    eta = checked("readout_quality", readout_quality, 0.5, 1.0)
    wrong = 1.0 - eta
    readout = (eta * eta, wrong * eta, eta * wrong, wrong * wrong)
    kept = checked("gate_quality", gate_quality, 0.0, 1.0) * checked(
        "one_qubit_gate_quality", one_qubit_gate_quality, 0.0, 1.0
    )
    return _mixed(_composed(_composed(tuple(left), tuple(right)), readout), kept)


def swapped_werner(werner_left: float, werner_right: float, quality: float = 1.0) -> float:
    """Return w1 w2 quality: the Werner parameter of the outer pair, twirled after the swap.

    Args:
        werner_left: w = (4F-1)/3 of one pair with F = <Phi+|rho|Phi+>, in [-1/3, 1].
        werner_right: w of the other one, in [-1/3, 1].
        quality: From `swap_quality`, in [0, 1].

    Source: Briegel et al., PRL 81, 5932 (1998).

    >>> round(swapped_werner(0.9, 0.8, 0.5), 12)
    0.36

    Raises:
        ValueError: An argument is out of range.
    """
    return (
        checked("werner_left", werner_left, -1.0 / 3.0, 1.0)
        * checked("werner_right", werner_right, -1.0 / 3.0, 1.0)
        * checked("quality", quality, 0.0, 1.0)
    )


def chain_fidelity(fidelities: Sequence[float], qualities: Sequence[float] = ()) -> float:
    """Return F = <Phi+|rho|Phi+> of the end-to-end pair of a chain of Werner pairs, twirled after each swap.

    Nothing decays in storage; the order of the swaps does not matter.

    Args:
        fidelities: F of each link, shape (n,), n >= 1, each in [0, 1].
        qualities: Of each swap, from `swap_quality`, shape (n-1,), each in [0, 1]; none for perfect swaps.

    Source: Briegel et al., PRL 81, 5932 (1998).

    >>> round(chain_fidelity([0.95, 0.95]), 6), round(chain_fidelity([0.95, 0.95], [0.98]), 6)
    (0.903333, 0.890267)

    Raises:
        ValueError: An argument is out of range, or there are not n-1 swaps for n links.
    """
    if not fidelities:
        raise ValueError("fidelities: a chain has at least one link")
    if qualities and len(qualities) != len(fidelities) - 1:
        raise ValueError(f"qualities: {len(qualities)} swaps do not join {len(fidelities)} links")
    links = math.prod(map(werner_parameter, fidelities))
    return fidelity_of(links * math.prod(checked("qualities", quality, 0.0, 1.0) for quality in qualities))


def largest_hop_count(werner_link: float, werner_required: float) -> int:
    """Return how many equal links perfect swaps may join: the largest n with w_link^n >= w_required; 0 for none.

    Args:
        werner_link: w = (4F-1)/3 of each link with F = <Phi+|rho|Phi+>, in (0, 1). Fold a swap's quality c into
            both figures: n links with w_link c against w_required c.
        werner_required: w of the end-to-end pair, in (0, 1].

    >>> largest_hop_count(0.9, 0.7), largest_hop_count(0.9, 0.95), largest_hop_count(0.9, 0.9**7)
    (3, 0, 7)

    Raises:
        ValueError: An argument is out of range; perfect links, w = 1, have no largest number.
    """
    checked("werner_link", werner_link, 0.0, math.nextafter(1.0, 0.0), above_low=True)
    checked("werner_required", werner_required, 0.0, 1.0, above_low=True)
    # A requirement that was itself computed as a power must not be missed by its last bit.
    return math.floor(math.log(werner_required) / math.log(werner_link) * (1.0 + 1e-14) + 1e-12)


def _composed(one: tuple[float, ...], other: tuple[float, ...]) -> tuple[float, ...]:
    """Return the weights (phi+, phi-, psi+, psi-) of two Pauli errors after one another: they add over Z2 x Z2."""
    a, b, c, d = one
    e, f, g, h = other
    return (
        a * e + b * f + c * g + d * h,
        a * f + b * e + c * h + d * g,
        a * g + b * h + c * e + d * f,
        a * h + b * g + c * f + d * e,
    )


def _mixed(weights: tuple[float, ...], kept: float) -> BellDiagonal:
    """Return the state with these weights with probability `kept`, else I/4."""
    lost = (1.0 - kept) / 4.0
    a, b, c, d = weights
    return BellDiagonal(
        phi_plus=kept * a + lost, phi_minus=kept * b + lost, psi_plus=kept * c + lost, psi_minus=kept * d + lost
    )
