"""The widest way, and the two orders that weigh width against cost."""

import numpy as np
import pytest

from controller.domain.refusals import InvalidValue
from controller.routing.kernels.cheapest import Found
from controller.routing.kernels.compiled import NONE, OUT_OF_STEPS, UNREACHED
from controller.routing.kernels.net import net_of
from controller.routing.kernels.widest import shortest_widest_way, widest_shortest_way, widest_way
from tests.bench.gabriel import gabriel
from tests.unit.routing.kernels.small_nets import Problem, all_ways, cost_of, problem, room_of

SEEDS = range(1200)


def plain(asked: Problem) -> tuple[object, ...]:
    """Return what a widest way is asked: all but the costs."""
    net, _, *rest = asked.ground
    return (net, *rest)


def told(found: Found) -> tuple[int, tuple[int, ...]]:
    return found.cost, tuple(found.links.tolist())


def test_the_widest_way_is_the_first_of_all_in_its_order() -> None:
    for seed in SEEDS:
        asked = problem(seed)
        width, found = widest_way(*plain(asked), most=asked.most)  # type: ignore[arg-type]
        best = min(all_ways(asked), key=lambda way: (-room_of(asked, way), len(way), way), default=None)
        if best is None:
            assert (width, told(found)) == (0, (NONE, ())), seed
        else:
            assert (width, told(found)) == (room_of(asked, best), (len(best), best)), seed


def test_the_widest_shortest_way_is_the_first_of_all_in_its_order() -> None:
    for seed in SEEDS:
        asked = problem(seed)
        found = widest_shortest_way(*asked.ground, most=asked.most)
        best = min(all_ways(asked), key=lambda way: (cost_of(asked, way), -room_of(asked, way), way), default=None)
        assert told(found) == ((NONE, ()) if best is None else (cost_of(asked, best), best)), seed


def test_the_shortest_widest_way_is_the_first_of_all_in_its_order() -> None:
    for seed in SEEDS:
        asked = problem(seed)
        width, found = shortest_widest_way(*asked.ground, most=asked.most)
        best = min(all_ways(asked), key=lambda way: (-room_of(asked, way), cost_of(asked, way), way), default=None)
        if best is None:
            assert (width, told(found)) == (0, (NONE, ())), seed
        else:
            assert (width, told(found)) == (room_of(asked, best), (cost_of(asked, best), best)), seed


def test_spent_steps_are_said_and_more_steps_change_nothing_else() -> None:
    graph = gabriel(60, 3)
    net = net_of(60, [(int(a), int(b)) for a, b in graph.ends])
    rooms = np.random.default_rng(3).integers(1, 50, len(graph.ends))
    ground = (rooms, np.ones(len(graph.ends), np.bool_), np.ones(60, np.bool_), 1, 0, 59)
    width, whole = widest_way(net, *ground)
    _, shortest = shortest_widest_way(net, graph.lengths_m, *ground)
    cheapest = widest_shortest_way(net, graph.lengths_m, *ground, most=20)
    for steps in range(whole.steps + 1):
        expected = (0, OUT_OF_STEPS) if steps < whole.steps else (width, whole.cost)
        found = widest_way(net, *ground, steps=steps)
        assert (found[0], found[1].cost) == expected
    for steps in range(shortest.steps + 1):
        found = shortest_widest_way(net, graph.lengths_m, *ground, steps=steps)
        assert found[1].cost == (OUT_OF_STEPS if steps < shortest.steps else shortest.cost)
    for steps in range(cheapest.steps + 1):
        limited = widest_shortest_way(net, graph.lengths_m, *ground, most=20, steps=steps)
        assert limited.cost == (OUT_OF_STEPS if steps < cheapest.steps else cheapest.cost)


def test_a_node_is_joined_with_itself_at_any_width() -> None:
    net = net_of(2, [(0, 1)])
    one, true = np.ones(1, np.int64), np.ones(1, np.bool_)
    width, found = widest_way(net, one, true, np.ones(2, np.bool_), 1, 1, 1)
    assert (width, told(found)) == (UNREACHED, (0, ()))
    width, found = shortest_widest_way(net, one, one, true, np.ones(2, np.bool_), 1, 1, 1)
    assert (width, told(found)) == (UNREACHED, (0, ()))


def test_bad_input_is_refused_before_any_work() -> None:
    net = net_of(3, [(0, 1), (1, 2)])
    two, true, passable = np.ones(2, np.int64), np.ones(2, np.bool_), np.ones(3, np.bool_)
    with pytest.raises(InvalidValue, match="rooms"):
        widest_way(net, np.array([1.0, np.inf]), true, passable, 1, 0, 1)
    with pytest.raises(InvalidValue, match="ends"):
        widest_way(net, two, true, passable, 1, -1, 1)
    with pytest.raises(InvalidValue, match="most"):
        widest_way(net, two, true, passable, 1, 0, 1, most=-1)
    with pytest.raises(InvalidValue, match="most"):
        widest_shortest_way(net, two, two, true, passable, 1, 0, 1, most=-1)
    with pytest.raises(InvalidValue, match="costs"):
        shortest_widest_way(net, np.ones(3, np.int64), two, true, passable, 1, 0, 1)
    for cost in (0, -1, 2**40 + 1):
        with pytest.raises(InvalidValue, match=f"costs {cost}"):
            widest_shortest_way(net, np.array([1, cost], np.int64), two, true, passable, 1, 0, 2)
