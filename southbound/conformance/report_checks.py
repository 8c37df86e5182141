"""Checks of what an agent tells unasked: reports, alarms and notifications."""

import asyncio
import math
from collections.abc import Iterable
from contextlib import suppress

from controller.domain.names import is_label
from controller.domain.refusals import InvalidValue
from controller.wire.southbound import alarm_from_pb
from qinet.southbound.v1 import agent_pb2 as pb
from southbound.conformance import samples
from southbound.conformance.bench import Bench
from southbound.conformance.line import Line
from southbound.conformance.verdict import Broken, Check, Skipped


async def _complete(bench: Bench) -> str:
    line = await bench.line()
    links = {one.link for one in line.hello.inventory.links}
    relays: set[str] = set()
    await bench.given(samples.link(line))
    with suppress(Skipped):  # an agent that relays nothing has no relay to report
        await bench.given(samples.hops(line))
        relays = {samples.RELAY}
    within_s = 2 * bench.settings.report_s + 1.0
    for _ in range(2):
        begin = len(line.said)
        request = await line.until(_is_complete, within_s, after=begin)
        if request is None:
            raise Broken(f"no complete report within {within_s:g} s, at an interval of {bench.settings.report_s:g} s")
        if missing := links - {one.link for one in request.report.links}:
            raise Broken(f"a complete report leaves out the links {', '.join(sorted(missing))}")
        if missing := relays - {one.relay for one in request.report.relays}:
            raise Broken(f"a complete report leaves out the relays {', '.join(sorted(missing))}, which end at the node")
    return f"complete reports within {within_s:g} s, each with {len(links)} links and {len(relays)} relays"


async def _well_formed(bench: Bench) -> str:
    line = await bench.line()
    await line.until(_is_complete, 2 * bench.settings.report_s + 1.0, after=len(line.said))
    reports = [one.request.report for line in bench.lines for one in line.said if one.request.HasField("report")]
    if not reports:
        raise Skipped("no report came: see report.complete")
    for report in reports:
        for names, what in (
            ([one.link for one in report.links], "link"),
            ([one.relay for one in report.relays], "relay"),
        ):
            for name in names:
                if not is_label(name):
                    raise Broken(f"a report names the {what} {name!r}, which is no id")
            _once(names, f"a report names the {what}")
        _ratio(report.queue_fill, "queue_fill")
        for link in report.links:
            for block in link.blocks:
                if block.performance_kind == 1:
                    _ratio(block.performance, f"the QBER of block {block.block}")
            numbers = [block.block for block in link.blocks]
            _once([str(number) for number in numbers], f"a report of {link.link} names block")
    return f"{len(reports)} reports are in form"


async def _keyed(bench: Bench) -> str:
    line, notice = await _an_alarm(bench)
    raised = notice.alarm.alarm
    within_s = 2 * bench.settings.report_s + 1.0
    request = await line.until(_is_complete, within_s, after=len(line.said))
    if request is None:
        raise Broken(f"no complete report within {within_s:g} s")
    keys = [_key(line, one) for one in request.report.alarms]
    _once([" ".join(key) for key in keys], "a complete report names the alarm")
    if _key(line, raised) not in keys:
        raise Broken(f"{raised.kind} of {raised.object} was raised, and the next complete report does not name it")
    # When its cause is taken away, it must go from the reports as well.
    await bench.update({}, [f"links/{samples.FOREIGN_LINK}"])
    gone = await line.until(
        lambda said: _is_complete(said) and _key(line, raised) not in {_key(line, one) for one in said.report.alarms},
        within_s,
        after=len(line.said),
    )
    if gone is None:
        raise Broken(
            f"{raised.kind} of {raised.object} is still reported {within_s:g} s after its cause was taken away"
        )
    return f"{raised.kind} of {raised.object}: raised, reported once in each complete report, and gone with its cause"


async def _repeated(bench: Bench) -> str:
    await bench.line()
    _, notice = await _an_alarm(bench, acknowledged=False)
    again = await bench.open(welcome=False)
    again.acknowledging = False
    again.welcome()
    within_s = 2.0 + bench.settings.report_s

    def same(said: pb.SessionRequest) -> bool:
        return _matter(said.notification) == _matter(notice)

    found = await again.until(same, within_s)
    if found is None:
        raise Broken(
            f"a notification that was not acknowledged was not repeated within {within_s:g} s of the next stream"
        )
    again.acknowledging = True
    again.say(notification_ack=pb.NotificationAck(sequence=max(_sequences(again))))
    await asyncio.sleep(2 * bench.settings.heartbeat_s)
    third = await bench.open()
    if await third.until(same, max(1.0, 2 * bench.settings.heartbeat_s)) is not None:
        raise Broken("a notification that was acknowledged came again on the next stream")
    return "repeated on the next stream until it was acknowledged, and not after that"


