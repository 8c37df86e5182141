import random
from dataclasses import replace

import networkx as nx
import numpy as np
import pytest

from controller.domain.refusals import InvalidValue
from controller.routing.kernels.cheapest import cheapest_way
from controller.routing.kernels.compiled import NONE, OUT_OF_STEPS
from controller.routing.kernels.hops import fewest_way, hop_landmarks
from controller.routing.kernels.landmarks import Landmarks
from controller.routing.kernels.net import net_of
from tests.bench.gabriel import gabriel
from tests.unit.routing.kernels.small import Small, ends_of, small


def road(seed: int, n_nodes: int = 300) -> Small:
    """A road-like graph with full links, closed links and nodes not to be passed."""
    dice = np.random.default_rng(seed)
    graph = gabriel(n_nodes, seed)
    n_links = len(graph.ends)
    start, goal = sorted(dice.choice(n_nodes, 2, replace=False).tolist())
    return Small(
        net=net_of(n_nodes, ends_of(graph)),
        costs=np.ones(n_links, np.int64),
        rooms=np.where(dice.random(n_links) < 0.2, 0, dice.integers(5, 9, n_links)),
        open=dice.random(n_links) > 0.03,
        passable=dice.random(n_nodes) > 0.03,
        need=5,
        start=start,
        goal=goal,
    )


def test_it_is_the_first_of_all_simple_paths_whatever_is_limited_barred_or_behind() -> None:
    found = 0
    for seed in range(2000):
        case = small(seed, most_cost=1)
        dice = random.Random(seed)
        nodes, links = range(case.passable.size), range(case.rooms.size)
        most = dice.choice([None, 0, 1, 2, 3])
        barred = [link for link in links if dice.random() < 0.15]
        behind = {node for node in nodes if dice.random() < 0.15} - {case.start, case.goal}
        cap = dice.choice([2**62, 1, 2])
        if dice.random() < 0.5:
            case = replace(case, start=case.goal, goal=case.start)
        allowed = []
        for way in replace(
            case, passable=np.array([flag and node not in behind for node, flag in enumerate(case.passable)])
        ).ways():
            if way[0] not in barred and (most is None or len(way) <= most):
                room = min(cap, *(int(case.rooms[link]) for link in way))
                allowed.append((len(way), -room, way))
        answer = fewest_way(
            case.net,
            case.rooms,
            case.open,
            case.passable,
            case.need,
            start=case.start,
            goal=case.goal,
            most=most,
            barred=np.array(barred, np.int32),
            behind=np.isin(np.arange(len(nodes)), list(behind)) if behind or seed % 2 else None,
            cap=cap,
        )
        if allowed:
            found += 1
            assert (answer.cost, tuple(answer.links.tolist())) == min(allowed)[::2], seed
        else:
            assert (answer.cost, answer.links.size) == (NONE, 0), seed
    assert found > 600


def way_of(case: Small, marks: Landmarks | None, most: int | None = None) -> tuple[int, list[int]]:
    given = {} if marks is None else {"marks": marks}
    found = fewest_way(
        case.net,
        case.rooms,
        case.open,
        case.passable,
        case.need,
        start=case.start,
        goal=case.goal,
        most=most,
        **given,  # type: ignore[arg-type]
    )
    return found.cost, found.links.tolist()


def test_landmarks_change_no_way_and_it_is_the_cheapest_at_costs_of_one() -> None:
    found = 0
    for seed in range(100):
        case = road(seed)
        usable = np.logical_and(case.open, case.rooms >= case.need)
        answers = [way_of(case, marks) for marks in (None, hop_landmarks(case.net), hop_landmarks(case.net, usable))]
        cheapest = cheapest_way(
            case.net, case.costs, case.rooms, case.open, case.passable, case.need, case.start, case.goal
        )
        assert answers == [(cheapest.cost, cheapest.links.tolist())] * 3, seed
        if cheapest.cost > 0:
            found += 1
            assert way_of(case, hop_landmarks(case.net), most=cheapest.cost) == answers[0]
            assert way_of(case, hop_landmarks(case.net), most=cheapest.cost - 1) == (NONE, [])
            assert way_of(case, None, most=cheapest.cost - 1) == (NONE, [])
    assert found > 50


def test_it_has_as_many_links_as_networkx_finds() -> None:
    for seed in range(20):
        case = road(seed, n_nodes=150)
        graph: nx.Graph[int] = nx.Graph()
        graph.add_nodes_from([case.start, case.goal])
        for link in np.flatnonzero(np.logical_and(case.open, case.rooms >= case.need)).tolist():
            ends = int(case.net.tails[link]), int(case.net.heads[link])
            if all(case.passable[node] or node in (case.start, case.goal) for node in ends):
                graph.add_edge(*ends)
        joined = nx.has_path(graph, case.start, case.goal)
        length = nx.shortest_path_length(graph, case.start, case.goal) if joined else NONE
        assert way_of(case, hop_landmarks(case.net))[0] == length


def test_a_search_that_runs_out_of_steps_says_so() -> None:
    case = road(1)
    everywhere = np.ones(case.rooms.size, np.bool_), np.ones(case.passable.size, np.bool_)
    whole = fewest_way(case.net, case.rooms, *everywhere, 0, start=0, goal=299)
    for steps, cost in ((whole.steps, whole.cost), (whole.steps - 1, OUT_OF_STEPS), (0, OUT_OF_STEPS)):
        assert fewest_way(case.net, case.rooms, *everywhere, 0, start=0, goal=299, steps=steps).cost == cost


def test_a_node_is_joined_with_itself_by_no_links() -> None:
    case = replace(road(1), start=5, goal=5)
    assert way_of(case, None) == (0, [])


def test_bad_input_is_refused() -> None:
    net, two, flags = net_of(3, [(0, 1), (1, 2)]), np.ones(2, np.int64), np.ones(2, np.bool_)
    three = np.ones(3, np.bool_)
    assert fewest_way(net, two, flags, three, 1, start=0, goal=2).cost == 2
    with pytest.raises(InvalidValue, match="ends"):
        fewest_way(net, two, flags, three, 1, start=0, goal=3)
    with pytest.raises(InvalidValue, match="rooms"):
        fewest_way(net, np.array([1.0, np.nan]), flags, three, 1, start=0, goal=2)
    with pytest.raises(InvalidValue, match="open"):
        fewest_way(net, two, three, three, 1, start=0, goal=2)
    with pytest.raises(InvalidValue, match="behind"):
        fewest_way(net, two, flags, three, 1, start=0, goal=2, behind=flags)
    with pytest.raises(InvalidValue, match="barred"):
        fewest_way(net, two, flags, three, 1, start=0, goal=2, barred=np.array([0.5]))
