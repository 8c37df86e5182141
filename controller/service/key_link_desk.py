"""QKD links that entanglement paths own: they come, change and go with their path, never by themselves.

Such a link joins the path's two ends, over interfaces that stand for no module: numbers above every one in use there.
Its secret key rate is derived from what the path's plan promises, and it is down while its path is BLOCKED.
"""

from collections.abc import Collection, Iterable
from contextlib import suppress
from dataclasses import replace
from types import MappingProxyType
from typing import Final

from controller.domain.alarm import CONTROLLER, Alarm
from controller.domain.capacity import BLOCK_COMPARE_BIT
from controller.domain.entanglement_path import PRE_SHARED, EntanglementPath, PairDemand
from controller.domain.events import AppEvent, LinkWentDown, NetworkImproved
from controller.domain.key_links import authenticated_by, links_resting_on, relays_on
from controller.domain.key_relay import Demand, KeyRelay
from controller.domain.link import (
    MAX_RATE_MILLIBIT_PER_S,
    UNKNOWN_CONDITION,
    Basis,
    Link,
    LinkCondition,
    LinkEnd,
    LinkKind,
    Provenance,
)
from controller.domain.path_plan import PathPlan
from controller.domain.refusals import AlreadyExists, Precondition, Refusal
from controller.domain.service import Service, ServiceState
from controller.domain.snapshot import NO_CHANGES, Changes, Snapshot, delete, put, put_condition
from controller.physics.pair_keys import PairKeying, key_rate_hz
from controller.routing.graph import graph_of
from controller.routing.places import find_place
from controller.service.topology_desk import without_condition

_FIGURE: Final = "model_skr_millibit_per_s"


def check_key_link(snapshot: Snapshot, path: EntanglementPath) -> None:
    """Check that a path that is to be created may have the key link that it names, if it names one.

    Raises:
        AlreadyExists: A link bears the name.
        Precondition: NO_AUTHENTICATION_KEY: its ends share no key to authenticate each other with.
    """
    demand = path.demand
    if not demand.key_link:
        return
    if demand.key_link in snapshot.links:
        resource = f"links/{demand.key_link}"
        raise AlreadyExists("ALREADY_EXISTS", f"{resource} exists; give the key link another name", {"link": resource})
    if demand.authentication == PRE_SHARED:
        return
    ends = {demand.source, demand.target}
    between = " and ".join(f"nodes/{end}" for end in sorted(ends))
    if not demand.authentication:
        raise _no_key(path, f"name a key relay between {between}, or {PRE_SHARED} where they hold such a key already")
    relay = snapshot.relays.get(demand.authentication)
    resource = f"keyRelays/{demand.authentication}"
    if relay is None or relay.removed:
        raise _no_key(path, f"{resource} does not exist; create it between {between}, or name another")
    if {relay.demand.source, relay.demand.target} != ends:
        raise _no_key(path, f"{resource} does not join {between}; name one that does")
    if not relay.routes:
        raise _no_key(path, f"{resource} has no route: {relay.state_reason}; try again when it runs")


def _no_key(path: EntanglementPath, remedy: str) -> Precondition:
    return Precondition(
        "NO_AUTHENTICATION_KEY",
        f"{path.resource}: its ends need a key that it does not make, to authenticate what they tell each other while"
        f" they make key of its pairs: {remedy}",
        {"resource": path.resource, "authentication": path.demand.authentication},
    )


def key_rate_millibit_per_s(demand: PairDemand, plan: PathPlan | None) -> int:
    """Return the secret key rate that a path's pairs give: as its plan promises them, else as it asks for them."""
    rate_millihertz = demand.rate_millihertz if plan is None else plan.rate_millihertz
    fidelity = demand.minimum_fidelity if plan is None else plan.fidelity
    rate = key_rate_hz(
        PairKeying(block_sifted_bit=demand.distillation_block_bit, spent_bit=BLOCK_COMPARE_BIT),
        pair_rate_hz=(rate_millihertz or 0) / 1000,
        fidelity=fidelity,
        test_share=0.0,  # the promised rate is without them already
    )
    return min(int(1000 * rate), MAX_RATE_MILLIBIT_PER_S)


def check_gives_key(path: EntanglementPath) -> None:
    """Check that the pairs of a path with a key link become key, as an operator wants them from now on.

    Raises:
        Precondition: NO_SECRET_KEY: blocks of its pairs give no key.
    """
    demand, plan = path.demand, path.plan
    if not demand.key_link or plan is None or key_rate_millibit_per_s(demand, plan):
        return
    raise Precondition(
        "NO_SECRET_KEY",
        f"{path.resource}: blocks of {demand.distillation_block_bit} sifted bits at a fidelity of {plan.fidelity:.4f}"
        f" and {plan.rate_millihertz / 1000:g} pairs/s give no secret key; ask for a higher minimum_fidelity or rate,"
        " or for larger blocks",
        {"resource": path.resource, "fidelity": f"{plan.fidelity:.4f}"},
    )


