"""What would become of key relays if nodes or links failed: on the network as it is, and nothing is changed."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from types import MappingProxyType

from controller.domain.capacity import relay_charges
from controller.domain.key_relay import KeyRelay, Protection
from controller.domain.prediction import Outcome, PredictedMove
from controller.domain.refusals import NotFound, Refusal
from controller.domain.snapshot import Snapshot
from controller.routing.graph import Graph, graph_of
from controller.service.deployment import by_importance, charges_deployed, fits, routed_relays


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
    # Those with a backup switch at once; those that ride out their hold-off move when the others have.
    for relay in sorted(hit, key=lambda relay: (not _switches(relay, failed, failure), _waits(relay, failure))):
        spend()
        move, graph = _predicted(graph, relay, failed, failure)
        yield move


def _switches(relay: KeyRelay, failed: Snapshot, failure: Failure) -> bool:
    return (
        failure.hits(relay)
        and relay.demand.protected
        and relay.backup is not None
        and relay.backup_installed
        and not failure.hits_backup(relay)
        and all(failed.condition(link).generating for route in relay.backup.routes for link in route.links)
        and not _stopped(relay, failed)
        and not _ends(relay, failure)
    )


def _waits(relay: KeyRelay, failure: Failure) -> bool:
    return relay.demand.hold_off_ms > 0 and not any(failure.nodes & set(route.nodes) for route in relay.routes)


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
    if _switches(relay, failed, failure):
        assert relay.backup is not None
        switched = PredictedMove(
            relay=relay.name, outcome=Outcome.SWITCHES, routes=relay.backup.routes, reason="its backup stands ready"
        )
        return switched, graph
    if stopped := _stopped(relay, failed):
        return told(Outcome.STAYS, stopped), graph
    if relay.demand.protection is Protection.UNPROTECTED:
        return told(Outcome.BLOCKED, "unprotected: it waits for its route to come back"), graph
    return _moved(graph, relay, failure)


def _moved(graph: Graph, relay: KeyRelay, failure: Failure) -> tuple[PredictedMove, Graph]:
    free = graph.freed(relay_charges(relay))
    place = fits(free, relay)
    riding = ""
    if _waits(relay, failure):
        riding = f"rides on stored key for about {relay.demand.hold_off_ms / 1000:g} s, its hold-off; then "
    if isinstance(place, Refusal):
        reason = f"{riding}fits nowhere: {place.message}"
        if riding:
            return PredictedMove(relay=relay.name, outcome=Outcome.STAYS, routes=relay.routes, reason=reason), graph
        return PredictedMove(relay=relay.name, outcome=Outcome.BLOCKED, reason=reason), graph
    graph = free.charged(charges_deployed(relay, place))
    lacking = f"; without a backup: {place.lacks}" if place.lacks else ""
    if riding:
        over = ", ".join(f"links/{link}" for route in place.routes for link in route.links)
        reason = f"{riding}moves to {over}{lacking}"
        return PredictedMove(relay=relay.name, outcome=Outcome.STAYS, routes=relay.routes, reason=reason), graph
    reason = f"its route fails{lacking}"
    return PredictedMove(relay=relay.name, outcome=Outcome.MOVES, routes=place.routes, reason=reason), graph
