"""Lawler's partition of Yen's: parts of the ways between two nodes, of which the one with the best way comes first.

What is left once a way was told falls into the ways that leave it at its first link, its second, ...; each part has
one best way, and the best of all parts is the next. A part is searched only once a bound of its best way is the least
of all: what was walked, the link by which it may be left, and what the far end of that is away from the goal. One
search from the goal, begun with the first way, gives that distance for all parts, and leads their searches as well.
Source: E. Lawler, Management Science 18, 401 (1972); J. Yen, Management Science 17, 712 (1971).
"""

from typing import Final, NamedTuple

import numba
import numpy as np

from controller.routing.kernels.compiled import NONE, OUT_OF_STEPS, UNREACHED, inline, kernel, leaf
from controller.routing.kernels.heap import grown_items, grown_keys, pop, push
from controller.routing.kernels.landmarks import MOST_COST
from controller.routing.kernels.net import Int32s, Int64s, Net
from controller.routing.kernels.rest import (
    BARRED,
    GROUND,
    GUIDE,
    NEXT,
    Ground,
    Guide,
    Quest,
    apart,
    cheapest_rest,
    is_barred,
    off_of,
)

DONE: Final = 0
FULL: Final = -3
BAD_COST: Final = -4
"""What an advance answers."""

_BOUND: Final = 0
_WIDTH: Final = 1
_BEGIN: Final = 2
LENGTH: Final = 3
_LEAVES: Final = 4
COLUMNS: Final = 7
"""Columns of the table of parts: cost of the best way, or a bound of it; its bottleneck; where its links begin, or
those of the way that it leaves; how many they are, or -1 before it was searched; how many it shares with that way."""

_BEGUN: Final = 0
_PARTS: Final = 1
_LINKS: Final = 2
_WAITING: Final = 3
TOLD: Final = 4
_SEARCHES: Final = 5
STEPS: Final = 6
_LIMIT: Final = 7
_COUNTED: Final = 8
COUNTS: Final = 9
"""What a board counts: whether it was begun, its parts, links and waiting parts, ways told, searches, steps left; then
what a way may cost, and whether its links have to be counted."""


class Board(NamedTuple):
    """Where an iteration stands.

    Attributes:
        guide: What leads its searches.
        table: Parts; shape (most parts, COLUMNS), `most parts` as long as `waiting` and `told`.
        links: Of the ways of all parts, one after another.
        waiting: Parts that wait, a heap.
        told: Parts whose best way was told, in order.
        counts: Shape (COUNTS,).
    """

    guide: Guide
    table: Int64s
    links: Int32s
    waiting: Int32s
    told: Int32s
    counts: Int64s


_OWN32: Final = numba.types.Array(numba.int32, 1, "C")
_OWN64: Final = numba.types.Array(numba.int64, 1, "C")
_STATUS: Final = numba.types.UniTuple(numba.int64, 2)  # type: ignore[no-untyped-call]
_BOARD: Final = numba.types.NamedTuple(  # type: ignore[no-untyped-call]
    (GUIDE, numba.types.Array(numba.int64, 2, "C"), _OWN32, _OWN32, _OWN32, _OWN64), Board
)


@leaf
def _before(table: Int64s, links: Int32s, one: int, other: int) -> bool:
    """Tell whether a part is to be looked at before another; one yet to be searched is, where bounds are equal."""
    if table[one, _BOUND] != table[other, _BOUND]:
        return bool(table[one, _BOUND] < table[other, _BOUND])
    if table[one, LENGTH] < 0 or table[other, LENGTH] < 0:
        if table[one, LENGTH] < 0 and table[other, LENGTH] < 0:
            return one < other
        return bool(table[one, LENGTH] < 0)
    if table[one, _WIDTH] != table[other, _WIDTH]:
        return bool(table[one, _WIDTH] > table[other, _WIDTH])
    for place in range(min(table[one, LENGTH], table[other, LENGTH])):
        first, second = links[table[one, _BEGIN] + place], links[table[other, _BEGIN] + place]
        if first != second:
            return bool(first < second)
    return False


@leaf
def _wait(board: Board, part: int) -> None:
    """Put a part among those that wait."""
    waiting = board.waiting
    place = board.counts[_WAITING]
    board.counts[_WAITING] += 1
    while place > 0:
        above = (place - 1) >> 1
        if not _before(board.table, board.links, part, waiting[above]):
            break
        waiting[place] = waiting[above]
        place = above
    waiting[place] = part


