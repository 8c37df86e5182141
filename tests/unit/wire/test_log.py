import random
import uuid
import zlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.domain.application import Sae
from controller.domain.log import MAX_ENTRY_BYTES, LogRecord
from controller.domain.snapshot import NO_CHANGES, Changes, ElectionId, put
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
from qinet.store.v1 import log_pb2
from tests.unit.wire.document_strategies import deletes, times_ms, writes

ELECTION = ElectionId(epoch=1, term=1)
SAES = put(*(Sae(id=f"sae-{number}", node="a") for number in range(200)))


def no_part(number: int) -> bytes:
    raise AssertionError(f"part {number} was asked for")


@given(st.lists(writes | deletes, max_size=4), st.none() | times_ms, st.none() | st.uuids(), st.integers(1, 2**63))
@settings(max_examples=100)
def test_a_record_comes_back_as_it_went_in(
    written: list[Any], service_time_ms: int | None, network: uuid.UUID | None, revision: int
) -> None:
    record = LogRecord(
        revision=revision,
        election=ElectionId(epoch=2**64 - 1, term=revision),
        changes=Changes(writes=tuple(written), service_time_ms=service_time_ms, network=network),
    )
    entry, parts = pack(record_to_pb(record))
    assert parts == ()
    assert unpack(entry, revision, no_part) == record


def test_a_record_beyond_one_entry_is_staged_in_parts_of_at_most_1_mib() -> None:
    noise = random.Random(7)
    agents = [Sae(id=f"s{number}", node=f"{noise.getrandbits(240):060x}") for number in range(50_000)]
    record = LogRecord(revision=1, election=ELECTION, changes=put(*agents))

    entry, parts = pack(record_to_pb(record))

    assert len(entry) < 100
    assert len(parts) > 1
    assert max(map(len, parts)) <= MAX_ENTRY_BYTES
    assert unpack(entry, 1, parts.__getitem__) == record


@given(st.integers(65, 4000))
@settings(max_examples=50)
def test_no_entry_and_no_part_is_above_the_limit(limit: int) -> None:
    record = LogRecord(revision=1, election=ELECTION, changes=SAES)
    entry, parts = pack(record_to_pb(record), limit=limit)
    assert max(map(len, (entry, *parts))) <= limit
    assert unpack(entry, 1, parts.__getitem__) == record


@given(st.binary(max_size=200), st.integers(0, 199), st.integers(1, 255))
@settings(max_examples=200)
def test_damage_to_an_entry_is_noticed_or_harmless(noise: bytes, place: int, flip: int) -> None:
    record = LogRecord(revision=3, election=ELECTION, changes=put(Sae(id="a", node="b")))
    entry = bytearray(pack(record_to_pb(record))[0])
    entry[place % len(entry)] ^= flip
    for damaged in (bytes(entry), noise):
        try:
            found = unpack(damaged, 3, no_part)
        except (Undecodable, AssertionError):
            continue
        assert found == record


def test_an_entry_under_another_revision_is_damage() -> None:
    entry, _ = pack(record_to_pb(LogRecord(revision=3, election=ELECTION, changes=NO_CHANGES)))
    with pytest.raises(Undecodable, match="revision 3"):
        unpack(entry, 4, no_part)


def test_an_entry_of_a_later_format_is_refused_with_both_versions() -> None:
    entry = log_pb2.LogEntry(format_version=2, record=zlib.compress(b"")).SerializeToString()
    with pytest.raises(NewerSchema, match="format version 2; this version knows up to 1"):
        unpack(entry, 1, no_part)


def test_a_write_that_is_not_known_is_of_a_later_version() -> None:
    stored = log_pb2.LogRecord(revision=1, writes=[log_pb2.Write()])
    with pytest.raises(NewerSchema):
        unpack(pack(stored)[0], 1, no_part)


@given(st.lists(writes, max_size=6), times_ms, st.uuids(), st.integers(1, 500))
@settings(max_examples=50)
def test_a_snapshot_comes_back_from_its_chunks(
    written: list[Any], service_time_ms: int, network: uuid.UUID, step_bytes: int
) -> None:
    documents = [encode(*write) for write in written]
    chunks = list(snapshot_chunks(9, service_time_ms, network, documents, step_bytes=step_bytes))
    assert max(map(len, chunks)) <= MAX_ENTRY_BYTES
    stored = snapshot_parts(chunks)
    assert stored.revision == 9
    assert changes_of_snapshot(stored) == Changes(
        writes=tuple(written), service_time_ms=service_time_ms, network=network
    )


def test_a_snapshot_without_its_last_chunk_is_damage() -> None:
    documents = [encode(*write) for write in SAES.writes]
    *most, _ = snapshot_chunks(9, 0, uuid.UUID(int=1), documents, step_bytes=100)
    with pytest.raises(Undecodable):
        snapshot_parts(most)


def test_the_pointer_names_revision_and_chunks() -> None:
    assert pointed_at(snapshot_pointer(2**60, 17)) == (2**60, 17)


def test_a_pointer_of_a_later_format_is_refused() -> None:
    with pytest.raises(NewerSchema):
        pointed_at(log_pb2.SnapshotPointer(format_version=2, revision=1, chunks=1).SerializeToString())
