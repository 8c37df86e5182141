"""Rules of storage."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.physics.decoherence import (
    both_depolarised,
    depolarised,
    equivalent_depolarising_time_s,
    kept_share,
    pauli_twirled_memory,
    stored,
    t1_t2_fidelity,
    unequal_t1_t2_fidelity,
)
from controller.physics.pair_states import BellDiagonal, fidelity_of
from tests.unit.physics.pairs import pairs

seconds = st.floats(0.0, 10.0)
constants = st.floats(0.01, 100.0)
werners = st.floats(-1 / 3, 1.0)


@given(werners, seconds, seconds, constants)
def test_storing_twice_is_storing_for_the_sum(werner: float, one_s: float, other_s: float, coherence_s: float) -> None:
    once = depolarised(werner, one_s + other_s, coherence_s)
    assert depolarised(depolarised(werner, one_s, coherence_s), other_s, coherence_s) == pytest.approx(once, abs=1e-12)
    assert both_depolarised(werner, (one_s, other_s), (coherence_s, coherence_s)) == pytest.approx(once, abs=1e-12)


@given(pairs, seconds, seconds, constants, st.floats(0.01, 2.0))
def test_a_twirled_memory_may_be_read_in_steps(
    pair: BellDiagonal, one_s: float, other_s: float, t1_s: float, ratio: float
) -> None:
    t2_s = ratio * t1_s
    steps = stored(stored(pair, one_s, t1_s, t2_s), other_s, t1_s, t2_s)
    assert list(steps) == pytest.approx(list(stored(pair, one_s + other_s, t1_s, t2_s)), abs=1e-9)


@given(st.floats(0.0, 1.0), seconds, constants)
def test_an_ideal_memory_keeps_and_pure_dephasing_is_half_a_loss_at_most(
    werner: float, stored_s: float, t2_s: float
) -> None:
    assert depolarised(werner, stored_s, math.inf) == werner
    assert t1_t2_fidelity(werner, stored_s, math.inf, math.inf) == pytest.approx(fidelity_of(werner), abs=1e-12)
    dephased = (1 + werner) / 4 + werner / 2 * math.exp(-2 * stored_s / t2_s)
    assert t1_t2_fidelity(werner, stored_s, math.inf, t2_s) == pytest.approx(dephased, abs=1e-12)


@given(werners, seconds, seconds, constants, constants)
def test_the_two_memories_may_be_exchanged(werner: float, s: float, t: float, t1_a: float, t1_b: float) -> None:
    one = unequal_t1_t2_fidelity(werner, (s, t), (t1_a, t1_b), (t1_a, t1_b))
    assert one == pytest.approx(unequal_t1_t2_fidelity(werner, (t, s), (t1_b, t1_a), (t1_b, t1_a)), abs=1e-12)


def test_times_that_cannot_be_are_refused_by_name() -> None:
    for bad in (-1.0, math.nan, math.inf):
        with pytest.raises(ValueError, match=r"^stored_s: "):
            kept_share(bad, 1.0)
        with pytest.raises(ValueError, match=r"^stored_s: "):
            t1_t2_fidelity(1.0, bad, 1.0, 1.0)
    for bad in (0.0, -1.0, math.nan):
        with pytest.raises(ValueError, match=r"^coherence_s: "):
            depolarised(1.0, 0.1, bad)
        with pytest.raises(ValueError, match=r"^t1_s: "):
            equivalent_depolarising_time_s(bad, 0.1)
        with pytest.raises(ValueError, match=r"^t2_s: "):
            pauli_twirled_memory(0.1, 1.0, bad)
    with pytest.raises(ValueError, match=r"^werner_parameter: "):
        depolarised(1.1, 0.1, 1.0)


def test_coherence_beyond_twice_the_relaxation_is_refused() -> None:
    assert pauli_twirled_memory(1.0, 1.0, 2.0).phi_minus >= 0
    with pytest.raises(ValueError, match=r"^t2_s: .* 2 T1"):
        t1_t2_fidelity(1.0, 0.1, 1.0, 2.1)
    with pytest.raises(ValueError, match=r"^t2_s: .* 2 T1"):
        equivalent_depolarising_time_s(1.0, math.inf)
    assert equivalent_depolarising_time_s(math.inf, math.inf) == math.inf
