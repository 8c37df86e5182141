"""Nodes of the northbound API <-> the domain."""

import uuid

from controller.domain.etag import etag
from controller.domain.node import Capability, Interface, Node, Role, Technology
from controller.domain.snapshot import NIL_NETWORK
from controller.wire.northbound_pairs import hardware_from_pb, hardware_to_pb
from controller.wire.northbound_values import Mistakes, WireEnum, network_uuid
from qinet.northbound.v1 import node_pb2 as pb
from qinet.types.v1 import types_pb2

CAPABILITY = WireEnum(Capability, types_pb2.Capability, "CAPABILITY")
TECHNOLOGY = WireEnum(Technology, types_pb2.Technology, "TECHNOLOGY")
ROLE = WireEnum(Role, types_pb2.Role, "ROLE")

_DEFAULT_CAPABILITIES = frozenset({Capability.KEY_RELAY, Capability.KEY_DELIVERY})


def node_from_pb(node_id: str, node: pb.Node, *, field: str = "node") -> Node:
    """Return the node that a client describes.

    Args:
        node_id: Its id; checked by the caller.
        node: What it is; output-only fields are ignored.
        field: Where it stands in the request, for messages.

    Raises:
        InvalidValue: With every mistake.
    """
    mistakes = Mistakes(f"nodes/{node_id}")
    capabilities = {
        CAPABILITY.member(number, f"{field}.capabilities[{index}]", mistakes)
        for index, number in enumerate(node.capabilities)
    }
    interfaces = [
        _interface(interface, f"{field}.interfaces[{index}]", mistakes)
        for index, interface in enumerate(node.interfaces)
    ]
    location = mistakes.text(node.location, f"{field}.location")
    trust_domain = mistakes.text(node.trust_domain, f"{field}.trust_domain")
    longitude = latitude = None
    if node.HasField("longitude_deg"):
        longitude = mistakes.number(node.longitude_deg, f"{field}.longitude_deg", low=-180, high=180)
    if node.HasField("latitude_deg"):
        latitude = mistakes.number(node.latitude_deg, f"{field}.latitude_deg", low=-90, high=90)
    pairs = None
    if node.HasField("pairs"):
        pairs = hardware_from_pb(node.pairs, f"{field}.pairs", mistakes)
    built = None
    with mistakes.under(field):
        built = Node(
            name=node_id,
            location=location,
            trust_domain=trust_domain,
            capabilities=frozenset(one for one in capabilities if one is not None) or _DEFAULT_CAPABILITIES,
            interfaces=tuple(one for one in interfaces if one is not None),
            longitude_deg=longitude,
            latitude_deg=latitude,
            admin_enabled=node.admin_enabled if node.HasField("admin_enabled") else True,
            maintenance=node.maintenance,
            pairs=pairs,
        )
    return mistakes.built(built)


def _interface(interface: types_pb2.Interface, field: str, mistakes: Mistakes) -> Interface | None:
    technology = TECHNOLOGY.member(interface.technology, f"{field}.technology", mistakes)
    role = ROLE.member(interface.role, f"{field}.role", mistakes)
    if technology is None or role is None:
        return None
    with mistakes.under(field):
        return Interface(
            number=interface.number,
            technology=technology,
            role=role,
            model=mistakes.text(interface.model, f"{field}.model"),
            max_absorption_db=interface.max_absorption_db if interface.HasField("max_absorption_db") else None,
            wavelength_range=mistakes.text(interface.wavelength_range, f"{field}.wavelength_range"),
            device=mistakes.text(interface.device, f"{field}.device"),
            port=interface.port,
        )
    return None


def node_to_pb(node: Node, *, network: uuid.UUID = NIL_NETWORK, connected: bool = False) -> pb.Node:
    """Return the node as the API tells it."""
    return pb.Node(
        name=f"nodes/{node.name}",
        location=node.location,
        trust_domain=node.trust_domain,
        capabilities=sorted(CAPABILITY.number(capability) for capability in node.capabilities),
        interfaces=[_interface_to_pb(interface) for interface in node.interfaces],
        longitude_deg=node.longitude_deg,
        latitude_deg=node.latitude_deg,
        admin_enabled=node.admin_enabled,
        maintenance=node.maintenance,
        uuid=network_uuid(network, f"nodes/{node.name}"),
        connected=connected,
        etag=etag(node),
        pairs=hardware_to_pb(node.pairs) if node.pairs else None,
    )


def _interface_to_pb(interface: Interface) -> types_pb2.Interface:
    return types_pb2.Interface(
        number=interface.number,
        technology=TECHNOLOGY.number(interface.technology),
        role=ROLE.number(interface.role),
        model=interface.model,
        max_absorption_db=interface.max_absorption_db,
        wavelength_range=interface.wavelength_range,
        device=interface.device,
        port=interface.port,
    )
