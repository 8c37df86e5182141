"""The cheapest rest of a way around what was walked already: A* among labels, which count links where these are few.

A label is a node with the cost at which it is reached; where the number of links is limited, one for each number of
links that may still matter. Costs are >= 1, so the cheapest walk never comes by a node twice.
"""

from typing import Final, NamedTuple

import numba
import numpy as np

from controller.routing.kernels.compiled import FLAGS, INT64S, NONE, OUT_OF_STEPS, UNREACHED, inline, leaf
from controller.routing.kernels.heap import grown_items, grown_keys, pop, push
from controller.routing.kernels.landmarks import FAR, MARKS, bound_between
from controller.routing.kernels.net import NET, Flags, Int32s, Int64s, Net

BARRED: Final = 5
NEXT: Final = 6
"""Columns of a table of parts: a link not to be taken first, and the part that says the next such link, or -1."""


class Ground(NamedTuple):
    """Where all ways of an iteration lead. Arrays are frozen; node and links by number.

    Attributes:
        costs: Of each link, >= 1; shape (n_links,).
        rooms: Free millibit/s of each link; shape (n_links,).
        open: Whether a link may be used; shape (n_links,).
        passable: Whether a node may be passed on the way; shape (n_nodes,). The ends may always be.
        need: Room that every link must have.
        start, goal: Nodes.
        most: Links of a way.
    """

    net: Net
    costs: Int64s
    rooms: Int64s
    open: Flags
    passable: Flags
    need: int
    start: int
    goal: int
    most: int


GROUND: Final = numba.types.NamedTuple(  # type: ignore[no-untyped-call]
    (NET, INT64S, INT64S, FLAGS, FLAGS, *[numba.int64] * 4), Ground
)
"""The type of a ground in the signature of a kernel."""

_NEW: Final = -1
_WORSE: Final = -2


class Quest(NamedTuple):
    """What one search is to find.

    Attributes:
        begin: The node from which the rest is searched.
        cap: Least room of what was walked already; more than that does not help.
        dearest: What the rest may cost.
        most: Links that it may have, heeded when they are counted.
        counted: Whether links have to be counted.
        table, part: The table of parts and the one that says which links are not to be taken first.
        steps: Labels that may be settled.
    """

    begin: int
    cap: int
    dearest: int
    most: int
    counted: bool
    table: Int64s
    part: int
    steps: int


class Guide(NamedTuple):
    """What leads searches, and their scratch.

    Attributes:
        off: What each node is away from the goal as far as measured, or where it is known a consistent lower bound of
            that; shape (n_nodes,).
        known: Where it is; shape (n_nodes,).
        reach: Up to which sum of that and the bound from the start it is measured; shape (1,).
        marks, unit: Landmarks: their table and what its numbers are multiples of.
        hops_off: The same in links; shape (n_nodes,) where they are counted, else (0,).
        head: The first label of each node; shape (n_nodes,).
        stamp: In which search that was written; shape (n_nodes,).
        behind: The last search before which a node was walked already; shape (n_nodes,).
    """

    off: Int64s
    known: Flags
    reach: Int64s
    marks: Int32s
    unit: int
    hops_off: Int32s
    head: Int32s
    stamp: Int64s
    behind: Int64s


_OWN32: Final = numba.types.Array(numba.int32, 1, "C")
_OWN64: Final = numba.types.Array(numba.int64, 1, "C")
GUIDE: Final = numba.types.NamedTuple(  # type: ignore[no-untyped-call]
    (
        _OWN64,
        numba.types.Array(numba.boolean, 1, "C"),
        _OWN64,
        MARKS,
        numba.int64,
        _OWN32,
        _OWN32,
        _OWN64,
        _OWN64,
    ),
    Guide,
)
"""The type of a guide in the signature of a kernel."""


class _Labels(NamedTuple):
    status: int
    settled: int
    made: int
    nodes: Int32s
    costs: Int64s
    hops: Int32s
    following: Int32s


@leaf
def apart(guide: Guide, one: int, other: int) -> int:
    """Return what two nodes are at least apart by the landmarks, UNREACHED where nothing joins them."""
    if guide.marks.shape[0] == 0:
        return 0
    bound = bound_between(guide.marks, one, guide.marks[other])
    return UNREACHED if bound >= FAR else bound * guide.unit


