"""Tells what is new in an agent's reports: repeats give no events, measurements go to the observations."""

from collections.abc import Iterable, Iterator
from typing import Final

from controller.domain import events
from controller.domain.alarm import Alarm
from controller.domain.names import is_label
from controller.domain.refusals import InvalidValue
from controller.ports.observations import (
    MAX_BLOCKS,
    BlockObservation,
    FidelityObservation,
    LinkObservation,
    Observations,
    PairLinkObservation,
    PathObservation,
    RelayObservation,
)
from controller.wire.southbound import (
    alarm_from_pb,
    application_asked_from_pb,
    link_event_from_pb,
    link_status_from_pb,
    path_event_from_pb,
    ratio,
    relay_event_from_pb,
)
from qinet.southbound.v1 import agent_pb2 as pb
from qinet.types.v1 import pairs_pb2, types_pb2

_MEASURES: Final = {
    types_pb2.PERFORMANCE_KIND_QBER: "QBER",
    types_pb2.PERFORMANCE_KIND_EXCESS_NOISE: "EXCESS_NOISE",
    types_pb2.PERFORMANCE_KIND_VISIBILITY: "VISIBILITY",
}
_RATIOS: Final = {"QBER", "VISIBILITY"}


class Reports:
    """What one agent has said in this session.

    Attributes:
        faults: What could not be understood of it, newest last; the caller takes them away.
        queue_fill: Its longest queue over its size; ratio in [0, 1].
        clock_offset_ms: None when unknown.
        memories_in_use: Qubits that hold a half of a pair now; None on a node without memories.
        draining: It said that it is being shut down.
    """

    def __init__(self, node: str, observations: Observations) -> None:
        self._node = node
        self._observations = observations
        self._links: dict[str, events.LinkReport] = {}
        self._relays: dict[str, events.ServiceReport] = {}
        self._paths: dict[str, events.ServiceReport] = {}
        self._alarms: dict[tuple[str, str, str], Alarm] = {}
        self.faults: list[InvalidValue] = []
        self.queue_fill = 0.0
        self.clock_offset_ms: float | None = None
        self.memories_in_use: int | None = None
        self.draining = False

    @property
    def alarms(self) -> tuple[Alarm, ...]:
        """Return the alarms that are active there."""
        return tuple(self._alarms.values())

    @property
    def links_down(self) -> dict[str, str]:
        """Return the reason by link, for each that it says is down."""
        return {name: report.down_reason for name, report in self._links.items() if report.down_reason}

    def begin(self, hello: pb.Hello, now_ms: int) -> list[events.AgentEvent]:
        """Take what Hello says; the links' state as events, to follow the one that says who came."""
        news = list(self._about_links(hello.links, now_ms))
        self._alarms = self._understood(hello.alarms)
        self._observations.keep_only(
            self._node,
            links=self._links,
            relays=[relay for relay, node in self._observations.relays() if node == self._node],
            paths=[path for path, node in self._observations.paths() if node == self._node],
        )
        return news

    def repeat(self, entry_ids: Iterable[str]) -> None:
        """Let the next report on links and services of these entries be news: what it meant before may have changed.

        A link or service that was deleted and made anew under its name has not heard the old word.
        """
        for entry_id in entry_ids:
            match entry_id.split("/"):
                case ["links", link]:
                    self._links.pop(link, None)
                case ["keyRelays", relay, *_]:
                    self._relays.pop(relay, None)
                case ["entanglementPaths", path, *_]:
                    self._paths.pop(path, None)

    def report(self, report: pb.Report, now_ms: int) -> list[events.AgentEvent]:
        """Take a report, and return what is new in it."""
        news: list[events.AgentEvent] = [
            *self._about_links(report.links, now_ms),
            *self._about_relays(report.relays, now_ms),
            *self._about_paths(report.paths, now_ms),
        ]
        self.memories_in_use = report.memories_in_use if report.HasField("memories_in_use") else None
        self.queue_fill = ratio(report.queue_fill)
        if report.complete:
            self.clock_offset_ms = report.clock_offset_ms if report.HasField("clock_offset_ms") else None
            news += self._all_alarms(self._understood(report.alarms))
            self._only(
                {link.link for link in report.links},
                {relay.relay for relay in report.relays},
                {path.path for path in report.paths},
            )
        else:
            if report.HasField("clock_offset_ms"):
                self.clock_offset_ms = report.clock_offset_ms
            for alarm in self._understood(report.alarms).values():
                news += self._raised(alarm)
        return news

    def notification(self, notification: pb.Notification, now_ms: int) -> list[events.AgentEvent]:
        """Take a notification, and return what is new in it.

        Those that decide nothing here (modules, clock) are in the reports' alarms as well.
        """
        match notification.WhichOneof("content"):
            case "link_down" | "link_up" | "link_perf_update" | "link_overloaded" as kind:
                return list(self._about_links([getattr(notification, kind)], now_ms))
            case "relay_update":
                return list(self._about_relays([notification.relay_update], now_ms))
            case "path_update":
                return list(self._about_paths([notification.path_update], now_ms))
            case "alarm":
                told = self._understood([notification.alarm.alarm])
                if notification.alarm.cleared:
                    return [news for key in told for news in self._cleared(key)]
                return [news for alarm in told.values() for news in self._raised(alarm)]
            case "application_new":
                try:
                    return [application_asked_from_pb(self._node, notification.application_new)]
                except InvalidValue as fault:
                    self.faults.append(fault)
            case "draining":
                self.draining = True
        return []

    def _about_links(self, reports: Iterable[pb.LinkReport], now_ms: int) -> Iterator[events.AgentEvent]:
        for report in reports:
            if not is_label(report.link):
                self._fault("links", report.link)
                continue
            said = link_event_from_pb(self._node, report)
            self._observations.put(_link_observation(said, report, self._observations, now_ms))
            if self._links.get(report.link) != said:
                self._links[report.link] = said
                yield said

    def _about_relays(self, reports: Iterable[pb.RelayReport], now_ms: int) -> Iterator[events.AgentEvent]:
        for report in reports:
            if not is_label(report.relay):
                self._fault("relays", report.relay)
                continue
            said = relay_event_from_pb(self._node, report)
            self._observations.put(_relay_observation(self._node, report, now_ms))
            if self._relays.get(report.relay) != said:
                self._relays[report.relay] = said
                yield said

    def _about_paths(self, reports: Iterable[pb.PathReport], now_ms: int) -> Iterator[events.AgentEvent]:
        for report in reports:
            if not is_label(report.path):
                self._fault("paths", report.path)
                continue
            said = path_event_from_pb(self._node, report)
            self._observations.put(_path_observation(self._node, report, now_ms))
            if self._paths.get(report.path) != said:
                self._paths[report.path] = said
                yield said

    def _only(self, links: set[str], relays: set[str], paths: set[str]) -> None:
        self._links = {name: said for name, said in self._links.items() if name in links}
        self._relays = {name: said for name, said in self._relays.items() if name in relays}
        self._paths = {name: said for name, said in self._paths.items() if name in paths}
        self._observations.keep_only(self._node, links=self._links, relays=self._relays, paths=self._paths)

    def _understood(self, alarms: Iterable[pb.Alarm]) -> dict[tuple[str, str, str], Alarm]:
        told = {}
        for message in alarms:
            try:
                alarm = alarm_from_pb(self._node, message)
            except InvalidValue as fault:
                self.faults.append(fault)
            else:
                told[alarm.key] = alarm
        return told

    def _all_alarms(self, active: dict[tuple[str, str, str], Alarm]) -> Iterator[events.AgentEvent]:
        for key in [key for key in self._alarms if key not in active]:
            yield from self._cleared(key)
        for alarm in active.values():
            yield from self._raised(alarm)

    def _raised(self, alarm: Alarm) -> Iterator[events.AgentEvent]:
        known = self._alarms.get(alarm.key)
        # Its text may carry a figure that changes with every report; only a new fault or severity is news.
        if known is None or known.severity is not alarm.severity:
            self._alarms[alarm.key] = alarm
            yield events.AlarmRaised(alarm=alarm)

    def _cleared(self, key: tuple[str, str, str]) -> Iterator[events.AgentEvent]:
        if self._alarms.pop(key, None) is not None:
            yield events.AlarmCleared(key=key)

    def _fault(self, field: str, name: str) -> None:
        self.faults.append(InvalidValue(f"nodes/{self._node}", (f"report.{field}", f"{name[:80]!r} is no id")))


