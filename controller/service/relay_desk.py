"""Decisions on key relays: pure functions from snapshot and request to the relay's next document."""

import math
from dataclasses import replace
from typing import Final

from controller.domain.application import Application
from controller.domain.key_relay import Demand, KeyRelay, RelayState
from controller.domain.lifetimes import first_end_ms
from controller.domain.refusals import AlreadyExists, InvalidValue, NotFound, Precondition, Refusal
from controller.domain.snapshot import Snapshot
from controller.routing.admission.worth import PRICED_OUT, check_admission
from controller.routing.graph import Graph
from controller.routing.places import ground_of
from controller.service.deployment import deployed, find_deployment
from controller.service.key_link_desk import check_no_cycle
from controller.service.lifecycle import blocked
from controller.service.preemption import Placement, preempted

DISABLED: Final = "disabled by"
"""Why a relay that is not wanted now has no route."""


def create_relay(
    snapshot: Snapshot,
    wanted: KeyRelay,
    *,
    version: int,
    caller: str,
    now_ms: int,
    wall_ms: int,
    named: bool = True,
) -> Placement:
    """Return the relay as it begins: routed, or BLOCKED where that is accepted, and what makes room for it.

    `version` is the route version to give; `now_ms` is service time, `wall_ms` milliseconds since 1970; `named` tells
    whether the client chose the name, so that messages may say it.

    Raises:
        AlreadyExists: A relay of that name exists, or is still being removed.
        NotFound: A node, link or application that it names does not exist.
        Precondition: NO_ROUTE, NO_CAPACITY, NO_DISJOINT_ROUTES or PRICED_OUT, and `accept_blocked` is not set;
            APPLICATION_TAKEN; DEPENDENCY_CYCLE.
        TooHard: The search is out of steps.
    """
    known = snapshot.relays.get(wanted.name)
    if known is not None:
        more = "is still being removed; try again shortly, or take another name" if known.removed else "exists"
        raise AlreadyExists(
            "ALREADY_EXISTS", f"keyRelays/{wanted.name} {more}", {"resource": f"keyRelays/{wanted.name}"}
        )
    check_names(snapshot, wanted.demand)
    check_no_cycle(snapshot, wanted.name, wanted.demand.pass_links)
    for application in wanted.applications:
        check_application(snapshot, wanted, application, named=named)
    relay = KeyRelay(
        name=wanted.name,
        demand=wanted.demand,
        applications=wanted.applications,
        admin_enabled=wanted.admin_enabled,
        accept_blocked=wanted.accept_blocked,
        created_by=caller,
        created_ms=wall_ms,
        expires_at_ms=first_end_ms(wanted.demand, now_ms),
    )
    if not relay.admin_enabled:
        return Placement(relay=blocked(relay, f"{DISABLED} {caller.removeprefix('qinet://')}"))
    ground = ground_of(snapshot, relay)
    assert isinstance(ground, Graph)
    try:
        # One that would be kept waiting may as well run without its backup.
        place = find_deployment(ground, relay, unprotected=relay.accept_blocked)
        check_admission(ground, snapshot, relay, (*place.routes, *(place.backup or ())))
    except Refusal as refusal:
        # Others leave for room, never for a price.
        displaces = relay.demand.may_preempt and refusal.reason != PRICED_OUT
        made = preempted(snapshot, relay, version=version, now_ms=now_ms) if displaces else None
        if made is not None:
            return made
        if not relay.accept_blocked:
            raise
        return Placement(relay=blocked(relay, str(refusal)))
    created = deployed(relay, place, version=version, now_ms=now_ms, because="created")
    return Placement(relay=replace(created, state=RelayState.PENDING))


def check_names(snapshot: Snapshot, demand: Demand, *, known: Demand | None = None) -> None:
    """Check that every node and link that a demand names exists; what it named before, as `known`, may be gone.

    Raises:
        NotFound: Some do not; names all of them.
    """
    nodes = (demand.source, demand.target, *sorted(demand.avoid_nodes | demand.pass_nodes))
    links = sorted(demand.avoid_links | demand.pass_links)
    before_nodes = known.avoid_nodes | known.pass_nodes if known else frozenset()
    before_links = known.avoid_links | known.pass_links if known else frozenset()
    unknown = [
        *(f"nodes/{node}" for node in nodes if node not in snapshot.nodes and node not in before_nodes),
        *(f"links/{link}" for link in links if link not in snapshot.links and link not in before_links),
    ]
    if unknown:
        raise NotFound(*dict.fromkeys(unknown))


def check_application(snapshot: Snapshot, wanted: KeyRelay, application: str, *, named: bool = True) -> None:
    """Check that a relay may serve an application.

    Raises:
        NotFound: There is no such application.
        Precondition: APPLICATION_TAKEN: another relay serves it between these nodes.
        InvalidValue: It has no SAE at an end of the relay.
    """
    name = f"applications/{application}"
    known: Application | None = snapshot.applications.get(application)
    if known is None:
        raise NotFound(name)
    ends = {wanted.demand.source, wanted.demand.target}
    for other in snapshot.relays.values():
        same_ends = {other.demand.source, other.demand.target} == ends
        if application in other.applications and same_ends and not other.removed and other.name != wanted.name:
            user = f"keyRelays/{other.name}"
            raise Precondition(
                "APPLICATION_TAKEN", f"{name} is served by {user} between these nodes already", {"used_by": user}
            )
    missing = sorted(f"nodes/{end}" for end in ends - {snapshot.saes[sae].node for sae in known.saes})
    if missing:
        where = f"keyRelays/{wanted.name}" if named else ""
        ends_told = f"{' and '.join(missing)}, which the relay ends at"
        raise InvalidValue(where, ("key_relay.applications", f"no SAE of {name} is at {ends_told}"))


def check_etag(resource: str, given: str, current: str) -> None:
    """Check an etag that a client sent, if it sent one.

    Raises:
        Precondition: STALE_ETAG.
    """
    if given and given != current:
        raise Precondition(
            "STALE_ETAG",
            f"{resource} was changed since it was read; read it again",
            {"resource": resource, "etag": current},
        )


def deadline_passed(deadline_ms: int | None, now_ms: int) -> bool:
    """Tell whether a deadline in service time has come.

    >>> deadline_passed(None, 10), deadline_passed(10, 10), deadline_passed(11, 10)
    (False, True, False)
    """
    return now_ms >= (math.inf if deadline_ms is None else deadline_ms)
