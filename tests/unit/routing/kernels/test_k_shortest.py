"""Loop-free ways in the order of their costs."""

from itertools import islice

import numpy as np
import pytest

from controller.domain.refusals import InvalidValue, TooHard
from controller.routing.kernels.cheapest import Found, cheapest_way
from controller.routing.kernels.k_shortest import ShortestWays
from controller.routing.kernels.landmarks import landmarks
from controller.routing.kernels.net import net_of
from tests.bench.gabriel import gabriel
from tests.unit.routing.kernels.small_nets import Problem, all_ways, cost_of, problem, room_of


def in_order(asked: Problem) -> list[tuple[int, tuple[int, ...]]]:
    """Return the stated order by sorting all there is."""
    ways = sorted(all_ways(asked), key=lambda way: (cost_of(asked, way), -room_of(asked, way), way))
    return [(cost_of(asked, way), way) for way in ways]


def told(found: list[Found]) -> list[tuple[int, tuple[int, ...]]]:
    return [(one.cost, tuple(one.links.tolist())) for one in found]


def ladder(rungs: int) -> ShortestWays:
    """Return the ways along a ladder of parallel links: 2 for each rung."""
    ends = [(rung, rung + 1) for rung in range(rungs) for _ in range(2)]
    net = net_of(rungs + 1, ends)
    ones, true = np.ones(len(ends), np.int64), np.ones(len(ends), np.bool_)
    return ShortestWays(net, ones, ones, true, np.ones(rungs + 1, np.bool_), 1, 0, rungs)


def test_all_ways_come_in_the_stated_order() -> None:
    for seed in range(1500):
        asked = problem(seed)
        assert told(list(ShortestWays(*asked.ground, most=asked.most))) == in_order(asked), seed


