"""Ways of fewest links for many demands one after the other, each on the room that those before it leave, in one call.

Every demand gets exactly the way that `fewest_way` finds for it when its turn comes. What is shared is the work: the
arrays of the searches; exact distances to an end that several demands have in common, over the links that can still
have room for any of them, in the place of landmarks; and the knowledge that an equal question was refused before, for
room only shrinks.
"""

from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import numba
import numpy as np

from controller.domain.refusals import InvalidValue
from controller.routing.kernels.compiled import INT32S, INT64S, NONE, UNREACHED, inline, kernel
from controller.routing.kernels.hops import first_way
from controller.routing.kernels.landmarks import FAR, MARKS, Landmarks, bound_between, no_landmarks
from controller.routing.kernels.net import NET, Flags, Int32s, Int64s, Net

NO_TREE: Final = -1
_OFF: Final = 2**31 - 1
_NO_MARKS: Final = no_landmarks()
_INT: Final = numba.int64
_MASKS: Final = numba.types.Array(numba.boolean, 2, "C", readonly=True)
_TABLE: Final = numba.types.Array(numba.int64, 2, "C", readonly=True)
_TREES: Final = numba.types.Array(numba.int32, 2, "C")
_WRITTEN_INT64S: Final = numba.types.Array(numba.int64, 1, "C")
_WRITTEN_INT32S: Final = numba.types.Array(numba.int32, 1, "C")
_WRITTEN_FLAGS: Final = numba.types.Array(numba.boolean, 1, "C")
_ROUND: Final = numba.types.Tuple((_INT, _INT, _WRITTEN_INT32S))  # type: ignore[no-untyped-call]


class Ask(NamedTuple):
    """What one demand of a batch asks; all by number.

    Attributes:
        start, goal: The smaller and the larger end; different.
        need: Room that every link must have, >= 0 millibit/s, and what the way takes of it.
        most: Links that the way may have.
        first_open, open: Which mask of links is tried first, NONE for none, and which when that has no way.
        passable: Which mask of nodes.
        tree: Which tree leads the search; NO_TREE for landmarks.
        from_goal: 1 where the tree is the goal's; 0 where it is the start's.
        question: The same for demands that ask the same, and hold the same; a number below that of the asks.
    """

    start: int
    goal: int
    need: int
    most: int
    first_open: int
    open: int
    passable: int
    tree: int
    from_goal: int
    question: int


class Root(NamedTuple):
    """Where the distances of a tree begin.

    Attributes:
        node: From where.
        open: Over which mask of links: one of which the asks that it leads use only parts.
        need: The least of theirs: links with less room, and what one of them may hold itself, are left out.
    """

    node: int
    open: int
    need: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """A batch as the kernel takes it, with what it keeps between rounds.

    Attributes:
        rooms: Free millibit/s of each link now; written to. Shape (n_links,).
        opens: Masks of links, of those that the landmarks were made over; shape (n_opens, n_links).
        passables: Masks of nodes that may be passed on the way; shape (n_passables, n_nodes).
        asks: One row, an `Ask`, for each demand in the order in which they are served; shape (n_asks, 10).
        roots: One row, a `Root`, for each tree; shape (n_trees, 3).
        held_first: Where the links that each demand holds begin; shape (n_asks + 1,).
        held_links, held_amounts: What a demand holds now, each link once and at most its need: room for itself.
    """

    net: Net
    rooms: Int64s
    opens: Flags
    passables: Flags
    asks: Int64s
    roots: Int64s
    held_first: Int32s
    held_links: Int32s
    held_amounts: Int64s
    marks: Landmarks = _NO_MARKS
    trees: Int32s = field(init=False)
    made: Flags = field(init=False)
    refused: Flags = field(init=False)
    most_held: Int64s = field(init=False)

    def __post_init__(self) -> None:
        _check(self)
        n_links, n_nodes = self.net.tails.size, self.net.first.size - 1
        most_held = np.zeros(n_links, np.int64)
        np.maximum.at(most_held, self.held_links, self.held_amounts)
        object.__setattr__(self, "trees", np.empty((len(self.roots), n_nodes), np.int32))
        object.__setattr__(self, "made", np.zeros(len(self.roots), np.bool_))
        object.__setattr__(self, "refused", np.zeros(len(self.asks), np.bool_))
        object.__setattr__(self, "most_held", most_held)


