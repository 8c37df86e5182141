"""Lawler's partition of Yen's: parts of the ways between two nodes, of which the one with the best way comes first.

What is left once a way was told falls into the ways that leave it at its first link, its second, ...; each part has
one best way, and the best of all parts is the next. A part is searched only once a bound of its best way is the least
of all: what was walked, the link by which it may be left, and what the far end of that is away from the goal. One
search from the goal gives that distance for all parts, and leads their searches as well; it goes on when a bound that
lies beyond its reach has become the least.
Source: E. Lawler, Management Science 18, 401 (1972); J. Yen, Management Science 17, 712 (1971).
"""

from typing import Final

import numba

from controller.routing.kernels.board import (
    BAD_COST,
    BARRED,
    BEGIN,
    BEGUN,
    BEHIND,
    BOARD,
    BOUND,
    COUNTED,
    DONE,
    FULL,
    GROUND,
    HOPS_OFF,
    LEAVES,
    LENGTH,
    LIMIT,
    LINKS,
    NEXT,
    OFF,
    PARTS,
    REACH,
    SEARCHES,
    STEPS,
    TOLD,
    WAITING,
    WIDTH,
    Board,
    Ground,
)
from controller.routing.kernels.compiled import NONE, OUT_OF_STEPS, UNREACHED, kernel, leaf
from controller.routing.kernels.landmarks import MOST_COST
from controller.routing.kernels.measure import begin_measure, count_hops, measure, off_of
from controller.routing.kernels.net import Int32s, Int64s, Net
from controller.routing.kernels.rest import Quest, cheapest_rest, is_barred

_STATUS: Final = numba.types.UniTuple(numba.int64, 2)  # type: ignore[no-untyped-call]


@leaf
def _before(parts: Int64s, links: Int32s, one: int, other: int) -> bool:
    """Tell whether a part is to be looked at before another; one yet to be searched is, where bounds are equal."""
    if parts[one, BOUND] != parts[other, BOUND]:
        return bool(parts[one, BOUND] < parts[other, BOUND])
    if parts[one, LENGTH] < 0 or parts[other, LENGTH] < 0:
        if parts[one, LENGTH] < 0 and parts[other, LENGTH] < 0:
            return one < other
        return bool(parts[one, LENGTH] < 0)
    if parts[one, WIDTH] != parts[other, WIDTH]:
        return bool(parts[one, WIDTH] > parts[other, WIDTH])
    for place in range(min(parts[one, LENGTH], parts[other, LENGTH])):
        first, second = links[parts[one, BEGIN] + place], links[parts[other, BEGIN] + place]
        if first != second:
            return bool(first < second)
    return False


@leaf
def _wait(board: Board, part: int) -> None:
    """Put a part among those that wait."""
    waiting = board.waiting
    place = board.counts[WAITING]
    board.counts[WAITING] += 1
    while place > 0:
        above = (place - 1) >> 1
        if not _before(board.parts, board.links, part, waiting[above]):
            break
        waiting[place] = waiting[above]
        place = above
    waiting[place] = part


@leaf
def _call(board: Board) -> int:
    """Take off the part that is first of those that wait."""
    waiting, parts, links = board.waiting, board.parts, board.links
    first = waiting[0]
    board.counts[WAITING] -= 1
    size = board.counts[WAITING]
    last = waiting[size]
    place = 0
    while True:
        child = 2 * place + 1
        if child >= size:
            break
        if child + 1 < size and _before(parts, links, waiting[child + 1], waiting[child]):
            child += 1
        if not _before(parts, links, waiting[child], last):
            break
        waiting[place] = waiting[child]
        place = child
    waiting[place] = last
    return first  # type: ignore[no-any-return]


@leaf
def _far(net: Net, node: int, link: int) -> int:
    return net.heads[link] if net.tails[link] == node else net.tails[link]  # type: ignore[no-any-return]


@leaf
def _bound(ground: Ground, board: Board, part: int, search: int, node: int, walked: int, index: int) -> int:
    """Return what the ways of a part cost at least that have walked so far to a node, or more than any may cost."""
    nodes, net, counted = board.nodes, ground.net, board.counts[COUNTED] == 1
    bound = UNREACHED
    for place in range(net.first[node], net.first[node + 1]):
        link, far = net.links[place], net.fars[place]
        if ground.rooms[link] < ground.need or not ground.open[link] or nodes[far, BEHIND] == search:
            continue
        if not (ground.passable[far] or far == ground.goal) or is_barred(board.parts, part, link):
            continue
        if counted and index + 1 + nodes[far, HOPS_OFF] > ground.most:
            continue
        off = off_of(nodes, board.counts, ground.marks, ground.unit, ground.start, ground.goal, far)
        bound = min(bound, walked + ground.costs[link] + off)
    return bound


