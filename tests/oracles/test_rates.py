"""Pairs per second: our formulas beside SeQUeNCe, whose whole protocol stack draws every photon.

Every run has fixed seeds and enough pairs for a standard error of at most 1.5 %; ratios are held to 5 %.
"""

from pathlib import Path
from typing import Any

import pytest
from sequence.entanglement_management.swapping import EntanglementSwappingA
from sequence.kernel.quantum_manager import QuantumManagerBellDiagonal

from controller.physics.link_generation import double_click, link_rate_hz
from controller.physics.swapping import chain_fidelity
from controller.physics.waiting import expected_maximum_slots
from tests.oracles.sequence_line import Delivered, Line, Scheme, simulate

TOLERANCE = 0.05


def assert_near(delivered: Delivered, predicted_hz: float, memories: int = 1) -> None:
    assert delivered.relative_error(memories) <= 0.015
    assert delivered.rate_hz / predicted_hz == pytest.approx(1, abs=TOLERANCE)


def one_swap_hz(line: Line, swap_success: float = 1.0) -> float:
    """Predict the rate of three routers with one memory per link and side.

    Both links start again after a swap, whether it succeeded or not, so that one cycle is E[max] attempts, and two
    crossings until the middle router has both ends' consent. It asks r2 for the next pair one crossing before it hears
    from r0: where the first link is the last to be there (1/(2-p), ties included) it comes that much later.
    """
    success = double_click(line.arm_efficiency).success_probability
    slots = expected_maximum_slots([success, success])
    cycle_s = slots * line.attempt_s + (2 + 1 / (2 - success)) * line.crossing_s
    return swap_success / cycle_s


@pytest.mark.parametrize("memories", [1, 4])
def test_a_single_heralded_link_makes_pairs_at_the_rate_of_sequence(memories: int, tmp_path: Path) -> None:
    # Detectors faster than the 12.5 ns between the photons of two memories: our formula knows no dead time.
    line = Line(scheme=Scheme.SINGLE_HERALDED, routers=2, memories=memories, detector_rate_hz=1e9)
    predicted = link_rate_hz(double_click(line.arm_efficiency).success_probability, line.attempt_s, memories)

    assert_near(simulate(line, 4_500 / predicted, tmp_path), predicted, memories)


def test_a_barrett_kok_link_makes_pairs_at_the_rate_of_sequence(tmp_path: Path) -> None:
    line = Line(scheme=Scheme.BARRETT_KOK, routers=2)
    predicted = link_rate_hz(double_click(line.arm_efficiency).success_probability, line.attempt_s)

    assert_near(simulate(line, 3_600 / predicted, tmp_path), predicted)


def test_two_barrett_kok_links_and_a_swap_give_the_rate_of_sequence(tmp_path: Path) -> None:
    line = Line(scheme=Scheme.BARRETT_KOK, routers=3)
    predicted = one_swap_hz(line)

    assert_near(simulate(line, 2_300 / predicted, tmp_path), predicted)


@pytest.mark.parametrize("swap_success", [1.0, 0.6])
def test_two_single_heralded_links_and_a_swap_give_the_rate_of_sequence(
    swap_success: float, tmp_path: Path, swaps_have_outcomes: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(EntanglementSwappingA, "success_probability", lambda _: swap_success)
    line = Line(scheme=Scheme.SINGLE_HERALDED, routers=3)
    predicted = one_swap_hz(line, swap_success)

    delivered = simulate(line, 3_300 / predicted, tmp_path)

    assert_near(delivered, predicted)
    # SeQUeNCe's rule of fidelities: a product, degraded by 5 %, where Werner parameters multiply.
    assert set(delivered.fidelities) == {0.9 * 0.9 * 0.95}
    assert delivered.fidelities[0] < chain_fidelity([0.9, 0.9]) - 0.04


@pytest.fixture
def swaps_have_outcomes(monkeypatch: pytest.MonkeyPatch) -> None:
    """SeQUeNCe 0.8.5 reads outcomes of a swap that its Bell-diagonal states never give; their time is right."""

    def run_circuit(_manager: Any, _circuit: Any, keys: list[int], _sample: Any = None) -> dict[int, int]:
        return dict.fromkeys(keys, 0)

    monkeypatch.setattr(QuantumManagerBellDiagonal, "run_circuit", run_circuit)
