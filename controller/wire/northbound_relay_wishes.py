"""What clients ask of key relays, and what they want changed of them, as the northbound API takes it."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from controller.domain.key_relay import Demand, KeyRelay, Protection
from controller.domain.node import UINT32_MAX
from controller.wire.northbound_values import Mistakes, WireEnum, ceil_to, key_rate_millibit
from qinet.northbound.v1 import key_relay_pb2 as pb


class RestorationMode(Enum):
    """Who moves a relay when its route fails, as the API tells it."""

    AUTOMATIC = "automatic"
    MANUAL = "manual"


PROTECTION = WireEnum(Protection, pb.KeyRelay.Protection, "PROTECTION", unspecified=Protection.RESTORE)
RESTORATION_MODE = WireEnum(
    RestorationMode,
    pb.KeyRelay.RestorationMode,
    "RESTORATION_MODE",
    unspecified=RestorationMode.AUTOMATIC,
)

_WAIT_TO_RESTORE_MS: Final = 300_000
_MS: Final = 10**6
_S: Final = 10**9
_MAX_NAMED: Final = 1024
_LEAST_INTERVAL_NS: Final = 1000 * _S
"""How long one bit may take: rates are whole millibit/s."""


Wishes = dict[str, Any]
"""Values by field of Demand."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """What a reader reads: the relay as it came, where the field stands, and where to note what is wrong with it."""

    relay: Any
    field: str
    mistakes: Mistakes

    def given(self, name: str) -> bool:
        """Tell whether an optional field is set."""
        return bool(self.relay.HasField(name))


def demand_from_pb(relay: pb.KeyRelay, mistakes: Mistakes, *, field: str = "key_relay") -> Demand | None:
    """Return what a client asks of a relay; None once something is noted as a mistake."""
    source = mistakes.id("nodes", relay.source, f"{field}.source")
    target = mistakes.id("nodes", relay.target, f"{field}.target")
    wishes = _wishes(relay, WISHES, mistakes, field)
    if not source or not target or None in (wishes["protection"], wishes["manual"]):
        return None
    with mistakes.under(field):
        return Demand(source=source, target=target, **wishes)
    return None


def _wishes(relay: pb.KeyRelay, names: Iterable[str], mistakes: Mistakes, field: str) -> Wishes:
    found: Wishes = {}
    for name in names:
        found |= WISHES[name](_Asked(relay=relay, field=f"{field}.{name}", mistakes=mistakes))
    return found


def _names(collection: str, name: str) -> "Reader":
    def read(asked: _Asked) -> Wishes:
        named = getattr(asked.relay, name)
        if len(named) > _MAX_NAMED:
            asked.mistakes.add(asked.field, f"names {len(named)}; at most {_MAX_NAMED} are taken")
        return {name: asked.mistakes.ids(collection, named[:_MAX_NAMED], asked.field)}

    return read


def _plain(name: str) -> "Reader":
    return lambda asked: {name: getattr(asked.relay, name)}


def _optional(name: str, default: Any) -> "Reader":
    return lambda asked: {name: getattr(asked.relay, name) if asked.given(name) else default}


def _milliseconds(name: str, to: str, default_ms: int) -> "Reader":
    def read(asked: _Asked) -> Wishes:
        if not asked.given(name):
            return {to: default_ms}
        return {to: ceil_to(asked.mistakes.duration_ns(getattr(asked.relay, name), asked.field), _MS)}

    return read


def _trust_domains(asked: _Asked) -> Wishes:
    named = asked.relay.trust_domains
    if len(named) > _MAX_NAMED:
        asked.mistakes.add(asked.field, f"names {len(named)}; at most {_MAX_NAMED} are taken")
    read = asked.mistakes.text
    texts = (read(domain, f"{asked.field}[{index}]") for index, domain in enumerate(named[:_MAX_NAMED]))
    return {"trust_domains": frozenset(texts)}


def _protection(asked: _Asked) -> Wishes:
    return {"protection": PROTECTION.member(asked.relay.protection, asked.field, asked.mistakes)}


def _mode(asked: _Asked) -> Wishes:
    mode = RESTORATION_MODE.member(asked.relay.restoration_mode, asked.field, asked.mistakes)
    return {"manual": None if mode is None else mode is RestorationMode.MANUAL}


def _lifetime(asked: _Asked) -> Wishes:
    if not asked.given("lifetime"):
        return {"lifetime_s": None}
    return {"lifetime_s": ceil_to(asked.mistakes.duration_ns(asked.relay.lifetime, asked.field), _S)}


def _rate_wish(asked: _Asked) -> Wishes:
    return {"rate_millibit_per_s": _rate(asked.relay, asked.field.removesuffix(".rate"), asked.mistakes)}


Reader = Callable[[_Asked], Wishes]

WISHES: Final[Mapping[str, Reader]] = {
    "rate": _rate_wish,
    "priority": _plain("priority"),
    "max_hops": _optional("max_hops", None),
    "avoid_nodes": _names("nodes", "avoid_nodes"),
    "avoid_links": _names("links", "avoid_links"),
    "pass_nodes": _names("nodes", "pass_nodes"),
    "pass_links": _names("links", "pass_links"),
    "trust_domains": _trust_domains,
    "shares": _optional("shares", 1),
    "protection": _protection,
    "hold_off": _milliseconds("hold_off", "hold_off_ms", 0),
    "lifetime": _lifetime,
    "forward_share": _optional("forward_share", 0.5),
    "restoration_mode": _mode,
    "revertive": _plain("revertive"),
    "wait_to_restore": _milliseconds("wait_to_restore", "wait_to_restore_ms", _WAIT_TO_RESTORE_MS),
    "may_preempt": _plain("may_preempt"),
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
    wishes = _wishes(relay, (name for name in named if name in WISHES), mistakes, field)
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
    if len(relay.applications) > _MAX_NAMED:
        mistakes.add(f"{field}.applications", f"names {len(relay.applications)}; at most {_MAX_NAMED} are taken")
    named = set(mistakes.ids("applications", relay.applications[:_MAX_NAMED], f"{field}.applications"))
    if relay.application:
        named.add(mistakes.id("applications", relay.application, f"{field}.application"))
    return tuple(sorted(named))
