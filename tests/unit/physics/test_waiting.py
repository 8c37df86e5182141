"""Waiting times: three ways to E[max], and the cut-off's closed form against a Markov chain written out."""

import itertools
import math
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from controller.physics.waiting import (
    expected_maximum_slots,
    mean_decay_of_older,
    swap_asap_bounds_slots,
    swap_asap_slots,
    two_link_cutoff,
)

probability = st.floats(0.01, 1.0)


def inclusion_exclusion(probabilities: list[float]) -> float:
    total = 0.0
    for size in range(1, len(probabilities) + 1):
        for chosen in itertools.combinations(probabilities, size):
            total += (-1) ** (size + 1) / (1 - math.prod(1 - p for p in chosen))
    return total


def absorbing_chain(probabilities: list[float]) -> float:
    """Mean absorption time of the chain on sets of links that have succeeded, by numpy."""
    links = len(probabilities)
    full = 2**links - 1
    stay = np.zeros((full, full))
    for state in range(full):
        for target in range(full):
            if target & state == state:
                stay[state, target] = math.prod(
                    1.0 if state >> link & 1 else (p if target >> link & 1 else 1 - p)
                    for link, p in enumerate(probabilities)
                )
    return float(np.linalg.solve(np.eye(full) - stay, np.ones(full))[0])


@given(st.lists(probability, min_size=1, max_size=5))
@settings(max_examples=60)
def test_the_mean_of_the_last_is_the_same_by_sets_by_chain_and_by_swap_asap(probabilities: list[float]) -> None:
    found = expected_maximum_slots(probabilities)
    assert found == pytest.approx(inclusion_exclusion(probabilities), rel=1e-9)
    assert found == pytest.approx(absorbing_chain(probabilities), rel=1e-9)
    assert found == pytest.approx(swap_asap_slots(probabilities, 1.0), rel=1e-9)


def test_tiny_probabilities_lose_no_digits() -> None:
    harmonic = sum(1 / k for k in range(1, 7))
    assert expected_maximum_slots([1e-12] * 6) * 1e-12 == pytest.approx(harmonic, rel=1e-9)
    assert swap_asap_slots([1e-12] * 6, 1.0) * 1e-12 == pytest.approx(harmonic, rel=1e-9)
    rare = two_link_cutoff(1e-12, 1e-12, None, 0.0, 0.5)
    assert rare.expected_slots == pytest.approx(2 * expected_maximum_slots([1e-12, 1e-12]), rel=1e-9)


@given(st.lists(probability, min_size=2, max_size=5), st.floats(0.1, 1.0))
@settings(max_examples=40)
def test_swap_asap_lies_between_its_bounds(probabilities: list[float], swap_success: float) -> None:
    low, high = swap_asap_bounds_slots(probabilities, swap_success)
    found = swap_asap_slots(probabilities, swap_success)
    assert low * (1 - 1e-9) <= found <= high * (1 + 1e-9)
    if len(probabilities) == 2:
        assert found == pytest.approx(high, rel=1e-9)


def test_swap_asap_is_what_slots_drawn_one_by_one_take() -> None:
    probabilities, swap_success, draw = [0.4, 0.2, 0.5, 0.3], 0.6, random.Random(5)
    runs = 4000
    taken: list[int] = []
    for _ in range(runs):
        segments: set[tuple[int, int]] = set()
        slots = 0
        while (0, 4) not in segments:
            slots += 1
            covered = {hop for first, end in segments for hop in range(first, end)}
            segments |= {
                (hop, hop + 1) for hop in range(4) if hop not in covered and draw.random() < probabilities[hop]
            }
            for start in range(4):
                run = [found for found in sorted(segments) if found[0] == start]
                while run and (following := [found for found in segments if found[0] == run[-1][1]]):
                    run += following
                if len(run) > 1 and not any(found[1] == start for found in segments):
                    segments -= set(run)
                    if all(draw.random() < swap_success for _ in run[1:]):
                        segments.add((run[0][0], run[-1][1]))
        taken.append(slots)
    mean = sum(taken) / runs
    error = (sum((slots - mean) ** 2 for slots in taken) / runs**2) ** 0.5
    assert error < 0.025 * mean
    assert swap_asap_slots(probabilities, swap_success) == pytest.approx(mean, abs=3.5 * error)


