"""The immutable state that decisions are made on, with its revision, and the changes that make the next one."""

import uuid
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from types import MappingProxyType
from typing import Any, Final

from controller.domain.admission import DEFAULT_ADMISSION, Admission
from controller.domain.alarm import Alarm
from controller.domain.application import Application, Sae
from controller.domain.entanglement_path import EntanglementPath
from controller.domain.history import RelayHistory
from controller.domain.key_relay import KeyRelay
from controller.domain.link import UNKNOWN_CONDITION, Link, LinkCondition
from controller.domain.node import Node
from controller.domain.placement import Placement
from controller.domain.service import Service


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class ElectionId:
    """Who may tell agents what to do: (store epoch, term), compared in that order. Both are uint64."""

    epoch: int
    term: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentRecord:
    """What an agent's Hello said that others' entries rest on; committed when it changes.

    Attributes:
        store_id: Of the agent's own store; another one under the same name is another agent.
        peer_address: host:port where neighbours reach it.
        delivery_address: host:port of its GS QKD 014 server.
    """

    node: str
    store_id: str
    peer_address: str
    delivery_address: str
    version: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestRecord:
    """What a request_id created, so that a repeat is answered and never acts again.

    Attributes:
        caller, request_id: Together its key.
        body_sha256: Hash of the request, hex; another body under the same id is refused.
        resource: What was created; outlives it.
        deleted: Something else bears that name now.
        used_ms: Service time of the last use, milliseconds.
    """

    caller: str
    request_id: str
    body_sha256: str
    resource: str
    used_ms: int
    deleted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Freeze:
    """Automatic moves of services are stopped.

    Attributes:
        by: Who stopped them, as `user/alice`, or `controller`.
        since_ms: Wall clock, displayed only, milliseconds since 1970.
    """

    reason: str
    by: str
    since_ms: int


NIL_NETWORK: Final = uuid.UUID(int=0)


def _empty() -> Mapping[Any, Any]:
    return MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """Everything the core decides on. Every mapping goes by the resource's id unless said otherwise.

    Attributes:
        revision: Of the log record that made it; 0 before the first.
        network: UUID that GS QKD 015 ids derive from.
        service_time_ms: Elapsed leader time as last committed.
        requests: By (caller, request_id).
        alarms: By (node, object, kind).
        paths: Entanglement paths.
        histories: What became of services, by their key; also of some that are gone.
        freezes: One document under "", while automatic moves are stopped.
        placements: Better ones than what runs, found on request.
        connected: Nodes whose agent holds a session now. Not stored: after a start nobody is connected.
        reserved: What services hold of each resource (of a QKD link in millibit/s), where somebody keeps count of it;
            None: not counted. Not stored, and dropped with every change of a service.
        admission: By which policy relays get their routes. Not stored: the configuration says it.
    """

    revision: int = 0
    network: uuid.UUID = NIL_NETWORK
    service_time_ms: int = 0
    nodes: Mapping[str, Node] = field(default_factory=_empty)
    links: Mapping[str, Link] = field(default_factory=_empty)
    conditions: Mapping[str, LinkCondition] = field(default_factory=_empty)
    applications: Mapping[str, Application] = field(default_factory=_empty)
    saes: Mapping[str, Sae] = field(default_factory=_empty)
    relays: Mapping[str, KeyRelay] = field(default_factory=_empty)
    paths: Mapping[str, EntanglementPath] = field(default_factory=_empty)
    agents: Mapping[str, AgentRecord] = field(default_factory=_empty)
    requests: Mapping[tuple[str, str], RequestRecord] = field(default_factory=_empty)
    alarms: Mapping[tuple[str, str, str], Alarm] = field(default_factory=_empty)
    histories: Mapping[str, RelayHistory] = field(default_factory=_empty)
    freezes: Mapping[str, Freeze] = field(default_factory=_empty)
    placements: Mapping[str, Placement] = field(default_factory=_empty)
    connected: frozenset[str] = frozenset()
    reserved: Mapping[str, int] | None = field(default=None, compare=False)
    admission: Admission = DEFAULT_ADMISSION

    def condition(self, link: str) -> LinkCondition:
        """Return what is decided of a link; a link never heard of counts with its model."""
        return self.conditions.get(link, UNKNOWN_CONDITION)

    def service(self, key: str) -> Service | None:
        """Return the service of that key (Service.key), or None."""
        path = key.removeprefix("entanglementPaths/")
        return self.relays.get(key) if path == key else self.paths.get(path)

    def services(self) -> Iterator[Service]:
        """Yield every service, key relays first."""
        yield from self.relays.values()
        yield from self.paths.values()

    @property
    def frozen(self) -> Freeze | None:
        """Return why automatic moves are stopped; None while they are not."""
        return self.freezes.get("")

    def stale(self, link: Link) -> bool:
        """Tell whether an end of the link has no session: nothing new is promised on it."""
        return not self.connected.issuperset(link.nodes)

    def applying(self, changes: "Changes") -> "Snapshot":
        """Return the snapshot with the changes made; only the collections they touch are copied."""
        updates: dict[str, Any] = {}
        for collection, key, value in changes.writes:
            if collection not in updates:
                updates[collection] = dict(getattr(self, collection))
            if value is None:
                updates[collection].pop(key, None)
            else:
                updates[collection][key] = value
        replacements: dict[str, Any] = {name: MappingProxyType(mapping) for name, mapping in updates.items()}
        if "relays" in updates or "paths" in updates:
            replacements["reserved"] = None
        if changes.service_time_ms is not None:
            replacements["service_time_ms"] = changes.service_time_ms
        if changes.network is not None:
            replacements["network"] = changes.network
        return replace(self, **replacements)


