"""Decides an operator's request: finds its desk, and keeps request ids and etags."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from controller.domain.application import Application, Sae
from controller.domain.entanglement_path import EntanglementPath
from controller.domain.etag import etag
from controller.domain.key_relay import KeyRelay
from controller.domain.link import Link
from controller.domain.node import Node
from controller.domain.prediction import PredictedMove
from controller.domain.refusals import AlreadyExists, NotFound, Precondition
from controller.domain.service import Service
from controller.domain.snapshot import NO_CHANGES, Changes, RequestRecord, Snapshot, document_key, put
from controller.service.application_desk import (
    add_sae,
    create_application,
    delete_application,
    delete_sae,
    update_application,
)
from controller.service.key_link_desk import check_not_needed, key_link_follows
from controller.service.lifecycle import removed
from controller.service.maintenance_desk import drain, drained, set_freeze
from controller.service.path_desk import create_path, redeploy_path, update_path
from controller.service.placement_desk import cancel, carry_out, store_placement
from controller.service.proposals import Seek, proposed, sought_soon
from controller.service.relay_desk import check_etag, create_relay
from controller.service.relay_update import redeploy_relay, update_relay
from controller.service.requests import (
    ApplyTopology,
    CancelPlacement,
    CarryOutPlacement,
    Create,
    Delete,
    Drain,
    RedeployPath,
    RedeployRelay,
    Request,
    Result,
    SetFreeze,
    StorePlacement,
    UpdateAdministration,
    UpdateApplication,
    UpdatePath,
    UpdateRelay,
)
from controller.service.topology_desk import (
    apply_topology,
    create_link,
    create_node,
    delete_link,
    delete_node,
    update_administration,
)

_COLLECTIONS = {
    Node: "nodes",
    Link: "links",
    Application: "applications",
    Sae: "saes",
    KeyRelay: "relays",
    EntanglementPath: "paths",
}
_SHOWN = {"relays": "keyRelays", "paths": "entanglementPaths"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What a request comes to: what to write, and what to answer once that is durable."""

    changes: Changes
    result: Result


def resource_name(collection: str, key: str) -> str:
    """Return the API's name of a resource.

    >>> resource_name("relays", "r1"), resource_name("nodes", "a")
    ('keyRelays/r1', 'nodes/a')
    """
    return f"{_SHOWN.get(collection, collection)}/{key}"


def decide(
    snapshot: Snapshot, request: Request, *, now_ms: int, wall_ms: int, version: int, seek: Seek | None = None
) -> Decision:
    """Decide a request on a snapshot. `version` is the revision that the decision will be committed as.

    `seek` says where a path may run; by default what the request proposes, else a short search.

    Raises:
        Refusal: The answer is no.
    """
    if seek is None:
        seek = sought_soon if request.proposal is None else proposed(request.proposal)
    match request:
        case Create():
            return _create(snapshot, request, seek, now_ms=now_ms, wall_ms=wall_ms, version=version)
        case Delete():
            return _delete(snapshot, request, wall_ms=wall_ms)
        case UpdateAdministration(collection=collection, key=key):
            _check_current_etag(snapshot, collection, key, request.etag)
            changes = update_administration(snapshot, request)
            document = changes.folded[collection, key]
            if not document.maintenance:
                changes += drained(snapshot, resource_name(collection, key))
            return _answer(changes, document)
        case UpdateRelay(relay=name):
            relay = update_relay(snapshot, request, version=version, now_ms=now_ms)
            return _answer(NO_CHANGES if relay == snapshot.relays[name] else put(relay), relay)
        case RedeployRelay():
            relay = redeploy_relay(snapshot, request, version=version, now_ms=now_ms)
            return _answer(put(relay), relay)
        case UpdatePath(path=name):
            path = update_path(snapshot, request, version=version, now_ms=now_ms, seek=seek)
            return _answer(NO_CHANGES if path == snapshot.paths[name] else put(path), path)
        case RedeployPath():
            path = redeploy_path(snapshot, request, version=version, now_ms=now_ms, seek=seek)
            return _answer(put(path), path)
        case UpdateApplication(application=name):
            changes = update_application(snapshot, request)
            return _answer(changes, changes.folded.get(("applications", name), snapshot.applications.get(name)))
        case Drain(collection=collection, key=key):
            changes = drain(snapshot, request, wall_ms=wall_ms)
            return _answer(changes, changes.folded.get((collection, key), getattr(snapshot, collection)[key]))
        case SetFreeze():
            changes = set_freeze(snapshot, request, wall_ms=wall_ms)
            return _answer(changes, changes.folded.get(("freezes", ""), snapshot.frozen))
        case StorePlacement():
            changes = store_placement(snapshot, request, version=version, wall_ms=wall_ms)
            return _answer(changes, changes.folded["placements", f"p-{version}"])
        case CarryOutPlacement():
            placement = carry_out(snapshot, request)
            return _answer(put(placement), placement)
        case CancelPlacement(placement=name):
            placement = cancel(snapshot, request)
            return _answer(NO_CHANGES if placement == snapshot.placements[name] else put(placement), placement)
        case ApplyTopology():
            changes, actions = apply_topology(snapshot, request)
            made = [name for name, action in actions if action == "create"]
            changes += _bygone(snapshot, made)
            return Decision(changes=changes, result=Result(document=None, revision=0, actions=actions))
    raise TypeError(f"no desk for {type(request).__name__}")


