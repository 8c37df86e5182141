"""Rates and durations as people write them."""

import math

import pytest
import typer
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.cli.quantities import duration_ms, duration_pb, rate_bit_per_s, shown_moment, shown_number, shown_span


@settings(deadline=None)
@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_number_is_a_rate_and_its_range_is_left_to_the_controller(value: float) -> None:
    assert rate_bit_per_s(repr(value)) == value


def test_a_rate_that_is_not_a_number_reaches_the_controller_too() -> None:
    assert math.isnan(rate_bit_per_s("nan"))


@pytest.mark.parametrize("text", ["", "k", "fast", "1 2", "3x", "1kk"])
def test_what_is_no_rate_is_refused(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="is not a rate"):
        rate_bit_per_s(text)


@pytest.mark.parametrize("text", ["", "soon", "5 minutes", "-5s", "5y", "1h 5m", "nan", "1e3"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="is not a duration"):
        duration_ms(text)


def test_a_duration_beyond_what_the_api_can_carry_is_refused() -> None:
    with pytest.raises(typer.BadParameter, match="longer than any network lives"):
        duration_pb("999999999999d")


def test_a_duration_keeps_its_milliseconds() -> None:
    converted = duration_pb("1m250ms")
    assert (converted.seconds, converted.nanos) == (60, 250_000_000)


@settings(deadline=None)
@given(st.integers(min_value=1, max_value=10**9))
def test_a_span_that_is_shown_reads_back_as_its_two_largest_units(span_s: int) -> None:
    read = duration_ms(shown_span(span_s)) / 1000
    assert 0 <= span_s - read < 86_400
    assert read == span_s or read >= 3600


@settings(deadline=None)
@given(st.floats(min_value=0, max_value=1e12))
def test_a_shown_number_is_right_to_three_decimals(value: float) -> None:
    assert abs(float(shown_number(value)) - value) <= 0.0005 + 1e-9 * value


def test_moments_are_absolute_where_nobody_looks_on_and_absent_ones_are_empty() -> None:
    assert shown_moment(Timestamp(seconds=1_700_000_000), None) == "2023-11-14T22:13:20Z"
    assert shown_moment(Timestamp(), None) == ""