COLLECTIONS: Final = tuple(
    spec.name
    for spec in fields(Snapshot)
    if spec.name not in {"revision", "network", "service_time_ms", "connected", "reserved", "admission"}
)
"""The stored collections, each a mapping of Snapshot."""

_COLLECTION_OF: Final[Mapping[type, str]] = {
    Node: "nodes",
    Link: "links",
    Application: "applications",
    Sae: "saes",
    KeyRelay: "relays",
    EntanglementPath: "paths",
    AgentRecord: "agents",
    RequestRecord: "requests",
    Alarm: "alarms",
    RelayHistory: "histories",
    Freeze: "freezes",
    Placement: "placements",
}

Document = (
    Node
    | Link
    | Application
    | Sae
    | KeyRelay
    | EntanglementPath
    | AgentRecord
    | RequestRecord
    | Alarm
    | RelayHistory
    | Freeze
    | Placement
)


def document_key(document: Document | Service) -> Any:
    """Return the key under which a document stands in its collection."""
    match document:
        case Sae():
            return document.id
        case AgentRecord():
            return document.node
        case RequestRecord():
            return document.caller, document.request_id
        case Alarm():
            return document.key
        case RelayHistory():
            return document.relay
        case Freeze():
            return ""
        case _:
            return document.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What one decision writes, in order.

    Attributes:
        writes: (collection, key, document or None to delete).
        service_time_ms, network: New value, or None to leave it.
    """

    writes: tuple[tuple[str, Any, Any], ...] = ()
    service_time_ms: int | None = None
    network: uuid.UUID | None = None

    def __bool__(self) -> bool:
        return bool(self.writes) or self.service_time_ms is not None or self.network is not None

    def __add__(self, later: "Changes") -> "Changes":
        return Changes(
            writes=self.writes + later.writes,
            service_time_ms=self.service_time_ms if later.service_time_ms is None else later.service_time_ms,
            network=self.network if later.network is None else later.network,
        )

    @property
    def folded(self) -> dict[tuple[str, Any], Any]:
        """Return the last write of each document."""
        return {(collection, key): value for collection, key, value in self.writes}


NO_CHANGES: Final = Changes()


def put(*documents: Document | Service) -> Changes:
    """Return the changes that write the documents."""
    return Changes(writes=tuple((_COLLECTION_OF[type(doc)], document_key(doc), doc) for doc in documents))


def put_condition(link: str, condition: LinkCondition) -> Changes:
    """Return the change that decides a link's condition."""
    return Changes(writes=(("conditions", link, condition),))


def delete(collection: str, *keys: Any) -> Changes:
    """Return the changes that delete documents."""
    return Changes(writes=tuple((collection, key, None) for key in keys))


def joined(changes: Iterable[Changes]) -> Changes:
    """Return all changes as one, in order; cheaper than adding one by one where they are many."""
    writes: list[tuple[str, Any, Any]] = []
    total = NO_CHANGES
    for change in changes:
        writes += change.writes
        total += replace(change, writes=())
    return replace(total, writes=tuple(writes))
