"""Pairs as density matrices of explicit circuits: what the closed forms are checked against.

Qubits are counted from 0; a Bell-diagonal pair lies on two neighbouring ones.
"""

import functools
import itertools
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import qutip

from controller.physics.pair_states import BellDiagonal

ONE, X, Y, Z = qutip.qeye(2), qutip.sigmax(), qutip.sigmay(), qutip.sigmaz()
HADAMARD = (X + Z) / np.sqrt(2)
LOWER = qutip.basis(2, 0) * qutip.basis(2, 1).dag()
"""|1> relaxes to |0>."""

Operator = Any


def basis_state(*bits: int) -> Operator:
    """Return |bits>."""
    return qutip.tensor([qutip.basis(2, bit) for bit in bits])


BELL = tuple(
    ket.unit()
    for ket in (
        basis_state(0, 0) + basis_state(1, 1),
        basis_state(0, 0) - basis_state(1, 1),
        basis_state(0, 1) + basis_state(1, 0),
        basis_state(0, 1) - basis_state(1, 0),
    )
)
"""Phi+, Phi-, Psi+, Psi-, in the order of BellDiagonal."""


def density(pair: BellDiagonal) -> Operator:
    return sum(weight * ket.proj() for weight, ket in zip(pair, BELL, strict=True))


def weights(rho: Operator) -> list[float]:
    """Return <Bell|rho|Bell> for the four Bell states."""
    return [float(qutip.expect(ket.proj(), rho)) for ket in BELL]


def on(gates: dict[int, Operator], qubits: int) -> Operator:
    """Return the product of one-qubit operators, the identity elsewhere."""
    return qutip.tensor([gates.get(qubit, ONE) for qubit in range(qubits)])


def cnot(control: int, target: int, qubits: int) -> Operator:
    up, down = basis_state(1).proj(), basis_state(0).proj()
    return on({control: down}, qubits) + on({control: up, target: X}, qubits)


def apply(rho: Operator, *kraus: Operator) -> Operator:
    return sum(one * rho * one.dag() for one in kraus)


def depolarise(rho: Operator, qubits: Sequence[int], kept: float) -> Operator:
    """Keep the state with probability `kept`; else forget these qubits and put I/2 in place of each."""
    count = len(rho.dims[0])
    forgotten = sum(
        apply(rho, on(dict(zip(qubits, errors, strict=True)), count))
        for errors in itertools.product((ONE, X, Y, Z), repeat=len(qubits))
    )
    return kept * rho + (1 - kept) * forgotten / 4 ** len(qubits)


def stored(rho: Operator, jumps: Iterable[Operator], seconds: float) -> Operator:
    """Solve the Lindblad equation with these jump operators and no Hamiltonian."""
    generator = sum(qutip.lindblad_dissipator(jump) for jump in jumps)
    return qutip.vector_to_operator((generator * seconds).expm() * qutip.operator_to_vector(rho))


def relaxation(qubit: int, qubits: int, t1_s: float, t2_s: float) -> list[Operator]:
    pure = 1 / t2_s - 1 / (2 * t1_s)
    return [on({qubit: LOWER}, qubits) / np.sqrt(t1_s), on({qubit: Z}, qubits) * np.sqrt(max(0.0, pure) / 2)]


def depolarisation(qubit: int, qubits: int, coherence_s: float) -> list[Operator]:
    return [on({qubit: error}, qubits) / np.sqrt(4 * coherence_s) for error in (X, Y, Z)]


@functools.cache
def rotations() -> tuple[Operator, ...]:
    """Return the 24 rotations of the cube as one-qubit gates: the single-qubit Clifford group up to phases."""
    phase = qutip.Qobj(np.diag([1, 1j]))
    found: list[Operator] = [ONE]
    for gate in found:
        for step in (HADAMARD, phase):
            new = step * gate
            if all(abs(abs((new.dag() * old).tr()) - 2) > 1e-9 for old in found):
                found.append(new)
    return tuple(found)


def twirl(rho: Operator) -> Operator:
    """Turn both qubits by U and U*, U any of the rotations with equal chance: leaves Phi+ as it is."""
    return apply(rho, *(qutip.tensor(gate, gate.conj()) for gate in rotations())) / len(rotations())
