"""All sessions, what is wanted of every node, and the one way by which agents' words reach the writer."""

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from controller.domain import events
from controller.domain.alarm import CONTROLLER, Alarm, Severity
from controller.domain.refusals import InvalidValue
from controller.domain.snapshot import ElectionId
from controller.ports.agents import NO_LIFETIMES, Deliver
from controller.ports.observations import Observations
from controller.wire.southbound import agent_record_from_pb, election_from_pb, inventory_from_pb
from qinet.southbound.v1 import agent_pb2 as pb
from southbound.control.endings import Code, Ending, SessionRefused, protocol_error
from southbound.control.inventories import Inventories, Topology
from southbound.control.session import AGENT_FAULTY, AgentSession, ignore
from southbound.control.settings import ControlSettings
from southbound.control.wish import RefusedEntries, Wish

ELECTION_ID_AHEAD = "ELECTION_ID_AHEAD"
DUPLICATE_AGENT = "DUPLICATE_AGENT"
_OURS = (ELECTION_ID_AHEAD, DUPLICATE_AGENT, AGENT_FAULTY)

_Done = Callable[[], None]


@dataclass(slots=True)
class _Place:
    """What is kept of a node, session or not."""

    refused: RefusedEntries
    wish: Wish | None = None
    session: AgentSession | None = None
    outbox: deque[tuple[events.AgentEvent, _Done | None]] = field(default_factory=deque)
    duplicate_knocked_ms: int | None = None
    ahead: ElectionId | None = None


