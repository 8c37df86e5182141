"""What became of a service: its last changes, with who or what caused each."""

from dataclasses import dataclass, replace
from typing import Final

from controller.domain.route import Route
from controller.domain.service import Phase, Service, ServiceState

KEPT_CHANGES: Final = 64
"""How many changes of a service are remembered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayChange:
    """One change in the life of a service.

    Attributes:
        revision: Of the log record that holds it.
        at_ms: Wall clock, displayed only, milliseconds since 1970.
        state, phase, routes, route_version: From then on.
        reason: Why, for a person.
        by: Who or what caused it: as `user/alice`, `nodes/a`, `apps/Restoration`, or `controller`.
    """

    revision: int
    at_ms: int
    state: ServiceState
    phase: Phase
    reason: str
    by: str
    routes: tuple[Route, ...]
    route_version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayHistory:
    """The last changes of a key relay or an entanglement path, oldest first.

    Attributes:
        relay: Its key (Service.key): the name of a relay, or `entanglementPaths/` and that of a path.
        changes: At most KEPT_CHANGES.
        gone_ms: Service time when it was gone, milliseconds; None while it is there.
    """

    relay: str
    changes: tuple[RelayChange, ...] = ()
    gone_ms: int | None = None


def with_change(
    history: RelayHistory | None, before: Service | None, after: Service, *, revision: int, at_ms: int, by: str
) -> RelayHistory | None:
    """Return the history with what happened between two versions of a service; None when it is not worth a line."""
    if before is not None and _told(before) == _told(after):
        return None
    change = RelayChange(
        revision=revision,
        at_ms=at_ms,
        state=after.state,
        phase=after.phase,
        reason=after.state_reason,
        by=by,
        routes=after.routes,
        route_version=after.route_version,
    )
    if history is None or before is None:
        return RelayHistory(relay=after.key, changes=(change,))
    changes = history.changes
    waits = after.state is ServiceState.BLOCKED
    if waits and changes and _told(replace(before, state_reason="")) == _told(replace(after, state_reason="")):
        # It was tried again and fits nowhere for another reason: that is no event of its own.
        return replace(history, changes=(*changes[:-1], replace(changes[-1], reason=after.state_reason)))
    if changes and changes[-1].revision == revision:
        # One decision, one line: what it came to in the end, and who caused it, not who drew the consequences.
        *earlier, cause = changes
        moved = bool(earlier) and earlier[-1].route_version != cause.route_version
        reason = change.reason or cause.reason
        if moved and cause.reason not in reason:  # why it moved comes before how it stands since
            reason = cause.reason if reason in cause.reason else f"{cause.reason}; {reason}"
        change = replace(change, by=cause.by, reason=reason)
        changes = tuple(earlier)
    return replace(history, changes=(*changes, change)[-KEPT_CHANGES:], gone_ms=None)


def _told(service: Service) -> tuple[object, ...]:
    return (
        service.state,
        service.phase,
        service.state_reason,
        service.route_version,
        service.demand,
        service.admin_enabled,
    )