@pytest.mark.parametrize("cutoff", [0, 1, 2, 7, 30])
@pytest.mark.parametrize(("p1", "p2"), [(0.3, 0.1), (1.0, 0.05), (0.02, 0.04), (1.0, 1.0)])
def test_the_cutoffs_closed_form_is_its_markov_chain(p1: float, p2: float, cutoff: int) -> None:
    decay, swap_success = 0.07, 0.4
    # States: 0 both missing; 1..c: the first pair has waited that many slots; c+1..2c: the second. The last slot's end
    # drops the older one.
    states = 2 * cutoff + 1
    moves, success, werner = np.zeros((states, states)), np.zeros(states), np.zeros(states)
    moves[0, 0] = (1 - p1) * (1 - p2)
    success[0] = p1 * p2
    werner[0] = p1 * p2
    # A lone pair of age 0 sits in state 1 (or c+1): the next slot's partner finds it one slot old.
    moves[0, 1 if cutoff else 0] += p1 * (1 - p2)
    moves[0, cutoff + 1 if cutoff else 0] += p2 * (1 - p1)
    for age in range(1, cutoff + 1):
        for state, partner in ((age, p2), (cutoff + age, p1)):
            success[state] = partner
            werner[state] = partner * math.exp(-decay * age)
            moves[state, state + 1 if age < cutoff else 0] += 1 - partner
    repeat = np.linalg.inv(np.eye(states) - moves - swap_failed(success, swap_success))
    visits = repeat[0]
    found = two_link_cutoff(p1, p2, cutoff, decay, swap_success)
    assert found.expected_slots == pytest.approx(visits.sum(), rel=1e-9)
    assert found.mean_decay == pytest.approx(visits @ werner / (visits @ success), rel=1e-9)
    begun_again = moves.copy()
    begun_again[1:, 0] = 0.0
    begun_again[0, 0] = (1 - p1) * (1 - p2)
    within_a_round = np.linalg.inv(np.eye(states) - begun_again)[0]
    if cutoff:
        assert found.round_success == pytest.approx(within_a_round @ success, rel=1e-9)


def swap_failed(success: NDArray[np.float64], swap_success: float) -> NDArray[np.float64]:
    """Moves back to the begin when both pairs were there and the swap failed."""
    found = np.zeros((len(success), len(success)))
    found[:, 0] = success * (1 - swap_success)
    return found


def test_waiting_without_a_cutoff_is_the_limit_of_long_ones() -> None:
    long, endless = two_link_cutoff(0.1, 0.2, 2000, 0.02, 0.7), two_link_cutoff(0.1, 0.2, None, 0.02, 0.7)
    assert long.expected_slots == pytest.approx(endless.expected_slots, rel=1e-12)
    assert long.mean_decay == pytest.approx(endless.mean_decay, rel=1e-12)
    # Section 4 of the models, literally.
    x1, x2, z = 0.9, 0.8, math.exp(-0.02)
    literal = 0.02 / (1 - x1 * x2) * (1 + z * x1 / (1 - z * x1) + z * x2 / (1 - z * x2))
    assert mean_decay_of_older(0.1, 0.2, 0.02) == pytest.approx(literal, rel=1e-12)


def test_the_longest_wait_is_not_isotonic() -> None:
    one, five = [0.3], [0.55] * 5
    assert expected_maximum_slots(one) == pytest.approx(3.333, abs=5e-4)
    assert expected_maximum_slots(five) == pytest.approx(3.359, abs=5e-4)
    assert expected_maximum_slots([*one, 0.15]) == pytest.approx(7.531, abs=5e-4)
    assert expected_maximum_slots([*five, 0.15]) == pytest.approx(7.333, abs=5e-4)


@pytest.mark.parametrize("bad", [0.0, -0.1, 1.1, math.nan, math.inf])
def test_what_is_no_probability_is_refused_by_name(bad: float) -> None:
    with pytest.raises(ValueError, match=r"probabilities\[1\]"):
        expected_maximum_slots([0.5, bad])
    with pytest.raises(ValueError, match=r"probabilities\[0\]"):
        swap_asap_slots([bad, 0.5], 0.5)
    with pytest.raises(ValueError, match="swap_success"):
        swap_asap_slots([0.5, 0.5], bad)
    with pytest.raises(ValueError, match="second_probability"):
        two_link_cutoff(0.5, bad, 3, 0.1)
    with pytest.raises(ValueError, match="swap_success"):
        two_link_cutoff(0.5, 0.5, 3, 0.1, bad)
    with pytest.raises(ValueError, match="probabilities"):
        expected_maximum_slots([])
    with pytest.raises(ValueError, match="cutoff_slots"):
        two_link_cutoff(0.5, 0.5, -1, 0.1)
    if bad not in {0.0, 1.1}:
        with pytest.raises(ValueError, match="decay_per_slot"):
            two_link_cutoff(0.5, 0.5, 3, bad)
