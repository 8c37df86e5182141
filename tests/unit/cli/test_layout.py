"""Maps put every node into the frame, apart from the others, and always in the same place."""

import math
import random
from itertools import combinations, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.cli.layout import Point, placed


def at(nodes: list[str], links: list[tuple[str, str]], **positions: tuple[float, float]) -> dict[str, Point]:
    return placed(nodes, links, positions, width=800, height=450, apart=60)


networks = st.integers(1, 9).flatmap(
    lambda size: st.tuples(
        st.just([f"n{number}" for number in range(size)]),
        st.lists(st.tuples(st.integers(0, size - 1), st.integers(0, size - 1)), max_size=16),
    )
)


@settings(max_examples=25, deadline=None)
@given(networks, st.randoms(use_true_random=False))
def test_the_order_of_nodes_and_links_moves_nothing_and_all_are_in_the_frame_apart(
    network: tuple[list[str], list[tuple[int, int]]], chance: random.Random
) -> None:
    nodes, pairs = network
    links = [(nodes[one], nodes[other]) for one, other in pairs if one != other]
    drawn = at(nodes, links)
    shuffled, turned = list(nodes), [(other, one) for one, other in links]
    chance.shuffle(shuffled)
    chance.shuffle(turned)
    assert at(shuffled, turned) == drawn
    assert all(0 <= x <= 800 and 0 <= y <= 450 for x, y in drawn.values())
    for one, other in combinations(drawn.values(), 2):
        assert math.dist(one, other) > 30


def test_positions_are_kept_to_scale_with_north_up() -> None:
    drawn = at(["a", "b", "c"], [], a=(139.0, 35.0), b=(139.0, 36.0), c=(140.0, 35.0))
    north, east = math.dist(drawn["a"], drawn["b"]), math.dist(drawn["a"], drawn["c"])
    assert drawn["b"][1] < drawn["a"][1]
    assert drawn["c"][0] > drawn["a"][0]
    assert east / north == pytest.approx(math.cos(math.radians(35.5)), rel=1e-6)


def test_a_network_across_the_180th_meridian_is_not_torn_apart() -> None:
    drawn = at(["fiji", "samoa", "tonga"], [], fiji=(178.0, -18.0), samoa=(-172.0, -14.0), tonga=(-175.0, -21.0))
    assert drawn["fiji"][0] < drawn["tonga"][0] < drawn["samoa"][0]


def test_nodes_of_one_place_are_drawn_side_by_side() -> None:
    drawn = at(["a", "b", "far"], [], a=(10.0, 50.0), b=(10.0, 50.0), far=(11.0, 50.0))
    assert math.dist(drawn["a"], drawn["b"]) >= 59


def test_one_unknown_position_makes_the_whole_map_a_drawing() -> None:
    with_one = at(["a", "b"], [("a", "b")], a=(10.0, 50.0))
    assert with_one == at(["a", "b"], [("a", "b")])


def test_a_line_is_drawn_as_a_line() -> None:
    nodes = [f"n{number}" for number in range(6)]
    drawn = at(nodes, [*pairwise(nodes)])
    order = sorted(nodes, key=lambda name: drawn[name])
    assert order in (nodes, nodes[::-1])


def test_a_network_of_a_thousand_nodes_is_drawn_at_all() -> None:
    nodes = [f"n{number}" for number in range(1000)]
    assert len(set(at(nodes, [*pairwise(nodes)]).values())) == 1000


def test_no_nodes_make_an_empty_map() -> None:
    assert at([], []) == {}
