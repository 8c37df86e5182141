"""The cheapest rest of a way around what was walked already: A* among labels, which count links where these are few.

A label is a node with the cost at which it is reached; where the number of links is limited, one for each number of
links that may still matter. Costs are >= 1, so the cheapest walk never comes by a node twice.
"""

from typing import Final, NamedTuple

from controller.routing.kernels.board import (
    BARRED,
    BEHIND,
    COUNTED,
    FOLLOWING,
    FULL,
    HEAD,
    HOPS,
    HOPS_OFF,
    NEXT,
    NODE,
    SPENT,
    STAMP,
    STEPS,
    WIDTH_ON,
    Board,
    Ground,
)
from controller.routing.kernels.compiled import NONE, OUT_OF_STEPS, UNREACHED, leaf
from controller.routing.kernels.heap import pop, push
from controller.routing.kernels.measure import off_of
from controller.routing.kernels.net import Int64s

_NEW: Final = -1
_WORSE: Final = -2


class Quest(NamedTuple):
    """What one search is to find.

    Attributes:
        search: Its number: new to the stamps of nodes, and written at those that are behind.
        begin: The node from which the rest is searched.
        cap: Least room of what was walked already; more than that does not help.
        dearest: What the rest may cost.
        most: Links that it may have, heeded when they are counted.
        part: Which says the links that are not to be taken first.
        place: Where the links of the rest are written.
    """

    search: int
    begin: int
    cap: int
    dearest: int
    most: int
    part: int
    place: int


@leaf
def is_barred(parts: Int64s, part: int, link: int) -> bool:
    """Tell whether a part of the ways leaves out those that leave the walked way by this link. Cost: O(degree)."""
    while part >= 0:
        if parts[part, BARRED] == link:
            return True
        part = parts[part, NEXT]
    return False


@leaf
def cheapest_rest(ground: Ground, board: Board, quest: Quest) -> tuple[int, int, int]:
    """Write the cheapest rest to the board; return (cost, bottleneck, length), or NONE, OUT_OF_STEPS or FULL as cost.

    Of equally cheap ones the roomiest up to the cap, then the one whose links come first: exact. Cost: O(n + m log n),
    times `most` where links are counted. Takes its steps off those left.
    """
    cost, made = _label_nodes(ground, board, quest)
    if cost < 0:
        return cost, 0, 0
    _measure_widths(ground, board, quest, cost, made)
    width = min(quest.cap, board.labels[0, WIDTH_ON])
    return cost, width, _write_first(ground, board, quest, width)


@leaf
def _label(nodes: Int64s, labels: Int64s, search: int, node: int, hops: int) -> int:
    """Return the label of a node with so many links, or -1."""
    if nodes[node, STAMP] != search:
        return -1
    label = nodes[node, HEAD]
    while label >= 0 and labels[label, HOPS] != hops:
        label = labels[label, FOLLOWING]
    return label  # type: ignore[no-any-return]


@leaf
def _seat(labels: Int64s, first: int, through: int, hops: int) -> int:
    """Return which label of a node a new one improves, _NEW when it is beside all of them, or _WORSE than one.

    One that costs as much on more links is not worse: among equally cheap rests it may be on the roomiest.
    """
    same, other = _NEW, first
    while other >= 0:
        if labels[other, HOPS] == hops:
            same = other
        if labels[other, SPENT] + (labels[other, HOPS] != hops) <= through and labels[other, HOPS] <= hops:
            return _WORSE
        other = labels[other, FOLLOWING]
    return same


