"""One agent's session on the controller's side: what is said in answer to what, without I/O and told the time."""

from collections import deque
from collections.abc import Callable

from controller.domain import events
from controller.domain.alarm import CONTROLLER, Alarm
from controller.domain.snapshot import AgentRecord, ElectionId
from controller.ports.observations import AgentObservation, Observations
from controller.wire.southbound import election_from_pb, election_to_pb
from qinet.southbound.v1 import agent_pb2 as pb
from southbound.control.endings import Code, Ending, protocol_error
from southbound.control.parts import OutOfStep
from southbound.control.reports import Reports
from southbound.control.settings import ControlSettings
from southbound.control.updates import Confirmed, Refused, Updates
from southbound.control.wish import RefusedEntries, Wish

# More that waits for a commit, or for the agent's own answer, is a flood and no news.
_MOST_UNSETTLED = 10_000
AGENT_FAULTY = "AGENT_FAULTY"


def ignore(*_: object) -> None:
    """Do nothing: where nobody wants to know."""


class AgentSession:
    """An agent whose Hello was accepted.

    The caller feeds it (`receive`, `want`, `done`, `tick`, `end`), takes away `take_events`, and sends what
    `next_message` gives for as long as it gives something. What waits to be sent is bounded by construction: the
    parts of one update, one question, one heartbeat and one acknowledgement.

    Attributes:
        node: Whose session it is; the certificate's.
        ending: Why it ended; None while it goes on.
        woken: Called when there is something new to send, or the session has ended.
    """

    def __init__(
        self,
        *,
        record: AgentRecord,
        hello: pb.Hello,
        wish: Wish,
        election: ElectionId,
        refused: RefusedEntries,
        observations: Observations,
        settings: ControlSettings,
        now_ms: int,
        push_to_ack: Callable[[int], None] = ignore,
    ) -> None:
        self.node = record.node
        self.store_id = record.store_id
        self.ending: Ending | None = None
        self.woken: Callable[[], None] = ignore
        self._record = record
        self._election = election
        self._refused = refused
        self._observations = observations
        self._settings = settings
        self._push_to_ack = push_to_ack
        self._started_ms = self._heard_ms = self._ticked_ms = self._beat_ms = now_ms
        self._reading = True
        self._updates = Updates(wish=wish, refused=refused, settings=settings)
        self._reports = Reports(self.node, observations)
        self._connected = False
        self._faulty = False
        self._before_connected: list[events.AgentEvent] = []
        self._events: deque[tuple[int, events.AgentEvent]] = deque()
        self._event_count = 0
        self._uncommitted: dict[int, None] = {}
        self._notified: deque[tuple[int, int]] = deque()
        self._last_notification = 0
        self._acknowledged = 0
        self._to_say: deque[pb.SessionResponse] = deque()
        self._ack_due: int | None = None
        self._beat_due = False
        self._to_say.append(
            pb.SessionResponse(
                welcome=pb.Welcome(
                    heartbeat_interval_ms=settings.heartbeat_interval_ms,
                    report_interval_ms=settings.report_interval_ms,
                    max_message_bytes=settings.max_message_bytes,
                )
            )
        )
        self._before_connected += self._reports.begin(hello, now_ms)
        if self._updates.begin(digest=hello.base_digest, version=hello.version):
            self._connect()
        self._take_faults()
        self._observe()

    @property
    def connected(self) -> bool:
        """Tell whether it is known what is in force, and so AgentConnected was told."""
        return self._connected

    @property
    def in_flight(self) -> bool:
        """Tell whether an update is unanswered."""
        return self._updates.in_flight

    @property
    def waiting(self) -> int:
        """Return how many messages wait to be sent."""
        return len(self._to_say) + self._updates.waiting + (self._ack_due is not None) + self._beat_due

    @property
    def tick_ms(self) -> int:
        """Return when `tick` is due at the latest."""
        times = [self._beat_ms + self._settings.heartbeat_interval_ms]
        if self._reading:
            times.append(self._heard_ms + self._settings.silence_ms)
            if (answer_by_ms := self._updates.answer_by_ms) is not None:
                times.append(answer_by_ms)
        return min(times)

    @property
    def look_ms(self) -> int | None:
        """Return when `next_message` may give something without `woken` being called; None: never."""
        return self._updates.look_ms

    def receive(self, request: pb.SessionRequest, now_ms: int) -> None:
        """Take a message of the agent."""
        if self.ending is not None:
            return
        self._heard_ms = now_ms
        if election_from_pb(request.election_id) != self._election:
            self.end(protocol_error(self.node, "a message does not carry the Welcome's election id"))
            return
        try:
            self._understand(request, now_ms)
        except OutOfStep as fault:
            self.end(protocol_error(self.node, str(fault)))
            return
        if len(self._notified) + len(self._before_connected) > _MOST_UNSETTLED:
            self.end(protocol_error(self.node, f"more than {_MOST_UNSETTLED} words that nobody had time to settle"))
            return
        self._take_faults()
        self._observe()
        self.woken()

    def want(self, wish: Wish, now_ms: int) -> None:
        """Take a newer wish of the writer."""
        before = self._updates.wish.hashes
        self._reports.repeat(name for name in {*before, *wish.hashes} if before.get(name) != wish.hashes.get(name))
        self._updates.want(wish, now_ms)
        self._observe()
        self.woken()

    def done(self, token: int) -> None:
        """Learn that the effect of an event is committed."""
        self._uncommitted.pop(token, None)
        self._settle_notifications()

    def pause(self) -> None:
        """Learn that the caller does not read for now: the agent's silence is ours."""
        self._reading = False

    def resume(self, now_ms: int) -> None:
        """Learn that the caller reads again."""
        self._reading = True
        self._heard_ms = now_ms
        self._updates.be_patient(now_ms)

    def tick(self, now_ms: int) -> None:
        """Let time pass; due when `wake_ms` is reached, harmless before."""
        if self.ending is not None:
            return
        settings = self._settings
        if now_ms - self._ticked_ms > 2 * settings.heartbeat_interval_ms:
            # We were asleep, not the agent: what it said meanwhile is still to be read.
            self._heard_ms = max(self._heard_ms, now_ms - settings.silence_ms + settings.heartbeat_interval_ms)
            self._updates.be_patient(now_ms)
        self._ticked_ms = now_ms
        if now_ms - self._beat_ms >= settings.heartbeat_interval_ms:
            self._beat_ms = now_ms
            self._beat_due = True
            self.woken()
        if not self._reading:
            return
        if now_ms - self._heard_ms >= settings.silence_ms:
            self.end(
                Ending(
                    code=Code.DEADLINE_EXCEEDED,
                    reason="SILENT",
                    message=f"nodes/{self.node}: nothing heard for {settings.missed_heartbeats} heartbeats of "
                    f"{settings.heartbeat_interval_ms} ms: the agent shall connect again",
                    facts={"node": self.node},
                )
            )
        elif (answer_by_ms := self._updates.answer_by_ms) is not None and now_ms >= answer_by_ms:
            self.end(
                Ending(
                    code=Code.DEADLINE_EXCEEDED,
                    reason="NO_ANSWER",
                    message=f"nodes/{self.node}: an update was not answered within {settings.answer_timeout_ms} ms: "
                    "look at the agent's log; it shall connect again",
                    facts={"node": self.node},
                )
            )

    def next_message(self, now_ms: int) -> pb.SessionResponse | None:
        """Return what is to be sent now, or None."""
        if self.ending is not None:
            return None
        message: pb.SessionResponse | None = None
        if self._to_say:
            message = self._to_say.popleft()
        elif self._beat_due:
            self._beat_due = False
            message = pb.SessionResponse(heartbeat=pb.Heartbeat())
        elif self._ack_due is not None:
            message = pb.SessionResponse(notification_ack=pb.NotificationAck(sequence=self._ack_due))
            self._ack_due = None
        else:
            said = self._updates.next_message(now_ms)
            self._confirmed(self._updates.take_unchanged())
            if isinstance(said, pb.ConfigUpdate):
                message = pb.SessionResponse(config_update=said)
            elif said is not None:
                message = pb.SessionResponse(entry_hashes_request=said)
        if message is not None:
            message.election_id.CopyFrom(election_to_pb(self._election))
        return message

    def take_events(self) -> list[tuple[int, events.AgentEvent]]:
        """Return the new events in order, each with the token for `done`."""
        taken = list(self._events)
        self._events.clear()
        return taken

    def end(self, ending: Ending) -> None:
        """End the session; the first reason stands."""
        if self.ending is not None:
            return
        self.ending = ending
        if self._connected:
            self._emit(events.AgentLost(node=self.node, reason=self._why(ending)))
        self._observe()
        self.woken()

    def _understand(self, request: pb.SessionRequest, now_ms: int) -> None:
        match request.WhichOneof("message"):
            case "ack":
                self._confirmed(self._updates.ack(request.ack, now_ms))
            case "nack":
                self._nacked(self._updates.nack(request.nack, now_ms))
            case "entry_hashes":
                confirmed = self._updates.hashes(request.entry_hashes, now_ms)
                if self._connected:
                    self._confirmed(confirmed)
                elif confirmed is not None:
                    self._connect()
            case "report":
                self._tell(self._reports.report(request.report, now_ms))
            case "notification":
                self._notification(request.notification, now_ms)
            case "heartbeat":
                pass
            case "hello":
                raise OutOfStep("a second Hello")
            case _:
                raise OutOfStep("a message of a kind that is not known here")

    def _connect(self) -> None:
        word = self._updates.first_word()
        self._connected = True
        self._emit(
            events.AgentConnected(
                record=self._record,
                version=word.version,
                in_force=word.in_force,
                alarms=self._reports.alarms,
                links_down=self._reports.links_down,
            )
        )
        for event in self._before_connected:
            self._emit(event)
        self._before_connected.clear()

    def _confirmed(self, confirmed: Confirmed | None) -> None:
        if confirmed is None:
            return
        if confirmed.push_to_ack_ms is not None:
            self._push_to_ack(confirmed.push_to_ack_ms)
        self._emit(events.ConfigConfirmed(node=self.node, version=confirmed.version, in_force=confirmed.in_force))

    def _nacked(self, refused: Refused) -> None:
        if refused.entries or refused.whole is not None:
            self._emit(
                events.ConfigRefused(
                    node=self.node, version=refused.version, refused=refused.entries, whole=refused.whole
                )
            )

    def _notification(self, notification: pb.Notification, now_ms: int) -> None:
        if notification.sequence <= self._last_notification:
            # A repeat: its effect was taken the first time, and what it says may be out of date by now.
            if notification.sequence <= self._acknowledged:
                self._ack_due = self._acknowledged
            return
        self._last_notification = notification.sequence
        self._tell(self._reports.notification(notification, now_ms))
        # What it says may already have been told by a report whose effect is still to be committed.
        self._notified.append((notification.sequence, self._event_count))
        self._settle_notifications()

    def _settle_notifications(self) -> None:
        oldest = next(iter(self._uncommitted), self._event_count + 1)
        while self._notified and self._connected and self._notified[0][1] < oldest:
            self._acknowledged, _ = self._notified.popleft()
            self._ack_due = self._acknowledged
            self.woken()

    def _tell(self, news: list[events.AgentEvent]) -> None:
        if not self._connected:
            self._before_connected += news
            return
        for event in news:
            self._emit(event)

    def _emit(self, event: events.AgentEvent) -> None:
        self._event_count += 1
        self._uncommitted[self._event_count] = None
        self._events.append((self._event_count, event))

    def _take_faults(self) -> None:
        faults, self._reports.faults = self._reports.faults, []
        if faults and not self._faulty:
            # Once a session: a faulty agent must not flood the writer.
            self._faulty = True
            self._alarm(AGENT_FAULTY, f"says what cannot be understood: {faults[0]}")

    def _alarm(self, kind: str, message: str) -> None:
        alarm = Alarm(node=CONTROLLER, object=f"nodes/{self.node}", kind=kind, message=f"nodes/{self.node} {message}")
        self._tell([events.AlarmRaised(alarm=alarm)])

    def _why(self, ending: Ending) -> str:
        return events.DRAINING if self._reports.draining and ending.code is Code.CANCELLED else ending.message

    def _observe(self) -> None:
        updates = self._updates
        self._observations.put(
            AgentObservation(
                node=self.node,
                connected=self.ending is None,
                store_id=self.store_id,
                agent_version=self._record.version,
                session_start_ms=self._started_ms,
                last_heard_ms=self._heard_ms,
                confirmed_version=updates.version,
                in_force_digest=updates.in_force_digest,
                in_force_entries=len(updates.in_force or ()),
                desired_digest=updates.wish.digest,
                refused=self._refused.current(updates.wish),
                queue_fill=self._reports.queue_fill,
                clock_offset_ms=self._reports.clock_offset_ms,
                memories_in_use=self._reports.memories_in_use,
                outgoing=self.waiting,
                ended_because="" if self.ending is None else self._why(self.ending),
            )
        )
