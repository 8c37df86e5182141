"""Services moved one by one, old and new route held together for a moment: what fits, and in which order."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from controller.routing.kernels.net import Int64s
from controller.routing.optimum.standing import Standing, held_by

Ways = Sequence[tuple[int, ...] | None]
"""The way of each service, source to target; None: it has none."""


class Move(NamedTuple):
    """A service that gets another route, or its first one.

    Attributes:
        service: Its number.
        before: None while it is blocked.
        after: Source to target.
    """

    service: int
    before: tuple[int, ...] | None
    after: tuple[int, ...]


def fits(standing: Standing, rooms: Int64s, move: Move) -> bool:
    """Tell whether a move fits beside all that is held; links of both routes are charged once."""
    volume = standing.services[move.service].want.volume
    return all(rooms[link] >= volume for link in set(move.after) - set(move.before or ()))


def make(standing: Standing, rooms: Int64s, move: Move) -> None:
    """Change rooms to what is left once the old route is given up."""
    volume = standing.services[move.service].want.volume
    rooms[list(move.after)] -= volume
    if move.before:
        rooms[list(move.before)] += volume


def in_order(standing: Standing, goal: Ways, preferred: Iterable[int] = ()) -> tuple[Move, ...]:
    """Return moves towards other ways, each of which fits when it is its turn; each service moves once.

    What would only fit after a detour over a third route, or after something else is interrupted, is left out. Cost:
    O(moves^2 x links of a route).

    Args:
        standing: The services and their present ways.
        goal: The ways that they are to have.
        preferred: Services in the order in which they are tried.
    """
    waiting = dict.fromkeys([*preferred, *range(len(goal))])
    pending: list[Move] = []
    for number in waiting:
        before, after = standing.services[number].way, goal[number]
        if after is not None and after != before:
            pending.append(Move(service=number, before=before, after=after))
    unrouted_first = sorted(
        pending, key=lambda move: (move.before is not None, -standing.services[move.service].priority)
    )
    return max(_made(standing, pending), _made(standing, unrouted_first), key=len)


def _made(standing: Standing, moves: Sequence[Move]) -> tuple[Move, ...]:
    """Return the moves in an order in which they fit: always the first of the others that does."""
    pending = list(moves)
    rooms = standing.capacities - held_by(standing, standing.ways())
    made: list[Move] = []
    while True:
        fitting = next((move for move in pending if fits(standing, rooms, move)), None)
        if fitting is None:
            return tuple(made)
        make(standing, rooms, fitting)
        made.append(fitting)
        pending.remove(fitting)


def possible(standing: Standing, moves: Sequence[Move]) -> bool:
    """Tell whether each of these moves fits when it is its turn."""
    rooms = standing.capacities - held_by(standing, standing.ways())
    for move in moves:
        if not fits(standing, rooms, move):
            return False
        make(standing, rooms, move)
    return True


def after(standing: Standing, moves: Iterable[Move]) -> list[tuple[int, ...] | None]:
    """Return the ways once these moves are made."""
    ways = standing.ways()
    for move in moves:
        ways[move.service] = move.after
    return ways
