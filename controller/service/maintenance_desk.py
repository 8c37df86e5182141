"""Drains and freezes: what is to leave a node or link that people work on, and whether anything moves by itself."""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final, TypeVar

from controller.domain.alarm import CONTROLLER, Alarm, Severity
from controller.domain.capacity import service_charges
from controller.domain.prediction import Outcome, PredictedMove
from controller.domain.refusals import InvalidValue, NotFound, Refusal
from controller.domain.route import Route
from controller.domain.service import Service
from controller.domain.snapshot import NO_CHANGES, Changes, Freeze, Snapshot, delete, put
from controller.routing.places import Ground, Grounds, find_backup_place, ground_of
from controller.service.deployment import Deployment, by_importance, deployed, fits, routed_services
from controller.service.lifecycle import backed_up, carries, next_version, switched
from controller.service.requests import Drain, SetFreeze

S = TypeVar("S", bound=Service)

DRAINING: Final = "DRAINING"
"""Alarm kind: services are being moved off a node or link. It says what is left of a drain to any later controller."""
FROZEN: Final = "FROZEN"
"""Alarm kind: automatic moves are stopped."""
MAX_REASON: Final = 256
_ASKED_BY: Final = "services are being moved off it, asked by "


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaving:
    """What is to carry nothing any more, and why.

    Attributes:
        nodes, links: By id.
        why: For the reasons of moves.
        by: Who asked for it, as `user/alice`.
    """

    nodes: frozenset[str] = frozenset()
    links: frozenset[str] = frozenset()
    why: str = ""
    by: str = "controller"

    @staticmethod
    def of(collection: str, key: str, by: str = "controller") -> "Leaving":
        """Return what a drain of a node or link empties."""
        why = f"drain of {collection}/{key}"
        only = frozenset({key})
        if collection == "nodes":
            return Leaving(nodes=only, why=why, by=by)
        return Leaving(links=only, why=why, by=by)

    def touched(self, service: Service) -> bool:
        """Tell whether a service is to leave, if it can."""
        return self.passed((*service.routes, *(service.backup.routes if service.backup else ())))

    def passed(self, routes: Iterable[Route]) -> bool:
        """Tell whether routes go over something of it."""
        return any(self.nodes & set(route.nodes) or self.links & set(route.links) for route in routes)


def drain(snapshot: Snapshot, request: Drain, *, wall_ms: int) -> Changes:
    """Return the changes that begin a drain: maintenance, so that nothing new comes, and the alarm while it lasts.

    Raises:
        NotFound: There is no such node or link.
    """
    resource = f"{request.collection}/{request.key}"
    document = getattr(snapshot, request.collection).get(request.key)
    if document is None:
        raise NotFound(resource)
    changes = NO_CHANGES if document.maintenance else put(replace(document, maintenance=True))
    if not to_drain(snapshot, Leaving.of(request.collection, request.key)):
        return changes
    alarm = Alarm(
        node=CONTROLLER,
        object=resource,
        kind=DRAINING,
        severity=Severity.MINOR,
        message=_ASKED_BY + request.caller.removeprefix("qinet://"),
        raised_ms=wall_ms,
    )
    known = snapshot.alarms.get(alarm.key)
    return changes + put(replace(alarm, raised_ms=known.raised_ms if known else wall_ms))


def asked_by(alarm: Alarm) -> str:
    """Return who asked for the drain that an alarm tells of: whoever goes on with it after a crash knows no more."""
    return alarm.message.rpartition(", asked by ")[2]


def drained(snapshot: Snapshot, resource: str) -> Changes:
    """Return the changes that end a drain: what is still there stays there."""
    key = (CONTROLLER, resource, DRAINING)
    return delete("alarms", key) if key in snapshot.alarms else NO_CHANGES


def to_drain(snapshot: Snapshot, what: Leaving) -> list[Service]:
    """Return the services that are to leave, most important first."""
    return by_importance(filter(what.touched, routed_services(snapshot)))


def moved_off(snapshot: Snapshot, service: S, what: Leaving, *, version: int, now_ms: int) -> S:
    """Return a service on its way elsewhere; the same value where it stays.

    What it is to leave carries nothing new any more in this snapshot. `version` is the revision that the decision will
    be committed as, `now_ms` is service time.
    """
    if not what.touched(service):
        return service
    free = ground_of(snapshot, service)
    return _off(snapshot, free, service, what, version=next_version(service, version), now_ms=now_ms)[0]


def plan_drain(snapshot: Snapshot, what: Leaving, services: Iterable[Service]) -> Iterator[PredictedMove]:
    """Yield what becomes of services, one after the other, each on what those before it leave.

    `snapshot` is one in which nothing new goes where they are to leave.
    """
    grounds = Grounds(snapshot)
    for service in services:
        free = grounds.free_for(service)
        after, move = _off(snapshot, free, service, what, version=next_version(service, 0), now_ms=0)
        grounds.given(service, service_charges(after))
        yield move


