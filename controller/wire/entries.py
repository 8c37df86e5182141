"""Configuration entries <-> the bytes that travel and are hashed."""

from typing import Final

from google.protobuf.message import DecodeError

from controller.domain.entries import (
    ApplicationEntry,
    ApplicationRemote,
    Entry,
    HopRole,
    LinkEntry,
    PathEntry,
    RelayHopEntry,
)
from controller.domain.link import MAX_RATE_MILLIBIT_PER_S
from controller.domain.names import LABEL_RULE, SAE_RULE, is_label, is_sae_id
from controller.domain.refusals import InvalidValue, NotServed
from controller.domain.route import Hop
from controller.wire.path_entries import check_path, path_from_pb, path_to_pb
from qinet.southbound.v1 import entries_pb2 as pb
from qinet.types.v1 import types_pb2

__all__ = ["MAX_CHUNK_BIT", "entry_from_bytes", "entry_to_bytes", "is_path_instruction"]

MAX_CHUNK_BIT: Final = 1 << 23
"""Largest chunk that a hop may be asked to carry: it travels as one message, 1 MiB."""

_ROLE_TO_PB: Final = {
    HopRole.HEAD: pb.RelayHop.ROLE_HEAD,
    HopRole.TRANSIT: pb.RelayHop.ROLE_TRANSIT,
    HopRole.FAR: pb.RelayHop.ROLE_FAR,
}
_ROLE_FROM_PB: Final = {value: role for role, value in _ROLE_TO_PB.items()}


def entry_to_bytes(entry: Entry) -> bytes:
    """Return the entry as it travels: the same value gives the same bytes, in every process.

    Raises:
        InvalidValue: A number does not fit its field (negative, or beyond its width).
    """
    try:
        match entry:
            case RelayHopEntry():
                message = pb.Entry(relay_hop=_hop_entry_to_pb(entry))
            case ApplicationEntry():
                message = pb.Entry(application=_application_to_pb(entry))
            case LinkEntry():
                message = pb.Entry(link_setting=_link_to_pb(entry))
            case PathEntry():
                message = pb.Entry(path_instruction=path_to_pb(entry))
    except (ValueError, TypeError) as problem:
        raise InvalidValue(entry.id, ("entry", f"cannot be sent: {problem}")) from None
    return message.SerializeToString(deterministic=True)


def entry_from_bytes(entry_id: str, content: bytes) -> Entry:
    """Read an entry that travelled under that id.

    Raises:
        NotServed: It is of a kind that this version does not know or serve.
        InvalidValue: It cannot be read, is not the entry of that id, or a field is out of range.
    """
    try:
        message = pb.Entry.FromString(content)
    except DecodeError as problem:
        raise InvalidValue(entry_id, ("content", f"is no Entry: {problem}")) from None
    problems: list[tuple[str, str]] = []
    entry: Entry
    match message.WhichOneof("content"):
        case "relay_hop":
            entry = _hop_entry_from_pb(entry_id, message.relay_hop)
            _check_hop_entry(entry, problems)
        case "application":
            entry = _application_from_pb(message.application)
            _check_application(entry, problems)
        case "link_setting":
            entry = _link_from_pb(message.link_setting)
            _check_link(entry, problems)
        case "path_instruction":
            entry = path_from_pb(entry_id, message.path_instruction)
            check_path(entry, problems)
        case kind:
            raise NotServed(f"entry {entry_id} of kind {kind or 'unknown'}")
    if entry.id != entry_id:
        problems.append(("id", f"the content is that of {entry.id}"))
    if problems:
        raise InvalidValue(entry_id, *problems)
    return entry


def is_path_instruction(content: bytes) -> bool:
    """Tell whether that is a node's part in an entanglement path, sound or not."""
    try:
        return pb.Entry.FromString(content).HasField("path_instruction")
    except DecodeError:
        return False


def _hop_to_pb(hop: Hop) -> types_pb2.Hop:
    return types_pb2.Hop(link=hop.link, start_node=hop.start, end_node=hop.end)


def _hop_from_pb(hop: types_pb2.Hop) -> Hop:
    return Hop(link=hop.link, start=hop.start_node, end=hop.end_node)


