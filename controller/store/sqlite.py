"""The store in one SQLite file: the default, for a controller alone."""

import logging
import sqlite3
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from controller.domain.log import LogRecord
from controller.domain.snapshot import COLLECTIONS, ElectionId, Snapshot
from controller.ports.store import NOTHING, Loaded, OutcomeUnknown, TooOld, Unusable, check_follows
from controller.store.sqlite_file import Holding, connect, corrupt, newer, unusable
from controller.wire.documents import encode
from controller.wire.log import (
    changes_of_snapshot,
    pack,
    pointed_at,
    record_to_pb,
    snapshot_chunks,
    snapshot_parts,
    snapshot_pointer,
    unpack,
)
from controller.wire.stored_enums import NewerSchema, Undecodable

log = logging.getLogger(__name__)

COMPACT_EVERY_RECORDS: Final = 1_000
KEEP_RECORDS: Final = 10_000
_SEE_TO_THE_DISK: Final = "See that the disk has room and works, then start again"


@dataclass(slots=True, kw_only=True)
class _Compaction:
    """A snapshot on its way: one step of it goes along with each commit.

    Attributes:
        revision: Whose state it is.
        chunks: Those still to be written.
        written: How many there are already.
    """

    revision: int
    chunks: Iterator[bytes]
    written: int = 0


