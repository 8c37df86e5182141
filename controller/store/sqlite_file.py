"""The files of an SQLite store: who holds it, what it is, and whether it stands where it last stood."""

import contextlib
import fcntl
import json
import os
import sqlite3
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from controller.ports.store import Unusable

APPLICATION_ID: Final = 0x51494E45  # "QINE", in the file's header
FORMAT_VERSION: Final = 1
"""Of the tables; what is above it is refused."""

_SCHEMA: Final = (
    "CREATE TABLE meta (name TEXT PRIMARY KEY, value NOT NULL) WITHOUT ROWID",
    "CREATE TABLE log (revision INTEGER PRIMARY KEY, entry BLOB NOT NULL)",
    "CREATE TABLE part (revision INTEGER, part INTEGER, bytes BLOB NOT NULL, PRIMARY KEY (revision, part))",
    "CREATE TABLE chunk (revision INTEGER, chunk INTEGER, bytes BLOB NOT NULL, PRIMARY KEY (revision, chunk))",
)
_PRIVATE_FILE: Final = 0o600
_PRIVATE_DIRECTORY: Final = 0o700
_RESTORE: Final = (
    "Nothing was changed. Move it and its -wal file away, put the newest backup in its place, and start again"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """Where a store stood when it was last used here; kept beside it, so that a restored backup is noticed.

    Attributes:
        pid: The process that holds it, or held it last.
        inode: Of the store's file: one that was put in its place has another.
    """

    pid: int
    store_id: str
    epoch: int
    term: int
    inode: int


class Holding:
    """A store's file, held by this process alone until it ends, however it ends.

    The lock is on a file of its own beside the store, `<store>.lock`, which stays: were it deleted, two
    processes could each hold a different one. The system lets go of it when the process is gone.
    """

    def __init__(self, store: Path) -> None:
        """Take hold.

        Raises:
            Unusable: STORE_HELD, or STORE_UNAVAILABLE.
        """
        # Two names of one file must meet at one lock.
        self.path = Path(os.path.realpath(store))
        try:
            if not self.path.parent.parent.is_dir():
                # Only the last folder is made: a longer path that is not there is rather a slip of the pen.
                raise Unusable(
                    "STORE_UNAVAILABLE",
                    str(self.path),
                    f"the folder {self.path.parent.parent} does not exist. Make it, or name another file as the store",
                )
            self.path.parent.mkdir(mode=_PRIVATE_DIRECTORY, exist_ok=True)
            self._lock_is_ours = not os.path.exists(f"{self.path}.lock")
            self._lock = os.open(f"{self.path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _PRIVATE_FILE)
        except OSError as problem:
            raise _unavailable(self.path, problem) from None
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            mark = self.mark()
            os.close(self._lock)
            raise Unusable(
                "STORE_HELD",
                str(self.path),
                f"another controller{f' (process {mark.pid})' if mark else ''} holds it. "
                "Stop that one, or give this one a store of its own",
            ) from None
        try:
            self._create()
        except OSError as problem:
            os.close(self._lock)
            raise _unavailable(self.path, problem) from None

    def _create(self) -> None:
        # SQLite gives its -wal file the mode of the store.
        os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _PRIVATE_FILE))
        self.path.chmod(_PRIVATE_FILE)
        directory = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)

    def mark(self) -> Mark | None:
        """Return where the store last stood, or None where nothing legible says so."""
        try:
            found = json.loads(os.pread(self._lock, 4096, 0))
            return Mark(**{name: kind(found[name]) for name, kind in Mark.__annotations__.items()})
        except (ValueError, KeyError, TypeError):
            return None

    def write_mark(self, *, store_id: str, epoch: int, term: int) -> None:
        """Keep where the store stands now.

        Raises:
            OSError: The system does not let us.
        """
        mark = Mark(pid=os.getpid(), store_id=store_id, epoch=epoch, term=term, inode=self.path.stat().st_ino)
        text = json.dumps(asdict(mark)).encode()
        # Padded to one length and written at once, so that a reader sees the old or the new one.
        os.pwrite(self._lock, text.ljust(512) + b"\n", 0)
        os.fsync(self._lock)

    def abandon(self) -> None:
        """Let go of what is no store of ours, and take away the lock file if it came with us."""
        if self._lock_is_ours and self._lock >= 0:
            with contextlib.suppress(OSError):
                Path(f"{self.path}.lock").unlink()
        self.close()

    def close(self) -> None:
        """Let go. Safe to repeat."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1


def connect(path: Path) -> sqlite3.Connection:
    """Open the database of a store, and make it where the file is empty.

    Raises:
        Unusable: It is damaged, foreign, of a later version, or out of reach; nothing was changed in it.
    """
    try:
        db = sqlite3.connect(
            f"{path.as_uri()}?mode=rw", uri=True, isolation_level=None, check_same_thread=False, timeout=0
        )
    except sqlite3.Error as problem:
        raise unusable(path, problem) from None
    try:
        # Besides our own lock: no other program is to write while we run, and no shared memory file is needed.
        db.execute("PRAGMA locking_mode = EXCLUSIVE")
        fresh = _check(db, path)
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        if fresh:
            _make(db)
    except sqlite3.Error as problem:
        db.close()
        raise unusable(path, problem) from None
    except Unusable:
        db.close()
        raise
    return db


def _check(db: sqlite3.Connection, path: Path) -> bool:
    """Tell whether the file is still empty; raise Unusable unless it is, or is a sound store of ours."""
    (application_id,) = db.execute("PRAGMA application_id").fetchone()
    (version,) = db.execute("PRAGMA user_version").fetchone()
    (tables,) = db.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if not (application_id or version or tables):
        return True
    if application_id != APPLICATION_ID:
        raise Unusable(
            "STORE_FOREIGN", str(path), "it is a database of another program. Name another file as the store"
        )
    if version > FORMAT_VERSION:
        raise newer(path, f"it has format version {version}; this version knows up to {FORMAT_VERSION}")
    (verdict,) = db.execute("PRAGMA quick_check(1)").fetchone()
    if verdict != "ok":
        raise corrupt(path, verdict)
    return False


def _make(db: sqlite3.Connection) -> None:
    db.execute("BEGIN IMMEDIATE")
    for statement in _SCHEMA:
        db.execute(statement)
    db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    db.execute(f"PRAGMA user_version = {FORMAT_VERSION}")
    db.execute("COMMIT")


def corrupt(path: Path, what: str) -> Unusable:
    """Return the refusal of a damaged store."""
    return Unusable("STORE_CORRUPT", str(path), f"it is damaged: {what}. {_RESTORE}")


def newer(path: Path, what: str) -> Unusable:
    """Return the refusal of a store that a later version wrote."""
    return Unusable(
        "STORE_NEWER",
        str(path),
        f"a later version of Qinet wrote it: {what}. Nothing was changed. "
        "Start that version, or put a backup made before the upgrade in its place",
    )


def unusable(path: Path, problem: sqlite3.Error) -> Unusable:
    """Return the refusal that an error of SQLite comes to."""
    code = getattr(problem, "sqlite_errorcode", 0) & 0xFF
    if code in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}:
        return corrupt(path, str(problem))
    if code in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
        return Unusable("STORE_HELD", str(path), "another program has it open. Stop that program and start again")
    return _unavailable(path, problem)


def _unavailable(path: Path, problem: Exception) -> Unusable:
    return Unusable(
        "STORE_UNAVAILABLE",
        str(path),
        f"it cannot be opened for writing: {problem}. Check that the path is right, this user may write there, "
        "and the disk has room",
    )
