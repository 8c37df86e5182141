"""The widest way between two nodes, and the two orders that weigh width against cost."""

from typing import Final

import numba
import numpy as np

from controller.domain.refusals import InvalidValue
from controller.routing.kernels.cheapest import Found, cheapest_way, checked
from controller.routing.kernels.compiled import FLAGS, INT64S, NONE, OUT_OF_STEPS, UNREACHED, kernel
from controller.routing.kernels.heap import pop, push
from controller.routing.kernels.hops import fewest_way
from controller.routing.kernels.k_shortest import first_way
from controller.routing.kernels.landmarks import Landmarks, no_landmarks
from controller.routing.kernels.net import NET, Flags, Int64s, Net

_NO_MARKS: Final = no_landmarks()
_NOTHING: Final = np.empty(0, np.int32)


def widest_way(
    net: Net,
    rooms: Int64s,
    open: Flags,
    passable: Flags,
    need: int,
    start: int,
    goal: int,
    marks: Landmarks = _NO_MARKS,
    *,
    most: int | None = None,
    steps: int = UNREACHED,
) -> tuple[int, Found]:
    """Return the largest room that some way has on all its links, and the best way with it; exact.

    Of equally wide ways the one of fewest links (its cost), then the one whose links, read from the start, are first
    by number. Cost: O(n + m log m); O((n + m) log m) where the widest way of all has more than `most` links. Without a
    way the room is 0 and the cost NONE; OUT_OF_STEPS when the steps are spent before it is settled.

    Args:
        net: With nodes and links numbered in the order of their names.
        rooms: Free millibit/s of each link; shape (n_links,).
        open: Whether a link may be used; shape (n_links,).
        passable: Whether a node may be passed on the way; shape (n_nodes,). The ends may always be.
        need: Room that every link must have at least.
        start: A node; the smaller of both ends where the way back must be the same way.
        goal: A node.
        marks: As `hop_landmarks` returns them, over all links that are open.
        most: Links of the way; >= 0, any number unless given.
        steps: Nodes that all searches together may settle.

    Raises:
        InvalidValue: A number or an array out of its range.
    """
    checked(net, None, rooms, open, passable, marks, start, goal)
    n_nodes = net.first.size - 1
    most = n_nodes if most is None else most
    if most < 0 or steps < 0:
        raise InvalidValue("", ("most", f"{most} links and {steps} steps are not both 0 or more"))
    if start == goal:
        return UNREACHED, Found(0, _NOTHING, 0)
    status, width, taken = _bottleneck(net, rooms, open, passable, need, start, goal, steps)
    if status < 0:
        return 0, Found(status, _NOTHING, taken)

    def fewest(width: int) -> Found:
        return fewest_way(
            net, rooms, open, passable, width, start=start, goal=goal, most=most, marks=marks, steps=steps - taken
        )

    found = fewest(width)
    taken += found.steps
    if found.cost == NONE:
        usable = rooms[open & (rooms >= need) & (rooms < width)]
        widths = np.unique(usable)
        low, high = 0, widths.size
        while low < high and found.cost != OUT_OF_STEPS:
            middle = (low + high) // 2
            tried = fewest(int(widths[middle]))
            taken += tried.steps
            if tried.cost == NONE:
                high = middle
            else:
                found, width, low = tried, int(widths[middle]), middle + 1
    return (width if found.cost >= 0 else 0), found._replace(steps=taken)


def widest_shortest_way(
    net: Net,
    costs: Int64s,
    rooms: Int64s,
    open: Flags,
    passable: Flags,
    need: int,
    start: int,
    goal: int,
    marks: Landmarks = _NO_MARKS,
    *,
    most: int | None = None,
    steps: int = UNREACHED,
) -> Found:
    """Return the cheapest way, of equally cheap ones the widest, then the first by number from the start; exact.

    Cost: O(n + m log n), times `most` where that is below n_nodes - 1 and costs differ; with landmarks about the nodes
    near the way.

    Args:
        net: With nodes and links numbered in the order of their names.
        costs: In [1, 2^40]; shape (n_links,).
        rooms: Free millibit/s of each link; shape (n_links,).
        open: Whether a link may be used; shape (n_links,).
        passable: Whether a node may be passed on the way; shape (n_nodes,). The ends may always be.
        need: Room that every link must have.
        start: A node; the smaller of both ends where the way back must be the same way.
        goal: A node.
        marks: Made over all links that are open, at costs no more than these.
        most: Links of the way; >= 0, any number unless given.
        steps: Nodes that may be settled.

    Raises:
        InvalidValue: A number or an array out of its range.
    """
    if most is None or most >= net.first.size - 2:
        return cheapest_way(net, costs, rooms, open, passable, need, start, goal, marks, steps)
    return first_way(net, costs, rooms, open, passable, need, start, goal, marks, most=most, steps=steps)


