"""Pairs per second: our formulas and our pair engines beside SeQUeNCe, whose protocol stack draws every photon.

Every run has seeds of its own and enough pairs for a standard error of at most 1.5 %; ratios are held to 5 %.
"""

from pathlib import Path
from typing import Any

import pytest
from sequence.entanglement_management.swapping import EntanglementSwappingA
from sequence.kernel.quantum_manager import QuantumManagerBellDiagonal

from controller.physics.lane import Lane, LaneHop, LaneNode
from controller.physics.link_generation import link_rate_hz
from controller.physics.memory_regime import predict_lane
from controller.physics.pair_states import werner_parameter
from controller.physics.swapping import chain_fidelity
from controller.physics.waiting import expected_maximum_slots
from tests.oracles.emulated_line import emulate
from tests.oracles.sequence_line import Delivered, Line, Scheme, simulate


def assert_near(delivered: Delivered, memories: int = 1, **ours_hz: float) -> None:
    error = delivered.relative_error(memories)
    assert error <= 0.015
    for name, rate_hz in ours_hz.items():
        ratio = delivered.rate_hz / rate_hz
        print(f"SeQUeNCe {delivered.rate_hz:.1f} Hz, {name} {rate_hz:.1f} Hz: {ratio:.4f} +- {error:.4f}")
        assert ratio == pytest.approx(1, abs=0.05), name


def consent_s(line: Line) -> float:
    """What SeQUeNCe adds to each round of three routers with one memory per link and side.

    The middle router waits two crossings for both ends' consent to the swap. It asks r2 for the next pair at once, but
    r0 asks when it has heard: one crossing more where the first link is the last to be there (1/(2-p), ties included).
    """
    return (2 + 1 / (2 - line.success_probability)) * line.crossing_s


@pytest.mark.parametrize("memories", [1, 4])
def test_a_single_heralded_link_makes_pairs_at_the_rate_of_sequence(memories: int, tmp_path: Path) -> None:
    # Detectors faster than the 12.5 ns between the photons of two memories: our formula knows no dead time.
    line = Line(scheme=Scheme.SINGLE_HERALDED, routers=2, memories=memories, detector_rate_hz=1e9, seed=memories)
    predicted = link_rate_hz(line.success_probability, line.attempt_s, memories)

    delivered = simulate(line, 3_600 / predicted, tmp_path)

    emulated = emulate(line, 10_000 / predicted)
    assert_near(delivered, memories, predicted=predicted, emulated=emulated.rate_hz)


def test_a_barrett_kok_link_makes_pairs_at_the_rate_of_sequence(tmp_path: Path) -> None:
    line = Line(scheme=Scheme.BARRETT_KOK, routers=2, seed=2)
    predicted = link_rate_hz(line.success_probability, line.attempt_s)

    delivered = simulate(line, 3_000 / predicted, tmp_path)

    emulated = emulate(line, 10_000 / predicted)
    assert_near(delivered, predicted=predicted, emulated=emulated.rate_hz)


def test_two_barrett_kok_links_and_a_swap_give_the_rate_of_sequence(tmp_path: Path) -> None:
    line = Line(scheme=Scheme.BARRETT_KOK, routers=3, seed=3)
    # The last attempt of the later link succeeds, and all before it have failed. (Engines make attempts of one length.)
    attempts = expected_maximum_slots([line.success_probability] * 2)
    both_s = (attempts - 1) * line.failed_attempt_s + line.successful_attempt_s
    predicted = 1 / (both_s + consent_s(line))

    assert_near(simulate(line, 1_900 / predicted, tmp_path), predicted=predicted)


def test_a_lane_over_a_swap_that_may_fail_gives_the_rate_of_sequence(
    tmp_path: Path, swaps_have_outcomes: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    swap_success = 0.75
    monkeypatch.setattr(EntanglementSwappingA, "success_probability", lambda _: swap_success)
    line = Line(scheme=Scheme.SINGLE_HERALDED, routers=3, seed=5)
    hop = LaneHop(
        success_probability=line.success_probability,
        attempt_period_s=line.attempt_s,
        werner=werner_parameter(line.fidelity),
        length_km=line.link_km,
    )
    ours = predict_lane(Lane(hops=(hop, hop), nodes=(LaneNode(), LaneNode(swap_success=swap_success), LaneNode())))
    # A lane begins again when the ends have heard, one crossing after each swap, and asks nobody for consent.
    more_s = (consent_s(line) - line.crossing_s) / swap_success
    predicted = 1 / (1 / ours.rate_hz + more_s)

    delivered = simulate(line, 3_000 / predicted, tmp_path)

    emulated = emulate(line, 10_000 / predicted, swap_success)
    assert_near(delivered, predicted=predicted, emulated=1 / (1 / emulated.rate_hz + more_s))
    # SeQUeNCe's rule of fidelities is a product, degraded by 5 %; Werner parameters multiply.
    assert set(delivered.fidelities) == {line.fidelity * line.fidelity * 0.95}
    assert delivered.fidelities[0] < chain_fidelity([line.fidelity, line.fidelity]) - 0.04
    assert ours.fidelity == pytest.approx(chain_fidelity([line.fidelity, line.fidelity]))
    assert emulated.fidelities == pytest.approx([ours.fidelity] * len(emulated.fidelities))


@pytest.fixture
def swaps_have_outcomes(monkeypatch: pytest.MonkeyPatch) -> None:
    """SeQUeNCe 0.8.5 reads outcomes of a swap that its Bell-diagonal states never give; its timing needs none."""

    def run_circuit(_manager: Any, _circuit: Any, keys: list[int], _sample: Any = None) -> dict[int, int]:
        return dict.fromkeys(keys, 0)

    monkeypatch.setattr(QuantumManagerBellDiagonal, "run_circuit", run_circuit)
