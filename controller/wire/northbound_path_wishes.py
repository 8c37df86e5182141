"""What clients ask of entanglement paths, and what they want changed of them, as the northbound API takes it.

Fidelity is F = <Phi+|rho|Phi+>, a ratio.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from controller.domain.entanglement_path import (
    MAX_PACKET_PAIRS,
    PRE_SHARED,
    EntanglementPath,
    Packets,
    PairDemand,
    PairUse,
)
from controller.domain.node import UINT32_MAX
from controller.domain.pair_link import MAX_PAIR_RATE_MILLIHERTZ
from controller.domain.refusals import InvalidValue
from controller.wire.northbound_values import Mistakes, WireEnum, ceil_to, millibit
from controller.wire.northbound_wishes import (
    MS,
    Asked,
    Reader,
    Wishes,
    milliseconds,
    names,
    optional,
    plain,
    protection,
    read_wishes,
    restoration_mode,
    seconds,
)
from qinet.northbound.v1 import entanglement_path_pb2 as pb
from qinet.types.v1 import pairs_pb2

PAIR_USE = WireEnum(PairUse, pairs_pb2.PairUse, "PAIR_USE", unspecified=PairUse.KEEP)

_TEST_SHARE: Final = 0.05
_BLOCK_BIT: Final = 8192
_BLOCK_BITS: Final = (1024, 2**24)
_LEAST_RATE_HZ: Final = 0.001
"""Rates are whole pairs per 1,000 s."""
_API_NAMES: Final = {"rate": "rate_hz", "purpose": "purpose_id", "distillation_block": "distillation_block_bit"}
"""By field as the domain names it in a refusal, that of the API where it has another name."""


def pair_demand_from_pb(
    path: pb.EntanglementPath, mistakes: Mistakes, *, field: str = "entanglement_path"
) -> PairDemand | None:
    """Return what a client asks of a path; None once something is noted as a mistake."""
    source = mistakes.id("nodes", path.source, f"{field}.source")
    target = mistakes.id("nodes", path.target, f"{field}.target")
    wishes = read_wishes(path, WISHES, WISHES, mistakes, field)
    if not source or not target or None in (wishes["protection"], wishes["manual"], wishes["use"]):
        return None
    try:
        return PairDemand(source=source, target=target, **wishes)
    except InvalidValue as refused:
        for name, problem in refused.fields:
            mistakes.add(f"{field}.{_API_NAMES.get(name, name)}", problem)
        return None


def _minimum_fidelity(asked: Asked) -> Wishes:
    value = asked.service.minimum_fidelity
    if not (math.isfinite(value) and 0.25 < value <= 1):
        needs = "is required: a ratio" if value == 0 else f"{value!r} is not a fidelity"
        asked.mistakes.add(
            asked.field, f"{needs} in (0.25, 1], F = <Phi+|rho|Phi+>; without entanglement a pair has 0.25 to 0.5"
        )
        return {"minimum_fidelity": 1.0}
    return {"minimum_fidelity": value}


def _millihertz(rate_hz: float, field: str, mistakes: Mistakes) -> int:
    """Return a rate in integers, rounded up; 1 once noted as a mistake."""
    most_hz = MAX_PAIR_RATE_MILLIHERTZ / 1000
    bounds = f"from {_LEAST_RATE_HZ:g} up to {most_hz:.0f} Hz"
    if math.isnan(rate_hz):
        mistakes.add(field, f"NaN is no rate: give a number {bounds}")
        return 1
    if not _LEAST_RATE_HZ <= rate_hz <= most_hz:
        mistakes.add(field, f"{rate_hz!r} is not {bounds}")
        return 1
    return millibit(rate_hz, up=True)  # a thousandth is a thousandth


def _service(asked: Asked) -> Wishes:
    """Read how many pairs are wanted, one by one or in packets."""
    parent = asked.field.removesuffix(".service")
    match asked.service.WhichOneof("service"):
        case "rate_hz":
            rate = _millihertz(asked.service.rate_hz, f"{parent}.rate_hz", asked.mistakes)
            return {"rate_millihertz": rate, "packets": None}
        case "packets":
            return {"rate_millihertz": None, "packets": _packets(asked.service.packets, f"{parent}.packets", asked)}
        case _:
            asked.mistakes.add(f"{parent}.rate_hz", "is required: rate_hz, or packets")
            return {"rate_millihertz": 1, "packets": None}


def _packets(told: pb.Packets, field: str, asked: Asked) -> Packets:
    rate = _millihertz(told.rate_hz, f"{field}.rate_hz", asked.mistakes)
    window_ns = asked.mistakes.duration_ns(told.window, f"{field}.window")
    window_ms = ceil_to(window_ns, MS)
    if not 1 <= window_ms <= UINT32_MAX:
        asked.mistakes.add(f"{field}.window", f"{window_ns / 1e9:g} s is not in [0.001, {UINT32_MAX / 1000:.0f}] s")
        window_ms = 1
    if not 1 <= told.pairs <= MAX_PACKET_PAIRS:
        asked.mistakes.add(f"{field}.pairs", f"{told.pairs} is not in 1..{MAX_PACKET_PAIRS}")
        return Packets(pairs=1, window_ms=window_ms, rate_millihertz=rate)
    return Packets(pairs=told.pairs, window_ms=window_ms, rate_millihertz=rate)


def _use(asked: Asked) -> Wishes:
    return {"use": PAIR_USE.member(asked.service.use, asked.field, asked.mistakes)}


def _purpose(asked: Asked) -> Wishes:
    purpose = asked.service.purpose_id
    if purpose > 0xFFFF:
        asked.mistakes.add(asked.field, f"{purpose} is not in 0..65535")
        return {"purpose": 0}
    return {"purpose": purpose}


def _key_link(asked: Asked) -> Wishes:
    name = asked.service.key_link
    return {"key_link": asked.mistakes.id("links", name, asked.field) if name else ""}


def _authentication(asked: Asked) -> Wishes:
    name = asked.service.authentication
    if name in ("", PRE_SHARED):
        return {"authentication": name}
    relay = asked.mistakes.id("keyRelays", name, asked.field)
    if relay == PRE_SHARED:
        asked.mistakes.add(asked.field, f"a key relay of the name {PRE_SHARED} cannot be told from a key shared before")
        return {"authentication": ""}
    return {"authentication": relay}


def _block(asked: Asked) -> Wishes:
    bits = asked.service.distillation_block_bit
    low, high = _BLOCK_BITS
    if bits and not asked.service.key_link:
        asked.mistakes.add(asked.field, "is for a path with a key_link only")
    elif bits and not low <= bits <= high:
        asked.mistakes.add(asked.field, f"{bits} bit is not in {low}..{high}")
    else:
        return {"distillation_block_bit": bits or _BLOCK_BIT}
    return {"distillation_block_bit": _BLOCK_BIT}


WISHES: Final[Mapping[str, Reader]] = {
    "minimum_fidelity": _minimum_fidelity,
    "service": _service,
    "use": _use,
    "purpose_id": _purpose,
    "priority": plain("priority"),
    "deadline": seconds("deadline", "deadline_s", None),
    "lifetime": seconds("lifetime", "lifetime_s", None),
    "max_hops": optional("max_hops", None),
    "avoid_nodes": names("nodes", "avoid_nodes"),
    "avoid_links": names("links", "avoid_links"),
    "test_share": optional("test_share", _TEST_SHARE),
    "protection": protection,
    "restoration_mode": restoration_mode,
    "hold_off": milliseconds("hold_off", "hold_off_ms", 0),
    "key_link": _key_link,
    "authentication": _authentication,
    "distillation_block_bit": _block,
}
"""What reads each thing that a client asks of a path, by its name in an update mask; the ends apart."""

_ALIASES: Final = {"rate_hz": "service", "packets": "service"}
_FOR_LIFE: Final = ("use", "key_link", "authentication", "distillation_block_bit")
"""What becomes of its pairs, and the link that it feeds, stand and fall with a path."""
_BESIDE_DEMAND: Final = ("admin_enabled", "accept_blocked")
UPDATABLE: Final = (*(name for name in WISHES if name not in _FOR_LIFE), *_BESIDE_DEMAND)
"""What an update mask may name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PathChange:
    """What a client wants changed of a path; what it does not name is None, or absent."""

    demand: dict[str, Any]
    admin_enabled: bool | None = None
    accept_blocked: bool | None = None


