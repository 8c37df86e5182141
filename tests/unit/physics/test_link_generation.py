"""The published formulas of heralding, and attempts in time."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.physics.link_generation import Heralding, attempt_period_s, double_click, link_rate_hz, single_click

alphas = st.floats(0.001, 0.9)
etas = st.floats(0.001, 1.0)


@given(alphas, etas)
def test_equal_ends_give_the_published_formulas(alpha: float, eta: float) -> None:
    resolving = single_click(alpha, eta, number_resolving=True)
    assert resolving.success_probability == pytest.approx(2 * alpha * eta * (1 - alpha * eta), rel=1e-9)
    assert resolving.fidelity == pytest.approx((1 - alpha) / (1 - alpha * eta), rel=1e-9)
    threshold = single_click(alpha, eta)
    assert threshold.success_probability == pytest.approx(1 - (1 - alpha * eta) ** 2, rel=1e-9)
    assert threshold.fidelity == pytest.approx((1 - alpha) / (1 - alpha * eta / 2), rel=1e-9)


@given(alphas, etas, st.floats(0.0, 1.0))
def test_phase_noise_takes_its_share_of_the_fidelity_and_nothing_of_the_rate(
    alpha: float, eta: float, coherence: float
) -> None:
    quiet, noisy = single_click(alpha, eta), single_click(alpha, eta, phase_coherence=coherence)
    assert noisy.success_probability == quiet.success_probability
    assert noisy.fidelity == pytest.approx(quiet.fidelity * (1 + coherence) / 2, rel=1e-9)


@given(st.floats(0.001, 0.2), st.floats(0.001, 0.1))
def test_a_brighter_state_buys_rate_with_fidelity(alpha: float, eta: float) -> None:
    dim, bright = single_click(alpha, eta), single_click(2 * alpha, eta)
    assert bright.success_probability > dim.success_probability
    assert bright.fidelity < dim.fidelity


def test_unequal_arms_are_best_with_equal_chances_of_a_click() -> None:
    matched = single_click((0.05, 0.1), (0.02, 0.01))
    assert matched.fidelity > single_click((0.075, 0.075), (0.02, 0.01)).fidelity


def test_one_click_pays_one_arm_and_two_clicks_pay_both() -> None:
    assert single_click(0.1, 1e-4).success_probability / double_click(1e-4).success_probability > 1000
    assert double_click((0.1, 0.2)).success_probability == pytest.approx(0.01)


def test_an_attempt_waits_for_light_or_for_the_hardware() -> None:
    assert attempt_period_s(25.0, Heralding.MIDDLE, repetition_hz=1e6) == pytest.approx(125e-6)
    assert attempt_period_s(25.0, Heralding.FAR_END, repetition_hz=1e6) == pytest.approx(250e-6)
    assert attempt_period_s(0.0, Heralding.MIDDLE, repetition_hz=1e6) == pytest.approx(1e-6)
    assert link_rate_hz(1e-3, 250e-6, memories=10) == pytest.approx(40.0)


@pytest.mark.parametrize("bad", [-0.1, 1.1, math.nan, math.inf])
def test_what_is_out_of_range_is_refused_by_name(bad: float) -> None:
    with pytest.raises(ValueError, match=r"^bright_state: "):
        single_click((0.1, bad), 0.1)
    with pytest.raises(ValueError, match=r"^arm_efficiency: "):
        single_click(0.1, bad)
    with pytest.raises(ValueError, match=r"^phase_coherence: "):
        single_click(0.1, 0.1, phase_coherence=bad)
    with pytest.raises(ValueError, match=r"^visibility: "):
        double_click(0.1, visibility=bad)
    with pytest.raises(ValueError, match=r"^success_probability: "):
        link_rate_hz(bad, 1.0)


def test_an_attempt_that_takes_no_time_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^repetition_hz: "):
        attempt_period_s(0.0, Heralding.MIDDLE)
    with pytest.raises(ValueError, match=r"^repetition_hz: "):
        attempt_period_s(1.0, Heralding.MIDDLE, repetition_hz=math.nan)
    with pytest.raises(ValueError, match=r"^length_km: "):
        attempt_period_s(-1.0, Heralding.MIDDLE)
    with pytest.raises(ValueError, match=r"^attempt_period_s: "):
        link_rate_hz(0.1, 0.0)
    with pytest.raises(ValueError, match=r"^memories: "):
        link_rate_hz(0.1, 1.0, memories=0)
    with pytest.raises(ValueError, match=r"^bright_state: "):
        single_click(1.0, 0.1)
