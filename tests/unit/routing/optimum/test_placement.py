"""Better placements of what runs: every step fits, nothing that is carried is lost, and the proofs hold."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from controller.domain.refusals import InvalidValue
from controller.routing.kernels.net import net_of
from controller.routing.optimum.placement import Aim, Progress, Proposal, propose, search
from controller.routing.optimum.problem import Want, anywhere
from controller.routing.optimum.standing import Figures, Service, Standing, figures
from tests.unit.routing.optimum.small import UNIT, all_ways, random_problem


def random_standing(seed: int, *, most_services: int = 6) -> Standing:
    """Return services on routes at random, some of them blocked, some not to be moved, some links over-promised."""
    chance = np.random.default_rng(seed)
    problem = random_problem(seed, whole=1.1, most_wants=most_services)
    rooms = np.maximum(0, problem.rooms)
    others = np.where(chance.random(rooms.size) < 0.2, UNIT // 2, 0).astype(np.int64)
    left = rooms - others
    services = []
    for number, want in enumerate(problem.wants):
        ways = [way for way in all_ways(problem, number) if (left[list(way)] >= want.volume).all()]
        way = ways[int(chance.integers(len(ways)))] if ways and chance.random() < 0.8 else None
        if way is not None:
            left[list(way)] -= want.volume
        services.append(
            Service(want=want, priority=int(chance.integers(3)), way=way, movable=bool(chance.random() < 0.85))
        )
    weakened = np.where(chance.random(rooms.size) < 0.1, UNIT, 0)
    return Standing(
        net=problem.net,
        capacities=np.maximum(0, rooms - weakened),
        others=others,
        grounds=problem.grounds,
        services=tuple(services),
    )


def carry_out(standing: Standing, proposal: Proposal) -> list[tuple[int, ...] | None]:
    """Make the moves as a network does: the new route is taken beside the old, then the old is given up."""
    ways = standing.ways()
    held = standing.others.astype(object)
    for number, way in enumerate(ways):
        for link in way or ():
            held[link] += standing.services[number].want.volume
    for move in proposal.moves:
        service = standing.services[move.service]
        assert service.movable
        assert ways[move.service] == move.before
        new = set(move.after) - set(move.before or ())
        for link in new:
            held[link] += service.want.volume
            assert held[link] <= standing.capacities[link], "a link holds more than it has, while both are held"
        for link in set(move.before or ()) - set(move.after):
            held[link] -= service.want.volume
        ways[move.service] = move.after
    assert len({move.service for move in proposal.moves}) == len(proposal.moves)
    return ways


@pytest.mark.parametrize("aim", Aim)
def test_every_move_fits_when_it_is_its_turn_and_nothing_that_is_carried_is_lost(aim: Aim) -> None:
    for seed in range(120):
        standing = random_standing(seed)
        problem = standing.problem()
        proposal = propose(standing, aim=aim)
        ways = carry_out(standing, proposal)
        assert proposal.before == figures(standing, standing.ways())
        assert proposal.after == figures(standing, ways)
        for move in proposal.moves:
            assert move.after != move.before
            assert move.after in set(all_ways(problem, move.service)), seed
        assert all(ways[number] is not None for number, service in enumerate(standing.services) if service.way)
        for (_, was), (_, now) in zip(proposal.before.by_priority, proposal.after.by_priority, strict=True):
            assert now >= was
        assert not proposal.moves or merit(proposal.after, aim) > merit(proposal.before, aim), seed


def merit(figures: Figures, aim: Aim) -> tuple[object, ...]:
    fullest = (-round(figures.fullest, 6),) if aim is Aim.SPREAD else ()
    return (*figures.by_priority, *fullest, -figures.key_use)


def test_the_proofs_hold_for_every_placement_there_is() -> None:
    for seed in range(60):
        standing = random_standing(seed, most_services=4)
        problem = standing.problem()
        proposal = propose(standing, aim=Aim.SPREAD)
        assert proposal.fullest is not None
        carried = {volume: 0 for volume, _ in proposal.before.by_priority}
        least_key = least_full = None
        goal = {number for number, way in enumerate(carry_out(standing, proposal)) if way is not None}
        choices = [
            {service.way} if not service.movable else {None, service.way, *list(all_ways(problem, number))[:12]}
            for number, service in enumerate(standing.services)
        ]
        room = np.maximum(standing.capacities, held(standing, standing.ways()))
        for ways in product(*choices):
            if (held(standing, ways) > room).any():
                continue
            now = figures(standing, ways)
            for priority, volume in now.by_priority:
                carried[priority] = max(carried[priority], volume)
            if {number for number, way in enumerate(ways) if way is not None} == goal:
                least_key = now.key_use if least_key is None else min(least_key, now.key_use)
                least_full = now.fullest if least_full is None else min(least_full, now.fullest)
        for priority, proof in proposal.carried:
            assert proof.value <= carried[priority] <= proof.bound + 1, seed
        assert least_key is not None
        assert least_full is not None
        assert proposal.fullest.bound - 1e-6 <= least_full <= proposal.fullest.value, seed
        assert proposal.key_use.bound - 1 <= least_key <= proposal.key_use.value, seed


def held(standing: Standing, ways: object) -> np.ndarray:
    taken = standing.others.copy()
    for service, way in zip(standing.services, ways, strict=True):  # type: ignore[call-overload]
        taken[list(way or ())] += service.want.volume
    return taken


def square(**more: object) -> Standing:
    """Return a square 0-1-3 and 0-2-3 with room for one on each side, one that runs over 1, one blocked from 0 to 1."""
    net = net_of(4, [(0, 1), (1, 3), (0, 2), (2, 3)])
    standing = Standing(
        net=net,
        capacities=np.full(4, UNIT, np.int64),
        others=np.zeros(4, np.int64),
        grounds=(anywhere(net),),
        services=(
            Service(want=Want(source=3, target=0, volume=UNIT), way=(1, 0)),
            Service(want=Want(source=0, target=1, volume=UNIT, most=1)),
        ),
    )
    return replace(standing, **more)  # type: ignore[arg-type]


def test_a_service_that_is_in_the_way_goes_round_first() -> None:
    proposal = propose(square())
    assert [(move.service, move.before, move.after) for move in proposal.moves] == [
        (0, (1, 0), (3, 2)),
        (1, None, (0,)),
    ]
    assert (proposal.before.blocked, proposal.after.blocked) == (1, 0)
    assert proposal.carried == ((0, proposal.carried[0][1]),)
    assert proposal.carried[0][1].gap < 1e-9
    assert proposal.key_use.gap < 1e-6


def test_what_may_not_be_moved_stays() -> None:
    standing = square()
    first, second = standing.services
    proposal = propose(replace(standing, services=(replace(first, movable=False), second)))
    assert proposal.moves == ()
    assert proposal.carried[0][1].gap < 1e-9


def test_two_that_would_have_to_change_places_are_left_where_they_are() -> None:
    # given two services, each on the short way of the other, and no room for both on any link
    net = net_of(4, [(0, 1), (0, 2), (2, 1), (0, 3), (3, 1)])
    ways = ((1, 2), (0,))
    standing = Standing(
        net=net,
        capacities=np.array([UNIT, UNIT, UNIT, 0, 0]),
        others=np.zeros(5, np.int64),
        grounds=(anywhere(net),),
        services=tuple(Service(want=Want(source=0, target=1, volume=UNIT), way=way) for way in ways),
    )
    assert propose(standing).moves == ()


def test_the_fullest_link_is_relieved_where_that_is_the_aim() -> None:
    net = net_of(2, [(0, 1), (0, 1)])
    standing = Standing(
        net=net,
        capacities=np.full(2, 4 * UNIT, np.int64),
        others=np.zeros(2, np.int64),
        grounds=(anywhere(net),),
        services=tuple(Service(want=Want(source=0, target=1, volume=UNIT), way=(0,)) for _ in range(4)),
    )
    assert propose(standing).moves == ()
    spread = propose(standing, aim=Aim.SPREAD)
    assert (spread.before.fullest, spread.after.fullest, len(spread.moves)) == (1.0, 0.5, 2)


def test_no_more_moves_are_proposed_than_asked_for() -> None:
    for most in range(3):
        proposal = propose(square(), most_moves=most)
        assert len(proposal.moves) <= most
        assert proposal.after.carried == (2 if most == 2 else 1) * UNIT


def test_a_search_tells_how_far_it_is_and_without_searches_finds_nothing() -> None:
    steps = []
    found = search(square())
    while True:
        try:
            steps.append(next(found))
        except StopIteration as end:
            proposal = end.value
            break
    assert proposal == propose(square())
    assert all(isinstance(step, Progress) for step in steps)
    assert steps[0].step == "bounds"
    assert propose(square(), searches=0).moves == ()


@pytest.mark.parametrize("n_links", [0, 1])
def test_nothing_that_runs_is_no_mistake(n_links: int) -> None:
    net = net_of(3, [(0, 1)] * n_links)
    room = np.full(n_links, UNIT, np.int64)
    standing = Standing(net=net, capacities=room, others=room * 0, grounds=(anywhere(net),), services=())
    proposal = propose(standing)
    assert (proposal.moves, proposal.carried, proposal.key_use.gap) == ((), (), 0.0)


@pytest.mark.parametrize(
    "changed",
    [
        {"capacities": np.array([1, 1, 1, -1])},
        {"others": np.zeros(3, np.int64)},
        {"services": (Service(want=Want(source=0, target=3, volume=1), way=(0, 2)),)},
        {"services": (Service(want=Want(source=0, target=3, volume=1), way=()),)},
        {"services": (Service(want=Want(source=0, target=3, volume=1), way=(9,)),)},
        {"services": (Service(want=Want(source=0, target=3, volume=-1)),)},
    ],
)
def test_what_is_out_of_shape_or_range_is_refused(changed: dict[str, object]) -> None:
    with pytest.raises(InvalidValue):
        square(**changed)


def test_limits_below_nothing_are_refused() -> None:
    with pytest.raises(InvalidValue, match="0 or more"):
        propose(square(), most_moves=-1)
