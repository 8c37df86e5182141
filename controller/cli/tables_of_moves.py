"""What a person is shown of moves and of the past: predictions, histories, and whether moves are frozen."""

from collections.abc import Iterable
from datetime import datetime

from controller.cli.names import short
from controller.cli.output import Sheet, Table
from controller.cli.quantities import shown_duration, shown_moment
from controller.cli.tables import phase_word, route_text, state_word
from qinet.northbound.v1.entanglement_service_pb2 import EntanglementPathHistoryEntry
from qinet.northbound.v1.key_relay_pb2 import Route
from qinet.northbound.v1.key_relay_service_pb2 import KeyRelayHistoryEntry, PredictedMove
from qinet.northbound.v1.operations_service_pb2 import Frozen, GetClusterStatusResponse


def outcome(move: PredictedMove) -> str:
    """Return what becomes of a relay, in a word."""
    return PredictedMove.Outcome.Name(move.outcome).removeprefix("OUTCOME_")


def move_table(moves: Iterable[PredictedMove], *, title: str = "") -> Table:
    """Return what becomes of relays and paths, one a row, in the order in which they move."""
    moving = list(moves)
    return Table(
        title=title,
        columns=(
            "service" if any(move.entanglement_path for move in moving) else "relay",
            "outcome",
            "new route",
            "reason",
        ),
        rows=tuple(
            (
                move.entanglement_path or short(move.key_relay),
                outcome(move),
                " | ".join(map(route_text, move.routes)),
                move.reason,
            )
            for move in moving
        ),
    )


def move_summary(moves: Iterable[PredictedMove]) -> str:
    """Return how many services end how: `2 MOVES, 1 BLOCKED`; `no service` without any."""
    counted: dict[str, int] = {}
    for move in moves:
        counted[outcome(move)] = counted.get(outcome(move), 0) + 1
    return ", ".join(f"{count} {word}" for word, count in counted.items()) or "no service"


Entry = KeyRelayHistoryEntry | EntanglementPathHistoryEntry


def routes_of(entry: Entry) -> list[Route]:
    """Return the routes that a service had from then on."""
    if isinstance(entry, KeyRelayHistoryEntry):
        return list(entry.routes)
    return [entry.route] if entry.HasField("route") else []


def history_table(entries: Iterable[Entry], now: datetime | None) -> Table:
    """Return the changes in the life of a service, one a row; moments relative to `now` if that is given."""
    return Table(
        columns=("when", "revision", "state", "by", "version", "route", "reason"),
        dispensable=("version", "revision", "route"),
        rows=tuple(
            (
                shown_moment(entry.time, now),
                str(entry.revision),
                history_state(entry),
                entry.by,
                str(entry.route_version),
                " | ".join(map(route_text, routes_of(entry))),
                entry.state_reason,
            )
            for entry in entries
        ),
    )


def history_state(entry: Entry) -> str:
    """Return state and phase of a service from then on, in a word or two."""
    return f"{state_word(entry.state)} {phase_word(entry.phase)}".rstrip()


def frozen_sheet(frozen: Frozen | None, now: datetime | None) -> Sheet:
    """Return whether automatic moves are stopped, why, and by whom."""
    if frozen is None:
        return Sheet(facts=(("automatic moves", "go on"),))
    return Sheet(
        facts=(
            ("automatic moves", "FROZEN"),
            ("reason", frozen.reason),
            ("by", frozen.by),
            ("since", shown_moment(frozen.since, now)),
        )
    )


def status_sheet(status: GetClusterStatusResponse, now: datetime | None) -> Sheet:
    """Return how a controller stands."""
    frozen = status.frozen if status.HasField("frozen") else None
    return Sheet(
        facts=(
            ("controller", status.controller),
            ("leader", "yes" if status.leader else f"no: {status.leader_address or 'unknown'}"),
            ("version", status.version),
            ("started", shown_moment(status.start_time, now)),
            ("service time", shown_duration(status.service_time)),
            ("revision", str(status.revision)),
            ("network", status.network),
            ("agents", f"{status.agents_connected} of {status.nodes} connected"),
            ("election", f"{status.election_id.epoch}.{status.election_id.term}"),
            ("configuration", status.config_hash),
            *frozen_sheet(frozen, now).facts,
        )
    )
