"""Landmarks: lower bounds of the distance between any two nodes, that lead a search towards its aim.

By the triangle inequality the distances of two nodes from a landmark differ by no more than the two are apart.
The bounds hold for one set of links at their least costs: they stay valid whatever links of it are then closed, fill
up or get dearer, and they fail when a link outside the set is used or a cost falls below its least.
Source: A. Goldberg and C. Harrelson, "Computing the shortest path: A* search meets graph theory", SODA 2005.
"""

from dataclasses import dataclass
from typing import Final

import numba
import numpy as np

from controller.domain.refusals import InvalidValue
from controller.routing.kernels.compiled import FLAGS, INT64S, UNREACHED, kernel, leaf
from controller.routing.kernels.heap import grown_items, grown_keys, pop, push
from controller.routing.kernels.net import NET, Flags, Int32s, Int64s, Net, frozen

SEATS: Final = 16
"""Landmarks of a net: their distances from a node fill one line of the cache."""
MOST_COST: Final = 2**40
FAR: Final = 2**30
"""Distances in the table are less; a difference that is not says that only one of two nodes is reached."""
NOWHERE: Final = 2**31 - 1
"""What the table has for a node that is not joined with the landmark."""
_FEWEST_NODES: Final = 8
"""A landmark for so many nodes of a connected part; smaller parts are flooded sooner than bounds are read."""

MARKS: Final = numba.types.Array(numba.int32, 2, "C", readonly=True)
"""The type of a table of landmarks in the signature of a kernel."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Landmarks:
    """Distances of all nodes from some of them.

    Attributes:
        table: In multiples of `unit`, rounded down link by link so that they stay bounds; int32, frozen. Shape
            (n_nodes, SEATS), or (0, SEATS) without landmarks: then every bound is 0.
        unit: >= 1; 1 unless all costs together reach 2^30.
        seats: The nodes that are landmarks, at most SEATS; the others' columns are 0.
    """

    table: Int32s
    unit: int
    seats: tuple[int, ...]

    def bound(self, one: int, other: int) -> int | None:
        """Return what the two are at least apart, or None when they are known not to be joined."""
        if not len(self.table):
            return 0
        least = int(np.abs(self.table[one] - self.table[other]).max())
        return None if least >= FAR else least * self.unit


def no_landmarks() -> Landmarks:
    """Return the landmarks that bound nothing: for graphs so small that a search sees them whole anyway."""
    return Landmarks(table=_frozen_table(np.zeros((0, SEATS), np.int32)), unit=1, seats=())


def landmarks(net: Net, costs: Int64s, over: Flags | None = None) -> Landmarks:
    """Return landmarks by farthest point: each as far as can be from those before; the same on every machine.

    Every connected part gets them in proportion to its nodes, so that a graph that fell apart is led in each part.
    Cost: SEATS + 1 searches of the whole net, O(SEATS (n + m log n)).

    Args:
        net: Of any number of nodes that nets can have.
        costs: The least that each link will ever cost, in [1, 2^40]; shape (n_links,).
        over: The links that searches may use; all of them unless given. The fewer, the closer the bounds.

    Raises:
        InvalidValue: Costs that are no such numbers, or arrays of another shape.
    """
    n_links = net.tails.size
    checked_costs(net, costs)
    if over is None:
        over = np.ones(n_links, np.bool_)
    elif over.shape != (n_links,) or over.dtype != np.bool_:
        raise InvalidValue("", ("over", f"{over.dtype} of shape {over.shape} are not one flag for each of {n_links}"))
    unit = 1
    while int((costs // unit).sum()) >= FAR:
        unit *= 2
    table = empty_table(net.first.size - 1)
    table[:] = 0
    seats = tuple(int(seat) for seat in _fill(net, costs // unit, over, table))
    if not seats:
        return no_landmarks()
    return Landmarks(table=_frozen_table(table), unit=unit, seats=seats)


def checked_costs(net: Net, costs: Int64s) -> None:
    """Refuse what is not one whole cost in [1, 2^40] for each link; NaN and infinity are none.

    Raises:
        InvalidValue: Names the first link that is wrong.
    """
    n_links = net.tails.size
    if not isinstance(costs, np.ndarray) or costs.shape != (n_links,):
        raise InvalidValue("", ("costs", f"shape {np.shape(costs)} is not one cost for each of {n_links} links"))
    if costs.dtype != np.int64:
        raise InvalidValue("", ("costs", f"{costs.dtype} are not whole numbers; round them to int64 first"))
    wrong = (costs < 1) | (costs > MOST_COST)
    if wrong.any():
        link = int(wrong.argmax())
        raise InvalidValue("", ("costs", f"link {link} costs {costs[link]}, not between 1 and {MOST_COST}"))


def empty_table(n_nodes: int) -> Int32s:
    """Return a table to be filled, whose rows are lines of the cache: so they are only where the first begins one."""
    room = np.empty(n_nodes * SEATS + SEATS, np.int32)
    skipped = -(room.ctypes.data // 4) % SEATS
    return room[skipped : skipped + n_nodes * SEATS].reshape(n_nodes, SEATS)


def _frozen_table(table: Int32s) -> Int32s:
    frozen(table)
    return table


@leaf
def bound_between(table: Int32s, one: int, aim: Int32s) -> int:
    """Return the largest difference between the row of a node and the aim's row."""
    most = np.int32(0)
    for seat in range(SEATS):
        apart = np.int32(table[one, seat] - aim[seat])
        apart = np.int32(max(apart, np.int32(-apart)))
        most = max(most, apart)
    return np.int64(most)  # type: ignore[return-value]


