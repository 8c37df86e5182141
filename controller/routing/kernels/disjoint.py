"""Disjoint ways: a cheapest set of k that share no node, or no link, and a roomiest one; or the cut that forbids it.

Successive cheapest augmenting paths with potentials (Suurballe's idea for any k) on the graph in which each node is
split in an entry and an exit, without that graph being built: only nodes on ways found already have two states.
"""

from dataclasses import dataclass
from typing import Final, NamedTuple

import numba
import numpy as np
import numpy.typing as npt

from controller.domain.refusals import InvalidValue
from controller.routing.kernels.compiled import FLAGS, INT64S, NONE, OUT_OF_STEPS, UNREACHED, inline, kernel
from controller.routing.kernels.heap import pop, push
from controller.routing.kernels.net import NET, Flags, Int32s, Int64s, Net

DEAREST_LINK: Final = 2**40
"""The most that a link may cost: a way over a million of them still fits 64 bits."""
NO_BUDGET: Final = 2**62
"""Steps that no search spends."""

_ONWARD: Final = 1
_BACKWARD: Final = 2
"""How a way uses a link: from its tail to its head, or the other way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DisjointWays:
    """What a search for k disjoint ways found.

    Attributes:
        cost: Of all ways together; NONE when there are fewer than k, OUT_OF_STEPS when it was not settled.
        room: The least on any link of the ways; UNREACHED without ways.
        ways: Link numbers from start to goal; k of them, in the order of (cost, -least room, links), or none.
        most: How many disjoint ways there are, where there are fewer than k; else k, or as many as are known of.
        cut_nodes, cut_links: Where there are fewer than k: `most` nodes and links, of which every way takes one.
    """

    cost: int
    room: int
    ways: tuple[Int32s, ...]
    most: int
    cut_nodes: Int32s
    cut_links: Int32s


def cheapest_disjoint(
    net: Net,
    rooms: Int64s,
    open: Flags,
    passable: Flags,
    costs: Int64s,
    *,
    need: int,
    start: int,
    goal: int,
    k: int,
    by_links: bool = False,
    bounds: Int64s | None = None,
    steps: int = NO_BUDGET,
) -> DisjointWays:
    """Return k ways of least total cost that share no node but their ends, or with `by_links` no link. Exact.

    Cost: O(k (n + m) log n), k + 1 searches that end when their far end is settled; all but the first are led to the
    goal by what the first has learned. Of equal sets the same is taken for the same arguments, `bounds` included;
    who wants the set from b to a to be that from a to b calls with the smaller end as start.

    Args:
        net: Where ways may lead.
        rooms: Free on each link; only links with `need` are used; shape (n_links,).
        open: Links that may be used; shape (n_links,).
        passable: Nodes that may be passed on the way; the ends may always be; shape (n_nodes,).
        costs: Of each link, in 1..2^40; shape (n_links,).
        need: In the unit of `rooms`.
        start: The node that ways leave.
        goal: The node that they lead to, another one.
        k: >= 1.
        by_links: Ways may share nodes, though none passes a node twice.
        bounds: Never more than the cost from each node to the goal, and along no open link falling by more than it
            costs (as landmarks give them); shape (n_nodes,). Without them a search from the goal finds its own.
        steps: Nodes that may be settled in all.

    Raises:
        InvalidValue: An argument is out of its range.
    """
    return _found(net, rooms, open, passable, costs, need, start, goal, k, by_links, False, bounds, steps)


def widest_disjoint(
    net: Net,
    rooms: Int64s,
    open: Flags,
    passable: Flags,
    costs: Int64s,
    *,
    need: int,
    start: int,
    goal: int,
    k: int,
    by_links: bool = False,
    steps: int = NO_BUDGET,
) -> DisjointWays:
    """Return k disjoint ways whose narrowest link is as wide as can be, of these a set of least total cost. Exact.

    The widest way, then the widest augmenting path each time: what is left at some width is an augmenting path at
    that width (as for flows), so the least width met is the widest for k. Then the cheapest set with that room.
    Cost, order, arguments and errors: as of `cheapest_disjoint`, twice.
    """
    return _found(net, rooms, open, passable, costs, need, start, goal, k, by_links, True, None, steps)


def most_disjoint(
    net: Net, rooms: Int64s, open: Flags, passable: Flags, *, need: int, start: int, goal: int, by_links: bool = False
) -> DisjointWays:
    """Return how many disjoint ways there are at most, as `most`, and a least cut; arguments as of the others."""
    ones = np.ones(len(open), np.int64)
    k = len(open) + 1
    return _found(net, rooms, open, passable, ones, need, start, goal, k, by_links, False, None, NO_BUDGET)


def _found(
    net: Net,
    rooms: Int64s,
    open: Flags,
    passable: Flags,
    costs: Int64s,
    need: int,
    start: int,
    goal: int,
    k: int,
    by_links: bool,
    widest: bool,
    bounds: Int64s | None,
    steps: int,
) -> DisjointWays:
    n_nodes, n_links = len(net.first) - 1, len(net.tails)
    rooms = _numbers("rooms", rooms, n_links, -UNREACHED + 1, UNREACHED - 1)
    costs = _numbers("costs", costs, n_links, 1, DEAREST_LINK)
    open, passable = _flags("open", open, n_links), _flags("passable", passable, n_nodes)
    for name, node in (("start", start), ("goal", goal)):
        if not 0 <= node < n_nodes:
            raise InvalidValue("", (name, f"{node} is none of the {n_nodes} nodes"))
    if start == goal:
        raise InvalidValue("", ("goal", f"is the start, node {start}"))
    if k < 1:
        raise InvalidValue("", ("k", f"{k} is not positive"))
    if bounds is None:
        bounds = np.zeros(0, np.int64)
    else:
        bounds = _numbers("bounds", bounds, n_nodes, 0, UNREACHED)
        falls = np.abs(bounds[net.tails] - bounds[net.heads]) > costs
        if bool((falls & open).any()):
            link = int((falls & open).argmax())
            raise InvalidValue("", ("bounds", f"fall along link {link} by more than its cost {int(costs[link])}"))
    need = max(min(need, UNREACHED), -UNREACHED)
    steps = max(min(steps, NO_BUDGET), 0)
    # More than the links at the start there are never, and arrays are made for k.
    asked = min(k, int(net.first[start + 1] - net.first[start]) + 1)
    status, most, links, ends, cut_nodes, cut_links = _search(
        net, rooms, open, passable, costs, bounds, need, start, goal, asked, by_links, widest, steps
    )
    ways = [links[ends[way] : ends[way + 1]] for way in range(len(ends) - 1)]
    ordered = sorted((int(costs[way].sum()), -int(rooms[way].min()), way.tolist()) for way in ways)
    return DisjointWays(
        cost=int(status),
        room=min((-order[1] for order in ordered), default=UNREACHED),
        ways=tuple(np.array(order[2], np.int32) for order in ordered),
        most=int(most),
        cut_nodes=np.flatnonzero(cut_nodes).astype(np.int32),
        cut_links=np.flatnonzero(cut_links).astype(np.int32),
    )


def _numbers(name: str, values: Int64s, size: int, low: int, high: int) -> Int64s:
    """Return an array as kernels take it, or refuse it."""
    array = np.ascontiguousarray(values)
    if array.shape != (size,):
        raise InvalidValue("", (name, f"has shape {array.shape} where ({size},) is wanted"))
    if array.dtype.kind not in "iu" and size:
        raise InvalidValue("", (name, f"is of {array.dtype}; whole numbers are wanted"))
    if size and (int(array.min()) < low or int(array.max()) > high):
        raise InvalidValue("", (name, f"has {int(array.min())} to {int(array.max())}, not in {low}..{high}"))
    return array.astype(np.int64, copy=False)


def _flags(name: str, values: Flags, size: int) -> Flags:
    array = np.ascontiguousarray(values)
    if array.shape != (size,) or array.dtype != np.bool_:
        raise InvalidValue("", (name, f"is {array.dtype} of shape {array.shape} where bool of ({size},) is wanted"))
    return array


class _Ground(NamedTuple):
    """Where ways may lead, as the arguments of a search say it."""

    net: Net
    rooms: Int64s
    open: Flags
    passable: Flags
    costs: Int64s


class _Labels(NamedTuple):
    """What a search knows of its states: node v entered is state v, node v left is state n_nodes + v."""

    lengths: Int64s
    before: Int32s
    via: Int32s
    prices: Int64s
    keys: Int64s
    items: Int32s


class _Flow(NamedTuple):
    """What the ways found so far use: each link in which direction, and the link that enters each node on them."""

    used: npt.NDArray[np.int8]
    into: Int32s


@inline
def _label(labels: _Labels, size: int, target: int, state: int, link: int, length: int) -> int:
    if length < labels.lengths[target]:
        labels.lengths[target] = length
        labels.before[target] = state
        labels.via[target] = link
        return push(labels.keys, labels.items, size, length, target)
    return size


@inline
def _priced(ground: _Ground, labels: _Labels, need: int, start: int, goal: int, steps: int) -> int:
    """Set the prices to minus the cost to the goal, as far as that from the start; return the steps left, or NONE."""
    net, lengths, n_nodes = ground.net, labels.lengths, ground.passable.size
    lengths[:] = UNREACHED
    lengths[goal] = 0
    size = push(labels.keys, labels.items, 0, 0, goal)
    reached = False
    while size > 0:
        length, node = labels.keys[0], labels.items[0]
        size = pop(labels.keys, labels.items, size)
        if length > lengths[node]:
            continue
        if node == start:
            reached = True
            break
        steps -= 1
        if steps < 0:
            return OUT_OF_STEPS
        for place in range(net.first[node], net.first[node + 1]):
            link, far = net.links[place], net.fars[place]
            if ground.open[link] and ground.rooms[link] >= need and (far == start or ground.passable[far]):
                size = _label(labels, size, far, node, link, length + ground.costs[link])
    if not reached:
        return NONE
    for node in range(n_nodes):
        labels.prices[node] = -min(lengths[node], lengths[start])
    return steps


@inline
def _augmenting(
    ground: _Ground,
    labels: _Labels,
    flow: _Flow,
    need: int,
    start: int,
    goal: int,
    by_links: bool,
    widest: bool,
    steps: int,
) -> int:
    """Label the best augmenting path, if there is one, and return the steps left, or OUT_OF_STEPS.

    Best is: of least reduced cost; with `widest` the one whose narrowest new link is widest, its length then minus
    that width.
    """
    net, prices, n_nodes = ground.net, labels.prices, ground.passable.size
    labels.lengths[:] = UNREACHED
    labels.lengths[start] = -UNREACHED if widest else 0
    size = push(labels.keys, labels.items, 0, labels.lengths[start], start)
    while size > 0:
        length, state = labels.keys[0], labels.items[0]
        size = pop(labels.keys, labels.items, size)
        if length > labels.lengths[state]:
            continue
        if state == goal:
            break
        steps -= 1
        if steps < 0:
            return OUT_OF_STEPS
        node = state if state < n_nodes else state - n_nodes
        here = length + (0 if widest else prices[state])
        if state < n_nodes and flow.into[node] >= 0:
            # Another way enters this node: this one takes over from here, and that one looks for another rest.
            link = flow.into[node]
            tail = net.tails[link] if flow.used[link] == _ONWARD else net.heads[link]
            if tail != start:
                left = n_nodes + tail
                there = length if widest else here - ground.costs[link] - prices[left]
                size = _label(labels, size, left, state, link, there)
            continue
        if state >= n_nodes:
            size = _label(labels, size, node, state, -1, length if widest else here - prices[node])
        for place in range(net.first[node], net.first[node + 1]):
            link, far = net.links[place], net.fars[place]
            if far == start or not ground.open[link] or ground.rooms[link] < need:
                continue
            use = flow.used[link]
            if use == 0:
                if far != goal and not ground.passable[far]:
                    continue
                there = max(length, -ground.rooms[link]) if widest else here + ground.costs[link] - prices[far]
            elif by_links and (use == _ONWARD) != (net.tails[link] == node):
                there = length if widest else here - ground.costs[link] - prices[far]
            else:
                continue
            size = _label(labels, size, far, state, link, there)
    return steps


@inline
def _augment(
    ground: _Ground, labels: _Labels, flow: _Flow, start: int, goal: int, by_links: bool, widest: bool
) -> None:
    """Send one more way along the augmenting path that is labelled, and lower prices so that all costs stay >= 0."""
    net, n_nodes = ground.net, ground.passable.size
    if not widest:
        for state in range(labels.lengths.size):
            if labels.lengths[state] < labels.lengths[goal]:
                labels.prices[state] += labels.lengths[state] - labels.lengths[goal]
    # What is taken back comes first: a node may lose one way and win another on the same path.
    state = goal
    while state != start:
        link, before = labels.via[state], labels.before[state]
        if link >= 0 and flow.used[link] != 0:
            flow.used[link] = -flow.used[link]
            if not by_links:
                flow.into[before] = -2
        state = before
    state = goal
    while state != start:
        link, before = labels.via[state], labels.before[state]
        if link >= 0 and flow.used[link] == 0:
            tail = before if before < n_nodes else before - n_nodes
            flow.used[link] = _ONWARD if net.tails[link] == tail else _BACKWARD
            if not by_links and state != goal:
                if flow.into[state] == -1:
                    labels.prices[n_nodes + state] = labels.prices[state]
                flow.into[state] = link
        state = before
    state = goal
    while state != start:
        link, before = labels.via[state], labels.before[state]
        if link >= 0 and flow.used[link] < 0:
            flow.used[link] = 0
        node = before if before < n_nodes else before - n_nodes
        if flow.into[node] == -2:
            flow.into[node] = -1
        state = before


@inline
def _cut(ground: _Ground, flow: _Flow, need: int, start: int, goal: int, by_links: bool) -> tuple[Flags, Flags]:
    """Return the nodes and links of a least cut, where the ways found are all that there are.

    By nodes, links count as wide, all but those from end to end: so nodes are named wherever they will do.
    """
    net, n_nodes = ground.net, ground.passable.size
    near = np.zeros(2 * n_nodes, np.bool_)
    queue = np.empty(2 * n_nodes, np.int32)
    queue[0] = start
    near[start] = True
    head, tail = 0, 1
    while head < tail:
        state = queue[head]
        head += 1
        node = state if state < n_nodes else state - n_nodes
        if state < n_nodes and flow.into[node] >= 0:
            link = flow.into[node]
            left = n_nodes + (net.tails[link] if flow.used[link] == _ONWARD else net.heads[link])
            if left != n_nodes + start and not near[left]:
                near[left] = True
                queue[tail] = left
                tail += 1
            continue
        if state >= n_nodes and not near[node]:
            near[node] = True
            queue[tail] = node
            tail += 1
        for place in range(net.first[node], net.first[node + 1]):
            link, far = net.links[place], net.fars[place]
            if far == start or near[far] or not ground.open[link] or ground.rooms[link] < need:
                continue
            if far != goal and not ground.passable[far]:
                continue
            away = flow.used[link] != 0 and (flow.used[link] == _ONWARD) == (net.tails[link] == node)
            if away and (by_links or (node == start and far == goal)):
                continue
            near[far] = True
            queue[tail] = far
            tail += 1
    cut_nodes = np.zeros(n_nodes, np.bool_)
    cut_links = np.zeros(net.tails.size, np.bool_)
    if not by_links:
        for node in range(n_nodes):
            cut_nodes[node] = flow.into[node] >= 0 and near[node] and not near[n_nodes + node]
    for link in range(net.tails.size):
        onward = flow.used[link] == _ONWARD
        a = net.tails[link] if onward else net.heads[link]
        b = net.heads[link] if onward else net.tails[link]
        if flow.used[link] != 0:
            cut_links[link] = (near[a] and not near[b]) if by_links else (a == start and b == goal)
    return cut_nodes, cut_links


@inline
def _walked(ground: _Ground, flow: _Flow, start: int, goal: int, k: int) -> tuple[Int32s, Int32s]:
    """Return the links of the ways, one way after the other, and where each begins; takes the flow apart.

    No circle can be among them: costs are positive, and the flow without it would be cheaper.
    """
    net = ground.net
    n_used = 0
    for link in range(flow.used.size):
        n_used += flow.used[link] != 0
    links = np.empty(n_used, np.int32)
    ends = np.zeros(k + 1, np.int32)
    at = 0
    for way in range(k):
        node = start
        while node != goal:
            for place in range(net.first[node], net.first[node + 1]):
                link = net.links[place]
                if flow.used[link] != 0 and (flow.used[link] == _ONWARD) == (net.tails[link] == node):
                    break
            flow.used[link] = 0
            links[at] = link
            at += 1
            node = net.fars[place]
        ends[way + 1] = at
    return links, ends


_FOUND: Final = numba.types.Tuple(  # type: ignore[no-untyped-call]
    (
        numba.int64,
        numba.int64,
        numba.int32[::1],
        numba.int32[::1],
        numba.boolean[::1],
        numba.boolean[::1],
    )
)


@kernel(
    _FOUND(
        NET,
        INT64S,
        FLAGS,
        FLAGS,
        INT64S,
        INT64S,
        numba.int64,
        numba.int64,
        numba.int64,
        numba.int64,
        numba.boolean,
        numba.boolean,
        numba.int64,
    )
)
def _search(
    net: Net,
    rooms: Int64s,
    open: Flags,
    passable: Flags,
    costs: Int64s,
    bounds: Int64s,
    need: int,
    start: int,
    goal: int,
    k: int,
    by_links: bool,
    widest: bool,
    steps: int,
) -> tuple[int, int, Int32s, Int32s, Flags, Flags]:
    """Return (cost or status, ways found, their links, where each begins, nodes of a cut, links of a cut)."""
    n_nodes, n_links = passable.size, costs.size
    no_links, no_ends = np.empty(0, np.int32), np.zeros(1, np.int32)
    no_flags = np.empty(0, np.bool_)
    ground = _Ground(net, rooms, open, passable, costs)
    # Each state is settled once and labels what is at its node, so that so much is room enough for the heap.
    most_labels = 4 * n_links + 2 * n_nodes + 2
    labels = _Labels(
        np.empty(2 * n_nodes, np.int64),
        np.empty(2 * n_nodes, np.int32),
        np.empty(2 * n_nodes, np.int32),
        np.zeros(2 * n_nodes, np.int64),
        np.empty(most_labels, np.int64),
        np.empty(most_labels, np.int32),
    )
    found = 0
    for by_width in (True, False):
        if by_width and not widest:
            continue
        flow = _Flow(np.zeros(n_links, np.int8), np.full(n_nodes, -1, np.int32))
        if bounds.size > 0:
            labels.prices[:n_nodes] = -bounds
        elif not by_width:
            steps = _priced(ground, labels, need, start, goal, steps)
            if steps == OUT_OF_STEPS:
                return OUT_OF_STEPS, 0, no_links, no_ends, no_flags, no_flags
            if steps == NONE:
                return NONE, 0, no_links, no_ends, no_flags, no_flags
        found = 0
        width = UNREACHED
        while found < k:
            steps = _augmenting(ground, labels, flow, need, start, goal, by_links, by_width, steps)
            if steps < 0:
                return OUT_OF_STEPS, found, no_links, no_ends, no_flags, no_flags
            if labels.lengths[goal] == UNREACHED:
                cut_nodes, cut_links = _cut(ground, flow, need, start, goal, by_links)
                return NONE, found, no_links, no_ends, cut_nodes, cut_links
            if by_width:
                width = min(width, -labels.lengths[goal])
            _augment(ground, labels, flow, start, goal, by_links, by_width)
            found += 1
        if by_width:
            need = max(need, width)
    total = 0
    for link in range(n_links):
        if flow.used[link] != 0:
            total += costs[link]
    links, ends = _walked(ground, flow, start, goal, k)
    return total, found, links, ends, no_flags, no_flags
