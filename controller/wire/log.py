"""Log records and snapshots, to the bytes that any store keeps, and back: compressed, and in parts where large."""

import uuid
import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from google.protobuf.message import DecodeError

from controller.domain.log import MAX_ENTRY_BYTES, LogRecord
from controller.domain.snapshot import Changes, ElectionId
from controller.wire.documents import document_from_pb, document_to_pb, key_from_pb, key_to_pb
from controller.wire.stored_enums import NewerSchema, Undecodable
from qinet.store.v1 import document_pb2, log_pb2

FORMAT_VERSION: Final = 1
"""Of the log and of snapshots; what is above it is refused."""

SNAPSHOT_STEP_BYTES: Final = 16 * 1024
"""Documents are taken by so much at a time: few enough that one step, on top of a commit, holds nobody up."""

_COMPRESSION: Final = 1
"""The fastest: every commit waits for it, and a record is small."""
_ENVELOPE_BYTES: Final = 64


def record_to_pb(record: LogRecord) -> log_pb2.LogRecord:
    """Return the stored form of a record.

    Raises:
        InvalidValue: A document holds what cannot be stored.
    """
    changes = record.changes
    return log_pb2.LogRecord(
        revision=record.revision,
        election=log_pb2.ElectionId(epoch=record.election.epoch, term=record.election.term),
        writes=[
            log_pb2.Write(delete=key_to_pb(collection, key))
            if document is None
            else log_pb2.Write(put=document_to_pb(collection, key, document))
            for collection, key, document in changes.writes
        ],
        service_time_ms=changes.service_time_ms,
        network=None if changes.network is None else changes.network.bytes,
    )


def record_from_pb(stored: log_pb2.LogRecord) -> LogRecord:
    """Return the record of a stored form.

    Raises:
        NewerSchema: A later version of Qinet wrote it.
        Undecodable: It is damaged.
    """
    return LogRecord(
        revision=stored.revision,
        election=ElectionId(epoch=stored.election.epoch, term=stored.election.term),
        changes=Changes(
            writes=tuple(map(_write_from_pb, stored.writes)),
            service_time_ms=stored.service_time_ms if stored.HasField("service_time_ms") else None,
            network=_uuid(stored.network) if stored.HasField("network") else None,
        ),
    )


def _write_from_pb(write: log_pb2.Write) -> tuple[str, Any, Any]:
    match write.WhichOneof("action"):
        case "put":
            return document_from_pb(write.put)
        case "delete":
            return (*key_from_pb(write.delete), None)
        case _:
            raise NewerSchema("a write does what this version does not know")


def _uuid(stored: bytes) -> uuid.UUID:
    if len(stored) != 16:
        raise Undecodable(f"a UUID has {len(stored)} bytes, not 16")
    return uuid.UUID(bytes=stored)


def pack(stored: log_pb2.LogRecord, *, limit: int = MAX_ENTRY_BYTES) -> tuple[bytes, tuple[bytes, ...]]:
    """Return the log entry of a record, and the parts to stage before it: none unless it is too large.

    Args:
        stored: The record.
        limit: Most bytes of the entry, and of each part.
    """
    compressed = zlib.compress(stored.SerializeToString(deterministic=True), _COMPRESSION)
    if len(compressed) <= limit - _ENVELOPE_BYTES:
        return log_pb2.LogEntry(format_version=FORMAT_VERSION, record=compressed).SerializeToString(), ()
    parts = tuple(compressed[start : start + limit] for start in range(0, len(compressed), limit))
    entry = log_pb2.LogEntry(format_version=FORMAT_VERSION, staged_parts=len(parts))
    return entry.SerializeToString(), parts


def unpack(entry: bytes, revision: int, part: Callable[[int], bytes]) -> LogRecord:
    """Return the record of a log entry.

    Args:
        entry: What stands in the log.
        revision: Under which revision it stands there.
        part: Returns the staged part of that number.

    Raises:
        NewerSchema: A later version of Qinet wrote it.
        Undecodable: It is damaged.
    """
    try:
        envelope = log_pb2.LogEntry.FromString(entry)
        _known_format(envelope.format_version)
        match envelope.WhichOneof("content"):
            case "record":
                compressed = envelope.record
            case "staged_parts":
                compressed = b"".join(map(part, range(envelope.staged_parts)))
            case _:
                raise Undecodable("it holds no record")
        record = record_from_pb(log_pb2.LogRecord.FromString(_inflated(compressed)))
    except DecodeError as problem:
        raise Undecodable(f"it cannot be read: {problem}") from None
    if record.revision != revision:
        raise Undecodable(f"it holds the record of revision {record.revision}")
    return record


