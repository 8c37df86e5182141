"""What a person is shown of placements: what is moved, how far that is, and what it gains."""

from collections import Counter
from collections.abc import Iterable
from datetime import datetime

from controller.cli.names import short
from controller.cli.output import Part, Sheet, Table
from controller.cli.quantities import shown_moment, shown_rate
from controller.cli.tables import route_text
from qinet.northbound.v1.placement_pb2 import Placement, PlacementFigures, PlacementState, PlannedMove, PlannedMoveState
from qinet.northbound.v1.placement_service_pb2 import NothingBetter


def state_of(placement: Placement) -> str:
    """Return how far a placement is, in a word."""
    return PlacementState.Name(placement.state).removeprefix("PLACEMENT_STATE_")


def move_state_of(move: PlannedMove) -> str:
    """Return how far a move is, in a word."""
    return PlannedMoveState.Name(move.state).removeprefix("PLANNED_MOVE_STATE_")


def tally(placement: Placement) -> str:
    """Return how many moves are how far: `3 DONE, 1 MOVING, 4 PENDING`."""
    counted = Counter(move_state_of(move) for move in placement.moves)
    return ", ".join(
        f"{counted[state]} {state}" for state in ("DONE", "MOVING", "PENDING", "LEFT_OUT") if counted[state]
    )


def placement_table(placements: Iterable[Placement], now: datetime | None) -> Table:
    """Return placements, one a row."""
    return Table(
        title="",
        columns=("placement", "state", "moves", "key use", "fullest link", "gap", "created", "by"),
        rows=tuple(
            (
                short(one.name),
                state_of(one),
                tally(one),
                f"{shown_rate(one.before.key_use_bit_per_s)} -> {shown_rate(one.after.key_use_bit_per_s)}",
                f"{_percent(one.before)} -> {_percent(one.after)}",
                f"{one.gap:.1%}",
                shown_moment(one.create_time, now),
                one.created_by,
            )
            for one in placements
        ),
    )


def placement_parts(placement: Placement, now: datetime | None) -> list[Part]:
    """Return a placement whole: what it gains, and its moves."""
    facts = [
        ("placement", short(placement.name)),
        ("state", state_of(placement)),
        *([("why", placement.state_reason)] if placement.state_reason else []),
        ("moves", tally(placement)),
        *_gains(placement.before, placement.after),
        *_proof(placement.key_use_bound_bit_per_s, placement.gap),
        ("created", f"{shown_moment(placement.create_time, now)} by {placement.created_by}"),
    ]
    moves = Table(
        title="moves, in this order",
        columns=("relay", "state", "from", "to", "reason"),
        rows=tuple(
            (
                short(move.service),
                move_state_of(move),
                " | ".join(map(route_text, move.from_routes)) or "no route",
                " | ".join(map(route_text, move.to_routes)),
                move.reason,
            )
            for move in placement.moves
        ),
    )
    return [Sheet(facts=tuple(facts)), moves]


def figures_sheet(nothing: NothingBetter) -> Sheet:
    """Return how well the network is used where nothing better was found."""
    figures = nothing.figures
    return Sheet(
        facts=(
            ("relays promise", shown_rate(figures.carried_bit_per_s)),
            ("key use", shown_rate(figures.key_use_bit_per_s)),
            ("fullest link", _percent(figures)),
            ("blocked relays", str(figures.blocked)),
            *_proof(nothing.key_use_bound_bit_per_s, nothing.gap),
        ),
    )


def _gains(before: PlacementFigures, after: PlacementFigures) -> list[tuple[str, str]]:
    return [
        ("relays promise", _change(shown_rate(before.carried_bit_per_s), shown_rate(after.carried_bit_per_s))),
        ("key use", _change(shown_rate(before.key_use_bit_per_s), shown_rate(after.key_use_bit_per_s))),
        ("fullest link", _change(_percent(before), _percent(after))),
        ("blocked relays", _change(str(before.blocked), str(after.blocked))),
    ]


def _proof(bound_bit_per_s: float, gap: float) -> list[tuple[str, str]]:
    return [("proven", f"no placement of these relays uses less than {shown_rate(bound_bit_per_s)}; gap {gap:.2%}")]


def _change(before: str, after: str) -> str:
    return before if before == after else f"{before} -> {after}"


def _percent(figures: PlacementFigures) -> str:
    return f"{figures.fullest_link_utilisation:.0%}"
