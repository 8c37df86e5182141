"""What pairs become by swapping, storage and purification: our formulas beside those of SimQN and SeQUeNCe, to 1e-9.

What the simulators do differently, and so is not compared:

- SimQN takes the lower of two unequal fidelities for both pairs of a purification ("lower bound"); only pairs of equal
  fidelity are compared. Its Bell-diagonal swap multiplies a wrong weight into Phi- (`c * d` for `c * b`), which
  shows unless the right pair has as much Psi+ as Phi-; only such right pairs are compared.
- Neither turns the qubits of Bell-diagonal pairs before the CNOTs of a purification, as DEJMPS does; the turn exchanges
  Phi- and Psi- and is made here on what they are given.
- SimQN's distribution protocol forgets what the far memory of a pair has cost when the near one swaps it away.
- SeQUeNCe's swap gives F1 F2 times a degradation, 0.95 unless told otherwise: not the Werner rule, see `test_rates`.
"""

import itertools
from collections.abc import Sequence
from typing import Any

import pytest
from qns.entity.memory.memory import QuantumMemory
from qns.entity.node.node import QNode
from qns.models.epr import MixedStateEntanglement, WernerStateEntanglement
from qns.network import QuantumNetwork
from qns.network.protocol.entanglement_distribution import EntanglementDistributionApp
from qns.network.topology import LineTopology
from qns.network.topology.topo import ClassicTopology
from qns.simulator.simulator import Simulator
from sequence.components.memory import Memory
from sequence.entanglement_management.purification.bbpssw_bds import BBPSSW_BDS
from sequence.kernel.timeline import Timeline
from sequence.topology.node import Node

from controller.physics.decoherence import both_depolarised, depolarised, kept_share, stored
from controller.physics.pair_states import UNCORRELATED, BellDiagonal, fidelity_of, werner_parameter
from controller.physics.purification import bbpssw, dejmps
from controller.physics.swapping import chain_fidelity, swapped

CHAINS = [
    (0.95, 0.9),
    (0.99, 0.8, 0.93),
    (0.97, 0.96, 0.95, 0.94),
    (0.99, 0.98, 0.97, 0.96, 0.95),
    (0.9, 0.99, 0.85, 0.95, 0.92, 0.98),
]
PAIRS = [
    BellDiagonal(phi_plus=0.8, phi_minus=0.1, psi_plus=0.07, psi_minus=0.03),
    BellDiagonal(phi_plus=0.7, phi_minus=0.05, psi_plus=0.05, psi_minus=0.2),
    BellDiagonal(phi_plus=0.6, phi_minus=0.0, psi_plus=0.4, psi_minus=0.0),
    BellDiagonal.werner(0.9),
]


def exact(value: float) -> Any:
    return pytest.approx(value, rel=0, abs=1e-9)


def turned(pair: BellDiagonal) -> BellDiagonal:
    """Exchange Phi- and Psi-, as DEJMPS's turns of the qubits do."""
    return BellDiagonal(
        phi_plus=pair.phi_plus, phi_minus=pair.psi_minus, psi_plus=pair.psi_plus, psi_minus=pair.phi_minus
    )


def in_simqn(pair: BellDiagonal) -> Any:
    return MixedStateEntanglement(fidelity=pair.phi_plus, b=pair.psi_plus, c=pair.psi_minus, d=pair.phi_minus)


def from_simqn(pair: Any) -> list[float]:
    """In our order: Phi+, Phi-, Psi+, Psi-."""
    return [pair.a, pair.d, pair.b, pair.c]


# SimQN, swapping


def distributed(
    fidelities: Sequence[float],
    *,
    fibre_loss_of_w_per_m: float = 0.0,
    length_m: float = 0.0,
    memory_rate_hz: float = 0.0,
    photon_s: float = 0.0005,
    message_s: float = 0.00025,
) -> float:
    """Run SimQN's distribution protocol over a line and return F of the pair that its far end gets."""
    line = LineTopology(
        len(fidelities) + 1,
        nodes_apps=[EntanglementDistributionApp()],
        # A bandwidth of 0 is an unlimited one; the default, one qubit a second, would queue.
        qchannel_args={
            "bandwidth": 0,
            "delay": photon_s,
            "length": length_m,
            "decoherence_rate": fibre_loss_of_w_per_m,
        },
        cchannel_args={"bandwidth": 0, "delay": message_s},
        memory_args={"decoherence_rate": memory_rate_hz},
    )
    network = QuantumNetwork(topo=line, classic_topo=ClassicTopology.Follow)
    network.build_route()
    network.add_request(network.nodes[0], network.nodes[-1], attr={"send_rate": 1})
    apps = [node.get_apps(EntanglementDistributionApp)[0] for node in network.nodes]
    for app, fidelity in zip(apps, fidelities, strict=False):
        app.init_fidelity = fidelity  # of the pairs this node makes with the next
    simulator = Simulator(0, 0.9)
    network.install(simulator)
    simulator.run()
    (pair,) = apps[-1].success
    return float(pair.fidelity)