class Registry:
    """Lets agents in, hands them what the writer pushes, and hands the writer what they say. No I/O; told the time."""

    def __init__(
        self,
        *,
        deliver: Deliver,
        observations: Observations,
        settings: ControlSettings,
        jitter: Callable[[], float],
        push_to_ack: Callable[[int], None] = ignore,
        topology: Callable[[], Topology] | None = None,
    ) -> None:
        """Start with nobody.

        Args:
            deliver: The writer's inbox.
            observations: Where measurements go.
            settings: Of the sessions.
            jitter: Gives numbers in [0, 1).
            push_to_ack: Told the milliseconds from each push to its Ack.
            topology: Returns what agents' inventories are compared with; None compares nothing.
        """
        self._deliver = deliver
        self._observations = observations
        self._settings = settings
        self._jitter = jitter
        self._push_to_ack = push_to_ack
        self._inventories = Inventories(topology)
        self._election: ElectionId | None = None
        self._places: dict[str, _Place] = {}

    @property
    def election(self) -> ElectionId | None:
        """Return under which election id agents are told; None before the first push."""
        return self._election

    def reconfigure(self, settings: ControlSettings) -> None:
        """Run the sessions that begin from now on with these."""
        self._settings = settings

    def sessions(self) -> dict[str, AgentSession]:
        """Return the living sessions, by node."""
        return {node: place.session for node, place in self._places.items() if place.session is not None}

    def push(
        self,
        desired: Mapping[str, Mapping[str, bytes] | None],
        version: int,
        election: ElectionId,
        *,
        now_ms: int,
        remaining_s: Mapping[str, int] = NO_LIFETIMES,
    ) -> None:
        """Take what the writer wants; see controller.ports.agents.AgentPort."""
        if election != self._election:
            if self._election is not None:
                self.end_all(
                    Ending(
                        code=Code.UNAVAILABLE,
                        reason="NEW_TERM",
                        message="the controller's term has changed: connect again",
                    )
                )
            self._election = election
        for node, entries in desired.items():
            if entries is None:
                self._take_out(node)
                continue
            place = self._place(node)
            place.wish = Wish(
                entries=MappingProxyType(dict(entries)),
                version=version,
                remaining_s={name: left for name, left in remaining_s.items() if name in entries},
                pushed_ms=now_ms,
                before=place.wish,
            )
            if place.session is not None:
                place.session.want(place.wish, now_ms)

    def open(self, node: str, request: pb.SessionRequest, now_ms: int) -> AgentSession:
        """Answer the first message of a stream whose certificate is the node's.

        Raises:
            SessionRefused: It gets no session; what the operator must know of it is an alarm.
        """
        if request.WhichOneof("message") != "hello":
            raise SessionRefused(protocol_error(node, "the first message is not Hello"))
        hello = request.hello
        if hello.node != node:
            raise SessionRefused(
                _refusal(
                    Code.PERMISSION_DENIED,
                    "OTHER_NODE",
                    f"Hello names nodes/{hello.node[:80]}, but the certificate is for nodes/{node}: "
                    f"start the agent with the certificate of its node (`qinetctl pki issue node/NAME`)",
                    node=node,
                    named=hello.node[:80],
                )
            )
        if self._election is None:
            raise SessionRefused(
                _refusal(Code.UNAVAILABLE, "NOT_READY", "the controller is starting: try again", node=node)
            )
        place = self._places.get(node)
        if place is None or place.wish is None:
            raise SessionRefused(
                _refusal(
                    Code.FAILED_PRECONDITION,
                    "NODE_UNKNOWN",
                    f"nodes/{node} is not in the topology: add it to the topology file and run "
                    "`qinetctl topology apply`, then it is let in",
                    node=node,
                )
            )
        self._hand_over(place)
        if place.outbox:
            # Else an agent that comes and goes would fill the memory while the writer is busy.
            raise SessionRefused(
                _refusal(Code.UNAVAILABLE, "BUSY", "the controller is busy with earlier events: try again", node=node)
            )
        try:
            record = agent_record_from_pb(hello)
        except InvalidValue as problem:
            raise SessionRefused(protocol_error(node, str(problem))) from None
        self._check_election(node, place, election_from_pb(hello.highest_election_id), self._election)
        self._make_room(node, place, record.store_id, now_ms)
        self._before_first_word(node, place)
        session = AgentSession(
            record=record,
            hello=hello,
            wish=place.wish,
            election=self._election,
            refused=place.refused,
            observations=self._observations,
            settings=self._settings,
            now_ms=now_ms,
            push_to_ack=self._push_to_ack,
        )
        place.session = session
        place.outbox.extend(
            (event, None) for event in self._inventories.claimed(node, inventory_from_pb(hello.inventory))
        )
        self.collect(session)
        return session

    def collect(self, session: AgentSession) -> None:
        """Hand over the session's new events; to be called after everything that it was told."""
        place = self._place(session.node)
        for token, event in session.take_events():
            place.outbox.append((event, _once(session, token)))
        if session.ending is not None and place.session is session:
            place.session = None
        self._hand_over(place)

    def blocked(self, node: str) -> bool:
        """Tell whether the writer's inbox has no room for what the node said: then it is not read further."""
        place = self._places.get(node)
        return place is not None and bool(place.outbox)

    def offer_again(self, node: str) -> bool:
        """Offer what the inbox had no room for; return whether all of it is in now."""
        if (place := self._places.get(node)) is not None:
            self._hand_over(place)
        return not self.blocked(node)

    def tick(self, now_ms: int) -> None:
        """Offer again what the inbox had no room for, and end the alarms whose cause has gone; due now and then."""
        for node, event in self._inventories.look():
            self._place(node).outbox.append((event, None))
        for node, place in list(self._places.items()):
            knocked_ms = place.duplicate_knocked_ms
            if knocked_ms is not None and now_ms - knocked_ms >= self._settings.duplicate_quiet_ms:
                place.duplicate_knocked_ms = None
                self._clear(node, place, DUPLICATE_AGENT)
            self._hand_over(place)
            if place.wish is None and place.session is None and not place.outbox:
                del self._places[node]

    def end_all(self, ending: Ending) -> None:
        """End every session."""
        for session in self.sessions().values():
            session.end(ending)
            self.collect(session)

    def _place(self, node: str) -> _Place:
        if node not in self._places:
            self._places[node] = _Place(refused=RefusedEntries(self._settings, self._jitter))
        return self._places[node]

    def _take_out(self, node: str) -> None:
        place = self._places.get(node)
        if place is None:
            return
        place.wish = None
        if place.session is not None:
            session = place.session
            session.end(
                _refusal(
                    Code.FAILED_PRECONDITION,
                    "NODE_UNKNOWN",
                    f"nodes/{node} was taken out of the topology",
                    node=node,
                )
            )
            self.collect(session)
        for kind in _OURS:
            self._clear(node, place, kind)
        place.outbox.extend((event, None) for event in self._inventories.forget(node))
        self._hand_over(place)
        self._observations.forget(node)

    def _check_election(self, node: str, place: _Place, highest: ElectionId, ours: ElectionId) -> None:
        if highest <= ours:
            if place.ahead is not None:
                place.ahead = None
                self._clear(node, place, ELECTION_ID_AHEAD)
            return
        message = (
            f"nodes/{node} has seen election id ({highest.epoch}, {highest.term}), above this controller's "
            f"({ours.epoch}, {ours.term}): another controller leads, or its store was replaced; if this one is "
            "right, run `qinet-agent reset-election` at the node"
        )
        if place.ahead != highest:
            # It knocks again and again; the first time is enough.
            place.ahead = highest
            ahead = events.ElectionAhead(node=node, highest_epoch=highest.epoch, highest_term=highest.term)
            place.outbox.append((ahead, None))
            self._raise(node, place, ELECTION_ID_AHEAD, message)
        raise SessionRefused(
            _refusal(
                Code.FAILED_PRECONDITION,
                ELECTION_ID_AHEAD,
                message,
                node=node,
                highest=f"{highest.epoch}/{highest.term}",
                ours=f"{ours.epoch}/{ours.term}",
            )
        )

    def _make_room(self, node: str, place: _Place, store_id: str, now_ms: int) -> None:
        older = place.session
        if older is None:
            return
        if older.store_id != store_id:
            message = (
                f"nodes/{node} has a living session of an agent with another store: "
                "two agents run under one identity; stop one of them"
            )
            if place.duplicate_knocked_ms is None:
                self._raise(node, place, DUPLICATE_AGENT, message)
            place.duplicate_knocked_ms = now_ms
            raise SessionRefused(_refusal(Code.ALREADY_EXISTS, DUPLICATE_AGENT, message, node=node))
        older.end(_refusal(Code.ABORTED, "REPLACED", f"nodes/{node} has opened a newer session", node=node))
        self.collect(older)

    def _before_first_word(self, node: str, place: _Place) -> None:
        # An earlier process may have raised them, so all are cleared, known here or not: it costs nothing to repeat.
        place.duplicate_knocked_ms = None
        for kind in _OURS:
            self._clear(node, place, kind)

    def _raise(self, node: str, place: _Place, kind: str, message: str) -> None:
        alarm = Alarm(node=CONTROLLER, object=f"nodes/{node}", kind=kind, severity=Severity.MAJOR, message=message)
        place.outbox.append((events.AlarmRaised(alarm=alarm), None))
        self._hand_over(place)

    def _clear(self, node: str, place: _Place, kind: str) -> None:
        place.outbox.append((events.AlarmCleared(key=(CONTROLLER, f"nodes/{node}", kind)), None))
        self._hand_over(place)

    def _hand_over(self, place: _Place) -> None:
        while place.outbox:
            event, done = place.outbox.popleft()
            if not self._deliver(event, done):
                place.outbox.appendleft((event, done))
                return


def _once(session: AgentSession, token: int) -> _Done:
    def done() -> None:
        session.done(token)

    return done


def _refusal(code: Code, reason: str, message: str, **facts: str) -> Ending:
    return Ending(code=code, reason=reason, message=message, facts=facts)
