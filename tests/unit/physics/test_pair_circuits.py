"""Every closed form of pairs against the density matrix of a circuit that does the same thing."""

import itertools
import math

import numpy as np
import pytest
import qutip
from hypothesis import given, settings
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
from controller.physics.pair_states import (
    BellDiagonal,
    fidelity_of,
    qber_of,
    teleportation_fidelity,
    werner_parameter,
)
from controller.physics.purification import bbpssw, dejmps
from controller.physics.swapping import chain_fidelity, noisy_swap, swap_quality, swapped, swapped_werner
from tests.unit.physics import circuits as lab
from tests.unit.physics.circuits import HADAMARD, ONE, Operator, X, Y, Z, on
from tests.unit.physics.pairs import fidelities, pairs, ratios

EXACT = 1e-9
few = settings(max_examples=12, deadline=None)
times = st.floats(0.001, 3.0)


def close(one: Operator, other: Operator) -> bool:
    return bool(np.abs((one - other).full()).max() < EXACT)


# --- States


@given(pairs)
@few
def test_error_rates_are_what_correlations_of_the_two_outcomes_say(pair: BellDiagonal) -> None:
    rho = lab.density(pair)
    for basis, pauli, sign in (("X", X, 1), ("Y", Y, -1), ("Z", Z, 1)):
        disagreeing = (1 - sign * qutip.expect(qutip.tensor(pauli, pauli), rho)) / 2
        assert pair.error_rate(basis) == pytest.approx(disagreeing, abs=EXACT)  # type: ignore[arg-type]


@given(pairs, st.sampled_from([0, 1]), st.integers(0, 1), st.integers(0, 1))
@few
def test_a_pauli_on_either_qubit_permutes_the_weights(pair: BellDiagonal, qubit: int, x: int, z: int) -> None:
    turned = lab.apply(lab.density(pair), on({qubit: X**x * Z**z}, 2))
    assert close(turned, lab.density(pair.pauli(x, z)))


@given(pairs)
@few
def test_a_twirl_over_the_rotations_of_a_cube_leaves_the_werner_pair(pair: BellDiagonal) -> None:
    assert len(lab.rotations()) == 24
    twirled = lab.twirl(lab.density(pair))
    assert close(twirled, lab.density(pair.twirled()))
    werner = werner_parameter(pair.fidelity)
    mixture = werner * lab.BELL[0].proj() + (1 - werner) * qutip.tensor(ONE, ONE) / 4
    assert close(twirled, mixture)
    assert qber_of(pair.fidelity) == pytest.approx((1 - qutip.expect(qutip.tensor(Z, Z), twirled)) / 2, abs=EXACT)


@given(st.integers(0, 2**32 - 1))
@few
def test_teleportation_through_any_two_qubit_state_has_the_stated_mean_fidelity(seed: int) -> None:
    # The six eigenstates of the Paulis average like all pure states: a 2-design.
    rho = qutip.rand_dm([2, 2], seed=seed)
    inputs = [vector for pauli in (X, Y, Z) for vector in pauli.eigenstates()[1]]
    total = 0.0
    for ket in inputs:
        whole = qutip.tensor(ket.proj(), rho)
        whole = lab.apply(whole, on({0: HADAMARD}, 3) * lab.cnot(0, 1, 3))
        for i, j in itertools.product((0, 1), repeat=2):
            seen = on({0: lab.basis_state(i).proj(), 1: lab.basis_state(j).proj(), 2: Z**i * X**j}, 3)
            total += qutip.expect(ket.proj(), lab.apply(whole, seen).ptrace(2))
    assert total / 6 == pytest.approx(teleportation_fidelity(lab.weights(rho)[0]), abs=EXACT)


# --- Swapping


