"""Rules that hold for every chain of swaps."""

import math
from collections.abc import Callable
from functools import reduce

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.physics.pair_states import BellDiagonal, fidelity_of, werner_parameter
from controller.physics.swapping import (
    chain_fidelity,
    largest_hop_count,
    noisy_swap,
    swap_quality,
    swapped,
    swapped_werner,
)
from tests.unit.physics.pairs import fidelities, pairs, ratios, useful_fidelities

PERFECT = BellDiagonal.werner(1.0)
BAD = (-0.1, 1.1, math.nan, math.inf)


@given(pairs, pairs, pairs)
def test_perfect_swaps_may_be_done_in_any_order(a: BellDiagonal, b: BellDiagonal, c: BellDiagonal) -> None:
    assert list(swapped(swapped(a, b), c)) == pytest.approx(list(swapped(a, swapped(b, c))), abs=1e-12)
    assert list(swapped(a, b)) == pytest.approx(list(swapped(b, a)), abs=1e-12)
    assert list(swapped(a, PERFECT)) == pytest.approx(list(a), abs=1e-12)


@given(pairs, pairs, st.integers(0, 1), st.integers(0, 1))
def test_a_pauli_before_the_swap_is_the_same_pauli_after_it(a: BellDiagonal, b: BellDiagonal, x: int, z: int) -> None:
    assert list(swapped(a.pauli(x, z), b)) == pytest.approx(list(swapped(a, b).pauli(x, z)), abs=1e-12)


@given(st.lists(useful_fidelities, min_size=1, max_size=6), useful_fidelities, ratios)
def test_one_more_swap_never_helps(chain: list[float], extra: float, quality: float) -> None:
    good = [quality] * (len(chain) - 1)
    assert chain_fidelity([*chain, extra], [*good, quality]) <= chain_fidelity(chain, good) + 1e-12


@given(st.lists(fidelities, min_size=2, max_size=6), ratios)
def test_a_chain_is_its_swaps_one_by_one(chain: list[float], quality: float) -> None:
    one_by_one = reduce(
        lambda w, f: swapped_werner(w, werner_parameter(f), quality), chain[1:], werner_parameter(chain[0])
    )
    assert chain_fidelity(chain, [quality] * (len(chain) - 1)) == pytest.approx(fidelity_of(one_by_one), abs=1e-12)
    states = reduce(
        lambda pair, f: swapped(pair, BellDiagonal.werner(f), quality), chain[1:], BellDiagonal.werner(chain[0])
    )
    assert states.fidelity == pytest.approx(fidelity_of(one_by_one), abs=1e-12)


@given(useful_fidelities, st.floats(0.9, 1.0), st.floats(0.95, 1.0), st.integers(2, 9))
def test_a_twirl_after_each_swap_costs_a_little_and_never_gains(
    fidelity: float, gate: float, readout: float, links: int
) -> None:
    link = BellDiagonal.werner(fidelity)
    exact = reduce(lambda pair, _: noisy_swap(pair, link, gate, readout), range(links - 1), link)
    twirled = chain_fidelity([fidelity] * links, [swap_quality(gate, readout)] * (links - 1))
    assert -1e-12 <= exact.fidelity - twirled <= 0.5 * (links - 1) * (links - 2) * (1 - readout) ** 2 + 1e-12


@given(st.floats(0.5, 0.999), st.floats(0.3, 0.999))
@settings(max_examples=60)
def test_the_largest_number_of_hops_is_the_last_that_suffices(link: float, required: float) -> None:
    hops = largest_hop_count(link, required)
    assert hops == 0 or link**hops >= required * (1 - 1e-9)
    assert link ** (hops + 1) < required


@given(st.floats(0.5, 0.9999), st.integers(1, 60))
@settings(max_examples=60)
def test_a_requirement_that_is_a_power_is_met_by_that_power(link: float, hops: int) -> None:
    assert largest_hop_count(link, link**hops) == hops


@pytest.mark.parametrize("bad", BAD)
def test_what_is_out_of_range_is_refused_by_name(bad: float) -> None:
    calls: list[tuple[str, Callable[[], object]]] = [
        ("gate_quality", lambda: swap_quality(bad, 1.0)),
        ("gate_quality", lambda: noisy_swap(PERFECT, PERFECT, bad, 1.0)),
        ("readout_quality", lambda: swap_quality(1.0, bad)),
        ("readout_quality", lambda: noisy_swap(PERFECT, PERFECT, 1.0, bad)),
        ("one_qubit_gate_quality", lambda: swap_quality(1.0, 1.0, bad)),
        ("one_qubit_gate_quality", lambda: noisy_swap(PERFECT, PERFECT, 1.0, 1.0, bad)),
        ("quality", lambda: swapped(PERFECT, PERFECT, bad)),
        ("quality", lambda: swapped_werner(1.0, 1.0, bad)),
        ("qualities", lambda: chain_fidelity([0.9, 0.9], [bad])),
        ("fidelity", lambda: chain_fidelity([0.9, bad])),
        ("werner_right", lambda: swapped_werner(1.0, -0.5 if bad < 0 else bad)),
        ("werner_link", lambda: largest_hop_count(bad, 0.5)),
        ("werner_required", lambda: largest_hop_count(0.9, bad)),
    ]
    for name, call in calls:
        with pytest.raises(ValueError, match=rf"^{name}: "):
            call()


def test_a_readout_worse_than_a_coin_and_chains_that_do_not_join_are_refused() -> None:
    with pytest.raises(ValueError, match="readout_quality"):
        swap_quality(1.0, 0.4)
    for link, required in ((1.0, 0.5), (0.9, 0.0)):
        with pytest.raises(ValueError, match=r"^werner_"):
            largest_hop_count(link, required)
    with pytest.raises(ValueError, match="at least one link"):
        chain_fidelity([])
    with pytest.raises(ValueError, match="2 swaps do not join 2 links"):
        chain_fidelity([0.9, 0.9], [1.0, 1.0])
