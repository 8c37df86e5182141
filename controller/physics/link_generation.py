"""Heralded pairs on one fibre: attempt period, single-click and double-click schemes, and the rate of a link.

Fidelity everywhere is F = <Phi+|rho|Phi+>, after the ends have turned the heralded Bell state to Phi+.
"""

import enum
import math
from dataclasses import dataclass
from typing import Final

from controller.physics.pair_states import BellDiagonal
from controller.physics.ranges import checked, checked_count

FIBRE_LIGHT_KM_PER_S: Final = 2.0e5
"""Speed of light in silica fibre, group index about 1.5."""


class Heralding(enum.Enum):
    """Where it is learnt that an attempt has made a pair."""

    MIDDLE = "middle"
    """A station half-way measures photons from both ends: photon L/2, message L/2."""
    FAR_END = "far_end"
    """One end sends a photon of a pair to the other, which answers: photon L, message L."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Herald:
    """What one attempt gives.

    Attributes:
        success_probability: That the attempt is heralded, in [0, 1].
        pair: The heralded pair, turned to Phi+, Pauli-twirled to a Bell-diagonal state of the same fidelity.
    """

    success_probability: float
    pair: BellDiagonal

    @property
    def fidelity(self) -> float:
        """F = <Phi+|rho|Phi+> of a heralded pair, in [0, 1]."""
        return self.pair.fidelity


def attempt_period_s(
    length_km: float,
    heralding: Heralding,
    *,
    repetition_hz: float = math.inf,
    light_km_per_s: float = FIBRE_LIGHT_KM_PER_S,
) -> float:
    """Return tau = max(1/f_rep, t_comm), the time in s between attempts of one memory.

    A memory waits for the answer: t_comm = L/c with the station in the middle, 2 L/c without.

    Args:
        length_km: L of the whole fibre between the ends, >= 0.
        heralding: Where pairs are heralded.
        repetition_hz: How often hardware may try, > 0; infinite if it is never what limits.
        light_km_per_s: c in the fibre, > 0.

    >>> attempt_period_s(50.0, Heralding.MIDDLE), attempt_period_s(50.0, Heralding.FAR_END)
    (0.00025, 0.0005)
    >>> attempt_period_s(0.1, Heralding.MIDDLE, repetition_hz=1e4)
    0.0001

    Raises:
        ValueError: An argument is out of range, or neither length nor hardware limits the attempts.
    """
    checked("length_km", length_km, 0.0, math.inf)
    checked("light_km_per_s", light_km_per_s, 0.0, math.inf, above_low=True)
    if not repetition_hz > 0.0:
        raise ValueError(f"repetition_hz: {repetition_hz} is not in (0, inf]")
    crossings = {Heralding.MIDDLE: 1.0, Heralding.FAR_END: 2.0}[heralding]
    period = max(1.0 / repetition_hz, crossings * length_km / light_km_per_s)
    if period <= 0.0:
        raise ValueError("repetition_hz: give a finite one for a link without length")
    return period


def single_click(
    bright_state: float | tuple[float, float],
    arm_efficiency: float | tuple[float, float],
    *,
    number_resolving: bool = False,
    phase_coherence: float = 1.0,
) -> Herald:
    """Return success probability and state of the single-click scheme: one photon at the station heralds Psi+ or Psi-.

    Either end prepares sqrt(1-alpha) |dark> + sqrt(alpha) |bright, one photon>. Both bright is the error: where the
    station sees one of the two photons, or, without number resolution, both of them bunched in one detector.
    No dark counts. Equal ends, number-resolving: p = 2 alpha eta (1 - alpha eta), F = (1-alpha)/(1 - alpha eta);
    threshold: p = 1 - (1 - alpha eta)^2, F = (1-alpha)/(1 - alpha eta/2).

    Args:
        bright_state: alpha of either end, in (0, 1); two for unequal ends. Equal alpha eta is best.
        arm_efficiency: eta from emission to click of either arm, in (0, 1]; two for unequal arms.
        number_resolving: Whether detectors tell two photons from one.
        phase_coherence: V in [0, 1], mean cosine of the optical phase error: F -> F (1+V)/2 for equal arms.

    Source: Cabrillo et al., PRA 59, 1025 (1999).

    >>> herald = single_click(0.1, 0.01)
    >>> round(herald.success_probability, 9), round(herald.fidelity, 6)
    (0.001999, 0.90045)

    Raises:
        ValueError: An argument is out of range.
    """
    alpha_a, alpha_b = _both("bright_state", bright_state, math.nextafter(1.0, 0.0))
    eta_a, eta_b = _both("arm_efficiency", arm_efficiency, 1.0)
    coherence = checked("phase_coherence", phase_coherence, 0.0, 1.0)
    only_a = alpha_a * (1.0 - alpha_b) * eta_a
    only_b = alpha_b * (1.0 - alpha_a) * eta_b
    one_of_two = eta_a * (1.0 - eta_b) + eta_b * (1.0 - eta_a)
    both_bright = alpha_a * alpha_b * (one_of_two if number_resolving else one_of_two + eta_a * eta_b)
    success = only_a + only_b + both_bright
    mean, crossed = (only_a + only_b) / 2.0, coherence * math.sqrt(only_a * only_b)
    return Herald(
        success_probability=success,
        pair=BellDiagonal(
            phi_plus=(mean + crossed) / success,
            phi_minus=(mean - crossed) / success,
            psi_plus=both_bright / (2.0 * success),
            psi_minus=both_bright / (2.0 * success),
        ),
    )


def double_click(arm_efficiency: float | tuple[float, float], *, visibility: float = 1.0) -> Herald:
    """Return p = eta_A eta_B / 2 and F = (1+V)/2 of double-click schemes: a photon of each end, twice one click.

    Barrett-Kok, and time-bin and polarisation variants; a Bell measurement of linear optics sees half of the cases.
    No dark counts.

    Args:
        arm_efficiency: eta from emission to click of either arm, in (0, 1]; two for unequal arms.
        visibility: V of the two photons' interference, in [0, 1].

    Source: Barrett, Kok, PRA 71, 060310 (2005).

    >>> herald = double_click(0.1, visibility=0.9)
    >>> round(herald.success_probability, 12), herald.fidelity
    (0.005, 0.95)

    Raises:
        ValueError: An argument is out of range.
    """
    eta_a, eta_b = _both("arm_efficiency", arm_efficiency, 1.0)
    seen = checked("visibility", visibility, 0.0, 1.0)
    return Herald(
        success_probability=eta_a * eta_b / 2.0,
        pair=BellDiagonal(phi_plus=(1.0 + seen) / 2.0, phi_minus=(1.0 - seen) / 2.0, psi_plus=0.0, psi_minus=0.0),
    )


def link_rate_hz(success_probability: float, attempt_period_s: float, memories: int = 1) -> float:
    """Return r = p M / tau in pairs/s; says nothing about fidelity.

    Args:
        success_probability: p of one attempt, in [0, 1].
        attempt_period_s: tau between attempts of one memory, > 0.
        memories: M >= 1 at either end, tried in turn.

    >>> round(link_rate_hz(0.002, 0.0005, memories=4), 9)
    16.0

    Raises:
        ValueError: An argument is out of range.
    """
    chance = checked("success_probability", success_probability, 0.0, 1.0)
    period = checked("attempt_period_s", attempt_period_s, 0.0, math.inf, above_low=True)
    return chance * checked_count("memories", memories, 1) / period


def _both(name: str, value: float | tuple[float, float], high: float) -> tuple[float, float]:
    one, other = value if isinstance(value, tuple) else (value, value)
    return checked(name, one, 0.0, high, above_low=True), checked(name, other, 0.0, high, above_low=True)
