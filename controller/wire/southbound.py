"""Values that agents and controller tell each other <-> the domain; used by both sides."""

import math
import re
from contextlib import suppress
from typing import Final, Literal

from google.rpc import code_pb2

from controller.domain import events
from controller.domain.alarm import Alarm, Severity
from controller.domain.inventory import Inventory, InventoryLink
from controller.domain.link import LinkStatus
from controller.domain.names import sae_id
from controller.domain.node import Capability, Interface, Role, Technology
from controller.domain.refusals import InvalidValue
from controller.domain.service import service_key
from controller.domain.snapshot import AgentRecord, ElectionId
from qinet.southbound.v1 import agent_pb2 as pb
from qinet.types.v1 import types_pb2

MAX_TEXT: Final = 1024
"""Longest free text that is taken over from the other side; characters. What is longer is cut."""

MAX_CLIENT_SAES: Final = 64
"""Most SAEs that may ask for the same keys at once."""

_KIND: Final = re.compile(r"[A-Z][A-Z0-9_]{0,63}")
_OBJECT: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._~/-]{0,199}|")

_SEVERITY_TO_PB: Final = {Severity.MAJOR: types_pb2.SEVERITY_MAJOR, Severity.MINOR: types_pb2.SEVERITY_MINOR}
_SEVERITY_FROM_PB: Final = {value: severity for severity, value in _SEVERITY_TO_PB.items()}

_STATUS_TO_PB: Final = {
    LinkStatus.ACTIVE: types_pb2.LINK_STATUS_ACTIVE,
    LinkStatus.PASSIVE: types_pb2.LINK_STATUS_PASSIVE,
    LinkStatus.PENDING: types_pb2.LINK_STATUS_PENDING,
    LinkStatus.OFF: types_pb2.LINK_STATUS_OFF,
}
_STATUS_FROM_PB: Final = {value: status for status, value in _STATUS_TO_PB.items()}

_CAPABILITY_TO_PB: Final = {
    Capability.KEY_RELAY: types_pb2.CAPABILITY_KEY_RELAY,
    Capability.KEY_DELIVERY: types_pb2.CAPABILITY_KEY_DELIVERY,
    Capability.LINK_STATISTICS: types_pb2.CAPABILITY_LINK_STATISTICS,
    Capability.APPLICATION_STATISTICS: types_pb2.CAPABILITY_APPLICATION_STATISTICS,
    Capability.ENTANGLEMENT: types_pb2.CAPABILITY_ENTANGLEMENT,
    Capability.OPTICAL_SWITCH: types_pb2.CAPABILITY_OPTICAL_SWITCH,
    Capability.UNTRUSTED_MEASUREMENT: types_pb2.CAPABILITY_UNTRUSTED_MEASUREMENT,
}
_CAPABILITY_FROM_PB: Final = {value: capability for capability, value in _CAPABILITY_TO_PB.items()}

_TECHNOLOGY_TO_PB: Final = {
    Technology.DV_QKD: types_pb2.TECHNOLOGY_DV_QKD,
    Technology.CV_QKD: types_pb2.TECHNOLOGY_CV_QKD,
    Technology.DV_QKD_COW: types_pb2.TECHNOLOGY_DV_QKD_COW,
    Technology.DV_QKD_2WS: types_pb2.TECHNOLOGY_DV_QKD_2WS,
    Technology.ENTANGLEMENT: types_pb2.TECHNOLOGY_ENTANGLEMENT,
}
_TECHNOLOGY_FROM_PB: Final = {value: technology for technology, value in _TECHNOLOGY_TO_PB.items()}

_ROLE_TO_PB: Final = {
    Role.TRANSMITTER: types_pb2.ROLE_TRANSMITTER,
    Role.RECEIVER: types_pb2.ROLE_RECEIVER,
    Role.TRANSCEIVER: types_pb2.ROLE_TRANSCEIVER,
}
_ROLE_FROM_PB: Final = {value: role for role, value in _ROLE_TO_PB.items()}


def election_to_pb(election: ElectionId) -> types_pb2.ElectionId:
    """Return the election id as it travels."""
    return types_pb2.ElectionId(epoch=election.epoch, term=election.term)


def election_from_pb(election: types_pb2.ElectionId) -> ElectionId:
    """Return the election id that travelled; an absent one is (0, 0), below every real one."""
    return ElectionId(epoch=election.epoch, term=election.term)


def alarm_to_pb(alarm: Alarm) -> pb.Alarm:
    """Return the alarm as it travels; its node is the session's."""
    return pb.Alarm(
        object=alarm.object,
        kind=alarm.kind,
        severity=_SEVERITY_TO_PB[alarm.severity],
        message=alarm.message,
        raised_ms=alarm.raised_ms,
    )


