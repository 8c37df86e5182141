"""Small random problems, and the optimum of each by another way: flows on arcs, hop by hop, and all routes tried."""

from collections.abc import Iterator, Sequence

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, linprog, milp
from scipy.sparse import block_diag, coo_array

from controller.routing.kernels.net import net_of
from controller.routing.optimum.problem import Ground, Problem, Want

UNIT = 1_000_000
"""Volumes are multiples of this, so that parts of them are whole too."""


def random_problem(seed: int, *, whole: float = 0.0, most_wants: int = 5, weighted: bool = True) -> Problem:
    """Return a problem with parallel links, full ones, closed ones, nodes not to be passed, and limits on hops."""
    chance = np.random.default_rng(seed)
    n_nodes = int(chance.integers(2, 7))
    n_links = int(chance.integers(0, 10))
    ends = [tuple(chance.choice(n_nodes, 2, replace=False).tolist()) for _ in range(n_links)]
    grounds = tuple(
        Ground(open=chance.random(n_links) < share, passable=chance.random(n_nodes) < share) for share in (1.1, 0.8)
    )
    wants = []
    for _ in range(int(chance.integers(1, most_wants + 1))):
        source, target = chance.choice(n_nodes, 2, replace=False).tolist()
        wants.append(
            Want(
                source=source,
                target=target,
                volume=int(chance.integers(1, 5)) * UNIT,
                weight=float(chance.choice([0.5, 1.0, 2.0])) if weighted else 1.0,
                most=int(chance.integers(1, 4)) if chance.random() < 0.25 else None,
                ground=int(chance.integers(2)),
                whole=bool(chance.random() < whole),
            )
        )
    rooms = chance.integers(-1, 6, n_links).astype(np.int64) * UNIT
    return Problem(net=net_of(n_nodes, ends), rooms=rooms, wants=tuple(wants), grounds=grounds)


class ArcFlows:
    """The same problem as flows on directed arcs, one copy of the network for each hop; amounts in UNIT.

    Variables are flows first, then what each demand gets.
    """

    def __init__(self, problem: Problem) -> None:
        n_nodes, n_links = problem.net.first.size - 1, problem.rooms.size
        self.n_wants = len(problem.wants)
        rows: list[tuple[int, int, float]] = []
        link_rows: list[tuple[int, int, float]] = []
        count = row = 0
        gets: list[list[int]] = [[] for _ in problem.wants]
        for number, want in enumerate(problem.wants):
            ground = problem.grounds[want.ground]
            need = want.volume if want.whole else 1
            hops = min(want.most or n_nodes, n_nodes)
            for hop in range(hops):
                for link in range(n_links):
                    if not ground.open[link] or problem.rooms[link] < need:
                        continue
                    a, b = int(problem.net.tails[link]), int(problem.net.heads[link])
                    for near, far in ((a, b), (b, a)):
                        if (hop == 0) != (near == want.source) or far == want.source:
                            continue
                        if near == want.target or (hop and not ground.passable[near]):
                            continue
                        link_rows.append((link, count, 1.0))
                        if hop:
                            rows.append((row + (hop - 1) * n_nodes + near, count, 1.0))
                        if far == want.target:
                            gets[number].append(count)
                        elif hop < hops:
                            rows.append((row + hop * n_nodes + far, count, -1.0))
                        count += 1
            row += hops * n_nodes
        self.n_flows = count
        for number, arriving in enumerate(gets):
            rows += [(row + number, arc, -1.0) for arc in arriving]
            rows.append((row + number, count + number, 1.0))
        self.width = count + self.n_wants
        self.equal = self._matrix(rows, row + self.n_wants)
        self.links = self._matrix(link_rows, n_links)
        self.rooms = np.maximum(0, problem.rooms) / UNIT
        self.volumes = np.array([want.volume / UNIT for want in problem.wants])
        self.weights = np.array([want.weight for want in problem.wants])

    def _matrix(self, entries: list[tuple[int, int, float]], n_rows: int) -> coo_array:
        i, j, value = zip(*entries, strict=True) if entries else ((), (), ())
        return coo_array((value, (np.array(i, int), np.array(j, int))), (n_rows, self.width)).tocsr()

    def most(self, gains: np.ndarray, low: np.ndarray | None = None) -> tuple[float, np.ndarray]:
        """Return the largest gains x what demands get, and that; each gets `low` at least."""
        bounds = np.zeros((self.width, 2))
        bounds[: self.n_flows, 1] = np.inf
        bounds[self.n_flows :, 1] = self.volumes
        if low is not None:
            bounds[self.n_flows :, 0] = np.maximum(0, np.minimum(low, self.volumes) - 1e-9)
        answer = linprog(
            -np.concatenate([np.zeros(self.n_flows), gains]),
            A_ub=self.links if self.rooms.size else None,
            b_ub=self.rooms if self.rooms.size else None,
            A_eq=self.equal,
            b_eq=np.zeros(self.equal.shape[0]),
            bounds=bounds,
        )
        assert answer.status == 0, answer.message
        return -float(answer.fun), answer.x[self.n_flows :]

    @staticmethod
    def most_of_each(several: "Sequence[ArcFlows]") -> list[float]:
        """Return the largest weight x what demands get of several problems, solved as one: a solver's call is dear."""
        width = sum(one.width for one in several)
        gains = np.concatenate(
            [part for one in several for part in (np.zeros(one.n_flows), one.weights)]  # flows, then demands
        )
        high = np.concatenate([part for one in several for part in (np.full(one.n_flows, np.inf), one.volumes)])
        equal = block_diag([one.equal for one in several], format="csr")
        answer = linprog(
            -gains,
            A_ub=block_diag([one.links for one in several], format="csr"),
            b_ub=np.concatenate([one.rooms for one in several]),
            A_eq=equal,
            b_eq=np.zeros(equal.shape[0]),
            bounds=np.stack([np.zeros(width), high], axis=1),
        )
        assert answer.status == 0, answer.message
        parts = np.split(gains * answer.x, np.cumsum([one.width for one in several])[:-1])
        return [float(part.sum()) for part in parts]

    def max_min(self) -> np.ndarray:
        """Return the shares, lexicographically largest from the least: level by level, each demand tried on its own."""
        reachable = np.array([self.most(np.eye(self.n_wants)[want])[0] > 1e-9 for want in range(self.n_wants)])
        shares = np.where(reachable, np.nan, 0.0)
        while np.isnan(shares).any():
            open = np.isnan(shares)
            level = self._level(shares, open)
            low = np.where(open, np.minimum(level * self.weights, 1), np.nan_to_num(shares)) * self.volumes
            for want in np.flatnonzero(open):
                if self.most(np.eye(self.n_wants)[want], low)[0] <= low[want] + 1e-6:
                    shares[want] = level * self.weights[want]
        return shares

    def _level(self, shares: np.ndarray, open: np.ndarray) -> float:
        cost = np.zeros(self.width + 1)
        cost[-1] = -1.0
        demand = self.n_flows + np.flatnonzero(open)
        floor = np.zeros((len(demand), self.width + 1))
        floor[np.arange(len(demand)), demand] = -1.0
        floor[:, -1] = (self.weights * self.volumes)[open]
        bounds = np.zeros((self.width + 1, 2))
        bounds[:, 1] = np.inf
        bounds[self.n_flows : -1, 1] = self.volumes
        bounds[self.n_flows : -1, 0] = np.maximum(0, np.nan_to_num(shares) * self.volumes - 1e-9)
        wider = np.vstack([np.hstack([self.links.toarray(), np.zeros((self.rooms.size, 1))]), floor])
        answer = linprog(
            cost,
            A_ub=wider,
            b_ub=np.concatenate([self.rooms, np.zeros(len(demand))]),
            A_eq=np.hstack([self.equal.toarray(), np.zeros((self.equal.shape[0], 1))]),
            b_eq=np.zeros(self.equal.shape[0]),
            bounds=bounds,
        )
        assert answer.status == 0, answer.message
        return -float(answer.fun)


