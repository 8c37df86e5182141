"""Links of the northbound API <-> the domain."""

import uuid
from types import MappingProxyType
from typing import Final

from controller.domain.capacity import capacity_millibit_per_s, promised_skr_millibit_per_s
from controller.domain.etag import etag
from controller.domain.link import (
    UNKNOWN_CONDITION,
    Basis,
    Establishment,
    Link,
    LinkCondition,
    LinkEnd,
    LinkKind,
    LinkStatus,
    Provenance,
    link_status,
)
from controller.domain.node import UINT32_MAX
from controller.domain.pair_capacity import link_pair_capacity
from controller.domain.snapshot import NIL_NETWORK
from controller.wire.northbound_pairs import PAIR_FIGURE, model_from_pb, model_to_pb
from controller.wire.northbound_values import Mistakes, WireEnum, bit_per_s, ceil_to, duration_ms, network_uuid
from qinet.northbound.v1 import link_pb2 as pb
from qinet.types.v1 import types_pb2

KIND = WireEnum(LinkKind, pb.LinkKind, "LINK_KIND", unspecified=LinkKind.QKD)
ESTABLISHMENT = WireEnum(
    Establishment, pb.Establishment, "ESTABLISHMENT", unspecified=Establishment.ESTABLISHED
)  # fmt: skip
BASIS = WireEnum(Basis, pb.Basis, "BASIS")
STATUS = WireEnum(LinkStatus, types_pb2.LinkStatus, "LINK_STATUS")

_FIGURES: Final = {
    "length_km": "length_km",
    "loss_db": "loss_db",
    "model_skr_bit_per_s": "model_skr_millibit_per_s",
    "authentication_rate_bit_per_s": "authentication_rate_millibit_per_s",
    "authentication_floor_bit": "authentication_floor_bit",
    "expected_qber": "expected_qber",
    "qber_limit": "qber_limit",
    "key_ttl": "key_ttl_s",
}
"""Figures whose origin may be told: the API's name and the domain's."""
FIGURE_NAMES: Final = {inside: outside for outside, inside in _FIGURES.items()}
"""The API's name of a field, by the domain's, where they differ or an origin may be told."""

_DEFAULT_QBER_LIMIT: Final = 0.11
_DEFAULT_KEY_TTL_S: Final = 7 * 24 * 3600
_MAX_KM_OR_DB: Final = 1e6
_MAX_SOURCE: Final = 1024


def link_from_pb(link_id: str, link: pb.Link, *, field: str = "link") -> Link:
    """Return the link that a client describes.

    Args:
        link_id: Its id; checked by the caller.
        link: What it is; output-only fields are ignored.
        field: Where it stands in the request, for messages.

    Raises:
        InvalidValue: With every mistake.
    """
    mistakes = Mistakes(f"links/{link_id}")
    kind = KIND.member(link.kind, f"{field}.kind", mistakes)
    establishment = ESTABLISHMENT.member(link.establishment, f"{field}.establishment", mistakes)
    ends = sorted(
        LinkEnd(node=mistakes.id("nodes", end.node, f"{field}.ends[{index}].node"), interface=end.interface)
        for index, end in enumerate(link.ends)
    )
    if len(ends) != 2:
        mistakes.add(f"{field}.ends", f"a link has two ends; {len(ends)} are given")
    length = loss = expected_qber = None
    if link.HasField("length_km"):
        length = mistakes.number(link.length_km, f"{field}.length_km", low=0, high=_MAX_KM_OR_DB)
    if link.HasField("loss_db"):
        loss = mistakes.number(link.loss_db, f"{field}.loss_db", low=0, high=_MAX_KM_OR_DB)
    if link.HasField("expected_qber"):
        expected_qber = mistakes.number(link.expected_qber, f"{field}.expected_qber", low=0, high=0.5)
    model = mistakes.millibit_per_s(link.model_skr_bit_per_s, f"{field}.model_skr_bit_per_s", up=False, positive=False)
    authentication = mistakes.millibit_per_s(
        link.authentication_rate_bit_per_s, f"{field}.authentication_rate_bit_per_s", up=True, positive=False
    )
    key_ttl_s = _DEFAULT_KEY_TTL_S
    if link.HasField("key_ttl"):
        key_ttl_s = ceil_to(mistakes.duration_ns(link.key_ttl, f"{field}.key_ttl"), 10**9)
        if not 1 <= key_ttl_s <= UINT32_MAX:
            mistakes.add(f"{field}.key_ttl", f"{key_ttl_s} s is not in 1..{UINT32_MAX} s")
            key_ttl_s = _DEFAULT_KEY_TTL_S
    provenance = _provenance(link, field, mistakes)
    pairs = None
    sound = True
    if link.HasField("pairs"):
        pairs = model_from_pb(link.pairs, f"{field}.pairs", mistakes)
        sound = pairs is not None
    if kind is LinkKind.ENTANGLEMENT:
        _note_key_figures(link, field, mistakes)
    built = None
    if sound and len(ends) == 2 and kind is not None and establishment is not None and all(end.node for end in ends):
        with mistakes.under(field):
            built = Link(
                name=link_id,
                kind=kind,
                establishment=establishment,
                ends=(ends[0], ends[1]),
                ducts=frozenset(link.ducts),
                length_km=length,
                loss_db=loss,
                model_skr_millibit_per_s=model,
                authentication_rate_millibit_per_s=authentication,
                authentication_floor_bit=link.authentication_floor_bit,
                expected_qber=expected_qber,
                qber_limit=link.qber_limit if link.HasField("qber_limit") else _DEFAULT_QBER_LIMIT,
                key_ttl_s=key_ttl_s,
                provenance=provenance,
                admin_enabled=link.admin_enabled if link.HasField("admin_enabled") else True,
                maintenance=link.maintenance,
                pairs=pairs,
            )
    return mistakes.built(built)


