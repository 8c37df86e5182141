"""Heralding schemes against emitters, lossy arms, a beam splitter and its detectors, photon by photon."""

import itertools
import math

import numpy as np
import pytest
import qutip
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.physics.link_generation import double_click, single_click
from tests.unit.physics import circuits as lab
from tests.unit.physics.circuits import ONE, Operator, X, Z, on

EXACT = 1e-9
few = settings(max_examples=6, deadline=None)
etas = st.tuples(st.floats(0.01, 1.0), st.floats(0.01, 1.0))


def _bright(alpha: float) -> Operator:
    return (math.sqrt(1 - alpha) * qutip.basis(2, 0) + math.sqrt(alpha) * qutip.basis(2, 1)).proj()


def _mode(mode: int, operator: Operator) -> Operator:
    three = qutip.qeye(3)
    return qutip.tensor(ONE, ONE, *((operator, three) if mode == 0 else (three, operator)))


def _emission() -> Operator:
    """Return the isometry that gives each bright qubit a photon in its mode: qubit, qubit, mode a, mode b."""
    return sum(
        qutip.tensor(*(qutip.basis(2, bit) for bit in bits), *(qutip.basis(3, bit) for bit in bits))
        * lab.basis_state(*bits).dag()
        for bits in itertools.product((0, 1), repeat=2)
    )


def clicks(rho: Operator, arms: tuple[float, float], phase: float, *, number_resolving: bool) -> list[Operator]:
    """Let bright ends emit, lose photons, interfere the rest; return what a click of either detector leaves."""
    emission = _emission()
    rho = emission * rho * emission.dag()
    vacuum, photon = qutip.basis(3, 0), qutip.basis(3, 1)
    for mode, eta in enumerate(arms):
        kept = qutip.Qobj(np.diag([1, math.sqrt(eta), eta]))
        lost = math.sqrt(1 - eta) * vacuum * photon.dag()
        rho = lab.apply(rho, _mode(mode, kept), _mode(mode, lost))
    a, b = _mode(0, qutip.destroy(3)), _mode(1, qutip.destroy(3))
    splitter = (math.pi / 4 * (a.dag() * b - a * b.dag())).expm()
    rho = lab.apply(rho, splitter * _mode(0, (1j * phase * qutip.num(3)).expm()))
    dark = vacuum.proj()
    lit = photon.proj() if number_resolving else qutip.qeye(3) - dark
    seen = (qutip.tensor(ONE, ONE, lit, dark), qutip.tensor(ONE, ONE, dark, lit))
    return [lab.apply(rho, one).ptrace([0, 1]) for one in seen]


def corrected(heralded: Operator, z: int) -> Operator:
    return lab.apply(heralded, on({1: X * Z**z}, 2))


def phases(mean_cosine: float) -> tuple[float, float]:
    """Return two phases that, each half of the time, have this mean cosine and no mean sine."""
    return math.acos(mean_cosine), -math.acos(mean_cosine)


@given(st.tuples(st.floats(0.01, 0.9), st.floats(0.01, 0.9)), etas, st.floats(0.0, 1.0), st.booleans())
@few
def test_single_click_is_two_emitters_a_beam_splitter_and_one_click(
    alphas: tuple[float, float], arms: tuple[float, float], coherence: float, number_resolving: bool
) -> None:
    both = qutip.tensor(_bright(alphas[0]), _bright(alphas[1]))
    whole = sum(
        corrected(heralded, z=detector) / 2
        for phase in phases(coherence)
        for detector, heralded in enumerate(clicks(both, arms, phase, number_resolving=number_resolving))
    )
    herald = single_click(alphas, arms, number_resolving=number_resolving, phase_coherence=coherence)
    assert herald.success_probability == pytest.approx(whole.tr().real, abs=EXACT)
    found = [weight * herald.success_probability for weight in herald.pair]
    assert found == pytest.approx(lab.weights(whole), abs=EXACT)


@given(etas, st.floats(0.0, 1.0), st.booleans())
@few
def test_double_click_is_two_rounds_with_the_qubits_flipped_between(
    arms: tuple[float, float], visibility: float, number_resolving: bool
) -> None:
    start = qutip.tensor(_bright(0.5), _bright(0.5))
    flip = on({0: X, 1: X}, 2)
    # Only the difference of the two rounds' phases matters.
    whole = sum(
        corrected(twice, z=early ^ late) / 2
        for phase in phases(visibility)
        for early, once in enumerate(clicks(start, arms, phase, number_resolving=number_resolving))
        for late, twice in enumerate(clicks(lab.apply(once, flip), arms, 0.0, number_resolving=number_resolving))
    )
    herald = double_click(arms, visibility=visibility)
    assert herald.success_probability == pytest.approx(whole.tr().real, abs=EXACT)
    found = [weight * herald.success_probability for weight in herald.pair]
    assert found == pytest.approx(lab.weights(whole), abs=EXACT)
