"""What apps ask of the writer. Each is checked again before it is committed."""

from dataclasses import dataclass

from controller.domain.route import Route


@dataclass(frozen=True, slots=True, kw_only=True)
class MoveRelay:
    """Give a relay these routes, one per share; the old ones are left once they are in use.

    Attributes:
        backup: Routes of a new backup; () for none; None keeps the present one where it still serves.
    """

    relay: str
    routes: tuple[Route, ...]
    because: str
    backup: tuple[Route, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SwitchRelay:
    """Put a relay's installed backup in the place of its routes."""

    relay: str
    because: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BackUpRelay:
    """Give a relay this backup, one route per share, in the place of the one it has."""

    relay: str
    routes: tuple[Route, ...]
    because: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FallBack:
    """Give up the routes that are being installed for a relay, and stay on those in use."""

    relay: str
    because: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockRelay:
    """Take a relay off the network, or say why one that waits still does; it is retried when the network changes."""

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


Command = MoveRelay | SwitchRelay | BackUpRelay | FallBack | BlockRelay | RideOnStore | HoldOff
