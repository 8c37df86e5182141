"""Plans in parts, against linear programs of another form, and what they promise whatever is asked."""

import math
from collections.abc import Iterator, Sequence

import numpy as np
import pytest
from scipy.optimize import minimize

from controller.domain.refusals import InvalidValue
from controller.routing.kernels.net import net_of
from controller.routing.optimum.plan import Plan, carried, used
from controller.routing.optimum.problem import Ground, Objective, Problem, Want, anywhere, problem_of
from controller.routing.optimum.solve import optimum, rounds
from tests.unit.routing.optimum.small import UNIT, ArcFlows, all_ways, random_problem


def batched(problems: Sequence[Problem], size: int) -> Iterator[Sequence[Problem]]:
    for begin in range(0, len(problems), size):
        yield problems[begin : begin + size]


def keeps_all_limits(problem: Problem, plan: Plan) -> bool:
    """Tell whether routes are routes of their demands, and no demand or link has more than there is."""
    for piece in plan.pieces:
        want = problem.wants[piece.want]
        if piece.volume <= 0 or piece.links not in set(all_ways(problem, piece.want)):
            return False
        assert want.most is None or len(piece.links) <= want.most
    volumes = np.array([want.volume for want in problem.wants])
    return bool(
        (carried(problem, plan.pieces) <= volumes).all()
        and (used(problem, plan.pieces) <= np.maximum(0, problem.rooms)).all()
    )


def shares(problem: Problem, plan: Plan) -> np.ndarray:
    return carried(problem, plan.pieces) / [want.volume for want in problem.wants]


def test_what_is_carried_is_the_optimum_of_flows_on_arcs_and_every_round_bounds_it() -> None:
    problems = [random_problem(seed, whole=0.3) for seed in range(500)]
    optima: list[float] = []
    for some in batched(problems, 50):
        optima += ArcFlows.most_of_each([ArcFlows(problem) for problem in some])
    for seed, (problem, optimum_of_arcs) in enumerate(zip(problems, optima, strict=True)):
        best = optimum_of_arcs * UNIT
        for plan in rounds(problem, Objective.CARRIED):
            assert plan.bound >= best * (1 - 1e-9) - 1, seed
            assert plan.value <= best * (1 + 1e-9) + 1e-6, seed
        assert plan.value == pytest.approx(best, rel=1e-5, abs=1), seed
        assert plan.gap < 1e-5
        if seed % 5 == 0:
            assert keeps_all_limits(problem, plan), seed


def test_the_prices_prove_the_bound_by_themselves() -> None:
    for seed in range(40):
        problem = random_problem(seed)
        plan = optimum(problem, Objective.CARRIED)
        # Weak duality, over all routes there are: all room at its price, and what weights exceed the cheapest way by.
        proof = float(np.maximum(0, problem.rooms) @ plan.prices) + sum(
            want.volume * max([0.0, *(want.weight - plan.prices[list(way)].sum() for way in all_ways(problem, number))])
            for number, want in enumerate(problem.wants)
        )
        assert proof <= plan.bound * (1 + 1e-8) + 1e-3, seed


def test_the_least_share_is_the_largest_then_the_second_least_and_so_on() -> None:
    for seed in range(40):
        problem = random_problem(seed, most_wants=4)
        arcs = ArcFlows(problem)
        best = arcs.max_min() / arcs.weights
        reachable = best > 0
        for plan in rounds(problem, Objective.MAX_MIN):
            if reachable.any():
                assert plan.bound >= best[reachable].min() - 1e-6, seed
        assert shares(problem, plan) / arcs.weights == pytest.approx(best, abs=2e-5), seed
        assert keeps_all_limits(problem, plan), seed
        assert plan.gap < 1e-5, seed


def test_proportional_shares_are_those_of_a_general_solver() -> None:
    for seed in range(30):
        problem = random_problem(seed, most_wants=4)
        plan = optimum(problem, Objective.PROPORTIONAL)
        assert keeps_all_limits(problem, plan), seed
        assert plan.gap < 1e-5, seed
        value = proportional_by_slsqp(problem)
        assert plan.bound >= value - 1e-6, seed
        assert plan.value >= value - 1e-4, seed


