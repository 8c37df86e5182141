"""Werner and Bell-diagonal pairs, and how well test pairs tell their fidelity."""

import itertools
import math
import random
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.physics.pair_states import (
    UNCORRELATED,
    Basis,
    BellDiagonal,
    fidelity_bound_two_bases,
    fidelity_estimate,
    fidelity_interval,
    fidelity_of,
    fidelity_standard_error,
    qber_of,
    teleportation_fidelity,
    werner_parameter,
)
from controller.physics.proportions import beta_cdf, proportion_interval
from tests.unit.physics.pairs import fidelities, pairs, ratios

BASES: tuple[Basis, ...] = ("X", "Y", "Z")
outside = st.one_of(
    st.floats(max_value=-1e-6), st.floats(min_value=1.000001), st.sampled_from([math.nan, math.inf, -math.inf])
)


@given(fidelities)
def test_the_werner_parameter_and_the_fidelity_say_the_same(fidelity: float) -> None:
    assert fidelity_of(werner_parameter(fidelity)) == pytest.approx(fidelity, abs=1e-12)
    pair = BellDiagonal.werner(fidelity)
    assert sum(pair) == pytest.approx(1.0, abs=1e-12)
    assert {round(pair.error_rate(basis), 12) for basis in BASES} == {round(qber_of(fidelity), 12)}
    assert (1 - werner_parameter(fidelity)) / 2 == pytest.approx(qber_of(fidelity), abs=1e-12)


@given(pairs)
def test_error_rates_in_three_bases_give_the_fidelity_and_in_two_a_bound(pair: BellDiagonal) -> None:
    qx, qy, qz = (pair.error_rate(basis) for basis in BASES)
    assert fidelity_estimate(qx, qy, qz) == pytest.approx(pair.fidelity, abs=1e-12)
    for two in itertools.combinations((qx, qy, qz), 2):
        assert fidelity_bound_two_bases(*two) <= pair.fidelity + 1e-12


@given(pairs, st.integers(0, 1), st.integers(0, 1))
def test_the_same_pauli_twice_changes_nothing(pair: BellDiagonal, x: int, z: int) -> None:
    assert pair.pauli(x, z).pauli(x, z) == pair


@given(pairs, pairs, ratios)
def test_a_mixture_has_the_mean_fidelity(one: BellDiagonal, other: BellDiagonal, share: float) -> None:
    mixed = one.mixed(other, share)
    assert mixed.fidelity == pytest.approx((1 - share) * one.fidelity + share * other.fidelity, abs=1e-12)


@given(outside)
def test_what_is_no_fidelity_is_refused_by_name(value: float) -> None:
    for function in (werner_parameter, qber_of, teleportation_fidelity, BellDiagonal.werner):
        with pytest.raises(ValueError, match=r"^fidelity: "):
            function(value)
    with pytest.raises(ValueError, match=r"^qy: "):
        fidelity_estimate(0.1, value, 0.1)
    with pytest.raises(ValueError, match=r"^qz: "):
        fidelity_bound_two_bases(0.1, value)


@pytest.mark.parametrize(
    ("weights", "named"),
    [
        ((0.5, 0.5, 0.5, 0.5), "sum to 1"),
        ((1.5, -0.5, 0.0, 0.0), "phi_plus"),
        ((0.5, -0.5, 0.5, 0.5), "phi_minus"),
        ((1.0, 0.0, math.nan, 0.0), "sum to 1"),
        ((math.nan, 0.0, 0.0, 1.0), "phi_plus"),
        ((1.0, math.inf, 0.0, 0.0), "phi_minus"),
        ((0.2, 0.2, 0.2, 0.2), "sum to 1"),
    ],
)
def test_weights_that_are_no_state_are_refused(weights: tuple[float, float, float, float], named: str) -> None:
    a, b, c, d = weights
    with pytest.raises(ValueError, match=named):
        BellDiagonal(phi_plus=a, phi_minus=b, psi_plus=c, psi_minus=d)


@pytest.mark.parametrize("value", [-0.34, 1.01, math.nan, math.inf])
def test_what_is_no_werner_parameter_is_refused_by_name(value: float) -> None:
    with pytest.raises(ValueError, match=r"^werner_parameter: "):
        fidelity_of(value)


def test_rounding_never_makes_a_fidelity_that_the_formulas_refuse() -> None:
    pair = BellDiagonal(phi_plus=1.0 + 1e-12, phi_minus=-1e-12, psi_plus=0.0, psi_minus=0.0)
    assert list(pair) == [1.0, 0.0, 0.0, 0.0]
    assert werner_parameter(pair.fidelity) == 1.0


def test_what_is_no_basis_and_no_pauli_is_refused() -> None:
    with pytest.raises(ValueError, match="basis"):
        UNCORRELATED.error_rate("H")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="x, z"):
        UNCORRELATED.pauli(2, 0)


# --- Estimates from test pairs


