"""What servicers share: who asks, and how creations, updates and deletions become requests of the writer."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Protocol

import grpc.aio
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message

from controller.domain.link import Link
from controller.domain.node import Node
from controller.domain.refusals import InvalidValue, NotFound
from controller.domain.snapshot import Document
from controller.identity.peers import peer_identity
from controller.northbound.status import cut
from controller.service.desk import Desk
from controller.service.published import Published
from controller.service.requests import Create, Delete, Request, Result, UpdateAdministration
from controller.wire.northbound_values import MAX_REQUEST_ID, Mistakes, body_sha256
from qinet.northbound.v1 import link_pb2, node_pb2

Context = grpc.aio.ServicerContext[Any, Any]
"""What a servicer knows of a call."""

_COLLECTIONS = {"keyRelays": "relays", "entanglementPaths": "paths"}
_ADMINISTRATIVE = ("admin_enabled", "maintenance")


def caller_of(context: Context) -> str:
    """Return the identity URI of who calls."""
    return peer_identity(context).uri


def id_in(collection: str, name: str) -> str:
    """Return the id inside a required resource name.

    Raises:
        InvalidValue: It is missing, or of another form.
    """
    mistakes = Mistakes()
    found = mistakes.id(collection, cut(name, 300), "name")
    mistakes.settle()
    return found


def found(published: Published, collection: str, name: str) -> Any:
    """Return the document of that resource name.

    Raises:
        InvalidValue: The name has another form.
        NotFound: There is none.
    """
    document = getattr(published.snapshot, _COLLECTIONS.get(collection, collection)).get(id_in(collection, name))
    if document is None:
        raise NotFound(cut(name, 300))
    return document


def new_id(text: str, field: str) -> str:
    """Return the id of something to create.

    Raises:
        InvalidValue: It is no DNS label.
    """
    mistakes = Mistakes()
    label = mistakes.new_label(text, field)
    mistakes.settle()
    return label


class Submits(Protocol):
    """Whoever has the writer decide: its desk, or who goes there in the end."""

    async def submit(self, request: Request) -> Result:
        """Return the writer's answer, or raise its refusal."""


async def create(desk: Submits, document: Document, request: Any, context: Context, *, named: bool = True) -> Result:
    """Have the writer create a document; the revision is 0 when nothing was to change.

    Args:
        desk: Takes it to the writer.
        document: What to create.
        request: The Create...Request, with request_id and validate_only.
        context: Of the call.
        named: Whether the client chose the id.

    Raises:
        Refusal: The writer's answer is no, or the request_id is too long.
    """
    if len(request.request_id) > MAX_REQUEST_ID:
        raise InvalidValue("", ("request_id", f"has {len(request.request_id)} characters; at most {MAX_REQUEST_ID}"))
    asked = Create(
        document=document,  # type: ignore[arg-type]  # the caller's is one of these
        caller=caller_of(context),
        validate_only=request.validate_only,
        request_id=request.request_id,
        body_sha256=body_sha256(request) if request.request_id else "",
        named=named,
    )
    return await changed(desk, asked)


async def changed(desk: Submits, asked: Request) -> Result:
    """Have the writer decide; the revision is 0 when nothing was to change.

    Raises:
        Refusal: The writer's answer is no.
    """
    result = await desk.submit(asked)
    return replace(result, revision=0) if asked.validate_only else result


async def delete(desk: Desk, collection: str, request: Any, context: Context) -> Result:
    """Have the writer delete what the request names.

    Raises:
        Refusal: The writer's answer is no, or the name is malformed.
    """
    return await desk.submit(
        Delete(
            collection=_COLLECTIONS.get(collection, collection),
            key=id_in(collection, request.name),
            etag=request.etag,
            caller=caller_of(context),
        )
    )


async def administer(
    desk: Desk, collection: str, resource: node_pb2.Node | link_pb2.Link, request: Any, context: Context
) -> Result:
    """Have the writer enable or disable a node or link, or put it into maintenance.

    Raises:
        Refusal: The writer's answer is no, or the mask names something else.
    """
    mask: FieldMask = request.update_mask
    values = _masked(resource, mask.paths if request.HasField("update_mask") else None)
    asked = UpdateAdministration(
        collection=collection,
        key=id_in(collection, resource.name),
        admin_enabled=values.get("admin_enabled"),
        maintenance=values.get("maintenance"),
        etag=resource.etag,
        caller=caller_of(context),
        validate_only=request.validate_only,
    )
    return await changed(desk, asked)


def _masked(resource: Message, paths: Iterable[str] | None) -> dict[str, bool]:
    if paths is None:
        return {name: getattr(resource, name) for name in _ADMINISTRATIVE if resource.HasField(name)}
    mistakes = Mistakes()
    changed: dict[str, bool] = {}
    for path in paths:
        if path not in _ADMINISTRATIVE:
            mistakes.add(
                "update_mask",
                f"{path[:80]!r} cannot be updated; {' and '.join(_ADMINISTRATIVE)} can (or apply a topology)",
            )
        elif not resource.HasField(path):
            mistakes.add("update_mask", f"names {path}, which has no value")
        else:
            changed[path] = getattr(resource, path)
    mistakes.settle()
    return changed


def as_node(result: Result) -> Node:
    """Return the node that the writer answered with."""
    assert isinstance(result.document, Node)
    return result.document


def as_link(result: Result) -> Link:
    """Return the link that the writer answered with."""
    assert isinstance(result.document, Link)
    return result.document
