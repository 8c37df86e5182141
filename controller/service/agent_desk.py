"""Decisions on what agents say: pure functions from snapshot and event to changes and what they mean to apps.

The sender's right to say it (is it an end of the link, of the relay?) is checked here.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from controller.domain.alarm import CONTROLLER, Alarm, Severity
from controller.domain.capacity import promised_skr_millibit_per_s
from controller.domain.damping import went_down
from controller.domain.events import (
    DRAINING,
    AgentConnected,
    AlarmCleared,
    AlarmRaised,
    AppEvent,
    ElectionAhead,
    LinkExhausted,
    LinkReport,
    LinkWentDown,
    NetworkImproved,
)
from controller.domain.link import MAX_RATE_MILLIBIT_PER_S, Link, LinkCondition
from controller.domain.service import service_key
from controller.domain.snapshot import NO_CHANGES, Changes, Snapshot, delete, put, put_condition
from controller.planning.compile import owner_of
from controller.service.alarm_desk import CONFIG_REFUSED

PROMISE_BAND: Final = 0.1
"""A measured promise is committed when it leaves this band around the committed one."""
PAIR_FIDELITY_STEP_PERMILLE: Final = 5
"""A measured loss of pair fidelity is committed when it differs by this from the committed one."""

GONE_KINDS: Final = ("AGENT_LOST", "AGENT_DRAINING")
"""Alarms that a node is without session; the second where it said so before."""
ELECTION_ID_AHEAD: Final = "ELECTION_ID_AHEAD"
ELECTION_REMEDY: Final = (
    "if another controller leads this network, stop this one; if this store was restored or replaced, stop it and run"
    " `qinet-controller raise-epoch`; if only this agent is wrong, `qinet-agent reset-election` there"
)

Said = tuple[Changes, tuple[AppEvent, ...]]


def agent_connected(snapshot: Snapshot, event: AgentConnected, *, now_ms: int, wall_ms: int) -> Said:
    """Take in what a Hello says: addresses, alarms, links that are down. `now_ms` is service time."""
    node = event.record.node
    changes = NO_CHANGES if snapshot.agents.get(node) == event.record else put(event.record)
    named = {alarm.key for alarm in event.alarms}
    over = (key for key in snapshot.alarms if key[0] == node and key not in named and key[2] != CONFIG_REFUSED)
    changes += delete("alarms", *over)
    changes += put(*(alarm for alarm in event.alarms if snapshot.alarms.get(alarm.key) != alarm))
    gone = ((CONTROLLER, f"nodes/{node}", kind) for kind in (*GONE_KINDS, ELECTION_ID_AHEAD))
    changes += delete("alarms", *(key for key in gone if key in snapshot.alarms))
    events: tuple[AppEvent, ...] = ()
    for link in snapshot.links.values():
        if node in link.nodes:
            report = LinkReport(node=node, link=link.name, down_reason=event.links_down.get(link.name, ""))
            more, told = _link_said(snapshot, link, report, now_ms=now_ms, wall_ms=wall_ms, exhausted_known=False)
            changes += more
            events += told
    return changes, (*events, NetworkImproved())


def agent_lost(node: str, reason: str, *, wall_ms: int) -> Changes:
    """Raise the alarm; a lost session moves nothing. An agent that said that it is being shut down is no fault."""
    lost = Alarm(
        node=CONTROLLER,
        object=f"nodes/{node}",
        kind="AGENT_LOST",
        message=f"its links are stale: {reason}" if reason else "its links are stale",
        raised_ms=wall_ms,
    )
    if reason != DRAINING:
        return put(lost)
    message = "was shut down on purpose; its links are stale until it is back"
    return put(replace(lost, kind="AGENT_DRAINING", severity=Severity.MINOR, message=message))


def alarm_changed(snapshot: Snapshot, event: AlarmRaised | AlarmCleared, *, wall_ms: int) -> Changes:
    """Raise or clear an alarm; repeats change nothing, and a node that is gone raises none.

    One that does not tell since when it stands, as those about sessions, stands since it was heard of first.
    """
    if isinstance(event, AlarmCleared):
        return delete("alarms", event.key) if event.key in snapshot.alarms else NO_CHANGES
    concerned = event.alarm.node or event.alarm.object.removeprefix("nodes/")
    if concerned not in snapshot.nodes and not event.alarm.object.startswith("controllers/"):
        return NO_CHANGES
    known = snapshot.alarms.get(event.alarm.key)
    if known is not None and replace(known, raised_ms=0) == replace(event.alarm, raised_ms=0):
        return NO_CHANGES
    since_ms = event.alarm.raised_ms or (wall_ms if known is None else known.raised_ms)
    return put(replace(event.alarm, raised_ms=since_ms))


def link_said(snapshot: Snapshot, report: LinkReport, *, now_ms: int, wall_ms: int) -> Said:
    """Take in one end's word on its link: down needs one end's word, up needs both. `now_ms` is service time."""
    link = snapshot.links.get(report.link)
    if link is None or report.node not in link.nodes:
        return NO_CHANGES, ()
    return _link_said(snapshot, link, report, now_ms=now_ms, wall_ms=wall_ms, exhausted_known=True)


def _link_said(
    snapshot: Snapshot, link: Link, report: LinkReport, *, now_ms: int, wall_ms: int, exhausted_known: bool
) -> Said:
    before = snapshot.condition(link.name)
    end = frozenset({report.node})
    down_at = before.down_at | end if report.down_reason else before.down_at - end
    after = replace(
        before,
        down_at=down_at,
        down_reason=(before.down_reason or report.down_reason) if down_at else "",
        exhausted=bool(down_at) and (before.exhausted or (exhausted_known and report.exhausted)),
        promised_skr_millibit_per_s=_promise(link, before, report.promised_skr_millibit_per_s),
        pair_rate_permille=_pair_rate(before, report.pair_rate_permille),
        pair_fidelity_loss_permille=_pair_loss(before, report.pair_fidelity_loss_permille),
        unreachable_from=before.unreachable_from | end
        if report.neighbour_unreachable
        else before.unreachable_from - end,
    )
    if before.generating and not after.generating:
        after = went_down(after, now_ms)
    if after == before:
        return NO_CHANGES, ()
    changes = put_condition(link.name, after)
    events: tuple[AppEvent, ...] = ()
    alarm = Alarm(
        node=CONTROLLER,
        object=f"links/{link.name}",
        kind="LINK_DOWN",
        message=report.down_reason,
        raised_ms=wall_ms,
    )
    if before.generating and not after.generating:
        changes += put(alarm)
        events += (LinkWentDown(link=link.name),)
    if after.generating and not before.generating:
        changes += delete("alarms", alarm.key)
        events += (NetworkImproved(),)
    if after.exhausted and not before.exhausted:
        events += (LinkExhausted(link=link.name),)
    better = promised_skr_millibit_per_s(link, after) > promised_skr_millibit_per_s(link, before)
    if better or any(new > old for old, new in zip(before.pair_worth, after.pair_worth, strict=True)):
        events += (NetworkImproved(),)
    return changes, events


def _promise(link: Link, before: LinkCondition, measured: int | None) -> int | None:
    """Return the promise to commit: the two ends' words differ a little, and a band keeps them from flapping."""
    if measured is None:
        return before.promised_skr_millibit_per_s
    measured = max(0, min(measured, MAX_RATE_MILLIBIT_PER_S))
    current = before.promised_skr_millibit_per_s
    reference = link.model_skr_millibit_per_s if current is None else current
    if current is not None and abs(measured - reference) <= PROMISE_BAND * reference:
        return current
    return measured