def key_link_brought(snapshot: Snapshot, path: EntanglementPath) -> Changes:
    """Return the changes that make the key link of a new path: down where the path has no route yet."""
    demand = path.demand
    rate = key_rate_millibit_per_s(demand, path.plan)
    first, second = sorted((demand.source, demand.target))
    link = Link(
        name=demand.key_link,
        kind=LinkKind.QKD,
        ends=(_end(snapshot, first), _end(snapshot, second)),
        model_skr_millibit_per_s=rate,
        provenance=MappingProxyType({_FIGURE: Provenance(basis=Basis.DERIVED, source=path.resource)}),
        path=path.name,
    )
    condition = _follows(UNKNOWN_CONDITION, path)
    return put(link) + (NO_CHANGES if condition == UNKNOWN_CONDITION else put_condition(link.name, condition))


def _end(snapshot: Snapshot, node: str) -> LinkEnd:
    modules = (interface.number for interface in snapshot.nodes[node].interfaces)
    linked = (end.interface for link in snapshot.links.values() for end in link.ends if end.node == node)
    return LinkEnd(node=node, interface=max((0, *modules, *linked)) + 1)


def key_link_follows(
    snapshot: Snapshot, path: EntanglementPath, *, wall_ms: int
) -> tuple[Changes, tuple[AppEvent, ...]]:
    """Return the changes that make a path's key link what the path is, and what they mean to apps.

    A path that is being removed leaves its link when no key relay is on it any more.
    """
    link = snapshot.links.get(path.demand.key_link)
    if link is None or link.path != path.name:
        return NO_CHANGES, ()
    if path.removed and not relays_on(snapshot, [link.name]):
        return delete("links", link.name) + without_condition(snapshot, link.name), ()
    alarm = Alarm(
        node=CONTROLLER,
        object=f"links/{link.name}",
        kind="LINK_DOWN",
        message=f"{path.resource} is {path.state.value}",
        raised_ms=wall_ms,
    )
    changes = NO_CHANGES
    events: tuple[AppEvent, ...] = ()
    rate = key_rate_millibit_per_s(path.demand, path.plan)
    if path.plan is not None and rate != link.model_skr_millibit_per_s:
        changes += put(replace(link, model_skr_millibit_per_s=rate))
    before = snapshot.condition(link.name)
    after = _follows(before, path)
    if after != before:
        changes += put_condition(link.name, after)
    if before.generating and not after.generating:
        changes += put(alarm)
        events = (LinkWentDown(link=link.name),)
    elif after.generating and not before.generating:
        changes += delete("alarms", alarm.key)
        events = (NetworkImproved(),)
    return changes, events


def _follows(condition: LinkCondition, path: EntanglementPath) -> LinkCondition:
    """Return the condition of a key link: down while its path has no route, and else as its ends say."""
    word = frozenset({path.key})
    if path.state in (ServiceState.BLOCKED, ServiceState.REMOVING):
        why = condition.down_reason or f"{path.resource} is {path.state.value}"
        return replace(condition, down_at=condition.down_at | word, down_reason=why)
    left = condition.down_at - word
    return replace(
        condition,
        down_at=left,
        down_reason=condition.down_reason if left else "",
        exhausted=condition.exhausted and bool(left),
    )


def check_not_needed(snapshot: Snapshot, service: Service) -> None:
    """Check that a service may be deleted: nothing runs on the key that it makes, nor is authenticated with it.

    Raises:
        Precondition: IN_USE by key relays on a path's key link, or by paths that a relay authenticates.
    """
    if isinstance(service, EntanglementPath):
        link = service.demand.key_link
        users = [relay.resource for relay in relays_on(snapshot, [link])] if link else []
        _refuse(service, users, f"run on links/{link}, whose key it makes; delete or move them first")
    else:
        users = [path.resource for path in authenticated_by(snapshot, service.name)]
        _refuse(service, users, "are authenticated with its keys; delete them first")


def _refuse(service: Service, users: Iterable[str], why: str) -> None:
    shown = ", ".join(sorted(users)[:10])
    if shown:
        raise Precondition(
            "IN_USE", f"{service.resource} is needed: {shown} {why}", {"resource": service.resource, "used_by": shown}
        )


def cycle_behind(snapshot: Snapshot, relay: KeyRelay, demand: Demand, refusal: Refusal) -> Refusal:
    """Return why a relay fits nowhere: a cycle, where only links whose key rests on its own would carry it."""
    resting = links_resting_on(snapshot, relay.name)
    if resting:
        with suppress(Refusal):
            routes = find_place(graph_of(snapshot, ignoring=[relay.name]), relay, demand).routes
            return _cycle(relay.name, resting & {link for route in routes for link in route.links}) or refusal
    return refusal


def check_no_cycle(snapshot: Snapshot, relay: str, wanted: Iterable[str]) -> None:
    """Check that a relay is not wanted on links whose key is authenticated with its own.

    Raises:
        Precondition: DEPENDENCY_CYCLE.
    """
    cycle = _cycle(relay, links_resting_on(snapshot, relay) & set(wanted))
    if cycle is not None:
        raise cycle


def _cycle(relay: str, links: Collection[str]) -> Precondition | None:
    if not links:
        return None
    shown = ", ".join(f"links/{link}" for link in sorted(links))
    return Precondition(
        "DEPENDENCY_CYCLE",
        f"keyRelays/{relay} cannot run on {shown}: its key is authenticated with keys of this relay; let it run"
        " elsewhere, or have that path authenticated with another relay",
        {"resource": f"keyRelays/{relay}", "links": shown},
    )