@leaf
def off_of(ground: Ground, guide: Guide, node: int) -> int:
    """Return a consistent lower bound of what a node is away from the goal, exact within the reach of the measure.

    The search that measured would look at a node beyond its reach only later, so the distance of that, and the bound
    from the start, are more than the reach together.
    """
    if not guide.known[node]:
        ahead = apart(guide, node, ground.start)
        if guide.off[node] == UNREACHED or guide.off[node] + ahead > guide.reach[0]:
            guide.off[node] = max(guide.reach[0] - ahead, apart(guide, node, ground.goal))
        guide.known[node] = True
    return guide.off[node]  # type: ignore[no-any-return]


@leaf
def is_barred(table: Int64s, part: int, link: int) -> bool:
    """Tell whether a part of the ways leaves out those that leave the walked way by this link. Cost: O(degree)."""
    while part >= 0:
        if table[part, BARRED] == link:
            return True
        part = table[part, NEXT]
    return False


@inline
def cheapest_rest(ground: Ground, guide: Guide, search: int, quest: Quest) -> tuple[int, int, Int32s, int]:
    """Return (cost, bottleneck, links, steps taken) of the cheapest rest, or NONE or OUT_OF_STEPS as the cost.

    Of equally cheap ones the roomiest up to the cap, then the one whose links come first: exact. Cost: O(n + m log n),
    times `most` where links are counted.

    Args:
        ground: Where it leads.
        guide: What leads the search.
        search: Its number: new to the stamps of the guide, and written at the nodes that are behind.
        quest: What is searched.
    """
    labels = _labelled(ground, guide, search, quest)
    if labels.status < 0:
        return labels.status, 0, np.empty(0, np.int32), labels.settled
    widths = _widths(ground, guide, search, quest, labels)
    width = min(quest.cap, widths[0])
    return labels.status, width, _first(ground, guide, search, quest, labels, widths, width), labels.settled


@leaf
def _label(guide: Guide, search: int, labels: _Labels, node: int, hops: int) -> int:
    """Return the label of a node with so many links, or -1."""
    if guide.stamp[node] != search:
        return -1
    label = guide.head[node]
    while label >= 0 and labels.hops[label] != hops:
        label = labels.following[label]
    return label  # type: ignore[no-any-return]


@leaf
def _seat(first: int, cost_of: Int64s, hops_of: Int32s, following: Int32s, through: int, hops: int) -> int:
    """Return which label of a node a new one improves, _NEW when it is beside all of them, or _WORSE than one.

    One that costs as much on more links is not worse: among equally cheap rests it may be on the roomiest.
    """
    same, other = _NEW, first
    while other >= 0:
        if hops_of[other] == hops:
            same = other
        if cost_of[other] + (hops_of[other] != hops) <= through and hops_of[other] <= hops:
            return _WORSE
        other = following[other]
    return same


