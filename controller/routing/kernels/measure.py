"""How far nodes are from the goal of ways in order: measured as far as is asked, and bounded beyond.

A* from the goal that can go on later, led towards the start by landmarks, if there are any.
"""

from typing import Final

from controller.routing.kernels.board import (
    AHEAD,
    BEHIND,
    BOUND_OFF,
    HOPS_OFF,
    KNOWN,
    OFF,
    REACH,
    STAMP,
    WAVE,
    Board,
    Ground,
)
from controller.routing.kernels.compiled import UNREACHED, leaf
from controller.routing.kernels.heap import pop, push
from controller.routing.kernels.landmarks import FAR, bound_between
from controller.routing.kernels.net import Int32s, Int64s

EXACT: Final = -1
_NOT_JOINED: Final = 2**30


@leaf
def apart(marks: Int32s, unit: int, one: int, other: int) -> int:
    """Return what two nodes are at least apart by the landmarks, UNREACHED where nothing joins them."""
    if marks.shape[0] == 0:
        return 0
    bound = bound_between(marks, one, marks[other])
    return UNREACHED if bound >= FAR else bound * unit


@leaf
def off_of(nodes: Int64s, counts: Int64s, marks: Int32s, unit: int, start: int, goal: int, node: int) -> int:
    """Return a consistent lower bound of what a node is away from the goal, exact within the reach of the measure.

    What was measured comes to a node beyond its reach only later, so what that is away from the goal and at least from
    the start is no less than the reach together.
    """
    if nodes[node, KNOWN] == EXACT:
        return nodes[node, OFF]  # type: ignore[no-any-return]
    reach = counts[REACH]
    if nodes[node, KNOWN] != reach + 1:
        ahead = apart(marks, unit, node, start)
        if nodes[node, OFF] < UNREACHED and nodes[node, OFF] + ahead <= reach:
            nodes[node, KNOWN] = EXACT
            return nodes[node, OFF]  # type: ignore[no-any-return]
        nodes[node, BOUND_OFF] = max(reach - ahead, apart(marks, unit, node, goal))
        nodes[node, KNOWN] = reach + 1
    return nodes[node, BOUND_OFF]  # type: ignore[no-any-return]


@leaf
def begin_measure(ground: Ground, board: Board) -> None:
    """Set the goal on the shore, and clear all that is kept of nodes. Cost: O(n)."""
    nodes = board.nodes
    for node in range(nodes.shape[0]):
        nodes[node, OFF], nodes[node, KNOWN], nodes[node, STAMP], nodes[node, BEHIND] = UNREACHED, 0, 0, 0
    nodes[ground.goal, OFF] = 0
    ahead = apart(ground.marks, ground.unit, ground.goal, ground.start)
    nodes[ground.goal, AHEAD] = ahead
    board.counts[WAVE] = push(board.wave_keys, board.wave_items, 0, ahead, ground.goal)


@leaf
def measure(ground: Ground, board: Board, target: int, steps: int) -> int:
    """Go on until the start's turn has come and the reach is more than the target; return the nodes settled.

    Each link is looked at once from either end, so the shore has room for all that is put on it. The start is not
    passed: no way comes back to it. Where the start is not joined with the goal, what it is away stays UNREACHED.
    """
    net, start, nodes = ground.net, ground.start, board.nodes
    keys, items, size = board.wave_keys, board.wave_items, board.counts[WAVE]
    settled = 0
    while size > 0 and (keys[0] <= target or keys[0] < nodes[start, OFF]) and settled <= steps:
        key, node = keys[0], items[0]
        size = pop(keys, items, size)
        here = nodes[node, OFF]
        if key != here + nodes[node, AHEAD] or node == start:
            continue
        settled += 1
        for place in range(net.first[node], net.first[node + 1]):
            link, far = net.links[place], net.fars[place]
            through = here + ground.costs[link]
            if through >= nodes[far, OFF] or ground.rooms[link] < ground.need or not ground.open[link]:
                continue
            if not (ground.passable[far] or far == start):
                continue
            if nodes[far, OFF] == UNREACHED:
                nodes[far, AHEAD] = apart(ground.marks, ground.unit, far, start)
            nodes[far, OFF] = through
            size = push(keys, items, size, through + nodes[far, AHEAD], far)
    board.counts[WAVE] = size
    board.counts[REACH] = keys[0] if size > 0 else UNREACHED
    return settled


@leaf
def count_hops(ground: Ground, board: Board) -> None:
    """Write how many links each node is away from the goal at least. Cost: O(n + m)."""
    net, nodes, queue = ground.net, board.nodes, board.waiting
    for node in range(nodes.shape[0]):
        nodes[node, HOPS_OFF] = _NOT_JOINED
    nodes[ground.goal, HOPS_OFF] = 0
    queue[0] = ground.goal
    head, tail = 0, 1
    while head < tail:
        node = queue[head]
        head += 1
        if node != ground.goal and not ground.passable[node]:
            continue
        for place in range(net.first[node], net.first[node + 1]):
            link, far = net.links[place], net.fars[place]
            if ground.rooms[link] >= ground.need and ground.open[link] and nodes[far, HOPS_OFF] == _NOT_JOINED:
                nodes[far, HOPS_OFF] = nodes[node, HOPS_OFF] + 1
                queue[tail] = far
                tail += 1