def swap_circuit(
    left: BellDiagonal,
    right: BellDiagonal,
    *,
    gate: float = 1.0,
    readout: float = 1.0,
    correction: float = 1.0,
    hadamard: float = 1.0,
) -> Operator:
    """Swap qubits 0-1 and 2-3 at 1 and 2, each step with its noise; qubit 3 is corrected."""
    rho = qutip.tensor(lab.density(left), lab.density(right))
    rho = lab.depolarise(lab.apply(rho, lab.cnot(1, 2, 4)), (1, 2), gate)
    rho = lab.depolarise(lab.apply(rho, on({1: HADAMARD}, 4)), (1,), hadamard)
    result = 0
    for i, j, wrong_i, wrong_j in itertools.product((0, 1), repeat=4):
        chance = (1 - readout if wrong_i else readout) * (1 - readout if wrong_j else readout)
        measured = lab.apply(rho, on({1: lab.basis_state(i).proj(), 2: lab.basis_state(j).proj()}, 4)).ptrace([0, 3])
        result += chance * lab.apply(measured, on({1: Z ** (i ^ wrong_i) * X ** (j ^ wrong_j)}, 2))
    return lab.depolarise(result, (1,), correction)


@given(pairs, pairs, ratios, st.floats(0.5, 1.0), ratios)
@few
def test_a_noisy_swap_is_exact_without_a_twirl(
    left: BellDiagonal, right: BellDiagonal, gate: float, readout: float, correction: float
) -> None:
    circuit = swap_circuit(left, right, gate=gate, readout=readout, correction=correction)
    assert close(circuit, lab.density(noisy_swap(left, right, gate, readout, correction)))


@given(fidelities, fidelities, ratios, st.floats(0.5, 1.0), ratios)
@few
def test_one_swap_of_werner_pairs_and_a_twirl_multiply_the_parameters(
    left: float, right: float, gate: float, readout: float, correction: float
) -> None:
    circuit = swap_circuit(
        BellDiagonal.werner(left), BellDiagonal.werner(right), gate=gate, readout=readout, correction=correction
    )
    quality = swap_quality(gate, readout, correction)
    fidelity = lab.weights(circuit)[0]
    assert fidelity == pytest.approx(chain_fidelity([left, right], [quality]), abs=EXACT)
    by_parameter = swapped_werner(werner_parameter(left), werner_parameter(right), quality)
    assert fidelity == pytest.approx(fidelity_of(by_parameter), abs=EXACT)
    alike = swapped(BellDiagonal.werner(left), BellDiagonal.werner(right), quality)
    assert close(lab.twirl(circuit), lab.density(alike))


def test_a_faulty_hadamard_before_the_readout_costs_less_than_a_faulty_correction() -> None:
    good = BellDiagonal.werner(0.97)
    before, after = swap_circuit(good, good, hadamard=0.9), swap_circuit(good, good, correction=0.9)
    assert lab.weights(after)[0] < lab.weights(before)[0]
    assert werner_parameter(lab.weights(before)[0]) == pytest.approx(
        werner_parameter(0.97) ** 2 * (1 + 2 * 0.9) / 3, abs=EXACT
    )


# --- Purification


def purification_circuit(kept: BellDiagonal, measured: BellDiagonal, angle: float) -> tuple[float, Operator]:
    """Keep qubits 0-1 where 2-3 give equal outcomes; one end turns its qubits by `angle` about x, the other back."""
    turn = (-0.5j * angle * X).expm()
    rho = qutip.tensor(lab.density(kept), lab.density(measured))
    rho = lab.apply(rho, on({0: turn, 1: turn.dag(), 2: turn, 3: turn.dag()}, 4))
    rho = lab.apply(rho, lab.cnot(1, 3, 4) * lab.cnot(0, 2, 4))
    passed = lab.apply(rho, *(on({2: lab.basis_state(i).proj(), 3: lab.basis_state(i).proj()}, 4) for i in (0, 1)))
    return float(passed.tr().real), passed.ptrace([0, 1]).unit()


@given(fidelities, fidelities)
@few
def test_bbpssw_is_two_cnots_and_a_twirl(kept: float, measured: float) -> None:
    chance, rho = purification_circuit(BellDiagonal.werner(kept), BellDiagonal.werner(measured), angle=0.0)
    success, fidelity = bbpssw(kept, measured)
    assert success == pytest.approx(chance, abs=EXACT)
    assert close(lab.twirl(rho), lab.density(BellDiagonal.werner(fidelity)))


@given(pairs, pairs)
@few
def test_dejmps_is_a_turn_of_either_end_and_two_cnots(kept: BellDiagonal, measured: BellDiagonal) -> None:
    chance, rho = purification_circuit(kept, measured, angle=math.pi / 2)
    success, pair = dejmps(kept, measured)
    assert success == pytest.approx(chance, abs=EXACT)
    assert close(rho * success, lab.density(pair) * success)