async def _sequence(bench: Bench) -> str:
    count = 0
    for line in bench.lines:
        told: dict[int, tuple[str, ...]] = {}
        for one in line.said:
            if not one.request.HasField("notification"):
                continue
            count += 1
            number, matter = one.request.notification.sequence, _matter(one.request.notification)
            if number not in told and number <= max(told, default=0):
                raise Broken(f"sequence {number} follows {max(told, default=0)}")
            if told.setdefault(number, matter) != matter:
                raise Broken(f"two notifications of one session have sequence {number}")
    if not count:
        raise Skipped("no notification came: run more checks than this one")
    return f"{count} notifications in {len(bench.lines)} sessions count up"


async def _an_alarm(bench: Bench, *, acknowledged: bool = True) -> tuple[Line, pb.Notification]:
    """Have the agent raise an alarm: that it is told of a link that it does not have is a reason that all have."""
    line = await bench.line()
    line.acknowledging = acknowledged
    begin = len(line.said)
    await bench.given(samples.foreign_link(line))
    request = await line.until(
        lambda said: said.notification.HasField("alarm") and not said.notification.alarm.cleared, 3.0, after=begin
    )
    if request is None:
        raise Skipped(
            f"the agent raises no alarm when it is told of a link that it does not have ({samples.FOREIGN_LINK})"
        )
    _key(line, request.notification.alarm.alarm)
    return line, request.notification


def _is_complete(said: pb.SessionRequest) -> bool:
    return said.report.complete


def _key(line: Line, alarm: pb.Alarm) -> tuple[str, str]:
    try:
        alarm_from_pb(line.certificate_node, alarm)
    except InvalidValue as problem:
        raise Broken(f"an alarm is out of form: {problem}") from None
    return alarm.object, alarm.kind


def _matter(notification: pb.Notification) -> tuple[str, ...]:
    alarm = notification.alarm
    return (str(notification.WhichOneof("content")), alarm.alarm.object, alarm.alarm.kind, str(alarm.cleared))


def _sequences(line: Line) -> list[int]:
    return [one.request.notification.sequence for one in line.said if one.request.HasField("notification")]


def _once(names: Iterable[str], what: str) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise Broken(f"{what} {name} twice")
        seen.add(name)


def _ratio(value: float, what: str) -> None:
    if not 0.0 <= value <= 1.0 or math.isnan(value):
        raise Broken(f"{what} is {value}, and no ratio in [0, 1]")


CHECKS = (
    Check(
        id="report.complete",
        section="agent.proto Report.complete, Welcome.report_interval_ms",
        demand="A complete report comes every report interval, and names all links, and all relays that end here.",
        remedy="Build it from everything that the node has; send what merely changed with complete = false.",
        work=_complete,
    ),
    Check(
        id="report.well-formed",
        section="agent.proto Report, LinkReport, BlockReport",
        demand="Reports name each link, relay and block once, and ratios lie in [0, 1].",
        remedy="See the units in agent.proto.",
        work=_well_formed,
    ),
    Check(
        id="alarm.keyed",
        section="agent.proto Alarm, Report.alarms",
        demand="An alarm is keyed by object and kind, stands once in each complete report, and leaves with its cause.",
        remedy="Keep active alarms in a table by (object, kind), and report the table.",
        work=_keyed,
    ),
    Check(
        id="notification.repeated",
        section="agent.proto NotificationAck; writing-an-agent.md, The session, 6",
        demand="A notification is said again on the next stream until it is acknowledged, and not after that.",
        remedy="Keep it until its sequence is acknowledged.",
        work=_repeated,
    ),
)

LAST_CHECKS = (
    Check(
        id="notification.sequence",
        section="agent.proto Notification.sequence",
        demand="Sequences count up from 1 within each session.",
        remedy="Begin anew with 1 on each stream; a repeat within a stream keeps its number.",
        work=_sequence,
        looks_back=True,
    ),
)
