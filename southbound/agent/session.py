"""One session with a controller, sans I/O: what its messages mean, what is said when, and when it is over."""

from dataclasses import dataclass
from typing import Final

from google.rpc import status_pb2

from controller.domain.snapshot import ElectionId
from controller.wire.southbound import election_from_pb, election_to_pb
from qinet.southbound.v1 import agent_pb2 as pb
from southbound.agent.configuration import Accepted, Assembly, Configuration, Refused, Status, Update, Upsert, decide
from southbound.agent.notices import Notices
from southbound.agent.pair_entries import PairMeans

MISSED_HEARTBEATS: Final = 3
_WELCOME_TIMEOUT_S: Final = 10.0
_MIN_INTERVAL_S: Final = 0.01
_PART_BYTES: Final = 1 << 20
_HASH_OVERHEAD_BYTES: Final = 48


@dataclass(frozen=True, slots=True)
class Remember:
    """Make the election id durable before anything else is done."""

    election: ElectionId


@dataclass(frozen=True, slots=True)
class Apply:
    """Make the configuration durable and put it in force, then call `applied`."""

    update: Update
    accepted: Accepted


@dataclass(frozen=True, slots=True)
class Say:
    """Send a message."""

    request: pb.SessionRequest


@dataclass(frozen=True, slots=True)
class Welcomed:
    """The controller has taken us: the session stands."""

    election: ElectionId


@dataclass(frozen=True, slots=True)
class End:
    """End the stream."""

    reason: str


Effect = Remember | Apply | Say | Welcomed | End


