"""The writer's inbox: three classes, each bounded; offering never blocks."""

import threading
from collections import deque
from collections.abc import Mapping
from enum import IntEnum
from types import MappingProxyType
from typing import Any, Final


class Urgency(IntEnum):
    """What is decided first."""

    NETWORK = 0
    OPERATOR = 1
    BACKGROUND = 2


SIZES: Final[Mapping[Urgency, int]] = MappingProxyType(
    {Urgency.NETWORK: 16384, Urgency.OPERATOR: 1024, Urgency.BACKGROUND: 256}
)


class Inbox:
    """Thread-safe. Who offers is told at once when a class is full; what to do then is theirs."""

    def __init__(self, sizes: Mapping[Urgency, int] = SIZES) -> None:
        self._sizes = sizes
        self._queues: dict[Urgency, deque[Any]] = {urgency: deque() for urgency in Urgency}
        self._filled = threading.Condition()
        self._closed = False

    def offer(self, item: Any, urgency: Urgency) -> bool:
        """Put an item in; return False if its class is full or the inbox is closed."""
        with self._filled:
            queue = self._queues[urgency]
            if self._closed or len(queue) >= self._sizes[urgency]:
                return False
            queue.append(item)
            self._filled.notify()
            return True

    def take(self) -> Any:
        """Wait for an item and return the most urgent; None once closed and drained."""
        with self._filled:
            self._filled.wait_for(lambda: self._closed or any(self._queues.values()))
            return self._most_urgent()

    def take_now(self) -> Any:
        """Return the most urgent item, or None when there is none."""
        with self._filled:
            return self._most_urgent()

    def _most_urgent(self) -> Any:
        return next((queue.popleft() for queue in self._queues.values() if queue), None)

    def close(self) -> None:
        """Take nothing more in; what is in is still taken out."""
        with self._filled:
            self._closed = True
            self._filled.notify_all()

    @property
    def closed(self) -> bool:
        """Tell whether nothing more is taken in."""
        return self._closed

    def depths(self) -> dict[Urgency, int]:
        """Return how many items wait, by class."""
        return {urgency: len(queue) for urgency, queue in self._queues.items()}
