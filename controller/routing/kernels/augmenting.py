"""Flows of disjoint ways: one augmenting path after the other, cheapest or widest first.

Successive cheapest augmenting paths with potentials (Suurballe's idea for any k) on the graph in which each node is
split in an entry and an exit, without that graph being built: only nodes on ways found already have two states.
"""

from typing import Final, NamedTuple

import numba
import numpy as np
import numpy.typing as npt

from controller.routing.kernels.compiled import FLAGS, INT64S, NONE, OUT_OF_STEPS, UNREACHED, inline, kernel
from controller.routing.kernels.heap import pop, push
from controller.routing.kernels.net import NET, Flags, Int32s, Int64s, Net

_ONWARD: Final = 1
_BACKWARD: Final = 2
"""How a way uses a link: from its tail to its head, or the other way."""


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
def send_ways(
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
    """Return (cost or status, ways found, their links, where each begins, nodes of a cut, links of a cut).

    Arguments as of `disjoint.cheapest_disjoint`, whose face checks them; `bounds` may be empty. Where there are fewer
    than k ways the cut is told and no ways, else the ways and no cut. Cost: O(k (n + m) log n).
    """
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
