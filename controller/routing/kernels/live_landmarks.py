"""Landmarks over the links that can be used now, kept by difference: close bounds that stay valid.

A link that closes or fills up needs nothing, for distances only grow; one that opens may shorten distances, and each
column is brought up to date from its ends, at the nodes alone whose distance falls.
Source: G. Ramalingam and T. Reps, "An incremental algorithm for a generalization of the shortest-path problem",
Journal of Algorithms 21 (1996), for links that get cheaper.
"""

from dataclasses import dataclass, replace
from typing import Final

import numba
import numpy as np

from controller.domain.refusals import InvalidValue
from controller.routing.kernels.compiled import FLAGS, INT32S, INT64S, kernel, leaf
from controller.routing.kernels.heap import grown_items, grown_keys, pop, push
from controller.routing.kernels.landmarks import NOWHERE, Landmarks, empty_table, landmarks
from controller.routing.kernels.net import NET, Flags, Int32s, Int64s, Net, frozen

RENEWED_AT: Final = 0.1
"""Links joined since the landmarks were made, as a share of those that they are over, from which they are made anew.

Until then what closed meanwhile makes the bounds looser; and so many at once cost as much to join as to make anew.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveLandmarks:
    """Landmarks, and what is needed to keep them; a value that is never changed.

    Attributes:
        marks: Exact over `over`, in their unit; valid for searches of links that are all in it.
        over: The links that have been open since they were made; shape (n_links,), frozen.
        costs: The least that each link will ever cost; shape (n_links,), frozen.
        joined: How many of `over` opened since the landmarks were made.
    """

    net: Net
    costs: Int64s
    marks: Landmarks
    over: Flags
    joined: int = 0

    def covering(self, open: Flags) -> "LiveLandmarks":
        """Return landmarks that are valid where these links are open; these ones where nothing opened.

        Cost: O(m) to compare flags, a copy of the table, and O(k log k) for the k places of it that fall; where many
        links opened, that of making them anew.

        Args:
            open: Every link that will be searched; shape (n_links,).

        Raises:
            InvalidValue: Flags of another shape.
        """
        if open.shape != self.over.shape or open.dtype != np.bool_:
            raise InvalidValue("", ("open", f"{open.dtype} of shape {open.shape}, not one flag for each link"))
        opened = np.flatnonzero(open & ~self.over).astype(np.int32)
        if not opened.size:
            return self
        joined = self.joined + opened.size
        if not self.marks.seats or joined > RENEWED_AT * np.count_nonzero(open):
            return live_landmarks(self.net, self.costs, open)
        over = self.over | open
        frozen(over)
        table = empty_table(len(self.marks.table))
        table[:] = self.marks.table
        unit = self.marks.unit
        scaled = self.costs if unit == 1 else self.costs // unit
        _join(self.net, scaled, over, opened, len(self.marks.seats), table)
        frozen(table)
        marks = Landmarks(table=table, unit=unit, seats=self.marks.seats)
        return replace(self, marks=marks, over=over, joined=joined)


def live_landmarks(net: Net, costs: Int64s, open: Flags) -> LiveLandmarks:
    """Return landmarks over the links open now. Cost and errors: those of `landmarks`."""
    marks = landmarks(net, costs, open)
    costs, over = costs.copy(), open.copy()
    frozen(costs)
    frozen(over)
    return LiveLandmarks(net=net, costs=costs, marks=marks, over=over)


@leaf
def _begin(
    tails: Int32s,
    heads: Int32s,
    costs: Int64s,
    opened: Int32s,
    column: int,
    table: Int32s,
    keys: Int64s,
    items: Int32s,
) -> int:
    """Put the ends whose distance falls into the heap, for which there is room, and return its size."""
    size = 0
    for link in opened:
        tail, head = tails[link], heads[link]
        one, other = np.int64(table[tail, column]), np.int64(table[head, column])
        if one + costs[link] < other and one != NOWHERE:
            table[head, column] = one + costs[link]
            size = push(keys, items, size, one + costs[link], head)
        elif other + costs[link] < one and other != NOWHERE:
            table[tail, column] = other + costs[link]
            size = push(keys, items, size, other + costs[link], tail)
    return size


@leaf
def _lower(
    first: Int32s,
    links: Int32s,
    fars: Int32s,
    costs: Int64s,
    over: Flags,
    column: int,
    table: Int32s,
    keys: Int64s,
    items: Int32s,
    size: int,
) -> int:
    """Lower distances until none falls, or the heap might overflow; return its size."""
    while size > 0:
        key, node = keys[0], items[0]
        begin, end = first[node], first[node + 1]
        if size + end - begin > keys.size:
            return size
        size = pop(keys, items, size)
        if key != table[node, column]:
            continue
        for place in range(begin, end):
            link, far = links[place], fars[place]
            through = key + costs[link]
            if through < table[far, column] and over[link]:
                table[far, column] = through
                size = push(keys, items, size, through, far)
    return 0


@kernel(numba.void(NET, INT64S, FLAGS, INT32S, numba.int64, numba.types.Array(numba.int32, 2, "C")))
def _join(net: Net, costs: Int64s, over: Flags, opened: Int32s, n_columns: int, table: Int32s) -> None:
    keys, items = np.empty(1024 + opened.size, np.int64), np.empty(1024 + opened.size, np.int32)
    for column in range(n_columns):
        size = _begin(net.tails, net.heads, costs, opened, column, table, keys, items)
        while size > 0:
            size = _lower(net.first, net.links, net.fars, costs, over, column, table, keys, items, size)
            if size > 0:
                keys, items = grown_keys(keys), grown_items(items)
