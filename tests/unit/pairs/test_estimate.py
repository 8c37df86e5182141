"""Estimates: only pairs that both ends measured count, of a bounded window."""

import pytest

from southbound.agent.pairs.estimate import FidelityWindow, TestPairs
from southbound.agent.pairs.messages import Outcome


def test_only_what_both_ends_measured_in_one_basis_counts() -> None:
    tests = TestPairs()
    tests.measured(Outcome(1, "X", 0), 1.0)
    assert tests.estimate(1.0) is None
    tests.told(Outcome(2, "X", 0), 1.0)
    tests.measured(Outcome(2, "Z", 0), 1.0)
    assert tests.estimate(1.0) is None
    tests.told(Outcome(1, "X", 1), 2.0)
    found = tests.estimate(5.0)
    assert found is not None
    assert (found.samples, found.age_s) == (1, 3.0)


def test_outcomes_in_y_disagree_where_the_pair_is_good() -> None:
    tests = TestPairs()
    for sequence in range(300):
        basis = "XYZ"[sequence % 3]
        tests.measured(Outcome(sequence, basis, 0), 1.0)
        tests.told(Outcome(sequence, basis, int(basis == "Y")), 1.0)
    found = tests.estimate(1.0)
    assert found is not None
    assert found.fidelity == pytest.approx(1.0)
    assert found.low > 0.97


def test_the_window_forgets_by_number_and_by_age() -> None:
    window = FidelityWindow(samples=30, seconds=10.0)
    for number in range(90):
        window.add(number % 3, 1, float(number) / 30.0)
    for number in range(30):
        window.add(number % 3, 0, 3.0)
    found = window.estimate(3.0)
    assert found is not None
    assert (found.samples, found.fidelity) == (30, 1.0)
    assert window.estimate(13.1) is None


def test_outcomes_that_the_other_end_never_tells_are_forgotten() -> None:
    tests = TestPairs()
    for sequence in range(5000):
        tests.measured(Outcome(sequence, "X", 0), 1.0)
    for sequence in range(5000):
        tests.told(Outcome(sequence, "X", 0), 1.0)
    found = tests.estimate(1.0)
    assert found is not None
    assert found.samples == 1024