@leaf
def _call(board: Board) -> int:
    """Take off the part that is first of those that wait."""
    waiting, table, links = board.waiting, board.table, board.links
    first = waiting[0]
    board.counts[_WAITING] -= 1
    size = board.counts[_WAITING]
    last = waiting[size]
    place = 0
    while True:
        child = 2 * place + 1
        if child >= size:
            break
        if child + 1 < size and _before(table, links, waiting[child + 1], waiting[child]):
            child += 1
        if not _before(table, links, waiting[child], last):
            break
        waiting[place] = waiting[child]
        place = child
    waiting[place] = last
    return first  # type: ignore[no-any-return]


@inline
def _measure(ground: Ground, guide: Guide, steps: int) -> int:
    """Measure what nodes are away from the goal until the start's turn comes; return the nodes settled.

    Led towards the start by the landmarks, if there are any.
    """
    net, start, off, reach = ground.net, ground.start, guide.off, guide.reach
    ahead = np.empty(off.size, np.int64)
    off[:] = UNREACHED
    off[ground.goal], ahead[ground.goal] = 0, apart(guide, ground.goal, start)
    keys, items, size = np.empty(512, np.int64), np.empty(512, np.int32), 0
    size = push(keys, items, size, ahead[ground.goal], ground.goal)
    reach[0] = UNREACHED
    settled = 0
    while size > 0:
        key, node = keys[0], items[0]
        size = pop(keys, items, size)
        if key != off[node] + ahead[node]:
            continue
        if node == start:
            reach[0] = key
            break
        settled += 1
        if settled > steps:
            break
        for place in range(net.first[node], net.first[node + 1]):
            link, far = net.links[place], net.fars[place]
            through = off[node] + ground.costs[link]
            if through >= off[far] or ground.rooms[link] < ground.need or not ground.open[link]:
                continue
            if not (ground.passable[far] or far == start):
                continue
            if off[far] == UNREACHED:
                ahead[far] = apart(guide, far, start)
            if through + ahead[far] > off[start]:
                continue
            off[far] = through
            if size == keys.size:
                keys, items = grown_keys(keys), grown_items(items)
            size = push(keys, items, size, through + ahead[far], far)
    return settled


@inline
def _count_hops(ground: Ground, hops_off: Int32s) -> None:
    """Write how many links each node is away from the goal at least, 2^30 when it is not joined with it."""
    net = ground.net
    hops_off[:] = 2**30
    hops_off[ground.goal] = 0
    queue = np.empty(hops_off.size, np.int32)
    queue[0] = ground.goal
    head, tail = 0, 1
    while head < tail:
        node = queue[head]
        head += 1
        if node != ground.goal and not ground.passable[node]:
            continue
        for place in range(net.first[node], net.first[node + 1]):
            link, far = net.links[place], net.fars[place]
            if ground.rooms[link] >= ground.need and ground.open[link] and hops_off[far] == 2**30:
                hops_off[far] = hops_off[node] + 1
                queue[tail] = far
                tail += 1


@leaf
def _far(net: Net, node: int, link: int) -> int:
    return net.heads[link] if net.tails[link] == node else net.tails[link]  # type: ignore[no-any-return]


@leaf
def _divide(ground: Ground, board: Board, told: int) -> None:
    """Let the parts wait that what is left of a part falls into, without the way that was told of it."""
    table, counts, guide, net = board.table, board.counts, board.guide, ground.net
    counts[_SEARCHES] += 1
    search = counts[_SEARCHES]
    begin, length, leaves = table[told, _BEGIN], table[told, LENGTH], table[told, _LEAVES]
    node, walked = ground.start, 0
    for index in range(length):
        link = board.links[begin + index]
        guide.behind[node] = search
        if index >= leaves:
            part = counts[_PARTS]
            table[part, BARRED], table[part, NEXT] = link, told if index == leaves else -1
            bound = UNREACHED
            for place in range(net.first[node], net.first[node + 1]):
                other, far = net.links[place], net.fars[place]
                if ground.rooms[other] < ground.need or not ground.open[other] or guide.behind[far] == search:
                    continue
                if not (ground.passable[far] or far == ground.goal) or is_barred(table, part, other):
                    continue
                if counts[_COUNTED] and index + 1 + guide.hops_off[far] > ground.most:
                    continue
                bound = min(bound, walked + ground.costs[other] + off_of(ground, guide, far))
            if bound <= counts[_LIMIT]:
                table[part, _BOUND], table[part, _BEGIN], table[part, LENGTH] = bound, begin, -1
                table[part, _LEAVES] = index
                counts[_PARTS] += 1
                _wait(board, part)
        walked += ground.costs[link]
        node = _far(net, node, link)


