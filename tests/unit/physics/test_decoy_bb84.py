"""Decoy-state BB84 against the channel's own truth, the asymptotic theory, and a point evaluated step by step."""

import math
from dataclasses import replace
from decimal import Decimal, getcontext

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.physics import decoy_bb84
from controller.physics.basics import binary_entropy, transmittance
from controller.physics.decoy_bb84 import EXAMPLE, Counts, DecoyBb84, expected_block, secret_bits
from controller.physics.gllp import infinite_decoy_key_per_pulse, vacuum_weak_single_photon

modules = st.builds(
    lambda mu1, share2, share3, p1, p3, px, eta, dark, ap, mis, block: DecoyBb84(
        clock_hz=1e9,
        intensities=(mu1, mu1 * share2, mu1 * share2 * share3),
        intensity_probabilities=(p1, 1 - p1 - p3, p3),
        key_basis_probability=px,
        detector_efficiency=eta,
        dark_count_probability=dark,
        afterpulse_probability=ap,
        misalignment=mis,
        block_sifted_bit=block,
    ),
    st.floats(0.3, 0.9),
    st.floats(0.05, 0.6),
    st.floats(0.0, 0.5),
    st.floats(0.3, 0.7),
    st.floats(0.05, 0.25),
    st.floats(0.5, 0.95),
    st.floats(0.05, 0.9),
    st.floats(0.0, 1e-4),
    st.floats(0.0, 0.05),
    st.floats(0.0, 0.05),
    st.integers(10**5, 10**10),
)


def key_per_pulse(module: DecoyBb84, loss_db: float) -> float:
    block = expected_block(module, loss_db)
    return block.skr_bit_per_s / module.clock_hz


def counts(module: DecoyBb84, loss_db: float, pulses: float) -> tuple[Counts, Counts]:
    (found1, wrong1), (found2, wrong2), (found3, wrong3) = decoy_bb84.pulse_probabilities(module, loss_db)
    p1, p2, p3 = (pulses * p for p in module.intensity_probabilities)

    def basis(share: float) -> Counts:
        return Counts(
            detections=(share * p1 * found1, share * p2 * found2, share * p3 * found3),
            errors=(share * p1 * wrong1, share * p2 * wrong2, share * p3 * wrong3),
        )

    return basis(module.key_basis_probability**2), basis((1 - module.key_basis_probability) ** 2)


@given(modules, st.floats(0.0, 40.0))
@settings(max_examples=150)
def test_the_bounds_never_promise_more_than_the_channel_really_gives(module: DecoyBb84, loss_db: float) -> None:
    # The truth by photon number: an n-photon pulse clicks with Y_n = 1 - (1 - 2 p_dc)(1 - eta)^n, and after-pulses add.
    pulses = 1e11
    key, test = counts(module, loss_db, pulses)
    eta = module.detector_efficiency * transmittance(loss_db)
    dark, ap = module.dark_count_probability, module.afterpulse_probability
    yield1 = 1 - (1 - 2 * dark) * (1 - eta)
    tau0, tau1 = (decoy_bb84.photon_number_probability(module, n) for n in (0, 1))
    in_key, in_test = module.key_basis_probability**2, (1 - module.key_basis_probability) ** 2

    true_vacuum = pulses * in_key * tau0 * 2 * dark * (1 + ap)
    true_single = pulses * in_key * tau1 * yield1 * (1 + ap)
    true_errors = pulses * in_test * tau1 * (dark + module.misalignment * eta + ap * yield1 / 2)

    slack = 1 + 1e-9
    assert decoy_bb84._vacuum_events(module, key.detections) <= true_vacuum * slack
    assert decoy_bb84._single_photon_events(module, key.detections) <= true_single * slack
    assert decoy_bb84._single_photon_errors(module, test.errors) * slack >= true_errors


def test_long_blocks_approach_the_vacuum_and_weak_decoy_key_from_below() -> None:
    # given a vacuum as the weakest intensity, for which the theory without statistics is in closed form
    module = replace(EXAMPLE, intensities=(0.46, 0.22, 0.0))
    loss_db = 13.5
    (q_mu, _), (q_nu, eq_nu), (y0, _) = decoy_bb84.pulse_probabilities(module, loss_db)
    y1, e1 = vacuum_weak_single_photon(signal=(0.46, q_mu), decoy=(0.22, q_nu, eq_nu), background=y0)
    tau0, tau1 = (decoy_bb84.photon_number_probability(module, n) for n in (0, 1))
    per_pulse = decoy_bb84.pulse_probabilities(module, loss_db)
    gain = sum(p * found for p, (found, _) in zip(module.intensity_probabilities, per_pulse, strict=True))
    error = sum(p * wrong for p, (_, wrong) in zip(module.intensity_probabilities, per_pulse, strict=True)) / gain
    limit = module.key_basis_probability**2 * (
        tau0 * y0
        + tau1 * y1 * (1 - binary_entropy(e1))
        - module.error_correction_efficiency * gain * binary_entropy(error)
    )

    # when blocks grow
    rates = [key_per_pulse(replace(module, block_sifted_bit=10**power), loss_db) for power in (7, 9, 11, 13, 17)]

    # then the key per pulse grows towards that limit and never beyond it
    assert rates == sorted(rates)
    assert rates[0] < 0.8 * limit
    assert rates[-1] <= limit * (1 + 1e-9)
    assert rates[-1] == pytest.approx(limit, rel=1e-3)


