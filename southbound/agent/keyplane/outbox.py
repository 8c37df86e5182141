"""Collects the effects of one event, in order, with the time they were decided at."""

import json
from collections.abc import Mapping
from typing import Final

from southbound.agent.keyplane.events import (
    AlarmKind,
    Answer,
    Append,
    DeliveredKey,
    Effect,
    Erase,
    Persist,
    RaiseAlarm,
    Record,
    Send,
)
from southbound.agent.keyplane.ledger import LedgerEntry
from southbound.agent.keyplane.messages import Message

NEVER: Final = float("inf")
# Made once: json.dumps would make one for every record.
_encode: Final = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode


class Outbox:
    """The effects of one event. `wake_at_s` is the earliest time at which something falls due."""

    __slots__ = ("effects", "now_s", "wake_at_s")

    def __init__(self, now_s: float) -> None:
        self.now_s = now_s
        self.effects: list[Effect] = []
        self.wake_at_s = NEVER

    def persist(self, table: str, key: str, meta: Mapping[str, object], secret: bytes = b"") -> None:
        """Write a record; `meta` holds no key material."""
        self.effects.append(Persist(Record(table, key, _encode(meta), secret)))

    def erase(self, table: str, key: str) -> None:
        """Erase a record with its secret."""
        self.effects.append(Erase(table, key))

    def note(self, entry: LedgerEntry) -> None:
        """Append to the ledger."""
        self.effects.append(Append(entry))

    def send(self, node: str, message: Message) -> None:
        """Send a message to a node that is up."""
        self.effects.append(Send(node, message))

    def refuse(self, request: int, status: int, message: str = "", *, retry_after_s: int = 0) -> None:
        """Answer a request for keys with 400, 401 or 503."""
        self.effects.append(Answer(request, status, message, (), retry_after_s))

    def deliver(self, request: int, keys: tuple[DeliveredKey, ...]) -> None:
        """Answer a request for keys with keys."""
        self.effects.append(Answer(request, 200, "", keys))

    def alarm(self, kind: AlarmKind, subject: str, text: str) -> None:
        """Raise an alarm."""
        self.effects.append(RaiseAlarm(kind, subject, text))

    def wake(self, at_s: float) -> None:
        """Ask for a tick at that time at the latest."""
        self.wake_at_s = min(self.wake_at_s, at_s)