def alarm_from_pb(node: str, alarm: pb.Alarm) -> Alarm:
    """Return the alarm that an agent told; one without severity counts as MAJOR, a long message is cut.

    Raises:
        InvalidValue: Its kind is not UPPER_SNAKE_CASE, or its object is no resource name.
    """
    where = f"nodes/{node}"
    if not _KIND.fullmatch(alarm.kind):
        raise InvalidValue(where, ("alarm.kind", f"{alarm.kind[:80]!r} is not 1-64 of UPPER_SNAKE_CASE"))
    if not _OBJECT.fullmatch(alarm.object):
        raise InvalidValue(where, ("alarm.object", f"{alarm.object[:80]!r} is not a resource name, as links/a-b"))
    return Alarm(
        node=node,
        object=alarm.object,
        kind=alarm.kind,
        severity=_SEVERITY_FROM_PB.get(alarm.severity, Severity.MAJOR),
        message=alarm.message[:MAX_TEXT],
        raised_ms=alarm.raised_ms,
    )


def link_status_to_pb(status: LinkStatus) -> "types_pb2.LinkStatus.ValueType":
    """Return the status as it travels."""
    return _STATUS_TO_PB[status]


def link_status_from_pb(status: "types_pb2.LinkStatus.ValueType") -> LinkStatus | None:
    """Return the status that travelled; None for one that this version does not know."""
    return _STATUS_FROM_PB.get(status)


def capability_to_pb(capability: Capability) -> "types_pb2.Capability.ValueType":
    """Return the capability as it travels."""
    return _CAPABILITY_TO_PB[capability]


def capability_from_pb(capability: "types_pb2.Capability.ValueType") -> Capability | None:
    """Return the capability that travelled; None for one that this version does not know."""
    return _CAPABILITY_FROM_PB.get(capability)


def interface_to_pb(interface: Interface) -> types_pb2.Interface:
    """Return the interface as it travels."""
    return types_pb2.Interface(
        number=interface.number,
        technology=_TECHNOLOGY_TO_PB[interface.technology],
        role=_ROLE_TO_PB[interface.role],
        model=interface.model,
        max_absorption_db=interface.max_absorption_db,
        wavelength_range=interface.wavelength_range,
        device=interface.device,
        port=interface.port,
    )


def interface_from_pb(interface: types_pb2.Interface) -> Interface:
    """Return the interface that travelled.

    Raises:
        InvalidValue: A field is missing or out of range.
    """
    technology, role = _TECHNOLOGY_FROM_PB.get(interface.technology), _ROLE_FROM_PB.get(interface.role)
    if technology is None:
        raise InvalidValue("", (f"interfaces[{interface.number}].technology", "is required; see Technology"))
    if role is None:
        raise InvalidValue("", (f"interfaces[{interface.number}].role", "is required; see Role"))
    return Interface(
        number=interface.number,
        technology=technology,
        role=role,
        model=interface.model,
        max_absorption_db=interface.max_absorption_db if interface.HasField("max_absorption_db") else None,
        wavelength_range=interface.wavelength_range,
        device=interface.device,
        port=interface.port,
    )


def inventory_from_pb(inventory: pb.Inventory) -> Inventory:
    """Return what an agent claims; an interface that cannot be, and what this version does not know, is left out."""
    interfaces = []
    for one in inventory.interfaces:
        with suppress(InvalidValue):
            interfaces.append(interface_from_pb(one))
    known = (capability_from_pb(one) for one in inventory.capabilities)
    return Inventory(
        capabilities=frozenset(one for one in known if one is not None),
        interfaces=tuple(interfaces),
        links=tuple(
            InventoryLink(link=one.link[:80], local_interface=one.local_interface, neighbour=one.neighbour[:80])
            for one in inventory.links
        ),
        location=inventory.location_id[:200],
    )


def application_asked_from_pb(node: str, asked: pb.ApplicationNew) -> events.ApplicationAsked:
    """Return what an agent told of an SAE that asked for keys.

    Raises:
        InvalidValue: It names no SAE, or one whose id is out of form.
    """
    where = f"nodes/{node}"
    sae_id(where, "application_new.server_sae", asked.server_sae[:80])
    if not 1 <= len(asked.client_saes) <= MAX_CLIENT_SAES:
        raise InvalidValue(where, ("application_new.client_saes", f"must be 1-{MAX_CLIENT_SAES} SAE ids"))
    for one in asked.client_saes:
        sae_id(where, "application_new.client_saes", one[:80])
    return events.ApplicationAsked(node=node, server_sae=asked.server_sae, client_saes=tuple(asked.client_saes))


