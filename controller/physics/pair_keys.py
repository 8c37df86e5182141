"""From delivered pairs to secret key: BBM92 with the statistics of one finite block.

Fidelity everywhere is F = <Phi+|rho|Phi+>; error rates of Werner pairs are 2(1-F)/3 in every basis.
"""

import math
from dataclasses import dataclass
from typing import Final

from controller.physics.basics import binary_entropy
from controller.physics.block import Block
from controller.physics.pair_states import qber_of
from controller.physics.ranges import checked, checked_count

_BELOW_ONE: Final = math.nextafter(1.0, 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class PairKeying:
    """How two ends turn pairs into key.

    Either end chooses its basis by itself; pairs with different bases are dropped, those in the key basis (Z) become
    key, those in the other one (X) are disclosed and bound the phase error.

    Attributes:
        key_basis_probability: How often either end takes the key basis, in (0, 1).
        block_sifted_bit: Pairs with equal bases gathered before they are distilled, >= 2.
        error_correction_efficiency: f, disclosed bits over the Shannon limit; >= 1.
        secrecy_failure, correctness_failure: eps_sec and eps_cor per block, in (0, 1).
        spent_bit: Key of each block that is used up before anybody else gets any, as for comparing it; >= 0.

    Raises:
        ValueError: A field is out of range.
    """

    key_basis_probability: float = 0.5
    block_sifted_bit: int
    error_correction_efficiency: float = 1.16
    secrecy_failure: float = 1e-10
    correctness_failure: float = 1e-15
    spent_bit: int = 0

    def __post_init__(self) -> None:
        checked("key_basis_probability", self.key_basis_probability, 0.0, _BELOW_ONE, above_low=True)
        checked_count("block_sifted_bit", self.block_sifted_bit, 2)
        checked("error_correction_efficiency", self.error_correction_efficiency, 1.0, math.inf)
        checked("secrecy_failure", self.secrecy_failure, 0.0, _BELOW_ONE, above_low=True)
        checked("correctness_failure", self.correctness_failure, 0.0, _BELOW_ONE, above_low=True)
        checked_count("spent_bit", self.spent_bit, 0)

    @property
    def sifting(self) -> float:
        """Share of the measured pairs whose bases are equal, in [1/2, 1)."""
        return self.key_basis_probability**2 + (1.0 - self.key_basis_probability) ** 2

    @property
    def sample_bits(self) -> int:
        """Disclosed bits of a block, expected; in [0, block_sifted_bit]."""
        return round(self.block_sifted_bit * (1.0 - self.key_basis_probability) ** 2 / self.sifting)


def secret_fraction(qx: float, qz: float, error_correction_efficiency: float = 1.16) -> float:
    """Return max(0, 1 - h(Qx) - f h(Qz)): secret bits per pair of an infinite block, key in Z.

    With f = 1, Werner pairs give key above F = <Phi+|rho|Phi+> of about 0.835.

    Args:
        qx: Error rate outside the key basis, in [0, 1]; above 1/2 as 1/2.
        qz: Error rate in the key basis, likewise.
        error_correction_efficiency: f >= 1.

    Source: Bennett, Brassard, Mermin, PRL 68, 557 (1992); Shor, Preskill, PRL 85, 441 (2000).

    >>> round(secret_fraction(0.02, 0.03), 4)
    0.6331

    Raises:
        ValueError: An argument is out of range.
    """
    checked("error_correction_efficiency", error_correction_efficiency, 1.0, math.inf)
    phase = min(0.5, checked("qx", qx, 0.0, 1.0))
    bit = min(0.5, checked("qz", qz, 0.0, 1.0))
    return max(0.0, 1.0 - binary_entropy(phase) - error_correction_efficiency * binary_entropy(bit))


def sampling_deviation(kept: int, sampled: int, failure: float) -> float:
    """Return mu = sqrt( (n+k)/(n k) (k+1)/k ln(1/failure) ), by which a sample may understate the other bits' errors.

    Their error rate lies further above the sample's with a probability of at most failure^2, for a sample drawn at
    random without replacement.

    Args:
        kept: n >= 1 bits that are not disclosed.
        sampled: k >= 1 bits that are.
        failure: In (0, 1).

    Source: Serfling, Ann. Stat. 2, 39 (1974), in the form of Tomamichel et al., Nat. Commun. 3, 634 (2012).

    >>> round(sampling_deviation(90_000, 10_000, 2.5e-11), 4)
    0.0521

    Raises:
        ValueError: An argument is out of range.
    """
    n, k = checked_count("kept", kept, 1), checked_count("sampled", sampled, 1)
    checked("failure", failure, 0.0, _BELOW_ONE, above_low=True)
    return math.sqrt((n + k) / (n * k) * (k + 1) / k * -math.log(failure))


def distilled_bits(
    *,
    sifted_bits: int,
    sample_bits: int,
    sample_error: float,
    leaked_bits: float,
    secrecy_failure: float = 1e-10,
    correctness_failure: float = 1e-15,
) -> int:
    """Return the secret key length of one block, rounded down; 0 when the bound leaves none.

    l = n (1 - h(Q + mu)) - leak - log2( 2 / (eps_sec^2 eps_cor) ), mu as `sampling_deviation` for eps_sec/4. The
    log term holds the check hash of log2(1/eps_cor) bits that ends compare after error correction.

    Args:
        sifted_bits: n >= 0 bits in the key basis, none of them disclosed.
        sample_bits: k >= 0 bits in the other basis, all disclosed and compared. Which pairs are sampled must be
            random and unknown until all are measured, as it is where either end draws its basis.
        sample_error: Q in [0, 1]: either a rate fixed before the block, and a block whose sample is worse is dropped,
            or the sample's own rate, and the length varies from block to block. The same terms hold for both.
        leaked_bits: What error correction disclosed, >= 0; `expected_leak_bits` for a prediction.
        secrecy_failure: eps_sec of this block, in (0, 1).
        correctness_failure: eps_cor of this block, in (0, 1).

    Source: Tomamichel, Lim, Gisin, Renner, Nat. Commun. 3, 634 (2012); entanglement-based: Tomamichel, Leverrier,
    Quantum 1, 14 (2017); for a length that varies: Tupkary, Nahar, Sinha, Lütkenhaus, arXiv 2408.17349.

    >>> distilled_bits(sifted_bits=50_000, sample_bits=50_000, sample_error=0.02,
    ...                leaked_bits=expected_leak_bits(50_000, 0.02))
    27095

    Raises:
        ValueError: An argument is out of range.
    """
    checked_count("sifted_bits", sifted_bits, 0)
    checked_count("sample_bits", sample_bits, 0)
    checked("sample_error", sample_error, 0.0, 1.0)
    checked("leaked_bits", leaked_bits, 0.0, math.inf)
    checked("secrecy_failure", secrecy_failure, 0.0, _BELOW_ONE, above_low=True)
    checked("correctness_failure", correctness_failure, 0.0, _BELOW_ONE, above_low=True)
    if not sifted_bits or not sample_bits:
        return 0
    phase_error = sample_error + sampling_deviation(sifted_bits, sample_bits, secrecy_failure / 4.0)
    if phase_error >= 0.5:
        return 0
    spent = 1.0 - 2.0 * math.log2(secrecy_failure) - math.log2(correctness_failure)
    return max(0, math.floor(sifted_bits * (1.0 - binary_entropy(phase_error)) - leaked_bits - spent))


def expected_leak_bits(sifted_bits: int, error_rate: float, error_correction_efficiency: float = 1.16) -> float:
    """Return f n h(Q), the bits that error correction is expected to disclose.

    Args:
        sifted_bits: n >= 0.
        error_rate: Q in the key basis, in [0, 1]; above 1/2 as 1/2.
        error_correction_efficiency: f >= 1.

    >>> round(expected_leak_bits(10_000, 0.02), 1)
    1640.7

    Raises:
        ValueError: An argument is out of range.
    """
    checked("error_correction_efficiency", error_correction_efficiency, 1.0, math.inf)
    rate = min(0.5, checked("error_rate", error_rate, 0.0, 1.0))
    return error_correction_efficiency * checked_count("sifted_bits", sifted_bits, 0) * binary_entropy(rate)


def expected_pair_block(keying: PairKeying, *, pair_rate_hz: float, fidelity: float, test_share: float) -> Block:
    """Return the block that Werner pairs of a path are expected to give.

    Args:
        keying: How the ends measure and distil.
        pair_rate_hz: Delivered pairs per second, > 0.
        fidelity: F = <Phi+|rho|Phi+> of delivered pairs, in [0, 1].
        test_share: Share of pairs consumed to estimate the fidelity, in [0, 1).

    >>> block = expected_pair_block(PairKeying(block_sifted_bit=100_000), pair_rate_hz=1000.0, fidelity=0.97,
    ...                             test_share=0.1)
    >>> block.secret_bit, round(block.seconds, 1), round(block.qber, 3)
    (27095, 222.2, 0.02)

    Raises:
        ValueError: An argument is out of range.
    """
    checked("pair_rate_hz", pair_rate_hz, 0.0, math.inf, above_low=True)
    checked("test_share", test_share, 0.0, _BELOW_ONE)
    error = min(0.5, qber_of(fidelity))
    sampled = keying.sample_bits
    kept = keying.block_sifted_bit - sampled
    distilled = distilled_bits(
        sifted_bits=kept,
        sample_bits=sampled,
        sample_error=error,
        leaked_bits=expected_leak_bits(kept, error, keying.error_correction_efficiency),
        secrecy_failure=keying.secrecy_failure,
        correctness_failure=keying.correctness_failure,
    )
    return Block(
        sifted_bit=keying.block_sifted_bit,
        secret_bit=max(0, distilled - keying.spent_bit),
        seconds=keying.block_sifted_bit / (pair_rate_hz * (1.0 - test_share) * keying.sifting),
        qber=error,
    )


def key_rate_hz(keying: PairKeying, *, pair_rate_hz: float, fidelity: float, test_share: float) -> float:
    """Return secret bits per second, averaged over blocks: rate less test share, sifting and finite-key fraction.

    Arguments and errors as for `expected_pair_block`, with F = <Phi+|rho|Phi+>; no pairs give no key.

    >>> round(key_rate_hz(PairKeying(block_sifted_bit=100_000), pair_rate_hz=1000.0, fidelity=0.97, test_share=0.1), 2)
    121.93
    """
    if pair_rate_hz == 0.0:
        return 0.0
    return expected_pair_block(
        keying, pair_rate_hz=pair_rate_hz, fidelity=fidelity, test_share=test_share
    ).skr_bit_per_s


def time_to_first_key_s(keying: PairKeying, *, pair_rate_hz: float, fidelity: float, test_share: float) -> float:
    """Return the time in s until the first block is full, before which there is no key; infinite if blocks give none.

    Processing comes on top. Arguments and errors as for `expected_pair_block`, with F = <Phi+|rho|Phi+>.

    >>> round(time_to_first_key_s(
    ...     PairKeying(block_sifted_bit=100_000), pair_rate_hz=1000.0, fidelity=0.97, test_share=0.1), 1)
    222.2
    >>> time_to_first_key_s(PairKeying(block_sifted_bit=1000), pair_rate_hz=1000.0, fidelity=0.97, test_share=0.1)
    inf
    """
    if pair_rate_hz == 0.0:
        return math.inf
    block = expected_pair_block(keying, pair_rate_hz=pair_rate_hz, fidelity=fidelity, test_share=test_share)
    return block.seconds if block.secret_bit > 0 else math.inf