def _known_format(version: int) -> None:
    if version > FORMAT_VERSION:
        raise NewerSchema(f"it has format version {version}; this version knows up to {FORMAT_VERSION}")
    if version < 1:
        raise Undecodable("it has no format version")


def _inflated(compressed: bytes) -> bytes:
    try:
        return zlib.decompress(compressed)
    except zlib.error as problem:
        raise Undecodable(f"it cannot be decompressed: {problem}") from None


def snapshot_chunks(
    revision: int,
    service_time_ms: int,
    network: uuid.UUID,
    documents: Iterable[bytes],
    *,
    step_bytes: int = SNAPSHOT_STEP_BYTES,
) -> Iterator[bytes]:
    """Yield the chunks of a snapshot, each only when it is asked for, so that the work can be spread.

    A chunk has at most MAX_ENTRY_BYTES. An empty one is a step that gave nothing to write yet.

    Args:
        revision: Whose state it is.
        service_time_ms: Elapsed leader time, milliseconds.
        network: UUID of the network.
        documents: Stored bytes of every document.
        step_bytes: How much is taken of the documents from one chunk to the next.
    """
    stream = zlib.compressobj()
    # Serialised messages put end to end are one message with all their repeated fields: no need to build it whole.
    for message in _snapshot_messages(revision, service_time_ms, network, documents, step_bytes):
        yield from _cut(stream.compress(message.SerializeToString()))
    yield from _cut(stream.flush())


def _cut(compressed: bytes) -> Iterator[bytes]:
    for start in range(0, max(1, len(compressed)), MAX_ENTRY_BYTES):
        yield compressed[start : start + MAX_ENTRY_BYTES]


def _snapshot_messages(
    revision: int, service_time_ms: int, network: uuid.UUID, documents: Iterable[bytes], step_bytes: int
) -> Iterator[log_pb2.Snapshot]:
    yield log_pb2.Snapshot(revision=revision, service_time_ms=service_time_ms, network=network.bytes)
    batch: list[bytes] = []
    size = 0
    for document in documents:
        batch.append(document)
        size += len(document)
        if size >= step_bytes:
            yield log_pb2.Snapshot(documents=batch)
            batch, size = [], 0
    yield log_pb2.Snapshot(documents=batch)


def snapshot_pointer(revision: int, chunks: int) -> bytes:
    """Return the bytes that name the snapshot that holds."""
    pointer = log_pb2.SnapshotPointer(format_version=FORMAT_VERSION, revision=revision, chunks=chunks)
    return pointer.SerializeToString()


def pointed_at(pointer: bytes) -> tuple[int, int]:
    """Return (revision, number of chunks) of the snapshot that holds.

    Raises:
        NewerSchema: A later version of Qinet wrote it.
        Undecodable: It is damaged.
    """
    try:
        stored = log_pb2.SnapshotPointer.FromString(pointer)
    except DecodeError as problem:
        raise Undecodable(f"it cannot be read: {problem}") from None
    _known_format(stored.format_version)
    return stored.revision, stored.chunks


def snapshot_parts(chunks: Iterable[bytes]) -> log_pb2.Snapshot:
    """Return the stored snapshot whose chunks these are, in order.

    Raises:
        Undecodable: It is damaged.
    """
    try:
        return log_pb2.Snapshot.FromString(_inflated(b"".join(chunks)))
    except DecodeError as problem:
        raise Undecodable(f"it cannot be read: {problem}") from None


def changes_of_snapshot(stored: log_pb2.Snapshot) -> Changes:
    """Return a stored snapshot as the changes that make it of nothing.

    Raises:
        NewerSchema: A later version of Qinet wrote it.
        Undecodable: It is damaged.
    """
    try:
        documents = tuple(document_from_pb(document_pb2.Document.FromString(raw)) for raw in stored.documents)
    except DecodeError as problem:
        raise Undecodable(f"a document cannot be read: {problem}") from None
    return Changes(writes=documents, service_time_ms=stored.service_time_ms, network=_uuid(stored.network))
