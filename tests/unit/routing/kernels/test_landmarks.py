import networkx as nx
import numpy as np
import pytest

from controller.domain.refusals import InvalidValue
from controller.routing.kernels.landmarks import FAR, SEATS, landmarks
from controller.routing.kernels.net import MOST_NODES, Net, net_of
from tests.bench.gabriel import gabriel
from tests.unit.routing.kernels.small import ends_of, small


def graph_of(net: Net, costs: np.ndarray, over: np.ndarray) -> "nx.MultiGraph[int]":
    graph: nx.MultiGraph[int] = nx.MultiGraph()
    graph.add_nodes_from(range(net.first.size - 1))
    for link in np.flatnonzero(over).tolist():
        graph.add_edge(int(net.tails[link]), int(net.heads[link]), weight=int(costs[link]))
    return graph


def test_bounds_never_exceed_the_distance_and_none_says_that_two_nodes_are_not_joined() -> None:
    for seed in range(40):
        dice = np.random.default_rng(seed)
        n_nodes = int(dice.integers(20, 60))
        ends = [(a, b) for a, b in dice.integers(0, n_nodes, (n_nodes, 2)).tolist() if a != b]
        net = net_of(n_nodes, ends)
        costs = dice.integers(1, 2**40, len(ends)) if seed % 2 else dice.integers(1, 5, len(ends))
        over = dice.random(len(ends)) < 0.9
        marks = landmarks(net, costs, over)
        away = dict(nx.all_pairs_dijkstra_path_length(graph_of(net, costs, over)))
        for one in range(n_nodes):
            for other in range(n_nodes):
                bound = marks.bound(one, other)
                if bound is None:
                    assert other not in away[one]
                else:
                    assert 0 <= bound <= away[one].get(other, 2**62)
        for seat in marks.seats:
            for node in range(n_nodes):
                bound = marks.bound(seat, node)
                assert (bound is None) == (node not in away[seat])
                if bound is not None:
                    assert away[seat][node] - bound <= n_nodes * marks.unit


def test_the_bounds_of_a_road_like_graph_are_close() -> None:
    graph = gabriel(1000, 1)
    net = net_of(1000, ends_of(graph))
    marks = landmarks(net, graph.lengths_m)
    away = nx.single_source_dijkstra_path_length(
        graph_of(net, graph.lengths_m, np.ones(len(graph.ends), np.bool_)), 500
    )
    assert sum(marks.bound(500, node) or 0 for node in range(1000)) > 0.9 * sum(away.values())


def test_a_graph_in_two_parts_has_landmarks_in_both() -> None:
    graph = gabriel(100, 1)
    net = net_of(200, [*ends_of(graph), *((a + 100, b + 100) for a, b in ends_of(graph))])
    marks = landmarks(net, np.concatenate([graph.lengths_m] * 2))
    assert len([seat for seat in marks.seats if seat < 100]) == SEATS // 2
    assert marks.bound(3, 103) is None
    assert (marks.bound(3, 50) or 0) > 0
    assert (marks.bound(103, 150) or 0) > 0


def test_landmarks_are_the_same_each_time() -> None:
    graph = gabriel(300, 2)
    net = net_of(300, ends_of(graph))
    one, other = (landmarks(net, graph.lengths_m) for _ in range(2))
    assert one.seats == other.seats
    assert (one.table == other.table).all()


def test_the_table_is_frozen_and_its_rows_lie_on_lines_of_the_cache() -> None:
    graph = gabriel(100, 1)
    table = landmarks(net_of(100, ends_of(graph)), graph.lengths_m).table
    assert not table.flags.writeable
    assert table.ctypes.data % 64 == 0
    assert table.flags.c_contiguous


def test_a_handful_of_nodes_gets_no_landmarks_and_the_bound_zero() -> None:
    marks = landmarks(net_of(3, [(0, 1)]), np.ones(1, np.int64))
    assert marks.seats == ()
    assert marks.bound(0, 2) == 0


def test_no_nodes_and_no_links_have_no_landmarks() -> None:
    assert landmarks(net_of(0, []), np.ones(0, np.int64)).seats == ()
    assert landmarks(net_of(50, []), np.ones(0, np.int64)).seats == ()


def test_distances_in_the_table_stay_below_what_means_not_joined() -> None:
    ends = [(node, node + 1) for node in range(999)]
    marks = landmarks(net_of(1000, ends), np.full(999, 2**40, np.int64))
    assert 0 < marks.table.max() < FAR
    bound = marks.bound(0, 999)
    assert bound is not None
    assert 0.99 * 999 * 2**40 < bound <= 999 * 2**40


@pytest.mark.parametrize(
    "costs",
    [
        np.array([1.0, np.nan]),
        np.array([1.0, np.inf]),
        np.array([1, -1]),
        np.array([0, 1]),
        np.array([1, 2**40 + 1]),
        np.array([1]),
        np.array([[1, 1]]),
        np.array(["1", "1"]),
    ],
)
def test_costs_that_are_none_are_refused(costs: np.ndarray) -> None:
    with pytest.raises(InvalidValue, match="costs"):
        landmarks(net_of(3, [(0, 1), (1, 2)]), costs)


def test_flags_of_another_shape_are_refused() -> None:
    with pytest.raises(InvalidValue, match="over"):
        landmarks(net_of(3, [(0, 1), (1, 2)]), np.ones(2, np.int64), np.ones(3, np.bool_))
    with pytest.raises(InvalidValue, match="over"):
        landmarks(net_of(3, [(0, 1), (1, 2)]), np.ones(2, np.int64), np.ones(2, np.int8))


def test_a_net_of_too_many_nodes_is_refused_before_any_work() -> None:
    with pytest.raises(InvalidValue, match="divide"):
        net_of(MOST_NODES + 1, [])


def test_small_instances_are_what_they_should_be() -> None:
    kinds = [small(seed) for seed in range(50)]
    assert any(list(kind.ways()) for kind in kinds)
    assert not all(list(kind.ways()) for kind in kinds)
