import threading
from dataclasses import replace

import networkx as nx
import numpy as np
import pytest

from controller.domain.refusals import InvalidValue
from controller.routing.kernels.cheapest import Found, cheapest_way
from controller.routing.kernels.compiled import NONE, OUT_OF_STEPS
from controller.routing.kernels.landmarks import Landmarks, landmarks, no_landmarks
from controller.routing.kernels.net import net_of
from tests.bench.gabriel import gabriel
from tests.unit.routing.kernels.small import Small, ends_of, small


def search(case: Small, marks: Landmarks = no_landmarks(), steps: int = 2**62) -> Found:  # noqa: B008
    return cheapest_way(
        case.net, case.costs, case.rooms, case.open, case.passable, case.need, case.start, case.goal, marks, steps
    )


def medium(seed: int, n_nodes: int = 400, full: float = 0.3) -> Small:
    """A road-like graph with full links, closed links and nodes not to be passed."""
    dice = np.random.default_rng(seed)
    graph = gabriel(n_nodes, seed)
    start, goal = sorted(dice.choice(n_nodes, 2, replace=False).tolist())
    n_links = len(graph.ends)
    return Small(
        net=net_of(n_nodes, ends_of(graph)),
        costs=graph.lengths_m if seed % 2 else dice.integers(1, 3, n_links),
        rooms=np.where(dice.random(n_links) < full, 0, dice.integers(5, 9, n_links)),
        open=dice.random(n_links) > 0.03,
        passable=dice.random(n_nodes) > 0.03,
        need=5,
        start=start,
        goal=goal,
    )


def open_graph(case: Small) -> "nx.MultiGraph[int]":
    """The links that the demand may use, without nodes that it may not pass."""
    graph: nx.MultiGraph[int] = nx.MultiGraph()
    graph.add_nodes_from([case.start, case.goal])
    ends = {case.start, case.goal}
    for link in np.flatnonzero(case.open & (case.rooms >= case.need)).tolist():
        a, b = int(case.net.tails[link]), int(case.net.heads[link])
        if all(case.passable[node] or node in ends for node in (a, b)):
            graph.add_edge(a, b, key=link, weight=int(case.costs[link]))
    return graph


def test_it_is_the_first_of_all_simple_paths_on_every_small_net() -> None:
    found = 0
    for seed in range(1500):
        case = small(seed)
        answer = search(case)
        ways = sorted(case.ways(), key=case.order)
        if not ways:
            assert answer.cost == NONE, seed
            assert answer.links.size == 0
        else:
            found += 1
            assert tuple(answer.links.tolist()) == ways[0], seed
            assert answer.cost == case.order(ways[0])[0]
    assert found > 500


def test_landmarks_change_no_way_and_the_cost_is_that_of_networkx() -> None:
    found = 0
    for seed in range(120):
        case = medium(seed)
        usable = case.open & (case.rooms >= case.need)
        answers = [
            search(case, marks)
            for marks in (
                no_landmarks(),
                landmarks(case.net, case.costs),
                landmarks(case.net, case.costs, usable),
                landmarks(case.net, np.ones_like(case.costs)),
            )
        ]
        try:
            cost = nx.dijkstra_path_length(open_graph(case), case.start, case.goal)
            found += 1
        except nx.NetworkXNoPath:
            cost = NONE
        assert {answer.cost for answer in answers} == {cost}, seed
        assert len({tuple(answer.links.tolist()) for answer in answers}) == 1, seed
    assert found > 60


def test_bounds_stay_valid_when_links_close_fill_up_or_get_dearer() -> None:
    marked = medium(1)
    marks = landmarks(marked.net, marked.costs)
    for seed in range(50):
        dice = np.random.default_rng(seed)
        case = replace(
            marked,
            costs=marked.costs + dice.integers(0, 10**5, marked.costs.size) * (dice.random(marked.costs.size) < 0.3),
            rooms=np.where(dice.random(marked.rooms.size) < 0.2, 0, 9),
            open=dice.random(marked.rooms.size) > 0.1,
        )
        assert search(case, marks).links.tolist() == search(case).links.tolist()


def test_landmarks_save_most_of_the_steps() -> None:
    case = replace(medium(3, n_nodes=2000, full=0.0), start=0, goal=1999)
    plain, led = search(case), search(case, landmarks(case.net, case.costs, case.open))
    assert led.links.tolist() == plain.links.tolist()
    assert led.steps < plain.steps / 3


