"""Many demands on one network: what planning is asked. Nodes and links by number, amounts in millibit/s."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

import numpy as np

from controller.domain.refusals import InvalidValue
from controller.routing.kernels.net import Flags, Int64s, Net, frozen

MOST_VOLUME: Final = 2**50
"""The largest amount of one demand, and of one link, in millibit/s: about 1 Tbit/s."""
MOST_WANTS: Final = 100_000
_WEIGHTS: Final = (1e-6, 1e6)


class Objective(Enum):
    """What a plan makes as large as it can.

    CARRIED: The sum over all demands of weight x volume carried.
    MAX_MIN: The least share of what was asked, divided by the weight; then the second least, and so on.
    PROPORTIONAL: The sum over all demands of weight x log(share of what was asked).
    """

    CARRIED = "carried"
    MAX_MIN = "max-min"
    PROPORTIONAL = "proportional"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """Where the routes of some demands may go: what avoided nodes, links and trust domains leave.

    Attributes:
        open: Links that may be used; shape (n_links,).
        passable: Nodes that may be passed on the way, the ends always may; shape (n_nodes,).
    """

    open: Flags
    passable: Flags


@dataclass(frozen=True, slots=True, kw_only=True)
class Want:
    """One demand.

    Attributes:
        source, target: Nodes; different.
        volume: What it takes of every link of its route when it is carried in full, 1 to MOST_VOLUME.
        weight: Its worth for each unit carried, 1e-6 to 1e6.
        most: Most links of a route, >= 1; None is no limit.
        ground: The number of its ground.
        whole: It is carried on one route in full, or not at all.
    """

    source: int
    target: int
    volume: int
    weight: float = 1.0
    most: int | None = None
    ground: int = 0
    whole: bool = False


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Problem:
    """A network and what is wanted of it.

    Attributes:
        rooms: What is free on each link; below 0 counts as 0; at most MOST_VOLUME; shape (n_links,).
        wants: The demands; none is no mistake.
        grounds: At least one where there are wants.

    Raises:
        InvalidValue: A shape or a value is out of range; names the want and the field.
    """

    net: Net
    rooms: Int64s
    wants: tuple[Want, ...]
    grounds: tuple[Ground, ...]

    def __post_init__(self) -> None:
        n_nodes, n_links = self.net.first.size - 1, self.net.tails.size
        problems: list[tuple[str, str]] = []
        if self.rooms.shape != (n_links,) or self.rooms.dtype != np.int64:
            problems.append(("rooms", f"are not {n_links} whole numbers"))
        elif n_links and self.rooms.max() > MOST_VOLUME:
            problems.append(("rooms", f"{int(self.rooms.max())} millibit/s is more than {MOST_VOLUME}"))
        for number, ground in enumerate(self.grounds):
            if ground.open.shape != (n_links,) or ground.passable.shape != (n_nodes,):
                problems.append((f"grounds[{number}]", f"is not of {n_links} links and {n_nodes} nodes"))
        if len(self.wants) > MOST_WANTS:
            problems.append(("wants", f"{len(self.wants)} are more than {MOST_WANTS}; divide them"))
        else:
            for number, want in enumerate(self.wants):
                problems += [(f"wants[{number}].{field}", what) for field, what in _problems(self, want)]
        if problems:
            raise InvalidValue("", *problems[:20])

    def useful_rooms(self) -> Int64s:
        """Return the rooms, but none below 0 and none above what all demands take together; shape (n_links,)."""
        return np.clip(self.rooms, 0, sum(want.volume for want in self.wants))


def _problems(problem: Problem, want: Want) -> list[tuple[str, str]]:
    n_nodes = problem.net.first.size - 1
    found = []
    for field, node in (("source", want.source), ("target", want.target)):
        if not (_whole(node) and 0 <= node < n_nodes):
            found.append((field, f"{node} is none of the {n_nodes} nodes"))
    if want.source == want.target:
        found.append(("target", f"is the source, {want.source}"))
    if not (_whole(want.volume) and 1 <= want.volume <= MOST_VOLUME):
        found.append(("volume", f"{want.volume} millibit/s is no whole number in 1..{MOST_VOLUME}"))
    if not (math.isfinite(want.weight) and _WEIGHTS[0] <= want.weight <= _WEIGHTS[1]):
        found.append(("weight", f"{want.weight} is not in {_WEIGHTS[0]}..{_WEIGHTS[1]}"))
    if want.most is not None and not (_whole(want.most) and want.most >= 1):
        found.append(("most", f"{want.most} is no positive number of links"))
    if not (_whole(want.ground) and 0 <= want.ground < len(problem.grounds)):
        found.append(("ground", f"{want.ground} is none of the {len(problem.grounds)} grounds"))
    return found


def _whole(value: object) -> bool:
    return isinstance(value, int | np.integer)


def anywhere(net: Net) -> Ground:
    """Return the ground on which every link may be used and every node passed."""
    ground = Ground(open=np.ones(net.tails.size, np.bool_), passable=np.ones(net.first.size - 1, np.bool_))
    frozen(ground.open)
    frozen(ground.passable)
    return ground


def problem_of(net: Net, rooms: Int64s | Sequence[int], wants: Sequence[Want]) -> Problem:
    """Return the problem of demands that may go anywhere.

    Raises:
        InvalidValue: A shape or a value is out of range.
    """
    return Problem(net=net, rooms=np.asarray(rooms, np.int64), wants=tuple(wants), grounds=(anywhere(net),))
