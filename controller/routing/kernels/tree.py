"""The cheapest ways from one node to many: what the pricing of column generation asks for, many sources in one call."""

from typing import NamedTuple

import numpy as np

from controller.domain.refusals import InvalidValue
from controller.routing.kernels.compiled import FLAGS, INT64S, NONE, UNREACHED, inline, kernel
from controller.routing.kernels.heap import grown_items, grown_keys, pop, push
from controller.routing.kernels.net import NET, Flags, Int32s, Int64s, Net

MOST_COST = 2**40
"""The largest cost of a link: the sum over a way of a million links still fits 64 bits."""


class Ways(NamedTuple):
    """The cheapest way for each of several pairs of nodes.

    Attributes:
        costs: Of each pair's way, NONE where there is none; shape (n_pairs,).
        first: Where each pair's links begin in `links`; shape (n_pairs + 1,).
        links: The links of all ways, each from its start to its goal.
    """

    costs: Int64s
    first: Int64s
    links: Int32s

    def way(self, pair: int) -> tuple[int, ...]:
        """Return the links of a pair's way; empty where there is none."""
        return tuple(self.links[self.first[pair] : self.first[pair + 1]].tolist())


def cheapest_ways(
    net: Net,
    *,
    costs: Int64s,
    open: Flags,
    passable: Flags,
    starts: Int64s,
    goals: Int64s,
    most: int | None = None,
) -> Ways:
    """Return the cheapest way of each pair (starts[i], goals[i]) over open links; equal starts in a row share a tree.

    Exact. Of equally cheap ways the one whose last link has the smallest number, and so on towards the start (with a
    limit on hops: of those the one of fewest links). Cost: O((n + m) log n) for each run of equal starts, and
    O(most x (n + m)) with a limit on hops.

    Args:
        net: The network.
        costs: 1 to MOST_COST each; shape (n_links,).
        open: Links that may be used; shape (n_links,).
        passable: Nodes that a way may pass, its ends always may; shape (n_nodes,).
        starts: Nodes; shape (n_pairs,).
        goals: Nodes, each another one than its start; shape (n_pairs,).
        most: Most links of a way, >= 1; None is no limit.

    Raises:
        InvalidValue: A shape, node or cost is out of range.
    """
    n_nodes, n_links = net.first.size - 1, net.tails.size
    _check(net, costs, open, passable, starts, goals, most)
    if most is None or most >= n_nodes - 1:
        return Ways(*_ways(net, costs, open, passable, starts, goals))
    return Ways(*_short_ways(net, costs, open, passable, starts, goals, min(most, n_links)))


def _check(
    net: Net, costs: Int64s, open: Flags, passable: Flags, starts: Int64s, goals: Int64s, most: int | None
) -> None:
    n_nodes, n_links = net.first.size - 1, net.tails.size
    if costs.shape != (n_links,) or open.shape != (n_links,) or passable.shape != (n_nodes,):
        raise InvalidValue("", ("costs", f"costs, open and passable must be of {n_links} links and {n_nodes} nodes"))
    if n_links and not (costs.min() >= 1 and costs.max() <= MOST_COST):
        raise InvalidValue("", ("costs", f"the cost of a link is not in 1..{MOST_COST}"))
    if starts.shape != goals.shape or starts.ndim != 1:
        raise InvalidValue("", ("goals", "there must be as many goals as starts"))
    if starts.size and not (
        min(starts.min(), goals.min()) >= 0 and max(starts.max(), goals.max()) < n_nodes and (starts != goals).all()
    ):
        raise InvalidValue("", ("goals", f"starts and goals must be two different ones of {n_nodes} nodes each"))
    if most is not None and most < 1:
        raise InvalidValue("", ("most", f"{most} is not positive"))


