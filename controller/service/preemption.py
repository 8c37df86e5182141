"""Pre-emption: which relays of lower priority make room for one that may take their place, and where they go.

Nothing is promised twice meanwhile. Those that are displaced leave first, make-before-break where they fit elsewhere;
the relay that they leave for waits BLOCKED until their room is released, and is given its routes then.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from controller.domain.capacity import route_charges, service_charges
from controller.domain.key_relay import KeyRelay
from controller.domain.prediction import Outcome, PredictedMove
from controller.domain.refusals import Refusal
from controller.domain.snapshot import Snapshot
from controller.routing.admission.worth import below, check_worth, emptied
from controller.routing.feasible import check_move, find_move
from controller.routing.graph import Graph, graph_of
from controller.routing.places import closed_to
from controller.service.deployment import by_importance, find_deployment
from controller.service.lifecycle import backed_up, blocked, making_room, next_version, routed


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """What becomes of a relay that is to run, and of those that make room for it.

    Attributes:
        relay: As it is from now on.
        others: Those that leave, as they are from now on; most important first.
        moves: What becomes of them, in that order.
    """

    relay: KeyRelay
    others: tuple[KeyRelay, ...] = ()
    moves: tuple[PredictedMove, ...] = ()


def preempted(snapshot: Snapshot, relay: KeyRelay, *, version: int, now_ms: int) -> Placement | None:
    """Return how relays of lower priority make room for a relay without routes; None where even that would not do.

    Least important ones go first, and no more than have to. `version` is the revision that the decision will be
    committed as; `now_ms` is service time.
    """
    weaker = below(snapshot, relay)
    graph = graph_of(snapshot)
    free = closed_to(emptied(graph, weaker), snapshot, relay)
    try:
        place = find_deployment(free, relay)
        check_worth(free, (*place.routes, *(place.backup or ())))
    except Refusal:
        return None
    need = route_charges((*place.routes, *(place.backup or ())), relay.demand.rate_millibit_per_s)
    leaving = _chosen(graph, need, weaker)
    planned = _Plan(snapshot, graph.charged(need), relay, frozenset(need), version=version, now_ms=now_ms)
    for other in by_importance(leaving):
        planned.leave(other)
    names = ", ".join(f"keyRelays/{other.name}" for other in planned.others)
    why = f"waits for the room of {names}" if names else "waits for room that is being released"
    return Placement(
        relay=making_room(relay, why, now_ms=now_ms), others=tuple(planned.others), moves=tuple(planned.moves)
    )


def _chosen(graph: Graph, need: Mapping[str, int], below: Iterable[KeyRelay]) -> list[KeyRelay]:
    """Return which relays have to leave so that every link has what is needed: the least important, and no more.

    What a relay has left already is released without it: only what it goes on using can be taken from it.
    """
    ranked = by_importance(below)
    missing = {link: amount - (graph.room(link) or 0) for link, amount in need.items()}

    def take(other: KeyRelay, links: Iterable[str], sign: int) -> None:
        held = service_charges(other)
        for link in missing.keys() & links:
            missing[link] -= sign * held[link]

    for other in ranked:
        take(other, service_charges(other).keys() - _used(other), 1)
    chosen: list[KeyRelay] = []
    for other in reversed(ranked):
        if any(missing.get(link, 0) > 0 for link in _used(other)):
            chosen.append(other)
            take(other, _used(other), 1)
    for other in reversed(chosen[:]):  # those that others after them made needless stay, most important first
        held = service_charges(other)
        if all(missing[link] + held[link] <= 0 for link in missing.keys() & _used(other)):
            chosen = [kept for kept in chosen if kept is not other]
            take(other, _used(other), -1)
    return chosen


def _used(relay: KeyRelay) -> frozenset[str]:
    return relay.links() | (relay.backup.links() if relay.backup else frozenset())


class _Plan:
    """Finds places for those that leave, one after the other, on what is left beside what is needed."""

    def __init__(
        self,
        snapshot: Snapshot,
        graph: Graph,
        relay: KeyRelay,
        needed: frozenset[str],
        *,
        version: int,
        now_ms: int,
    ) -> None:
        self._snapshot = snapshot
        self._graph = graph
        self._for = relay.name
        self._needed = needed
        self._version = version
        self._now_ms = now_ms
        self.others: list[KeyRelay] = []
        self.moves: list[PredictedMove] = []

    def leave(self, other: KeyRelay) -> None:
        """Decide where a relay goes."""
        because = f"makes room for keyRelays/{self._for}, of higher priority"
        version = next_version(other, self._version)
        spare = other.backup is not None and bool(other.backup.links() & self._needed)
        if not other.links() & self._needed:
            because = f"its backup {because}"
            self._done(backed_up(other, (), version=version, because=because), Outcome.STAYS, because)
            return
        # A backup that is in the way is given up; another is sought when there is room again.
        backup = () if spare else None
        free = self._graph.freed(service_charges(other))
        usable = closed_to(free, self._snapshot, other)
        try:
            routes = find_move(usable, replace(other, backup=None) if spare else other)
            check_move(usable, other, routes, backup=backup)
        except Refusal as refusal:
            because = f"{because}; fits nowhere else: {refusal.message}"
            self._done(blocked(other, because), Outcome.BLOCKED, because)
            return
        moved = routed(other, routes, version=version, now_ms=self._now_ms, because=because, backup=backup)
        self._graph = free.charged(service_charges(moved))
        self._done(moved, Outcome.MOVES, because)

    def _done(self, other: KeyRelay, outcome: Outcome, because: str) -> None:
        self.others.append(other)
        self.moves.append(PredictedMove(service=other.name, outcome=outcome, routes=other.routes, reason=because))
