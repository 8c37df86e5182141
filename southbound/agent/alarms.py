"""The alarms that stand at a node: told at once, and again in every report until they are over."""

import logging
import time
from collections.abc import Callable
from typing import Final

from controller.domain.alarm import Alarm, Severity
from controller.wire.southbound import alarm_to_pb
from qinet.southbound.v1 import agent_pb2 as pb
from southbound.agent.keyplane.events import AlarmKind, ClearAlarm, RaiseAlarm
from southbound.agent.notices import Notices

log = logging.getLogger(__name__)

LINK_DOWN = "LINK_DOWN"
CLOCK_LOST = "CLOCK_LOST"
_NAMES = {AlarmKind.BLOCK_DISTURBED: "QBER_HIGH"}
"""Kinds of the key plane under the name that operators know; the others keep theirs."""

PASSING_AFTER_S: Final = 600.0
_PASSING: Final = frozenset({str(AlarmKind.TAG_INVALID), str(AlarmKind.CHECK_FAILED)})
"""Kinds that tell of an incident, which nothing undoes: they end once none was seen for a while."""


class Alarms:
    """Active alarms of one node, keyed (object, kind): raising twice is harmless."""

    def __init__(self, node: str, notices: Notices, now_s: Callable[[], float] = time.monotonic) -> None:
        """Start with none; `now_s` tells seconds on any clock that does not go back."""
        self._node = node
        self._now_s = now_s
        self._incident_s: dict[tuple[str, str], float] = {}
        self._notices = notices
        self._active: dict[tuple[str, str], Alarm] = {}

    def raised(self, object_name: str, kind: str, message: str, wall_ms: int) -> None:
        """Take a fault that stands; `object_name` is a resource name, "" for the node itself."""
        key = (object_name, kind)
        if kind in _PASSING:
            self._incident_s[key] = self._now_s()
        old = self._active.get(key)
        if old is not None and old.message == message:
            return
        self._active[key] = Alarm(
            node=self._node,
            object=object_name,
            kind=kind,
            severity=Severity.MAJOR,
            message=message,
            raised_ms=old.raised_ms if old else wall_ms,
        )
        self._tell(self._active[key], cleared=False)

    def cleared(self, object_name: str, kind: str) -> None:
        """Take that a fault is over; not standing is no mistake."""
        self._incident_s.pop((object_name, kind), None)
        if (alarm := self._active.pop((object_name, kind), None)) is not None:
            self._tell(alarm, cleared=True)

    def of_plane(self, notice: RaiseAlarm | ClearAlarm, wall_ms: int) -> None:
        """Take an alarm of the key plane."""
        kind = _NAMES.get(notice.kind, str(notice.kind))
        if isinstance(notice, RaiseAlarm):
            if (notice.object, kind) not in self._active:
                # Some are over soon, and yet somebody must be able to find them afterwards.
                log.warning("alarm node=%s object=%s kind=%s: %s", self._node, notice.object, kind, notice.text)
            self.raised(notice.object, kind, notice.text, wall_ms)
        else:
            self.cleared(notice.object, kind)

    def active(self) -> list[pb.Alarm]:
        """Return what stands, as it travels. Incidents that nothing like it has followed for long are over now."""
        for object_name, kind in [
            key for key, seen_s in self._incident_s.items() if self._now_s() - seen_s >= PASSING_AFTER_S
        ]:
            self.cleared(object_name, kind)
        return [alarm_to_pb(self._active[key]) for key in sorted(self._active)]

    def _tell(self, alarm: Alarm, *, cleared: bool) -> None:
        change = pb.AlarmChange(alarm=alarm_to_pb(alarm), cleared=cleared)
        self._notices.add(("alarm", alarm.object, alarm.kind), pb.Notification(alarm=change))
