"""Relays that something is to be done about, most important first; worked off over as many turns as it takes."""

import heapq
from collections.abc import Iterable, Mapping

from controller.domain.key_relay import KeyRelay


class Worklist:
    """A set of relays in the order of their importance: highest priority first, then by name."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, str]] = []
        self._names: set[str] = set()

    def __bool__(self) -> bool:
        return bool(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def add(self, names: Iterable[str], relays: Mapping[str, KeyRelay]) -> None:
        """Put relays in; those that are in already, or do not exist, change nothing."""
        for name in names:
            if name not in self._names and name in relays:
                self._names.add(name)
                heapq.heappush(self._heap, (-relays[name].demand.priority, name))

    def pop(self) -> str:
        """Take the most important one out."""
        name = heapq.heappop(self._heap)[1]
        self._names.discard(name)
        return name
