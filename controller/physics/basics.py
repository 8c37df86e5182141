"""Entropy of an error rate, and light lost in fibre."""

import math


def binary_entropy(probability: float) -> float:
    """Return h(x) = -x log2 x - (1-x) log2(1-x) in bits, for x in [0, 1]; h(0) = h(1) = 0.

    >>> binary_entropy(0.5), binary_entropy(0.0), round(binary_entropy(0.11), 4)
    (1.0, 0.0, 0.4999)

    Raises:
        ValueError: x is not in [0, 1].
    """
    if not 0.0 <= probability <= 1.0:
        raise ValueError(f"{probability} is not a probability")
    if probability in {0.0, 1.0}:
        return 0.0
    return -probability * math.log2(probability) - (1.0 - probability) * math.log2(1.0 - probability)


def transmittance(loss_db: float) -> float:
    """Return the share of light that a loss in dB (>= 0) leaves, in [0, 1].

    >>> transmittance(10.0), transmittance(0.0)
    (0.1, 1.0)
    """
    return float(10.0 ** (-loss_db / 10.0))


def fibre_loss_db(length_km: float, attenuation_db_per_km: float) -> float:
    """Return the loss in dB of a fibre (length >= 0 in km, attenuation >= 0 in dB/km).

    >>> round(fibre_loss_db(45.0, 0.3), 6)
    13.5
    """
    return length_km * attenuation_db_per_km


def key_fraction(qber: float, error_correction_efficiency: float = 1.16) -> float:
    """Return the asymptotic secret bits per sifted bit of single photons with equal error rates in both bases.

    max(0, 1 - h(Q) - f h(Q)), Q in [0, 1/2], f >= 1; 0 from Q of about 0.098 on (f = 1.16).

    Source: Shor and Preskill, PRL 85, 441 (2000); f for real error correction.

    >>> round(key_fraction(0.02), 4), key_fraction(0.12), key_fraction(0.0)
    (0.6945, 0.0, 1.0)
    """
    return max(0.0, 1.0 - (1.0 + error_correction_efficiency) * binary_entropy(min(qber, 0.5)))
