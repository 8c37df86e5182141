"""The store in memory: for tests and trials; what is kept ends with the process."""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from controller.domain.log import LogRecord
from controller.domain.snapshot import ElectionId, Snapshot
from controller.ports.store import Loaded, TooOld, check_follows
from controller.wire.log import pack, record_to_pb, unpack


@dataclass(slots=True, kw_only=True)
class Memory:
    """What lasts while stores on it come and go, as a disk would.

    Attributes:
        entries: By revision, the entry and its staged parts: bytes, so that what a disk would refuse is refused.
    """

    entries: dict[int, tuple[bytes, tuple[bytes, ...]]] = field(default_factory=dict)
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
        check_follows(record, expected=expected, head=self.head())
        memory = self._memory
        memory.entries[record.revision] = pack(record_to_pb(record))
        memory.snapshot = replace(memory.snapshot.applying(record.changes), revision=record.revision)
        memory.entries.pop(record.revision - self._keep_records, None)
        return record.revision

    def tail(self, after: int) -> Iterator[LogRecord]:
        """Return the records that follow a revision."""
        head = self.head()
        oldest = head - len(self._memory.entries) + 1
        if not oldest - 1 <= after <= head:
            raise TooOld(after=after, oldest=oldest, head=head)
        kept = [(revision, *self._memory.entries[revision]) for revision in range(after + 1, head + 1)]
        return (unpack(entry, revision, parts.__getitem__) for revision, entry, parts in kept)

    def open_term(self) -> ElectionId:
        """Begin a term and return its election id."""
        self._memory.term += 1
        return ElectionId(epoch=self._memory.epoch, term=self._memory.term)

    def raise_epoch(self, above: int = 0) -> int:
        """Begin a new line of history and return its epoch."""
        self._memory.epoch = max(self._memory.epoch, above) + 1
        self._memory.store_id = str(uuid.uuid4())
        return self._memory.epoch

    def close(self) -> None:
        """Let go of the store; the Memory stays."""
