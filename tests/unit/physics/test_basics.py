"""Entropy and loss."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.physics.basics import binary_entropy, fibre_loss_db, key_fraction, transmittance


@given(st.floats(0, 1))
def test_entropy_is_symmetric_and_at_most_one_bit(probability: float) -> None:
    assert 0 <= binary_entropy(probability) <= 1
    assert binary_entropy(probability) == pytest.approx(binary_entropy(1 - probability), abs=1e-9)


@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan")])
def test_entropy_of_what_is_no_probability_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="not a probability"):
        binary_entropy(value)


@given(st.floats(0, 100), st.floats(0, 100))
def test_losses_in_series_add_and_transmittances_multiply(one: float, other: float) -> None:
    assert transmittance(one + other) == pytest.approx(transmittance(one) * transmittance(other), rel=1e-9)


def test_a_hundred_kilometres_at_a_fifth_of_a_decibel_leave_one_percent() -> None:
    assert transmittance(fibre_loss_db(100.0, 0.2)) == pytest.approx(0.01)


def test_key_ends_near_eleven_percent_of_errors() -> None:
    assert key_fraction(0.1099, 1.0) > 0
    assert key_fraction(0.1101, 1.0) == 0
    assert key_fraction(0.9) == 0