@pytest.mark.parametrize("fidelities", CHAINS)
def test_a_chain_of_swaps_has_the_fidelity_that_simqn_delivers(fidelities: Sequence[float]) -> None:
    assert distributed(fidelities) == exact(chain_fidelity(fidelities))


@pytest.mark.parametrize("fidelities", CHAINS)
def test_pairs_that_lose_on_the_fibre_have_the_fidelity_that_simqn_delivers(fidelities: Sequence[float]) -> None:
    # SimQN's w exp(-rate length) is what a depolarising memory does over a time.
    arrived = [fidelity_of(depolarised(werner_parameter(made), 2_000.0, 1 / 2e-5)) for made in fidelities]

    assert distributed(fidelities, fibre_loss_of_w_per_m=2e-5, length_m=2_000.0) == exact(chain_fidelity(arrived))


@pytest.mark.parametrize("fidelities", CHAINS)
def test_pairs_that_decay_while_they_wait_have_the_fidelity_that_simqn_delivers(fidelities: Sequence[float]) -> None:
    """Of every pair SimQN counts the memory of the node that swaps, and of the last one that of the far end.

    Link k's photon reaches its far end when that of link k-1 has, and a message has gone back and another forth. The
    far end then says "swap" to the node before, which does; its right pair was stored since its left pair's photon
    came, its left pair since then (first swap) or since the swap before, one message later.
    """
    photon_s, message_s, coherence_s = 0.0005, 0.00025, 0.02
    w = werner_parameter(fidelities[0])
    for swap, fidelity in enumerate(fidelities[1:]):
        right_s = photon_s + 3 * message_s
        left_s = right_s if swap == 0 else right_s - message_s
        right_w = depolarised(werner_parameter(fidelity), right_s, coherence_s)
        w = werner_parameter(chain_fidelity([fidelity_of(depolarised(w, left_s, coherence_s)), fidelity_of(right_w)]))
    expected = fidelity_of(depolarised(w, message_s, coherence_s))

    assert distributed(fidelities, memory_rate_hz=1 / coherence_s, photon_s=photon_s, message_s=message_s) == exact(
        expected
    )


@pytest.mark.parametrize(
    ("left", "right"),
    [(left, right) for left, right in itertools.product(PAIRS, PAIRS) if right.psi_plus == right.phi_minus],
)
def test_a_swap_of_bell_diagonal_pairs_gives_the_state_of_simqn(left: BellDiagonal, right: BellDiagonal) -> None:
    assert from_simqn(in_simqn(left).swapping(in_simqn(right))) == exact_weights(swapped(left, right))


def exact_weights(pair: BellDiagonal) -> Any:
    return pytest.approx(list(pair), rel=0, abs=1e-9)


# Storage


@pytest.mark.parametrize("stored_s", [(0.0, 0.0), (0.003, 0.0), (0.001, 0.004)])
def test_a_pair_in_two_memories_decays_as_in_simqn(stored_s: tuple[float, float]) -> None:
    coherence_s = (0.01, 0.025)
    simulator = Simulator(0, 1)
    pair = WernerStateEntanglement(fidelity=0.95, name="pair")
    for seconds, coherence in zip(stored_s, coherence_s, strict=True):
        memory = QuantumMemory(node=QNode("end"), decoherence_rate=1 / coherence)
        memory.install(simulator)
        simulator.event_pool.tc = simulator.time(sec=0.0)
        memory.write(pair)
        simulator.event_pool.tc = simulator.time(sec=seconds)
        memory.read(pair)

    assert pair.w == exact(both_depolarised(werner_parameter(0.95), stored_s, coherence_s))


@pytest.mark.parametrize("pair", PAIRS)
def test_a_bell_diagonal_pair_depolarises_as_in_simqn(pair: BellDiagonal) -> None:
    theirs = in_simqn(pair)
    theirs.store_error_model(t=0.003, decoherence_rate=1 / 0.01)

    assert from_simqn(theirs) == exact_weights(pair.mixed(UNCORRELATED, 1 - kept_share(0.003, 0.01)))


