import numpy as np
import pytest

from controller.domain.refusals import InvalidValue
from controller.routing.kernels.cheapest import cheapest_way
from controller.routing.kernels.hops import fewest_way
from controller.routing.kernels.landmarks import FAR, NOWHERE, distances
from controller.routing.kernels.live_landmarks import RENEWED_AT, LiveLandmarks, live_landmarks
from controller.routing.kernels.net import Net, net_of
from tests.bench.gabriel import gabriel
from tests.unit.routing.kernels.small import ends_of

MOST_COSTS = (1, 3, 2**40)


def random_net(dice: np.random.Generator) -> Net:
    n_nodes = int(dice.integers(10, 60))
    n_links = int(dice.integers(n_nodes, 3 * n_nodes))
    return net_of(n_nodes, [(a, b) for a, b in dice.integers(0, n_nodes, (n_links, 2)).tolist() if a != b])


def check_exact(live: LiveLandmarks) -> None:
    marks = live.marks
    assert not marks.table.flags.writeable
    for column, seat in enumerate(marks.seats):
        anew = distances(live.net, live.costs // marks.unit, live.over, seat)
        assert (marks.table[:, column] == np.where(anew < FAR, anew, NOWHERE)).all()
    assert not marks.table[:, len(marks.seats) :].any()


def test_after_any_closing_and_opening_the_table_is_the_one_made_anew_over_the_same_links() -> None:
    kept = made = 0
    for seed in range(180):
        dice = np.random.default_rng(seed)
        net = random_net(dice)
        n_links = net.tails.size
        costs = dice.integers(1, MOST_COSTS[seed % 3] + 1, n_links)
        open = dice.random(n_links) < dice.choice([0.3, 0.6, 0.9])
        live = live_landmarks(net, costs, open)
        for _ in range(12):
            open = open.copy()
            open[dice.integers(0, n_links, int(dice.integers(0, 4)))] ^= True
            before = live
            live = before.covering(open)
            assert not (open & ~live.over).any()
            if live is before:
                continue
            check_exact(live)
            check_exact(before)
            if live.joined:
                kept += 1
                assert live.marks.seats == before.marks.seats
                assert (live.over == (before.over | open)).all()
            else:
                made += 1
                assert (live.over == open).all()
    assert kept >= 500
    assert made >= 50


def test_kept_landmarks_change_no_way() -> None:
    asked = 0
    for seed in range(70):
        dice = np.random.default_rng(seed)
        net = random_net(dice)
        n_nodes, n_links = net.first.size - 1, net.tails.size
        costs = dice.integers(1, MOST_COSTS[seed % 3] + 1, n_links)
        rooms, passable = dice.integers(0, 4, n_links), dice.random(n_nodes) < 0.9
        usable = rooms >= 1
        by_cost, by_hops = live_landmarks(net, costs, usable), live_landmarks(net, np.ones_like(costs), usable)
        for _ in range(8):
            changing = dice.integers(0, n_links, 2)
            rooms[changing] = dice.integers(0, 4, 2)
            by_cost, by_hops = by_cost.covering(rooms >= 1), by_hops.covering(rooms >= 1)
            start, goal = sorted(dice.integers(0, n_nodes, 2).tolist())
            state = (rooms, np.ones(n_links, np.bool_), passable, int(dice.integers(1, 3)))
            plain = cheapest_way(net, costs, *state, start, goal)
            led = cheapest_way(net, costs, *state, start, goal, by_cost.marks)
            assert (led.cost, led.links.tolist()) == (plain.cost, plain.links.tolist())
            plain = fewest_way(net, *state, start=start, goal=goal)
            led = fewest_way(net, *state, start=start, goal=goal, marks=by_hops.marks)
            assert (led.cost, led.links.tolist()) == (plain.cost, plain.links.tolist())
            asked += 1
    assert asked >= 500


def test_parts_that_become_one_are_no_longer_said_to_be_apart() -> None:
    graph = gabriel(100, 1)
    ends = [*ends_of(graph), *((a + 100, b + 100) for a, b in ends_of(graph)), (0, 100)]
    open = np.ones(len(ends), np.bool_)
    open[-1] = False
    apart = live_landmarks(net_of(200, ends), np.full(len(ends), 2**40, np.int64), open)
    assert apart.marks.bound(3, 103) is None
    open[-1] = True
    joined = apart.covering(open)
    assert joined.joined == 1
    assert joined.marks.table.max() < FAR
    assert 0 < (joined.marks.bound(3, 103) or 0) <= 199 * 2**40
    assert apart.marks.bound(3, 103) is None
    check_exact(joined)


def test_a_link_that_closes_and_opens_again_costs_nothing() -> None:
    graph = gabriel(100, 1)
    every = np.ones(len(graph.ends), np.bool_)
    live = live_landmarks(net_of(100, ends_of(graph)), graph.lengths_m, every)
    closed = every.copy()
    closed[::7] = False
    assert live.covering(closed) is live
    assert live.covering(every) is live


def test_many_links_that_opened_make_landmarks_over_the_open_ones_alone() -> None:
    graph = gabriel(200, 1)
    n_links = len(graph.ends)
    open = np.ones(n_links, np.bool_)
    open[: n_links // 2] = False
    live = live_landmarks(net_of(200, ends_of(graph)), graph.lengths_m, open)
    open[: n_links // 2] = True
    open[-5:] = False
    assert n_links // 2 > RENEWED_AT * n_links
    renewed = live.covering(open)
    assert renewed.joined == 0
    assert (renewed.over == open).all()


def test_what_is_kept_does_not_hang_on_the_arrays_it_was_made_of() -> None:
    graph = gabriel(50, 1)
    costs, open = graph.lengths_m.copy(), np.ones(len(graph.ends), np.bool_)
    live = live_landmarks(net_of(50, ends_of(graph)), costs, open)
    costs[:], open[:] = 1, False
    assert (live.costs == graph.lengths_m).all()
    assert live.over.all()


def test_flags_of_another_shape_are_refused() -> None:
    live = live_landmarks(net_of(3, [(0, 1), (1, 2)]), np.ones(2, np.int64), np.ones(2, np.bool_))
    with pytest.raises(InvalidValue, match="open"):
        live.covering(np.ones(3, np.bool_))
    with pytest.raises(InvalidValue, match="open"):
        live.covering(np.ones(2, np.int8))
