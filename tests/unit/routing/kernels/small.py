"""Small random nets and every simple path of them: what searches are checked against."""

import random
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from controller.routing.kernels.net import Flags, Int64s, Net, net_of
from tests.bench.gabriel import Gabriel


@dataclass(frozen=True, slots=True, kw_only=True)
class Small:
    """A net with its state, and a demand on it."""

    net: Net
    costs: Int64s
    rooms: Int64s
    open: Flags
    passable: Flags
    need: int
    start: int
    goal: int

    def ways(self) -> Iterator[tuple[int, ...]]:
        """Yield every loop-free way of the demand."""
        walks: list[tuple[int, tuple[int, ...], frozenset[int]]] = [(self.start, (), frozenset({self.start}))]
        while walks:
            node, links, behind = walks.pop()
            if node == self.goal:
                yield links
                continue
            if links and not self.passable[node]:
                continue
            for place in range(self.net.first[node], self.net.first[node + 1]):
                link, far = int(self.net.links[place]), int(self.net.fars[place])
                if self.open[link] and self.rooms[link] >= self.need and far not in behind:
                    walks.append((far, (*links, link), behind | {far}))

    def order(self, links: tuple[int, ...]) -> tuple[int, int, tuple[int, ...]]:
        """Return what ways are ordered by, the best first."""
        room = min((int(self.rooms[link]) for link in links), default=2**62)
        return sum(int(self.costs[link]) for link in links), -room, links


def small(seed: int, *, most_cost: int = 3, most_room: int = 4) -> Small:
    """Return a net of 2 to 8 nodes with parallel links, isolated nodes, closed links and many ties."""
    dice = random.Random(seed)
    n_nodes = dice.randint(2, 8)
    ends = [dice.sample(range(n_nodes), 2) for _ in range(dice.randint(0, 2 * n_nodes))]
    start, goal = sorted(dice.sample(range(n_nodes), 2))
    return Small(
        net=net_of(n_nodes, [(a, b) for a, b in ends]),
        costs=np.array([dice.randint(1, most_cost) for _ in ends], np.int64),
        rooms=np.array([dice.randint(-1, most_room) for _ in ends], np.int64),
        open=np.array([dice.random() < 0.9 for _ in ends], np.bool_),
        passable=np.array([dice.random() < 0.85 for _ in range(n_nodes)], np.bool_),
        need=dice.choice([-(2**62), 0, 1, 2]),
        start=start,
        goal=goal,
    )


def ends_of(graph: Gabriel) -> list[tuple[int, int]]:
    """Return the two nodes of each link."""
    return [(a, b) for a, b in graph.ends.tolist()]
