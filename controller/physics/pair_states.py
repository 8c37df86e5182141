"""States of an entangled pair: Bell-diagonal and Werner, and what can be read off them.

Fidelity everywhere is F = <Phi+|rho|Phi+>, not its square root.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, Self

from controller.physics.proportions import proportion_interval
from controller.physics.ranges import checked, checked_count

Basis = Literal["X", "Y", "Z"]
"""What both ends measure. Phi+ gives equal outcomes in X and Z and opposite ones in Y."""

# Rounding of sums of many products must not turn a state into none.
_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class BellDiagonal:
    """A mixture of the four Bell states; the weights are probabilities and sum to 1.

    As Pauli errors of one qubit of Phi+: phi_minus is Z, psi_plus is X, psi_minus is Y.

    Attributes:
        phi_plus: Weight of (|00> + |11>)/sqrt 2, the fidelity; in [0, 1].
        phi_minus: Weight of (|00> - |11>)/sqrt 2; in [0, 1].
        psi_plus: Weight of (|01> + |10>)/sqrt 2; in [0, 1].
        psi_minus: Weight of (|01> - |10>)/sqrt 2; in [0, 1].

    Raises:
        ValueError: A weight is not in [0, 1] or they do not sum to 1 (within 1e-9).

    >>> round(BellDiagonal.werner(0.85).phi_minus, 12)
    0.05
    """

    phi_plus: float
    phi_minus: float
    psi_plus: float
    psi_minus: float

    def __post_init__(self) -> None:
        weights = (self.phi_plus, self.phi_minus, self.psi_plus, self.psi_minus)
        # One comparison in the usual case: an emulation makes millions of these.
        if not (min(weights) >= 0.0 and max(weights) <= 1.0):
            for name, weight in zip(("phi_plus", "phi_minus", "psi_plus", "psi_minus"), weights, strict=True):
                checked(name, weight, -_ROUNDING, 1.0 + _ROUNDING)
                # So that the fidelity of a state is always one that the formulas take.
                object.__setattr__(self, name, min(1.0, max(0.0, weight)))
        if not abs(sum(weights) - 1.0) <= 4 * _ROUNDING:
            raise ValueError(f"phi_plus, phi_minus, psi_plus, psi_minus: {weights} do not sum to 1")

    def __iter__(self) -> Iterator[float]:
        """Yield phi_plus, phi_minus, psi_plus, psi_minus."""
        return iter((self.phi_plus, self.phi_minus, self.psi_plus, self.psi_minus))

    @classmethod
    def werner(cls, fidelity: float) -> Self:
        """Return the Werner pair of fidelity F = <Phi+|rho|Phi+> in [0, 1]: the other weights are (1-F)/3 each.

        Raises:
            ValueError: The fidelity is not in [0, 1].
        """
        rest = (1.0 - checked("fidelity", fidelity, 0.0, 1.0)) / 3.0
        return cls(phi_plus=fidelity, phi_minus=rest, psi_plus=rest, psi_minus=rest)

    @property
    def fidelity(self) -> float:
        """F = <Phi+|rho|Phi+>, in [0, 1]."""
        return self.phi_plus

    def error_rate(self, basis: Basis) -> float:
        """Return how often two outcomes in this basis are not as Phi+ gives them (equal in X, Z; opposite in Y).

        >>> BellDiagonal(phi_plus=0.9, phi_minus=0.1, psi_plus=0.0, psi_minus=0.0).error_rate("X")
        0.1
        """
        if basis == "X":
            return self.phi_minus + self.psi_minus
        if basis == "Y":
            return self.phi_minus + self.psi_plus
        if basis == "Z":
            return self.psi_plus + self.psi_minus
        raise ValueError(f"basis: {basis!r} is not X, Y or Z")

    def pauli(self, x: int, z: int) -> "BellDiagonal":
        """Return the state after X^x Z^z on one of the qubits; x and z are 0 or 1.

        >>> BellDiagonal(phi_plus=0.0, phi_minus=0.0, psi_plus=1.0, psi_minus=0.0).pauli(1, 0).fidelity
        1.0

        Raises:
            ValueError: x or z is neither 0 nor 1.
        """
        if x not in {0, 1} or z not in {0, 1}:
            raise ValueError(f"x, z: {x}, {z} are not 0 or 1")
        a, b, c, d = self
        if z:
            a, b, c, d = b, a, d, c
        if x:
            a, b, c, d = c, d, a, b
        return BellDiagonal(phi_plus=a, phi_minus=b, psi_plus=c, psi_minus=d)

    def twirled(self) -> "BellDiagonal":
        """Return the Werner pair of the same fidelity, which random paired rotations of both qubits make of it."""
        return BellDiagonal.werner(self.phi_plus)

    def mixed(self, other: "BellDiagonal", share: float) -> "BellDiagonal":
        """Return this pair with probability 1 - share, the other one with probability share; share in [0, 1]."""
        checked("share", share, 0.0, 1.0)
        a, b, c, d = ((1.0 - share) * one + share * two for one, two in zip(self, other, strict=True))
        return BellDiagonal(phi_plus=a, phi_minus=b, psi_plus=c, psi_minus=d)


UNCORRELATED = BellDiagonal(phi_plus=0.25, phi_minus=0.25, psi_plus=0.25, psi_minus=0.25)
"""Two qubits in I/4: what total depolarisation leaves."""


def werner_parameter(fidelity: float) -> float:
    """Return w = (4F-1)/3 in [-1/3, 1] of a Werner pair w |Phi+><Phi+| + (1-w) I/4 with F = <Phi+|rho|Phi+> in [0, 1].

    Useful pairs have F > 1/2, w > 1/3. Source: Werner, PRA 40, 4277 (1989).

    >>> round(werner_parameter(0.85), 12)
    0.8

    Raises:
        ValueError: The fidelity is not in [0, 1].
    """
    return (4.0 * checked("fidelity", fidelity, 0.0, 1.0) - 1.0) / 3.0


def fidelity_of(werner_parameter: float) -> float:
    """Return F = <Phi+|rho|Phi+> = (1+3w)/4 in [0, 1] of a Werner pair with w in [-1/3, 1].

    >>> fidelity_of(1.0), fidelity_of(0.0)
    (1.0, 0.25)

    Raises:
        ValueError: w is not in [-1/3, 1].
    """
    return max(0.0, (1.0 + 3.0 * checked("werner_parameter", werner_parameter, -1.0 / 3.0, 1.0)) / 4.0)


def qber_of(fidelity: float) -> float:
    """Return the error rate 2(1-F)/3 of a Werner pair in any basis; F = <Phi+|rho|Phi+> in [0, 1].

    >>> round(qber_of(0.85), 12)
    0.1

    Raises:
        ValueError: The fidelity is not in [0, 1].
    """
    return 2.0 * (1.0 - checked("fidelity", fidelity, 0.0, 1.0)) / 3.0


def teleportation_fidelity(fidelity: float) -> float:
    """Return (2F+1)/3: the mean <psi|rho|psi> of qubits teleported through a pair, over all pure |psi>.

    Args:
        fidelity: F = <Phi+|rho|Phi+> of the pair, in [0, 1]. Any pair, Werner or not.

    Source: Horodecki, Horodecki, Horodecki, PRA 60, 1888 (1999).

    >>> round(teleportation_fidelity(0.5), 6)
    0.666667

    Raises:
        ValueError: The fidelity is not in [0, 1].
    """
    return (2.0 * checked("fidelity", fidelity, 0.0, 1.0) + 1.0) / 3.0


def fidelity_estimate(qx: float, qy: float, qz: float) -> float:
    """Return F = 1 - (Qx+Qy+Qz)/2, F = <Phi+|rho|Phi+>, of any pair; 0 where measured rates would give less.

    Args:
        qx: Error rate as `BellDiagonal.error_rate` counts it, in [0, 1].
        qy: The same in Y.
        qz: The same in Z.

    >>> round(fidelity_estimate(0.1, 0.1, 0.1), 12)
    0.85

    Raises:
        ValueError: A rate is not in [0, 1].
    """
    return max(0.0, 1.0 - sum(_rates(qx=qx, qy=qy, qz=qz)) / 2.0)


def fidelity_bound_two_bases(qx: float, qz: float) -> float:
    """Return the lowest F = <Phi+|rho|Phi+> that error rates in two bases allow: max(0, 1 - Qx - Qz).

    Args:
        qx: Error rate in one of the three bases, in [0, 1].
        qz: Error rate in another one, in [0, 1].

    >>> round(fidelity_bound_two_bases(0.1, 0.1), 12)
    0.8

    Raises:
        ValueError: A rate is not in [0, 1].
    """
    return max(0.0, 1.0 - sum(_rates(qx=qx, qz=qz)))


def fidelity_standard_error(error_rate: float, samples: int) -> float:
    """Return (3/2) sqrt(Q(1-Q)/N): the standard error of F = <Phi+|rho|Phi+> estimated from Werner pairs.

    F = 0.9 to within 0.01 at two standard errors costs about 5,000 pairs.

    Args:
        error_rate: Q in any basis, in [0, 1].
        samples: N >= 1 pairs in all, a third of them in each of X, Y and Z.

    >>> round(fidelity_standard_error(2 / 30, 5600), 4)
    0.005

    Raises:
        ValueError: An argument is out of range.
    """
    rate = checked("error_rate", error_rate, 0.0, 1.0)
    return 1.5 * math.sqrt(rate * (1.0 - rate) / checked_count("samples", samples, 1))


def fidelity_interval(
    disagreements: tuple[int, int, int], samples: tuple[int, int, int], confidence: float = 0.95
) -> tuple[float, float, float]:
    """Return (low, estimate, high) of F = <Phi+|rho|Phi+> from test pairs in the bases X, Y, Z.

    A basis with more samples than another counts with the smaller number only: as a mean over three bases is no
    more certain than its least certain part allows, this covers any Bell-diagonal state, at any counts. The truth,
    also the mean over pairs whose fidelity drifts, lies inside with at least the confidence asked for.

    Args:
        disagreements: Error counts as `BellDiagonal.error_rate` counts errors, each in [0, its samples].
        samples: Pairs measured in X, Y and Z; where one of them is 0 nothing is known: (0, estimate, 1), the
            estimate from bases with samples, 1/4 without any.
        confidence: In (0, 1).

    Source: Clopper, Pearson, Biometrika 26, 404 (1934); for unequal probabilities Hoeffding, Ann. Math. Stat. 27,
    713 (1956).

    >>> [round(x, 3) for x in fidelity_interval((0, 0, 0), (100, 100, 100))]
    [0.982, 1.0, 1.0]
    >>> [round(x, 3) for x in fidelity_interval((70, 64, 66), (1000, 1000, 1000))]
    [0.886, 0.9, 0.913]

    Raises:
        ValueError: An argument is out of range.
    """
    for basis, wrong, tried in zip("XYZ", disagreements, samples, strict=True):
        checked_count(f"samples in {basis}", tried, 0)
        checked_count(f"disagreements in {basis}", wrong, 0)
        if wrong > tried:
            raise ValueError(f"disagreements in {basis}: {wrong} of {tried} samples")
    checked("confidence", confidence, 0.0, math.nextafter(1.0, 0.0), above_low=True)
    rates = [wrong / tried for wrong, tried in zip(disagreements, samples, strict=True) if tried]
    if len(rates) < 3:
        mean = sum(rates) / len(rates) if rates else 0.5
        return 0.0, fidelity_estimate(mean, mean, mean), 1.0
    trials = 3.0 * min(samples)
    low, high = proportion_interval(min(trials, sum(rates) * trials / 3.0), trials, confidence)
    return (
        max(0.0, 1.0 - 1.5 * high),
        fidelity_estimate(*rates),
        max(0.0, 1.0 - 1.5 * low),
    )


def _rates(**rates: float) -> tuple[float, ...]:
    return tuple(checked(name, rate, 0.0, 1.0) for name, rate in rates.items())
