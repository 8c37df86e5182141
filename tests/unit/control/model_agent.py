"""An agent of a few lines that keeps the protocol to the letter, and complains when the controller does not."""

from collections.abc import Mapping

from controller.domain.entries import digest_of, entry_hash
from controller.domain.snapshot import ElectionId
from controller.wire.southbound import election_to_pb
from qinet.southbound.v1 import agent_pb2 as pb

ELECTION = ElectionId(epoch=1, term=1)


def hello(
    node: str = "a", *, store_id: str = "store-1", in_force: Mapping[str, bytes] | None = None, **more: object
) -> pb.SessionRequest:
    digest = digest_of({name: entry_hash(name, content) for name, content in (in_force or {}).items()})
    message = pb.Hello(node=node, store_id=store_id, peer_address="127.0.0.1:7001", base_digest=digest, **more)  # type: ignore[arg-type]
    return pb.SessionRequest(hello=message)


def said(election: ElectionId = ELECTION, **message: object) -> pb.SessionRequest:
    return pb.SessionRequest(election_id=election_to_pb(election), **message)  # type: ignore[arg-type]


class ModelAgent:
    """Keeps entries, checks every rule that an update must keep, and answers when it is told to.

    Attributes:
        entries: In force.
        pending: The complete update that waits for an answer.
        refuses: Entry contents that it does not accept.
    """

    def __init__(self, node: str = "a") -> None:
        self.node = node
        self.entries: dict[str, bytes] = {}
        self.refuses: set[bytes] = set()
        self.pending: list[pb.ConfigUpdate] = []
        self.asked = False
        self.acknowledged = 0
        self.heartbeats = 0
        self.updates = 0
        self.largest_part = 0
        self.nonce = 0

    def hello(self) -> pb.SessionRequest:
        self.pending, self.asked, self.nonce = [], False, 0
        return hello(self.node, in_force=self.entries)

    @property
    def hashes(self) -> dict[str, bytes]:
        return {name: entry_hash(name, content) for name, content in self.entries.items()}

    @property
    def complete(self) -> bool:
        return bool(self.pending) and len(self.pending) == self.pending[0].parts

    def take(self, message: pb.SessionResponse) -> None:
        assert message.election_id == election_to_pb(ELECTION)
        match message.WhichOneof("message"):
            case "config_update":
                self._take_part(message.config_update)
            case "entry_hashes_request":
                assert not self.pending, "asked while an update is in flight"
                assert not self.asked, "asked twice"
                self.asked = True
            case "notification_ack":
                assert message.notification_ack.sequence > self.acknowledged
                self.acknowledged = message.notification_ack.sequence
            case "heartbeat":
                self.heartbeats += 1
            case kind:
                assert kind == "welcome"

    def _take_part(self, part: pb.ConfigUpdate) -> None:
        assert not self.asked, "an update while the hashes are asked for"
        assert not self.complete, "two updates in flight"
        assert part.part == len(self.pending)
        if self.pending:
            first = self.pending[0]
            assert (part.nonce, part.parts, part.base_digest, part.target_digest) == (
                first.nonce,
                first.parts,
                first.base_digest,
                first.target_digest,
            )
        else:
            assert part.nonce > self.nonce
            self.nonce = part.nonce
            self.updates += 1
        assert part.base_digest == digest_of(self.hashes), "a wrong base"
        self.largest_part = max(self.largest_part, part.ByteSize())
        self.pending.append(part)

    def answer(self) -> pb.SessionRequest | None:
        """Answer what waits: Ack or Nack of a complete update, or the hashes that were asked for."""
        if self.asked:
            self.asked = False
            return said(
                entry_hashes=pb.EntryHashes(
                    hashes=[pb.EntryHash(id=name, hash=value) for name, value in self.hashes.items()]
                )
            )
        if not self.complete:
            return None
        parts, self.pending = self.pending, []
        upserts = {entry.id: entry.content for part in parts for entry in part.upserts}
        refused = [name for name, content in upserts.items() if content in self.refuses]
        if refused:
            return self.nack(parts[0], refused)
        for name in [name for part in parts for name in part.deletes]:
            self.entries.pop(name, None)
        self.entries |= upserts
        assert digest_of(self.hashes) == parts[0].target_digest, "a wrong target"
        return said(ack=pb.Ack(nonce=parts[0].nonce, version=parts[0].version, digest=parts[0].target_digest))

    def nack(self, part: pb.ConfigUpdate, refused: list[str]) -> pb.SessionRequest:
        statuses = [pb.EntryStatus(id=name) for name in refused]
        for status in statuses:
            status.status.code = 12
            status.status.message = "not served"
        return said(
            nack=pb.Nack(nonce=part.nonce, version=part.version, entries=statuses, digest=digest_of(self.hashes))
        )

    def refuse_whole(self, code: int) -> pb.SessionRequest:
        part, self.pending = self.pending[0], []
        nack = pb.Nack(nonce=part.nonce, version=part.version, digest=digest_of(self.hashes))
        nack.status.code = code
        nack.status.message = "no"
        return said(nack=nack)
