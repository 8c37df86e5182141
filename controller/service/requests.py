"""What operators ask of the writer, and what it answers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from controller.domain.application import Application, Sae
from controller.domain.entanglement_path import EntanglementPath
from controller.domain.key_relay import KeyRelay
from controller.domain.link import Link
from controller.domain.node import Node
from controller.domain.placement import Placement
from controller.domain.prediction import PredictedMove
from controller.domain.snapshot import Document
from controller.service.proposals import Proposal


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What every request carries.

    Attributes:
        caller: Identity URI of who asks.
        validate_only: Decide and tell, change nothing.
        request_id: "" for none; else a repeat returns the first result. Creations only.
        body_sha256: Hex hash of the request without its request_id.
        proposal: What a search beside the writer found for an entanglement path; None: the writer searches, shortly.
    """

    caller: str = ""
    validate_only: bool = False
    request_id: str = ""
    body_sha256: str = ""
    proposal: Proposal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Create(Request):
    """Create a node, link, application, SAE entry, key relay or entanglement path.

    Of a service only what clients set counts: name, demand, admin_enabled, accept_blocked; of a KeyRelay also its
    applications. An EntanglementPath whose demand names a `key_link` brings that link with it.

    Attributes:
        named: Whether the client chose the id; messages are silent about one that it never saw.
    """

    document: Node | Link | Application | Sae | KeyRelay | EntanglementPath
    named: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Delete(Request):
    """Delete a resource.

    Attributes:
        collection: A collection of Snapshot: nodes, links, applications, saes, relays or paths.
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
class UpdateRelay(Request):
    """Change a key relay in place.

    Attributes:
        relay: Its id.
        demand: New values by field of Demand; never source and target.
        applications, admin_enabled, accept_blocked: New values; None leaves them.
        etag: "" for any; else it must be the document's.
    """

    relay: str
    demand: Mapping[str, Any] = field(default_factory=dict)
    applications: tuple[str, ...] | None = None
    admin_enabled: bool | None = None
    accept_blocked: bool | None = None
    etag: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RedeployRelay(Request):
    """Compute a relay's routes anew, and move it there whoever moves it otherwise.

    Attributes:
        relay: Its id.
        etag: "" for any; else it must be the document's.
    """

    relay: str
    etag: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdatePath(Request):
    """Change an entanglement path in place.

    Attributes:
        path: Its id.
        demand: New values by field of PairDemand; never source, target, use and key_link.
        admin_enabled, accept_blocked: New values; None leaves them.
        etag: "" for any; else it must be the document's.
    """

    path: str
    demand: Mapping[str, Any] = field(default_factory=dict)
    admin_enabled: bool | None = None
    accept_blocked: bool | None = None
    etag: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RedeployPath(Request):
    """Compute a path's route and plan anew, and move it there whoever moves it otherwise.

    Attributes:
        path: Its id.
        etag: "" for any; else it must be the document's.
    """

    path: str
    etag: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateApplication(Request):
    """Change an application in place.

    Attributes:
        application: Its id.
        qos: New values by field of Qos.
        key_size_bit, client_saes: New values; None leaves them.
        etag: "" for any; else it must be the document's.
    """

    application: str
    qos: Mapping[str, int] = field(default_factory=dict)
    key_size_bit: int | None = None
    client_saes: tuple[str, ...] | None = None
    etag: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drain(Request):
    """Put a node or link into maintenance, and have the services on it moved off, some in every turn.

    Attributes:
        collection, key: nodes or links, and its id.
    """

    collection: str
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SetFreeze(Request):
    """Stop or resume automatic moves; `reason` is for a person, and needed to stop them."""

    frozen: bool
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StorePlacement(Request):
    """Keep a placement that was found; its name, its time and who asked for it are given by the writer."""

    placement: Placement


@dataclass(frozen=True, slots=True, kw_only=True)
class CarryOutPlacement(Request):
    """Make the moves of a placement, at most `at_once` at the same time."""

    placement: str
    at_once: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelPlacement(Request):
    """Begin no more moves of a placement."""

    placement: str


CHANGES_IN_PLACE: Final = (
    UpdateRelay,
    RedeployRelay,
    UpdatePath,
    RedeployPath,
    UpdateApplication,
    Drain,
    SetFreeze,
    CancelPlacement,
)
"""Requests whose answer has revision 0 where everything is as wanted already."""


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
        displaced: What becomes of relays that make room for one that was created.
    """

    document: Document | None
    revision: int
    actions: tuple[tuple[str, str], ...] = ()
    displaced: tuple[PredictedMove, ...] = ()
