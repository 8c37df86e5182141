"""Lanes of a slot against the enumeration of every channel's fate."""

import itertools
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.physics.slot_regime import (
    dominates,
    expected_lanes,
    extended_lanes,
    hop_lanes,
    lane_distribution,
    one_lane_success,
    slot_rate_hz,
)


def enumerated(probabilities: list[float], width: int) -> list[float]:
    """P(i lanes), channel by channel."""
    found = [0.0] * (width + 1)
    for fates in itertools.product((0, 1), repeat=width * len(probabilities)):
        chance = 1.0
        counts: list[int] = []
        for hop, probability in enumerate(probabilities):
            channels = fates[hop * width : (hop + 1) * width]
            chance *= math.prod(probability if fate else 1 - probability for fate in channels)
            counts.append(sum(channels))
        found[min(counts)] += chance
    return found


@given(st.lists(st.floats(0.01, 1.0), min_size=1, max_size=3), st.integers(1, 3))
@settings(max_examples=40)
def test_the_extended_distribution_is_the_enumeration(probabilities: list[float], width: int) -> None:
    assert lane_distribution(probabilities, width) == pytest.approx(enumerated(probabilities, width), abs=1e-12)


@given(st.lists(st.floats(0.01, 1.0), min_size=1, max_size=6), st.integers(1, 6), st.floats(0.1, 1.0))
@settings(max_examples=40)
def test_extension_keeps_order_and_never_helps(probabilities: list[float], width: int, next_hop: float) -> None:
    lanes = lane_distribution(probabilities, width)
    longer = extended_lanes(lanes, next_hop)
    assert sum(longer) == pytest.approx(1.0, abs=1e-12)
    assert expected_lanes(longer) <= expected_lanes(lanes) + 1e-12
    worse = lane_distribution([*probabilities, 0.5], width)
    if dominates(lanes, worse):
        assert expected_lanes(longer) >= expected_lanes(extended_lanes(worse, next_hop)) - 1e-12


def test_width_one_is_the_product() -> None:
    chain, swaps = [0.3, 0.4, 0.9], [0.5, 0.8]
    assert expected_lanes(lane_distribution(chain, 1), swaps) == pytest.approx(one_lane_success(chain, swaps))
    assert slot_rate_hz(chain, swaps, [1e-3, 2e-3, 1e-3], 1) == pytest.approx(0.3 * 0.4 * 0.9 * 0.4 / 2e-3)


def test_the_mean_number_of_lanes_is_not_isotonic() -> None:
    q = 0.95
    short, long = lane_distribution([0.14], 3), lane_distribution([0.41, 0.49, 0.27], 3)
    assert expected_lanes(short) == pytest.approx(0.4200, abs=5e-5)
    assert expected_lanes(long, [q, q]) == pytest.approx(0.4090, abs=5e-5)
    assert expected_lanes(extended_lanes(short, 0.11), [q]) == pytest.approx(0.1037, abs=5e-5)
    assert expected_lanes(extended_lanes(long, 0.11), [q, q, q]) == pytest.approx(0.1074, abs=5e-5)
    assert not dominates(short, long)


@pytest.mark.parametrize("bad", [0.0, 1.5, -1.0, math.nan])
def test_impossible_arguments_are_refused_by_name(bad: float) -> None:
    with pytest.raises(ValueError, match=r"probabilities\[1\]"):
        one_lane_success([0.5, bad], [0.5])
    with pytest.raises(ValueError, match=r"swap_successes\[0\]"):
        one_lane_success([0.5, 0.5], [bad])
    with pytest.raises(ValueError, match="probability"):
        extended_lanes((0.5, 0.5), bad)
    with pytest.raises(ValueError, match=r"swap_successes\[0\]"):
        expected_lanes((0.5, 0.5), [bad])
    if bad != 1.5:
        with pytest.raises(ValueError, match=r"attempt_periods_s\[0\]"):
            slot_rate_hz([0.5], [], [bad], 1)
    with pytest.raises(ValueError, match="width"):
        hop_lanes(0.5, 0)
    with pytest.raises(ValueError, match="swap_successes"):
        one_lane_success([0.5, 0.5], [])


@pytest.mark.parametrize("probability", [1e-6, 0.3, 0.999, 1.0])
def test_counts_of_very_many_channels_have_their_mean(probability: float) -> None:
    for width in (1000, 1001, 20_000):
        lanes = hop_lanes(probability, width)
        assert math.fsum(lanes) == pytest.approx(1.0, abs=1e-9)
        assert expected_lanes(lanes) == pytest.approx(width * probability, rel=1e-9)
