"""The loop-free ways between two nodes in the order of their costs, each found when it is asked for."""

from typing import Final, Self, TypeVar

import numpy as np

from controller.domain.refusals import InvalidValue, TooHard
from controller.routing.kernels.board import (
    BAD_COST,
    COUNTS,
    FULL,
    LABEL_COLUMNS,
    LENGTH,
    NODE_COLUMNS,
    PART_COLUMNS,
    STEPS,
    TOLD,
    Board,
    Ground,
)
from controller.routing.kernels.cheapest import Found, checked
from controller.routing.kernels.compiled import NONE, OUT_OF_STEPS, UNREACHED
from controller.routing.kernels.landmarks import MOST_COST, Landmarks, no_landmarks
from controller.routing.kernels.net import Flags, Int64s, Net, frozen
from controller.routing.kernels.partition import advance

_FIRST_LABELS: Final = 512
_NO_MARKS: Final = no_landmarks()

Array = TypeVar("Array", Int64s, Flags)


class ShortestWays:
    """The loop-free ways whose links are open and have the room, best first; an iterator that may be left at any time.

    Ordered by cost, then the widest bottleneck, then the links by number, read from the start: exact. Memory:
    O(n + ways told * their links). Cost of each way: at worst one search of O(n + m log n) for each of its links,
    times `most` where links are counted; mostly a handful of searches that go straight along the way.
    Links are counted when `most` is below n_nodes - 1 and not all of them cost the same.

    Not to be shared by threads.

    Attributes:
        told: The ways so far.
    """

    __slots__ = ("_board", "_ground", "told")

    def __init__(
        self,
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
    ) -> None:
        """Prepare; nothing is searched yet. Cost: O(n).

        Args:
            net: Nodes and links.
            costs: In [1, 2^40]; shape (n_links,).
            rooms: Free millibit/s of each link; shape (n_links,).
            open: Whether a link may be used; shape (n_links,).
            passable: Whether a node may be passed on the way; shape (n_nodes,). The ends may always be.
            need: Room that every link must have.
            start: A node; the smaller number of the two ends where a way back must be the same way.
            goal: A node.
            marks: Made over all links that are open, at costs no more than these.
            most: Links of a way; >= 0, any number unless given.
            steps: Nodes that all searches together may settle.

        Arrays that are not frozen are copied.

        Raises:
            InvalidValue: A number or an array out of its range.
        """
        checked(net, costs, rooms, open, passable, marks, start, goal)
        n_nodes = net.first.size - 1
        most = n_nodes - 1 if most is None else min(most, n_nodes - 1)
        if most < 0 or steps < 0:
            raise InvalidValue("", ("most", f"{most} links and {steps} steps are not both 0 or more"))
        self.told: list[Found] = []
        self._ground = Ground(
            net=net,
            costs=_kept(costs),
            rooms=_kept(rooms),
            open=_kept(open),
            passable=_kept(passable),
            marks=marks.table,
            unit=marks.unit,
            need=int(need),
            start=int(start),
            goal=int(goal),
            most=int(most),
        )
        counts = np.zeros(COUNTS, np.int64)
        counts[STEPS] = steps
        n_arcs, n_parts = 2 * net.tails.size, 256 + n_nodes
        self._board = Board(
            nodes=np.empty((n_nodes, NODE_COLUMNS), np.int64),
            wave_keys=np.empty(n_arcs + 1, np.int64),
            wave_items=np.empty(n_arcs + 1, np.int32),
            labels=np.empty((_FIRST_LABELS, LABEL_COLUMNS), np.int64),
            keys=np.empty(2 * _FIRST_LABELS, np.int64),
            items=np.empty(2 * _FIRST_LABELS, np.int32),
            parts=np.empty((n_parts, PART_COLUMNS), np.int64),
            links=np.empty(1024 + n_nodes, np.int32),
            waiting=np.empty(n_parts, np.int32),
            told=np.empty(n_parts, np.int32),
            counts=counts,
        )

    def __iter__(self) -> Self:
        """Return itself."""
        return self

    def __next__(self) -> Found:
        """Return the next way.

        Raises:
            StopIteration: There is none.
            TooHard: The steps are spent before it is settled, now or before.
        """
        more = self.more(1)
        if not more:
            raise StopIteration
        return more[0]

    @property
    def steps_left(self) -> int:
        """Return how many nodes may still be settled."""
        return max(0, int(self._board.counts[STEPS]))

    def more(self, count: int) -> list[Found]:
        """Return so many further ways, fewer when there are no more. Sooner done than one after another.

        Raises:
            TooHard: The steps are spent before they are settled; those that were are in `told`.
        """
        if count <= 0:
            return []
        before, seen = len(self.told), self.steps_left
        while True:
            status, link = advance(self._ground, self._board, before + count)
            if status != FULL:
                break
            self._make_room()
        if status == BAD_COST:
            raise InvalidValue("", ("costs", f"link {link} costs {self._ground.costs[link]}, not in [1, {MOST_COST}]"))
        board = self._board
        spent = seen - self.steps_left
        for place in range(before, int(board.counts[TOLD])):
            cost, _, begin, length = board.parts[board.told[place], : LENGTH + 1].tolist()
            self.told.append(Found(cost, board.links[begin : begin + length].copy(), spent))
        if status == OUT_OF_STEPS:
            raise TooHard(
                "TOO_HARD",
                "the step budget ends before the next best way is settled; ask for fewer ways, or avoid more"
                " nodes or links so that less is left open",
            )
        return self.told[before:]

    def _make_room(self) -> None:
        board = self._board
        grown = ("labels", "keys", "items", "parts", "links", "waiting", "told")
        old = {name: getattr(board, name) for name in grown}
        self._board = board._replace(**{name: np.concatenate([it, np.empty_like(it)]) for name, it in old.items()})


def first_way(
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
    """Return the first of the ways in order: the cheapest way of at most so many links, as `ShortestWays` takes them.

    The status of no way is NONE, and OUT_OF_STEPS when the steps are spent before it is settled.
    """
    ways = ShortestWays(net, costs, rooms, open, passable, need, start, goal, marks, most=most, steps=steps)
    try:
        found = ways.more(1)
    except TooHard:
        return Found(OUT_OF_STEPS, np.empty(0, np.int32), steps)
    return found[0] if found else Found(NONE, np.empty(0, np.int32), steps - ways.steps_left)


def _kept(array: Array) -> Array:
    """Return the array as it is now, frozen, whoever writes to it later."""
    if not array.flags.writeable and array.flags.c_contiguous:
        return array
    kept = np.array(array, order="C")
    frozen(kept)
    return kept
