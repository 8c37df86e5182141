"""A better placement of the services that run: what is to be moved, what that gains, and how far it is."""

from dataclasses import dataclass, replace
from enum import Enum
from typing import Final

from controller.domain.names import label
from controller.domain.refusals import InvalidValue
from controller.domain.route import Route

MOST_AT_ONCE: Final = 64
"""Most moves of a placement under way at the same time."""
MOST_MOVES: Final = 1000
"""Most moves of a placement: it is stored whole whenever one of them begins or ends. Then another can be searched."""
PLACEMENTS_KEPT: Final = 16
"""Older ones are dropped when another is stored; one that is being carried out never is."""


class PlacementAim(Enum):
    """What a placement betters once all is carried that can be.

    KEY: Relays use as little key as can be, and no link gets fuller than the fullest was. SPREAD: The fullest link is
    as little full as can be, then the same.
    """

    KEY = "KEY"
    SPREAD = "SPREAD"


class PlacementState(Enum):
    """How far a placement is."""

    PROPOSED = "PROPOSED"
    RUNNING = "RUNNING"
    DONE = "DONE"
    CANCELLED = "CANCELLED"


class PlannedMoveState(Enum):
    """How far a move is."""

    PENDING = "PENDING"
    MOVING = "MOVING"
    DONE = "DONE"
    LEFT_OUT = "LEFT_OUT"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacementFigures:
    """How well a network is used.

    Attributes:
        carried_millibit_per_s: What the relays with routes promise together.
        key_use_millibit_per_s: Key that they use on all links together, tags included.
        fullest_ppm: Utilisation of the fullest link, in millionths; >= 0.
        blocked: Relays that fit nowhere.
    """

    carried_millibit_per_s: int = 0
    key_use_millibit_per_s: int = 0
    fullest_ppm: int = 0
    blocked: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedMove:
    """One service that is given other routes.

    Attributes:
        service: Its key.
        from_version: Version of its routes when it was planned: with another one it is not the same any more.
        from_routes, to_routes: Those that it had then, and is to have; one per share.
        reason: Why it was left out; "" else.
        version: Of the routes that it was given; 0 while pending.
    """

    service: str
    from_version: int
    from_routes: tuple[Route, ...]
    to_routes: tuple[Route, ...]
    state: PlannedMoveState = PlannedMoveState.PENDING
    reason: str = ""
    version: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """Moves that together use a network better. Carried out on an operator's word, a few at a time.

    Attributes:
        name: DNS label.
        moves: In the order in which each fits make-before-break, given those before it.
        before, after: The network as it was searched, and once every move is made.
        key_use_bound_millibit_per_s: No placement of the same relays uses less.
        at_once: Most moves under way at the same time; 0 while it is only proposed.
        created_ms: Wall clock, displayed only, milliseconds since 1970.
        created_by: Identity URI of who asked for it.
        searched_revision: Of the snapshot that was searched.
    """

    name: str
    state: PlacementState = PlacementState.PROPOSED
    state_reason: str = ""
    moves: tuple[PlannedMove, ...]
    before: PlacementFigures
    after: PlacementFigures
    key_use_bound_millibit_per_s: int = 0
    at_once: int = 0
    created_ms: int = 0
    created_by: str = ""
    searched_revision: int = 0

    def __post_init__(self) -> None:
        where = f"placements/{self.name}"
        label(where, "name", self.name)
        if not 0 <= self.at_once <= MOST_AT_ONCE:
            raise InvalidValue(where, ("at_once", f"{self.at_once} is not in 0..{MOST_AT_ONCE}"))
        if len(self.moves) > MOST_MOVES:
            raise InvalidValue(where, ("moves", f"{len(self.moves)} are more than {MOST_MOVES}"))
        keys = [move.service for move in self.moves]
        if len(keys) != len(set(keys)):
            raise InvalidValue(where, ("moves", "a service is moved twice"))

    @property
    def gap(self) -> float:
        """Return how far the key that is used after all moves is from the bound; ratio >= 0, 0 is proven best."""
        bound = self.key_use_bound_millibit_per_s
        return max(0.0, self.after.key_use_millibit_per_s / bound - 1.0) if bound > 0 else 0.0

    def moves_in(self, state: PlannedMoveState) -> tuple[PlannedMove, ...]:
        """Return the moves that are that far, in order."""
        return tuple(move for move in self.moves if move.state is state)

    def with_move(self, changed: PlannedMove) -> "Placement":
        """Return the placement with one move as it is now."""
        return replace(self, moves=tuple(changed if move.service == changed.service else move for move in self.moves))
