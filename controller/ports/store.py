"""The store port: a log of decisions, appended under a condition, and what can go wrong with it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Protocol

from controller.domain.log import LogRecord
from controller.domain.refusals import Refusal
from controller.domain.snapshot import ElectionId, Snapshot

NOTHING: Final = 0
"""The revision of a store that nothing was ever committed to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """What a store holds.

    Attributes:
        snapshot: The newest state; nobody is connected in it.
        epoch: The store's epoch: 1 at first, higher after each restored backup or move.
        store_id: UUID of this line of history; another one after each rise of the epoch.
    """

    snapshot: Snapshot
    epoch: int
    store_id: str

    @property
    def revision(self) -> int:
        """Return the revision of the newest record; NOTHING before the first."""
        return self.snapshot.revision


class StoreFault(Exception):  # noqa: N818 (named by what happened)
    """A fault of the store in the loop: never an answer to an operator, always the writer's own business."""


class Conflict(StoreFault):
    """Something was appended since the revision that this was decided on. Nothing was written.

    Leadership has ended, or a decision was lost: reload before deciding anything.
    """

    def __init__(self, *, expected: int, found: int) -> None:
        super().__init__(f"decided on revision {expected}, but the log is at {found}: reload and decide again")
        self.expected = expected
        self.found = found

    def facts(self) -> dict[str, str]:
        """Return every fact of the message, for programs."""
        return {"expected": str(self.expected), "found": str(self.found)}


class OutcomeUnknown(StoreFault):
    """A write failed so that it may or may not last. Decide nothing until `head()` has answered.

    If `head()` is then the record's own revision, it was kept; if it is the expected one, it was not and never
    will be. `head()` may itself raise OutcomeUnknown, for as long as the disk does not answer.
    """


def check_follows(record: LogRecord, *, expected: int, head: int) -> None:
    """Check that a record may be appended; for implementations.

    Raises:
        Conflict: The log is not at `expected`.
        ValueError: The record is not the next one after it: a mistake of the caller.
    """
    if head != expected:
        raise Conflict(expected=expected, found=head)
    if record.revision != expected + 1:
        raise ValueError(f"a record of revision {record.revision} cannot follow revision {expected}")


class TooOld(StoreFault):
    """The log does not reach back to that revision, or never had it (a backup was restored): send the full state."""

    def __init__(self, *, after: int, oldest: int, head: int) -> None:
        super().__init__(f"the log goes from revision {oldest} to {head}; what follows {after} is not in it")
        self.after = after
        self.oldest = oldest
        self.head = head


class Unusable(Refusal):
    """A store cannot be used; the message says which one, why, and what to do. Fatal at start.

    Reasons: STORE_HELD another controller has it; STORE_NEWER a later version wrote it; STORE_CORRUPT it is
    damaged; STORE_FOREIGN it is some other file; STORE_UNAVAILABLE the system refuses access or has no room.
    """

    def __init__(self, reason: str, store: str, message: str) -> None:
        super().__init__(reason, f"{store}: {message}", {"store": store})


class Store(Protocol):
    """Keeps the log of decisions. Synchronous; called by one thread at a time, in the end by the writer alone.

    Every implementation passes tests/contract/test_store.py. A commit is one compressed record of at most
    MAX_ENTRY_BYTES; what is larger is staged in parts, which count for nothing until one last record names them.
    From time to time the state is written in chunks, a pointer flips to them, and the log is cut, but for a tail
    that watches resume from.
    """

    def load(self) -> Loaded:
        """Return everything that was committed.

        Raises:
            Unusable: It is damaged, or a later version wrote it.
        """

    def head(self) -> int:
        """Return the revision of the newest record, NOTHING before the first; settles an unknown outcome.

        Raises:
            OutcomeUnknown: The store does not answer.
            Unusable: What it now says makes no sense.
        """

    def commit(self, record: LogRecord, expected: int) -> int:
        """Append the record, durably, if the log is still at `expected`, and return its revision.

        Args:
            record: Its revision is expected + 1.
            expected: The revision that the record was decided on.

        Raises:
            Conflict: The log is elsewhere. Nothing was written.
            OutcomeUnknown: The write failed; ask `head()`.
            InvalidValue: A document holds what cannot be stored, as a number beyond its width. Nothing was written.
        """

    def tail(self, after: int) -> Iterator[LogRecord]:
        """Return the records that follow a revision, oldest first; none when it is the newest.

        Raises:
            TooOld: They are not all in the log; or, on the way, no longer.
        """

    def open_term(self) -> ElectionId:
        """Begin a term and return its election id, higher than every earlier one and durable already.

        Raises:
            OutcomeUnknown: It may or may not have been counted; calling again is safe.
        """

    def raise_epoch(self, above: int = 0) -> int:
        """Begin a new line of history and return its epoch: all election ids from now on beat all before.

        Needed where the log may have lost its end: a backup was restored, or the store was moved. The state
        stays, the term count goes on, the store id is new. Takes effect with the next `open_term()`.

        Args:
            above: An epoch that agents have seen (alarm ELECTION_ID_AHEAD names it); the new one is above it too.

        Raises:
            OutcomeUnknown: It may or may not have been raised; calling again is safe.
        """

    def close(self) -> None:
        """Let go of the store. Safe to repeat; nothing else may be called afterwards."""
