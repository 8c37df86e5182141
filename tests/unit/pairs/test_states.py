"""The engine's fast states are those of the physics."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.domain.pair_link import PairHardware
from controller.physics.pair_states import BellDiagonal
from controller.physics.purification import bbpssw
from controller.physics.swapping import noisy_swap
from southbound.agent.pairs.states import Pair, purified, swap_noise, swapped

weights = st.lists(st.floats(0.001, 1.0), min_size=4, max_size=4).map(lambda found: [x / sum(found) for x in found])
qualities = st.floats(0.0, 1.0)


def pair_of(a: float, b: float, c: float, d: float, *, at_s: float = 0.0, rate: float = 0.0) -> Pair:
    return Pair(7, a + b - c - d, a - b + c - d, a - b - c + d, at_s, rate, 0.0)


@given(weights)
def test_the_correlations_hold_the_whole_state(found: list[float]) -> None:
    assert list(pair_of(*found).state()) == pytest.approx(found)
    assert pair_of(*found).fidelity == pytest.approx(found[0])


@given(weights, weights, qualities, st.floats(0.5, 1.0), qualities)
def test_a_swap_is_that_of_the_physics(
    left: list[float], right: list[float], gate: float, readout: float, one_qubit: float
) -> None:
    hardware = PairHardware(memories=2, gate_quality=gate, readout_quality=readout, one_qubit_gate_quality=one_qubit)
    expected = noisy_swap(state(left), state(right), gate, readout, one_qubit)
    found = swapped(pair_of(*left), pair_of(*right), swap_noise(hardware), 0.0, sequence=1, outcome=0)
    assert list(found.state()) == pytest.approx(list(expected), abs=1e-12)


def state(found: list[float]) -> BellDiagonal:
    a, b, c, d = found
    return BellDiagonal(phi_plus=a, phi_minus=b, psi_plus=c, psi_minus=d)


@given(st.floats(0.3, 1.0), st.floats(0.3, 1.0))
def test_a_round_of_purification_is_that_of_the_physics(one: float, other: float) -> None:
    chance, better = bbpssw(one, other)
    found_chance, found = purified(werner(one), werner(other), 0.0)
    assert found_chance == pytest.approx(chance)
    assert found.fidelity == pytest.approx(better)


def werner(fidelity: float) -> Pair:
    return pair_of(fidelity, *(3 * [(1 - fidelity) / 3]))


def test_both_halves_decay_each_in_its_own_memory_until_the_swap() -> None:
    left = Pair(1, 0.9, 0.9, 0.9, 0.0, 0.5, 0.25)
    right = Pair(2, 0.8, 0.8, 0.8, 1.0, 0.25, 2.0)
    noise = swap_noise(PairHardware(memories=2))
    found = swapped(left, right, noise, 2.0, sequence=3, outcome=3)
    assert found.werner == pytest.approx(0.72 * math.exp(-2.0 * 0.75 - 1.0 * 2.25))
    assert (found.left_rate, found.right_rate, found.x, found.z) == (0.5, 2.0, 1, 1)


def test_frames_add_up() -> None:
    left, right = Pair(1, 1, 1, 1, 0.0, 0.0, 0.0, 1, 0), Pair(2, 1, 1, 1, 0.0, 0.0, 0.0, 1, 1)
    found = swapped(left, right, swap_noise(PairHardware(memories=2)), 0.0, sequence=3, outcome=2)
    assert (found.x, found.z) == (1, 1)
