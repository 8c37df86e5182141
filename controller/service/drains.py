"""Which drains are under way, and which services each still has to try: some in every turn of the writer."""

from collections import deque
from collections.abc import Callable
from typing import Any

from controller.domain.alarm import CONTROLLER, Alarm
from controller.domain.service import Service
from controller.domain.snapshot import NO_CHANGES, Changes, Snapshot, delete
from controller.service.maintenance_desk import DRAINING, Leaving, asked_by, to_drain


class Drains:
    """Derived from the alarms, which are stored: whoever leads after a crash tries all that is still there again."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._left: dict[str, deque[str] | None] = {}
        self._by: dict[str, str] = {}
        for key in sorted(snapshot.alarms):
            self.written(key, snapshot.alarms[key])

    @property
    def under_way(self) -> bool:
        """Tell whether there is something to do."""
        return bool(self._left)

    def written(self, key: tuple[str, str, str], alarm: Alarm | None) -> None:
        """Take in that an alarm was raised anew, or cleared."""
        node, resource, kind = key
        if (node, kind) != (CONTROLLER, DRAINING):
            return
        if alarm is None:
            self._left.pop(resource, None)
            self._by.pop(resource, None)
        else:
            self._left[resource] = None
            self._by[resource] = asked_by(alarm)

    def step(self, snapshot: Snapshot, move: Callable[[Service, Leaving], Any]) -> Changes:
        """Hand over the next service, most important first; return what ends the drain when there are no more.

        One at a time: each costs a search for routes, and a turn of the writer has 10 ms. What `move` decides counts
        for the next.
        """
        resource = next(iter(self._left), None)
        if resource is None:
            return NO_CHANGES
        collection, _, key = resource.partition("/")
        what = Leaving.of(collection, key, self._by[resource])
        keys = self._left[resource]
        if keys is None:
            keys = self._left[resource] = deque(service.key for service in to_drain(snapshot, what))
        service = snapshot.service(keys.popleft()) if keys else None
        if service is not None:
            move(service, what)
        return NO_CHANGES if keys else delete("alarms", (CONTROLLER, resource, DRAINING))
