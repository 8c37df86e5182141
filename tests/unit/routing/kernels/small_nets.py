"""Small random nets for kernels, and every loop-free way through them, found by trying all."""

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

import numpy as np

from controller.routing.kernels.net import Flags, Int64s, Net, net_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """What a search is asked: parallel links, few distinct rooms and costs, so that ties are common."""

    net: Net
    costs: Int64s
    rooms: Int64s
    open: Flags
    passable: Flags
    need: int
    start: int
    goal: int
    most: int

    @property
    def ground(self) -> tuple[Net, Int64s, Int64s, Flags, Flags, int, int, int]:
        """What every search takes first."""
        return self.net, self.costs, self.rooms, self.open, self.passable, self.need, self.start, self.goal


def problem(seed: int, *, most_nodes: int = 7, most_links: int = 12) -> Problem:
    """Return the problem of a seed; one in three is limited in its links, one in three has equal costs."""
    dice = Random(seed)
    n_nodes = dice.randint(2, most_nodes)
    ends = [tuple(sorted(dice.sample(range(n_nodes), 2))) for _ in range(dice.randint(0, most_links))]
    n_links = len(ends)
    dearest = dice.choice([1, 2, 3, 9])
    start, goal = dice.sample(range(n_nodes), 2)
    return Problem(
        net=net_of(n_nodes, [(a, b) for a, b in ends]),
        costs=np.array([dice.randint(1, dearest) for _ in range(n_links)], np.int64),
        rooms=np.array([dice.choice([-1, 1, 2, 3, 4]) for _ in range(n_links)], np.int64),
        open=np.array([dice.random() < 0.95 for _ in range(n_links)], np.bool_),
        passable=np.array([dice.random() < 0.9 for _ in range(n_nodes)], np.bool_),
        need=dice.choice([-5, 1, 1, 2]),
        start=start,
        goal=goal,
        most=dice.choice([n_nodes - 1, n_nodes, dice.randint(0, n_nodes)]),
    )


def all_ways(asked: Problem) -> Iterator[tuple[int, ...]]:
    """Yield every loop-free way that the problem allows, in no order."""
    net = asked.net

    def onward(nodes: tuple[int, ...], links: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
        here = nodes[-1]
        if here == asked.goal:
            yield links
            return
        if len(links) == asked.most or (here != asked.start and not asked.passable[here]):
            return
        for link in range(net.tails.size):
            ends = {int(net.tails[link]), int(net.heads[link])}
            if here not in ends or not asked.open[link] or asked.rooms[link] < asked.need:
                continue
            (far,) = ends - {here}
            if far not in nodes:
                yield from onward((*nodes, far), (*links, link))

    yield from onward((asked.start,), ())


def cost_of(asked: Problem, way: tuple[int, ...]) -> int:
    """Return what all links of a way cost."""
    return sum(int(asked.costs[link]) for link in way)


def room_of(asked: Problem, way: tuple[int, ...]) -> int:
    """Return the least room on a way."""
    return min(int(asked.rooms[link]) for link in way)
