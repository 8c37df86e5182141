"""The cheapest way between two nodes: A* led by landmarks, exact, with ties settled by room and then by names."""

from typing import Final, NamedTuple

import numba
import numpy as np

from controller.domain.refusals import InvalidValue
from controller.routing.kernels.compiled import (
    FLAGS,
    INT64S,
    NONE,
    OUT_OF_STEPS,
    UNREACHED,
    inline,
    kernel,
    leaf,
    unsigned,
)
from controller.routing.kernels.heap import grown_items, grown_keys, pop, push
from controller.routing.kernels.landmarks import FAR, MARKS, MOST_COST, SEATS, Landmarks, bound_between, no_landmarks
from controller.routing.kernels.net import NET, Flags, Int32s, Int64s, Net

BAD_COST: Final = -4
BAD_MARKS: Final = -3
_ONE: Final[int] = np.uint64(1)  # type: ignore[assignment]
FLOOD_FROM: Final = 32
"""Nodes settled after which a search asks whether its aim is in a pocket that nothing leads out of."""
_NO_MARKS: Final = no_landmarks()


class Found(NamedTuple):
    """What a search answers.

    Attributes:
        cost: Of all links together; NONE when there is no way, OUT_OF_STEPS when it was not settled in the steps.
        links: The way from start to goal, by number; empty without a way. int32.
        steps: Nodes settled.
    """

    cost: int
    links: Int32s
    steps: int


def cheapest_way(
    net: Net,
    costs: Int64s,
    rooms: Int64s,
    open: Flags,
    passable: Flags,
    need: int,
    start: int,
    goal: int,
    marks: Landmarks = _NO_MARKS,
    steps: int = UNREACHED,
) -> Found:
    """Return the cheapest way whose links are open and have the room; exact.

    Of equally cheap ways the one with the widest bottleneck, then the one whose links, read from the start, are first
    by number. Cost: O(n + m log n) at worst, and with landmarks about the nodes near the way; a refusal costs about
    what the smaller of the two parts has that the ends are in.

    Args:
        net: With nodes and links numbered in the order of their names.
        costs: In [1, 2^40], at no link less than the landmarks were made for; shape (n_links,).
        rooms: Free millibit/s of each link; shape (n_links,).
        open: Whether a link may be used, only links that the landmarks were made over; shape (n_links,).
        passable: Whether a node may be passed on the way; shape (n_nodes,). The ends may always be.
        need: Room that every link must have.
        start: A node; the smaller of both ends where the way back must be the same way.
        goal: A node.
        marks: For the bounds; none lead nowhere, but all answers are the same.
        steps: Nodes that may be settled.

    Raises:
        InvalidValue: A number or an array out of its range, or bounds that are seen not to hold.
    """
    checked(net, costs, rooms, open, passable, marks, start, goal)
    cost, links, settled = _search(net, costs, rooms, open, passable, need, start, goal, marks.table, marks.unit, steps)
    if cost == BAD_COST:
        raise InvalidValue("", ("costs", f"link {links[0]} costs {costs[links[0]]}, not between 1 and {MOST_COST}"))
    if cost == BAD_MARKS:
        raise InvalidValue("", ("marks", "they are of other links or of higher costs than those searched; renew them"))
    return Found(cost, links, settled)


def checked(
    net: Net,
    costs: Int64s | None,
    rooms: Int64s,
    open: Flags,
    passable: Flags,
    marks: Landmarks,
    start: int,
    goal: int,
) -> None:
    """Refuse what a kernel must not see: arrays of another shape or type, and ends that are no nodes. Cost: O(1).

    Raises:
        InvalidValue: Names what is wrong.
    """
    n_nodes, n_links = net.first.size - 1, net.tails.size
    if not (0 <= start < n_nodes and 0 <= goal < n_nodes):
        raise InvalidValue("", ("ends", f"{start} and {goal} are not both of the {n_nodes} nodes"))
    if costs is not None and (costs.shape != (n_links,) or costs.dtype != np.int64):
        raise InvalidValue("", ("costs", _misfit(costs, n_links, "int64")))
    if rooms.shape != (n_links,) or rooms.dtype != np.int64:
        raise InvalidValue("", ("rooms", _misfit(rooms, n_links, "int64")))
    if open.shape != (n_links,) or open.dtype != np.bool_:
        raise InvalidValue("", ("open", _misfit(open, n_links, "bool")))
    if passable.shape != (n_nodes,) or passable.dtype != np.bool_:
        raise InvalidValue("", ("passable", _misfit(passable, n_nodes, "bool")))
    if len(marks.table) not in (0, n_nodes):
        raise InvalidValue("", ("marks", f"they are for {len(marks.table)} nodes, not for {n_nodes}"))