def proportional_by_slsqp(problem: Problem) -> float:
    """Return what a general solver reaches over all routes; a lower bound of the optimum."""
    ways = [(number, list(way)) for number in range(len(problem.wants)) for way in all_ways(problem, number)]
    there = sorted({number for number, _ in ways})
    if not there:
        return 0.0
    to = np.zeros((len(there), len(ways)))
    on = np.zeros((problem.rooms.size, len(ways)))
    for at, (number, way) in enumerate(ways):
        to[there.index(number), at] = UNIT / problem.wants[number].volume
        on[way, at] = 1.0
    weights = np.array([problem.wants[number].weight for number in there])
    rooms = np.maximum(0, problem.rooms) / UNIT
    least = float(rooms[rooms > 0].min()) / (4 * len(ways))
    answer = minimize(
        lambda x: -float(weights @ np.log(np.maximum(to @ x, 1e-12))),
        np.full(len(ways), min(least, 0.2 / len(ways))),
        jac=lambda x: -(weights / np.maximum(to @ x, 1e-12)) @ to,
        bounds=[(0, None)] * len(ways),
        constraints=[
            {"type": "ineq", "fun": lambda x: rooms - on @ x, "jac": lambda x: -on},
            {"type": "ineq", "fun": lambda x: 1 - to @ x, "jac": lambda x: -to},
        ],
        method="SLSQP",
        options={"maxiter": 300, "ftol": 1e-10},
    )
    x = np.maximum(0, answer.x)
    over = max([1.0, *((on @ x)[rooms > 0] / rooms[rooms > 0]), *(to @ x)])
    return float(weights @ np.log(np.maximum(to @ x / over, 1e-300)))


@pytest.mark.parametrize("objective", Objective)
def test_nothing_wanted_is_no_mistake(objective: Objective) -> None:
    plan = optimum(problem_of(net_of(3, [(0, 1)]), [5], ()), objective)
    assert (plan.pieces, plan.value, plan.bound, plan.gap) == ((), 0.0, 0.0, 0.0)


@pytest.mark.parametrize("objective", Objective)
def test_demands_that_no_route_leads_to_get_nothing_and_hold_up_nobody(objective: Objective) -> None:
    wants = (Want(source=0, target=2, volume=UNIT), Want(source=1, target=0, volume=UNIT))
    plan = optimum(problem_of(net_of(3, [(0, 1), (0, 1)]), [UNIT // 4, 0], wants), objective)
    assert [(piece.want, piece.volume, piece.links) for piece in plan.pieces] == [(1, UNIT // 4, (0,))]
    assert plan.gap < 1e-6


@pytest.mark.parametrize("objective", Objective)
def test_the_same_problem_has_the_same_plan(objective: Objective) -> None:
    one, other = (optimum(random_problem(7), objective) for _ in range(2))
    assert (one.pieces, one.value, one.bound) == (other.pieces, other.value, other.bound)
    assert (one.prices == other.prices).all()


def test_a_caller_may_stop_at_the_first_plan_that_is_good_enough() -> None:
    problem = random_problem(9)
    assert optimum(problem, Objective.CARRIED, most_rounds=1).rounds <= 2
    assert optimum(problem, Objective.CARRIED, enough=0.9).gap <= 0.9


@pytest.mark.parametrize(
    ("field", "changed"),
    [
        ("volume", {"volume": math.nan}),
        ("volume", {"volume": -1}),
        ("volume", {"volume": 0}),
        ("volume", {"volume": 2**51}),
        ("weight", {"weight": math.nan}),
        ("weight", {"weight": -1.0}),
        ("weight", {"weight": math.inf}),
        ("source", {"source": 9}),
        ("target", {"target": 0}),
        ("most", {"most": 0}),
        ("ground", {"ground": 3}),
    ],
)
def test_a_demand_out_of_range_is_refused_by_its_number_and_field(field: str, changed: dict[str, object]) -> None:
    asked: dict[str, object] = {"source": 0, "target": 1, "volume": 1, **changed}
    with pytest.raises(InvalidValue) as refusal:
        problem_of(net_of(2, [(0, 1)]), [5], [Want(source=0, target=1, volume=1), Want(**asked)])  # type: ignore[arg-type]
    assert refusal.value.fields[0][0] == f"wants[1].{field}"


@pytest.mark.parametrize("rooms", [[1], [1, 2, 3], [1, 2**51]])
def test_rooms_out_of_shape_or_range_are_refused(rooms: Sequence[int]) -> None:
    with pytest.raises(InvalidValue, match="rooms"):
        problem_of(net_of(2, [(0, 1), (0, 1)]), rooms, ())


def test_grounds_out_of_shape_are_refused() -> None:
    net = net_of(2, [(0, 1)])
    ground = Ground(open=np.ones(2, np.bool_), passable=anywhere(net).passable)
    with pytest.raises(InvalidValue, match=r"grounds\[0\]"):
        Problem(net=net, rooms=np.array([1]), wants=(), grounds=(ground,))
