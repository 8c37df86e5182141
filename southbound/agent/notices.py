"""Notifications until the controller has committed their effect: numbered within a session, repeated, bounded."""

from dataclasses import dataclass
from typing import Final

from qinet.southbound.v1 import agent_pb2 as pb

SIZE: Final = 1024
REPEAT_S: Final = 10.0


@dataclass(slots=True)
class _Pending:
    content: pb.Notification
    sequence: int = 0
    sent_s: float = 0.0


class Notices:
    """What the controller has not acknowledged yet.

    A newer notice about the same matter replaces the older. When full, the oldest is dropped: all but
    `application_new` only speed up what reports carry, and that is asked again.
    """

    def __init__(self) -> None:
        self._pending: dict[tuple[str, ...], _Pending] = {}
        self._sequence = 0

    def add(self, matter: tuple[str, ...], content: pb.Notification) -> None:
        """Take a notice; `matter` is what it is about, as ("link", "a-b")."""
        self._pending.pop(matter, None)
        if len(self._pending) >= SIZE:
            del self._pending[next(iter(self._pending))]
        self._pending[matter] = _Pending(content)

    def reopen(self) -> None:
        """Begin a session: everything pending is sent again, numbered from 1."""
        self._sequence = 0
        for pending in self._pending.values():
            pending.sequence = 0

    def due(self, now_s: float) -> list[pb.Notification]:
        """Return what is to be sent now, in order; it counts as sent."""
        found: list[pb.Notification] = []
        for pending in self._pending.values():
            if pending.sequence and now_s - pending.sent_s < REPEAT_S:
                continue
            if not pending.sequence:
                self._sequence += 1
                pending.sequence = self._sequence
                pending.content.sequence = pending.sequence
            pending.sent_s = now_s
            found.append(pending.content)
        return found

    def acknowledged(self, sequence: int) -> None:
        """Forget what is committed: that sequence and all before."""
        for matter in [matter for matter, one in self._pending.items() if 0 < one.sequence <= sequence]:
            del self._pending[matter]

    def pending(self, matter: tuple[str, ...]) -> bool:
        """Tell whether a notice about that matter waits for its acknowledgement."""
        return matter in self._pending

    @property
    def fill(self) -> float:
        """Return how full it is; ratio in [0, 1]."""
        return len(self._pending) / SIZE