class Session:
    """One stream. Times are seconds on any clock that does not go back, but `service_s`, the agent's service time."""

    def __init__(
        self,
        *,
        node: str,
        highest: ElectionId | None,
        notices: Notices,
        now_s: float,
        pairs: PairMeans | None = None,
    ) -> None:
        self._node = node
        self._pairs = pairs
        self._highest = highest
        self._notices = notices
        self._assembly = Assembly()
        self._election: ElectionId | None = None
        self._heartbeat_s = 0.0
        self._report_s = 0.0
        self._part_bytes = _PART_BYTES
        self._opened_s = self._heard_s = self._looked_s = now_s
        self._next_heartbeat_s = self._next_report_s = now_s
        notices.reopen()

    @property
    def welcomed(self) -> bool:
        """Tell whether the controller has answered Hello."""
        return self._election is not None

    def heard(self, now_s: float) -> None:
        """Take that the controller said something; what it was can wait."""
        self._heard_s = now_s

    def receive(
        self, response: pb.SessionResponse, configuration: Configuration, now_s: float, service_s: float
    ) -> list[Effect]:
        """Return what a message of the controller asks for, in order."""
        self.heard(now_s)
        election = election_from_pb(response.election_id)
        if not response.HasField("election_id"):
            return [End("the controller sent a message without election id")]
        if self._highest is not None and election < self._highest:
            said, highest = _shown(election), _shown(self._highest)
            return [End(f"the controller's election id {said} is below {highest}, the highest ever seen here")]
        effects: list[Effect] = []
        if self._highest is None or election > self._highest:
            self._highest = election
            effects.append(Remember(election))
        kind = response.WhichOneof("message")
        if not self.welcomed and kind != "welcome":
            return [*effects, End(f"the controller said {kind} before it answered Hello")]
        match kind:
            case "welcome":
                effects += self._welcome(response.welcome, election, now_s)
            case "config_update":
                effects += self._update(_update_from_pb(response.config_update), configuration, service_s)
            case "entry_hashes_request":
                effects += self._hashes(configuration)
            case "notification_ack":
                self._notices.acknowledged(response.notification_ack.sequence)
            case _:
                # A heartbeat, or a message of a later version: being heard is all there is to it.
                pass
        return effects

    def applied(self, update: Update, configuration: Configuration) -> Say:
        """Return the acknowledgement of an update that is durable and in force."""
        ack = pb.Ack(nonce=update.nonce, version=update.version, digest=configuration.digest)
        return self._say(pb.SessionRequest(ack=ack))

    def due(self, now_s: float) -> tuple[list[Effect], bool]:
        """Return what is to be done by now, and whether a complete report is due."""
        looked_s, self._looked_s = self._looked_s, now_s
        if not self.welcomed:
            late = now_s - self._opened_s > _WELCOME_TIMEOUT_S
            return ([End(f"no answer to Hello for {_WELCOME_TIMEOUT_S:g} s")] if late else []), False
        if now_s - looked_s > 2 * self._heartbeat_s:
            # We were asleep, not the controller: what it said meanwhile is still to be read.
            self._heard_s = max(self._heard_s, now_s - (MISSED_HEARTBEATS - 1) * self._heartbeat_s)
        if now_s - self._heard_s > MISSED_HEARTBEATS * self._heartbeat_s:
            return [End(f"the controller missed {MISSED_HEARTBEATS} heartbeats")], False
        effects: list[Effect] = []
        if now_s >= self._next_heartbeat_s:
            self._next_heartbeat_s = now_s + self._heartbeat_s
            effects.append(self._say(pb.SessionRequest(heartbeat=pb.Heartbeat())))
        effects += [self._say(pb.SessionRequest(notification=notice)) for notice in self._notices.due(now_s)]
        report = now_s >= self._next_report_s
        if report:
            self._next_report_s = now_s + self._report_s
        return effects, report

    def report(self, report: pb.Report) -> Say:
        """Return the report as a message."""
        return self._say(pb.SessionRequest(report=report))

    def wait_s(self, now_s: float) -> float:
        """Return how long nothing is due by itself."""
        if not self.welcomed:
            return max(_MIN_INTERVAL_S, self._opened_s + _WELCOME_TIMEOUT_S - now_s)
        at_s = min(
            self._next_heartbeat_s, self._next_report_s, self._heard_s + MISSED_HEARTBEATS * self._heartbeat_s + 0.001
        )
        return max(0.001, at_s - now_s)

    def _welcome(self, welcome: pb.Welcome, election: ElectionId, now_s: float) -> list[Effect]:
        if self.welcomed:
            return [End("the controller answered Hello twice")]
        self._election = election
        self._heartbeat_s = max(_MIN_INTERVAL_S, welcome.heartbeat_interval_ms / 1000)
        self._report_s = max(_MIN_INTERVAL_S, welcome.report_interval_ms / 1000)
        if welcome.max_message_bytes:
            self._part_bytes = min(_PART_BYTES, welcome.max_message_bytes // 2)
        self._next_heartbeat_s = now_s + self._heartbeat_s
        self._next_report_s = now_s
        return [Welcomed(election)]

    def _hashes(self, configuration: Configuration) -> list[Say]:
        parts: list[list[pb.EntryHash]] = [[]]
        used = 0
        for name, held in configuration.entries.items():
            size = len(name.encode()) + _HASH_OVERHEAD_BYTES
            if used and used + size > self._part_bytes:
                parts.append([])
                used = 0
            parts[-1].append(pb.EntryHash(id=name, hash=held.hash))
            used += size
        return [
            self._say(pb.SessionRequest(entry_hashes=pb.EntryHashes(hashes=hashes, part=index, parts=len(parts))))
            for index, hashes in enumerate(parts)
        ]

    def _update(self, part: Update, configuration: Configuration, service_s: float) -> list[Effect]:
        taken = self._assembly.take(part)
        if taken is None:
            return []
        if isinstance(taken, Refused):
            return [self._refuse(part, taken, configuration)]
        decided = decide(configuration, taken, self._node, service_s, self._pairs)
        if isinstance(decided, Accepted):
            return [Apply(taken, decided)]
        return [self._refuse(part, decided, configuration)]

    def _refuse(self, update: Update, refused: Refused, configuration: Configuration) -> Say:
        entries = (pb.EntryStatus(id=name, status=_status(status)) for name, status in refused.entries.items())
        nack = pb.Nack(
            nonce=update.nonce,
            version=update.version,
            entries=entries,
            status=None if refused.status is None else _status(refused.status),
            digest=configuration.digest,
        )
        return self._say(pb.SessionRequest(nack=nack))

    def _say(self, request: pb.SessionRequest) -> Say:
        if self._election is not None:
            request.election_id.CopyFrom(election_to_pb(self._election))
        return Say(request)


def _update_from_pb(update: pb.ConfigUpdate) -> Update:
    return Update(
        nonce=update.nonce,
        version=update.version,
        base_digest=update.base_digest,
        target_digest=update.target_digest,
        upserts=tuple(
            Upsert(
                entry_id=one.id,
                content=one.content,
                remaining_s=one.remaining_s if one.HasField("remaining_s") else None,
            )
            for one in update.upserts
        ),
        deletes=tuple(update.deletes),
        part=update.part,
        parts=update.parts,
    )


def _status(status: Status) -> status_pb2.Status:
    return status_pb2.Status(code=status.code, message=status.message)


def _shown(election: ElectionId) -> str:
    return f"({election.epoch}, {election.term})"