def _hop_entry_to_pb(entry: RelayHopEntry) -> pb.RelayHop:
    return pb.RelayHop(
        relay=entry.relay,
        share=entry.share,
        shares=entry.shares,
        route_version=entry.route_version,
        role=_ROLE_TO_PB[entry.role],
        previous=None if entry.previous is None else _hop_to_pb(entry.previous),
        next=None if entry.next is None else _hop_to_pb(entry.next),
        head_node=entry.head,
        far_node=entry.far,
        other_end_address=entry.far_address,
        rate_millibit_per_s=entry.rate_millibit_per_s,
        forward_share=entry.forward_share,
        chunk_bit=entry.chunk_bit,
        stock_low_bit=entry.stock_low_bit,
        stock_high_bit=entry.stock_high_bit,
        passive=entry.passive,
    )


def _hop_entry_from_pb(entry_id: str, hop: pb.RelayHop) -> RelayHopEntry:
    role = _ROLE_FROM_PB.get(hop.role)
    if role is None:
        raise InvalidValue(entry_id, ("role", f"{hop.role} is not a role on a route"))
    return RelayHopEntry(
        relay=hop.relay,
        share=hop.share,
        shares=hop.shares,
        route_version=hop.route_version,
        role=role,
        previous=_hop_from_pb(hop.previous) if hop.HasField("previous") else None,
        next=_hop_from_pb(hop.next) if hop.HasField("next") else None,
        head=hop.head_node,
        far=hop.far_node,
        far_address=hop.other_end_address,
        rate_millibit_per_s=hop.rate_millibit_per_s,
        forward_share=hop.forward_share,
        chunk_bit=hop.chunk_bit,
        stock_low_bit=hop.stock_low_bit,
        stock_high_bit=hop.stock_high_bit,
        passive=hop.passive,
    )


def _check_hop_entry(entry: RelayHopEntry, problems: list[tuple[str, str]]) -> None:
    _labels(problems, relay=entry.relay, head_node=entry.head, far_node=entry.far)
    for field, hop, present in (
        ("previous", entry.previous, entry.role is not HopRole.HEAD),
        ("next", entry.next, entry.role is not HopRole.FAR),
    ):
        if (hop is not None) is not present:
            problems.append((field, f"is {'missing' if present else 'out of place'} at role {entry.role.value}"))
        elif hop is not None:
            _labels(problems, **{f"{field}.link": hop.link, f"{field}.start": hop.start, f"{field}.end": hop.end})
    if entry.previous and entry.next and entry.previous.end != entry.next.start:
        problems.append(("next", f"starts at {entry.next.start}, but previous ends at {entry.previous.end}"))
    if entry.role is HopRole.HEAD and entry.next and entry.next.start != entry.head:
        problems.append(("next", f"starts at {entry.next.start}, not at the head end {entry.head}"))
    if entry.role is HopRole.FAR and entry.previous and entry.previous.end != entry.far:
        problems.append(("previous", f"ends at {entry.previous.end}, not at the far end {entry.far}"))
    if entry.head == entry.far:
        problems.append(("far_node", f"both ends are at {entry.far}"))
    if not entry.share < entry.shares:
        problems.append(("share", f"{entry.share} is not below shares, {entry.shares}"))
    if not 1 <= entry.rate_millibit_per_s <= MAX_RATE_MILLIBIT_PER_S:
        problems.append(("rate_millibit_per_s", f"{entry.rate_millibit_per_s} is not in 1..{MAX_RATE_MILLIBIT_PER_S}"))
    if not 0.0 <= entry.forward_share <= 1.0:
        problems.append(("forward_share", f"{entry.forward_share} is not in [0, 1]"))
    if entry.chunk_bit % 8 or not 8 <= entry.chunk_bit <= MAX_CHUNK_BIT:
        problems.append(("chunk_bit", f"{entry.chunk_bit} is not a multiple of 8 in 8..{MAX_CHUNK_BIT}"))
    if entry.passive and entry.role is not HopRole.HEAD:
        problems.append(("passive", "is for the head end only"))
    if entry.stock_low_bit > entry.stock_high_bit:
        problems.append(("stock_low_bit", f"{entry.stock_low_bit} is above stock_high_bit, {entry.stock_high_bit}"))


def _application_to_pb(entry: ApplicationEntry) -> pb.Application:
    return pb.Application(
        application=entry.application,
        local_saes=entry.local_saes,
        key_size_bit=entry.key_size_bit,
        ttl_s=entry.ttl_s,
        priority=entry.priority,
        max_bandwidth_bit_per_s=entry.max_bandwidth_bit_per_s,
        remotes=[
            pb.ApplicationRemote(node=remote.node, address=remote.address, relay=remote.relay, saes=remote.saes)
            for remote in entry.remotes
        ],
    )


