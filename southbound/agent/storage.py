"""What an agent keeps: one SQLite file that one process may open, written in whole transactions by a thread."""

import asyncio
import fcntl
import json
import os
import sqlite3
import uuid
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import MISSING, asdict, dataclass, fields
from pathlib import Path
from typing import Any, Final, TypeVar

from controller.domain.refusals import Refusal
from southbound.agent.clock import Stamp
from southbound.agent.keyplane.events import Append, Erase, Persist, Record
from southbound.agent.keyplane.ledger import LedgerEntry, LedgerKind

SCHEMA_VERSION: Final = 3
_FIRST_RELEASED: Final = 2
_CLOSED_TABLE: Final = "CREATE TABLE closed (name TEXT PRIMARY KEY, entry TEXT NOT NULL)"
_FILE: Final = "agent.sqlite"
_LOCK: Final = "agent.lock"
_ERASURES_PER_CHECKPOINT: Final = 256
LEDGER_RETENTION_S: Final = 7 * 86400.0
_LEDGER_LINES_MOST: Final = 20_000_000
"""However young they are: some gigabytes, which a saturated link fills in a day or two."""
_LINES_PER_TRIM: Final = 2000

_OF_THE_SYSTEM: Final = {
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_PERM,
}

T = TypeVar("T")


class StoreRefused(Refusal):
    """A state directory cannot be used; names it and the remedy.

    Reasons: STORE_HELD another agent has it; STORE_NEWER a later version wrote it; STORE_OLDER one from before the
    first release did; STORE_OF_ANOTHER_NODE; STORE_CORRUPT it is damaged, or no store of an agent; STORE_UNAVAILABLE
    the system refuses access.
    """

    def __init__(self, reason: str, directory: Path, problem: str) -> None:
        super().__init__(reason, f"{directory}: {problem}", {"directory": directory})


@dataclass(frozen=True, slots=True)
class PutValue:
    """Set a named value."""

    name: str
    value: str


@dataclass(frozen=True, slots=True)
class PutEntry:
    """Set a configuration entry; `ends_at_s` is the service time at which it ends by itself, None if it stays."""

    entry_id: str
    content: bytes
    ends_at_s: float | None


@dataclass(frozen=True, slots=True)
class DropEntry:
    """Remove a configuration entry."""

    entry_id: str


Write = Persist | Erase | Append | PutValue | PutEntry | DropEntry


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """Everything that a store holds but its ledger.

    Attributes:
        store_id: Random, made when the store was.
        stamp: Service time of the last transaction; None before the first.
        values: Named values.
        entries: The configuration in force.
        records: The key plane's.
    """

    store_id: str
    stamp: Stamp | None
    values: dict[str, str]
    entries: tuple[PutEntry, ...]
    records: tuple[Record, ...]


