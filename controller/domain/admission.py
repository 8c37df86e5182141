"""How key relays are admitted: which policy chooses their routes, and whether a price may refuse them."""

from dataclasses import dataclass
from enum import Enum
from typing import Final

from controller.domain.refusals import InvalidValue


class Policy(Enum):
    """Who gets which route.

    SHORTEST: the shortest route of the idle network, or none. WIDEST_SHORTEST: fewest links of those with room, then
    the roomiest bottleneck. LEAST_LOADED: least sum of capacity / room. BALANCED: least sum of prices that grow
    exponentially with the load. EXPONENTIAL: the same, and refused where that sum is above what the relay is worth.
    """

    SHORTEST = "shortest"
    WIDEST_SHORTEST = "widest_shortest"
    LEAST_LOADED = "least_loaded"
    BALANCED = "balanced"
    EXPONENTIAL = "exponential"


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """The policy, and what it needs.

    Attributes:
        longest_route: Most links of a route that `exponential` admits, > 0: the shorter, the later it refuses; None:
            as many as a loop-free route can have.
    """

    policy: Policy = Policy.WIDEST_SHORTEST
    longest_route: int | None = None

    def __post_init__(self) -> None:
        if self.longest_route is not None and self.longest_route < 1:
            raise InvalidValue("", ("admission.longest_route", f"{self.longest_route} is not positive"))


DEFAULT_ADMISSION: Final = Admission()
