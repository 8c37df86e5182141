"""The way of fewest links between two nodes: A* in rings, led by landmarks; ties are settled by room, then by names."""

from typing import Final

import numba
import numpy as np

from controller.domain.refusals import InvalidValue
from controller.routing.kernels.cheapest import FLOOD_FROM, Found, checked, flood
from controller.routing.kernels.compiled import (
    FLAGS,
    INT32S,
    INT64S,
    NONE,
    OUT_OF_STEPS,
    UNREACHED,
    inline,
    kernel,
    leaf,
)
from controller.routing.kernels.heap import grown_items
from controller.routing.kernels.landmarks import FAR, MARKS, SEATS, Landmarks, bound_between, landmarks, no_landmarks
from controller.routing.kernels.net import NET, Flags, Int32s, Int64s, Net

_NO_MARKS: Final = no_landmarks()
_NO_LINKS: Final = np.empty(0, np.int32)
_OFF: Final = 2**31 - 1
_INT: Final = numba.int64
_FOUND: Final = numba.types.Tuple((_INT, numba.types.Array(numba.int32, 1, "C"), _INT))  # type: ignore[no-untyped-call]


def hop_landmarks(net: Net, over: Flags | None = None) -> Landmarks:
    """Return landmarks that count links; see `landmarks`."""
    return landmarks(net, np.ones(net.tails.size, np.int64), over)


def fewest_way(
    net: Net,
    rooms: Int64s,
    open: Flags,
    passable: Flags,
    need: int,
    *,
    start: int,
    goal: int,
    most: int | None = None,
    barred: Int32s = _NO_LINKS,
    behind: Flags | None = None,
    cap: int = UNREACHED,
    marks: Landmarks = _NO_MARKS,
    steps: int = UNREACHED,
) -> Found:
    """Return the way of fewest links that are open and have the room; exact. Its cost is their number.

    Of equally short ways the one with the widest bottleneck, where more than `cap` does not count; then the one whose
    links, read from the start, are first by number. Cost: O(n + m), and with landmarks about the nodes near the way; a
    refusal costs about what the smaller of the two parts has that the ends are in.

    Args:
        net: With nodes and links numbered in the order of their names.
        rooms: Free millibit/s of each link; shape (n_links,).
        open: Whether a link may be used, only links that the landmarks were made over; shape (n_links,).
        passable: Whether a node may be passed on the way; shape (n_nodes,). The ends may always be.
        need: Room that every link must have.
        start: A node; the smaller of both ends where the way back must be the same way.
        goal: A node.
        most: Links that the way may have; as many as it likes unless given.
        barred: Links by number that may not be the first.
        behind: Nodes not to be touched, without the ends; shape (n_nodes,).
        cap: Room beyond which ways are equally wide.
        marks: As `hop_landmarks` returns them; none lead nowhere, but all answers are the same.
        steps: Nodes that may be settled.

    Raises:
        InvalidValue: A number or an array out of its range.
    """
    checked(net, None, rooms, open, passable, marks, start, goal)
    if behind is not None:
        if behind.shape != passable.shape or behind.dtype != np.bool_:
            raise InvalidValue("", ("behind", f"{behind.dtype} of shape {behind.shape}, not one flag for each node"))
        passable = passable & ~behind
    if barred.ndim != 1 or barred.dtype != np.int32:
        raise InvalidValue("", ("barred", f"{barred.dtype} of shape {barred.shape}, not one list of int32"))
    limit = net.first.size if most is None else min(most, net.first.size)
    return Found(
        *_search(net, rooms, open, passable, need, start, goal, limit, barred, cap, marks.table, marks.unit, steps)
    )


@inline
def first_way(
    net: Net,
    rooms: Int64s,
    open: Flags,
    need: int,
    start: int,
    barred: Int32s,
    cap: int,
    away: Int32s,
    marked: Int32s,
) -> Int32s:
    """Return the first of the shortest ways, which are all that lead down the distances from the start.

    Room is settled from the goal and names from the start; `marked` is overwritten, and all its entries at nodes with a
    distance are >= 0.
    """
    order = np.empty(64, np.int32)  # the nodes on the shortest ways, ring by ring from the start
    order[0] = start
    marked[start] = -1
    count, at = 1, 0
    while at < count:
        node = order[at]
        for place in range(net.first[node], net.first[node + 1]):
            link, far = net.links[place], net.fars[place]
            if away[far] != away[node] - 1 or marked[far] < 0 or rooms[link] < need or not open[link]:
                continue
            if node == start and (barred == link).any():
                continue
            if count == order.size:
                order = grown_items(order)
            order[count] = far
            count += 1
            marked[far] = -count
        at += 1
    widths = np.empty(count, np.int64)
    widths[count - 1] = cap
    for at in range(count - 2, -1, -1):
        node, width = order[at], -UNREACHED
        for place in range(net.first[node], net.first[node + 1]):
            link, far = net.links[place], net.fars[place]
            if away[far] == away[node] - 1 and rooms[link] >= need and open[link]:
                if node == start and (barred == link).any():
                    continue
                width = max(width, min(rooms[link], widths[-1 - marked[far]]))
        widths[at] = width
    way = np.empty(away[start], np.int32)
    node = np.int64(start)
    for step in range(way.size):
        for place in range(net.first[node], net.first[node + 1]):
            link, far = net.links[place], net.fars[place]
            if away[far] != away[node] - 1 or rooms[link] < need or not open[link]:
                continue
            if step == 0 and (barred == link).any():
                continue
            if min(rooms[link], widths[-1 - marked[far]]) >= widths[0]:
                way[step] = link
                node = far
                break
    return way


