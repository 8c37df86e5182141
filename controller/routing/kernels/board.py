"""Where the iteration of ways in order stands: what its kernels read, and the scratch that they hand on."""

from typing import Final, NamedTuple

import numba

from controller.routing.kernels.compiled import FLAGS, INT64S
from controller.routing.kernels.landmarks import MARKS
from controller.routing.kernels.net import NET, Flags, Int32s, Int64s, Net

DONE: Final = 0
FULL: Final = -3
BAD_COST: Final = -4
"""What an advance answers."""

OFF: Final = 0
AHEAD: Final = 1
BOUND_OFF: Final = 2
KNOWN: Final = 3
HEAD: Final = 4
STAMP: Final = 5
BEHIND: Final = 6
HOPS_OFF: Final = 7
NODE_COLUMNS: Final = 8
"""Columns of the table of nodes, a line of the cache: what a node is away from the goal as far as measured, and at
least from the start; a bound of the former, and the reach that it was made at; its first label, and the search of that;
the last search that had it behind; what it is away from the goal in links, where these are counted."""

NODE: Final = 0
SPENT: Final = 1
HOPS: Final = 2
FOLLOWING: Final = 3
WIDTH_ON: Final = 4
LABEL_COLUMNS: Final = 5
"""Columns of the table of labels: the node, at what cost and with how many links it is reached, the next label of that
node, and the widest bottleneck on from there."""

BOUND: Final = 0
WIDTH: Final = 1
BEGIN: Final = 2
LENGTH: Final = 3
LEAVES: Final = 4
BARRED: Final = 5
NEXT: Final = 6
PART_COLUMNS: Final = 7
"""Columns of the table of parts: cost of the best way, or a bound of it; its bottleneck; where its links begin, or
those of the way that it leaves; how many they are, or -1 before it was searched; how many it shares with that way; the
link that it does not take there, and the part that says the next such link, or -1."""

BEGUN: Final = 0
PARTS: Final = 1
LINKS: Final = 2
WAITING: Final = 3
TOLD: Final = 4
SEARCHES: Final = 5
STEPS: Final = 6
LIMIT: Final = 7
COUNTED: Final = 8
REACH: Final = 9
WAVE: Final = 10
COUNTS: Final = 11
"""What a board counts: whether it was begun, its parts, links and waiting parts, ways told, searches, steps left; what
a way may cost, and whether its links have to be counted; how far was measured, and the nodes on the shore of that."""


class Ground(NamedTuple):
    """Where all ways of an iteration lead. Arrays are frozen; nodes and links by number.

    Attributes:
        costs: Of each link, >= 1; shape (n_links,).
        rooms: Free millibit/s of each link; shape (n_links,).
        open: Whether a link may be used; shape (n_links,).
        passable: Whether a node may be passed on the way; shape (n_nodes,). The ends may always be.
        marks, unit: Landmarks: their table, and what its numbers are multiples of.
        need: Room that every link must have.
        start, goal: Nodes.
        most: Links of a way.
    """

    net: Net
    costs: Int64s
    rooms: Int64s
    open: Flags
    passable: Flags
    marks: Int32s
    unit: int
    need: int
    start: int
    goal: int
    most: int


class Board(NamedTuple):
    """Where an iteration stands.

    Attributes:
        nodes: Shape (n_nodes, NODE_COLUMNS).
        wave_keys, wave_items: The shore of the measure, a heap; each shape (2 n_links + 1,).
        labels: Of the last search; shape (most labels, LABEL_COLUMNS).
        keys, items: The heap of searches; each shape (2 most labels,).
        parts: Shape (most parts, PART_COLUMNS).
        links: Of the ways of all parts, one after another.
        waiting: Parts that wait, a heap; shape (most parts,).
        told: Parts whose best way was told, in order; shape (most parts,).
        counts: Shape (COUNTS,).
    """

    nodes: Int64s
    wave_keys: Int64s
    wave_items: Int32s
    labels: Int64s
    keys: Int64s
    items: Int32s
    parts: Int64s
    links: Int32s
    waiting: Int32s
    told: Int32s
    counts: Int64s


_OWN32: Final = numba.types.Array(numba.int32, 1, "C")
_OWN64: Final = numba.types.Array(numba.int64, 1, "C")
_TABLE: Final = numba.types.Array(numba.int64, 2, "C")
GROUND: Final = numba.types.NamedTuple(  # type: ignore[no-untyped-call]
    (NET, INT64S, INT64S, FLAGS, FLAGS, MARKS, *[numba.int64] * 5), Ground
)
BOARD: Final = numba.types.NamedTuple(  # type: ignore[no-untyped-call]
    (_TABLE, _OWN64, _OWN32, _TABLE, _OWN64, _OWN32, _TABLE, _OWN32, _OWN32, _OWN32, _OWN64), Board
)
"""The types of both in the signature of a kernel."""
