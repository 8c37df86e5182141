"""Something that happened, as one line: what a change of a resource, a line of a history or an alarm says."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from controller.cli.names import short, shorts
from controller.cli.quantities import shown_number
from controller.cli.tables import link_remarks, link_status, relay_phase, relay_state, route_text
from controller.cli.tables_of_moves import Entry, history_state, routes_of
from controller.cli.tables_of_pairs import pairs_in_use
from controller.cli.tables_of_paths import path_summary
from qinet.northbound.v1.application_pb2 import Application, Sae
from qinet.northbound.v1.entanglement_path_pb2 import EntanglementPath
from qinet.northbound.v1.key_relay_pb2 import KeyRelay
from qinet.northbound.v1.link_pb2 import Link
from qinet.northbound.v1.node_pb2 import Node
from qinet.northbound.v1.operations_service_pb2 import Alarm
from qinet.types.v1.types_pb2 import Severity

if TYPE_CHECKING:
    from google.protobuf.message import Message

_KIND_OF: Final = {"keyRelays": "relays", "entanglementPaths": "paths"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Happening:
    """One event.

    Attributes:
        at: When; UTC. Of the controller where it tells, else when we were told.
        revision: Of the log; 0 where it has none.
        name: Full name of what it is about.
        text: What it is now, and why.
        by: Who caused it; empty if that is not told.
    """

    at: datetime
    revision: int
    name: str
    text: str
    by: str = ""

    @property
    def kind(self) -> str:
        """What it is about, as a person calls it: `relays` for keyRelays."""
        collection = self.name.partition("/")[0]
        return _KIND_OF.get(collection, collection)


def of_history(name: str, entry: Entry) -> Happening:
    """Return a line of a service's history as an event."""
    parts = (history_state(entry), " | ".join(map(route_text, routes_of(entry))), entry.state_reason)
    return Happening(
        at=entry.time.ToDatetime(UTC),
        revision=entry.revision,
        name=name,
        text="  ".join(filter(None, parts)),
        by=entry.by,
    )


def of_alarm(alarm: Alarm, *, cleared_at: datetime | None = None) -> Happening:
    """Return an alarm as the event that it was raised, or that it is active no more."""
    parts = (
        "RAISED" if cleared_at is None else "CLEARED",
        Severity.Name(alarm.severity).removeprefix("SEVERITY_"),
        alarm.kind,
        alarm.object,
        f"at {short(alarm.node)}" if alarm.node else "",
        alarm.message if cleared_at is None else "",
    )
    at = cleared_at or alarm.raise_time.ToDatetime(UTC)
    return Happening(at=at, revision=0, name=alarm.name, text="  ".join(filter(None, parts)))


def summary(resource: "Message") -> str:
    """Return what a resource is now, on one line."""
    parts: list[str] = []
    if isinstance(resource, KeyRelay):
        parts = [
            relay_state(resource),
            relay_phase(resource),
            f"unconfirmed: {shorts(resource.unconfirmed_nodes)}" if resource.unconfirmed_nodes else "",
            f"version {resource.route_version}",
            " | ".join(map(route_text, resource.routes)),
            "riding on stored key" if resource.riding_on_store else "",
            resource.state_reason,
        ]
    elif isinstance(resource, EntanglementPath):
        parts = [*path_summary(resource)]
    elif isinstance(resource, Link):
        ends = " - ".join(short(end.node) for end in resource.ends)
        parts = [
            link_status(resource),
            ends,
            pairs_in_use(resource)
            if resource.HasField("pairs")
            else f"{shown_number(resource.reserved_bit_per_s)} of {shown_number(resource.capacity_bit_per_s)} bit/s "
            "in use",
            *link_remarks(resource),
        ]
    elif isinstance(resource, Node):
        parts = [
            "connected" if resource.connected else "not connected",
            "" if not resource.HasField("admin_enabled") or resource.admin_enabled else "disabled",
            "maintenance" if resource.maintenance else "",
        ]
    elif isinstance(resource, Application):
        relays = resource.key_relays or ([resource.key_relay] if resource.key_relay else [])
        parts = [
            f"{short(resource.server_sae)} with {shorts(resource.client_saes)}",
            f"fed by {shorts(relays)}" if relays else "fed by no relay",
        ]
    elif isinstance(resource, Sae):
        parts = [f"at {short(resource.node)}", f"in {shorts(resource.applications)}" if resource.applications else ""]
    return "  ".join(part for part in parts if part)