def test_landmarks_change_nothing_but_the_work() -> None:
    with_seats = 0
    for seed in range(600):
        asked = problem(seed, most_nodes=18, most_links=26)
        marks = landmarks(asked.net, np.maximum(1, asked.costs // 2))
        with_seats += bool(marks.seats)
        led = told(ShortestWays(*asked.ground, marks, most=asked.most).more(30))
        assert led == told(ShortestWays(*asked.ground, most=asked.most).more(30)), seed
    assert with_seats > 200


def test_several_at_once_are_the_same_as_one_after_another() -> None:
    for seed in range(200):
        asked = problem(seed, most_links=14)
        ways = ShortestWays(*asked.ground)
        parts = [*told(ways.more(2)), *told(list(islice(ways, 1))), *told(ways.more(3)), *told(list(ways))]
        assert parts == told(ways.told) == told(list(ShortestWays(*asked.ground))), seed
        assert ways.more(2) == []


def test_the_first_is_the_cheapest_way() -> None:
    for seed in range(300):
        asked = problem(seed)
        cheapest = cheapest_way(*asked.ground)
        assert told(ShortestWays(*asked.ground).more(1)) == ([] if cheapest.cost < 0 else told([cheapest])), seed


def test_more_ways_than_were_provided_for_are_told_as_well() -> None:
    found = list(ladder(11))
    assert len(found) == 2**11
    assert told(found) == sorted(told(found))


def test_the_first_of_very_many_ways_costs_few_steps() -> None:
    ways = ladder(60)  # 2^60 ways
    ways.more(3)
    assert 2**62 - ways.steps_left < 10_000


def test_a_search_led_over_a_large_net_finds_what_a_search_of_it_all_does() -> None:
    graph = gabriel(300, 5)
    net = net_of(300, [(int(a), int(b)) for a, b in graph.ends])
    rooms = np.random.default_rng(1).integers(0, 10, len(graph.ends))
    true = np.ones(len(graph.ends), np.bool_)
    found = ShortestWays(net, graph.lengths_m, rooms, true, np.ones(300, np.bool_), 2, 0, 299).more(40)
    assert len(found) == 40
    costs = [one.cost for one in found]
    assert costs == sorted(costs) == [int(graph.lengths_m[one.links].sum()) for one in found]
    assert len({tuple(one.links.tolist()) for one in found}) == 40
    # Ways through each link that is left out in turn: none better than the last told was missed.
    for link in found[0].links:
        closed = true.copy()
        closed[link] = False
        best = cheapest_way(net, graph.lengths_m, rooms, closed, np.ones(300, np.bool_), 2, 0, 299)
        around = [one.cost for one in found if link not in one.links]
        assert best.cost == around[0] if around else best.cost >= costs[-1]


def test_spent_steps_end_the_ways_with_a_refusal_and_keep_those_told() -> None:
    asked = problem(26, most_links=14)
    whole = ShortestWays(*asked.ground)
    ways = told(list(whole))
    assert len(ways) > 3
    spent = 2**62 - whole.steps_left
    for steps in range(spent):
        short = ShortestWays(*asked.ground, steps=steps)
        with pytest.raises(TooHard, match="step budget"):
            short.more(len(ways) + 1)
        assert told(short.told) == ways[: len(short.told)]
        with pytest.raises(TooHard):
            next(short)
    assert told(list(ShortestWays(*asked.ground, steps=spent))) == ways


def test_ways_are_those_of_the_arrays_as_they_were_when_asked() -> None:
    asked = problem(26, most_links=14)
    ways = ShortestWays(*asked.ground)
    expected = told(list(ShortestWays(*asked.ground)))
    asked.open[:] = False
    asked.rooms[:] = -9
    assert told(list(ways)) == expected


def test_from_a_node_to_itself_there_is_the_way_without_links() -> None:
    net = net_of(2, [(0, 1)])
    ones, true = np.ones(1, np.int64), np.ones(1, np.bool_)
    assert told(list(ShortestWays(net, ones, ones, true, np.ones(2, np.bool_), 1, 1, 1))) == [(0, ())]


def test_a_net_without_links_has_no_ways() -> None:
    net = net_of(3, [])
    none = np.zeros(0, np.int64)
    assert list(ShortestWays(net, none, none, np.zeros(0, np.bool_), np.ones(3, np.bool_), 1, 0, 2, most=1)) == []


@pytest.mark.parametrize("cost", [0, -1, 2**40 + 1])
def test_a_cost_out_of_its_range_is_refused_before_any_work(cost: int) -> None:
    net = net_of(3, [(0, 1), (1, 2)])
    costs = np.array([1, cost], np.int64)
    two, true = np.ones(2, np.int64), np.ones(2, np.bool_)
    with pytest.raises(InvalidValue, match=f"link 1 costs {cost}"):
        list(ShortestWays(net, costs, two, true, np.ones(3, np.bool_), 1, 0, 1))


def test_arrays_and_numbers_that_do_not_fit_are_refused() -> None:
    net = net_of(3, [(0, 1), (1, 2)])
    two, true, passable = np.ones(2, np.int64), np.ones(2, np.bool_), np.ones(3, np.bool_)
    with pytest.raises(InvalidValue, match="costs"):
        ShortestWays(net, np.array([1.0, np.nan]), two, true, passable, 1, 0, 1)
    with pytest.raises(InvalidValue, match="rooms"):
        ShortestWays(net, two, np.ones(3, np.int64), true, passable, 1, 0, 1)
    with pytest.raises(InvalidValue, match="passable"):
        ShortestWays(net, two, two, true, true, 1, 0, 1)
    with pytest.raises(InvalidValue, match="ends"):
        ShortestWays(net, two, two, true, passable, 1, 0, 3)
    with pytest.raises(InvalidValue, match="most"):
        ShortestWays(net, two, two, true, passable, 1, 0, 1, most=-1)
    with pytest.raises(InvalidValue, match="most"):
        ShortestWays(net, two, two, true, passable, 1, 0, 1, steps=-1)