@given(modules, st.floats(0.0, 30.0))
@settings(max_examples=100)
def test_two_decoys_never_beat_infinitely_many(module: DecoyBb84, loss_db: float) -> None:
    module = replace(module, afterpulse_probability=0.0)
    eta = module.detector_efficiency * transmittance(loss_db)
    best = sum(
        # Every pulse of every intensity may carry key: the bound for each, and for vacuum events that carry it free.
        p
        * (
            infinite_decoy_key_per_pulse(
                intensity=max(mu, 1e-12),
                efficiency=eta,
                background=2 * module.dark_count_probability,
                misalignment=module.misalignment,
                error_correction_efficiency=1.0,
            )
            + 2 * module.dark_count_probability
        )
        for p, mu in zip(module.intensity_probabilities, module.intensities, strict=True)
    )
    assert key_per_pulse(module, loss_db) <= best * (1 + 1e-6)


def test_a_point_evaluated_step_by_step_in_thirty_digits() -> None:
    getcontext().prec = 30
    module = DecoyBb84(
        clock_hz=1e9,
        intensities=(0.5, 0.2, 0.0),
        intensity_probabilities=(0.5, 0.25, 0.25),
        key_basis_probability=0.8,
        detector_efficiency=0.2,
        dark_count_probability=1e-6,
        misalignment=0.01,
        secrecy_failure=2.1e-9,
        correctness_failure=2e-15,
        block_sifted_bit=1,
    )
    key = Counts(detections=(7_000_000, 1_500_000, 1_000), errors=(70_000, 15_000, 500))
    test = Counts(detections=(700_000, 150_000, 100), errors=(7_000, 1_500, 50))

    d = Decimal
    ln2 = d(2).ln()
    e1, e2 = d("0.5").exp(), d("0.2").exp()
    tau0 = d("0.5") / e1 + d("0.25") / e2 + d("0.25")
    tau1 = d("0.5") * d("0.5") / e1 + d("0.25") * d("0.2") / e2
    delta_x = (d(8_501_000) / 2 * d(10).ln() * 10).sqrt()  # 21 / 2.1e-9 = 1e10
    delta_z = (d(850_100) / 2 * d(10).ln() * 10).sqrt()
    delta_m = (d(8_550) / 2 * d(10).ln() * 10).sqrt()

    def single(n1: int, n2: int, n3: int, delta: Decimal) -> Decimal:
        vacuum = max(d(0), 4 * (n3 - delta))
        return (
            tau1
            * d("0.5")
            / d("0.06")
            * (4 * e2 * (n2 - delta) - 4 * (n3 + delta) - d("0.16") * (2 * e1 * (n1 + delta) - vacuum))
        )

    s_x0 = max(d(0), tau0 * 4 * (1_000 - delta_x))
    s_x1 = single(7_000_000, 1_500_000, 1_000, delta_x)
    s_z1 = single(700_000, 150_000, 100, delta_z)
    b = tau1 * (4 * e2 * (1_500 + delta_m) - max(d(0), 4 * (50 - delta_m))) / d("0.2") / s_z1

    def log2(x: Decimal) -> Decimal:
        return x.ln() / ln2

    def h(x: Decimal) -> Decimal:
        return -x * log2(x) - (1 - x) * log2(1 - x)

    phi = (
        b
        + (
            (s_z1 + s_x1)
            * (1 - b)
            * b
            / (s_z1 * s_x1 * ln2)
            * log2((s_z1 + s_x1) / (s_z1 * s_x1 * (1 - b) * b) * d(10) ** 20)
        ).sqrt()
    )
    leak = d("1.16") * 8_501_000 * h(d(85_500) / d(8_501_000))
    length = s_x0 + s_x1 * (1 - h(phi)) - leak - 6 * log2(d(10) ** 10) - log2(d(10) ** 15)

    assert length > 1_000_000
    assert secret_bits(module, key, test) == int(length)


@given(modules, st.floats(0.0, 60.0), st.floats(0.01, 10.0))
@settings(max_examples=100)
def test_more_fibre_never_gives_more_key(module: DecoyBb84, loss_db: float, more_db: float) -> None:
    near, far = key_per_pulse(module, loss_db), key_per_pulse(module, loss_db + more_db)
    # a block's key is whole bits, and blocks that reach the limits of the model flicker by less than one
    assert far <= near * (1 + 1e-6) + 1.0 / module.block_sifted_bit


def test_beyond_its_reach_a_link_gives_nothing_and_says_so_without_a_crash() -> None:
    for loss_db in (60.0, 100.0, 4000.0):
        assert expected_block(EXAMPLE, loss_db).secret_bit == 0
    silent = replace(EXAMPLE, dark_count_probability=0.0, afterpulse_probability=0.0)
    block = expected_block(silent, 10_000.0)
    assert (block.secret_bit, block.seconds, block.qber, block.skr_bit_per_s) == (0, math.inf, 0.5, 0.0)


def test_a_drifted_channel_shows_more_errors_and_gives_less_key() -> None:
    calm, drifted = expected_block(EXAMPLE, 13.5), expected_block(EXAMPLE, 13.5, misalignment=0.03)
    assert drifted.qber > calm.qber
    assert drifted.secret_bit < calm.secret_bit
    assert expected_block(EXAMPLE, 13.5, misalignment=0.12).secret_bit == 0


@pytest.mark.parametrize(
    "change",
    [
        {"intensities": (0.4, 0.3, 0.1)},
        {"intensities": (0.5, 0.1, 0.1)},
        {"intensities": (math.nan, 0.1, 0.0)},
        {"intensity_probabilities": (0.5, 0.4, 0.2)},
        {"key_basis_probability": 1.0},
        {"detector_efficiency": 0.0},
        {"dark_count_probability": math.nan},
        {"misalignment": 0.6},
        {"block_sifted_bit": 0},
        {"clock_hz": math.inf},
    ],
)
def test_a_module_outside_the_proof_cannot_be_made(change: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="out of range"):
        replace(EXAMPLE, **change)  # type: ignore[arg-type]
