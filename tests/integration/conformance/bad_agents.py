"""Agents made wrong on purpose: our own, with one behaviour broken on the wire, or in what a restart finds."""

import asyncio
import sqlite3
from pathlib import Path

from controller.domain.entries import EMPTY_DIGEST, digest_moved, digest_of, entry_hash
from controller.domain.snapshot import ElectionId
from controller.wire.southbound import election_from_pb, election_to_pb
from qinet.southbound.v1 import agent_pb2 as pb
from tests.integration.conformance.between import Stream, Vice

_OWN_NONCES = 1 << 40


class WrongDigest(Vice):
    """Reckons its digest wrong, and tells it with Ack."""

    def up(self, stream: Stream, request: pb.SessionRequest) -> list[pb.SessionRequest]:
        if request.HasField("ack"):
            request.ack.digest = bytes(31) + b"\x01"
        return [request]


class AnyBase(Vice):
    """Does not compare base_digest."""

    def down(self, stream: Stream, response: pb.SessionResponse) -> list[pb.SessionResponse]:
        if response.HasField("config_update"):
            response.config_update.base_digest = stream.digest
        return [response]


class AnyTarget(Vice):
    """Does not compare target_digest: has it reckoned anew from what it has in force."""

    def __init__(self) -> None:
        self._held: dict[str, bytes] = {}
        self._next: dict[str, bytes] = {}

    def down(self, stream: Stream, response: pb.SessionResponse) -> list[pb.SessionResponse]:
        update = response.config_update
        if response.HasField("config_update") and update.parts == 1:
            self._next = {name: held for name, held in self._held.items() if name not in update.deletes}
            self._next |= {one.id: entry_hash(one.id, one.content) for one in update.upserts}
            if not update.deletes and update.base_digest == stream.digest:
                update.target_digest = digest_of(self._next)
        return [response]

    def up(self, stream: Stream, request: pb.SessionRequest) -> list[pb.SessionRequest]:
        if request.HasField("ack") and request.ack.digest == digest_of(self._next):
            self._held = self._next
        if request.HasField("hello") and request.hello.base_digest == EMPTY_DIGEST:
            self._held = {}
        return [request]


class Halves(Vice):
    """Applies of a refused update what is not refused."""

    def __init__(self) -> None:
        self._last: pb.SessionResponse | None = None
        self._nack: pb.SessionRequest | None = None
        self._nonce = _OWN_NONCES

    def down(self, stream: Stream, response: pb.SessionResponse) -> list[pb.SessionResponse]:
        if response.HasField("config_update"):
            self._last = response
        return [response]

    def up(self, stream: Stream, request: pb.SessionRequest) -> list[pb.SessionRequest]:
        if request.HasField("ack") and request.ack.nonce in stream.own:
            return [self._nack] if self._nack is not None else []
        if not request.HasField("nack") or not request.nack.entries or self._last is None:
            return [request]
        refused = {one.id for one in request.nack.entries}
        half = pb.SessionResponse.FromString(self._last.SerializeToString())
        update = half.config_update
        good = [one for one in update.upserts if one.id not in refused]
        self._nonce += 1
        update.nonce = self._nonce
        stream.own.add(update.nonce)
        # The suite replaces one setting of the only link by another.
        target = EMPTY_DIGEST
        for one in good:
            target = digest_moved(target, added=entry_hash(one.id, one.content))
        update.target_digest = target
        del update.upserts[:]
        update.upserts.extend(good)
        self._nack = request
        stream.to_agent.put_nowait(half)
        return []


class AnyOrder(Vice):
    """Puts parts into order by itself."""

    def __init__(self) -> None:
        self._parts: dict[int, dict[int, pb.SessionResponse]] = {}

    def down(self, stream: Stream, response: pb.SessionResponse) -> list[pb.SessionResponse]:
        update = response.config_update
        if not response.HasField("config_update"):
            return [response]
        parts = self._parts.setdefault(update.nonce, {})
        parts[update.part] = response
        return [parts[number] for number in range(update.parts)] if len(parts) == update.parts else []

    async def opened(self, stream: Stream) -> None:
        self._parts.clear()


class NoHeartbeats(Vice):
    """Sends none."""

    def up(self, stream: Stream, request: pb.SessionRequest) -> list[pb.SessionRequest]:
        return [] if request.HasField("heartbeat") else [request]


class Patient(Vice):
    """Stays with a controller that is silent."""

    async def opened(self, stream: Stream) -> None:
        while True:
            await asyncio.sleep(0.05)
            if self.election is not None:
                beat = pb.SessionResponse(election_id=election_to_pb(self.election), heartbeat=pb.Heartbeat())
                stream.to_agent.put_nowait(beat)

    def __init__(self) -> None:
        self.election: ElectionId | None = None

    def up(self, stream: Stream, request: pb.SessionRequest) -> list[pb.SessionRequest]:
        if request.HasField("hello"):
            self.election = None
        elif request.HasField("election_id"):
            self.election = election_from_pb(request.election_id)
        return [request]


class Credulous(Vice):
    """Takes any election id."""

    def __init__(self) -> None:
        self._highest = ElectionId(epoch=0, term=0)
        self._said = ElectionId(epoch=0, term=0)

    def down(self, stream: Stream, response: pb.SessionResponse) -> list[pb.SessionResponse]:
        said = election_from_pb(response.election_id)
        if response.HasField("welcome"):
            self._said = said
        self._highest = max(self._highest, said)
        response.election_id.CopyFrom(election_to_pb(self._highest))
        return [response]

    def up(self, stream: Stream, request: pb.SessionRequest) -> list[pb.SessionRequest]:
        if request.HasField("election_id"):
            request.election_id.CopyFrom(election_to_pb(self._said))
        return [request]


