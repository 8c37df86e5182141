"""From pairs to key: the bound's own terms, its sampling, and its limit of long blocks."""

import math
import random
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.physics.basics import key_fraction
from controller.physics.pair_keys import (
    PairKeying,
    distilled_bits,
    expected_leak_bits,
    expected_pair_block,
    key_rate_hz,
    sampling_deviation,
    secret_fraction,
    time_to_first_key_s,
)
from controller.physics.pair_states import qber_of

errors = st.floats(0.0, 0.2)


@given(st.floats(0.0, 0.5))
def test_equal_error_rates_give_the_fraction_of_single_photons(error: float) -> None:
    assert secret_fraction(error, error) == pytest.approx(key_fraction(error), abs=1e-12)


def test_perfect_error_correction_gives_key_from_werner_pairs_above_eighty_three_and_a_half_percent() -> None:
    assert secret_fraction(qber_of(0.8345), qber_of(0.8345), 1.0) == 0.0
    assert secret_fraction(qber_of(0.8355), qber_of(0.8355), 1.0) > 0.0


def test_a_sample_understates_the_rest_no_more_often_than_allowed() -> None:
    # Exact: the hypergeometric tail, for every number of errors in the block.
    kept, sampled, failure = 120, 60, 0.3
    whole = kept + sampled
    margin = sampling_deviation(kept, sampled, failure)
    worst = max(
        sum(
            math.comb(wrong, seen) * math.comb(whole - wrong, sampled - seen) / math.comb(whole, sampled)
            for seen in range(max(0, wrong - kept), min(wrong, sampled) + 1)
            if (wrong - seen) / kept > seen / sampled + margin
        )
        for wrong in range(whole + 1)
    )
    assert 0 < worst <= failure**2


@given(st.integers(1, 10**6), st.integers(1, 10**6), errors, errors)
def test_no_block_gives_more_than_an_infinite_one(kept: int, sampled: int, phase: float, bit: float) -> None:
    leak = expected_leak_bits(kept, bit)
    found = distilled_bits(sifted_bits=kept, sample_bits=sampled, sample_error=phase, leaked_bits=leak)
    assert 0 <= found <= kept * secret_fraction(phase, bit)


def test_a_long_block_comes_near_an_infinite_one() -> None:
    count = 10**11
    found = distilled_bits(
        sifted_bits=count, sample_bits=count, sample_error=0.03, leaked_bits=expected_leak_bits(count, 0.03)
    )
    assert found / count == pytest.approx(secret_fraction(0.03, 0.03), abs=2e-4)


@given(st.integers(5_000, 10**6), st.integers(5_000, 10**6), st.floats(0.0, 0.1), st.floats(0.0, 1e4))
@settings(max_examples=60)
def test_more_sample_helps_and_more_error_leak_or_caution_costs(
    kept: int, sampled: int, error: float, leak: float
) -> None:
    def bits(*, more_sample: int = 0, more_error: float = 0.0, more_leak: float = 0.0, secrecy: float = 1e-10) -> int:
        return distilled_bits(
            sifted_bits=kept,
            sample_bits=sampled + more_sample,
            sample_error=error + more_error,
            leaked_bits=leak + more_leak,
            secrecy_failure=secrecy,
        )

    assert bits(more_sample=1000) >= bits()
    assert bits(more_error=0.01) <= bits()
    assert bits(more_leak=100.0) <= bits()
    assert bits(secrecy=1e-12) <= bits()


def test_the_terms_of_the_bound_are_those_of_its_source() -> None:
    # eps_sec = 2^-20 and eps_cor = 2^-30: 1 + 2 * 20 + 30 bits, and the deviation for a failure of 2^-22.
    n, k, q = 60_000, 20_000, 0.025
    mu = math.sqrt((n + k) * (k + 1) / (n * k * k) * 22 * math.log(2))
    entropy = -(q + mu) * math.log2(q + mu) - (1 - q - mu) * math.log2(1 - q - mu)
    found = distilled_bits(
        sifted_bits=n,
        sample_bits=k,
        sample_error=q,
        leaked_bits=11_000.0,
        secrecy_failure=2.0**-20,
        correctness_failure=2.0**-30,
    )
    assert found == math.floor(n * (1 - entropy) - 11_000 - 71)


def test_the_expected_block_is_what_drawn_bases_give() -> None:
    keying = PairKeying(block_sifted_bit=20_000, key_basis_probability=0.7)
    draw = random.Random(9)
    pairs = key = test = 0
    while key + test < keying.block_sifted_bit:
        pairs += 1
        mine, yours = draw.random() < 0.7, draw.random() < 0.7
        key += mine and yours
        test += not mine and not yours
    block = expected_pair_block(keying, pair_rate_hz=80.0, fidelity=0.97, test_share=0.2)
    assert block.seconds == pytest.approx(pairs / (80.0 * 0.8), rel=0.02)
    assert keying.sample_bits == pytest.approx(test, rel=0.05)


