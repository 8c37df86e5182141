"""The optimum of many demands on one network under one of the objectives, as it becomes better round by round."""

from collections.abc import Iterator

from controller.routing.optimum.carrying import Carrying
from controller.routing.optimum.fair import Filling
from controller.routing.optimum.plan import Plan
from controller.routing.optimum.problem import Objective, Problem
from controller.routing.optimum.proportional import Proportional


def rounds(problem: Problem, objective: Objective) -> Iterator[Plan]:
    """Yield plans in parts, at least one, each with a valid bound: the caller may stop after any of them.

    Exact but for the solver's tolerance: the last plan has the gap that is left, usually below 1e-6. Demands that are
    `whole` may be divided here too, yet only over links that are wide enough for all of them.

    Raises:
        ArithmeticError: The solver gave up.
    """
    if objective is Objective.CARRIED:
        return Carrying(problem).rounds()
    if objective is Objective.MAX_MIN:
        return Filling(problem).rounds()
    return Proportional(problem).rounds()


def optimum(problem: Problem, objective: Objective, *, enough: float = 0.0, most_rounds: int | None = None) -> Plan:
    """Return the first plan whose gap is small enough, or the last one.

    Args:
        problem: The network and the demands.
        objective: What is to be as large as can be.
        enough: A gap in [0, 1). With MAX_MIN the levels above the least are left as they are then.
        most_rounds: Stop after so many; None goes on to the optimum.

    Raises:
        ArithmeticError: The solver gave up.
    """
    plan: Plan | None = None
    for plan in rounds(problem, objective):
        if (enough > 0 and plan.gap <= enough) or (most_rounds is not None and plan.rounds >= most_rounds):
            break
    assert plan is not None
    return plan