def _note_key_figures(link: pb.Link, field: str, mistakes: Mistakes) -> None:
    """Note figures of key of a link that makes none: they would be kept, and never be true."""
    for name in ("model_skr_bit_per_s", "authentication_rate_bit_per_s", "authentication_floor_bit", "expected_qber"):
        if getattr(link, name):
            mistakes.add(f"{field}.{name}", "a link of kind ENTANGLEMENT makes no key: leave it out")


def _provenance(link: pb.Link, field: str, mistakes: Mistakes) -> MappingProxyType[str, Provenance]:
    found: dict[str, Provenance] = {}
    for index, told in enumerate(link.provenance):
        where = f"{field}.provenance[{index}]"
        figure = told.field if PAIR_FIGURE.fullmatch(told.field) else _FIGURES.get(told.field)
        basis = BASIS.member(told.basis, f"{where}.basis", mistakes)
        source = mistakes.text(told.source, f"{where}.source", at_most=_MAX_SOURCE)
        if figure is None:
            mistakes.add(
                f"{where}.field", f"{told.field[:80]!r} is no figure of a link: {', '.join(_FIGURES)}, pairs..."
            )
        elif figure in found:
            mistakes.add(f"{where}.field", f"{told.field} is named twice")
        elif basis is not None:
            found[figure] = Provenance(basis=basis, source=source)
    return MappingProxyType(found)


def link_to_pb(
    link: Link,
    condition: LinkCondition = UNKNOWN_CONDITION,
    *,
    reserved_millibit_per_s: int = 0,
    reserved_pairs: int = 0,
    stale: bool = False,
    network: uuid.UUID = NIL_NETWORK,
    measurement: pb.LinkMeasurement | None = None,
) -> pb.Link:
    """Return the link as the API tells it.

    Args:
        link: What clients set.
        condition: What is decided of it.
        reserved_millibit_per_s: What key relays hold of it.
        reserved_pairs: What entanglement paths hold of it, in the unit of its regime.
        stale: Whether an end has no session.
        network: From which its UUID derives.
        measurement: What was measured last; None before the first report.
    """
    promised = promised_skr_millibit_per_s(link, condition)
    established = link.establishment is Establishment.ESTABLISHED
    own_use = link.authentication_rate_millibit_per_s + reserved_millibit_per_s
    return pb.Link(
        name=f"links/{link.name}",
        kind=KIND.number(link.kind),
        establishment=ESTABLISHMENT.number(link.establishment),
        ends=[pb.LinkEnd(node=f"nodes/{end.node}", interface=end.interface) for end in link.ends],
        ducts=sorted(link.ducts),
        length_km=link.length_km,
        loss_db=link.loss_db,
        model_skr_bit_per_s=bit_per_s(link.model_skr_millibit_per_s),
        authentication_rate_bit_per_s=bit_per_s(link.authentication_rate_millibit_per_s),
        authentication_floor_bit=link.authentication_floor_bit,
        expected_qber=link.expected_qber,
        qber_limit=link.qber_limit,
        key_ttl=duration_ms(link.key_ttl_s * 1000),
        provenance=[
            pb.Provenance(field=FIGURE_NAMES.get(name, name), basis=BASIS.number(told.basis), source=told.source)
            for name, told in sorted(link.provenance.items())
        ],
        admin_enabled=link.admin_enabled,
        maintenance=link.maintenance,
        status=STATUS.number(link_status(link, condition)),
        down_at=[f"nodes/{node}" for node in sorted(condition.down_at)],
        down_reason=condition.down_reason,
        stale=stale,
        exhausted=condition.exhausted,
        promised_skr_bit_per_s=bit_per_s(promised),
        promise_measured=condition.promised_skr_millibit_per_s is not None,
        capacity_bit_per_s=bit_per_s(capacity_millibit_per_s(link, condition)),
        reserved_bit_per_s=bit_per_s(reserved_millibit_per_s),
        eskr_bit_per_s=max(0, promised - own_use) // 1000,
        measurement=measurement,
        uuid=network_uuid(network, f"links/{link.name}"),
        etag=etag(link),
        pairs=model_to_pb(link.pairs) if link.pairs else None,
        entanglement_path=f"entanglementPaths/{link.path}" if link.path else "",
        reserved_pairs=reserved_pairs,
        pair_capacity=link_pair_capacity(link.pairs, condition) if link.pairs and established else 0,
        pair_rate_factor=_ratio(condition.pair_rate_permille),
        pair_fidelity_loss=_ratio(condition.pair_fidelity_loss_permille),
    )


def _ratio(permille: int | None) -> float | None:
    return None if permille is None else permille / 1000