@leaf
def _divide(ground: Ground, board: Board, told: int) -> None:
    """Let the parts wait that what is left of a part falls into, without the way that was told of it."""
    parts, counts = board.parts, board.counts
    counts[SEARCHES] += 1
    search = counts[SEARCHES]
    begin, length, leaves = parts[told, BEGIN], parts[told, LENGTH], parts[told, LEAVES]
    node, walked = ground.start, 0
    for index in range(length):
        link = board.links[begin + index]
        board.nodes[node, BEHIND] = search
        if index >= leaves:
            part = counts[PARTS]
            parts[part, BARRED], parts[part, NEXT] = link, told if index == leaves else -1
            bound = _bound(ground, board, part, search, node, walked, index)
            if bound <= counts[LIMIT]:
                parts[part, BOUND], parts[part, BEGIN], parts[part, LENGTH] = bound, begin, -1
                parts[part, LEAVES] = index
                counts[PARTS] += 1
                _wait(board, part)
        walked += ground.costs[link]
        node = _far(ground.net, node, link)


@leaf
def _search(ground: Ground, board: Board, part: int) -> int:
    """Find the best way of a part, or a closer bound of it, and let it wait with that; without one it is gone.

    Returns:
        FULL when the board needs more room first; the part waits as it did.
    """
    parts, counts, links, least = board.parts, board.counts, board.links, board.nodes[ground.start, OFF]
    counts[SEARCHES] += 1
    search = counts[SEARCHES]
    begin, leaves, bound = parts[part, BEGIN], parts[part, LEAVES], parts[part, BOUND]
    node, walked, cap = ground.start, 0, UNREACHED
    for index in range(leaves):
        link = links[begin + index]
        board.nodes[node, BEHIND] = search
        walked += ground.costs[link]
        cap = min(cap, ground.rooms[link])
        node = _far(ground.net, node, link)
    if bound > counts[REACH]:
        counts[STEPS] -= measure(ground, board, bound + (bound - least) // 2 + least // 1024, counts[STEPS])
        if counts[STEPS] < 0:
            return DONE
        board.nodes[node, BEHIND] = search
        closer = _bound(ground, board, part, search, node, walked, leaves)
        if closer > bound:
            parts[part, BOUND] = closer
            if closer <= counts[LIMIT]:
                _wait(board, part)
            return DONE
    own, limit = counts[LINKS], counts[LIMIT] - walked
    quest = Quest(search, node, cap, limit, ground.most - leaves, part, own + leaves)
    cost, width, length = cheapest_rest(ground, board, quest)
    if cost == FULL:
        _wait(board, part)
        return FULL
    if cost >= 0:
        for index in range(leaves):
            links[own + index] = links[begin + index]
        counts[LINKS] += leaves + length
        parts[part, BOUND], parts[part, WIDTH] = walked + cost, width
        parts[part, BEGIN], parts[part, LENGTH] = own, leaves + length
        _wait(board, part)
    return DONE


@leaf
def _begin(ground: Ground, board: Board) -> int:
    """Measure as far as the start, and let the part of all ways wait; return a link whose cost is wrong, or -1."""
    parts, counts, costs = board.parts, board.counts, ground.costs
    even = True
    for link in range(costs.size):
        if costs[link] < 1 or costs[link] > MOST_COST:
            return link
        even = even and costs[link] == costs[0]
    short = ground.most < board.nodes.shape[0] - 1
    counts[LIMIT] = costs[0] * ground.most if even and short and costs.size > 0 else UNREACHED - 1
    counts[COUNTED] = 1 if short and not even else 0
    begin_measure(ground, board)
    counts[STEPS] -= measure(ground, board, -1, counts[STEPS])
    if counts[COUNTED]:
        count_hops(ground, board)
    least = board.nodes[ground.start, OFF]
    parts[0, BARRED], parts[0, NEXT] = -1, -1
    parts[0, BOUND], parts[0, BEGIN], parts[0, LENGTH], parts[0, LEAVES] = least, 0, -1, 0
    counts[PARTS], counts[BEGUN] = 1, 1
    if least <= counts[LIMIT]:
        _wait(board, 0)
    return -1


@kernel(_STATUS(GROUND, BOARD, numba.int64))
def advance(ground: Ground, board: Board, wanted: int) -> tuple[int, int]:
    """Tell ways until so many are told.

    Returns:
        DONE, NONE when there are no more, FULL when the board needs more room first, OUT_OF_STEPS, or BAD_COST; and a
        link that costs what none may.
    """
    counts = board.counts
    if counts[BEGUN] == 0:
        wrong = _begin(ground, board)
        if wrong >= 0:
            return BAD_COST, wrong
    longest = board.nodes.shape[0]
    while counts[TOLD] < wanted:
        if counts[STEPS] < 0:
            return OUT_OF_STEPS, 0
        if counts[WAITING] == 0:
            return NONE, 0
        if counts[PARTS] + longest > board.waiting.size or counts[LINKS] + longest > board.links.size:
            return FULL, 0
        part = _call(board)
        if board.parts[part, LENGTH] < 0:
            if _search(ground, board, part) == FULL:
                return FULL, 0
        else:
            board.told[counts[TOLD]] = part
            counts[TOLD] += 1
            _divide(ground, board, part)
    return DONE, 0