def shortest_widest_way(
    net: Net,
    costs: Int64s,
    rooms: Int64s,
    open: Flags,
    passable: Flags,
    need: int,
    start: int,
    goal: int,
    marks: Landmarks = _NO_MARKS,
    *,
    most: int | None = None,
    steps: int = UNREACHED,
) -> tuple[int, Found]:
    """Return the room of the widest way, and of the widest ways the cheapest, then the first by number; exact.

    This order can't be searched in one go: of two partial ways the wider survives, yet a narrow link further on can
    make both equal, and then the other was the cheaper. So the room is settled first, and then the cheapest way is
    searched on links that have it. Cost, arguments and errors: of `widest_way` and `widest_shortest_way` together,
    without a way as the former; `marks` as the latter takes them.
    """
    checked(net, costs, rooms, open, passable, marks, start, goal)
    width, found = widest_way(net, rooms, open, passable, need, start, goal, most=most, steps=steps)
    if found.cost <= 0:
        return width, found
    best = widest_shortest_way(
        net, costs, rooms, open, passable, width, start, goal, marks, most=most, steps=steps - found.steps
    )
    return (width if best.cost >= 0 else 0), best._replace(steps=found.steps + best.steps)


_INT: Final = numba.int64


@kernel(numba.types.UniTuple(_INT, 3)(NET, INT64S, FLAGS, FLAGS, _INT, _INT, _INT, _INT))  # type: ignore[no-untyped-call]
def _bottleneck(
    net: Net, rooms: Int64s, open: Flags, passable: Flags, need: int, start: int, goal: int, steps: int
) -> tuple[int, int, int]:
    """Return (0, the largest room that some way has on all its links, nodes settled), or the status why there is none.

    Floods rise from both ends, each over the roomiest link on its shore. The one with the roomier link goes on; where
    they meet the lower of the two levels is the answer, for neither end gets farther at more than its level. What lies
    behind a link no less roomy than the level is flooded at once, without a heap.
    """
    n_nodes, n_links = net.first.size - 1, net.tails.size
    flooded = np.zeros(n_nodes, np.int8)  # from which end, 1 or 2
    flooded[start], flooded[goal] = 1, 2
    levels = np.full(2, UNREACHED)
    keys, items, sizes = (
        np.empty((2, 2 * n_links), np.int64),
        np.empty((2, 2 * n_links), np.int32),
        np.zeros(2, np.int64),
    )
    stacks, heights = np.empty((2, n_nodes), np.int32), np.ones(2, np.int64)
    stacks[0, 0], stacks[1, 0] = start, goal
    settled = 0
    while True:
        if heights[0] > 0 or heights[1] > 0:
            end = 0 if heights[0] > 0 else 1
            heights[end] -= 1
            node = stacks[end, heights[end]]
        else:
            if sizes[0] == 0 or sizes[1] == 0:
                return NONE, 0, settled
            end = 0 if keys[0, 0] <= keys[1, 0] else 1
            room, node = -keys[end, 0], items[end, 0]
            sizes[end] = pop(keys[end], items[end], sizes[end])
            if flooded[node] == end + 1:
                continue
            levels[end] = min(levels[end], room)
            if flooded[node] != 0:
                return 0, min(levels[0], levels[1]), settled
            flooded[node] = end + 1
        settled += 1
        if settled > steps:
            return OUT_OF_STEPS, 0, settled
        for place in range(net.first[node], net.first[node + 1]):
            link, far = net.links[place], net.fars[place]
            room = rooms[link]
            if room < need or not open[link] or flooded[far] == end + 1 or not (passable[far] or flooded[far] != 0):
                continue
            if room < levels[end]:
                sizes[end] = push(keys[end], items[end], sizes[end], -room, far)
                continue
            if flooded[far] != 0:
                return 0, min(levels[0], levels[1]), settled
            flooded[far] = end + 1
            stacks[end, heights[end]] = far
            heights[end] += 1