def _misfit(array: Int64s | Flags, length: int, wanted: str) -> str:
    return f"{array.dtype} of shape {array.shape} where {wanted} of shape ({length},) is wanted"


@leaf
def flood(
    net: Net,
    rooms: Int64s,
    open: Flags,
    passable: Flags,
    need: int,
    away: Int64s | Int32s,
    unreached: int,
    seen: Flags,
    queue: Int32s,
    head: int,
    tail: int,
    most: int,
) -> tuple[int, int, bool]:
    """Go on with a flood from the start until it has looked at so many nodes or met what the goal reaches.

    Returns:
        Where the queue's head and tail are now, and whether they met.
    """
    while head < tail and head < most:
        node = queue[head]
        head += 1
        for place in range(net.first[node], net.first[node + 1]):
            link, far = net.links[place], net.fars[place]
            if rooms[link] < need or not open[link] or seen[far]:
                continue
            if away[far] != unreached:
                return head, tail, True
            if passable[far]:
                seen[far] = True
                queue[tail] = far
                tail += 1
    return head, tail, False


@inline
def _first_way(
    net: Net,
    costs: Int64s,
    rooms: Int64s,
    open: Flags,
    need: int,
    start: int,
    away: Int64s,
    marked: Int64s,
    keys: Int64s,
    items: Int32s,
) -> Int32s:
    """Return the first of the cheapest ways, which are all that lead down the distances from the start.

    Names can't ride along in the search: of two partial ways the roomier survives, yet a narrow link further on can
    make both equal, and then the other's names might have come first. So room is settled from the goal and names from
    the start. `marked` is overwritten; all its entries at nodes with a distance are >= 0.

    Returns:
        The links, or none when the distances lead nowhere because the bounds were not valid.
    """
    first, links, fars = net.first, net.links, net.fars
    order = np.empty(256, np.int32)  # the nodes on the cheapest ways, from the start
    count, size = 0, push(keys, items, 0, -away[start], start)
    marked[start] = -1
    while size > 0:
        node = unsigned(items[0])
        size = pop(keys, items, size)
        if count == order.size:
            order = grown_items(order)
        order[count] = node
        marked[node] = -1 - count
        count += 1
        for place in range(unsigned(first[node]), unsigned(first[node + _ONE])):
            link, far = unsigned(links[place]), unsigned(fars[place])
            if not _leads_down(away, costs, node, link, far) or rooms[link] < need or not open[link]:
                continue
            if marked[far] >= 0:
                marked[far] = -1
                size = push(keys, items, size, -away[far], far)
    widths = np.empty(count, np.int64)
    widths[count - 1] = UNREACHED
    for at in range(count - 2, -1, -1):
        node, width = unsigned(order[at]), -UNREACHED
        for place in range(unsigned(first[node]), unsigned(first[node + _ONE])):
            link, far = unsigned(links[place]), unsigned(fars[place])
            if _leads_down(away, costs, node, link, far) and rooms[link] >= need and open[link]:
                width = max(width, min(rooms[link], widths[-1 - marked[far]]))
        widths[at] = width
    way = np.empty(count, np.int32)
    length, node = 0, unsigned(start)
    while away[node] > 0:
        before = length
        for place in range(unsigned(first[node]), unsigned(first[node + _ONE])):
            link, far = unsigned(links[place]), unsigned(fars[place])
            if not _leads_down(away, costs, node, link, far) or rooms[link] < need or not open[link]:
                continue
            if min(rooms[link], widths[-1 - marked[far]]) >= widths[0]:
                way[length] = link
                length += 1
                node = far
                break
        if length == before:
            return way[:0]
    return way[:length]


@leaf
def _leads_down(away: Int64s, costs: Int64s, node: int, link: int, far: int) -> bool:
    """Tell whether a link is the first of a cheapest way from a node to the goal."""
    return away[far] < away[node] and away[far] + costs[link] == away[node]  # type: ignore[no-any-return]