def serve(batch: Batch, begin: int, steps: int = UNREACHED) -> list[Int32s | None]:
    """Return the ways of the demands from `begin` on, start to goal, and charge them; exact, and always the same.

    It ends after the first demand that has none, of which None stands last, and once so many nodes were settled: but
    not before one demand is settled. Cost: that of `fewest_way` for each, and O(n + m) for each tree.

    Args:
        batch: Whose rooms are charged.
        begin: A demand, by its place among the asks.
        steps: Nodes settled after which no other demand is begun.

    Raises:
        InvalidValue: There is no such demand.
    """
    n_asks = len(batch.asks)
    if not 0 <= begin < n_asks:
        raise InvalidValue("", ("begin", f"{begin} is none of the {n_asks} demands"))
    ends = np.zeros(n_asks + 1, np.int32)
    served, refused, links = _serve(
        batch.net,
        batch.rooms,
        batch.most_held,
        batch.opens,
        batch.passables,
        batch.asks,
        batch.roots,
        batch.held_first,
        batch.held_links,
        batch.held_amounts,
        batch.marks.table,
        batch.marks.unit,
        batch.trees,
        batch.made,
        batch.refused,
        ends,
        begin,
        steps,
    )
    stops: list[int] = ends[begin : begin + served + 1].tolist()
    ways: list[Int32s | None] = [links[stops[number] : stops[number + 1]] for number in range(served)]
    if refused:
        ways.append(None)
    return ways


def _check(batch: Batch) -> None:
    n_links, n_nodes = batch.net.tails.size, batch.net.first.size - 1
    n_asks, n_roots = len(batch.asks), len(batch.roots)
    shapes: dict[str, tuple[Any, tuple[int, ...], type]] = {
        "rooms": (batch.rooms, (n_links,), np.int64),
        "opens": (batch.opens, (len(batch.opens), n_links), np.bool_),
        "passables": (batch.passables, (len(batch.passables), n_nodes), np.bool_),
        "asks": (batch.asks, (n_asks, len(Ask._fields)), np.int64),
        "roots": (batch.roots, (n_roots, len(Root._fields)), np.int64),
        "held_first": (batch.held_first, (n_asks + 1,), np.int32),
        "held_links": (batch.held_links, (int(batch.held_first[-1]),), np.int32),
        "held_amounts": (batch.held_amounts, (int(batch.held_first[-1]),), np.int64),
    }
    for name, (array, shape, kind) in shapes.items():
        if array.shape != shape or array.dtype != kind:
            raise InvalidValue("", (name, f"{array.dtype} of shape {array.shape} where {kind} of {shape} is wanted"))
    asks = dict(zip(Ask._fields, batch.asks.T, strict=True))
    ranges: dict[str, tuple[Any, int, int]] = {
        "start": (asks["start"], 0, n_nodes),
        "goal": (asks["goal"], 0, n_nodes),
        "need": (asks["need"], 0, UNREACHED),
        "first_open": (asks["first_open"], NONE, len(batch.opens)),
        "open": (asks["open"], 0, len(batch.opens)),
        "passable": (asks["passable"], 0, len(batch.passables)),
        "tree": (asks["tree"], NO_TREE, n_roots),
        "question": (asks["question"], 0, n_asks),
        "roots": (batch.roots[:, 0], 0, n_nodes),
        "roots' open": (batch.roots[:, 1], 0, len(batch.opens)),
        "held_first": (batch.held_first, 0, batch.held_links.size + 1),
        "held_links": (batch.held_links, 0, n_links),
    }
    for name, (numbers, least, above) in ranges.items():
        if numbers.size and not (least <= int(numbers.min()) and int(numbers.max()) < above):
            raise InvalidValue("", (name, f"a number of them is not from {least} to below {above}"))
    looped = batch.asks[:, 0] == batch.asks[:, 1]
    if looped.any():
        raise InvalidValue("", ("ends", f"of demand {int(looped.argmax())} both are the same"))
    if (np.diff(batch.held_first) < 0).any():
        raise InvalidValue("", ("held_first", "it does not rise"))
    if len(batch.marks.table) not in (0, n_nodes):
        raise InvalidValue("", ("marks", f"they are for {len(batch.marks.table)} nodes, not for {n_nodes}"))