def _link_observation(
    said: events.LinkReport, report: pb.LinkReport, observations: Observations, now_ms: int
) -> LinkObservation:
    before = observations.link(report.link, said.node)
    blocks = {} if before is None else {block.block: block for block in before.blocks}
    for block in report.blocks:
        measure = _MEASURES.get(block.performance_kind, "")
        value = ratio(block.performance) if measure in _RATIOS else block.performance
        blocks[block.block] = BlockObservation(
            block=block.block,
            end_time_ms=block.end_time_ms,
            duration_ms=block.duration_ms,
            secret_bit=block.secret_bit,
            measure=measure,
            performance=value,
        )
    return LinkObservation(
        node=said.node,
        link=said.link,
        status=link_status_from_pb(report.status),
        down_reason=said.down_reason,
        stored_outbound_bit=report.stored_outbound_bit,
        stored_inbound_bit=report.stored_inbound_bit,
        generated_bit_total=report.generated_bit_total,
        consumed_bit_total=report.consumed_bit_total,
        burnt_bit_total=report.burnt_bit_total,
        skr_millibit_per_s=report.skr_millibit_per_s,
        promised_skr_millibit_per_s=said.promised_skr_millibit_per_s,
        exhausted=said.exhausted,
        neighbour_unreachable=report.neighbour_unreachable,
        blocks=tuple(blocks[number] for number in sorted(blocks)[-MAX_BLOCKS:]),
        pairs=_pair_observation(report.pairs) if report.HasField("pairs") else None,
        heard_ms=now_ms,
    )


