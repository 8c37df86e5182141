"""Disjoint ways: a cheapest set of k that share no node, or no link, and a roomiest one; or the cut that forbids it."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np

from controller.domain.refusals import InvalidValue
from controller.routing.kernels.augmenting import send_ways
from controller.routing.kernels.compiled import UNREACHED
from controller.routing.kernels.net import Flags, Int32s, Int64s, Net, frozen

DEAREST_LINK: Final = 2**40
"""The most that a link may cost: a way over a million of them still fits 64 bits."""
NO_BUDGET: Final = 2**62
"""Steps that no search spends."""

_NOTHING: Final = np.zeros(0, np.int32)
frozen(_NOTHING)


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
    status, most, links, ends, cut_nodes, cut_links = send_ways(
        net, rooms, open, passable, costs, bounds, need, start, goal, asked, by_links, widest, steps
    )
    cost_on, room_on, at = costs[links].tolist(), rooms[links].tolist(), ends.tolist()
    parts = [slice(begin, end) for begin, end in pairwise(at)]
    ordered = sorted((sum(cost_on[part]), -min(room_on[part]), links[part].tolist(), part.start) for part in parts)
    return DisjointWays(
        cost=int(status),
        room=min(room_on, default=UNREACHED),
        ways=tuple(links[begin : begin + len(way)] for _, _, way, begin in ordered),
        most=int(most),
        cut_nodes=np.flatnonzero(cut_nodes).astype(np.int32) if len(cut_nodes) else _NOTHING,
        cut_links=np.flatnonzero(cut_links).astype(np.int32) if len(cut_links) else _NOTHING,
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