def test_the_way_back_is_the_same_way_when_the_smaller_end_is_the_start() -> None:
    case = medium(2)
    assert search(case).links.tolist() == search(case).links.tolist()


def test_a_node_is_joined_with_itself_by_no_links() -> None:
    case = replace(medium(2), start=7, goal=7)
    assert search(case).cost == 0
    assert search(case).links.size == 0


def test_an_isolated_end_is_refused_at_once() -> None:
    graph = gabriel(2000, 1)
    n_links = len(graph.ends)
    for start, goal in ((0, 2000), (2000, 2001)):
        case = Small(
            net=net_of(2002, ends_of(graph)),
            costs=graph.lengths_m,
            rooms=np.ones(n_links, np.int64),
            open=np.ones(n_links, np.bool_),
            passable=np.ones(2002, np.bool_),
            need=1,
            start=start,
            goal=goal,
        )
        assert search(case).cost == NONE
        assert search(case).steps < 300
        assert search(case, landmarks(case.net, case.costs)).steps <= 1


def test_a_pocket_at_either_end_is_refused_in_few_steps() -> None:
    graph = gabriel(4000, 1)
    n_links = len(graph.ends)
    pocket = set(range(40))
    inside = np.isin(graph.ends, list(pocket))
    case = Small(
        net=net_of(4000, ends_of(graph)),
        costs=graph.lengths_m,
        rooms=np.ones(n_links, np.int64),
        open=np.logical_or(inside.all(axis=1), ~inside.any(axis=1)),
        passable=np.ones(4000, np.bool_),
        need=1,
        start=3,
        goal=3999,
    )
    marks = landmarks(case.net, case.costs)
    for one in (case, replace(case, start=case.goal, goal=case.start)):
        assert search(one, marks).cost == NONE
        assert search(one, marks).steps < 600


def test_a_search_that_runs_out_of_steps_says_so() -> None:
    case = replace(medium(1, full=0.0), open=np.ones(medium(1, full=0.0).open.size, np.bool_), start=0, goal=399)
    whole = search(case)
    assert whole.cost > 0
    assert search(case, steps=whole.steps).cost == whole.cost
    assert search(case, steps=whole.steps - 1).cost == OUT_OF_STEPS
    assert search(case, steps=0).cost == OUT_OF_STEPS


def test_it_answers_the_same_each_time_and_writes_to_no_argument() -> None:
    case = medium(5)
    for array in (case.costs, case.rooms, case.open, case.passable):
        array.flags.writeable = False
    answers = {tuple(search(case).links.tolist()) for _ in range(5)}
    assert len(answers) == 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"costs": np.array([1.0, np.nan])},
        {"costs": np.array([np.inf, 1.0])},
        {"costs": np.array([-1, 1])},
        {"costs": np.array([1, 0])},
        {"costs": np.array([1, 2**40 + 1])},
        {"costs": np.array([1])},
        {"rooms": np.array([1.5, 1.0])},
        {"rooms": np.array([1, 1, 1])},
        {"open": np.array([1, 1])},
        {"open": np.array([True])},
        {"passable": np.array([True, True])},
        {"start": -1},
        {"goal": 3},
        {"start": 2**40},
    ],
    ids=str,
)
def test_bad_input_is_refused(wrong: dict[str, object]) -> None:
    two = np.ones(2, np.int64)
    good = Small(
        net=net_of(3, [(0, 1), (1, 2)]),
        costs=two,
        rooms=two,
        open=np.ones(2, np.bool_),
        passable=np.ones(3, np.bool_),
        need=1,
        start=0,
        goal=2,
    )
    assert search(good).cost == 2
    with pytest.raises(InvalidValue):
        search(replace(good, **wrong))  # type: ignore[arg-type]


def test_landmarks_of_another_net_are_refused() -> None:
    case = medium(1)
    with pytest.raises(InvalidValue, match="marks"):
        search(case, landmarks(net_of(20, [(n, n + 1) for n in range(19)]), np.ones(19, np.int64)))


def test_other_threads_go_on_while_it_searches() -> None:
    case = medium(1, n_nodes=20_000, full=0.0)
    case = replace(case, start=0, goal=19_999)
    done = threading.Event()

    def search_on() -> None:
        for _ in range(20):
            search(case)
        done.set()

    searching = threading.Thread(target=search_on)
    turns = 0
    searching.start()
    while not done.is_set():
        turns += 1
    searching.join()
    # With the GIL held this thread would have had a turn of the interpreter at most between two searches.
    assert turns > 2000
