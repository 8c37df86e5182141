"""What apps ask of the writer, for key relays and entanglement paths. Each is checked again before it is committed.

`service` is the service's key (Service.key): the name of a relay, or `entanglementPaths/` and that of a path.
"""

from dataclasses import dataclass

from controller.domain.path_plan import PathPlan
from controller.domain.route import Route


@dataclass(frozen=True, slots=True, kw_only=True)
class MoveService:
    """Give a service these routes, one per share; the old ones are left once they are in use.

    Attributes:
        backup: Routes of a new backup; () for none; None keeps the present one where it still serves.
        plan: How pairs are made on the route; an entanglement path's, as `find_place` gives it.
    """

    service: str
    routes: tuple[Route, ...]
    because: str
    backup: tuple[Route, ...] | None = None
    plan: PathPlan | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SwitchService:
    """Put a service's installed backup in the place of its routes."""

    service: str
    because: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BackUpService:
    """Give a service this backup, one route per share, in the place of the one it has."""

    service: str
    routes: tuple[Route, ...]
    because: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FallBack:
    """Give up the routes that are being installed for a service, and stay on those in use."""

    service: str
    because: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockService:
    """Take a service off the network, or say why one that waits still does; it is retried when the network changes."""

    service: str
    because: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RideOnStore:
    """Leave a key relay where it is, on the stored key of a link that is down; a path has none, and is not left so."""

    service: str
    because: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldOff:
    """Wait until this service time before a service moves."""

    service: str
    until_ms: int
    because: str


Command = MoveService | SwitchService | BackUpService | FallBack | BlockService | RideOnStore | HoldOff
