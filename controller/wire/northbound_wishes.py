"""How the wishes of a service are read off a request: one reader for each field, shared by relays and paths."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from controller.domain.service import Protection
from controller.wire.northbound_values import Mistakes, WireEnum, ceil_to
from qinet.northbound.v1 import key_relay_pb2 as pb

MAX_NAMED: Final = 1024
"""Most names that one field may hold."""
MS: Final = 10**6
S: Final = 10**9


class RestorationMode(Enum):
    """Who moves a service when its route fails, as the API tells it."""

    AUTOMATIC = "automatic"
    MANUAL = "manual"


PROTECTION = WireEnum(Protection, pb.KeyRelay.Protection, "PROTECTION", unspecified=Protection.RESTORE)
RESTORATION_MODE = WireEnum(
    RestorationMode,
    pb.KeyRelay.RestorationMode,
    "RESTORATION_MODE",
    unspecified=RestorationMode.AUTOMATIC,
)

Wishes = dict[str, Any]
"""Values by field of a demand."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a reader reads: the service as it came, where the field stands, and where to note what is wrong with it."""

    service: Any
    field: str
    mistakes: Mistakes

    def given(self, name: str) -> bool:
        """Tell whether an optional field is set."""
        return bool(self.service.HasField(name))


Reader = Callable[[Asked], Wishes]


def read_wishes(
    service: Any, names: Iterable[str], readers: Mapping[str, Reader], mistakes: Mistakes, field: str
) -> Wishes:
    """Return what the named readers make of a service; `field` is where it stands in the request."""
    found: Wishes = {}
    for name in names:
        found |= readers[name](Asked(service=service, field=f"{field}.{name}", mistakes=mistakes))
    return found


def names(collection: str, name: str) -> Reader:
    """Return the reader of a list of resource names; it makes a set of ids."""

    def read(asked: Asked) -> Wishes:
        named = getattr(asked.service, name)
        if len(named) > MAX_NAMED:
            asked.mistakes.add(asked.field, f"names {len(named)}; at most {MAX_NAMED} are taken")
        return {name: asked.mistakes.ids(collection, named[:MAX_NAMED], asked.field)}

    return read


def plain(name: str) -> Reader:
    """Return the reader of a field that is taken as it is."""
    return lambda asked: {name: getattr(asked.service, name)}


def optional(name: str, default: Any) -> Reader:
    """Return the reader of a field that may be absent."""
    return lambda asked: {name: getattr(asked.service, name) if asked.given(name) else default}


def milliseconds(name: str, to: str, default_ms: int | None) -> Reader:
    """Return the reader of a duration, rounded up to milliseconds."""
    return _duration(name, to, MS, default_ms)


def seconds(name: str, to: str, default_s: int | None) -> Reader:
    """Return the reader of a duration, rounded up to seconds."""
    return _duration(name, to, S, default_s)


def _duration(name: str, to: str, unit_ns: int, default: int | None) -> Reader:
    def read(asked: Asked) -> Wishes:
        if not asked.given(name):
            return {to: default}
        return {to: ceil_to(asked.mistakes.duration_ns(getattr(asked.service, name), asked.field), unit_ns)}

    return read


def protection(asked: Asked) -> Wishes:
    """Read what happens when the route fails; None once noted as a mistake."""
    return {"protection": PROTECTION.member(asked.service.protection, asked.field, asked.mistakes)}


def restoration_mode(asked: Asked) -> Wishes:
    """Read who moves the service when its route fails; None once noted as a mistake."""
    mode = RESTORATION_MODE.member(asked.service.restoration_mode, asked.field, asked.mistakes)
    return {"manual": None if mode is None else mode is RestorationMode.MANUAL}