def _pair_rate(before: LinkCondition, measured: int | None) -> int | None:
    """Return the part of its model's pairs that a link is taken to make: the model's own within the band."""
    if measured is None:
        return before.pair_rate_permille
    measured = max(0, min(measured, 1000))  # more than its model promises is not relied on
    current, _ = before.pair_worth
    if abs(measured - current) <= PROMISE_BAND * current:
        return before.pair_rate_permille
    return measured


def _pair_loss(before: LinkCondition, measured: int | None) -> int | None:
    if measured is None:
        return before.pair_fidelity_loss_permille
    measured = max(0, min(measured, 1000))
    if abs(measured - (before.pair_fidelity_loss_permille or 0)) < PAIR_FIDELITY_STEP_PERMILLE:
        return before.pair_fidelity_loss_permille
    return measured


def election_ahead(snapshot: Snapshot, event: ElectionAhead, *, wall_ms: int) -> Changes:
    """Raise the alarm that an agent has seen a higher election id than this controller's."""
    if event.node not in snapshot.nodes:
        return NO_CHANGES
    alarm = Alarm(
        node=CONTROLLER,
        object=f"nodes/{event.node}",
        kind=ELECTION_ID_AHEAD,
        message=f"it has seen election id ({event.highest_epoch}, {event.highest_term}), higher than this controller's,"
        f" and refuses it; {ELECTION_REMEDY}",
        raised_ms=wall_ms,
    )
    known = snapshot.alarms.get(alarm.key)
    return NO_CHANGES if known is not None and known.message == alarm.message else put(alarm)


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedService:
    """What an agent refused of a service.

    Attributes:
        versions: Of the routes that have an entry refused.
        entry_id: The first of them.
        reason: For a person.
    """

    versions: frozenset[int]
    entry_id: str
    reason: str


def refused_services(node: str, refused: Mapping[str, tuple[str, str]]) -> dict[str, RefusedService]:
    """Return what a refusal takes routes from, by key."""
    services: dict[str, RefusedService] = {}
    for entry_id, (code, message) in sorted(refused.items()):
        collection, name = owner_of(entry_id)
        if collection not in ("relays", "paths"):
            continue
        key = service_key(collection, name)
        versions = frozenset({int(entry_id.split("/")[3])})
        known = services.get(key)
        services[key] = (
            replace(known, versions=known.versions | versions)
            if known
            else RefusedService(
                versions=versions, entry_id=entry_id, reason=f"nodes/{node} refused it: {code}: {message}"
            )
        )
    return services
