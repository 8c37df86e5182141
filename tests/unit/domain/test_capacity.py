"""The accounting: never less than what masks really cost, and rising with the rate."""

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from controller.domain.capacity import (
    END_TO_END_CHECK_BIT,
    HOP_ACK_BIT,
    HOP_TAG_BIT,
    chunk_bits,
    link_charge_millibit_per_s,
    rate_within,
)
from controller.domain.link import MAX_RATE_MILLIBIT_PER_S

rates = st.one_of(st.integers(1, 2_000_000), st.integers(1, MAX_RATE_MILLIBIT_PER_S))


@given(rates)
def test_a_charge_covers_what_chunks_of_that_size_cost(rate: int) -> None:
    size = chunk_bits(rate)
    masks = HOP_TAG_BIT + HOP_ACK_BIT + END_TO_END_CHECK_BIT
    assert link_charge_millibit_per_s(rate) >= Fraction(rate * (size + masks), size)
    assert size % 8 == 0
    assert 256 <= size <= 8192


@given(rates, st.integers(1, 10_000))
def test_a_charge_rises_with_the_rate(rate: int, more: int) -> None:
    assert link_charge_millibit_per_s(rate + more) > link_charge_millibit_per_s(rate)


@given(st.integers(0, MAX_RATE_MILLIBIT_PER_S))
def test_rate_within_is_the_largest_that_fits(room: int) -> None:
    rate = rate_within(room)
    assert rate == 0 or link_charge_millibit_per_s(rate) <= room
    assert link_charge_millibit_per_s(rate + 1) > room