@pytest.mark.parametrize(
    ("trials", "a", "b"), [(1, 1, 1), (12, 5, 8), (12, 12, 1), (40, 1, 40), (400, 37, 364), (4000, 2000, 2001)]
)
@pytest.mark.parametrize("x", [0.001, 0.1, 0.37, 0.5, 0.93])
def test_the_incomplete_beta_function_is_a_binomial_tail(trials: int, a: int, b: int, x: float) -> None:
    def term(k: int) -> float:
        combinations = math.lgamma(trials + 1) - math.lgamma(k + 1) - math.lgamma(trials - k + 1)
        return math.exp(combinations + k * math.log(x) + (trials - k) * math.log1p(-x))

    assert a + b == trials + 1
    assert beta_cdf(x, a, b) == pytest.approx(math.fsum(term(k) for k in range(a, trials + 1)), abs=1e-10)


@given(st.integers(1, 400), st.data())
@settings(max_examples=60)
def test_a_proportion_lies_in_its_interval_and_more_confidence_widens_it(trials: int, data: st.DataObject) -> None:
    successes = data.draw(st.integers(0, trials))
    low, high = proportion_interval(successes, trials)
    assert 0 <= low <= successes / trials <= high <= 1
    wider = proportion_interval(successes, trials, 0.99)
    assert wider[0] <= low
    assert high <= wider[1]
    # Turned round, it is the interval of the other outcome.
    other = proportion_interval(trials - successes, trials)
    assert other == pytest.approx((1 - high, 1 - low), abs=1e-9)


def _binomial(trials: int, chance: float) -> list[float]:
    return [math.comb(trials, k) * chance**k * (1 - chance) ** (trials - k) for k in range(trials + 1)]


@cache
def _interval(wrong: tuple[int, int, int], samples: tuple[int, int, int]) -> tuple[float, float, float]:
    return fidelity_interval(wrong, samples)


@pytest.mark.parametrize("samples", [(1, 1, 1), (3, 3, 3), (6, 6, 6), (1, 2, 7), (4, 5, 6), (3, 3, 20)])
def test_the_interval_covers_the_fidelity_as_often_as_it_says_at_small_counts(samples: tuple[int, int, int]) -> None:
    # Exact: every outcome with its probability, for pairs from perfect to useless, of every kind of error.
    draw = random.Random(7)
    for step in range(24):
        error = 10 ** (-3 * step / 23)
        shares = [draw.random() ** 3 for _ in range(3)]
        pair = BellDiagonal(
            **dict(
                zip(
                    ("phi_plus", "phi_minus", "psi_plus", "psi_minus"),
                    (1 - error, *(error * share / sum(shares) for share in shares)),
                    strict=True,
                )
            )
        )
        chances = [_binomial(n, pair.error_rate(b)) for n, b in zip(samples, BASES, strict=True)]
        covered = 0.0
        for wrong in itertools.product(*(range(n + 1) for n in samples)):
            low, _, high = _interval((wrong[0], wrong[1], wrong[2]), samples)
            if low <= pair.fidelity <= high:
                covered += math.prod(chance[k] for chance, k in zip(chances, wrong, strict=True))
        assert covered >= 0.95 - 1e-9


def test_the_interval_covers_drawn_pairs_and_is_no_wider_than_it_has_to_be() -> None:
    draw = random.Random(20)
    covered = tried = 0
    for fidelity, count in itertools.product((0.7, 0.9, 0.99), (30, 300)):
        error = qber_of(fidelity)
        for _ in range(150):
            wrong = [sum(draw.random() < error for _ in range(count)) for _ in range(3)]
            low, estimate, high = fidelity_interval((wrong[0], wrong[1], wrong[2]), (count, count, count))
            assert low <= estimate <= high
            # Two standard errors either way, and one count of slack for exactness.
            assert high - low <= 4 * fidelity_standard_error(max(error, 2 / count), 3 * count) + 3 / count
            covered += low <= fidelity <= high
            tried += 1
    assert covered / tried >= 0.93


def test_a_basis_without_samples_leaves_everything_open() -> None:
    assert fidelity_interval((0, 0, 0), (100, 100, 0)) == (0.0, 1.0, 1.0)
    assert fidelity_interval((0, 0, 0), (0, 0, 0)) == (0.0, 0.25, 1.0)


@pytest.mark.parametrize(
    ("wrong", "samples", "named"),
    [
        ((3, 0, 0), (2, 2, 2), "disagreements in X"),
        ((0, -1, 0), (2, 2, 2), "disagreements in Y"),
        ((0, 0, 0), (2, 2, -2), "samples in Z"),
    ],
)
def test_counts_that_cannot_be_are_refused(
    wrong: tuple[int, int, int], samples: tuple[int, int, int], named: str
) -> None:
    with pytest.raises(ValueError, match=named):
        fidelity_interval(wrong, samples)


def test_a_confidence_of_one_and_no_samples_are_refused() -> None:
    with pytest.raises(ValueError, match="confidence"):
        fidelity_interval((0, 0, 0), (9, 9, 9), 1.0)
    with pytest.raises(ValueError, match="samples"):
        fidelity_standard_error(0.1, 0)