class SqliteStore:
    """A store in a file that this process alone holds until it ends, however it ends.

    The term counts the starts. The epoch rises by `raise_epoch()`, and by itself where the file beside the
    store, `<store>.lock`, says that another line of history was last used here: a backup was put in the store's
    place, or the store came here without that file. A higher epoch than needed harms nothing. What cannot be
    noticed is a backup of both files copied over both: then `raise_epoch()` is the operator's to call.
    """

    def __init__(
        self, path: Path, *, compact_every_records: int = COMPACT_EVERY_RECORDS, keep_records: int = KEEP_RECORDS
    ) -> None:
        """Open the store, and make it where there is none.

        Args:
            path: The file; its directory is made too, both for this user alone.
            compact_every_records: After how many commits a new snapshot is begun; > 0.
            keep_records: How many records stay in the log, at least, for watches to resume from.

        Raises:
            Unusable: Another controller holds it, it is damaged, foreign or of a later version, or out of reach.
        """
        self._compact_every_records = compact_every_records
        self._keep_records = keep_records
        self._holding = Holding(path)
        self._path = self._holding.path
        try:
            self._db = connect(self._path)
            try:
                self._read()
                self._notice_another_line()
            except BaseException:
                self._db.close()
                raise
        except Unusable:
            self._holding.abandon()
            raise
        except BaseException:
            self._holding.close()
            raise

    # Reading

    def load(self) -> Loaded:
        """Return everything that was committed."""
        self._settle()
        return Loaded(snapshot=self._snapshot, epoch=self._epoch, store_id=self._store_id)

    def head(self) -> int:
        """Return the revision of the newest record; after an unknown outcome, as a restart would find it."""
        self._settle()
        return self._snapshot.revision

    def tail(self, after: int) -> Iterator[LogRecord]:
        """Return the records that follow a revision."""
        self._settle()
        head = self._snapshot.revision
        oldest = self._oldest()
        if not oldest - 1 <= after <= head:
            raise TooOld(after=after, oldest=oldest, head=head)
        return self._records(after, head)

    def _oldest(self) -> int:
        (oldest,) = self._db.execute("SELECT min(revision) FROM log").fetchone()
        return self._snapshot.revision + 1 if oldest is None else int(oldest)

    def _records(self, after: int, head: int) -> Iterator[LogRecord]:
        for revision in range(after + 1, head + 1):
            with self._decoding(f"log record {revision}"):
                record = self._record(revision)
            if record is None:
                raise TooOld(after=revision - 1, oldest=self._oldest(), head=self._snapshot.revision)
            yield record

    def _record(self, revision: int) -> LogRecord | None:
        row = self._db.execute("SELECT entry FROM log WHERE revision = ?", (revision,)).fetchone()
        return None if row is None else unpack(row[0], revision, lambda part: self._part(revision, part))

    def _part(self, revision: int, part: int) -> bytes:
        row = self._db.execute("SELECT bytes FROM part WHERE revision = ? AND part = ?", (revision, part)).fetchone()
        if row is None:
            raise Undecodable(f"its part {part} is missing")
        return bytes(row[0])

    @contextmanager
    def _decoding(self, what: str) -> Iterator[None]:
        try:
            yield
        except NewerSchema as problem:
            raise newer(self._path, f"{what}: {problem}") from None
        except Undecodable as problem:
            raise corrupt(self._path, f"{what}: {problem}") from None
        except sqlite3.Error as problem:
            raise unusable(self._path, problem) from None

    def _read(self) -> None:
        """Take in all that the file holds."""
        self._in_doubt = False
        self._compaction: _Compaction | None = None
        with self._decoding("what it says of itself"):
            meta = dict(self._db.execute("SELECT name, value FROM meta"))
            (last,) = self._db.execute("SELECT max(revision) FROM log").fetchone()
        self._epoch = int(meta.get("epoch", 1))
        self._term = int(meta.get("term", 0))
        self._store_id = str(meta.get("store_id", ""))
        with self._decoding("the snapshot"):
            self._snapshot = self._read_snapshot(meta.get("snapshot"))
        self._compacted_to = self._snapshot.revision
        for revision in range(self._snapshot.revision + 1, (last or NOTHING) + 1):
            with self._decoding(f"log record {revision}"):
                record = self._record(revision)
                if record is None:
                    raise Undecodable("it is missing")
            self._snapshot = replace(self._snapshot.applying(record.changes), revision=revision)

    def _read_snapshot(self, pointer: bytes | None) -> Snapshot:
        if pointer is None:
            return Snapshot()
        revision, chunks = pointed_at(pointer)
        rows = self._db.execute("SELECT bytes FROM chunk WHERE revision = ? ORDER BY chunk", (revision,)).fetchall()
        if len(rows) != chunks:
            raise Undecodable(f"it has {len(rows)} of {chunks} chunks")
        stored = snapshot_parts(row[0] for row in rows)
        if stored.revision != revision:
            raise Undecodable(f"it is of revision {stored.revision}, not {revision}")
        return replace(Snapshot().applying(changes_of_snapshot(stored)), revision=revision)

    # Writing

    def commit(self, record: LogRecord, expected: int) -> int:
        """Append the record, durably, if the log is still at `expected`."""
        if self._in_doubt:
            raise OutcomeUnknown(f"{self._path}: an earlier write may or may not have lasted; ask for the head first")
        check_follows(record, expected=expected, head=self._snapshot.revision)
        entry, parts = pack(record_to_pb(record))
        with self._writing() as db:
            db.executemany(
                "INSERT INTO part VALUES (?, ?, ?)",
                [(record.revision, number, part) for number, part in enumerate(parts)],
            )
            db.execute("INSERT INTO log VALUES (?, ?)", (record.revision, entry))
            self._compact(db)
        self._snapshot = replace(self._snapshot.applying(record.changes), revision=record.revision)
        return record.revision

    def _compact(self, db: sqlite3.Connection) -> None:
        """Do one step of a snapshot, in the transaction of a commit: no fsync of its own, no long pause."""
        work = self._compaction
        if work is None:
            state = self._snapshot
            if state.revision - self._compacted_to < self._compact_every_records:
                return
            # What a snapshot that never ended has left behind.
            db.execute("DELETE FROM chunk WHERE revision <> ?", (self._compacted_to,))
            documents = (
                encode(collection, key, document)
                for collection in COLLECTIONS
                for key, document in getattr(state, collection).items()
            )
            chunks = snapshot_chunks(state.revision, state.service_time_ms, state.network, documents)
            work = self._compaction = _Compaction(revision=state.revision, chunks=chunks)
        chunk = next(work.chunks, None)
        if chunk is not None:
            if chunk:
                db.execute("INSERT INTO chunk VALUES (?, ?, ?)", (work.revision, work.written, chunk))
                work.written += 1
            return
        _keep(db, "snapshot", snapshot_pointer(work.revision, work.written))
        db.execute("DELETE FROM chunk WHERE revision <> ?", (work.revision,))
        cut = min(work.revision, self._snapshot.revision + 1 - self._keep_records)
        db.execute("DELETE FROM log WHERE revision <= ?", (cut,))
        db.execute("DELETE FROM part WHERE revision <= ?", (cut,))
        self._compaction = None
        self._compacted_to = work.revision

    def open_term(self) -> ElectionId:
        """Count a start and return its election id."""
        self._settle()
        with self._writing() as db:
            _keep(db, "term", self._term + 1)
        self._term += 1
        self._write_mark()
        return ElectionId(epoch=self._epoch, term=self._term)

    def raise_epoch(self, above: int = 0) -> int:
        """Begin a new line of history and return its epoch."""
        self._settle()
        epoch, store_id = max(self._epoch, above) + 1, str(uuid.uuid4())
        with self._writing() as db:
            _keep(db, "epoch", epoch)
            _keep(db, "store_id", store_id)
        self._epoch, self._store_id = epoch, store_id
        self._write_mark()
        return epoch

    def close(self) -> None:
        """Let go of the file. Safe to repeat."""
        self._db.close()
        self._holding.close()

    def _notice_another_line(self) -> None:
        """Give a fresh store its identity, and an old one a new epoch where it is not what was last used here."""
        mark = self._holding.mark()
        fresh = not self._store_id
        same = (
            mark is not None
            and mark.store_id == self._store_id
            and (mark.epoch, mark.term) <= (self._epoch, self._term)
            and mark.inode == self._path.stat().st_ino
        )
        try:
            if fresh and mark is None:
                store_id = str(uuid.uuid4())
                with self._writing() as db:
                    _keep(db, "epoch", self._epoch)
                    _keep(db, "store_id", store_id)
                self._store_id = store_id
                self._write_mark()
            elif not same:
                epoch = self.raise_epoch(above=mark.epoch if mark else 0)
                log.warning(
                    "store is not the one last used here: epoch raised, agents follow it path=%s epoch=%d revision=%d",
                    self._path,
                    epoch,
                    self._snapshot.revision,
                )
            else:
                self._write_mark()
        except OutcomeUnknown as problem:
            raise Unusable(
                "STORE_UNAVAILABLE", str(self._path), f"it cannot be written: {problem}. {_SEE_TO_THE_DISK}"
            ) from None

    def _write_mark(self) -> None:
        try:
            self._holding.write_mark(store_id=self._store_id, epoch=self._epoch, term=self._term)
        except OSError as problem:
            raise OutcomeUnknown(f"{self._path}.lock cannot be written: {problem}") from problem

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """Do what follows in one durable transaction; whatever stops it leaves the outcome in doubt."""
        self._in_doubt = True
        try:
            self._db.execute("BEGIN IMMEDIATE")
            yield self._db
            self._db.execute("COMMIT")
        except sqlite3.Error as problem:
            raise OutcomeUnknown(f"{self._path}: a write may or may not have lasted: {problem}") from problem
        self._in_doubt = False

    def _settle(self) -> None:
        """After a write whose outcome is unknown, find out what lasts.

        An fsync that failed may leave a whole record in the log file that this connection does not see, but
        that a restart would. Opening the file anew decides it once and for all, as a restart would.
        """
        if not self._in_doubt:
            return
        self._db.close()
        try:
            self._db = connect(self._path)
            self._read()
        except Unusable as refusal:
            self._in_doubt = True
            if refusal.reason in {"STORE_CORRUPT", "STORE_NEWER", "STORE_FOREIGN"}:
                raise
            raise OutcomeUnknown(refusal.message) from refusal


def _keep(db: sqlite3.Connection, name: str, value: object) -> None:
    db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (name, value))
