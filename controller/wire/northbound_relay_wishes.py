"""What clients ask of key relays, and what they want changed of them, as the northbound API takes it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from controller.domain.key_relay import Demand, KeyRelay
from controller.domain.node import UINT32_MAX
from controller.wire.northbound_values import Mistakes, key_rate_millibit
from controller.wire.northbound_wishes import (
    MAX_NAMED,
    Asked,
    Reader,
    S,
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
from qinet.northbound.v1 import key_relay_pb2 as pb

_WAIT_TO_RESTORE_MS: Final = 300_000
_LEAST_INTERVAL_NS: Final = 1000 * S
"""How long one bit may take: rates are whole millibit/s."""


def demand_from_pb(relay: pb.KeyRelay, mistakes: Mistakes, *, field: str = "key_relay") -> Demand | None:
    """Return what a client asks of a relay; None once something is noted as a mistake."""
    source = mistakes.id("nodes", relay.source, f"{field}.source")
    target = mistakes.id("nodes", relay.target, f"{field}.target")
    wishes = read_wishes(relay, WISHES, WISHES, mistakes, field)
    if not source or not target or None in (wishes["protection"], wishes["manual"]):
        return None
    with mistakes.under(field):
        return Demand(source=source, target=target, **wishes)
    return None


def _trust_domains(asked: Asked) -> Wishes:
    named = asked.service.trust_domains
    if len(named) > MAX_NAMED:
        asked.mistakes.add(asked.field, f"names {len(named)}; at most {MAX_NAMED} are taken")
    read = asked.mistakes.text
    texts = (read(domain, f"{asked.field}[{index}]") for index, domain in enumerate(named[:MAX_NAMED]))
    return {"trust_domains": frozenset(texts)}


def _rate_wish(asked: Asked) -> Wishes:
    return {"rate_millibit_per_s": _rate(asked.service, asked.field.removesuffix(".rate"), asked.mistakes)}


WISHES: Final[Mapping[str, Reader]] = {
    "rate": _rate_wish,
    "priority": plain("priority"),
    "max_hops": optional("max_hops", None),
    "avoid_nodes": names("nodes", "avoid_nodes"),
    "avoid_links": names("links", "avoid_links"),
    "pass_nodes": names("nodes", "pass_nodes"),
    "pass_links": names("links", "pass_links"),
    "trust_domains": _trust_domains,
    "shares": optional("shares", 1),
    "protection": protection,
    "hold_off": milliseconds("hold_off", "hold_off_ms", 0),
    "lifetime": seconds("lifetime", "lifetime_s", None),
    "forward_share": optional("forward_share", 0.5),
    "restoration_mode": restoration_mode,
    "revertive": plain("revertive"),
    "wait_to_restore": milliseconds("wait_to_restore", "wait_to_restore_ms", _WAIT_TO_RESTORE_MS),
    "may_preempt": plain("may_preempt"),
    "no_trusted_transit": plain("no_trusted_transit"),
}
"""What reads each thing that a client asks of a relay, by its name in an update mask; the ends apart."""

_ALIASES: Final = {"rate_bit_per_s": "rate", "key_rate": "rate", "application": "applications"}
_BESIDE_DEMAND: Final = ("applications", "admin_enabled", "accept_blocked")
UPDATABLE: Final = (*WISHES, *_BESIDE_DEMAND)
"""What an update mask may name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayChange:
    """What a client wants changed of a relay; what it does not name is None, or absent."""

    demand: Wishes
    applications: tuple[str, ...] | None = None
    admin_enabled: bool | None = None
    accept_blocked: bool | None = None


def change_from_pb(
    relay: pb.KeyRelay, paths: Iterable[str], mistakes: Mistakes, *, field: str = "key_relay"
) -> RelayChange:
    """Return what an update mask changes: a field that it names and that is not set gets its default.

    Raises:
        InvalidValue: With every mistake.
    """
    named: dict[str, None] = {}
    for path in paths:
        name = _ALIASES.get(path, path)
        if name in UPDATABLE:
            named[name] = None
        else:
            mistakes.add("update_mask", _why_not(path))
    if not named:
        mistakes.add("update_mask", f"names nothing to change; these can be: {', '.join(UPDATABLE)}")
    wishes = read_wishes(relay, (name for name in named if name in WISHES), WISHES, mistakes, field)
    applications = applications_from_pb(relay, mistakes, field=field) if "applications" in named else None
    mistakes.settle()
    return RelayChange(
        demand=wishes,
        applications=applications,
        admin_enabled=(relay.admin_enabled or not relay.HasField("admin_enabled"))
        if "admin_enabled" in named
        else None,
        accept_blocked=relay.accept_blocked if "accept_blocked" in named else None,
    )


