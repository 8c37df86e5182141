"""The alarms that the controller derives from what it decided: each is raised, kept and cleared by one rule."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

from controller.domain.alarm import CONTROLLER, Alarm, Severity
from controller.domain.capacity import over_reserved
from controller.domain.key_relay import Phase, RelayState
from controller.domain.snapshot import NO_CHANGES, Changes, Snapshot, delete, joined, put
from controller.service.lifecycle import unprotected_because

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


def blocked_alarm(snapshot: Snapshot, relay: str, *, wall_ms: int) -> Changes:
    """Raise or clear the alarm that a relay which once ran, and is wanted, is BLOCKED."""
    known = snapshot.relays.get(relay)
    return _set(
        snapshot,
        Alarm(
            node=CONTROLLER,
            object=f"keyRelays/{relay}",
            kind="RELAY_BLOCKED",
            message=known.state_reason if known else "",
            raised_ms=wall_ms,
        ),
        lasts=known is not None and known.ever_active and known.admin_enabled and known.state is RelayState.BLOCKED,
    )


def protection_alarm(snapshot: Snapshot, relay: str, *, wall_ms: int) -> Changes:
    """Raise or clear the alarm that a relay which asks for a backup has none that it could switch to."""
    known = snapshot.relays.get(relay)
    settled = known is not None and known.phase is Phase.SETTLED
    why = unprotected_because(known, snapshot) if known is not None and settled else ""
    installing = known is not None and known.backup is not None and not known.backup_installed
    return _set(
        snapshot,
        Alarm(
            node=CONTROLLER,
            object=f"keyRelays/{relay}",
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


def overpromise_alarm(snapshot: Snapshot, link: str, reserved_millibit_per_s: int, *, wall_ms: int) -> Changes:
    """Raise or clear the alarm that a link weakened below what is promised on it."""
    missing = 0
    if link in snapshot.links:
        missing = over_reserved(snapshot.links, snapshot.conditions, {link: reserved_millibit_per_s}).get(link, 0)
    return _set(
        snapshot,
        Alarm(
            node=CONTROLLER,
            object=f"links/{link}",
            kind="LINK_OVERPROMISED",
            message=f"{missing / 1000:.3f} bit/s are promised beyond what it can carry now",
            raised_ms=wall_ms,
        ),
        lasts=missing > 0,
    )
