"""Things to do at a time: a heap of them, of which those called off are thrown out before they outgrow the others."""

import heapq
import math
from collections.abc import Callable
from typing import Any

_SMALL = 64
_FARTHEST_S = 10.0


def near(at_s: float, now_s: float) -> float:
    """Return a time that a neighbour names for a beginning, or the nearest that is not far from now.

    A path that began long ago would make up for all that time at once, and attempts until far ahead would be counted
    that nobody makes.
    """
    return min(max(at_s, now_s - _FARTHEST_S), now_s + _FARTHEST_S)


class Timer:
    """One thing to do; see `Timers.at`."""

    __slots__ = ("action", "arguments", "at_s")

    def __init__(self, at_s: float, action: Callable[..., None], arguments: tuple[Any, ...]) -> None:
        self.at_s = at_s
        self.action: Callable[..., None] | None = action
        self.arguments = arguments


class Timers:
    """All timers of one engine. Of two at one time the one that was set first is first."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Timer]] = []
        self._count = 0
        self._off = 0

    def at(self, at_s: float, action: Callable[..., None], *arguments: Any) -> Timer:
        """Have `action(*arguments)` done at a time."""
        timer = Timer(at_s, action, arguments)
        self._count += 1
        heapq.heappush(self._heap, (at_s, self._count, timer))
        return timer

    def off(self, timer: Timer | None) -> None:
        """Call a timer off; one that is over, or None, is no matter."""
        if timer is None or timer.action is None:
            return
        timer.action = None
        self._off += 1
        if self._off > _SMALL and 2 * self._off > len(self._heap):
            self._heap = [entry for entry in self._heap if entry[2].action is not None]
            heapq.heapify(self._heap)
            self._off = 0

    def next_due(self) -> float:
        """Return when the next is due; infinite for never."""
        heap = self._heap
        while heap and heap[0][2].action is None:
            heapq.heappop(heap)
            self._off -= 1
        return heap[0][0] if heap else math.inf

    def run(self, now_s: float, most: float = math.inf) -> int:
        """Do what is due, no more than so many; what that sets for now is done too. Return how many were done."""
        heap = self._heap
        done = 0
        while heap and heap[0][0] <= now_s and done < most:
            timer = heapq.heappop(heap)[2]
            action = timer.action
            if action is None:
                self._off -= 1
                continue
            timer.action = None
            action(*timer.arguments)
            done += 1
            heap = self._heap
        return done

    def __len__(self) -> int:
        """Return how many there are, those called off included."""
        return len(self._heap)