def path_change_from_pb(
    path: pb.EntanglementPath, masked: Iterable[str], mistakes: Mistakes, *, field: str = "entanglement_path"
) -> PathChange:
    """Return what an update mask changes: a field that it names and that is not set gets its default.

    Raises:
        InvalidValue: With every mistake.
    """
    named: dict[str, None] = {}
    for mask in masked:
        name = _ALIASES.get(mask, mask)
        if name in UPDATABLE:
            named[name] = None
        else:
            mistakes.add("update_mask", _why_not(mask))
    if not named:
        mistakes.add("update_mask", f"names nothing to change; these can be: {', '.join(UPDATABLE)}")
    wishes = read_wishes(path, (name for name in named if name in WISHES), WISHES, mistakes, field)
    mistakes.settle()
    return PathChange(
        demand=wishes,
        admin_enabled=(path.admin_enabled or not path.HasField("admin_enabled")) if "admin_enabled" in named else None,
        accept_blocked=path.accept_blocked if "accept_blocked" in named else None,
    )


def _why_not(mask: str) -> str:
    whole = mask.partition(".")[0]
    if whole != mask and (whole in UPDATABLE or whole in _ALIASES):
        return f"{mask[:80]!r} is part of a field; name {whole} and give all of it"
    if mask in ("source", "target", "name", *_FOR_LIFE):
        why = "cannot be changed: create another path"
    elif mask in pb.EntanglementPath.DESCRIPTOR.fields_by_name:
        why = "is not for clients to set"
    else:
        why = "is no field of an entanglement path"
    return f"{mask[:80]!r} {why}; these can be changed: {', '.join(UPDATABLE)}"


def path_from_pb(
    path_id: str, path: pb.EntanglementPath, *, field: str = "entanglement_path", named: bool = True
) -> EntanglementPath:
    """Return the path that a client asks for; only what clients set is filled in.

    Args:
        path_id: Its id; checked by the caller.
        path: What it is; output-only fields are ignored.
        field: Where it stands in the request, for messages.
        named: Whether the client chose the id; messages are silent about one that it never saw.

    Raises:
        InvalidValue: With every mistake.
    """
    mistakes = Mistakes(f"entanglementPaths/{path_id}" if named else "")
    demand = pair_demand_from_pb(path, mistakes, field=field)
    return EntanglementPath(
        name=path_id,
        demand=mistakes.built(demand),
        admin_enabled=path.admin_enabled if path.HasField("admin_enabled") else True,
        accept_blocked=path.accept_blocked,
    )
