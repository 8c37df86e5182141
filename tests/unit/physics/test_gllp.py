"""The theory without statistics: bounds on the right side of the truth, and an end to the reach."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.physics.basics import transmittance
from controller.physics.gllp import infinite_decoy_key_per_pulse, vacuum_weak_single_photon


@given(st.floats(0.2, 0.9), st.floats(0.01, 0.99), st.floats(0.0, 1e-4), st.floats(1e-4, 0.5), st.floats(0.0, 0.2))
def test_vacuum_and_weak_decoy_bound_the_single_photons_from_the_safe_side(
    mu: float, share: float, background: float, efficiency: float, misalignment: float
) -> None:
    nu = mu * share

    def gain(intensity: float) -> float:
        # The exact channel: an n-photon pulse clicks with 1 - (1 - Y0)(1 - eta)^n.
        return 1 - (1 - background) * math.exp(-efficiency * intensity)

    true_yield = 1 - (1 - background) * (1 - efficiency)
    true_error = (background / 2 + misalignment * efficiency) / true_yield
    error_gain = background / 2 + misalignment * -math.expm1(-efficiency * nu)
    least_yield, most_error = vacuum_weak_single_photon(
        signal=(mu, gain(mu)), decoy=(nu, gain(nu), error_gain), background=background
    )
    assert least_yield <= true_yield * (1 + 1e-6)
    if least_yield > 0:
        assert most_error >= true_error * (1 - 1e-6)


def test_key_falls_with_loss_and_ends() -> None:
    rates = [
        infinite_decoy_key_per_pulse(
            intensity=0.48, efficiency=0.045 * transmittance(loss_db), background=1.7e-6, misalignment=0.033
        )
        for loss_db in range(0, 60, 3)
    ]
    assert rates == sorted(rates, reverse=True)
    assert rates[0] > 1e-3
    assert rates[-1] == 0.0
    assert infinite_decoy_key_per_pulse(intensity=0.5, efficiency=0.0, background=0.0, misalignment=0.0) == 0.0


@pytest.mark.parametrize("decoy", [0.0, 0.5, 0.6, math.nan])
def test_a_decoy_outside_the_validity_of_the_bound_is_refused(decoy: float) -> None:
    with pytest.raises(ValueError, match="decoy intensity"):
        vacuum_weak_single_photon(signal=(0.5, 0.01), decoy=(decoy, 0.005, 0.0001), background=1e-6)
