"""What an SAE gets that asks for keys which no association serves yet (GS QKD 015 application_new): a policy.

Waiting for the other SAE's call, as the workflow of 015 has it, would deadlock with 014, where a slave asks only once
it has been told a key id. So the association and its key relays are made at once, for SAEs that are known: the one
that asks is, by its certificate; the others are where they asked themselves, or where the operator said.
"""

import hashlib
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from controller.domain.alarm import CONTROLLER, Alarm, Severity
from controller.domain.application import Application, Sae
from controller.domain.auto_relay import AutoRelay
from controller.domain.events import ApplicationAsked
from controller.domain.key_relay import Demand, KeyRelay
from controller.domain.refusals import AlreadyExists, Refusal
from controller.domain.snapshot import NO_CHANGES, Changes, Snapshot, delete, put
from controller.service.relay_desk import create_relay

PREFIX: Final = "auto-"
"""With it begin the names of what is made so; an operator may delete it like anything else."""
REFUSED: Final = "AUTO_RELAY_REFUSED"
MAX_LEARNED: Final = 1000
"""Most SAEs at one node that its word puts into the directory: what one node says must not fill the store."""
MAX_APPLICATIONS_OF_ONE: Final = 64
MAX_APPLICATIONS: Final = 1000
"""Most applications made so, for one SAE that asks and for all: any set of slaves that one names is another."""


def learned(snapshot: Snapshot, event: ApplicationAsked) -> Changes:
    """Return the change that puts the SAE which asks into the directory, where it is unknown and its node is not.

    An entry that is there, an operator's or an earlier one, stays: another node's word moves no SAE. Where a node has
    MAX_LEARNED already, an operator has to add more.

    Raises:
        InvalidValue: Its id is none.
    """
    if event.server_sae in snapshot.saes or event.node not in snapshot.nodes:
        return NO_CHANGES
    if sum(sae.node == event.node for sae in snapshot.saes.values()) >= MAX_LEARNED:
        return NO_CHANGES
    return put(Sae(id=event.server_sae, node=event.node))


def served(
    snapshot: Snapshot,
    event: ApplicationAsked,
    policy: AutoRelay,
    *,
    version: Callable[[str], int],
    now_ms: int,
    wall_ms: int,
) -> Changes:
    """Return the changes that serve who asks, all of them or, where something does not fit, an alarm alone.

    One key relay leads to each far node: one that was made so before for other SAEs of the two nodes, or a new one.

    Args:
        snapshot: In which the SAE that asks is known.
        event: Who asks, and for keys to share with whom.
        policy: What they get.
        version: The route version to give to a relay of a name.
        now_ms: Service time.
        wall_ms: Milliseconds since 1970.
    """
    asked = (event.server_sae, *dict.fromkeys(event.client_saes))
    known = [snapshot.saes[sae] for sae in asked if sae in snapshot.saes]
    if len(known) < len(asked) or len(asked) < 2 or known[0].node != event.node:
        return NO_CHANGES
    far_nodes = sorted({sae.node for sae in known} - {event.node})
    if not far_nodes:
        return NO_CHANGES
    application = next((app for app in snapshot.applications.values() if set(app.saes) == set(asked)), None)
    changes = NO_CHANGES
    key = (CONTROLLER, f"nodes/{event.node}", REFUSED)
    try:
        if application is None:
            _check_applications(snapshot, asked[0])
            application = Application(
                name=_named(*sorted(asked)),
                server_sae=asked[0],
                client_saes=asked[1:],
                key_size_bit=policy.key_size_bit,
            )
            changes += put(application)
        for far in far_nodes:
            now = snapshot.applying(changes)
            if _serving(now, application.name, event.node, far) is None:
                relay = _joining(now, application.name, event.node, far, policy)
                if relay.name in now.relays and not now.relays[relay.name].removed:
                    changes += put(relay)
                    continue
                created = create_relay(
                    now,
                    relay,
                    version=version(relay.name),
                    caller="controller",
                    now_ms=now_ms,
                    wall_ms=wall_ms,
                )
                changes += put(created.relay, *created.others)
    except AlreadyExists:
        return NO_CHANGES  # the one before is still being removed: who asks again finds it gone
    except Refusal as refusal:
        alarm = Alarm(
            node=CONTROLLER,
            object=f"nodes/{event.node}",
            kind=REFUSED,
            severity=Severity.MINOR,
            message=f"saes/{asked[0]} asked for keys with {', '.join(asked[1:])}: {refusal.message}",
            raised_ms=wall_ms,
        )
        told = snapshot.alarms.get(key)
        return NO_CHANGES if told is not None and told.message == alarm.message else put(alarm)
    return changes + (delete("alarms", key) if changes and key in snapshot.alarms else NO_CHANGES)


def _named(*parts: str) -> str:
    return PREFIX + hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def _check_applications(snapshot: Snapshot, sae: str) -> None:
    """Check that one more application may be made for an SAE that asks.

    Raises:
        Refusal: TOO_MANY were made.
    """
    made = [app for app in snapshot.applications.values() if app.name.startswith(PREFIX)]
    mine = sum(app.server_sae == sae for app in made)
    if mine >= MAX_APPLICATIONS_OF_ONE or len(made) >= MAX_APPLICATIONS:
        raise Refusal(
            "TOO_MANY",
            f"auto_relay has made {len(made)} applications already, {mine} of them for saes/{sae}, and may make"
            f" {MAX_APPLICATIONS} and {MAX_APPLICATIONS_OF_ONE}; create this one, or delete some",
        )


def _serving(snapshot: Snapshot, application: str, one: str, other: str) -> KeyRelay | None:
    for relay in snapshot.relays.values():
        if application in relay.applications and not relay.removed and _joins(relay, one, other):
            return relay
    return None


def _joins(relay: KeyRelay, one: str, other: str) -> bool:
    return {relay.demand.source, relay.demand.target} == {one, other}


def _joining(snapshot: Snapshot, application: str, one: str, other: str, policy: AutoRelay) -> KeyRelay:
    """Return the relay that serves an application between two nodes: one that was made so before, or one to create.

    Raises:
        Refusal: TOO_MANY were made.
    """
    first, second = sorted((one, other))
    name = _named(first, second)
    made = [relay for relay in snapshot.relays.values() if relay.name.startswith(PREFIX) and not relay.removed]
    known = next((relay for relay in made if relay.name == name and _joins(relay, one, other)), None)
    if known is not None:
        return replace(known, applications=tuple(sorted({*known.applications, application})))
    if len(made) >= policy.max_relays:
        raise Refusal(
            "TOO_MANY",
            f"auto_relay has made {len(made)} key relays already, and may make {policy.max_relays}; create this one,"
            " or raise auto_relay.max_relays",
        )
    return KeyRelay(
        name=name,
        applications=(application,),
        demand=Demand(
            source=first,
            target=second,
            rate_millibit_per_s=policy.rate_millibit_per_s,
            priority=policy.priority,
            shares=policy.shares,
            protection=policy.protection,
            lifetime_s=policy.lifetime_s,
        ),
    )