def _application_from_pb(application: pb.Application) -> ApplicationEntry:
    return ApplicationEntry(
        application=application.application,
        local_saes=tuple(application.local_saes),
        remotes=tuple(
            ApplicationRemote(node=remote.node, address=remote.address, relay=remote.relay, saes=tuple(remote.saes))
            for remote in application.remotes or [_only_remote(application)]
        ),
        key_size_bit=application.key_size_bit,
        ttl_s=application.ttl_s,
        priority=application.priority,
        max_bandwidth_bit_per_s=application.max_bandwidth_bit_per_s,
    )


def _only_remote(application: pb.Application) -> pb.ApplicationRemote:
    """Return the remote of an entry that 0.1.0 wrote."""
    return pb.ApplicationRemote(
        node=application.remote_node,
        address=application.remote_address,
        relay=application.relay,
        saes=application.remote_saes,
    )


def _check_application(entry: ApplicationEntry, problems: list[tuple[str, str]]) -> None:
    _labels(problems, application=entry.application)
    for index, remote in enumerate(entry.remotes):
        _labels(problems, **{f"remotes[{index}].node": remote.node, f"remotes[{index}].relay": remote.relay})
    for field, saes in (("local_saes", entry.local_saes), *(("remotes.saes", remote.saes) for remote in entry.remotes)):
        problems.extend((field, f"{sae!r} is not {SAE_RULE}") for sae in saes if not is_sae_id(sae))
    everyone = (*entry.local_saes, *(sae for remote in entry.remotes for sae in remote.saes))
    if len(set(everyone)) != len(everyone):
        problems.append(("remotes.saes", "an SAE is named twice"))
    if len({remote.node for remote in entry.remotes}) != len(entry.remotes):
        problems.append(("remotes.node", "a node is named twice"))
    if entry.key_size_bit % 8 or not 64 <= entry.key_size_bit <= 8192:
        problems.append(("key_size_bit", f"{entry.key_size_bit} is not a multiple of 8 in 64..8192"))
    if entry.ttl_s < 1:
        problems.append(("ttl_s", "is not positive"))


def _link_to_pb(entry: LinkEntry) -> pb.LinkSetting:
    return pb.LinkSetting(
        link=entry.link,
        local_interface=entry.local_interface,
        remote_interface=entry.remote_interface,
        neighbour=entry.neighbour,
        neighbour_address=entry.neighbour_address,
        enabled=entry.enabled,
        authentication_floor_bit=entry.authentication_floor_bit,
        authentication_rate_millibit_per_s=entry.authentication_rate_millibit_per_s,
        qber_limit=entry.qber_limit,
        key_ttl_s=entry.key_ttl_s,
        entanglement=entry.entanglement,
        path=entry.path,
    )


def _link_from_pb(link: pb.LinkSetting) -> LinkEntry:
    return LinkEntry(
        link=link.link,
        local_interface=link.local_interface,
        remote_interface=link.remote_interface,
        neighbour=link.neighbour,
        neighbour_address=link.neighbour_address,
        enabled=link.enabled,
        authentication_floor_bit=link.authentication_floor_bit,
        authentication_rate_millibit_per_s=link.authentication_rate_millibit_per_s,
        qber_limit=link.qber_limit,
        key_ttl_s=link.key_ttl_s,
        entanglement=link.entanglement,
        path=link.path,
    )


def _check_link(entry: LinkEntry, problems: list[tuple[str, str]]) -> None:
    _labels(problems, link=entry.link, neighbour=entry.neighbour)
    if entry.entanglement:
        if entry.path:
            problems.append(("path", "is set, and a link that makes pairs makes no key"))
        return
    if entry.path:
        _labels(problems, path=entry.path)
    if not 0.0 < entry.qber_limit <= 0.5:
        problems.append(("qber_limit", f"{entry.qber_limit} is not in (0, 0.5]"))
    if entry.key_ttl_s < 1:
        problems.append(("key_ttl_s", "is not positive"))


def _labels(problems: list[tuple[str, str]], **fields: str) -> None:
    problems.extend((field, f"{text!r} is not {LABEL_RULE}") for field, text in fields.items() if not is_label(text))