def _why_not(path: str) -> str:
    whole = path.partition(".")[0]
    if whole != path and (whole in UPDATABLE or whole in _ALIASES):
        return f"{path[:80]!r} is part of a field; name {whole} and give all of it"
    if path in ("source", "target", "name"):
        why = "cannot be changed: create another relay"
    elif path in pb.KeyRelay.DESCRIPTOR.fields_by_name:
        why = "is not for clients to set"
    else:
        why = "is no field of a key relay"
    return f"{path[:80]!r} {why}; these can be changed: {', '.join(UPDATABLE)}"


def _rate(relay: pb.KeyRelay, field: str, mistakes: Mistakes) -> int:
    """Return the rate in millibit/s; 1 once noted as a mistake."""
    match relay.WhichOneof("rate"):
        case "rate_bit_per_s":
            return mistakes.millibit_per_s(relay.rate_bit_per_s, f"{field}.rate_bit_per_s", up=True, positive=True)
        case "key_rate":
            told = relay.key_rate
            interval_ns = mistakes.duration_ns(told.interval, f"{field}.key_rate.interval")
            for name, value in (("key_size_bit", told.key_size_bit), ("keys", told.keys), ("interval", interval_ns)):
                if value <= 0:
                    mistakes.add(f"{field}.key_rate.{name}", "must be above 0")
            if not (told.key_size_bit and told.keys and interval_ns > 0):
                return 1
            if told.key_size_bit * told.keys * _LEAST_INTERVAL_NS < interval_ns:
                mistakes.add(f"{field}.key_rate", "is below 0.001 bit/s, the least that is taken")
                return 1
            rate = key_rate_millibit(told.key_size_bit, told.keys, interval_ns)
            if rate > UINT32_MAX * 1000:
                mistakes.add(f"{field}.key_rate", f"is {rate // 1000} bit/s; up to {UINT32_MAX} bit/s are taken")
                return 1
            return rate
        case _:
            mistakes.add(f"{field}.rate_bit_per_s", "is required: rate_bit_per_s or key_rate")
            return 1


def relay_from_pb(relay_id: str, relay: pb.KeyRelay, *, field: str = "key_relay", named: bool = True) -> KeyRelay:
    """Return the relay that a client asks for; only what clients set is filled in.

    Args:
        relay_id: Its id; checked by the caller.
        relay: What it is; output-only fields are ignored.
        field: Where it stands in the request, for messages.
        named: Whether the client chose the id; messages are silent about one that it never saw.

    Raises:
        InvalidValue: With every mistake.
    """
    mistakes = Mistakes(f"keyRelays/{relay_id}" if named else "")
    demand = demand_from_pb(relay, mistakes, field=field)
    applications = applications_from_pb(relay, mistakes, field=field)
    mistakes.settle()
    return KeyRelay(
        name=relay_id,
        demand=mistakes.built(demand),
        applications=applications,
        admin_enabled=relay.admin_enabled if relay.HasField("admin_enabled") else True,
        accept_blocked=relay.accept_blocked,
    )


def applications_from_pb(relay: pb.KeyRelay, mistakes: Mistakes, *, field: str = "key_relay") -> tuple[str, ...]:
    """Return the ids of the applications that a client names, in either field, ascending."""
    if len(relay.applications) > MAX_NAMED:
        mistakes.add(f"{field}.applications", f"names {len(relay.applications)}; at most {MAX_NAMED} are taken")
    named = set(mistakes.ids("applications", relay.applications[:MAX_NAMED], f"{field}.applications"))
    if relay.application:
        named.add(mistakes.id("applications", relay.application, f"{field}.application"))
    return tuple(sorted(named))