@given(st.floats(0.1, 1e5), st.floats(0.5, 1.0), st.floats(0.0, 0.9))
def test_the_rate_is_what_whole_blocks_give_and_the_first_key_waits_for_one(
    pair_rate_hz: float, fidelity: float, test_share: float
) -> None:
    keying = PairKeying(block_sifted_bit=50_000)
    given_pairs = {"pair_rate_hz": pair_rate_hz, "fidelity": fidelity, "test_share": test_share}
    rate, first_s = key_rate_hz(keying, **given_pairs), time_to_first_key_s(keying, **given_pairs)
    block = expected_pair_block(keying, **given_pairs)
    assert rate == pytest.approx(block.secret_bit / block.seconds)
    assert first_s == (block.seconds if rate > 0 else math.inf)
    assert rate <= pair_rate_hz * (1 - test_share) * keying.sifting * secret_fraction(*[qber_of(fidelity)] * 2) + 1e-9


def test_no_pairs_and_pairs_too_poor_give_no_key_ever() -> None:
    keying = PairKeying(block_sifted_bit=1_000_000)
    for pair_rate_hz, fidelity in ((0.0, 0.99), (100.0, 0.8)):
        assert key_rate_hz(keying, pair_rate_hz=pair_rate_hz, fidelity=fidelity, test_share=0.1) == 0.0
        assert time_to_first_key_s(keying, pair_rate_hz=pair_rate_hz, fidelity=fidelity, test_share=0.1) == math.inf
    assert distilled_bits(sifted_bits=0, sample_bits=10, sample_error=0.0, leaked_bits=0.0) == 0
    assert distilled_bits(sifted_bits=10, sample_bits=0, sample_error=0.0, leaked_bits=0.0) == 0


@pytest.mark.parametrize("bad", [-0.1, 1.1, math.nan, math.inf])
def test_what_is_out_of_range_is_refused_by_name(bad: float) -> None:
    keying = PairKeying(block_sifted_bit=1000)
    calls: dict[str, Callable[[], object]] = {
        "qx": lambda: secret_fraction(bad, 0.1),
        "qz": lambda: secret_fraction(0.1, bad),
        "sample_error": lambda: distilled_bits(sifted_bits=9, sample_bits=9, sample_error=bad, leaked_bits=0.0),
        "fidelity": lambda: key_rate_hz(keying, pair_rate_hz=1.0, fidelity=bad, test_share=0.1),
        "test_share": lambda: key_rate_hz(keying, pair_rate_hz=1.0, fidelity=0.9, test_share=bad),
        "key_basis_probability": lambda: PairKeying(block_sifted_bit=1000, key_basis_probability=bad),
        "secrecy_failure": lambda: PairKeying(block_sifted_bit=1000, secrecy_failure=bad),
        "failure": lambda: sampling_deviation(10, 10, bad),
    }
    for name, call in calls.items():
        with pytest.raises(ValueError, match=rf"^{name}: "):
            call()


def test_counts_rates_and_efficiencies_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValueError, match=r"^pair_rate_hz: "):
        key_rate_hz(PairKeying(block_sifted_bit=1000), pair_rate_hz=-1.0, fidelity=0.9, test_share=0.1)
    with pytest.raises(ValueError, match=r"^block_sifted_bit: "):
        PairKeying(block_sifted_bit=1)
    with pytest.raises(ValueError, match=r"^error_correction_efficiency: "):
        secret_fraction(0.1, 0.1, 0.9)
    with pytest.raises(ValueError, match=r"^leaked_bits: "):
        distilled_bits(sifted_bits=9, sample_bits=9, sample_error=0.1, leaked_bits=-1.0)


def test_what_is_spent_of_each_block_comes_off_its_key_and_can_leave_none() -> None:
    def rate(block_bit: int, spent_bit: int) -> float:
        keying = PairKeying(block_sifted_bit=block_bit, spent_bit=spent_bit)
        return key_rate_hz(keying, pair_rate_hz=1000.0, fidelity=0.98, test_share=0.0)

    block_s = 10_240 / 500
    assert rate(10_240, 384) == pytest.approx(rate(10_240, 0) - 384 / block_s)
    assert rate(4096, 0) > 0
    assert rate(4096, 384) == 0
    keying = PairKeying(block_sifted_bit=4096, spent_bit=384)
    assert time_to_first_key_s(keying, pair_rate_hz=1000.0, fidelity=0.98, test_share=0.0) == math.inf