@leaf
def _settle(
    first: Int32s,
    links: Int32s,
    fars: Int32s,
    costs: Int64s,
    rooms: Int64s,
    open: Flags,
    passable: Flags,
    need: int,
    start: int,
    table: Int32s,
    aim: Int32s,
    unit: int,
    away: Int64s,
    bounds: Int64s,
    keys: Int64s,
    items: Int32s,
    size: int,
    settled: int,
    stop: int,
) -> tuple[int, int]:
    """Settle nodes until the way is found, there is none, so many are settled, or the heap might overflow.

    Returns:
        The heap's size, 0 when the search is at its end, or BAD_COST - 1 - a link whose cost is none; nodes settled.
    """
    led = table.shape[0] > 0
    ending = unsigned(start)
    while size > 0:
        key, node = keys[0], unsigned(items[0])
        if key > away[ending]:
            return 0, settled
        here = away[node]
        if key != here + bounds[node] or node == ending:
            size = pop(keys, items, size)
            continue
        begin, end = unsigned(first[node]), unsigned(first[node + _ONE])
        if settled >= stop or size + np.int64(end - begin) > keys.size:
            return size, settled
        size = pop(keys, items, size)
        settled += 1
        for place in range(begin, end):
            link, far = unsigned(links[place]), unsigned(fars[place])
            cost = costs[link]
            if cost < 1 or cost > MOST_COST:
                return BAD_COST - 1 - int(link), settled
            through, known = here + cost, away[far]
            if through >= known or rooms[link] < need or not open[link]:
                continue
            if known == UNREACHED:
                if not passable[far] and far != ending:
                    continue
                bounds[far] = bound_between(table, far, aim) * unit if led else 0
            away[far] = through
            through += bounds[far]
            if through <= away[ending]:
                size = push(keys, items, size, through, far)
    return 0, settled


_FOUND: Final = numba.types.Tuple((numba.int64, numba.types.Array(numba.int32, 1, "C"), numba.int64))  # type: ignore[no-untyped-call]
_INT: Final = numba.int64


@kernel(_FOUND(NET, INT64S, INT64S, FLAGS, FLAGS, _INT, _INT, _INT, MARKS, _INT, _INT))
def _search(
    net: Net,
    costs: Int64s,
    rooms: Int64s,
    open: Flags,
    passable: Flags,
    need: int,
    start: int,
    goal: int,
    table: Int32s,
    unit: int,
    steps: int,
) -> tuple[int, Int32s, int]:
    nothing = np.empty(0, np.int32)
    if start == goal:
        return 0, nothing, 0
    aim = np.zeros(SEATS, np.int32)
    ahead = 0
    if table.shape[0] > 0:
        aim[:] = table[start]
        ahead = bound_between(table, goal, aim)
        if ahead >= FAR:
            return NONE, nothing, 0
    n_nodes = net.first.size - 1
    away = np.full(n_nodes, UNREACHED)  # what each node is away from the goal
    bounds = np.empty(n_nodes, np.int64)  # and at least from the start; written where away is
    keys, items = np.empty(1024, np.int64), np.empty(1024, np.int32)
    away[goal], bounds[goal] = 0, ahead * unit
    size, settled = push(keys, items, 0, bounds[goal], goal), 0
    seen, queue = np.empty(0, np.bool_), nothing
    head, tail, flood_at = 0, 0, FLOOD_FROM
    while True:
        size, settled = _settle(
            net.first,
            net.links,
            net.fars,
            costs,
            rooms,
            open,
            passable,
            need,
            start,
            table,
            aim,
            unit,
            away,
            bounds,
            keys,
            items,
            size,
            settled,
            min(steps, flood_at),
        )
        if size < BAD_COST:
            return BAD_COST, np.full(1, BAD_COST - 1 - size, np.int32), settled
        if size == 0:
            break
        if settled >= steps:
            return OUT_OF_STEPS, nothing, settled
        if settled >= flood_at:
            flood_at = UNREACHED
            if away[start] == UNREACHED:
                # As many nodes from the other end: whichever end is in the smaller pocket tells.
                if tail == 0:
                    seen, queue = np.zeros(n_nodes, np.bool_), np.empty(n_nodes, np.int32)
                    seen[start] = True
                    queue[0] = start
                    tail = 1
                head, tail, met = flood(
                    net, rooms, open, passable, need, away, UNREACHED, seen, queue, head, tail, settled
                )
                if not met and head == tail:
                    return NONE, nothing, settled
                if not met:
                    flood_at = 2 * settled
        else:
            keys, items = grown_keys(keys), grown_items(items)
    if away[start] == UNREACHED:
        return NONE, nothing, settled
    way = _first_way(net, costs, rooms, open, need, start, away, bounds, keys, items)
    return (away[start] if way.size > 0 else BAD_MARKS), way, settled
