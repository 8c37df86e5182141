"""What would become of key relays if nodes or links failed: on the network as it is, and nothing is changed."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from types import MappingProxyType

from controller.domain.capacity import relay_charges
from controller.domain.key_relay import KeyRelay, Protection
from controller.domain.prediction import Outcome, PredictedMove
from controller.domain.refusals import NotFound, Refusal
from controller.domain.route import Route
from controller.domain.snapshot import Snapshot
from controller.routing.feasible import charges_after_move, find_move
from controller.routing.graph import Graph, graph_of
from controller.service.deployment import by_importance, routed_relays
from controller.service.lifecycle import carries


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """What fails, all at once; nodes and links by id."""

    nodes: frozenset[str] = frozenset()
    links: frozenset[str] = frozenset()

    def hits(self, relay: KeyRelay) -> bool:
        """Tell whether it takes something from the routes that a relay uses."""
        return any(self.nodes & set(route.nodes) or self.links & set(route.links) for route in relay.routes)

    def hits_backup(self, relay: KeyRelay) -> bool:
        """Tell whether it takes something from a relay's backup."""
        return relay.backup is not None and any(
            self.nodes & set(route.nodes) or self.links & set(route.links) for route in relay.backup.routes
        )


def after_failure(snapshot: Snapshot, failure: Failure) -> Snapshot:
    """Return the snapshot as routing would see it: failed links down, failed nodes gone.

    Raises:
        NotFound: Something of it does not exist.
    """
    unknown = [f"nodes/{name}" for name in sorted(failure.nodes - snapshot.nodes.keys())]
    unknown += [f"links/{name}" for name in sorted(failure.links - snapshot.links.keys())]
    if unknown:
        raise NotFound(*unknown)
    down = {
        name: replace(snapshot.condition(name), down_at=frozenset(snapshot.links[name].nodes), down_reason="as asked")
        for name in failure.links
    }
    return replace(
        snapshot,
        conditions=MappingProxyType({**snapshot.conditions, **down}),
        connected=snapshot.connected - failure.nodes,
    )


def what_if(snapshot: Snapshot, failure: Failure, spend: Callable[[], None]) -> Iterator[PredictedMove]:
    """Yield what would become of each relay that a failure touches, in the order in which they would be moved.

    Each is planned on what those before it leave. `spend` is called before each, and may raise.

    Raises:
        NotFound: Something of the failure does not exist.
    """
    failed = after_failure(snapshot, failure)
    hit = by_importance(relay for relay in routed_relays(snapshot) if failure.hits(relay) or failure.hits_backup(relay))
    graph = graph_of(failed)
    # Those that ride out their hold-off move when the others have.
    for relay in sorted(hit, key=lambda relay: relay.demand.hold_off_ms):
        spend()
        move, graph = _predicted(graph, relay, failed, failure)
        yield move


def _backup_stands(relay: KeyRelay, failed: Snapshot, failure: Failure) -> bool:
    return (
        relay.demand.protected
        and relay.backup is not None
        and relay.backup_installed
        and not failure.hits_backup(relay)
        and carries(relay.backup, failed)
    )


def _ends(relay: KeyRelay, failure: Failure) -> list[str]:
    return sorted(f"nodes/{end}" for end in failure.nodes & {relay.demand.source, relay.demand.target})


def _stopped(relay: KeyRelay, failed: Snapshot) -> str:
    """Return why the controller would not move a relay by itself; "" where it would."""
    if relay.demand.manual:
        return "restoration is MANUAL: an operator redeploys it"
    if failed.frozen is not None:
        return f"automatic moves are stopped by {failed.frozen.by}: {failed.frozen.reason}"
    return ""


def _predicted(graph: Graph, relay: KeyRelay, failed: Snapshot, failure: Failure) -> tuple[PredictedMove, Graph]:
    def told(outcome: Outcome, reason: str) -> PredictedMove:
        routes = () if outcome is Outcome.BLOCKED else relay.routes
        return PredictedMove(relay=relay.name, outcome=outcome, routes=routes, reason=reason)

    ends = _ends(relay, failure)
    if ends:
        return told(Outcome.BLOCKED, f"ends at {' and '.join(ends)}"), graph
    if not failure.hits(relay):
        return told(Outcome.STAYS, "only its backup fails: unprotected until another is found"), graph
    if stopped := _stopped(relay, failed):
        return told(Outcome.STAYS, stopped), graph
    if relay.demand.protection is Protection.UNPROTECTED:
        return told(Outcome.BLOCKED, "unprotected: it waits for its route to come back"), graph
    if _backup_stands(relay, failed, failure):
        assert relay.backup is not None
        reason = "its backup stands ready"
        return _after_hold_off(relay, failure, Outcome.SWITCHES, relay.backup.routes, reason), graph
    free = graph.freed(relay_charges(relay))
    try:
        routes = find_move(free, relay)
    except Refusal as refusal:
        return _after_hold_off(relay, failure, Outcome.BLOCKED, (), f"fits nowhere: {refusal.message}"), graph
    # As restoration does: a relay that has lost its route gets another first, and a backup when there is time.
    graph = free.charged(charges_after_move(relay, routes))
    reason = "its route fails" + ("; another backup is sought then" if relay.demand.protected else "")
    return _after_hold_off(relay, failure, Outcome.MOVES, routes, reason), graph


def _after_hold_off(
    relay: KeyRelay, failure: Failure, outcome: Outcome, routes: tuple[Route, ...], reason: str
) -> PredictedMove:
    """Return what becomes of a relay: at once, or when it has held off; a node that is gone passes on no stored key."""
    hold_off_ms = relay.demand.hold_off_ms
    if not hold_off_ms:
        return PredictedMove(relay=relay.name, outcome=outcome, routes=routes, reason=reason)
    wait = f"{hold_off_ms / 1000:g} s, its hold-off"
    if any(failure.nodes & set(route.nodes) for route in relay.routes):
        return PredictedMove(relay=relay.name, outcome=outcome, routes=routes, reason=f"{reason}; after {wait}")
    told = {Outcome.MOVES: "moves to", Outcome.SWITCHES: "switches to"}.get(outcome, "")
    then = f"{told} {over(routes)}" if told else reason
    because = f"rides on stored key for about {wait}; then {then}"
    return PredictedMove(relay=relay.name, outcome=Outcome.STAYS, routes=relay.routes, reason=because)


def over(routes: Iterable[Route]) -> str:
    """Return the links of routes, for a person."""
    return ", ".join(f"links/{link}" for route in routes for link in route.links)