def _pair_observation(report: pb.PairLinkReport) -> PairLinkObservation:
    return PairLinkObservation(
        rate_millihertz=report.rate_millihertz,
        pair_total=report.pair_total,
        memory_pairs_in_use=report.memory_pairs_in_use,
        fidelity=_fidelity(report.fidelity) if report.HasField("fidelity") else None,
    )


def _fidelity(estimate: pairs_pb2.FidelityEstimate) -> FidelityObservation:
    return FidelityObservation(
        fidelity=ratio(estimate.fidelity),
        low=ratio(estimate.low),
        high=ratio(estimate.high),
        samples=estimate.samples,
        age_ms=estimate.age_ms,
    )


def _path_observation(node: str, report: pb.PathReport, now_ms: int) -> PathObservation:
    return PathObservation(
        node=node,
        path=report.path,
        route_version=report.route_version,
        confirmed=report.confirmed,
        rate_millihertz=report.rate_millihertz,
        delivered_total=report.delivered_total,
        packet_total=report.packet_total,
        dropped_total=report.dropped_total,
        fidelity=_fidelity(report.fidelity) if report.HasField("fidelity") else None,
        tracked_fidelity=ratio(report.tracked_fidelity) if report.HasField("tracked_fidelity") else None,
        starved=report.starved,
        sifted_bit=report.sifted_bit,
        heard_ms=now_ms,
    )


def _relay_observation(node: str, report: pb.RelayReport, now_ms: int) -> RelayObservation:
    return RelayObservation(
        node=node,
        relay=report.relay,
        route_version=report.route_version,
        confirmed=report.confirmed,
        stock_bit=report.stock_bit,
        confirmed_bit_total=report.confirmed_bit_total,
        delivered_bit_total=report.delivered_bit_total,
        voided_chunk_total=report.voided_chunk_total,
        starved=report.starved,
        heard_ms=now_ms,
    )
