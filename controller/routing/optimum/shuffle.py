"""A placement that is bettered by single moves, each of which fits make-before-break when it is made."""

from collections.abc import Iterator
from typing import Final

import numpy as np

from controller.routing.kernels.net import Flags, Int64s
from controller.routing.optimum.held import Held, Way
from controller.routing.optimum.moving import after, in_order
from controller.routing.optimum.standing import Standing

_HOP: Final = 2**24
"""What a link costs beside its price: prices are at most 2^36, and those of links with room to spare are nothing."""
_TRIES: Final = 8
_LESS: Final = 1e-3
"""By how much less full, of its capacity, the fullest link of a move must become: else it is not worth a move."""


class Shuffle:
    """Services on their ways, smaller end first, and the moves made so far.

    Attributes:
        changed: Services in the order in which they were last moved.
    """

    def __init__(self, standing: Standing, prices: Int64s, steps: int) -> None:
        """Begin with what runs.

        Args:
            standing: The network and its services.
            prices: Of each link, 1 to 2^39: what it is worth to keep it free.
            steps: Searches that may be made; then nothing more is found.
        """
        self.changed: dict[int, None] = {}
        self._standing = standing
        self._services = standing.services
        self._volume = [service.want.volume for service in standing.services]
        self._held = Held(standing.problem(), prices + _HOP)
        self._costs = prices + _HOP
        self._hops = np.ones(prices.size, np.int64)
        self._steps = steps
        self._staying: frozenset[int] = frozenset()
        self._start: list[Way | None] = []
        for number, service in enumerate(standing.services):
            if service.way is not None:
                self._held.place(number, self._turned(number, service.way))

    def ways(self) -> list[Way | None]:
        """Return the way of each service, source to target."""
        return [None if way is None else self._turned(number, way) for number, way in enumerate(self._held.ways)]

    def _turned(self, number: int, way: Way) -> Way:
        want = self._services[number].want
        return way if want.source < want.target else way[::-1]

    def admit(self, number: int) -> bool:
        """Give a blocked service a way, moving others where that makes room; False changes nothing.

        In the end there is an order in which each service moves at most once to where it is now.
        """
        before, changed = self._held.ways.copy(), self.changed.copy()
        # Nothing moves twice for one service. At the second try, what moved for earlier ones stays as well: then the
        # new moves just come after those.
        self._start = before
        for staying in (frozenset[int](), frozenset(changed)):
            self._staying = staying
            if not self._admitted(number):
                continue
            goal = self.ways()
            if after(self._standing, in_order(self._standing, goal, self.changed)) == goal:
                self._staying = frozenset()
                return True
            self._go_back(before)
            self.changed = changed.copy()
        self._staying = frozenset()
        return False

    def _go_back(self, before: list[Way | None]) -> None:
        moved = [one for one, way in enumerate(before) if way != self._held.ways[one]]
        for one in moved:
            if self._held.ways[one] is not None:
                self._held.lift(one)
        for one in moved:
            way = before[one]
            if way is not None:
                self._held.place(one, way)

    def _admitted(self, number: int) -> bool:
        way = self._search(number, self._held.rooms >= self._volume[number], self._costs)
        if way is not None:
            self._put(number, way)
            return True
        closed = np.zeros(self._hops.size, np.bool_)
        for _ in range(_TRIES):
            way = self._search(number, ~closed, self._costs_with_crowd(number))
            if way is None:
                return False
            stuck = self._clear(number, way, frozenset(), deep=True)
            if stuck is None:
                self._put(number, way)
                return True
            closed[stuck] = True
        return False

    def _costs_with_crowd(self, number: int) -> Int64s:
        """Return costs that shun links by how much of a service they have no room for."""
        missing = np.clip(self._volume[number] - self._held.rooms, 0, 4 * self._volume[number])
        crowd = missing * 2**10 // self._volume[number]
        return self._costs + (crowd << 26)

    def _clear(self, number: int, way: Way, kept: frozenset[int], *, deep: bool) -> int | None:
        """Move others until a service fits on a way; or change nothing and return the link that stays too full.

        Args:
            number: The service.
            way: Where it is to go.
            kept: Services that stay where they are.
            deep: Whether room may be made for those others in turn.
        """
        changes: list[tuple[int, Way | None]] = []
        need = self._volume[number]
        mine = set(self._held.ways[number] or ())
        for link in way:
            if link in mine:
                continue
            for other in self._in_the_way(link, need, kept | {number}):
                if self._held.rooms[link] >= need:
                    break
                self._aside(other, number, way, kept | {number}, changes, deep=deep)
            if self._held.rooms[link] < need:
                self._held.restore(changes)
                return link
        self._note(changes)
        return None

    def _aside(
        self,
        other: int,
        number: int,
        way: Way,
        kept: frozenset[int],
        changes: list[tuple[int, Way | None]],
        *,
        deep: bool,
    ) -> None:
        """Move a service off a way, if it fits elsewhere or room for it can be made."""
        volume = self._volume[other]
        old = self._held.ways[other] or ()
        barred = np.zeros(self._hops.size, np.bool_)
        for link in way:
            left = int(self._held.rooms[link]) + (volume if link in old else 0)
            barred[link] = left - volume < self._volume[number]
        open = self._held.rooms >= volume
        open[list(old)] = True
        found = self._search(other, open & ~barred, self._costs)
        if found is None and deep:
            found = self._search(other, ~barred, self._costs_with_crowd(other))
            before = self._held.ways.copy()
            if found is not None and self._clear(other, found, kept | {other}, deep=False) is not None:
                found = None
            # What was moved for it is undone with it, the oldest change first.
            changes += [(one, before[one]) for one in range(len(before)) if before[one] != self._held.ways[one]]
        if found is not None:
            changes.append((other, self._held.lift(other)))
            self._held.place(other, found)

    def _in_the_way(self, link: int, need: int, kept: frozenset[int]) -> list[int]:
        """Return who might leave a link: the smallest that alone makes room, larger ones, then the rest from above."""
        missing = need - int(self._held.rooms[link])
        kept |= self._staying
        there = [
            one
            for one in self._held.on(link)
            if one not in kept and self._services[one].movable and self._held.ways[one] == self._start[one]
        ]
        enough = sorted(
            (one for one in there if self._volume[one] >= missing), key=lambda one: (self._volume[one], one)
        )
        less = sorted((one for one in there if self._volume[one] < missing), key=lambda one: (-self._volume[one], one))
        return enough + less

    def relieve(self) -> bool:
        """Move one service off the fullest link, if all that it then uses is less full; False: nothing helps."""
        capacities, rooms = np.maximum(self._standing.capacities, 1), self._held.rooms
        fill = np.where(self._standing.capacities > 0, 1.0 - rooms / capacities, 0.0)
        if not fill.size:
            return False
        link = int(fill.argmax())
        ceiling = float(fill[link]) - _LESS
        for other in sorted(self._held.on(link), key=lambda one: (-self._volume[one], one)):
            if not self._services[other].movable:
                continue
            old = list(self._held.ways[other] or ())
            later = fill + self._volume[other] / capacities
            later[old] -= self._volume[other] / capacities[old]
            open = (rooms >= self._volume[other]) & (later < ceiling)
            open[old] = fill[old] < ceiling
            open[link] = False
            way = self._search(other, open, self._hops)
            if way is not None:
                self._put(other, way)
                return True
        return False

    def shorten(self, ceiling: float) -> Iterator[int]:
        """Move services to ways of fewer links, the largest saving first, and yield each that was moved.

        Args:
            ceiling: Utilisation that no link may exceed for it.
        """
        capacities = np.maximum(self._standing.capacities, 1)
        for number in sorted(range(len(self._volume)), key=lambda one: (-self._volume[one], one)):
            old = self._held.ways[number]
            if old is None or not self._services[number].movable or len(old) == 1:
                continue
            left = self._held.rooms - self._volume[number]
            open = (left >= 0) & (1.0 - left / capacities <= ceiling)  # others' share included
            open[list(old)] = True
            way = self._search(number, open, self._hops)
            if way is not None and len(way) < len(old):
                self._put(number, way)
                yield number

    def _put(self, number: int, way: Way) -> None:
        changes: list[tuple[int, Way | None]] = [(number, self._held.ways[number])]
        if self._held.ways[number] is not None:
            self._held.lift(number)
        self._held.place(number, way)
        self._note(changes)

    def _note(self, changes: list[tuple[int, Way | None]]) -> None:
        for number, _ in changes:
            self.changed.pop(number, None)
            self.changed[number] = None

    def _search(self, number: int, open: Flags, costs: Int64s) -> Way | None:
        if self._steps <= 0:
            return None
        self._steps -= 1
        return self._held.search(number, open, costs)