def agent_record_from_pb(hello: pb.Hello) -> AgentRecord:
    """Return what of a Hello others' entries rest on.

    Raises:
        InvalidValue: It names no store, or an address is not host:port.
    """
    where = f"nodes/{hello.node}"
    if not 1 <= len(hello.store_id) <= 128:
        raise InvalidValue(where, ("hello.store_id", "must be 1-128 characters: the id of the agent's own store"))
    _check_address(where, "hello.peer_address", hello.peer_address)
    if hello.delivery_address:
        _check_address(where, "hello.delivery_address", hello.delivery_address)
    return AgentRecord(
        node=hello.node,
        store_id=hello.store_id,
        peer_address=hello.peer_address,
        delivery_address=hello.delivery_address,
        version=hello.agent_version[:128],
    )


def _check_address(where: str, field: str, address: str) -> None:
    host, colon, port = address.rpartition(":")
    if not (host and colon and len(address) <= 300 and port.isascii() and port.isdigit() and 1 <= int(port) <= 65535):
        raise InvalidValue(where, (field, f"{address[:80]!r} is not host:port, as node-a.example.net:7443"))


def link_event_from_pb(node: str, report: pb.LinkReport) -> events.LinkReport:
    """Return what of a link's report decisions rest on."""
    promised = report.promised_skr_millibit_per_s if report.HasField("promised_skr_millibit_per_s") else None
    return events.LinkReport(
        node=node,
        link=report.link,
        down_reason=report.down_reason[:MAX_TEXT],
        exhausted=report.exhausted,
        promised_skr_millibit_per_s=promised,
        neighbour_unreachable=report.neighbour_unreachable,
        pair_rate_permille=_permille(report.pairs, "success_factor") if report.HasField("pairs") else None,
        pair_fidelity_loss_permille=_loss_permille(report.pairs) if report.HasField("pairs") else None,
    )


def _permille(pairs: pb.PairLinkReport, field: Literal["success_factor", "fidelity_loss"]) -> int | None:
    """Return a figure in thousandths, clipped to 0..1000; None where it is not told, or is no number."""
    value: float = getattr(pairs, field)
    return round(1000 * ratio(value)) if pairs.HasField(field) and not math.isnan(value) else None


def _loss_permille(pairs: pb.PairLinkReport) -> int | None:
    """Return what fidelity has lost for sure: against the upper end of the estimate's interval, where it is told."""
    loss = _permille(pairs, "fidelity_loss")
    doubt = pairs.fidelity.high - pairs.fidelity.fidelity if pairs.HasField("fidelity") else 0.0
    return None if loss is None else max(0, loss - round(1000 * ratio(doubt)))


def relay_event_from_pb(node: str, report: pb.RelayReport) -> events.ServiceReport:
    """Return what of a relay's report decisions rest on."""
    return events.ServiceReport(
        node=node,
        service=service_key("relays", report.relay),
        route_version=report.route_version,
        confirmed=report.confirmed,
        starved=report.starved,
        confirmed_versions=frozenset(report.confirmed_versions),
        undrained_versions=frozenset(report.undrained_versions),
    )


def path_event_from_pb(node: str, report: pb.PathReport) -> events.ServiceReport:
    """Return what of a path's report decisions rest on: measured figures only, never what an emulation tracks.

    The upper end of the fidelity's interval is rounded up to hundredths: it moves with every test pair.
    """
    high = report.fidelity.high
    known = report.HasField("fidelity") and not math.isnan(high)
    return events.ServiceReport(
        node=node,
        service=service_key("paths", report.path),
        route_version=report.route_version,
        confirmed=report.confirmed,
        starved=report.starved,
        confirmed_versions=frozenset(report.confirmed_versions),
        undrained_versions=frozenset(report.undrained_versions),
        fidelity_at_most=math.ceil(100 * ratio(high)) / 100 if known else None,
    )


def ratio(value: float) -> float:
    """Return the value as a ratio: clipped to [0, 1], and 0 when it is no number."""
    return 0.0 if math.isnan(value) else min(1.0, max(0.0, value))


def code_name(code: int) -> str:
    """Return the name of a google.rpc.Status code; UNKNOWN for OK, where something was refused, and for no code.

    >>> code_name(10), code_name(0), code_name(99)
    ('ABORTED', 'UNKNOWN', 'UNKNOWN')
    """
    return str(code_pb2.Code.Name(code)) if 0 < code <= 16 else "UNKNOWN"
