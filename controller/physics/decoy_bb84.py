"""Decoy-state BB84: secret key of one finite block, with two decoys.

Source: Lim, Curty, Walenta, Xu, Zbinden, PRA 89, 022307 (2014): bounds, key length and channel model.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from controller.physics.basics import binary_entropy, transmittance
from controller.physics.block import Block

# The security proof splits the allowed failure into this many equal parts.
_PARTS: Final = 21.0


@dataclass(frozen=True, slots=True, kw_only=True)
class DecoyBb84:
    """What a pair of modules can do: transmitter, receiver and post-processing.

    Attributes:
        clock_hz: Pulses per second; > 0.
        intensities: Mean photon numbers (mu1, mu2, mu3): signal, decoy, weakest; mu1 > mu2 + mu3, mu2 > mu3 >= 0.
        intensity_probabilities: How often each is sent; each in (0, 1), sum 1.
        key_basis_probability: How often either side takes the key basis X; in (0, 1).
        detector_efficiency: In (0, 1].
        receiver_loss_db: Between fibre and detectors; >= 0.
        dark_count_probability: Per pulse and detector; in [0, 0.5).
        afterpulse_probability: Per detection; in [0, 1).
        misalignment: Probability that a photon reaches the wrong detector; in [0, 0.5].
        error_correction_efficiency: f, disclosed bits over the Shannon limit; >= 1.
        secrecy_failure, correctness_failure: eps_sec and eps_cor per block; in (0, 1).
        block_sifted_bit: Sifted key-basis bits gathered before they are distilled; > 0.
    """

    clock_hz: float
    intensities: tuple[float, float, float]
    intensity_probabilities: tuple[float, float, float]
    key_basis_probability: float
    detector_efficiency: float
    receiver_loss_db: float = 0.0
    dark_count_probability: float
    afterpulse_probability: float = 0.0
    misalignment: float
    error_correction_efficiency: float = 1.16
    secrecy_failure: float = 1e-10
    correctness_failure: float = 1e-15
    block_sifted_bit: int

    def __post_init__(self) -> None:
        mu1, mu2, mu3 = self.intensities
        rules = (
            ("clock_hz", 0 < self.clock_hz < math.inf),
            ("intensities", mu2 > mu3 >= 0 and mu2 + mu3 < mu1 < math.inf),
            ("intensity_probabilities", all(0 < p < 1 for p in self.intensity_probabilities)),
            ("intensity_probabilities", abs(sum(self.intensity_probabilities) - 1.0) < 1e-9),
            ("key_basis_probability", 0 < self.key_basis_probability < 1),
            ("detector_efficiency", 0 < self.detector_efficiency <= 1),
            ("receiver_loss_db", 0 <= self.receiver_loss_db < math.inf),
            ("dark_count_probability", 0 <= self.dark_count_probability < 0.5),
            ("afterpulse_probability", 0 <= self.afterpulse_probability < 1),
            ("misalignment", 0 <= self.misalignment <= 0.5),
            ("error_correction_efficiency", 1 <= self.error_correction_efficiency < math.inf),
            ("secrecy_failure", 0 < self.secrecy_failure < 1),
            ("correctness_failure", 0 < self.correctness_failure < 1),
            ("block_sifted_bit", self.block_sifted_bit > 0),
        )
        for field, holds in rules:
            if not holds:
                raise ValueError(f"{field}: {getattr(self, field)} is out of range")


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """What one basis of a block shows, per intensity (mu1, mu2, mu3): detections and, of these, errors."""

    detections: tuple[float, float, float]
    errors: tuple[float, float, float]


def pulse_probabilities(module: DecoyBb84, loss_db: float) -> tuple[tuple[float, float], ...]:
    """Return per intensity the probabilities that a pulse is detected, and that it is detected wrongly.

    Args:
        module: What is at the ends; bases are taken to match.
        loss_db: Of the channel; >= 0.

    Source: LIM14, section on simulation: D = 1 - (1-2 p_dc) exp(-eta k), R = D (1 + p_ap),
    e = p_dc + e_mis (1 - exp(-eta k)) + p_ap D / 2.
    """
    eta = module.detector_efficiency * transmittance(loss_db + module.receiver_loss_db)
    found = []
    for intensity in module.intensities:
        click = -math.expm1(-eta * intensity)
        dark = module.dark_count_probability
        detected = click + 2.0 * dark * (1.0 - click)
        wrong = dark + module.misalignment * click + module.afterpulse_probability * detected / 2.0
        found.append((detected * (1.0 + module.afterpulse_probability), wrong))
    return tuple(found)


def photon_number_probability(module: DecoyBb84, photons: int) -> float:
    """Return tau_n, the probability that a pulse of unknown intensity holds `photons` photons.

    >>> round(sum(photon_number_probability(EXAMPLE, n) for n in range(30)), 12)
    1.0
    """
    return sum(
        probability * math.exp(-intensity) * intensity**photons / math.factorial(photons)
        for intensity, probability in zip(module.intensities, module.intensity_probabilities, strict=True)
    )


def secret_bits(module: DecoyBb84, key: Counts, test: Counts) -> int:
    """Return the secret key length of a block from what was counted; 0 when the bounds leave none.

    Args:
        module: Its intensities and their probabilities, failure probabilities and error correction.
        key: Counts in the key basis X, shape (3,) each.
        test: Counts in the other basis Z, shape (3,) each.

    Lower counts are clipped at 0, which is sound and tighter.

    Source: LIM14: l = s_X0 + s_X1 (1 - h(phi)) - leak - 6 log2(21/eps_sec) - log2(2/eps_cor).
    """
    sifted = sum(key.detections)
    vacuum_key = _vacuum_events(module, key.detections)
    single_key = _single_photon_events(module, key.detections)
    single_test = _single_photon_events(module, test.detections)
    if sifted <= 0 or single_key <= 0 or single_test <= 0:
        return 0
    phase_error = _single_photon_errors(module, test.errors) / single_test
    if phase_error >= 0.5:
        return 0
    phase_error += _sampling_deviation(module.secrecy_failure, phase_error, single_test, single_key)
    if phase_error >= 0.5:
        return 0
    qber = min(0.5, sum(key.errors) / sifted)
    leak = module.error_correction_efficiency * sifted * binary_entropy(qber)
    length = (
        vacuum_key
        + single_key * (1.0 - binary_entropy(phase_error))
        - leak
        - 6.0 * math.log2(_PARTS / module.secrecy_failure)
        - math.log2(2.0 / module.correctness_failure)
    )
    return max(0, math.floor(length))


def expected_block(module: DecoyBb84, loss_db: float, *, misalignment: float | None = None) -> Block:
    """Return the block that the channel model expects.

    Args:
        module: What is at the ends.
        loss_db: Of the channel; >= 0.
        misalignment: In place of the module's own, for a channel that has drifted; in [0, 0.5].

    >>> block = expected_block(EXAMPLE, loss_db=13.5)
    >>> block.secret_bit, round(block.seconds, 2), round(block.qber, 4)
    (2801489, 7.67, 0.0202)
    """
    if misalignment is not None:
        module = replace(module, misalignment=misalignment)
    per_pulse = pulse_probabilities(module, loss_db)
    in_key = module.key_basis_probability**2
    in_test = (1.0 - module.key_basis_probability) ** 2
    sent = module.intensity_probabilities
    sifted_per_pulse = in_key * sum(p * detected for p, (detected, _) in zip(sent, per_pulse, strict=True))
    if sifted_per_pulse <= 0.0:
        return Block(sifted_bit=module.block_sifted_bit, secret_bit=0, seconds=math.inf, qber=0.5)
    pulses = module.block_sifted_bit / sifted_per_pulse
    key, test = (
        Counts(
            detections=_triple(pulses * share * p * detected for p, (detected, _) in zip(sent, per_pulse, strict=True)),
            errors=_triple(pulses * share * p * wrong for p, (_, wrong) in zip(sent, per_pulse, strict=True)),
        )
        for share in (in_key, in_test)
    )
    return Block(
        sifted_bit=module.block_sifted_bit,
        secret_bit=secret_bits(module, key, test),
        seconds=pulses / module.clock_hz,
        qber=min(0.5, sum(key.errors) / sum(key.detections)),
    )


def _triple(values: Iterable[float]) -> tuple[float, float, float]:
    first, second, third = values
    return first, second, third


def _scaled(module: DecoyBb84, counts: tuple[float, float, float], index: int, sign: int) -> float:
    # The deviation is that of the total count, whatever the intensity.
    total = sum(counts)
    deviation = math.sqrt(total / 2.0 * math.log(_PARTS / module.secrecy_failure))
    bounded = max(0.0, counts[index] + sign * deviation)
    return math.exp(module.intensities[index]) / module.intensity_probabilities[index] * bounded


def _vacuum_events(module: DecoyBb84, counts: tuple[float, float, float]) -> float:
    _, mu2, mu3 = module.intensities
    low3, high2 = _scaled(module, counts, 2, -1), _scaled(module, counts, 1, +1)
    return max(0.0, photon_number_probability(module, 0) * (mu2 * low3 - mu3 * high2) / (mu2 - mu3))


def _single_photon_events(module: DecoyBb84, counts: tuple[float, float, float]) -> float:
    mu1, mu2, mu3 = module.intensities
    multi = (mu2**2 - mu3**2) / mu1**2
    vacuum = _vacuum_events(module, counts) / photon_number_probability(module, 0)
    low2, high3, high1 = (
        _scaled(module, counts, 1, -1),
        _scaled(module, counts, 2, +1),
        _scaled(module, counts, 0, +1),
    )
    found = low2 - high3 - multi * (high1 - vacuum)
    weight = mu1 / (mu1 * (mu2 - mu3) - mu2**2 + mu3**2)
    return max(0.0, photon_number_probability(module, 1) * weight * found)


def _single_photon_errors(module: DecoyBb84, errors: tuple[float, float, float]) -> float:
    _, mu2, mu3 = module.intensities
    high2, low3 = _scaled(module, errors, 1, +1), _scaled(module, errors, 2, -1)
    return max(0.0, photon_number_probability(module, 1) * (high2 - low3) / (mu2 - mu3))


def _sampling_deviation(failure: float, error: float, tested: float, kept: float) -> float:
    """Return gamma(eps, b, c, d): how far the kept events' phase error may lie above the tested ones' error."""
    if error <= 0.0:
        return 0.0
    spread = (tested + kept) / (tested * kept * (1.0 - error) * error)
    variance = (tested + kept) * (1.0 - error) * error / (tested * kept * math.log(2.0))
    return math.sqrt(variance * max(0.0, math.log2(spread * _PARTS**2 / failure**2)))


EXAMPLE: Final = DecoyBb84(
    clock_hz=1e9,
    intensities=(0.46, 0.22, 0.0002),
    intensity_probabilities=(0.45, 0.42, 0.13),
    key_basis_probability=0.87,
    detector_efficiency=0.2,
    receiver_loss_db=2.0,
    dark_count_probability=1e-6,
    afterpulse_probability=0.02,
    misalignment=0.01,
    block_sifted_bit=10_000_000,
)
"""A gigahertz system with gated avalanche photodiodes; round figures, for examples and tests."""