def _answer(changes: Changes, document: Any) -> Decision:
    return Decision(changes=changes, result=Result(document=document, revision=0))


def _create(snapshot: Snapshot, request: Create, seek: Seek, *, now_ms: int, wall_ms: int, version: int) -> Decision:
    document = request.document
    collection = _COLLECTIONS[type(document)]
    displaced: tuple[PredictedMove, ...] = ()
    if request.request_id:
        repeated = _repeated(snapshot, request, now_ms)
        if repeated is not None:
            return repeated
    match document:
        case Node():
            changes = create_node(snapshot, document)
        case Link():
            changes = create_link(snapshot, document)
        case Sae():
            changes = add_sae(snapshot, document)
        case Application():
            changes = create_application(snapshot, document)
        case KeyRelay():
            placement = create_relay(
                snapshot,
                document,
                version=version,
                caller=request.caller,
                now_ms=now_ms,
                wall_ms=wall_ms,
                named=request.named,
            )
            changes = put(placement.relay, *placement.others)
            displaced = placement.moves
        case EntanglementPath():
            changes = create_path(
                snapshot,
                document,
                version=version,
                caller=request.caller,
                now_ms=now_ms,
                wall_ms=wall_ms,
                seek=seek,
            )
    created = changes.folded[collection, document_key(document)]
    resource = resource_name(collection, document_key(document))
    made = {resource_name(kind, key) for (kind, key), after in changes.folded.items() if after is not None}
    changes += _bygone(snapshot, made | {resource})
    if request.request_id:
        changes += put(
            RequestRecord(
                caller=request.caller,
                request_id=request.request_id,
                body_sha256=request.body_sha256,
                resource=resource,
                used_ms=now_ms,
            )
        )
    return Decision(changes=changes, result=Result(document=created, revision=0, displaced=displaced))


def _bygone(snapshot: Snapshot, created: Iterable[str]) -> Changes:
    """Return the changes that say of earlier requests that what they created under these names is gone.

    Their ids must not answer with what bears the names now.
    """
    names = set(created)
    bygone = (record for record in snapshot.requests.values() if record.resource in names and not record.deleted)
    return put(*(replace(record, deleted=True) for record in bygone)) if names else NO_CHANGES


def _repeated(snapshot: Snapshot, request: Create, now_ms: int) -> Decision | None:
    """Return what a request id created before, or None when it is new.

    Raises:
        AlreadyExists: It was used with another body.
        Precondition: ALREADY_DELETED: what it created is gone; it never creates again.
    """
    record = snapshot.requests.get((request.caller, request.request_id))
    if record is None:
        return None
    facts = {"request_id": request.request_id, "resource": record.resource}
    collection = _COLLECTIONS[type(request.document)]
    kind, _, key = record.resource.partition("/")
    if record.body_sha256 != request.body_sha256 or kind != _SHOWN.get(collection, collection):
        raise AlreadyExists(
            "REQUEST_ID_REUSED",
            f"request_id {request.request_id!r} was used for {record.resource} with another body; take a new one",
            facts,
        )
    document = getattr(snapshot, collection).get(key)
    if record.deleted or document is None or (isinstance(document, Service) and document.removed):
        raise Precondition(
            "ALREADY_DELETED",
            f"{record.resource}, which request_id {request.request_id!r} created, was deleted; take a new request_id",
            facts,
        )
    return _answer(put(replace(record, used_ms=now_ms)), document)


def _check_current_etag(snapshot: Snapshot, collection: str, key: str, given: str) -> None:
    document = getattr(snapshot, collection).get(key)
    if document is None:
        raise NotFound(resource_name(collection, key))
    check_etag(resource_name(collection, key), given, etag(document))


def _delete(snapshot: Snapshot, request: Delete, *, wall_ms: int) -> Decision:
    collection, key = request.collection, request.key
    _check_current_etag(snapshot, collection, key, request.etag)
    document = getattr(snapshot, collection)[key]
    match collection:
        case "nodes":
            changes = delete_node(snapshot, key)
        case "links":
            changes = delete_link(snapshot, key)
        case "applications":
            changes = delete_application(snapshot, key)
        case "saes":
            changes = delete_sae(snapshot, key)
        case _:
            service: Service = document
            if service.removed:
                return _answer(NO_CHANGES, service)
            check_not_needed(snapshot, service)
            document = removed(service, f"deleted by {request.caller.removeprefix('qinet://')}")
            changes = put(document)
            if isinstance(document, EntanglementPath) and document.demand.key_link:
                changes += key_link_follows(snapshot, document, wall_ms=wall_ms)[0]
    return _answer(changes, document)