@inline
def _labelled(ground: Ground, guide: Guide, search: int, quest: Quest) -> _Labels:
    """Return labels of all nodes on cheapest rests, among others; the status is what these cost, or why there is none.

    The costs of labels that are passed over are no less than those of another of that node that has no more links.
    """
    net, costs, goal = ground.net, ground.costs, ground.goal
    head, stamp = guide.head, guide.stamp
    nodes, cost_of = np.empty(256, np.int32), np.empty(256, np.int64)
    hops_of, following = np.empty(256, np.int32), np.empty(256, np.int32)
    keys, items, size = np.empty(256, np.int64), np.empty(256, np.int32), 0
    nodes[0], cost_of[0], hops_of[0], following[0] = quest.begin, 0, 0, -1
    head[quest.begin], stamp[quest.begin] = 0, search
    count, settled, limit = 1, 0, quest.dearest
    size = push(keys, items, size, off_of(ground, guide, quest.begin), 0)
    while size > 0 and keys[0] <= limit:
        key, label = keys[0], items[0]
        size = pop(keys, items, size)
        node, here = nodes[label], cost_of[label]
        if key != here + guide.off[node] or node == goal:
            continue
        settled += 1
        if settled > quest.steps:
            return _Labels(OUT_OF_STEPS, settled, count, nodes, cost_of, hops_of, following)
        hops = hops_of[label] + (1 if quest.counted else 0)
        for place in range(net.first[node], net.first[node + 1]):
            link, far = net.links[place], net.fars[place]
            if ground.rooms[link] < ground.need or not ground.open[link] or guide.behind[far] == search:
                continue
            through = here + costs[link]
            if through + off_of(ground, guide, far) > limit or not (ground.passable[far] or far == goal):
                continue
            if quest.counted and hops + guide.hops_off[far] > quest.most:
                continue
            if node == quest.begin and is_barred(quest.table, quest.part, link):
                continue
            if stamp[far] != search:
                head[far], stamp[far] = -1, search
            same = _seat(head[far], cost_of, hops_of, following, through, hops)
            if same == _WORSE:
                continue
            if same == _NEW:
                if count == nodes.size:
                    nodes, cost_of = grown_items(nodes), grown_keys(cost_of)
                    hops_of, following = grown_items(hops_of), grown_items(following)
                same = count
                count += 1
                nodes[same], hops_of[same], following[same] = far, hops, head[far]
                head[far] = same
            cost_of[same] = through
            if far == goal:
                limit = through
            if size == keys.size:
                keys, items = grown_keys(keys), grown_items(items)
            size = push(keys, items, size, through + guide.off[far], same)
    reached = limit if stamp[goal] == search else NONE
    return _Labels(0 if quest.begin == goal else reached, settled, count, nodes, cost_of, hops_of, following)


@inline
def _widths(ground: Ground, guide: Guide, search: int, quest: Quest, labels: _Labels) -> Int64s:
    """Return the widest bottleneck on from each label on a cheapest rest; -UNREACHED at the others.

    Taken up from the dearest label to the cheapest, so that all that a label leads to is known when its turn comes.
    """
    net, costs = ground.net, ground.costs
    hop = 1 if quest.counted else 0
    widths = np.full(labels.made, -UNREACHED)
    keys, items, size = np.empty(labels.made, np.int64), np.empty(labels.made, np.int32), 0
    label = guide.head[ground.goal]
    while label >= 0:
        if labels.costs[label] == labels.status:
            widths[label] = UNREACHED
            size = push(keys, items, size, -labels.status, label)
        label = labels.following[label]
    while size > 0:
        label = items[0]
        size = pop(keys, items, size)
        node, here = labels.nodes[label], labels.costs[label]
        for place in range(net.first[node], net.first[node + 1]):
            link, far = net.links[place], net.fars[place]
            if ground.rooms[link] < ground.need or not ground.open[link]:
                continue
            before = _label(guide, search, labels, far, labels.hops[label] - hop)
            if before < 0 or labels.costs[before] + costs[link] != here:
                continue
            if far == quest.begin and is_barred(quest.table, quest.part, link):
                continue
            if widths[before] == -UNREACHED:
                size = push(keys, items, size, -labels.costs[before], before)
            widths[before] = max(widths[before], min(ground.rooms[link], widths[label]))
    return widths


@inline
def _first(
    ground: Ground, guide: Guide, search: int, quest: Quest, labels: _Labels, widths: Int64s, width: int
) -> Int32s:
    """Return the links of the first by number of the cheapest rests that are so wide.

    Names can't ride along in the search: of two partial ways the roomier survives, yet a narrow link further on can
    make both equal, and then the other's names might have come first.
    """
    net, costs = ground.net, ground.costs
    hop = 1 if quest.counted else 0
    way, length = np.empty(32, np.int32), 0
    node, label = quest.begin, 0
    while node != ground.goal:
        if length == way.size:
            way = grown_items(way)
        for place in range(net.first[node], net.first[node + 1]):
            link, far = net.links[place], net.fars[place]
            if ground.rooms[link] < max(width, ground.need) or not ground.open[link]:
                continue
            onward = _label(guide, search, labels, far, labels.hops[label] + hop)
            if onward < 0 or labels.costs[onward] != labels.costs[label] + costs[link] or widths[onward] < width:
                continue
            if node == quest.begin and is_barred(quest.table, quest.part, link):
                continue
            way[length] = link
            length += 1
            node, label = far, onward
            break
    return way[:length]