@inline
def _grow_tree(
    net: Net, rooms: Int64s, most_held: Int64s, open: Flags, need: int, root: int, tree: Int32s, queue: Int32s
) -> None:
    """Write what each node is away from the root; whether nodes may be passed is not asked, so that the bounds hold."""
    tree[:] = _OFF
    tree[root] = 0
    queue[0] = root
    head, tail = 0, 1
    while head < tail:
        node = queue[head]
        head += 1
        for place in range(net.first[node], net.first[node + 1]):
            link, far = net.links[place], net.fars[place]
            if tree[far] == _OFF and open[link] and rooms[link] + most_held[link] >= need:
                tree[far] = tree[node] + 1
                queue[tail] = far
                tail += 1


@inline
def _reach(
    net: Net,
    rooms: Int64s,
    open: Flags,
    passable: Flags,
    need: int,
    origin: int,
    aim: int,
    most: int,
    led: int,
    tree: Int32s,
    table: Int32s,
    unit: int,
    away: Int32s,
    bounds: Int32s,
    touched: Int32s,
    items: Int32s,
    below: Int32s,
) -> tuple[int, int]:
    """Write what nodes are away from the origin until the aim is settled; return how many were touched and settled.

    As the search of `fewest_way`: one link further raises what a way has at least by 0, 1 or 2.
    """
    total = 0
    row = np.zeros(1, np.int32)
    if led == 1:
        total = int(tree[origin])
    elif led == 2:
        row = table[aim]
        total = bound_between(table, origin, row) * unit
    if total > most or total >= FAR:
        return 0, 0
    away[origin], bounds[origin] = 0, total
    touched[0] = origin
    n_touched, settled, size, empty = 1, 0, 1, 0
    items[0], below[0] = origin, -1
    tops = np.full(3, -1, np.int32)
    tops[total % 3] = 0
    while empty < 3 and total <= most and total <= away[aim]:
        top = tops[total % 3]
        if top < 0:
            total += 1
            empty += 1
            continue
        empty = 0
        node = items[top]
        tops[total % 3] = below[top]
        here = away[node]
        if here + bounds[node] != total or node == aim:
            continue
        settled += 1
        for place in range(net.first[node], net.first[node + 1]):
            link = net.links[place]
            if rooms[link] < need or not open[link]:
                continue
            far = net.fars[place]
            known = away[far]
            if here + 1 >= known:
                continue
            if known == _OFF:
                if not passable[far] and far != aim:
                    continue
                if led == 1:
                    bounds[far] = tree[far]
                elif led == 2:
                    bounds[far] = bound_between(table, far, row) * unit
                else:
                    bounds[far] = 0
                touched[n_touched] = far
                n_touched += 1
            away[far] = here + 1
            turn = (here + 1 + bounds[far]) % 3
            items[size], below[size] = far, tops[turn]
            tops[turn] = size
            size += 1
    return n_touched, settled


@inline
def _turn_round(
    net: Net,
    rooms: Int64s,
    open: Flags,
    need: int,
    goal: int,
    away: Int32s,
    onward: Int32s,
    queue: Int32s,
) -> int:
    """Write what nodes on the shortest ways are off the goal, from what they are off the start; return how many."""
    total = away[goal]
    onward[goal] = 0
    queue[0] = goal
    head, tail = 0, 1
    while head < tail:
        node = queue[head]
        head += 1
        for place in range(net.first[node], net.first[node + 1]):
            link, far = net.links[place], net.fars[place]
            if away[far] != away[node] - 1 or onward[far] != _OFF or rooms[link] < need or not open[link]:
                continue
            onward[far] = total - away[far]
            queue[tail] = far
            tail += 1
    return tail


