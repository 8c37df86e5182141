"""What would become of services if nodes or links failed: on the network as it is, and nothing is changed."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from types import MappingProxyType

from controller.domain.prediction import Outcome, PredictedMove
from controller.domain.reachability import threatened_links
from controller.domain.refusals import NotFound, Refusal
from controller.domain.route import Route
from controller.domain.service import Protection, Service
from controller.domain.snapshot import Snapshot
from controller.routing.feasible import charges_after_move
from controller.routing.places import THREATENED, Grounds, find_clear_backup, find_clear_place, find_place
from controller.service.deployment import by_importance, routed_services
from controller.service.lifecycle import carries


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """What fails, all at once; nodes and links by id."""

    nodes: frozenset[str] = frozenset()
    links: frozenset[str] = frozenset()

    def hits(self, service: Service) -> bool:
        """Tell whether it takes something from the routes that a service uses."""
        return any(self.nodes & set(route.nodes) or self.links & set(route.links) for route in service.routes)

    def hits_backup(self, service: Service) -> bool:
        """Tell whether it takes something from a service's backup."""
        return service.backup is not None and any(
            self.nodes & set(route.nodes) or self.links & set(route.links) for route in service.backup.routes
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
    """Yield what would become of each service that a failure touches, in the order in which they would be moved.

    Each is planned on what those before it leave. `spend` is called before each, and may raise.

    Raises:
        NotFound: Something of the failure does not exist.
    """
    failed = after_failure(snapshot, failure)
    hit = by_importance(
        service for service in routed_services(snapshot) if failure.hits(service) or failure.hits_backup(service)
    )
    grounds, threatened = Grounds(failed), threatened_links(failed)
    # Those that ride out their hold-off move when the others have.
    for service in sorted(hit, key=lambda service: service.demand.hold_off_ms):
        spend()
        yield _predicted(grounds, service, failed, failure, threatened)


def _backup_stands(service: Service, failed: Snapshot, failure: Failure) -> bool:
    return (
        service.demand.protected
        and service.backup is not None
        and service.backup_installed
        and not failure.hits_backup(service)
        and carries(service.backup, failed)
    )


def _clear_place(grounds: Grounds, service: Service, threatened: frozenset[str]) -> bool:
    """Tell whether restoration takes a service elsewhere and not to its backup: that may fail next, and a place not."""
    if service.backup is None or threatened.isdisjoint(service.backup.links()):
        return False
    try:
        find_place(grounds.free_for(service).without_links(threatened, THREATENED), service)
    except Refusal:
        return False
    return True


def _take_another_backup(grounds: Grounds, service: Service, failed: Snapshot, threatened: frozenset[str]) -> None:
    """Have the others not count on what restoration gives as a backup in the place of one that fails."""
    backup = service.backup
    former = service.demand.revertive and backup is not None and backup.version < service.route_version
    if backup is None or former or _stopped(service, failed):
        return
    with suppress(Refusal):
        routes = find_clear_backup(grounds.free_for(service), service, threatened)
        grounds.given(service, charges_after_move(service, service.routes, backup=routes))


def _ends(service: Service, failure: Failure) -> list[str]:
    return sorted(f"nodes/{end}" for end in failure.nodes & {service.demand.source, service.demand.target})


def _stopped(service: Service, failed: Snapshot) -> str:
    """Return why the controller would not move a service by itself; "" where it would."""
    if service.demand.manual:
        return "restoration is MANUAL: an operator redeploys it"
    if failed.frozen is not None:
        return f"automatic moves are stopped by {failed.frozen.by}: {failed.frozen.reason}"
    return ""


def _predicted(
    grounds: Grounds, service: Service, failed: Snapshot, failure: Failure, threatened: frozenset[str]
) -> PredictedMove:
    def told(outcome: Outcome, reason: str) -> PredictedMove:
        routes = () if outcome is Outcome.BLOCKED else service.routes
        return PredictedMove(service=service.key, outcome=outcome, routes=routes, reason=reason)

    ends = _ends(service, failure)
    if ends:
        return told(Outcome.BLOCKED, f"ends at {' and '.join(ends)}")
    if not failure.hits(service):
        _take_another_backup(grounds, service, failed, threatened)
        return told(Outcome.STAYS, "only its backup fails: unprotected until another is found")
    if stopped := _stopped(service, failed):
        return told(Outcome.STAYS, stopped)
    if service.demand.protection is Protection.UNPROTECTED:
        return told(Outcome.BLOCKED, "unprotected: it waits for its route to come back")
    if _backup_stands(service, failed, failure) and not _clear_place(grounds, service, threatened):
        assert service.backup is not None
        reason = "its backup stands ready"
        return _after_hold_off(service, failure, Outcome.SWITCHES, service.backup.routes, reason)
    try:
        place = find_clear_place(grounds.free_for(service), service, threatened)
    except Refusal as refusal:
        return _after_hold_off(service, failure, Outcome.BLOCKED, (), f"fits nowhere: {refusal.message}")
    # As restoration does: a service that has lost its route gets another first, and a backup when there is time.
    grounds.given(service, charges_after_move(service, place.routes, plan=place.plan))
    reason = "its route fails" + ("; another backup is sought then" if service.demand.protected else "")
    return _after_hold_off(service, failure, Outcome.MOVES, place.routes, reason)


def _after_hold_off(
    service: Service, failure: Failure, outcome: Outcome, routes: tuple[Route, ...], reason: str
) -> PredictedMove:
    """Return what becomes of a service: at once, or when it has held off; only stored key bridges that time."""
    hold_off_ms = service.demand.hold_off_ms
    if not hold_off_ms:
        return PredictedMove(service=service.key, outcome=outcome, routes=routes, reason=reason)
    wait = f"{hold_off_ms / 1000:g} s, its hold-off"
    if service.plan is not None or any(failure.nodes & set(route.nodes) for route in service.routes):
        return PredictedMove(service=service.key, outcome=outcome, routes=routes, reason=f"{reason}; after {wait}")
    told = {Outcome.MOVES: "moves to", Outcome.SWITCHES: "switches to"}.get(outcome, "")
    then = f"{told} {over(routes)}" if told else reason
    because = f"rides on stored key for about {wait}; then {then}"
    return PredictedMove(service=service.key, outcome=Outcome.STAYS, routes=service.routes, reason=because)


def over(routes: Iterable[Route]) -> str:
    """Return the links of routes, for a person."""
    return ", ".join(f"links/{link}" for route in routes for link in route.links)
