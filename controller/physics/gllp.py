"""Decoy-state BB84 without statistics: what infinitely long blocks would give, per pulse."""

import math

from controller.physics.basics import binary_entropy


def infinite_decoy_key_per_pulse(
    *,
    intensity: float,
    efficiency: float,
    background: float,
    misalignment: float,
    error_correction_efficiency: float = 1.16,
    sifting: float = 1.0,
) -> float:
    """Return secret bits per signal pulse with infinitely many decoys and pulses; >= 0.

    Args:
        intensity: Mean photon number of the signal; > 0.
        efficiency: From source to click, detectors included; in [0, 1].
        background: Y0, clicks per pulse without light; in [0, 1].
        misalignment: Wrong-detector probability; in [0, 0.5].
        error_correction_efficiency: f >= 1.
        sifting: Share of pulses that keep their bit: 1/2 for equal bases, towards 1 for a biased choice.

    Source: Lo, Ma, Chen, PRL 94, 230504 (2005); Ma, Qi, Zhao, Lo, PRA 72, 012326 (2005).

    >>> round(infinite_decoy_key_per_pulse(intensity=0.48, efficiency=0.01, background=1.7e-6, misalignment=0.033), 6)
    0.001181
    """
    lit = -math.expm1(-efficiency * intensity)
    gain = background + lit
    if gain <= 0.0:
        return 0.0
    error = (background / 2.0 + misalignment * lit) / gain
    single_yield = background + efficiency
    single_error = (background / 2.0 + misalignment * efficiency) / single_yield
    single_gain = single_yield * intensity * math.exp(-intensity)
    rate = -gain * error_correction_efficiency * binary_entropy(min(0.5, error)) + single_gain * (
        1.0 - binary_entropy(min(0.5, single_error))
    )
    return max(0.0, sifting * rate)


def vacuum_weak_single_photon(
    *, signal: tuple[float, float], decoy: tuple[float, float, float], background: float
) -> tuple[float, float]:
    """Return the bounds (Y1 from below, e1 from above) that a vacuum and one weak decoy give.

    Args:
        signal: (mu, Q_mu): intensity and gain.
        decoy: (nu, Q_nu, E_nu Q_nu): intensity, gain, error gain; 0 < nu < mu.
        background: Y0.

    Source: Ma, Qi, Zhao, Lo, PRA 72, 012326 (2005).

    Raises:
        ValueError: nu is not in (0, mu).
    """
    mu, gain = signal
    nu, decoy_gain, decoy_error_gain = decoy
    if not 0.0 < nu < mu:
        raise ValueError(f"the decoy intensity {nu} is not in (0, {mu})")
    single_yield = (
        mu
        / (mu * nu - nu * nu)
        * (
            decoy_gain * math.exp(nu)
            - gain * math.exp(mu) * nu * nu / (mu * mu)
            - (mu * mu - nu * nu) / (mu * mu) * background
        )
    )
    return single_yield, (decoy_error_gain * math.exp(nu) - background / 2.0) / (single_yield * nu)