@leaf
def _is_barred(barred: Int32s, link: int) -> bool:
    for other in barred:  # noqa: SIM110 (any() would make an array or a generator)
        if other == link:
            return True
    return False


@leaf
def _settle(
    first: Int32s,
    links: Int32s,
    fars: Int32s,
    rooms: Int64s,
    open: Flags,
    passable: Flags,
    need: int,
    start: int,
    most: int,
    barred: Int32s,
    table: Int32s,
    aim: Int32s,
    unit: int,
    away: Int32s,
    bounds: Int32s,
    items: Int32s,
    below: Int32s,
    tops: Int32s,
    total: int,
    size: int,
    settled: int,
    stop: int,
) -> tuple[int, int, int, bool]:
    """Settle nodes until the way is found, there is none, so many are settled, or the stacks might overflow.

    Returns:
        The total, what the stacks hold, nodes settled, and whether the search is at its end.
    """
    led = table.shape[0] > 0
    empty = 0
    while empty < 3 and total <= most and total <= away[start]:
        top = tops[total % 3]
        if top < 0:
            total += 1
            empty += 1
            continue
        empty = 0
        node = items[top]
        here = away[node]
        if here + bounds[node] != total or node == start:
            tops[total % 3] = below[top]
            continue
        begin, end = first[node], first[node + 1]
        if settled >= stop or size + end - begin > items.size:
            return total, size, settled, False
        tops[total % 3] = below[top]
        settled += 1
        for place in range(begin, end):
            link, far = links[place], fars[place]
            known = away[far]
            if here + 1 >= known or rooms[link] < need or not open[link]:
                continue
            if far == start and _is_barred(barred, link):
                continue
            if known == _OFF:
                if not passable[far] and far != start:
                    continue
                bounds[far] = bound_between(table, far, aim) * unit if led else 0
            away[far] = here + 1
            turn = (here + 1 + bounds[far]) % 3
            items[size], below[size] = far, tops[turn]
            tops[turn] = size
            size += 1
    return total, size, settled, True


@kernel(_FOUND(NET, INT64S, FLAGS, FLAGS, _INT, _INT, _INT, _INT, INT32S, _INT, MARKS, _INT, _INT))
def _search(
    net: Net,
    rooms: Int64s,
    open: Flags,
    passable: Flags,
    need: int,
    start: int,
    goal: int,
    most: int,
    barred: Int32s,
    cap: int,
    table: Int32s,
    unit: int,
    steps: int,
) -> tuple[int, Int32s, int]:
    nothing = np.empty(0, np.int32)
    if start == goal:
        return 0, nothing, 0
    aim = np.zeros(SEATS, np.int32)
    total = 0  # a way by the nodes looked at now has at least so many links; it only grows
    if table.shape[0] > 0:
        aim[:] = table[start]
        total = bound_between(table, goal, aim) * unit
        if total >= FAR or total > most:
            return NONE, nothing, 0
    n_nodes = net.first.size - 1
    away = np.full(n_nodes, _OFF, np.int32)  # links from each node to the goal
    bounds = np.empty(n_nodes, np.int32)  # and at least to the start; written where away is
    away[goal], bounds[goal] = 0, total
    # One link further raises the total by 0, 1 or 2: three stacks of nodes, in turn, are all the order it takes.
    items, below, size = np.empty(1024, np.int32), np.empty(1024, np.int32), 1
    tops = np.full(3, -1, np.int32)
    items[0], below[0] = goal, -1
    tops[total % 3] = 0
    seen, queue = np.empty(0, np.bool_), nothing
    head, tail, flood_at, settled = 0, 0, FLOOD_FROM, 0
    while True:
        total, size, settled, ended = _settle(
            net.first,
            net.links,
            net.fars,
            rooms,
            open,
            passable,
            need,
            start,
            most,
            barred,
            table,
            aim,
            unit,
            away,
            bounds,
            items,
            below,
            tops,
            total,
            size,
            settled,
            min(steps, flood_at),
        )
        if ended:
            break
        if settled >= steps:
            return OUT_OF_STEPS, nothing, settled
        if settled >= flood_at:
            flood_at = UNREACHED
            if away[start] == _OFF:
                # As many nodes from the other end: whichever end is in the smaller pocket tells.
                if tail == 0:
                    seen, queue = np.zeros(n_nodes, np.bool_), np.empty(n_nodes, np.int32)
                    seen[start] = True
                    queue[0] = start
                    tail = 1
                head, tail, met = flood(net, rooms, open, passable, need, away, _OFF, seen, queue, head, tail, settled)
                if not met and head == tail:
                    return NONE, nothing, settled
                if not met:
                    flood_at = 2 * settled
        else:
            items, below = grown_items(items), grown_items(below)
    if away[start] > most:
        return NONE, nothing, settled
    return away[start], first_way(net, rooms, open, need, start, barred, cap, away, bounds), settled