class OtherElection(Vice):
    """Sends its messages without the Welcome's election id."""

    def up(self, stream: Stream, request: pb.SessionRequest) -> list[pb.SessionRequest]:
        request.ClearField("election_id")
        return [request]


class OtherNode(Vice):
    """Names another node than its certificate."""

    def up(self, stream: Stream, request: pb.SessionRequest) -> list[pb.SessionRequest]:
        if request.HasField("hello"):
            request.hello.node = "zebra"
        return [request]


class TwiceHello(Vice):
    """Says Hello again with every heartbeat."""

    also = ("heartbeat",)

    def __init__(self) -> None:
        self._hello: pb.SessionRequest | None = None

    def up(self, stream: Stream, request: pb.SessionRequest) -> list[pb.SessionRequest]:
        if request.HasField("hello"):
            self._hello = request
        return [request, self._hello] if request.HasField("heartbeat") and self._hello is not None else [request]


class HashesShort(Vice):
    """Leaves one entry out of EntryHashes."""

    def up(self, stream: Stream, request: pb.SessionRequest) -> list[pb.SessionRequest]:
        hashes = request.entry_hashes
        if request.HasField("entry_hashes") and hashes.part == 0 and 1 < len(hashes.hashes) < 10:
            del hashes.hashes[0]
        return [request]


class LargeMessages(Vice):
    """Puts the parts of EntryHashes into one message."""

    def __init__(self) -> None:
        self._hashes: list[pb.EntryHash] = []

    def up(self, stream: Stream, request: pb.SessionRequest) -> list[pb.SessionRequest]:
        answer = request.entry_hashes
        if not request.HasField("entry_hashes") or answer.parts < 2:
            return [request]
        self._hashes += answer.hashes
        if answer.part < answer.parts - 1:
            return []
        del answer.hashes[:]
        answer.hashes.extend(self._hashes)
        self._hashes = []
        answer.part, answer.parts = 0, 1
        return [request]


class ToldOnce(Vice):
    """Never repeats a notification."""

    def __init__(self) -> None:
        self._told: set[bytes] = set()

    def up(self, stream: Stream, request: pb.SessionRequest) -> list[pb.SessionRequest]:
        if not request.HasField("notification"):
            return [request]
        content = pb.Notification.FromString(request.notification.SerializeToString())
        content.ClearField("sequence")
        if (told := content.SerializeToString()) in self._told:
            return []
        self._told.add(told)
        return [request]


class PartlyComplete(Vice):
    """Calls a report complete that is not."""

    def up(self, stream: Stream, request: pb.SessionRequest) -> list[pb.SessionRequest]:
        if request.report.complete:
            del request.report.links[0]
        return [request]


class Immortal(Vice):
    """Does not count the life of entries."""

    def down(self, stream: Stream, response: pb.SessionResponse) -> list[pb.SessionResponse]:
        for one in response.config_update.upserts:
            one.ClearField("remaining_s")
        return [response]


class Fussy(Vice):
    """Ends the stream on a message that it does not know."""

    def down(self, stream: Stream, response: pb.SessionResponse) -> list[pb.SessionResponse]:
        if response.WhichOneof("message") is None:
            stream.broken.set()
        return [response]


class Forgetful(Vice):
    """Acknowledges before it has persisted: what is killed has lost its entries."""

    forgets: tuple[str, ...] = ("DELETE FROM entries", "DELETE FROM named WHERE name = 'version'")

    def killed(self, state: Path) -> None:
        """Take that the agent of that directory was killed."""
        with sqlite3.connect(state / "agent.sqlite") as db:
            for statement in self.forgets:
                db.execute(statement)
        db.close()


class Amnesiac(Forgetful):
    """Keeps the election id in memory alone."""

    forgets = ("DELETE FROM named WHERE name = 'election'",)


BAD: dict[type[Vice], set[str]] = {
    WrongDigest: {"update.applied", "update.repeated", "unknown.passed-over"},
    AnyBase: {"update.wrong-base"},
    Halves: {"update.unknown-kind", "update.invalid-entry"},
    AnyOrder: {"update.parts-order"},
    NoHeartbeats: {"heartbeat.sent"},
    Credulous: {"election.lower-refused", "election.lower-later"},
    OtherNode: {"hello.identity"},
    HashesShort: {"hashes.complete"},
    ToldOnce: {"notification.repeated"},
    PartlyComplete: {"report.complete"},
    Forgetful: {"update.durable"},
}
"""Each with the checks that it fails: the one that it was made for, and what follows from the same fault."""

MORE_BAD: dict[type[Vice], set[str]] = {
    AnyTarget: {"update.wrong-target"},
    Patient: {"heartbeat.missed"},
    OtherElection: {"election.echoed"},
    TwiceHello: {"hello.once"},
    LargeMessages: {"limits.message"},
    Immortal: {"update.lifetime"},
    Fussy: {"unknown.passed-over"},
    Amnesiac: {"election.durable"},
}
"""The same, for checks of the same group: what these would do to the others was seen with those above."""
