"""Feeds one app whose own queue may block: a thread and a bounded queue that drops the oldest.

os-ken's queues make the sender wait for ever. Here only the forwarder's thread waits, never who offers.
"""

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Protocol

_LOOK_EVERY_S: Final = 0.2
"""While the app has no room, how often the forwarder looks whether it is to end."""


@dataclass(frozen=True, slots=True)
class Fed:
    """One event for an app.

    Attributes:
        event: An os-ken event.
        state: The dispatcher that os-ken filters handlers by; None for all.
        revision: Of the snapshot that the event belongs to; None when it is about something else, as OpenFlow.
    """

    event: Any
    state: str | None = None
    revision: int | None = None


class Room(Protocol):
    """An app's own queue, one slot at a time."""

    def reserve(self, within_s: float) -> bool:
        """Wait for a slot, and hold it; False when there was none in time."""

    def put(self, fed: Fed) -> None:
        """Put an event into the slot that is held. Never blocks."""

    def give_back(self) -> None:
        """Leave the slot that is held unused."""


class Forwarder:
    """Hands over in the order of the offers. `offer` never blocks, whatever the app does.

    When an event had to be dropped, a resync goes before the rest, and what that already contains is left out.
    The first that an app is handed is a resync too.
    """

    def __init__(
        self,
        name: str,
        room: Room,
        *,
        size: int,
        resync: Callable[[int], Fed],
        on_drop: Callable[[], None],
    ) -> None:
        """Make it; `start` begins.

        Args:
            name: Of the app, for the thread's name.
            room: Where events go.
            size: Most events that wait here; > 0.
            resync: From the number of dropped events, the event with the whole present state, and its revision.
            on_drop: Called for each dropped event, by who offered.
        """
        self._room = room
        self._size = size
        self._resync = resync
        self._on_drop = on_drop
        self._waiting: deque[Fed] = deque()
        self._changed = threading.Condition()
        self._dropped = 0
        self._resync_due = True
        self._synced_revision = 0
        self._closed = False
        self._thread = threading.Thread(target=self._run, name=f"forwarder {name}", daemon=True)

    def start(self) -> None:
        """Begin to hand over."""
        self._thread.start()

    def offer(self, fed: Fed) -> None:
        """Take an event in; the oldest goes when there is no room."""
        with self._changed:
            if self._closed:
                return
            full = len(self._waiting) >= self._size
            if full:
                self._waiting.popleft()
                self._dropped += 1
                self._resync_due = True
            self._waiting.append(fed)
            self._changed.notify()
        if full:
            self._on_drop()

    def resync(self) -> None:
        """Have the app told the whole state again: somebody upstream lost events for it."""
        with self._changed:
            self._resync_due = True
            self._changed.notify()

    @property
    def depth(self) -> int:
        """Return how many events wait here."""
        return len(self._waiting)

    def close(self) -> None:
        """Hand over nothing more; what waits is lost. Returns when the thread has ended, at once or nearly so."""
        with self._changed:
            self._closed = True
            self._waiting.clear()
            self._changed.notify_all()
        if self._thread.ident is not None:
            self._thread.join()

    def _run(self) -> None:
        while self._something_to_do():
            # The slot first: what is dropped meanwhile is older than what comes into it, and a resync is fresh.
            if self._room.reserve(_LOOK_EVERY_S):
                fed = self._next()
                if fed is None:
                    self._room.give_back()
                else:
                    self._room.put(fed)

    def _something_to_do(self) -> bool:
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._resync_due or bool(self._waiting))
            return not self._closed

    def _next(self) -> Fed | None:
        with self._changed:
            if self._closed:
                return None
            due, self._resync_due = self._resync_due, False
            dropped = self._dropped
            if due:
                self._dropped = 0
            else:
                while self._waiting:
                    fed = self._waiting.popleft()
                    if fed.revision is None or fed.revision > self._synced_revision:
                        return fed
                return None
        resync = self._resync(dropped)
        self._synced_revision = resync.revision or 0
        return resync