@inline
def _search(ground: Ground, board: Board, part: int) -> None:
    """Find the best way of a part and let it wait with it, if there is one."""
    table, counts, links = board.table, board.counts, board.links
    counts[_SEARCHES] += 1
    search = counts[_SEARCHES]
    begin, leaves = table[part, _BEGIN], table[part, _LEAVES]
    node, walked, cap = ground.start, 0, UNREACHED
    for index in range(leaves):
        link = links[begin + index]
        board.guide.behind[node] = search
        walked += ground.costs[link]
        cap = min(cap, ground.rooms[link])
        node = _far(ground.net, node, link)
    limit, most, counted = counts[_LIMIT] - walked, ground.most - leaves, counts[_COUNTED] == 1
    quest = Quest(node, cap, limit, most, counted, table, part, counts[STEPS])
    cost, width, rest, settled = cheapest_rest(ground, board.guide, search, quest)
    counts[STEPS] -= settled
    if cost < 0:
        return
    own = counts[_LINKS]
    links[own : own + leaves] = links[begin : begin + leaves]
    links[own + leaves : own + leaves + rest.size] = rest
    counts[_LINKS] += leaves + rest.size
    table[part, _BOUND], table[part, _WIDTH] = walked + cost, width
    table[part, _BEGIN], table[part, LENGTH] = own, leaves + rest.size
    _wait(board, part)


@inline
def _begin(ground: Ground, board: Board) -> int:
    """Measure what leads all searches, and let the part of all ways wait; return a link whose cost is wrong, or -1."""
    table, counts, costs, guide = board.table, board.counts, ground.costs, board.guide
    even = True
    for link in range(costs.size):
        if costs[link] < 1 or costs[link] > MOST_COST:
            return link
        even = even and costs[link] == costs[0]
    short = ground.most < guide.off.size - 1
    counts[_LIMIT] = costs[0] * ground.most if even and short and costs.size > 0 else UNREACHED - 1
    counts[_COUNTED] = 1 if short and not even else 0
    counts[STEPS] -= _measure(ground, guide, counts[STEPS])
    if counts[_COUNTED]:
        _count_hops(ground, guide.hops_off)
    table[0, BARRED], table[0, NEXT] = -1, -1
    table[0, _BOUND], table[0, _BEGIN], table[0, LENGTH], table[0, _LEAVES] = guide.off[ground.start], 0, -1, 0
    counts[_PARTS], counts[_BEGUN] = 1, 1
    if guide.off[ground.start] <= counts[_LIMIT]:
        _wait(board, 0)
    return -1


@kernel(_STATUS(GROUND, _BOARD, numba.int64))
def advance(ground: Ground, board: Board, wanted: int) -> tuple[int, int]:
    """Tell ways until so many are told.

    Returns:
        DONE, NONE when there are no more, FULL when the board needs more room first, OUT_OF_STEPS, or BAD_COST; and a
        link that costs what none may.
    """
    table, counts = board.table, board.counts
    if counts[_BEGUN] == 0:
        wrong = _begin(ground, board)
        if wrong >= 0:
            return BAD_COST, wrong
    longest = board.guide.off.size
    while counts[TOLD] < wanted:
        if counts[STEPS] < 0:
            return OUT_OF_STEPS, 0
        if counts[_WAITING] == 0:
            return NONE, 0
        if counts[_PARTS] + longest > board.waiting.size or counts[_LINKS] + longest > board.links.size:
            return FULL, 0
        part = _call(board)
        if table[part, LENGTH] < 0:
            _search(ground, board, part)
        else:
            board.told[counts[TOLD]] = part
            counts[TOLD] += 1
            _divide(ground, board, part)
    return DONE, 0