@kernel(numba.types.Array(numba.int32, 1, "C")(NET, FLAGS))
def parts(net: Net, over: Flags) -> Int32s:
    """Return which connected part each node is in, numbered from 0 in the order of their smallest nodes."""
    n_nodes = net.first.size - 1
    part = np.full(n_nodes, -1, np.int32)
    queue = np.empty(n_nodes, np.int32)
    found = 0
    for begin in range(n_nodes):
        if part[begin] >= 0:
            continue
        part[begin] = found
        queue[0] = begin
        head, tail = 0, 1
        while head < tail:
            node = queue[head]
            head += 1
            for place in range(net.first[node], net.first[node + 1]):
                far = net.fars[place]
                if over[net.links[place]] and part[far] < 0:
                    part[far] = found
                    queue[tail] = far
                    tail += 1
        found += 1
    return part


@kernel(numba.types.Array(numba.int64, 1, "C")(NET, INT64S, FLAGS, numba.int64))
def distances(net: Net, costs: Int64s, over: Flags, begin: int) -> Int64s:
    """Return what each node is away over the links allowed, or UNREACHED. Cost: O(n + m log n)."""
    away = np.full(net.first.size - 1, UNREACHED)
    keys, items, size = np.empty(256, np.int64), np.empty(256, np.int32), 0
    away[begin] = 0
    size = push(keys, items, size, 0, begin)
    while size > 0:
        key, node = keys[0], items[0]
        size = pop(keys, items, size)
        if key != away[node]:
            continue
        for place in range(net.first[node], net.first[node + 1]):
            link, far = net.links[place], net.fars[place]
            if over[link] and key + costs[link] < away[far]:
                away[far] = key + costs[link]
                if size == keys.size:
                    keys, items = grown_keys(keys), grown_items(items)
                size = push(keys, items, size, away[far], far)
    return away


@kernel(
    numba.types.Array(numba.int32, 1, "C")(NET, INT64S, FLAGS, numba.types.Array(numba.int32, 2, "C")),
)
def _fill(net: Net, costs: Int64s, over: Flags, table: Int32s) -> Int32s:
    n_nodes = net.first.size - 1
    part = parts(net, over)
    n_parts = 0
    for node in range(n_nodes):
        n_parts = max(n_parts, part[node] + 1)
    sizes, given = np.zeros(n_parts, np.int64), np.zeros(n_parts, np.int64)
    begins = np.full(n_parts, -1, np.int64)
    for node in range(n_nodes):
        sizes[part[node]] += 1
        if begins[part[node]] < 0:
            begins[part[node]] = node
    nearest = np.full(n_nodes, UNREACHED)
    seats = np.empty(SEATS, np.int32)
    for number in range(SEATS):
        chosen = -1
        for one in range(n_parts):  # d'Hondt: most nodes to a landmark, of equals the first
            if sizes[one] < _FEWEST_NODES * (given[one] + 1):
                continue
            if chosen < 0 or sizes[one] * (given[chosen] + 1) > sizes[chosen] * (given[one] + 1):
                chosen = one
        if chosen < 0:
            return seats[:number]
        away = nearest if given[chosen] else distances(net, costs, over, begins[chosen])
        seat, farthest = -1, np.int64(-1)
        for node in range(n_nodes):
            if part[node] == chosen and away[node] > farthest:
                seat, farthest = node, away[node]
        seats[number] = seat
        given[chosen] += 1
        away = distances(net, costs, over, seat)
        for node in range(n_nodes):
            table[node, number] = away[node] if away[node] < FAR else NOWHERE
            nearest[node] = min(nearest[node], away[node])
    return seats
