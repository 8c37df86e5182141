"""What planning answers: how much of each demand goes which way, what that is worth, and what no plan can exceed."""

import math
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from controller.routing.kernels.net import Floats, Int64s
from controller.routing.optimum.problem import Objective, Problem


class Piece(NamedTuple):
    """A part of a demand that goes one way.

    Attributes:
        want: The number of the demand.
        volume: In millibit/s on each link, > 0.
        links: From the demand's source to its target.
    """

    want: int
    volume: int
    links: tuple[int, ...]


class Level(NamedTuple):
    """One step of filling.

    Attributes:
        value: What share of what was asked, divided by the weight, the demands that it settles get.
        bound: They cannot get more, as long as no demand that was settled before gets less.
        wants: The demands that it settles.
    """

    value: float
    bound: float
    wants: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Plan:
    """Volumes on routes that no link is too narrow for, and a proof of how good they are.

    Attributes:
        pieces: By want, then by volume, largest first.
        value: What the objective is worth for exactly these pieces. Of MAX_MIN and PROPORTIONAL, over the demands that
            have a route at all; 0 and -inf where one of those gets nothing.
        bound: No plan is worth more; proven by `prices`, whatever the solver did.
        rounds: How often all demands were priced.
        prices: Of a unit of each link, >= 0, in units of the objective; shape (n_links,).
        weight: The sum of the weights that a value of PROPORTIONAL is of.
        levels: Of MAX_MIN, those that are settled; value and bound of the plan are of the least.
    """

    objective: Objective
    pieces: tuple[Piece, ...]
    value: float
    bound: float
    rounds: int
    prices: Floats
    weight: float = 1.0
    levels: tuple[Level, ...] = ()

    @property
    def gap(self) -> float:
        """Return how much better a plan might be, as a part of the bound; in [0, 1].

        Of PROPORTIONAL: of the geometric mean of the shares of what was asked.
        """
        if self.objective is Objective.PROPORTIONAL:
            return max(0.0, -math.expm1(min(0.0, self.value - self.bound) / self.weight))
        return max(0.0, self.bound - self.value) / self.bound if self.bound > 0 else 0.0


def carried(problem: Problem, pieces: Iterable[Piece]) -> Int64s:
    """Return how much of each demand is carried in millibit/s; shape (n_wants,)."""
    volumes = np.zeros(len(problem.wants), np.int64)
    for piece in pieces:
        volumes[piece.want] += piece.volume
    return volumes


def used(problem: Problem, pieces: Iterable[Piece]) -> Int64s:
    """Return how much of each link is taken in millibit/s; shape (n_links,)."""
    taken = np.zeros(problem.rooms.size, np.int64)
    for piece in pieces:
        taken[list(piece.links)] += piece.volume
    return taken


def worth(problem: Problem, pieces: Iterable[Piece]) -> float:
    """Return the sum of weight x volume carried."""
    return math.fsum(problem.wants[piece.want].weight * piece.volume for piece in pieces)


def whole_pieces(problem: Problem, wants: list[int], ways: list[tuple[int, ...]], volumes: Floats) -> tuple[Piece, ...]:
    """Return pieces in whole millibit/s that keep every limit exactly, from volumes that nearly do.

    Args:
        problem: Whose limits they keep.
        wants: The demand of each way.
        ways: Links, from the smaller end of the demand to the larger.
        volumes: In millibit/s; >= 0 or a little below; shape (n_ways,).
    """
    amounts = np.maximum(0, np.rint(volumes)).astype(np.int64)
    left = np.array([want.volume for want in problem.wants], np.int64)
    rooms = np.maximum(0, problem.rooms).copy()
    by_want: dict[int, list[Piece]] = defaultdict(list)
    # What is worth most is settled first, so that what rounding added is taken off what is worth least.
    order = sorted(np.flatnonzero(amounts).tolist(), key=lambda at: (-problem.wants[wants[at]].weight, at))
    for at in order:
        number, links = wants[at], list(ways[at])
        volume = int(min(amounts[at], left[number], rooms[links].min()))
        if volume > 0:
            left[number] -= volume
            rooms[links] -= volume
            by_want[number].append(Piece(want=number, volume=volume, links=directed(problem, number, ways[at])))
    return tuple(
        piece
        for number in sorted(by_want)
        for piece in sorted(by_want[number], key=lambda one: (-one.volume, one.links))
    )


def directed(problem: Problem, number: int, way: tuple[int, ...]) -> tuple[int, ...]:
    """Return a way between the ends of a demand, smaller end first, as it runs from its source."""
    want = problem.wants[number]
    return way if want.source < want.target else way[::-1]
