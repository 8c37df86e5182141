"""Nodes, links and link conditions, as the store keeps them."""

from collections.abc import Sequence
from types import MappingProxyType
from typing import TypeVar

from controller.domain.link import Link, LinkCondition, LinkEnd, Provenance
from controller.domain.node import Interface, Node
from controller.wire.stored_enums import (
    BASIS,
    CAPABILITY,
    ESTABLISHMENT,
    LINK_KIND,
    ROLE,
    TECHNOLOGY,
    Undecodable,
)
from controller.wire.stored_pairs import hardware_from_pb, hardware_to_pb, model_from_pb, model_to_pb
from qinet.store.v1 import network_pb2 as pb

T = TypeVar("T")


def pair(items: Sequence[T], what: str) -> tuple[T, T]:
    """Return the two items.

    Raises:
        Undecodable: They are not two.
    """
    if len(items) != 2:
        raise Undecodable(f"{what} has {len(items)} ends, not two")
    return items[0], items[1]


def node_to_pb(node: Node) -> pb.Node:
    """Return the stored form of a node."""
    return pb.Node(
        name=node.name,
        location=node.location,
        trust_domain=node.trust_domain,
        capabilities=sorted(CAPABILITY.number(capability) for capability in node.capabilities),
        interfaces=[
            pb.Interface(
                number=interface.number,
                technology=TECHNOLOGY.number(interface.technology),
                role=ROLE.number(interface.role),
                model=interface.model,
                max_absorption_db=interface.max_absorption_db,
                wavelength_range=interface.wavelength_range,
                device=interface.device,
                port=interface.port,
            )
            for interface in node.interfaces
        ],
        longitude_deg=node.longitude_deg,
        latitude_deg=node.latitude_deg,
        admin_enabled=node.admin_enabled,
        maintenance=node.maintenance,
        pairs=hardware_to_pb(node.pairs) if node.pairs else None,
    )


def node_from_pb(stored: pb.Node) -> Node:
    """Return the node of a stored form."""
    return Node(
        name=stored.name,
        location=stored.location,
        trust_domain=stored.trust_domain,
        capabilities=frozenset(map(CAPABILITY.member, stored.capabilities)),
        interfaces=tuple(
            Interface(
                number=interface.number,
                technology=TECHNOLOGY.member(interface.technology),
                role=ROLE.member(interface.role),
                model=interface.model,
                max_absorption_db=interface.max_absorption_db if interface.HasField("max_absorption_db") else None,
                wavelength_range=interface.wavelength_range,
                device=interface.device,
                port=interface.port,
            )
            for interface in stored.interfaces
        ),
        longitude_deg=stored.longitude_deg if stored.HasField("longitude_deg") else None,
        latitude_deg=stored.latitude_deg if stored.HasField("latitude_deg") else None,
        admin_enabled=stored.admin_enabled,
        maintenance=stored.maintenance,
        pairs=hardware_from_pb(stored.pairs) if stored.HasField("pairs") else None,
    )


def link_to_pb(link: Link) -> pb.Link:
    """Return the stored form of a link."""
    return pb.Link(
        name=link.name,
        kind=LINK_KIND.number(link.kind),
        establishment=ESTABLISHMENT.number(link.establishment),
        ends=[pb.LinkEnd(node=end.node, interface=end.interface) for end in link.ends],
        length_km=link.length_km,
        loss_db=link.loss_db,
        model_skr_millibit_per_s=link.model_skr_millibit_per_s,
        authentication_rate_millibit_per_s=link.authentication_rate_millibit_per_s,
        authentication_floor_bit=link.authentication_floor_bit,
        expected_qber=link.expected_qber,
        qber_limit=link.qber_limit,
        key_ttl_s=link.key_ttl_s,
        provenance=[
            pb.Provenance(field=field, basis=BASIS.number(provenance.basis), source=provenance.source)
            for field, provenance in sorted(link.provenance.items())
        ],
        admin_enabled=link.admin_enabled,
        maintenance=link.maintenance,
        pairs=model_to_pb(link.pairs) if link.pairs else None,
        path=link.path,
        ducts=sorted(link.ducts),
    )


def link_from_pb(stored: pb.Link) -> Link:
    """Return the link of a stored form."""
    first, second = pair(stored.ends, f"links/{stored.name}")
    return Link(
        name=stored.name,
        kind=LINK_KIND.member(stored.kind),
        establishment=ESTABLISHMENT.member(stored.establishment),
        ends=(
            LinkEnd(node=first.node, interface=first.interface),
            LinkEnd(node=second.node, interface=second.interface),
        ),
        length_km=stored.length_km if stored.HasField("length_km") else None,
        loss_db=stored.loss_db if stored.HasField("loss_db") else None,
        model_skr_millibit_per_s=stored.model_skr_millibit_per_s,
        authentication_rate_millibit_per_s=stored.authentication_rate_millibit_per_s,
        authentication_floor_bit=stored.authentication_floor_bit,
        expected_qber=stored.expected_qber if stored.HasField("expected_qber") else None,
        qber_limit=stored.qber_limit,
        key_ttl_s=stored.key_ttl_s,
        provenance=MappingProxyType(
            {
                entry.field: Provenance(basis=BASIS.member(entry.basis), source=entry.source)
                for entry in stored.provenance
            }
        ),
        admin_enabled=stored.admin_enabled,
        maintenance=stored.maintenance,
        pairs=model_from_pb(stored.pairs) if stored.HasField("pairs") else None,
        path=stored.path,
        ducts=frozenset(stored.ducts),
    )


def condition_to_pb(link: str, condition: LinkCondition) -> pb.LinkCondition:
    """Return the stored form of what is decided of a link."""
    return pb.LinkCondition(
        link=link,
        down_at=sorted(condition.down_at),
        down_reason=condition.down_reason,
        exhausted=condition.exhausted,
        promised_skr_millibit_per_s=condition.promised_skr_millibit_per_s,
        unreachable_from=sorted(condition.unreachable_from),
        flap_penalty=condition.flap_penalty,
        flap_at_ms=condition.flap_at_ms,
        damped=condition.damped,
        pair_rate_permille=condition.pair_rate_permille,
        pair_fidelity_loss_permille=condition.pair_fidelity_loss_permille,
    )


def condition_from_pb(stored: pb.LinkCondition) -> LinkCondition:
    """Return what is decided of the link that the stored form names."""
    promised = stored.HasField("promised_skr_millibit_per_s")
    loses = stored.HasField("pair_fidelity_loss_permille")
    return LinkCondition(
        down_at=frozenset(stored.down_at),
        down_reason=stored.down_reason,
        exhausted=stored.exhausted,
        promised_skr_millibit_per_s=stored.promised_skr_millibit_per_s if promised else None,
        unreachable_from=frozenset(stored.unreachable_from),
        flap_penalty=stored.flap_penalty,
        flap_at_ms=stored.flap_at_ms,
        damped=stored.damped,
        pair_rate_permille=stored.pair_rate_permille if stored.HasField("pair_rate_permille") else None,
        pair_fidelity_loss_permille=stored.pair_fidelity_loss_permille if loses else None,
    )
