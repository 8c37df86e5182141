"""The log of decisions: what one commit keeps, whatever the store."""

from dataclasses import dataclass
from typing import Final

from controller.domain.snapshot import Changes, ElectionId

MAX_ENTRY_BYTES: Final = 1 << 20
"""Largest value written at once: one log record, one staged part or one snapshot chunk, compressed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogRecord:
    """One decision, as it is kept.

    Attributes:
        revision: Its place in the log; the first is 1, and none is left out.
        election: Under which election id it was decided.
        changes: What it writes, request records included; never `connected`.
    """

    revision: int
    election: ElectionId
    changes: Changes
