"""The alarms that the controller derives from what it decided: each is raised, kept and cleared by one rule."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

from controller.domain.alarm import CONTROLLER, Alarm, Severity
from controller.domain.capacity import over_reserved
from controller.domain.entanglement_path import EntanglementPath
from controller.domain.pair_link import Regime
from controller.domain.service import Phase, Service, ServiceState
from controller.domain.snapshot import NO_CHANGES, Changes, Snapshot, delete, joined, put
from controller.service.standing import unprotected_because

CONFIG_REFUSED: Final = "CONFIG_REFUSED"
"""Raised in the node's name: on the refused entry, or on the node itself when it refused a whole update."""


NODE_UNREACHABLE: Final = "NODE_UNREACHABLE"


def _set(snapshot: Snapshot, alarm: Alarm, *, lasts: bool) -> Changes:
    """Raise, renew or clear; an alarm that goes on keeps the time at which it was raised."""
    known = snapshot.alarms.get(alarm.key)
    if not lasts:
        return delete("alarms", alarm.key) if known else NO_CHANGES
    if known is None:
        return put(alarm)
    renewed = replace(alarm, raised_ms=known.raised_ms)
    return NO_CHANGES if renewed == known else put(renewed)


def refused_alarms(
    snapshot: Snapshot,
    node: str,
    refused: Mapping[str, tuple[str, str]],
    whole: tuple[str, str] | None,
    *,
    wall_ms: int,
) -> Changes:
    """Raise an alarm for every refused entry, and one for an update that was refused as a whole."""
    reasons = {entry_id: f"{code}: {message}" for entry_id, (code, message) in sorted(refused.items())}
    if whole is not None:
        reasons[""] = f"an update as a whole: {': '.join(whole)}"
    return joined(
        _set(
            snapshot,
            Alarm(node=node, object=entry_id, kind=CONFIG_REFUSED, message=why, raised_ms=wall_ms),
            lasts=True,
        )
        for entry_id, why in reasons.items()
    )


def refusals_over(snapshot: Snapshot, node: str, settled: Callable[[str], bool]) -> Changes:
    """Clear the alarms of refused entries that are settled now.

    Args:
        snapshot: The present.
        node: Whose alarms.
        settled: Tells of an entry id whether the node has it in force just as wanted, of "" whether it has all.
    """
    mine = (key for key in snapshot.alarms if key[0] == node and key[2] == CONFIG_REFUSED)
    return delete("alarms", *(key for key in mine if settled(key[1])))


def blocked_alarm(snapshot: Snapshot, known: Service, *, wall_ms: int) -> Changes:
    """Raise or clear the alarm that a service which once ran, and is wanted, is BLOCKED."""
    return _set(
        snapshot,
        Alarm(
            node=CONTROLLER,
            object=known.resource,
            kind="PATH_BLOCKED" if isinstance(known, EntanglementPath) else "RELAY_BLOCKED",
            message=known.state_reason,
            raised_ms=wall_ms,
        ),
        lasts=known.ever_active and known.admin_enabled and known.state is ServiceState.BLOCKED,
    )


def protection_alarm(snapshot: Snapshot, known: Service, *, wall_ms: int) -> Changes:
    """Raise or clear the alarm that a service which asks for a backup has none that it could switch to."""
    why = unprotected_because(known, snapshot) if known.phase is Phase.SETTLED else ""
    installing = known.backup is not None and not known.backup_installed
    return _set(
        snapshot,
        Alarm(
            node=CONTROLLER,
            object=known.resource,
            kind="PROTECTION_LOST",
            severity=Severity.MINOR,
            message=why,
            raised_ms=wall_ms,
        ),
        lasts=bool(why) and not installing,
    )


def unreachable_alarm(snapshot: Snapshot, node: str, *, lasts: bool, wall_ms: int) -> Changes:
    """Raise or clear the alarm that a node is down for relaying."""
    return _set(
        snapshot,
        Alarm(
            node=CONTROLLER,
            object=f"nodes/{node}",
            kind=NODE_UNREACHABLE,
            message="no session, and no neighbour hears it: services that pass it move",
            raised_ms=wall_ms,
        ),
        lasts=lasts,
    )


def overpromise_alarm(snapshot: Snapshot, name: str, reserved: int, *, wall_ms: int) -> Changes:
    """Raise or clear the alarm that a link weakened below what is promised on it."""
    link = snapshot.links.get(name)
    missing = missing_of(snapshot, name, reserved) if link is not None else 0
    what = f"{missing / 1000:.3f} bit/s"
    if link is not None and link.pairs is not None:
        stream = link.pairs.regime in (Regime.BUFFERED, Regime.AT_ONCE)
        what = f"{missing / 1000:.3f} pairs/s" if stream else f"{missing} memory pairs or channels"
    return _set(
        snapshot,
        Alarm(
            node=CONTROLLER,
            object=f"links/{name}",
            kind="LINK_OVERPROMISED",
            message=f"{what} are promised beyond what it can carry now",
            raised_ms=wall_ms,
        ),
        lasts=missing > 0,
    )


def missing_of(snapshot: Snapshot, resource: str, reserved: int) -> int:
    """Return by how much a resource is promised beyond its capacity; 0 when it is not."""
    held = {resource: reserved}
    return over_reserved(snapshot.links, snapshot.conditions, held, nodes=snapshot.nodes).get(resource, 0)