@kernel(
    _ROUND(
        NET,
        _WRITTEN_INT64S,
        INT64S,
        _MASKS,
        _MASKS,
        _TABLE,
        _TABLE,
        INT32S,
        INT32S,
        INT64S,
        MARKS,
        _INT,
        _TREES,
        _WRITTEN_FLAGS,
        _WRITTEN_FLAGS,
        _WRITTEN_INT32S,
        _INT,
        _INT,
    )
)
def _serve(
    net: Net,
    rooms: Int64s,
    most_held: Int64s,
    opens: Flags,
    passables: Flags,
    asks: Int64s,
    roots: Int64s,
    held_first: Int32s,
    held_links: Int32s,
    held_amounts: Int64s,
    table: Int32s,
    unit: int,
    trees: Int32s,
    made: Flags,
    refused: Flags,
    ends: Int32s,
    begin: int,
    steps: int,
) -> tuple[int, int, Int32s]:
    n_nodes, n_links = net.first.size - 1, net.tails.size
    away, onward = np.full(n_nodes, _OFF, np.int32), np.full(n_nodes, _OFF, np.int32)
    bounds, touched, queue = np.empty(n_nodes, np.int32), np.empty(n_nodes, np.int32), np.empty(n_nodes, np.int32)
    items, below = np.empty(2 * n_links + 1, np.int32), np.empty(2 * n_links + 1, np.int32)
    no_links, no_tree = np.empty(0, np.int32), np.empty(0, np.int32)
    links, n_found = np.empty(1024, np.int32), 0
    spent = 0
    for number in range(begin, asks.shape[0]):
        ends[number] = n_found
        if spent >= steps and number > begin:
            return number - begin, 0, links
        start, goal, need, most = asks[number, 0], asks[number, 1], asks[number, 2], min(asks[number, 3], n_nodes)
        passable, root, question = passables[asks[number, 6]], asks[number, 7], asks[number, 9]
        if refused[question]:
            return number - begin, 1, links
        tree, led = no_tree, 0
        origin, aim = goal, start
        if root >= 0:
            if not made[root]:
                open = opens[roots[root, 1]]
                _grow_tree(net, rooms, most_held, open, roots[root, 2], roots[root, 0], trees[root], queue)
                made[root] = True
                spent += n_nodes
            tree, led = trees[root], 1
            if asks[number, 8]:
                origin, aim = start, goal
        elif table.shape[0] > 0:
            led = 2
        mine = range(held_first[number], held_first[number + 1])
        for place in mine:
            rooms[held_links[place]] += held_amounts[place]
        length = NONE
        for turn in range(4, 6):
            if asks[number, turn] < 0:
                continue
            open = opens[asks[number, turn]]
            n_touched, settled = _reach(
                net,
                rooms,
                open,
                passable,
                need,
                origin,
                aim,
                most,
                led,
                tree,
                table,
                unit,
                away,
                bounds,
                touched,
                items,
                below,
            )
            spent += settled + 1
            if n_touched > 0 and away[aim] <= most:
                length = int(away[aim])
                if origin == goal:
                    way = first_way(net, rooms, open, need, start, no_links, UNREACHED, away, bounds)
                else:
                    n_turned = _turn_round(net, rooms, open, need, goal, away, onward, queue)
                    way = first_way(net, rooms, open, need, start, no_links, UNREACHED, onward, bounds)
                    for place in range(n_turned):
                        onward[queue[place]] = _OFF
            for place in range(n_touched):
                away[touched[place]] = _OFF
            if length >= 0:
                break
        for place in mine:
            rooms[held_links[place]] -= held_amounts[place]
        if length < 0:
            refused[question] = True
            return number - begin, 1, links
        while n_found + length > links.size:
            more = np.empty(2 * links.size, np.int32)
            more[:n_found] = links[:n_found]
            links = more
        for step in range(length):
            links[n_found + step] = way[step]
            rooms[way[step]] -= need
        n_found += length
        for place in mine:  # what it holds of a link that it stays on is not charged twice
            for step in range(length):
                if way[step] == held_links[place]:
                    rooms[way[step]] += held_amounts[place]
        ends[number + 1] = n_found
    return asks.shape[0] - begin, 0, links
