"""What the store in a file owes besides: one holder, kill -9, damage, versions, backups, a full disk."""

import json
import logging
import os
import random
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from controller.domain.application import Sae
from controller.domain.snapshot import put
from controller.ports.store import OutcomeUnknown, Unusable
from controller.store.sqlite import SqliteStore
from tests.contract.test_store import append, sae

OTHER_PROCESS = """
import sys
from pathlib import Path
from controller.store.sqlite import SqliteStore
from tests.contract.test_store import append, sae
store = SqliteStore(Path(sys.argv[1]), compact_every_records=5, keep_records=7)
print(store.open_term(), flush=True)
for number in range(1, int(sys.argv[2]) + 1):
    print(append(store, sae(number)), flush=True)
sys.stdin.read()
"""

WITHOUT_ROOM = """
import resource, sys
from pathlib import Path
from controller.domain.application import Sae
from controller.domain.snapshot import put
from controller.ports.store import OutcomeUnknown
from controller.store.sqlite import SqliteStore
from tests.contract.test_store import append, sae
path = Path(sys.argv[1])
store = SqliteStore(path)
append(store, sae(1))
used = Path(f"{path}-wal").stat().st_size
resource.setrlimit(resource.RLIMIT_FSIZE, (used + 9000, resource.RLIM_INFINITY))
acknowledged = 1
try:
    while acknowledged < 1000:
        acknowledged = append(store, sae(acknowledged + 1))
except OutcomeUnknown as first:
    print(first)
try:
    append(store, sae(acknowledged + 1))
except OutcomeUnknown:
    pass
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
# Both are possible: SQLite may fail on what it writes after the record.
assert store.head() in (acknowledged, acknowledged + 1)
print(store.head())
assert append(store, sae(5000)) == store.head()
"""


