"""What an agent keeps: whole transactions, one process, one node; erased key is gone from the file."""

import sqlite3
from pathlib import Path

import pytest

from southbound.agent.clock import Stamp
from southbound.agent.keyplane.events import Append, Erase, Persist, Record
from southbound.agent.keyplane.ledger import LedgerEntry, LedgerKind
from southbound.agent.storage import (
    DropEntry,
    PutEntry,
    PutValue,
    Storage,
    Stored,
    StoreRefused,
    Write,
    reset_election,
)

STAMP = Stamp(service_s=1.5, boot_id="b", boot_s=2.0, wall_ms=3)


async def written(directory: Path, *writes: Write) -> None:
    storage = await Storage.open(directory, "a")
    try:
        await storage.commit(writes, STAMP)
    finally:
        await storage.close()


async def read(directory: Path) -> Stored:
    storage = await Storage.open(directory, "a")
    await storage.close()
    return storage.stored


async def test_what_was_committed_is_there_after_a_restart(tmp_path: Path) -> None:
    first = Record("block", "1", "{}", b"\x00\x01")
    await written(
        tmp_path,
        Persist(first),
        Persist(Record("block", "2", "{}", b"gone")),
        Persist(Record("block", "1", '{"x": 1}', b"\x02")),
        Erase("block", "2"),
        Erase("block", "3"),
        PutEntry("links/l", b"content", 12.5),
        PutEntry("links/m", b"", None),
        DropEntry("links/m"),
        PutValue("election", "[1, 2]"),
        Append(LedgerEntry(kind=LedgerKind.BLOCK, at_s=1.0, link="l", block=0)),
    )
    stored = await read(tmp_path)
    assert stored.records == (Record("block", "1", '{"x": 1}', b"\x02"),)
    assert stored.entries == (PutEntry("links/l", b"content", 12.5),)
    assert stored.values["election"] == "[1, 2]"
    assert stored.stamp == STAMP
    storage = await Storage.open(tmp_path, "a")
    assert await storage.ledger() == [{"kind": "BLOCK", "at_s": 1.0, "link": "l", "block": 0}]
    assert storage.stored.store_id == stored.store_id
    await storage.close()


async def test_a_transaction_that_fails_leaves_nothing(tmp_path: Path) -> None:
    storage = await Storage.open(tmp_path, "a")
    bad = Persist(Record("t", "k", None, b""))  # type: ignore[arg-type]
    with pytest.raises(sqlite3.Error):
        await storage.commit([PutValue("x", "1"), bad], STAMP)
    await storage.close()
    assert "x" not in (await read(tmp_path)).values


async def test_only_its_owner_can_read_it(tmp_path: Path) -> None:
    storage = await Storage.open(tmp_path / "state", "a")
    await storage.commit([PutValue("x", "1")], STAMP)
    modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "state").iterdir()}
    assert set(modes.values()) == {0o600}
    assert (tmp_path / "state").stat().st_mode & 0o777 == 0o700
    await storage.close()


async def test_erased_and_replaced_key_is_gone_from_the_disk_when_the_store_is_closed(tmp_path: Path) -> None:
    secrets = [bytes([number]) * 5000 for number in (0xA1, 0xB2, 0xC3)]
    await written(tmp_path, *(Persist(Record("key", str(n), "{}", secret)) for n, secret in enumerate(secrets)))
    await written(tmp_path, Erase("key", "0"), Persist(Record("key", "1", "{}", b"")))
    disk = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert secrets[0][:64] not in disk
    assert secrets[1][:64] not in disk
    assert secrets[2][:64] in disk


async def test_erased_key_does_not_stay_in_the_log_of_a_store_that_is_not_closed(tmp_path: Path) -> None:
    storage = await Storage.open(tmp_path, "a")
    secret = b"\xd4" * 3000
    await storage.commit([Persist(Record("key", "0", "{}", secret))], STAMP)
    await storage.commit([Erase("key", "0"), *(Erase("key", str(number)) for number in range(300))], STAMP)
    disk = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert secret[:64] not in disk
    await storage.close()


async def test_a_store_has_one_process_and_one_node(tmp_path: Path) -> None:
    storage = await Storage.open(tmp_path, "a")
    with pytest.raises(StoreRefused) as held:
        await Storage.open(tmp_path, "a")
    with pytest.raises(StoreRefused):
        reset_election(tmp_path)
    await storage.close()
    with pytest.raises(StoreRefused) as other:
        await Storage.open(tmp_path, "b")
    assert (held.value.reason, other.value.reason) == ("STORE_HELD", "STORE_OF_ANOTHER_NODE")


async def test_a_store_of_another_version_or_of_nobody_is_refused(tmp_path: Path) -> None:
    for name, version in (("later", 99), ("older", 1)):
        await written(tmp_path / name)
        db = sqlite3.connect(tmp_path / name / "agent.sqlite")
        db.execute(f"PRAGMA user_version = {version}")
        db.close()
    (tmp_path / "junk").mkdir()
    (tmp_path / "junk" / "agent.sqlite").write_bytes(b"no database" * 100)
    (tmp_path / "file").write_text("")
    for name, reason in (
        ("later", "STORE_NEWER"),
        ("older", "STORE_OLDER"),
        ("junk", "STORE_CORRUPT"),
        ("file", "STORE_UNAVAILABLE"),
    ):
        with pytest.raises(StoreRefused) as refusal:
            await Storage.open(tmp_path / name, "a")
        assert refusal.value.reason == reason
        assert str(tmp_path / name) in refusal.value.message


async def test_the_election_can_be_reset_only_where_an_agent_was(tmp_path: Path) -> None:
    with pytest.raises(StoreRefused):
        reset_election(tmp_path / "nowhere")
    assert not (tmp_path / "nowhere").exists()
    await written(tmp_path, PutValue("election", "[3, 4]"))
    assert reset_election(tmp_path) == "[3, 4]"
    assert reset_election(tmp_path) is None
    assert (await read(tmp_path)).values["node"] == "a"


async def test_old_lines_of_the_ledger_are_left_out_and_it_says_up_to_where(tmp_path: Path) -> None:
    def lines(first: int, last: int) -> list[Append]:
        return [
            Append(entry)
            for number in range(first, last)
            for entry in (
                LedgerEntry(kind=LedgerKind.BLOCK, at_s=number, link="l", neighbour="b", block=number),
                LedgerEntry(kind=LedgerKind.CHUNK, at_s=number, relay="r", origin="a", chunk_id=10 * number),
                LedgerEntry(kind=LedgerKind.KEY, at_s=number, relay="r", key_id=str(number)),
            )
        ]

    storage = await Storage.open(tmp_path, "a")
    await storage.commit(lines(0, 10), STAMP)
    assert await storage.trim(4.0) == 12
    assert await storage.trim(4.0) == 0
    await storage.commit(lines(10, 12), STAMP)
    assert await storage.trim(0.0, lines_most=6) == 18
    await storage.close()
    storage = await Storage.open(tmp_path, "a")
    ledger = await storage.ledger()
    await storage.close()
    assert [line["at_s"] for line in ledger] == [9.0, 9.0, 9.0, *(at for at in (10.0, 11.0) for _ in range(3))]
    assert [(line["kind"], line.get("block"), line.get("chunk_id")) for line in ledger[:3]] == [
        ("CLOSED", None, -1),
        ("CLOSED", None, 90),
        ("CLOSED", 9, None),
    ]
