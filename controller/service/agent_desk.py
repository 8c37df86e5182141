"""Decisions on what agents say: pure functions from snapshot and event to changes and what they mean to apps.

The sender's right to say it (is it an end of the link, of the relay?) is checked here.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from controller.domain.alarm import CONTROLLER, Alarm
from controller.domain.capacity import promised_skr_millibit_per_s
from controller.domain.events import (
    AgentConnected,
    AlarmCleared,
    AlarmRaised,
    AppEvent,
    LinkExhausted,
    LinkReport,
    LinkWentDown,
    NetworkImproved,
    RelayReport,
)
from controller.domain.link import MAX_RATE_MILLIBIT_PER_S, Link, LinkCondition
from controller.domain.snapshot import NO_CHANGES, Changes, Snapshot, delete, put, put_condition
from controller.planning.compile import owner_of
from controller.service.alarm_desk import CONFIG_REFUSED

PROMISE_BAND: Final = 0.1
"""A measured promise is committed when it leaves this band around the committed one."""

Said = tuple[Changes, tuple[AppEvent, ...]]


def agent_connected(snapshot: Snapshot, event: AgentConnected, *, wall_ms: int) -> Said:
    """Take in what a Hello says: addresses, alarms, links that are down."""
    node = event.record.node
    changes = NO_CHANGES if snapshot.agents.get(node) == event.record else put(event.record)
    named = {alarm.key for alarm in event.alarms}
    over = (key for key in snapshot.alarms if key[0] == node and key not in named and key[2] != CONFIG_REFUSED)
    changes += delete("alarms", *over)
    changes += put(*(alarm for alarm in event.alarms if snapshot.alarms.get(alarm.key) != alarm))
    lost = (CONTROLLER, f"nodes/{node}", "AGENT_LOST")
    if lost in snapshot.alarms:
        changes += delete("alarms", lost)
    events: tuple[AppEvent, ...] = ()
    for link in snapshot.links.values():
        if node in link.nodes:
            report = LinkReport(node=node, link=link.name, down_reason=event.links_down.get(link.name, ""))
            more, told = _link_said(snapshot, link, report, wall_ms=wall_ms, exhausted_known=False)
            changes += more
            events += told
    return changes, (*events, NetworkImproved())


def agent_lost(node: str, reason: str, *, wall_ms: int) -> Changes:
    """Raise the alarm; a lost session moves nothing."""
    return put(
        Alarm(
            node=CONTROLLER,
            object=f"nodes/{node}",
            kind="AGENT_LOST",
            message=f"its links are stale: {reason}" if reason else "its links are stale",
            raised_ms=wall_ms,
        )
    )


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


def link_said(snapshot: Snapshot, report: LinkReport, *, wall_ms: int) -> Said:
    """Take in one end's word on its link: down needs one end's word, up needs both."""
    link = snapshot.links.get(report.link)
    if link is None or report.node not in link.nodes:
        return NO_CHANGES, ()
    return _link_said(snapshot, link, report, wall_ms=wall_ms, exhausted_known=True)


def _link_said(snapshot: Snapshot, link: Link, report: LinkReport, *, wall_ms: int, exhausted_known: bool) -> Said:
    before = snapshot.condition(link.name)
    down_at = before.down_at | {report.node} if report.down_reason else before.down_at - {report.node}
    after = LinkCondition(
        down_at=down_at,
        down_reason=(before.down_reason or report.down_reason) if down_at else "",
        exhausted=bool(down_at) and (before.exhausted or (exhausted_known and report.exhausted)),
        promised_skr_millibit_per_s=_promise(link, before, report.promised_skr_millibit_per_s),
    )
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
    if promised_skr_millibit_per_s(link, after) > promised_skr_millibit_per_s(link, before):
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


def relay_said(snapshot: Snapshot, report: RelayReport) -> Changes:
    """Take in one end's word on a key relay; a word on another route version changes nothing."""
    relay = snapshot.relays.get(report.relay)
    if relay is None or relay.removed or report.route_version != relay.route_version or not relay.routes:
        return NO_CHANGES
    if report.node not in (relay.demand.source, relay.demand.target):
        return NO_CHANGES
    end = frozenset({report.node})
    after = replace(
        relay,
        confirmed_by=relay.confirmed_by | end if report.confirmed else relay.confirmed_by,
        starved_at=relay.starved_at | end if report.starved else relay.starved_at - end,
    )
    return NO_CHANGES if after == relay else put(after)


def refused_services(node: str, refused: Mapping[str, tuple[str, str]]) -> dict[str, str]:
    """Return the key relays that a refusal takes out, with the reason of each."""
    reasons: dict[str, str] = {}
    for entry_id, (code, message) in sorted(refused.items()):
        collection, name = owner_of(entry_id)
        if collection == "relays":
            reasons.setdefault(name, f"nodes/{node} refused it: {code}: {message}")
    return reasons
