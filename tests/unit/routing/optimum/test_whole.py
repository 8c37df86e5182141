"""Demands that are carried in full on one route or not at all."""

import numpy as np
import pytest

from controller.routing.kernels.net import net_of
from controller.routing.optimum.plan import used
from controller.routing.optimum.problem import Want, problem_of
from controller.routing.optimum.whole import place_whole
from tests.unit.routing.optimum.small import UNIT, all_ways, most_whole, random_problem


def test_a_plan_is_never_worth_more_than_the_best_of_all_routes_nor_that_more_than_the_bound() -> None:
    reached = best = 0.0
    for seed in range(1000, 1100):
        problem = random_problem(seed, whole=1.1, most_wants=7)
        plan = place_whole(problem)
        optimum = most_whole(problem)
        assert plan.value <= optimum + 1e-3, seed
        assert plan.bound >= optimum - 1e-3, seed
        for piece in plan.pieces:
            assert piece.volume == problem.wants[piece.want].volume
            assert piece.links in set(all_ways(problem, piece.want))
        assert len({piece.want for piece in plan.pieces}) == len(plan.pieces)
        assert (used(problem, plan.pieces) <= np.maximum(0, problem.rooms)).all(), seed
        reached, best = reached + plan.value, best + optimum
    assert reached >= 0.99 * best


def test_re_routing_makes_room_for_what_would_be_left_out() -> None:
    # given a square in which the first fits both ways, and the second only one
    net = net_of(4, [(0, 1), (1, 3), (0, 2), (2, 3)])
    wants = (Want(source=0, target=3, volume=UNIT), Want(source=0, target=1, volume=UNIT, most=1))

    # when both are placed
    plan = place_whole(problem_of(net, [UNIT] * 4, wants))

    # then the first goes round
    assert [piece.links for piece in plan.pieces] == [(2, 3), (0,)]
    assert plan.gap < 1e-6


@pytest.mark.parametrize("n_links", [0, 1])
def test_nothing_wanted_is_no_mistake(n_links: int) -> None:
    plan = place_whole(problem_of(net_of(2, [(0, 1)] * n_links), [5] * n_links, ()))
    assert (plan.pieces, plan.value, plan.bound, plan.gap) == ((), 0.0, 0.0, 0.0)
