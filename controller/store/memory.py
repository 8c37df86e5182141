"""The store in memory: for tests and trials; what is kept ends with the process."""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from controller.domain.snapshot import ElectionId, Snapshot
from controller.ports.store import NOTHING, Conflict, Loaded, LogRecord, TooOld


@dataclass(slots=True, kw_only=True)
class Memory:
    """What lasts while stores on it come and go, as a disk would."""

    records: list[LogRecord] = field(default_factory=list)
    snapshot: Snapshot = field(default_factory=Snapshot)
    epoch: int = 1
    term: int = 0
    store_id: str = field(default_factory=lambda: str(uuid.uuid4()))


class MemoryStore:
    """A store on a Memory; a later one on the same Memory finds what an earlier one committed."""

    def __init__(self, memory: Memory | None = None, *, keep_records: int = 10_000) -> None:
        self._memory = memory or Memory()
        self._keep_records = keep_records

    def load(self) -> Loaded:
        """Return everything that was committed."""
        memory = self._memory
        return Loaded(snapshot=memory.snapshot, epoch=memory.epoch, store_id=memory.store_id)

    def head(self) -> int:
        """Return the revision of the newest record."""
        return self._memory.snapshot.revision

    def commit(self, record: LogRecord, expected: int) -> int:
        """Append the record if the log is still at `expected`."""
        head = self.head()
        if head != expected:
            raise Conflict(expected=expected, found=head)
        if record.revision != expected + 1:
            raise ValueError(f"a record of revision {record.revision} cannot follow revision {expected}")
        memory = self._memory
        memory.snapshot = replace(memory.snapshot.applying(record.changes), revision=record.revision)
        memory.records.append(record)
        del memory.records[: -self._keep_records]
        return record.revision

    def tail(self, after: int) -> Iterator[LogRecord]:
        """Return the records that follow a revision."""
        head = self.head()
        oldest = self._memory.records[0].revision if self._memory.records else NOTHING + 1
        if not oldest - 1 <= after <= head:
            raise TooOld(after=after, oldest=oldest, head=head)
        return iter(self._memory.records[len(self._memory.records) - (head - after) :])

    def open_term(self) -> ElectionId:
        """Begin a term and return its election id."""
        self._memory.term += 1
        return ElectionId(epoch=self._memory.epoch, term=self._memory.term)

    def raise_epoch(self) -> int:
        """Begin a new line of history and return its epoch."""
        self._memory.epoch += 1
        self._memory.store_id = str(uuid.uuid4())
        return self._memory.epoch

    def close(self) -> None:
        """Let go of the store; the Memory stays."""