# --- Memories


@given(fidelities, times, times, times, times)
@few
def test_a_depolarising_memory_solves_its_lindblad_equation(
    fidelity: float, one_s: float, other_s: float, one_coherence_s: float, other_coherence_s: float
) -> None:
    rho = lab.density(BellDiagonal.werner(fidelity))
    werner = werner_parameter(fidelity)
    first = lab.stored(rho, lab.depolarisation(0, 2, one_coherence_s), one_s)
    assert close(first, lab.density(BellDiagonal.werner(fidelity_of(depolarised(werner, one_s, one_coherence_s)))))
    both = lab.stored(first, lab.depolarisation(1, 2, other_coherence_s), other_s)
    after = both_depolarised(werner, (one_s, other_s), (one_coherence_s, other_coherence_s))
    assert close(both, lab.density(BellDiagonal.werner(fidelity_of(after))))


@given(fidelities, times, times, st.floats(0.01, 2.0))
@few
def test_two_relaxing_memories_solve_their_lindblad_equation(
    fidelity: float, stored_s: float, t1_s: float, t2_per_t1: float
) -> None:
    t2_s = t2_per_t1 * t1_s
    rho = lab.density(BellDiagonal.werner(fidelity))
    jumps = [jump for qubit in (0, 1) for jump in lab.relaxation(qubit, 2, t1_s, t2_s)]
    found = lab.weights(lab.stored(rho, jumps, stored_s))[0]
    assert t1_t2_fidelity(werner_parameter(fidelity), stored_s, t1_s, t2_s) == pytest.approx(found, abs=EXACT)


@given(fidelities, st.tuples(times, times), st.tuples(times, times), st.tuples(st.floats(0.01, 2), st.floats(0.01, 2)))
@few
def test_two_unequal_memories_solve_theirs_each(
    fidelity: float, stored_s: tuple[float, float], t1_s: tuple[float, float], ratio: tuple[float, float]
) -> None:
    t2_s = (ratio[0] * t1_s[0], ratio[1] * t1_s[1])
    rho = lab.density(BellDiagonal.werner(fidelity))
    for qubit in (0, 1):
        rho = lab.stored(rho, lab.relaxation(qubit, 2, t1_s[qubit], t2_s[qubit]), stored_s[qubit])
    exact = unequal_t1_t2_fidelity(werner_parameter(fidelity), stored_s, t1_s, t2_s)
    assert exact == pytest.approx(lab.weights(rho)[0], abs=EXACT)


@given(pairs, fidelities, times, times, st.floats(0.01, 2.0))
@few
def test_the_twirled_memory_has_the_weights_of_the_exact_one(
    pair: BellDiagonal, fidelity: float, stored_s: float, t1_s: float, t2_per_t1: float
) -> None:
    t2_s = t2_per_t1 * t1_s
    exact = lab.stored(lab.density(pair), lab.relaxation(1, 2, t1_s, t2_s), stored_s)
    assert list(stored(pair, stored_s, t1_s, t2_s)) == pytest.approx(lab.weights(exact), abs=EXACT)
    # and where both qubits are stored, what the docstring says is missing
    werner = BellDiagonal.werner(fidelity)
    twice = stored(stored(werner, stored_s, t1_s, t2_s), stored_s, t1_s, t2_s)
    missing = -math.expm1(-stored_s / t1_s)
    assert twice.fidelity == pytest.approx(
        t1_t2_fidelity(werner_parameter(fidelity), stored_s, t1_s, t2_s) - missing**2 / 4, abs=EXACT
    )


@given(times, st.floats(0.01, 2.0))
@few
def test_the_equivalent_depolarising_memory_loses_as_much_at_first_order(t1_s: float, t2_per_t1: float) -> None:
    t2_s = t2_per_t1 * t1_s
    coherence_s = equivalent_depolarising_time_s(t1_s, t2_s)
    short_s = 1e-4 * t2_s
    depolarising = fidelity_of(kept_share(short_s, coherence_s))
    assert depolarising == pytest.approx(pauli_twirled_memory(short_s, t1_s, t2_s).fidelity, abs=1e-8)
    assert 1 - depolarising > 1e-5
