"""What apps ask of the writer. Each is checked again before it is committed."""

from dataclasses import dataclass

from controller.domain.route import Route


@dataclass(frozen=True, slots=True, kw_only=True)
class MoveRelay:
    """Give a relay these routes, one per share, and take the old ones off."""

    relay: str
    routes: tuple[Route, ...]
    because: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockRelay:
    """Take a relay off the network; it is retried when the network changes."""

    relay: str
    because: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RideOnStore:
    """Leave a relay where it is, on the stored key of a link that is down."""

    relay: str
    because: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldOff:
    """Wait until this service time before a relay moves."""

    relay: str
    until_ms: int
    because: str


Command = MoveRelay | BlockRelay | RideOnStore | HoldOff
