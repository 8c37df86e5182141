"""What operators ask of the writer, and what it answers."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from controller.domain.application import Application, Sae
from controller.domain.key_relay import KeyRelay
from controller.domain.link import Link
from controller.domain.node import Node
from controller.domain.snapshot import Document


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What every request carries.

    Attributes:
        caller: Identity URI of who asks.
        validate_only: Decide and tell, change nothing.
        request_id: "" for none; else a repeat returns the first result. Creations only.
        body_sha256: Hex hash of the request without its request_id.
    """

    caller: str = ""
    validate_only: bool = False
    request_id: str = ""
    body_sha256: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Create(Request):
    """Create a node, link, application, SAE entry or key relay.

    Of a KeyRelay only what clients set counts: name, application, demand, admin_enabled, accept_blocked.
    """

    document: Node | Link | Application | Sae | KeyRelay


@dataclass(frozen=True, slots=True, kw_only=True)
class Delete(Request):
    """Delete a resource.

    Attributes:
        collection: A collection of Snapshot: nodes, links, applications, saes or relays.
        key: Its id.
        etag: "" for any; else it must be the document's.
    """

    collection: str
    key: str
    etag: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateAdministration(Request):
    """Enable or disable a node or link, or put it into maintenance. None leaves a field as it is."""

    collection: str
    key: str
    admin_enabled: bool | None = None
    maintenance: bool | None = None
    etag: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplyTopology(Request):
    """Make nodes and links what is given, as a difference: others are deleted, administrative states stay."""

    nodes: Mapping[str, Node] = field(default_factory=dict)
    links: Mapping[str, Link] = field(default_factory=dict)
    network_name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """The answer to a request.

    Attributes:
        document: The resource as it is (or, deleted, last was); None for ApplyTopology.
        revision: At which it is so; for validate_only, the one it was decided on.
        actions: For ApplyTopology: (resource name, "create" | "update" | "delete"), sorted.
    """

    document: Document | None
    revision: int
    actions: tuple[tuple[str, str], ...] = ()