@inline
def _grow_tree(net: Net, costs: Int64s, open: Flags, passable: Flags, start: int, distance: Int64s, by: Int32s) -> None:
    """Fill in how far every node is, and the link that it is reached by."""
    distance[:] = UNREACHED
    by[:] = -1
    keys = np.empty(max(16, distance.size), np.int64)
    items = np.empty(max(16, distance.size), np.int32)
    distance[start] = 0
    size = push(keys, items, 0, 0, start)
    while size > 0:
        cost, node = keys[0], items[0]
        size = pop(keys, items, size)
        if cost > distance[node] or (node != start and not passable[node]):
            continue
        for place in range(net.first[node], net.first[node + 1]):
            link = net.links[place]
            if not open[link]:
                continue
            far = net.fars[place]
            longer = cost + costs[link]
            if longer < distance[far]:
                distance[far] = longer
                by[far] = link
                if size == keys.size:
                    keys, items = grown_keys(keys), grown_items(items)
                size = push(keys, items, size, longer, far)
            elif longer == distance[far] and link < by[far]:
                by[far] = link


@kernel((NET, INT64S, FLAGS, FLAGS, INT64S, INT64S))
def _ways(
    net: Net, costs: Int64s, open: Flags, passable: Flags, starts: Int64s, goals: Int64s
) -> tuple[Int64s, Int64s, Int32s]:
    n_nodes, n_pairs = net.first.size - 1, starts.size
    distance = np.empty(n_nodes, np.int64)
    by = np.empty(n_nodes, np.int32)
    totals = np.empty(n_pairs, np.int64)
    first = np.zeros(n_pairs + 1, np.int64)
    links = np.empty(max(16, 8 * n_pairs), np.int32)
    for pair in range(n_pairs):
        start, goal = starts[pair], goals[pair]
        if pair == 0 or starts[pair - 1] != start:
            _grow_tree(net, costs, open, passable, start, distance, by)
        end = first[pair]
        if distance[goal] == UNREACHED:
            totals[pair] = NONE
        else:
            totals[pair] = distance[goal]
            node = goal
            while node != start:
                link = by[node]
                if end == links.size:
                    links = grown_items(links)
                links[end] = link
                end += 1
                node = net.tails[link] + net.heads[link] - node
            links[first[pair] : end] = links[first[pair] : end][::-1].copy()
        first[pair + 1] = end
    return totals, first, links[: first[n_pairs]].copy()


@inline
def _grow_layers(
    net: Net, costs: Int64s, open: Flags, passable: Flags, start: int, distance: Int64s, by: Int32s
) -> None:
    """Fill in, for up to so many links, how far every node is and the last link, -1 where one link less is as good."""
    distance[:, :] = UNREACHED
    by[:, :] = -1
    distance[0, start] = 0
    for layer in range(1, distance.shape[0]):
        distance[layer] = distance[layer - 1]
        for link in range(costs.size):
            if not open[link]:
                continue
            for way in range(2):
                near = net.tails[link] if way == 0 else net.heads[link]
                far = net.heads[link] if way == 0 else net.tails[link]
                before = distance[layer - 1, near]
                if before == UNREACHED or (near != start and not passable[near]):
                    continue
                if before + costs[link] < distance[layer, far]:
                    distance[layer, far] = before + costs[link]
                    by[layer, far] = link


@kernel((NET, INT64S, FLAGS, FLAGS, INT64S, INT64S, INT64S.dtype))
def _short_ways(
    net: Net, costs: Int64s, open: Flags, passable: Flags, starts: Int64s, goals: Int64s, most: int
) -> tuple[Int64s, Int64s, Int32s]:
    n_nodes, n_pairs = net.first.size - 1, starts.size
    distance = np.empty((most + 1, n_nodes), np.int64)
    by = np.empty((most + 1, n_nodes), np.int32)
    totals = np.empty(n_pairs, np.int64)
    first = np.zeros(n_pairs + 1, np.int64)
    links = np.empty(n_pairs * most, np.int32)
    for pair in range(n_pairs):
        start, goal = starts[pair], goals[pair]
        if pair == 0 or starts[pair - 1] != start:
            _grow_layers(net, costs, open, passable, start, distance, by)
        end = first[pair]
        if distance[most, goal] == UNREACHED:
            totals[pair] = NONE
        else:
            totals[pair] = distance[most, goal]
            node, layer = goal, most
            while node != start:
                link = by[layer, node]
                if link >= 0:
                    links[end] = link
                    end += 1
                    node = net.tails[link] + net.heads[link] - node
                layer -= 1
            links[first[pair] : end] = links[first[pair] : end][::-1].copy()
        first[pair + 1] = end
    return totals, first, links[: first[n_pairs]].copy()