def all_ways(problem: Problem, number: int) -> Iterator[tuple[int, ...]]:
    """Yield every loop-free way of a demand that it may use in full, source to target."""
    want = problem.wants[number]
    ground = problem.grounds[want.ground]
    net = problem.net
    need = want.volume if want.whole else 1

    def onward(nodes: tuple[int, ...], links: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
        if nodes[-1] == want.target:
            yield links
            return
        if len(links) == (want.most or 99) or (links and not ground.passable[nodes[-1]]):
            return
        for link in range(problem.rooms.size):
            a, b = int(net.tails[link]), int(net.heads[link])
            if nodes[-1] in (a, b) and ground.open[link] and problem.rooms[link] >= need:
                far = a + b - nodes[-1]
                if far not in nodes:
                    yield from onward((*nodes, far), (*links, link))

    yield from onward((want.source,), ())


def most_whole(problem: Problem) -> float:
    """Return the largest sum of weight x volume with each demand on one route or none, over all routes there are."""
    ways = [(number, way) for number in range(len(problem.wants)) for way in all_ways(problem, number)]
    if not ways:
        return 0.0
    rows = np.zeros((len(problem.wants) + problem.rooms.size, len(ways)))
    gains = np.zeros(len(ways))
    for at, (number, way) in enumerate(ways):
        rows[number, at] = 1.0
        rows[[len(problem.wants) + link for link in way], at] = problem.wants[number].volume / UNIT
        gains[at] = problem.wants[number].weight * problem.wants[number].volume
    limits = np.concatenate([np.ones(len(problem.wants)), np.maximum(0, problem.rooms) / UNIT])
    answer = milp(
        -gains / UNIT,
        constraints=LinearConstraint(rows, ub=limits),
        integrality=np.ones(len(ways)),
        bounds=Bounds(0, 1),
        options={"mip_rel_gap": 0.0},
    )
    return -float(answer.fun) * UNIT
