"""Services that something is to be done about, most important first; worked off over as many turns as it takes."""

import heapq
from collections.abc import Callable, Iterable

from controller.domain.snapshot import Snapshot


class Worklist:
    """A set of services, by their keys, in the order of their importance: highest priority first, then by key."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, str]] = []
        self._keys: set[str] = set()

    def __bool__(self) -> bool:
        return bool(self._keys)

    def __len__(self) -> int:
        return len(self._keys)

    def add(self, keys: Iterable[str], snapshot: Snapshot) -> None:
        """Put services in; those that are in already, or do not exist, change nothing."""
        for key in keys:
            service = None if key in self._keys else snapshot.service(key)
            if service is not None:
                self._keys.add(key)
                heapq.heappush(self._heap, (-service.demand.priority, key))

    def pop(self) -> str:
        """Take the most important one out."""
        key = heapq.heappop(self._heap)[1]
        self._keys.discard(key)
        return key

    def pop_several(self, most: int, together: Callable[[str], bool]) -> tuple[str, ...]:
        """Take the most important one out, and those next to it as long as it and they may be attended together."""
        keys = [self.pop()]
        if together(keys[0]):
            while len(keys) < most and self._heap and together(self._heap[0][1]):
                keys.append(self.pop())
        return tuple(keys)