class Storage:
    """The store of one agent. `commit` returns when the writes are on disk; commits keep their order.

    Erased and replaced key material is overwritten in the file; the write-ahead log still holds it until the
    next checkpoint, which follows at the latest after some hundred erasures and when the store is closed.
    """

    def __init__(self, db: sqlite3.Connection, lock: int, thread: ThreadPoolExecutor, stored: Stored) -> None:
        self.stored = stored
        self._db = db
        self._lock = lock
        self._thread = thread
        self._erasures = 0
        self._closed = False

    @classmethod
    async def open(cls, directory: Path, node: str) -> "Storage":
        """Open the store in the directory (both made where missing) and load it.

        Raises:
            StoreRefused: See there.
        """
        thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"store-{node}")
        try:
            db, lock, stored = await asyncio.get_running_loop().run_in_executor(thread, _open, directory, node)
        except BaseException:
            thread.shutdown(wait=False)
            raise
        return cls(db, lock, thread, stored)

    async def commit(self, writes: Sequence[Write], stamp: Stamp) -> None:
        """Make the writes durable, in order and all or none.

        Raises:
            sqlite3.Error: The disk failed; nothing may be built on this store any more.
        """
        await self._run(lambda: self._commit(writes, stamp))

    async def ledger(self) -> list[dict[str, object]]:
        """Return the key plane's ledger, oldest first: for audits and tests."""
        return await self._run(
            lambda: [
                *(json.loads(row[0]) for row in self._db.execute("SELECT entry FROM closed ORDER BY name")),
                *(json.loads(row[0]) for row in self._db.execute("SELECT entry FROM ledger ORDER BY seq")),
            ]
        )

    async def trim(self, before_s: float, lines_most: int = _LEDGER_LINES_MOST) -> int:
        """Leave out the oldest lines of the ledger, some at a time; return how many.

        Args:
            before_s: Service time before which lines are too old.
            lines_most: How many are kept at the most.

        What was left out is told in CLOSED lines, one for each link, and for each relay and origin.
        """
        return await self._run(lambda: self._trim(before_s, lines_most))

    async def close(self) -> None:
        """Let go of the store. Safe to repeat."""
        if self._closed:
            return
        self._closed = True
        try:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._close)
        finally:
            self._thread.shutdown(wait=True)

    async def _run(self, work: Callable[[], T]) -> T:
        if self._closed:
            raise sqlite3.ProgrammingError("the store is closed")
        # A cancelled caller must not leave the next one with a transaction that is still running: there is one thread.
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def _commit(self, writes: Sequence[Write], stamp: Stamp) -> None:
        with self._db:
            self._db.execute("BEGIN IMMEDIATE")
            for write in writes:
                self._write(write)
            self._write(PutValue("stamp", json.dumps(asdict(stamp))))
        if self._erasures >= _ERASURES_PER_CHECKPOINT:
            self._erasures = 0
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def _trim(self, before_s: float, lines_most: int) -> int:
        (newest,) = self._db.execute("SELECT coalesce(max(seq), 0) FROM ledger").fetchone()
        rows = self._db.execute("SELECT seq, entry FROM ledger ORDER BY seq LIMIT ?", (_LINES_PER_TRIM,)).fetchall()
        closed: dict[str, dict[str, object]] = {}
        last = 0
        for seq, line in rows:
            entry = json.loads(line)
            if entry["at_s"] >= before_s and seq > newest - lines_most:
                break
            last = seq
            _close(closed, entry)
        if not last:
            return 0
        with self._db:
            self._db.execute("BEGIN IMMEDIATE")
            for name, entry in closed.items():
                row = self._db.execute("SELECT entry FROM closed WHERE name = ?", (name,)).fetchone()
                if row is not None:
                    _close(closed, json.loads(row[0]))
                self._db.execute("INSERT OR REPLACE INTO closed VALUES (?, ?)", (name, json.dumps(entry)))
            return self._db.execute("DELETE FROM ledger WHERE seq <= ?", (last,)).rowcount

    def _write(self, write: Write) -> None:
        execute = self._db.execute
        match write:
            case Persist(record=record):
                self._erasures += bool(record.secret)
                execute(
                    "INSERT INTO records VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET meta = excluded.meta, "
                    "secret = excluded.secret",
                    (record.table, record.key, record.meta, record.secret),
                )
            case Erase(table=table, key=key):
                self._erasures += 1
                execute("DELETE FROM records WHERE tab = ? AND key = ?", (table, key))
            case Append(entry=entry):
                execute("INSERT INTO ledger (entry) VALUES (?)", (ledger_line(entry),))
            case PutValue(name=name, value=value):
                execute("INSERT OR REPLACE INTO named VALUES (?, ?)", (name, value))
            case PutEntry(entry_id=entry_id, content=content, ends_at_s=ends_at_s):
                execute(
                    "INSERT INTO entries VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET content = excluded.content, "
                    "ends_at_s = excluded.ends_at_s",
                    (entry_id, content, ends_at_s),
                )
            case DropEntry(entry_id=entry_id):
                execute("DELETE FROM entries WHERE id = ?", (entry_id,))

    def _close(self) -> None:
        try:
            self._db.close()
        finally:
            os.close(self._lock)


def _close(closed: dict[str, dict[str, object]], entry: dict[str, Any]) -> None:
    """Raise to an entry's block, or chunk, up to where lines were left out."""
    if entry.get("link"):
        name, field = f"links/{entry['link']}", "block"
        fixed = {"link": entry["link"], "neighbour": entry.get("neighbour", "")}
    elif entry.get("relay"):
        name, field = f"keyRelays/{entry['relay']}/{entry.get('origin', '')}", "chunk_id"
        fixed = {"relay": entry["relay"], "origin": entry.get("origin", "")}
    else:
        return
    line = closed.setdefault(name, {"kind": str(LedgerKind.CLOSED), **fixed, field: -1, "at_s": entry["at_s"]})
    line[field] = max(int(str(line[field])), entry.get(field, -1))
    line["at_s"] = max(float(str(line["at_s"])), entry["at_s"])


def ledger_line(entry: LedgerEntry) -> str:
    """Return a ledger entry as JSON, without the fields that are at their defaults."""
    values = {field.name: getattr(entry, field.name) for field in fields(entry) if _is_set(entry, field.name)}
    return json.dumps(values)


_LEDGER_DEFAULTS: Final = {field.name: field.default for field in fields(LedgerEntry) if field.default is not MISSING}


def _is_set(entry: LedgerEntry, name: str) -> bool:
    return name not in _LEDGER_DEFAULTS or getattr(entry, name) != _LEDGER_DEFAULTS[name]