@leaf
def _label_nodes(ground: Ground, board: Board, quest: Quest) -> tuple[int, int]:
    """Label all nodes on cheapest rests, among others; return what these cost, or why there is none, and the labels.

    The costs of labels that are passed over are no less than those of another of that node that has no more links.
    """
    net, costs, marks, unit, start, goal = (
        ground.net,
        ground.costs,
        ground.marks,
        ground.unit,
        ground.start,
        ground.goal,
    )
    nodes, labels, keys, items, counts = board.nodes, board.labels, board.keys, board.items, board.counts
    search, begin, limit = quest.search, quest.begin, quest.dearest
    counted = counts[COUNTED] == 1
    labels[0, NODE], labels[0, SPENT], labels[0, HOPS], labels[0, FOLLOWING] = begin, 0, 0, -1
    nodes[begin, HEAD], nodes[begin, STAMP] = 0, search
    made = 1
    size = push(keys, items, 0, off_of(nodes, counts, marks, unit, start, goal, begin), 0)
    while size > 0 and keys[0] <= limit:
        key, label = keys[0], items[0]
        size = pop(keys, items, size)
        node, here = labels[label, NODE], labels[label, SPENT]
        if node == goal or key != here + off_of(nodes, counts, marks, unit, start, goal, node):
            continue
        counts[STEPS] -= 1
        if counts[STEPS] < 0:
            return OUT_OF_STEPS, made
        hops = labels[label, HOPS] + (1 if counted else 0)
        for place in range(net.first[node], net.first[node + 1]):
            link, far = net.links[place], net.fars[place]
            if ground.rooms[link] < ground.need or not ground.open[link] or nodes[far, BEHIND] == search:
                continue
            if not (ground.passable[far] or far == goal) or (counted and hops + nodes[far, HOPS_OFF] > quest.most):
                continue
            through = here + costs[link]
            total = through + off_of(nodes, counts, marks, unit, start, goal, far)
            if total > limit or (node == begin and is_barred(board.parts, quest.part, link)):
                continue
            if nodes[far, STAMP] != search:
                nodes[far, HEAD], nodes[far, STAMP] = -1, search
            seat = _seat(labels, nodes[far, HEAD], through, hops)
            if seat == _WORSE:
                continue
            if made == labels.shape[0] or size == keys.size:
                return FULL, made
            if seat == _NEW:
                seat = made
                made += 1
                labels[seat, NODE], labels[seat, HOPS], labels[seat, FOLLOWING] = far, hops, nodes[far, HEAD]
                nodes[far, HEAD] = seat
            labels[seat, SPENT] = through
            if far == goal:
                limit = through
            size = push(keys, items, size, total, seat)
    if begin == goal:
        return 0, made
    return (limit if nodes[goal, STAMP] == search else NONE), made


@leaf
def _measure_widths(ground: Ground, board: Board, quest: Quest, cost: int, made: int) -> None:
    """Write the widest bottleneck on from each label on a cheapest rest, and -UNREACHED at the others.

    Taken up from the dearest label to the cheapest, so that all that a label leads to is known when its turn comes.
    """
    net, costs = ground.net, ground.costs
    nodes, labels, keys, items = board.nodes, board.labels, board.keys, board.items
    hop = board.counts[COUNTED]
    for label in range(made):
        labels[label, WIDTH_ON] = -UNREACHED
    size, last = 0, nodes[ground.goal, HEAD]
    while last >= 0:
        if labels[last, SPENT] == cost:
            labels[last, WIDTH_ON] = UNREACHED
            size = push(keys, items, size, -cost, last)
        last = labels[last, FOLLOWING]
    while size > 0:
        label = items[0]
        size = pop(keys, items, size)
        node, here, width = labels[label, NODE], labels[label, SPENT], labels[label, WIDTH_ON]
        for place in range(net.first[node], net.first[node + 1]):
            link, far = net.links[place], net.fars[place]
            if ground.rooms[link] < ground.need or not ground.open[link]:
                continue
            before = _label(nodes, labels, quest.search, far, labels[label, HOPS] - hop)
            if before < 0 or labels[before, SPENT] + costs[link] != here:
                continue
            if far == quest.begin and is_barred(board.parts, quest.part, link):
                continue
            if labels[before, WIDTH_ON] == -UNREACHED:
                size = push(keys, items, size, -labels[before, SPENT], before)
            labels[before, WIDTH_ON] = max(labels[before, WIDTH_ON], min(ground.rooms[link], width))


@leaf
def _write_first(ground: Ground, board: Board, quest: Quest, width: int) -> int:
    """Write the first by number of the cheapest rests that are so wide, and return how many links it has.

    Names can't ride along in the search: of two partial ways the roomier survives, yet a narrow link further on can
    make both equal, and then the other's names might have come first.
    """
    net, costs, nodes, labels = ground.net, ground.costs, board.nodes, board.labels
    hop, least = board.counts[COUNTED], max(width, ground.need)
    node, label, length = quest.begin, 0, 0
    while node != ground.goal:
        for place in range(net.first[node], net.first[node + 1]):
            link, far = net.links[place], net.fars[place]
            if ground.rooms[link] < least or not ground.open[link]:
                continue
            onward = _label(nodes, labels, quest.search, far, labels[label, HOPS] + hop)
            if onward < 0 or labels[onward, WIDTH_ON] < width:
                continue
            if labels[onward, SPENT] != labels[label, SPENT] + costs[link]:
                continue
            if node == quest.begin and is_barred(board.parts, quest.part, link):
                continue
            board.links[quest.place + length] = link
            length += 1
            node, label = far, onward
            break
    return length