def _off(
    snapshot: Snapshot, free: Ground, service: S, what: Leaving, *, version: int, now_ms: int
) -> tuple[S, PredictedMove]:
    """Return a service as it is from now on, and what to tell of it.

    Best it has new routes, with a backup if it asks for one; else it switches to the backup that it has; else it runs
    without one.
    """

    def told(after: S, outcome: Outcome, reason: str) -> tuple[S, PredictedMove]:
        return after, PredictedMove(service=service.key, outcome=outcome, routes=after.routes, reason=reason)

    ends = sorted(f"nodes/{end}" for end in what.nodes & {service.demand.source, service.demand.target})
    if ends:
        return told(service, Outcome.STAYS, f"ends at {' and '.join(ends)}")
    if not what.passed(service.routes):
        with suppress(Refusal):
            backup = find_backup_place(free, service)
            because = f"{what.why}: its backup moves"
            return told(backed_up(service, backup, version=version, because=because), Outcome.MOVES, because)
    place = fits(free, service)
    if isinstance(place, Deployment) and not place.lacks:
        moved = deployed(service, place, version=version, now_ms=now_ms, because=what.why)
        return told(moved, Outcome.MOVES, what.why)
    if not what.passed(service.routes):
        return told(service, Outcome.STAYS, f"only its backup is there, and no other fits: {_why(place)}")
    spare = service.backup
    if spare and service.backup_installed and carries(spare, snapshot) and not what.passed(spare.routes):
        because = f"{what.why}; without a backup: {_why(place)}"
        switching = switched(service, because=because)
        # What it leaves would stand as the backup of a revertive service, which would return to it.
        alone = backed_up(switching, (), version=version, because=because) if switching.backup else switching
        return told(alone, Outcome.SWITCHES, because)
    if isinstance(place, Deployment):
        because = f"{what.why}; without a backup: {place.lacks}"
        moved = deployed(service, place, version=version, now_ms=now_ms, because=because)
        return told(moved, Outcome.MOVES, because)
    return told(service, Outcome.STAYS, f"fits nowhere else: {place.message}")


def _why(place: Deployment | Refusal) -> str:
    return place.message if isinstance(place, Refusal) else place.lacks


def in_maintenance(snapshot: Snapshot, what: Leaving) -> Snapshot:
    """Return the snapshot in which what is to be left is in maintenance.

    Raises:
        NotFound: Something of it does not exist.
    """
    unknown = [f"nodes/{name}" for name in sorted(what.nodes - snapshot.nodes.keys())]
    unknown += [f"links/{name}" for name in sorted(what.links - snapshot.links.keys())]
    if unknown:
        raise NotFound(*unknown)
    nodes = (replace(snapshot.nodes[name], maintenance=True) for name in what.nodes)
    links = (replace(snapshot.links[name], maintenance=True) for name in what.links)
    return snapshot.applying(put(*nodes, *links))


def set_freeze(snapshot: Snapshot, request: SetFreeze, *, wall_ms: int) -> Changes:
    """Return the changes that stop or resume automatic moves; none where that is so already.

    Raises:
        InvalidValue: They are to be stopped, and nobody says why.
    """
    if not request.frozen:
        return thawed(snapshot)
    reason = request.reason.strip()
    if not reason:
        raise InvalidValue("", ("reason", "is required: whoever reads the alarm wants to know why nothing moves"))
    if len(reason) > MAX_REASON or not reason.isprintable():
        raise InvalidValue("", ("reason", f"is longer than {MAX_REASON} characters, or holds some that do not print"))
    return frozen(snapshot, reason, by=request.caller.removeprefix("qinet://"), wall_ms=wall_ms)


def frozen(snapshot: Snapshot, reason: str, *, by: str, wall_ms: int) -> Changes:
    """Return the changes that stop automatic moves; whoever stops them again gives the reason anew."""
    known = snapshot.frozen
    if known is not None and (known.reason, known.by) == (reason, by):
        return NO_CHANGES
    since_ms = known.since_ms if known else wall_ms
    alarm = Alarm(
        node=CONTROLLER,
        object="",
        kind=FROZEN,
        message=f"automatic moves are stopped by {by}: {reason}",
        raised_ms=since_ms,
    )
    return put(Freeze(reason=reason, by=by, since_ms=since_ms), alarm)


def thawed(snapshot: Snapshot) -> Changes:
    """Return the changes that let automatic moves go on."""
    if snapshot.frozen is None:
        return NO_CHANGES
    alarms = [key for key in snapshot.alarms if key == (CONTROLLER, "", FROZEN)]
    return delete("freezes", "") + delete("alarms", *alarms)
