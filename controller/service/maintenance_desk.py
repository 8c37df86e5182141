"""Drains and freezes: what is to leave a node or link that people work on, and whether anything moves by itself."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from controller.domain.alarm import CONTROLLER, Alarm, Severity
from controller.domain.capacity import relay_charges
from controller.domain.key_relay import KeyRelay
from controller.domain.prediction import Outcome, PredictedMove
from controller.domain.refusals import InvalidValue, NotFound, Refusal
from controller.domain.snapshot import NO_CHANGES, Changes, Freeze, Snapshot, delete, put
from controller.routing.graph import graph_of
from controller.service.deployment import Deployment, by_importance, charges_deployed, deployed, fits, routed_relays
from controller.service.lifecycle import next_version
from controller.service.requests import Drain, SetFreeze

DRAINING: Final = "DRAINING"
"""Alarm kind: relays are being moved off a node or link. It says what is left of a drain to any later controller."""
FROZEN: Final = "FROZEN"
"""Alarm kind: automatic moves are stopped."""
MAX_REASON: Final = 256
_ASKED_BY: Final = "key relays are being moved off it, asked by "


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

    def touched(self, relay: KeyRelay) -> bool:
        """Tell whether a relay is to leave, if it can."""
        beside = relay.backup.routes if relay.backup else ()
        passed = (*relay.routes, *beside)
        return any(self.nodes & set(route.nodes) or self.links & set(route.links) for route in passed)


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
    return alarm.message.removeprefix(_ASKED_BY)


def drained(snapshot: Snapshot, resource: str) -> Changes:
    """Return the changes that end a drain: what is still there stays there."""
    key = (CONTROLLER, resource, DRAINING)
    return delete("alarms", key) if key in snapshot.alarms else NO_CHANGES


def to_drain(snapshot: Snapshot, what: Leaving) -> list[KeyRelay]:
    """Return the relays that are to leave, most important first."""
    return by_importance(filter(what.touched, routed_relays(snapshot)))


def moved_off(snapshot: Snapshot, relay: KeyRelay, what: Leaving, *, version: int, now_ms: int) -> KeyRelay:
    """Return a relay on its way to routes elsewhere; the same value where it stays.

    What it is to leave carries nothing new any more in this snapshot. `version` is the revision that the decision will
    be committed as, `now_ms` is service time.
    """
    if not what.touched(relay) or _ends_there(relay, what):
        return relay
    place = fits(graph_of(snapshot, ignoring=[relay.name]), relay)
    if isinstance(place, Refusal):
        return relay
    because = _moved_because(place, what)
    return deployed(relay, place, version=next_version(relay, version), now_ms=now_ms, because=because)


def plan_drain(snapshot: Snapshot, what: Leaving, relays: Iterable[KeyRelay]) -> Iterator[PredictedMove]:
    """Yield what becomes of relays, one after the other, each on what those before it leave.

    `snapshot` is one in which nothing new goes where they are to leave.
    """
    graph = graph_of(snapshot)
    for relay in relays:
        free = graph.freed(relay_charges(relay))
        ends = _ends_there(relay, what)
        place = None if ends else fits(free, relay)
        if isinstance(place, Deployment):
            graph = free.charged(charges_deployed(relay, place))
            because = _moved_because(place, what)
            yield PredictedMove(relay=relay.name, outcome=Outcome.MOVES, routes=place.routes, reason=because)
        else:
            because = f"ends at {ends}" if place is None else f"fits nowhere else: {place.message}"
            yield PredictedMove(relay=relay.name, outcome=Outcome.STAYS, routes=relay.routes, reason=because)


def _moved_because(place: Deployment, what: Leaving) -> str:
    return what.why + (f"; without a backup: {place.lacks}" if place.lacks else "")


def _ends_there(relay: KeyRelay, what: Leaving) -> str:
    ends = sorted(what.nodes & {relay.demand.source, relay.demand.target})
    return " and ".join(f"nodes/{end}" for end in ends)


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
