"""What becomes of services when something changes or fails: told before it is done, or instead of doing it."""

from dataclasses import dataclass
from enum import Enum

from controller.domain.route import Route


class Outcome(Enum):
    """What becomes of a service.

    MOVES: to the routes given. SWITCHES: to its backup, whose routes are given. STAYS: on its routes, although it
    should leave. BLOCKED: it fits nowhere.
    """

    MOVES = "MOVES"
    SWITCHES = "SWITCHES"
    STAYS = "STAYS"
    BLOCKED = "BLOCKED"


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictedMove:
    """What becomes of one service.

    Attributes:
        service: Its key (Service.key).
        routes: Its routes then, one per share; empty when BLOCKED.
        reason: Why, for a person.
    """

    service: str
    outcome: Outcome
    routes: tuple[Route, ...] = ()
    reason: str = ""
