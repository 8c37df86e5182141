"""What no placement of services can exceed: proven from the optimum in parts, whatever is moved."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from controller.routing.kernels.net import Int64s
from controller.routing.optimum.carrying import SCALE, Carrying
from controller.routing.optimum.moving import Ways
from controller.routing.optimum.pricing import rounded
from controller.routing.optimum.problem import Problem
from controller.routing.optimum.spread import least_fullest
from controller.routing.optimum.standing import Standing, held_by

MOST_PRIORITIES: Final = 16
"""For more of them only the highest ones, and all together, are proven."""


def most_carried(standing: Standing) -> tuple[dict[int, float], Int64s]:
    """Return, by priority, what can be carried at most of that and all higher ones, and what links are worth for all.

    Raises:
        ArithmeticError: The solver gave up.
    """
    services = standing.services
    priorities = sorted({service.priority for service in services}, reverse=True)
    proven = priorities if len(priorities) <= MOST_PRIORITIES else [*priorities[: MOST_PRIORITIES - 1], priorities[-1]]
    astray = _astray(standing)
    bounds: dict[int, float] = {}
    prices: Int64s = np.ones(standing.capacities.size, np.int64)
    for priority in proven:
        there = [number for number, service in enumerate(services) if service.priority >= priority]
        free = [number for number in there if services[number].movable and number not in astray]
        sure = sum(
            services[number].want.volume
            for number in there
            if services[number].way is not None and (number in astray or not services[number].movable)
        )
        carrying = Carrying(_problem(standing, free))
        *_, plan = carrying.rounds()
        bounds[priority] = sure + plan.bound
        prices = rounded(carrying.prices, SCALE)
    return bounds, prices


def least_key(standing: Standing, ways: Ways) -> float:
    """Return what key any placement uses at least that carries the same services as these ways.

    Raises:
        ArithmeticError: The solver gave up.
    """
    services = standing.services
    astray = _astray(standing)
    placed = [(number, way) for number, way in enumerate(ways) if way is not None]
    free = [number for number, _ in placed if services[number].movable and number not in astray]
    sure = sum(
        # A service that runs where it may not go any more takes one link at least, wherever it goes.
        services[number].want.volume * (1 if services[number].movable else len(way))
        for number, way in placed
        if not services[number].movable or number in astray
    )
    if not free:
        return float(sure)
    # At such a worth each unit is carried whatever detour that needs; what it is worth less is what was paid for links.
    worth = 4.0 * (standing.net.first.size - 1)
    problem = _problem(standing, free)
    problem = replace(problem, wants=tuple(replace(want, weight=worth) for want in problem.wants))
    *_, plan = Carrying(problem, toll=1.0).rounds()
    volume = sum(want.volume for want in problem.wants)
    return sure + max(0.0, worth * volume - plan.bound, float(volume))


def least_full(standing: Standing, ways: Ways) -> float:
    """Return how full the fullest link is at least in any placement that carries the same services as these ways.

    Raises:
        ArithmeticError: The solver gave up.
    """
    services = standing.services
    astray = _astray(standing)
    numbers = [number for number, way in enumerate(ways) if way is not None]
    free = [number for number in numbers if services[number].movable and number not in astray]
    return least_fullest(_problem(standing, free), standing.capacities, _fixed(standing))


def _problem(standing: Standing, numbers: Sequence[int]) -> Problem:
    """Return services that may go anywhere, on the room that is not held by what stays where it is.

    A link that is promised more than it has counts with what is held: that need not be given up.
    """
    problem = standing.problem()
    rooms = np.maximum(standing.capacities, held_by(standing, standing.ways())) - _fixed(standing)
    return replace(problem, rooms=rooms, wants=tuple(problem.wants[number] for number in numbers))


def _fixed(standing: Standing) -> Int64s:
    """Return what is held of each link by what stays where it is."""
    fixed = standing.others.copy()
    for service in standing.services:
        if not service.movable and service.way is not None:
            fixed[list(service.way)] += service.want.volume
    return fixed


def _astray(standing: Standing) -> frozenset[int]:
    """Return the services whose present way is none that they might be given now."""
    return frozenset(
        number
        for number, service in enumerate(standing.services)
        if service.way is not None and not _allowed(standing, number)
    )


def _allowed(standing: Standing, number: int) -> bool:
    want, way = standing.services[number].want, standing.services[number].way or ()
    ground = standing.grounds[want.ground]
    node, passed = want.source, []
    for link in way:
        node = int(standing.net.tails[link]) + int(standing.net.heads[link]) - node
        passed.append(node)
    return (
        (want.most is None or len(way) <= want.most)
        and bool(ground.open[list(way)].all())
        and bool(ground.passable[passed[:-1]].all())
    )
