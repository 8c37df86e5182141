"""BBM92 with a down-conversion source between the ends; asymptotic: no finite-key statistics.

Source: Ma, Fung, Lo, PRA 76, 012307 (2007).
"""

import math
from dataclasses import dataclass

from controller.physics.basics import binary_entropy, transmittance
from controller.physics.block import Block


@dataclass(frozen=True, slots=True, kw_only=True)
class PdcBbm92:
    """What a source of photon pairs and its two receivers can do.

    Attributes:
        clock_hz: Pump pulses (or coincidence windows) per second; > 0.
        half_mean_pairs: lambda, half the mean number of pairs per pulse; > 0.
        detector_efficiency: Of either receiver with its optics; in (0, 1].
        background: Y0 of either receiver, clicks per pulse without light; in [0, 1).
        misalignment: Wrong-detector probability; in [0, 0.5].
        error_correction_efficiency: f >= 1.
        block_sifted_bit: Sifted bits gathered before they are distilled; > 0.
    """

    clock_hz: float
    half_mean_pairs: float
    detector_efficiency: float
    background: float
    misalignment: float
    error_correction_efficiency: float = 1.16
    block_sifted_bit: int

    def __post_init__(self) -> None:
        rules = (
            ("clock_hz", 0 < self.clock_hz < math.inf),
            ("half_mean_pairs", 0 < self.half_mean_pairs < math.inf),
            ("detector_efficiency", 0 < self.detector_efficiency <= 1),
            ("background", 0 <= self.background < 1),
            ("misalignment", 0 <= self.misalignment <= 0.5),
            ("error_correction_efficiency", 1 <= self.error_correction_efficiency < math.inf),
            ("block_sifted_bit", self.block_sifted_bit > 0),
        )
        for field, holds in rules:
            if not holds:
                raise ValueError(f"{field}: {getattr(self, field)} is out of range")


def coincidence(
    *,
    half_mean_pairs: float,
    efficiencies: tuple[float, float],
    backgrounds: tuple[float, float],
    misalignment: float,
) -> tuple[float, float]:
    """Return (Q, E): coincidences per pulse, and the error ratio among them.

    Args:
        half_mean_pairs: lambda > 0.
        efficiencies: From source to click on either side, each in [0, 1].
        backgrounds: Y0 on either side, each in [0, 1).
        misalignment: e_d in [0, 0.5].

    Source: MFL07.

    >>> gain, error = coincidence(
    ...     half_mean_pairs=0.05, efficiencies=(0.1, 0.1), backgrounds=(1e-6, 1e-6), misalignment=0.015)
    >>> round(gain, 6), round(error, 4)
    (0.001118, 0.0534)
    """
    (eta_a, eta_b), (dark_a, dark_b) = efficiencies, backgrounds
    pairs = half_mean_pairs
    either = 1.0 + (eta_a + eta_b - eta_a * eta_b) * pairs
    gain = (
        1.0
        - (1.0 - dark_a) / (1.0 + eta_a * pairs) ** 2
        - (1.0 - dark_b) / (1.0 + eta_b * pairs) ** 2
        + (1.0 - dark_a) * (1.0 - dark_b) / either**2
    )
    if gain <= 0.0:
        return 0.0, 0.5
    correlated = eta_a * eta_b * pairs * (1.0 + pairs) / ((1.0 + eta_a * pairs) * (1.0 + eta_b * pairs) * either)
    error_gain = gain / 2.0 - 2.0 * (0.5 - misalignment) * correlated
    return gain, min(0.5, max(0.0, error_gain / gain))


def expected_block(module: PdcBbm92, loss_db: float, *, misalignment: float | None = None) -> Block:
    """Return the block that the channel model expects, with the asymptotic secret fraction 1 - (1 + f) h(E).

    Args:
        module: Source and receivers.
        loss_db: Of the whole channel between the ends, half of it on either side of the source; >= 0.
        misalignment: In place of the module's own, for a channel that has drifted; in [0, 0.5].

    Equal bases: half of the coincidences are sifted.
    """
    eta = module.detector_efficiency * transmittance(loss_db / 2.0)
    gain, error = coincidence(
        half_mean_pairs=module.half_mean_pairs,
        efficiencies=(eta, eta),
        backgrounds=(module.background, module.background),
        misalignment=module.misalignment if misalignment is None else misalignment,
    )
    fraction = 1.0 - (1.0 + module.error_correction_efficiency) * binary_entropy(error)
    return Block(
        sifted_bit=module.block_sifted_bit,
        secret_bit=max(0, math.floor(module.block_sifted_bit * fraction)),
        seconds=module.block_sifted_bit / (module.clock_hz * gain / 2.0) if gain > 0.0 else math.inf,
        qber=error,
    )
