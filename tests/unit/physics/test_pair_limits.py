"""Limits of lossy channels, chains and paths."""

import itertools
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.physics.link_generation import double_click, single_click
from controller.physics.pair_limits import chain_ebits_per_use, path_ebits_per_use, plob_ebits_per_use, widest_path

etas = st.floats(0.0, 0.999)


def test_small_transmittances_carry_one_point_four_four_times_as_much() -> None:
    assert plob_ebits_per_use(1e-9) == pytest.approx(1.4427e-9, rel=1e-4)
    assert plob_ebits_per_use(0.0) == 0.0
    assert plob_ebits_per_use(1.0) == math.inf


@given(st.floats(0.001, 1.0), st.floats(0.001, 0.9))
def test_no_heralding_scheme_exceeds_the_limit_of_its_fibre(arm: float, alpha: float) -> None:
    # Two equal arms are one fibre of transmittance eta^2; a station between may do what one repeater may.
    assert double_click(arm).success_probability <= plob_ebits_per_use(arm * arm) + 1e-12
    assert single_click(alpha, arm).success_probability * 0.5 <= chain_ebits_per_use(arm * arm, 2) + 1e-12


@given(st.floats(0.001, 0.999), st.integers(1, 20))
def test_more_repeaters_never_lower_the_limit_of_a_line(transmittance: float, spans: int) -> None:
    more = chain_ebits_per_use(transmittance, spans + 1)
    assert more >= chain_ebits_per_use(transmittance, spans)
    assert more == pytest.approx(path_ebits_per_use([transmittance ** (1 / (spans + 1))] * (spans + 1)), rel=1e-9)


@given(st.lists(st.tuples(st.sampled_from("abcde"), st.sampled_from("abcde"), etas), max_size=9))
@settings(max_examples=100)
def test_the_widest_path_is_the_best_of_all_paths(channels: list[tuple[str, str, float]]) -> None:
    best = 0.0
    for count in range(4):
        for between in itertools.permutations("bcd", count):
            nodes = ("a", *between, "e")
            hops = [
                max((eta for one, other, eta in channels if {one, other} == set(hop)), default=0.0)
                for hop in itertools.pairwise(nodes)
            ]
            best = max(best, path_ebits_per_use(hops))
    found = widest_path(channels, "a", "e")
    assert (found[0] if found else 0.0) == pytest.approx(best, abs=1e-12)
    if found:
        assert found[1][0] == "a"
        assert found[1][-1] == "e"
        assert len(set(found[1])) == len(found[1])


@pytest.mark.parametrize("bad", [-0.1, 1.1, math.nan, math.inf])
def test_what_is_no_transmittance_is_refused(bad: float) -> None:
    for call in (
        lambda: plob_ebits_per_use(bad),
        lambda: chain_ebits_per_use(bad, 2),
        lambda: path_ebits_per_use([0.5, bad]),
        lambda: widest_path([("a", "b", bad)], "a", "b"),
    ):
        with pytest.raises(ValueError, match=r"^transmittance: "):
            call()


def test_a_path_to_itself_or_of_nothing_and_a_chain_without_spans_are_refused() -> None:
    with pytest.raises(ValueError, match=r"^target: "):
        widest_path([], "a", "a")
    with pytest.raises(ValueError, match=r"^transmittances: "):
        path_ebits_per_use([])
    with pytest.raises(ValueError, match=r"^spans: "):
        chain_ebits_per_use(0.5, 0)