@pytest.fixture
def timeline() -> Any:
    return Timeline(formalism="bell_diagonal")


def in_sequence(timeline: Any, pair: BellDiagonal, name: str, owner: Any = None, **memory: Any) -> Any:
    """Put a pair into two memories of SeQUeNCe, whose order is I, Z, X, Y as ours is; return one of them."""
    settings: dict[str, Any] = {"fidelity": 0.9, "frequency": 0, "efficiency": 1, "coherence_time": -1}
    ends = [Memory(f"{name}{end}", timeline, wavelength=1550, **(settings | memory)) for end in (0, 1)]
    for end in ends:
        end.owner = owner
    timeline.quantum_manager.set([end.qstate_key for end in ends], list(pair))
    return ends[0]


@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize(
    # Rates of X, Y, Z in 1/s as shares of 1/(coherence time), and the T1 and T2 that these are.
    ("shares", "t1_per_coherence", "t2_per_coherence"),
    [((0.0, 0.0, 1.0), float("inf"), 0.5), ((1 / 3, 1 / 3, 1 / 3), 0.75, 0.75), ((0.25, 0.25, 0.5), 1.0, 2 / 3)],
)
def test_a_bell_diagonal_pair_is_stored_as_in_sequence(
    timeline: Any,
    pair: BellDiagonal,
    shares: tuple[float, float, float],
    t1_per_coherence: float,
    t2_per_coherence: float,
) -> None:
    # Pauli errors at rates x = y and z: |0> and |1> fade at 2(x+y) = 1/T1, superpositions at 2(x+z) = 1/T2.
    memory = in_sequence(timeline, pair, "end", coherence_time=0.01, decoherence_errors=list(shares))
    memory.last_update_time = timeline.time = 10**9
    timeline.time += 3 * 10**9

    expected = stored(pair, 0.003, 0.01 * t1_per_coherence, 0.01 * t2_per_coherence)
    assert list(memory.get_bds_state()) == exact_weights(expected)


# Purification


@pytest.mark.parametrize("fidelity", [0.55, 0.7, 0.85, 0.99])
def test_a_round_on_equal_werner_pairs_succeeds_and_improves_as_in_simqn(
    fidelity: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    success, better = bbpssw(fidelity, fidelity)

    def round_with(chance: float) -> Any:
        monkeypatch.setattr("qns.models.epr.werner.get_rand", lambda: chance)
        return WernerStateEntanglement(fidelity).distillation(WernerStateEntanglement(fidelity))

    assert round_with(success - 1e-9).fidelity == exact(better)
    assert round_with(success + 1e-9) is None


@pytest.mark.parametrize(("kept", "measured"), list(itertools.product(PAIRS, PAIRS)))
def test_a_round_on_bell_diagonal_pairs_succeeds_and_improves_as_in_simqn(
    kept: BellDiagonal, measured: BellDiagonal, monkeypatch: pytest.MonkeyPatch
) -> None:
    success, better = dejmps(kept, measured)

    def round_with(chance: float) -> Any:
        monkeypatch.setattr("qns.models.epr.mixed.get_rand", lambda: chance)
        return in_simqn(turned(kept)).distillation(in_simqn(turned(measured)))

    assert from_simqn(round_with(success - 1e-9)) == exact_weights(better)
    assert round_with(success + 1e-9) is None or success > 1 - 1e-9


@pytest.mark.parametrize(("kept", "measured"), list(itertools.product(PAIRS, PAIRS)))
@pytest.mark.parametrize("twirled", [False, True])
def test_a_round_succeeds_and_improves_as_in_sequence(
    timeline: Any, kept: BellDiagonal, measured: BellDiagonal, twirled: bool
) -> None:
    near, far = (Node(name, timeline) for name in ("near", "far"))
    memories = [
        in_sequence(timeline, turned(pair), name, near) for name, pair in (("kept", kept), ("measured", measured))
    ]
    purifying = BBPSSW_BDS(near, "purifying", *memories, is_twirled=twirled)
    purifying.set_others("", far.name, [])

    chance, weights = purifying.purification_res()

    if twirled:
        success, fidelity = bbpssw(kept.fidelity, measured.fidelity)
        better = BellDiagonal.werner(fidelity)
    else:
        success, better = dejmps(kept, measured)
    assert chance == exact(success)
    assert list(weights) == exact_weights(better)
