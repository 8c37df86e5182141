"""Any document of the snapshot, to stored bytes and back: exact, deterministic, with the version of its schema."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, NoReturn

from google.protobuf.message import DecodeError

from controller.domain.link import LinkCondition
from controller.domain.refusals import InvalidValue
from controller.domain.snapshot import COLLECTIONS, document_key
from controller.wire.stored_enums import NewerSchema, Undecodable
from controller.wire.stored_network import (
    condition_from_pb,
    condition_to_pb,
    link_from_pb,
    link_to_pb,
    node_from_pb,
    node_to_pb,
)
from controller.wire.stored_operation import (
    agent_from_pb,
    agent_to_pb,
    alarm_from_pb,
    alarm_to_pb,
    freeze_from_pb,
    freeze_to_pb,
    request_from_pb,
    request_to_pb,
)
from controller.wire.stored_path import path_from_pb, path_to_pb
from controller.wire.stored_placement import placement_from_pb, placement_to_pb
from controller.wire.stored_service import (
    application_from_pb,
    application_to_pb,
    history_from_pb,
    history_to_pb,
    relay_from_pb,
    relay_to_pb,
    sae_from_pb,
    sae_to_pb,
)
from qinet.store.v1 import document_pb2 as pb


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kind:
    """How one kind of document is kept.

    Attributes:
        body: Its field of the stored Document.
        schema_version: The newest that is known, and the one that is written. It rises where an added field
            changes what the others mean; `load` then converts the earlier ones.
    """

    body: str
    schema_version: int
    save: Callable[[Any, Any], Any]
    load: Callable[[Any], Any]
    key_parts: int = 1


def _kind(body: str, save: Callable[[Any], Any], load: Callable[[Any], Any], *, key_parts: int = 1) -> _Kind:
    return _Kind(body=body, schema_version=1, save=lambda _, value: save(value), load=load, key_parts=key_parts)


_KINDS: Final = {
    "nodes": _kind("node", node_to_pb, node_from_pb),
    "links": _kind("link", link_to_pb, link_from_pb),
    "conditions": _Kind(body="condition", schema_version=1, save=condition_to_pb, load=condition_from_pb),
    "applications": _kind("application", application_to_pb, application_from_pb),
    "saes": _kind("sae", sae_to_pb, sae_from_pb),
    "relays": _kind("relay", relay_to_pb, relay_from_pb),
    "paths": _kind("path", path_to_pb, path_from_pb),
    "agents": _kind("agent", agent_to_pb, agent_from_pb),
    "requests": _kind("request", request_to_pb, request_from_pb, key_parts=2),
    "alarms": _kind("alarm", alarm_to_pb, alarm_from_pb, key_parts=3),
    "histories": _kind("history", history_to_pb, history_from_pb),
    "freezes": _kind("freeze", freeze_to_pb, freeze_from_pb),
    "placements": _kind("placement", placement_to_pb, placement_from_pb),
}
_COLLECTION_OF_BODY: Final = {kind.body: collection for collection, kind in _KINDS.items()}
_NUMBER: Final[dict[str, Any]] = {name: pb.Collection.Value(f"COLLECTION_{name.upper()}") for name in COLLECTIONS}
_COLLECTION_OF_NUMBER: Final = {number: name for name, number in _NUMBER.items()}


def _refuse(collection: str, key: Any, why: Exception) -> NoReturn:
    where = "/".join(key) if isinstance(key, tuple) else key
    # A text that is no Unicode cannot be shown either.
    where = f"{collection}/{where}".encode(errors="backslashreplace").decode()
    raise InvalidValue(where, ("document", f"cannot be stored: {why}")) from None


def document_to_pb(collection: str, key: Any, document: Any) -> pb.Document:
    """Return the stored form of a document.

    Raises:
        InvalidValue: A value does not fit, as a number beyond its width or a text that is no Unicode.
    """
    kind = _KINDS[collection]
    if not isinstance(document, LinkCondition) and document_key(document) != key:
        raise ValueError(f"{document_key(document)!r} is written to {collection} under the key {key!r}")
    try:
        return pb.Document(schema_version=kind.schema_version, **{kind.body: kind.save(key, document)})
    except ValueError as problem:
        _refuse(collection, key, problem)


def document_from_pb(stored: pb.Document) -> tuple[str, Any, Any]:
    """Return (collection, key, document) of a stored form.

    Raises:
        NewerSchema: A later version of Qinet wrote it.
        Undecodable: It is damaged.
    """
    body = stored.WhichOneof("body")
    if body is None:
        # A kind of document that only a later version knows looks like no body at all.
        raise NewerSchema("a document is of a kind that this version does not know")
    kind = _KINDS[_COLLECTION_OF_BODY[body]]
    if stored.schema_version > kind.schema_version:
        raise NewerSchema(
            f"a {body} has schema version {stored.schema_version}; this version knows up to {kind.schema_version}"
        )
    if stored.schema_version < 1:
        raise Undecodable(f"a {body} has no schema version")
    message = getattr(stored, body)
    try:
        document = kind.load(message)
    except InvalidValue as refusal:
        raise Undecodable(f"a {body} is not valid: {refusal.message}") from None
    key = message.link if body == "condition" else document_key(document)
    return _COLLECTION_OF_BODY[body], key, document


def encode(collection: str, key: Any, document: Any) -> bytes:
    """Return the stored bytes of a document; equal documents give equal bytes.

    Raises:
        InvalidValue: A value does not fit, as a number beyond its width or a text that is no Unicode.
    """
    return document_to_pb(collection, key, document).SerializeToString(deterministic=True)


def decode(stored: bytes) -> tuple[str, Any, Any]:
    """Return (collection, key, document) of stored bytes.

    Raises:
        NewerSchema: A later version of Qinet wrote them.
        Undecodable: They are damaged.
    """
    try:
        return document_from_pb(pb.Document.FromString(stored))
    except DecodeError as problem:
        raise Undecodable(f"a document cannot be read: {problem}") from None


def key_to_pb(collection: str, key: Any) -> pb.DocumentKey:
    """Return the stored form of the key of a deleted document.

    Raises:
        InvalidValue: It is no Unicode.
    """
    try:
        return pb.DocumentKey(collection=_NUMBER[collection], parts=key if isinstance(key, tuple) else (key,))
    except ValueError as problem:
        _refuse(collection, key, problem)


def key_from_pb(stored: pb.DocumentKey) -> tuple[str, Any]:
    """Return (collection, key) of a stored key.

    Raises:
        NewerSchema: It is in a collection that only a later version knows.
        Undecodable: It is damaged.
    """
    if stored.collection == pb.COLLECTION_UNSPECIFIED:
        raise Undecodable("a deleted document has no collection")
    if stored.collection not in _COLLECTION_OF_NUMBER:
        raise NewerSchema(f"collection {stored.collection} is none that this version knows")
    collection = _COLLECTION_OF_NUMBER[stored.collection]
    if len(stored.parts) != _KINDS[collection].key_parts:
        raise Undecodable(f"a key of {collection} has {len(stored.parts)} parts")
    return collection, tuple(stored.parts) if len(stored.parts) > 1 else stored.parts[0]
