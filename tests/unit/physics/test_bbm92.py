"""BBM92 against a sum over photon pairs, which the closed form is the limit of."""

import itertools
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.physics.bbm92 import PdcBbm92, coincidence, expected_block

efficiency = st.floats(0.001, 0.95)


@given(st.floats(0.001, 0.3), efficiency, efficiency, st.floats(0, 1e-3), st.floats(0, 1e-3), st.floats(0, 0.5))
@settings(max_examples=100)
def test_the_closed_form_is_the_sum_over_numbers_of_pairs(
    pairs: float, eta_a: float, eta_b: float, dark_a: float, dark_b: float, misalignment: float
) -> None:
    # MFL07: n pairs with probability (n+1) l^n / (1+l)^(n+2).
    gain = error_gain = 0.0
    miss_a, miss_b = 1 - eta_a, 1 - eta_b
    for n in range(200):
        chance = (n + 1) * pairs**n / (1 + pairs) ** (n + 2)
        both = (1 - (1 - dark_a) * miss_a**n) * (1 - (1 - dark_b) * miss_b**n)
        # (a^(n+1) - b^(n+1)) / (a - b) without dividing by a difference that may vanish
        mixed = sum(miss_a**k * miss_b ** (n - k) for k in range(n + 1))
        full = sum((miss_a * miss_b) ** k for k in range(n + 1))
        right = 2 * (0.5 - misalignment) / (n + 1) * (full - mixed)
        gain += chance * both
        error_gain += chance * (both / 2 - right)
    found_gain, found_error = coincidence(
        half_mean_pairs=pairs, efficiencies=(eta_a, eta_b), backgrounds=(dark_a, dark_b), misalignment=misalignment
    )
    assert found_gain == pytest.approx(gain, rel=1e-6, abs=1e-13)
    assert found_gain * found_error == pytest.approx(error_gain, rel=1e-6, abs=1e-13)


def test_the_sides_may_be_swapped() -> None:
    one = coincidence(half_mean_pairs=0.05, efficiencies=(0.1, 0.3), backgrounds=(1e-6, 1e-5), misalignment=0.01)
    other = coincidence(half_mean_pairs=0.05, efficiencies=(0.3, 0.1), backgrounds=(1e-5, 1e-6), misalignment=0.01)
    assert one == pytest.approx(other, rel=1e-9)


def test_key_falls_with_loss_and_ends() -> None:
    module = PdcBbm92(
        clock_hz=1e8,
        half_mean_pairs=0.02,
        detector_efficiency=0.1,
        background=1e-6,
        misalignment=0.01,
        block_sifted_bit=100_000,
    )
    rates = [expected_block(module, loss_db).skr_bit_per_s for loss_db in range(0, 90, 5)]
    assert rates[0] > 1000
    assert all(near > far or near == far == 0.0 for near, far in itertools.pairwise(rates))
    assert rates[-1] == 0.0
    assert expected_block(module, 1.0, misalignment=0.05).secret_bit < expected_block(module, 1.0).secret_bit
    assert math.isfinite(expected_block(module, 9000.0).seconds)


def test_no_light_and_no_noise_is_no_key() -> None:
    assert coincidence(half_mean_pairs=0.1, efficiencies=(0.0, 0.0), backgrounds=(0.0, 0.0), misalignment=0.0) == (
        0,
        0.5,
    )
    with pytest.raises(ValueError, match="half_mean_pairs"):
        PdcBbm92(
            clock_hz=1e8,
            half_mean_pairs=math.nan,
            detector_efficiency=0.1,
            background=0.0,
            misalignment=0.0,
            block_sifted_bit=1,
        )