def reset_election(directory: Path) -> str | None:
    """Forget the highest election id that the stopped agent of that directory ever saw; return it, None if none.

    Raises:
        StoreRefused: There is no store, or it cannot be used (its agent runs).
    """
    if not (directory / _FILE).exists():
        raise StoreRefused("STORE_UNAVAILABLE", directory, "holds no agent's store: name the agent's --state directory")
    db, lock, stored = _open(directory, None)
    try:
        with db:
            db.execute("DELETE FROM named WHERE name = 'election'")
        return stored.values.get("election")
    finally:
        db.close()
        os.close(lock)


def _open(directory: Path, node: str | None) -> tuple[sqlite3.Connection, int, Stored]:
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(directory / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as problem:
        raise StoreRefused(
            "STORE_UNAVAILABLE", directory, f"cannot be written ({problem.strerror}): choose a directory of yours"
        ) from None
    try:
        _hold(lock, directory)
        # The file gets its rights before anything is in it; SQLite gives its log the same.
        os.close(os.open(directory / _FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        db = sqlite3.connect(directory / _FILE, isolation_level=None, check_same_thread=False)
        try:
            return db, lock, _load(db, directory, node)
        except BaseException:
            db.close()
            raise
    except (sqlite3.Error, OSError) as problem:
        os.close(lock)
        raise refused(directory, problem) from None
    except BaseException:
        os.close(lock)
        raise


def refused(directory: Path, problem: sqlite3.Error | OSError) -> StoreRefused:
    """Return the refusal that an error of the disk or of SQLite comes to."""
    code = getattr(problem, "sqlite_errorcode", 0) & 0xFF
    if code in _OF_THE_SYSTEM or isinstance(problem, OSError):
        return StoreRefused(
            "STORE_UNAVAILABLE",
            directory,
            f"{_FILE} cannot be written ({problem}): see that the disk has room and works, and that this user may "
            "write there",
        )
    return StoreRefused(
        "STORE_CORRUPT",
        directory,
        f"{_FILE} is damaged or no agent's store ({problem}): restore it, or remove it and lose the key in it",
    )


def _hold(lock: int, directory: Path) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise StoreRefused(
            "STORE_HELD", directory, "another agent has this state directory: stop it, or give this one its own --state"
        ) from None


def _load(db: sqlite3.Connection, directory: Path, node: str | None) -> Stored:
    db.executescript("PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;")
    db.executescript("PRAGMA secure_delete=ON; PRAGMA foreign_keys=OFF; PRAGMA temp_store=MEMORY;")
    version = db.execute("PRAGMA user_version").fetchone()[0]
    if version == _FIRST_RELEASED:
        db.executescript(f"BEGIN IMMEDIATE; {_CLOSED_TABLE}; PRAGMA user_version = {SCHEMA_VERSION}; COMMIT")
        version = SCHEMA_VERSION
    if version > SCHEMA_VERSION:
        raise StoreRefused(
            "STORE_NEWER",
            directory,
            f"was written by a later version (schema {version}, this one knows {SCHEMA_VERSION}): run that version",
        )
    if 0 < version < SCHEMA_VERSION:
        raise StoreRefused(
            "STORE_OLDER",
            directory,
            f"was written before the first release (schema {version}): remove it, and lose the key in it",
        )
    if version == 0:
        if node is None:
            raise StoreRefused("STORE_CORRUPT", directory, f"{_FILE} is empty: no agent ever started here")
        _create(db, node)
    values = dict(db.execute("SELECT name, value FROM named").fetchall())
    if node is not None and values["node"] != node:
        raise StoreRefused(
            "STORE_OF_ANOTHER_NODE",
            directory,
            f"is the store of node {values['node']}, not of {node}: give each agent its own --state",
        )
    stamp = values.pop("stamp", None)
    return Stored(
        store_id=values["store_id"],
        stamp=None if stamp is None else Stamp(**json.loads(stamp)),
        values=values,
        entries=tuple(PutEntry(*row) for row in db.execute("SELECT id, content, ends_at_s FROM entries ORDER BY id")),
        records=tuple(Record(*row) for row in db.execute("SELECT tab, key, meta, secret FROM records")),
    )


def _create(db: sqlite3.Connection, node: str) -> None:
    for statement in (
        "BEGIN IMMEDIATE",
        "CREATE TABLE named (name TEXT PRIMARY KEY, value TEXT NOT NULL)",
        "CREATE TABLE entries (id TEXT PRIMARY KEY, content BLOB NOT NULL, ends_at_s REAL)",
        "CREATE TABLE records (tab TEXT, key TEXT, meta TEXT NOT NULL, secret BLOB NOT NULL, PRIMARY KEY (tab, key))",
        "CREATE TABLE ledger (seq INTEGER PRIMARY KEY, entry TEXT NOT NULL)",
        _CLOSED_TABLE,
        f"PRAGMA user_version = {SCHEMA_VERSION}",
    ):
        db.execute(statement)
    made: Iterable[tuple[str, str]] = (("store_id", str(uuid.uuid4())), ("node", node))
    db.executemany("INSERT INTO named VALUES (?, ?)", made)
    db.execute("COMMIT")
