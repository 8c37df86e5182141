"""Rules of purification, and its expected cost against drawn rounds."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.physics.pair_states import BellDiagonal
from controller.physics.purification import (
    bbpssw,
    dejmps,
    nested_rounds,
    nested_rounds_dejmps,
    pumping,
    pumping_dejmps,
)
from tests.unit.physics.pairs import fidelities, pairs, useful_fidelities


@given(fidelities, fidelities)
def test_bbpssw_is_its_formula_in_fidelities(one: float, other: float) -> None:
    success, fidelity = bbpssw(one, other)
    bad_one, bad_other = 1 - one, 1 - other
    chance = one * other + (one * bad_other + bad_one * other) / 3 + 5 * bad_one * bad_other / 9
    assert success == pytest.approx(chance, abs=1e-12)
    assert fidelity == pytest.approx((one * other + bad_one * bad_other / 9) / chance, abs=1e-12)


@given(useful_fidelities)
def test_two_equal_pairs_above_a_half_become_a_better_one(fidelity: float) -> None:
    assert bbpssw(fidelity, fidelity)[1] > fidelity


@given(fidelities)
def test_a_first_dejmps_round_on_werner_pairs_is_bbpssw(fidelity: float) -> None:
    pair = BellDiagonal.werner(fidelity)
    success, purified = dejmps(pair, pair)
    assert (success, purified.fidelity) == pytest.approx(bbpssw(fidelity, fidelity), abs=1e-12)


@given(pairs, pairs)
def test_the_pairs_of_a_dejmps_round_may_be_exchanged(one: BellDiagonal, other: BellDiagonal) -> None:
    success, pair = dejmps(one, other)
    turned_success, turned = dejmps(other, one)
    assert turned_success == pytest.approx(success, abs=1e-12)
    assert list(turned) == pytest.approx(list(pair), abs=1e-9)
    assert sum(pair) == pytest.approx(1, abs=1e-9)


@given(useful_fidelities, st.integers(2, 4))
def test_without_a_twirl_later_rounds_are_better_and_cheaper(fidelity: float, rounds: int) -> None:
    cost, twirled = nested_rounds(fidelity, rounds)
    _, kept = nested_rounds_dejmps(BellDiagonal.werner(fidelity), rounds)
    assert kept.fidelity > twirled
    assert cost >= 2**rounds


@given(useful_fidelities, st.integers(0, 30))
def test_pumping_saturates_below_one(fidelity: float, rounds: int) -> None:
    cost, pumped = pumping(fidelity, rounds)
    more_cost, more = pumping(fidelity, rounds + 1)
    assert fidelity - 1e-12 <= pumped <= more + 1e-12 < 1
    assert more_cost >= cost + 1


def test_pumping_with_dejmps_starts_like_bbpssw_and_needs_no_werner_pairs() -> None:
    pair = BellDiagonal.werner(0.8)
    cost, pumped = pumping_dejmps(pair, 1)
    assert (cost, pumped.fidelity) == pytest.approx(pumping(0.8, 1), abs=1e-12)
    assert pumping_dejmps(pair, 0) == (1.0, pair)
    assert nested_rounds_dejmps(pair, 0) == (1.0, pair)
    assert nested_rounds(0.8, 0) == pytest.approx((1.0, 0.8), abs=1e-15)


def test_the_expected_cost_is_the_mean_of_drawn_rounds() -> None:
    draw = random.Random(4)

    def nested(rounds: int) -> int:
        """Return the raw pairs used for one pair after so many rounds."""
        if rounds == 0:
            return 1
        used = 0
        while True:
            used += nested(rounds - 1) + nested(rounds - 1)
            if draw.random() < bbpssw(*[nested_rounds(0.85, rounds - 1)[1]] * 2)[0]:
                return used

    def pumped(rounds: int) -> int:
        if rounds == 0:
            return 1
        used = 0
        while True:
            used += pumped(rounds - 1) + 1
            if draw.random() < bbpssw(pumping(0.85, rounds - 1)[1], 0.85)[0]:
                return used

    runs = 3000
    assert sum(nested(2) for _ in range(runs)) / runs == pytest.approx(nested_rounds(0.85, 2)[0], rel=0.04)
    assert sum(pumped(3) for _ in range(runs)) / runs == pytest.approx(pumping(0.85, 3)[0], rel=0.04)


def test_what_cannot_be_purified_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"^fidelity: "):
        bbpssw(1.2, 0.8)
    for rounds in (-1, 1.5):
        with pytest.raises(ValueError, match=r"^rounds: "):
            nested_rounds(0.8, rounds)  # type: ignore[arg-type]
    never = BellDiagonal(phi_plus=0, phi_minus=0, psi_plus=1, psi_minus=0)
    with pytest.raises(ValueError, match=r"^measured: "):
        dejmps(BellDiagonal.werner(1.0), never)