@contextmanager
def other_process(path: Path, commits: int) -> Iterator[subprocess.Popen[str]]:
    """Run a process that commits to the store and then holds it; it is gone afterwards."""
    process = subprocess.Popen(
        [sys.executable, "-c", OTHER_PROCESS, str(path), str(commits)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def acknowledged_by(process: subprocess.Popen[str], commits: int) -> None:
    assert process.stdout is not None
    for _ in range(commits + 1):
        assert process.stdout.readline()


def killed_store(path: Path, commits: int) -> None:
    """Leave a store as a controller that is killed outright leaves it."""
    with other_process(path, commits) as process:
        acknowledged_by(process, commits)
        process.send_signal(signal.SIGKILL)
        process.wait()


def refusal(path: Path) -> Unusable:
    with pytest.raises(Unusable) as refused:
        SqliteStore(path)
    assert str(path) in refused.value.message
    return refused.value


def kept_store(path: Path, commits: int) -> None:
    store = SqliteStore(path, compact_every_records=5, keep_records=2)
    store.open_term()
    for number in range(1, commits + 1):
        append(store, sae(number))
    store.close()


def edit(path: Path, statement: str, *values: object) -> None:
    db = sqlite3.connect(path)
    with db:
        db.execute(statement, values)
    db.close()


# One holder


def test_a_second_controller_on_the_same_store_is_refused_with_its_name(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with other_process(path, 1) as process:
        acknowledged_by(process, 1)
        refused = refusal(path)
        assert refused.reason == "STORE_HELD"
        assert f"another controller (process {process.pid}) holds it" in refused.message


def test_another_name_of_the_same_store_is_no_way_around(tmp_path: Path) -> None:
    path, link = tmp_path / "store.db", tmp_path / "other.db"
    link.symlink_to(path)
    with other_process(path, 1) as process:
        acknowledged_by(process, 1)
        assert refusal(path).reason == "STORE_HELD"
        with pytest.raises(Unusable, match="another controller"):
            SqliteStore(link)


def test_a_hard_link_is_no_way_around_either(tmp_path: Path) -> None:
    path, link = tmp_path / "store.db", tmp_path / "elsewhere" / "other.db"
    with other_process(path, 1) as process:
        acknowledged_by(process, 1)
        link.parent.mkdir()
        link.hardlink_to(path)
        refused = refusal(link)
        assert refused.reason == "STORE_HELD"
        assert "another program has it open" in refused.message


def test_a_store_is_free_as_soon_as_its_holder_is_killed_or_closes_it(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    killed_store(path, 1)
    for _ in range(2):
        store = SqliteStore(path)
        assert store.head() == 1
        store.close()


def test_a_store_that_could_not_be_opened_is_not_held(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    path.write_bytes(b"no database at all, but long enough to be looked at" * 100)
    assert refusal(path).reason == "STORE_CORRUPT"
    path.unlink()
    SqliteStore(path).close()


def test_the_files_are_for_this_user_alone(tmp_path: Path) -> None:
    path = tmp_path / "new" / "store.db"
    before = os.umask(0)
    try:
        store = SqliteStore(path)
        append(store, sae(1))
    finally:
        os.umask(before)
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    assert modes == {"store.db": 0o600, "store.db-wal": 0o600, "store.db.lock": 0o600}
    store.close()


def test_a_path_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    refused = refusal(tmp_path / "file" / "store.db")
    assert refused.reason == "STORE_UNAVAILABLE"


def test_no_more_than_the_last_folder_is_made(tmp_path: Path) -> None:
    refused = refusal(tmp_path / "mistyped" / "folder" / "store.db")
    assert refused.reason == "STORE_UNAVAILABLE"
    assert str(tmp_path / "mistyped") in refused.message
    assert not list(tmp_path.iterdir())


# kill -9 and torn writes


@pytest.mark.parametrize("commits", [1, 4, 33])
def test_what_was_acknowledged_survives_kill_9(tmp_path: Path, commits: int) -> None:
    path = tmp_path / "store.db"
    killed_store(path, commits)
    store = SqliteStore(path)
    loaded = store.load()
    assert set(loaded.snapshot.saes) == {f"sae-{number}" for number in range(1, commits + 1)}
    assert loaded.revision == commits
    assert store.open_term().term == 2
    assert loaded.epoch == 1
    store.close()


@pytest.mark.parametrize("read", [3, 17, 40])
def test_a_kill_in_the_middle_of_commits_loses_nothing_acknowledged(tmp_path: Path, read: int) -> None:
    path = tmp_path / "store.db"
    with other_process(path, 1_000_000) as process:
        acknowledged_by(process, read)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert process.stdout is not None
        # The pipe may end in half a line: that one was not told.
        told = [int(line) for line in process.stdout if line.endswith("\n")]
    store = SqliteStore(path)
    loaded = store.load()
    assert loaded.revision >= max(told, default=read)
    assert set(loaded.snapshot.saes) == {f"sae-{number}" for number in range(1, loaded.revision + 1)}
    store.close()


def test_a_torn_end_of_the_write_ahead_log_costs_whole_records_only(tmp_path: Path) -> None:
    path = tmp_path / "killed" / "store.db"
    killed_store(path, 6)
    size = Path(f"{path}-wal").stat().st_size
    heads = []
    for lost in (0, 1, 4096, 9000, 30_000, size - 40):
        torn = tmp_path / f"torn-{lost}" / "store.db"
        shutil.copytree(path.parent, torn.parent)
        os.truncate(f"{torn}-wal", size - lost)
        store = SqliteStore(torn)
        loaded = store.load()
        assert set(loaded.snapshot.saes) == {f"sae-{number}" for number in range(1, loaded.revision + 1)}
        heads.append(loaded.revision)
        assert append(store, sae(99)) == loaded.revision + 1
        store.close()
    assert heads[0] == 6
    assert heads == sorted(heads, reverse=True)
    assert heads[-1] == 0


def test_rubbish_after_the_write_ahead_log_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    killed_store(path, 6)
    with Path(f"{path}-wal").open("ab") as wal:
        wal.write(os.urandom(5000))
    store = SqliteStore(path)
    assert store.load().revision == 6
    store.close()


def test_a_disk_without_room_leaves_the_outcome_unknown_until_the_head_is_asked(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_ROOM, str(path)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    said, settled = done.stdout.splitlines()
    assert str(path) in said
    store = SqliteStore(path)
    loaded = store.load()
    expected = {*(f"sae-{number}" for number in range(1, int(settled) + 1)), "sae-5000"}
    assert set(loaded.snapshot.saes) == expected
    store.close()


def test_a_head_that_cannot_be_asked_stays_unknown_until_it_can(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    store = SqliteStore(path)
    append(store, sae(1))
    # The file is taken away and the connection fails: the disk is gone.
    store._db.close()
    path.rename(tmp_path / "away.db")
    for attempt in (lambda: append(store, sae(2)), store.head, store.head, store.load, store.open_term):
        with pytest.raises(OutcomeUnknown):
            attempt()
    (tmp_path / "away.db").rename(path)
    assert store.head() == 1
    assert append(store, sae(2)) == 2
    store.close()


# Snapshots


def test_the_log_is_cut_and_the_state_is_not(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    kept_store(path, 100)
    db = sqlite3.connect(path)
    (records,) = db.execute("SELECT count(*) FROM log").fetchone()
    (snapshots,) = db.execute("SELECT count(DISTINCT revision) FROM chunk").fetchone()
    db.close()
    assert 2 <= records <= 12
    assert 1 <= snapshots <= 2
    store = SqliteStore(path)
    assert set(store.load().snapshot.saes) == {f"sae-{number}" for number in range(1, 101)}
    store.close()


@pytest.mark.parametrize("restart_at", [None, 20])
def test_a_snapshot_of_many_chunks_is_spread_over_commits(tmp_path: Path, restart_at: int | None) -> None:
    path = tmp_path / "store.db"
    noise = random.Random(5)
    many = [Sae(id=f"s{number}", node=f"{noise.getrandbits(240):060x}") for number in range(8_000)]

    # given a state of several chunks, committed at once
    store = SqliteStore(path, compact_every_records=3, keep_records=1)
    append(store, put(*many))

    # when commits go on, over a restart in the middle of a snapshot or not
    for revision in range(2, 111):
        append(store, sae(revision))
        if revision == restart_at:
            store.close()
            store = SqliteStore(path, compact_every_records=3, keep_records=1)
    store.close()

    # then a whole snapshot has come about, and with it everything is there
    db = sqlite3.connect(path)
    (oldest,) = db.execute("SELECT min(revision) FROM log").fetchone()
    (chunks,) = db.execute("SELECT max(chunk) FROM chunk").fetchone()
    db.close()
    assert oldest > 10
    assert chunks >= 3
    store = SqliteStore(path)
    assert len(store.load().snapshot.saes) == 8_000 + 109
    store.close()


# Damage, foreign files, versions


def test_a_damaged_file_is_named_with_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    kept_store(path, 40)
    content = bytearray(path.read_bytes())
    content[4096:8192] = os.urandom(4096)
    path.write_bytes(content)
    refused = refusal(path)
    assert refused.reason == "STORE_CORRUPT"
    assert "newest backup" in refused.message
    assert path.read_bytes() == bytes(content)


@pytest.mark.parametrize(
    ("statement", "what"),
    [
        ("UPDATE log SET entry = x'00' WHERE revision = (SELECT max(revision) FROM log)", "log record 40"),
        ("DELETE FROM log WHERE revision = 39", "log record 39: it is missing"),
        ("DELETE FROM chunk", "the snapshot: it has 0 of 2 chunks"),
        ("UPDATE chunk SET bytes = x'0000'", "the snapshot: it cannot be decompressed"),
        ("UPDATE meta SET value = x'FF' WHERE name = 'snapshot'", "the snapshot"),
    ],
)
def test_a_damaged_record_is_named_with_what_to_do(tmp_path: Path, statement: str, what: str) -> None:
    path = tmp_path / "store.db"
    kept_store(path, 40)
    edit(path, statement)
    refused = refusal(path)
    assert refused.reason == "STORE_CORRUPT"
    assert f"it is damaged: {what}" in refused.message


def test_a_store_of_a_later_format_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    kept_store(path, 3)
    edit(path, "PRAGMA user_version = 2")
    before = path.read_bytes()
    refused = refusal(path)
    assert refused.reason == "STORE_NEWER"
    assert "format version 2; this version knows up to 1" in refused.message
    assert path.read_bytes() == before


def test_a_record_of_a_later_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    kept_store(path, 3)
    later = b"\x08\x02"  # format_version = 2
    edit(path, "INSERT INTO log VALUES (4, ?)", later)
    refused = refusal(path)
    assert refused.reason == "STORE_NEWER"
    assert "log record 4" in refused.message


def test_a_database_of_another_program_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    edit(path, "CREATE TABLE theirs (a)")
    before = path.read_bytes()
    assert refusal(path).reason == "STORE_FOREIGN"
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


# Backups


def test_a_restored_backup_raises_the_epoch_by_itself(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    # given a backup, and a life after it
    path, backup = tmp_path / "store.db", tmp_path / "backup.db"
    kept_store(path, 3)
    shutil.copy(path, backup)
    kept_store(path, 3)
    store = SqliteStore(path)
    last = store.open_term()
    before = store.load()
    store.close()

    # when the backup is copied over the store
    shutil.copyfile(backup, path)
    with caplog.at_level(logging.WARNING):
        store = SqliteStore(path)

    # then all that was told to agents before is beaten
    assert store.open_term() > last
    after = store.load()
    assert (after.revision, after.epoch) == (3, 2)
    assert after.store_id != before.store_id
    assert "epoch raised" in caplog.text
    store.close()

    # and only once
    store = SqliteStore(path)
    assert store.load().epoch == 2
    store.close()


def test_restoring_the_same_backup_again_raises_the_epoch_above_the_first_time(tmp_path: Path) -> None:
    path, backup = tmp_path / "store.db", tmp_path / "backup.db"
    kept_store(path, 1)
    shutil.copy(path, backup)
    elections = []
    for _ in range(3):
        store = SqliteStore(path)
        elections.append(store.open_term())
        store.close()
        path.unlink()
        shutil.copy(backup, path)
    assert elections == sorted(set(elections))
    assert [election.epoch for election in elections] == [1, 2, 3]


def test_a_moved_store_raises_the_epoch(tmp_path: Path) -> None:
    path, moved = tmp_path / "store.db", tmp_path / "elsewhere" / "store.db"
    kept_store(path, 1)
    moved.parent.mkdir()
    path.rename(moved)
    store = SqliteStore(moved)
    assert store.load().epoch == 2
    store.close()


def test_a_store_begun_anew_in_the_place_of_a_lost_one_raises_the_epoch(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    kept_store(path, 1)
    path.unlink()
    store = SqliteStore(path)
    assert store.load().epoch == 2
    assert store.head() == 0
    store.close()


@pytest.mark.parametrize("mark", [b"", b"{", json.dumps({"pid": 1}).encode(), b"\xff" * 600])
def test_an_illegible_mark_raises_the_epoch_rather_than_not(tmp_path: Path, mark: bytes) -> None:
    path = tmp_path / "store.db"
    kept_store(path, 1)
    Path(f"{path}.lock").write_bytes(mark)
    store = SqliteStore(path)
    assert store.load().epoch == 2
    store.close()
